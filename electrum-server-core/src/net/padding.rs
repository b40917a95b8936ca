//! Padding against traffic analysis: the lengths of answers say which of a wallet's questions they answer.
//!
//! Spaces go before the last bracket of a line, where JSON allows them and clients of Electrum's protocol expect them.
//! Lengths are those of the Padmé scheme: of a length of *n* bits only about log *n* of them are kept, so that little is
//! left to tell answers apart, and at most an eighth is added to large ones.

/// Nothing shorter leaves a padded connection.
const LEAST: usize = 1024;

/// Pads whole lines: together when they are sent as one stream, each for itself when each becomes a message. No line
/// grows beyond `max` bytes by it.
pub(super) fn pad(lines: Vec<u8>, each: bool, max: usize) -> Vec<u8> {
    if lines.is_empty() {
        return lines;
    }
    let mut padded = Vec::with_capacity(target(lines.len()));
    if each {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            pad_to(target(line.len()), line, 0, max, &mut padded);
        }
    } else {
        let whole = lines.strip_suffix(b"\n").unwrap_or(&lines);
        let start = whole
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let (before, last) = lines.split_at(start);
        padded.extend_from_slice(before);
        pad_to(target(lines.len()), last, before.len(), max, &mut padded);
    }
    padded
}

/// Appends a line such that it and the `before` bytes before it have a length.
fn pad_to(length: usize, line: &[u8], before: usize, max: usize, out: &mut Vec<u8>) {
    let missing = length
        .saturating_sub(before + line.len())
        .min(max.saturating_sub(line.len()));
    // The bracket and the line end; whatever ends otherwise is not ours to change.
    match line {
        [text @ .., bracket @ (b'}' | b']'), b'\n'] => {
            out.extend_from_slice(text);
            out.resize(out.len() + missing, b' ');
            out.extend_from_slice(&[*bracket, b'\n']);
        }
        _ => out.extend_from_slice(line),
    }
}

/// Returns the length that something of this length is sent with.
fn target(length: usize) -> usize {
    if length <= LEAST {
        return LEAST;
    }
    let exponent = length.ilog2();
    let kept = exponent.ilog2() + 1;
    let mask = (1 << (exponent - kept)) - 1;
    length.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_few_and_not_much_longer() {
        let mut seen = std::collections::HashSet::new();
        for length in 1..200_000 {
            let padded = target(length);
            assert!(padded >= length && padded >= LEAST);
            assert!(length < LEAST || padded - length <= length / 8, "{length}");
            seen.insert(padded);
        }
        assert!(seen.len() < 150, "{}", seen.len());
        let once = target(5000);
        assert_eq!(target(once), once);
    }

    #[test]
    fn spaces_stand_before_the_last_bracket() {
        let lines = b"{\"id\":0,\"result\":null}\n[{\"id\":1}]\n".to_vec();
        let padded = pad(lines.clone(), false, 10_000);
        assert_eq!(padded.len(), LEAST);
        assert!(padded.starts_with(b"{\"id\":0,\"result\":null}\n[{\"id\":1} "));
        assert!(padded.ends_with(b" ]\n"));
        let without: Vec<u8> = padded.into_iter().filter(|byte| *byte != b' ').collect();
        assert_eq!(without, lines);
        let padded = pad(lines, true, 10_000);
        assert_eq!(padded.len(), 2 * LEAST);
        assert_eq!(pad(Vec::new(), false, 10_000), b"");
    }

    #[test]
    fn lines_stay_within_what_clients_read() {
        let line = [&[b'['; 3000], &b"]\n"[..]].concat();
        assert_eq!(pad(line.clone(), false, 3010).len(), 3010);
        assert_eq!(pad(line.clone(), true, 100), line);
    }
}
