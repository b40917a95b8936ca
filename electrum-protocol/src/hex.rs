//! Hexadecimal text, both ways.

/// The two lower-case digits of each byte.
#[allow(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which would say so"
)]
const DIGITS: [[u8; 2]; 256] = {
    let mut digits = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        digits[byte] = [digit(byte as u8 >> 4), digit(byte as u8 & 0x0f)];
        byte += 1;
    }
    digits
};

/// Appends two lower-case digits per byte.
pub(crate) fn encode(
    bytes: impl IntoIterator<Item = u8, IntoIter: ExactSizeIterator>,
    out: &mut Vec<u8>,
) {
    let bytes = bytes.into_iter();
    let start = out.len();
    // Answers are mostly digits: room for all at once, and no test for each.
    out.resize(start + 2 * bytes.len(), 0);
    let (pairs, _) = out.split_at_mut(start).1.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        #[allow(clippy::indexing_slicing, reason = "every byte has its place")]
        let digits = DIGITS[usize::from(byte)];
        *pair = digits;
    }
}

/// Reads an even number of digits of either case.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|pair| byte(*pair)).collect()
}

/// Reads exactly `2 * N` digits of either case.
pub(crate) fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    for (slot, pair) in bytes.iter_mut().zip(pairs) {
        *slot = byte(*pair)?;
    }
    Some(bytes)
}

const fn digit(nibble: u8) -> u8 {
    if nibble < 10 {
        b'0' + nibble
    } else {
        b'a' + nibble - 10
    }
}

fn byte([high, low]: [u8; 2]) -> Option<u8> {
    Some((nibble(high)? << 4) | nibble(low)?)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_round_trips() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut text = Vec::new();
        encode(bytes.iter().copied(), &mut text);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(decode(&text).as_deref(), Some(bytes.as_slice()));
        assert_eq!(
            decode(&text.to_uppercase()).as_deref(),
            Some(bytes.as_slice())
        );
    }

    #[test]
    fn refuses_odd_lengths_and_other_characters() {
        for text in ["0", "0g", "g0", "é", "0é0", " 00", "0x00", "/:", "@G", "`g"] {
            assert_eq!(decode(text), None, "{text}");
        }
        assert_eq!(decode(""), Some(Vec::new()));
        assert_eq!(decode_array::<2>("00ff"), Some([0, 255]));
        assert_eq!(decode_array::<2>("00ff0"), None);
        assert_eq!(decode_array::<2>("00"), None);
    }
}
