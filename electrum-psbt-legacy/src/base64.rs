//! Base64 of RFC 4648, section 4: the text form of PSBTs.

use alloc::string::String;
use alloc::vec::Vec;

use crate::TextError;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes bytes as base64, padded.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| group.get(at).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = (bits >> (18 - 6 * at)) & 63;
            let digit = ALPHABET.get(digit as usize).filter(|_| at <= group.len());
            text.push(digit.copied().map_or('=', char::from));
        }
    }
    text
}

/// Reads padded base64, and nothing that [`encode`] would not write.
///
/// # Errors
/// [`TextError::NotBase64`].
pub fn decode(text: &str) -> Result<Vec<u8>, TextError> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return Err(TextError::NotBase64);
    }
    let (mut bits, mut held) = (0u32, 0);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(TextError::NotBase64),
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    match bits {
        0 => Ok(bytes),
        _ => Err(TextError::NotBase64),
    }
}
