//! Padding against traffic analysis: the lengths of answers say which of a wallet's questions they answer.
//!
//! Spaces go before the last bracket of a line, where JSON allows them and clients of Electrum's protocol expect them.
//! Lengths are those of the Padmé scheme: of a length of *n* bits only about log *n* of them are kept, so that little is
//! left to tell answers apart, and at most an eighth is added to large ones.

use std::sync::Arc;

use electrum_protocol::server::Chunk;

/// Nothing shorter leaves a padded connection.
const LEAST: usize = 1024;

/// Pads whole lines: together when they are sent as one stream, each for itself when each becomes a message. No line
/// grows beyond `max` bytes by it.
///
/// Shared results are not copied, and end no line.
pub(super) fn pad(chunks: Vec<Chunk>, each: bool, max: usize) -> Vec<Chunk> {
    let total: usize = chunks.iter().map(Chunk::len).sum();
    let mut padded = Padded {
        chunks: Vec::with_capacity(chunks.len()),
        owned: Vec::new(),
    };
    // How much of everything, and of the line, came before.
    let (mut before, mut of_line) = (0, 0);
    for chunk in chunks {
        let Chunk::Owned(bytes) = chunk else {
            before += chunk.len();
            of_line += chunk.len();
            padded.push(chunk);
            continue;
        };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            before += piece.len();
            of_line += piece.len();
            let missing = match piece.ends_with(b"\n") {
                true if each => target(of_line) - of_line,
                true if before == total => target(total) - total,
                true | false => 0,
            };
            padded.line(piece, missing.min(max.saturating_sub(of_line)));
            if piece.ends_with(b"\n") {
                of_line = 0;
            }
        }
    }
    padded.flush();
    padded.chunks
}

/// What was padded.
struct Padded {
    chunks: Vec<Chunk>,
    /// What comes after these chunks.
    owned: Vec<u8>,
}

impl Padded {
    fn push(&mut self, chunk: Chunk) {
        self.flush();
        self.chunks.push(chunk);
    }

    fn flush(&mut self) {
        if !self.owned.is_empty() {
            let owned = std::mem::take(&mut self.owned);
            self.chunks.push(Chunk::Owned(owned));
        }
    }

    /// Appends a line, or the end of one, with so many spaces in it.
    fn line(&mut self, line: &[u8], missing: usize) {
        // The bracket and the line end; whatever ends otherwise is not ours to change.
        let [text @ .., bracket @ (b'}' | b']'), b'\n'] = line else {
            return self.owned.extend_from_slice(line);
        };
        self.owned.extend_from_slice(text);
        self.spaces(missing);
        self.owned.extend_from_slice(&[*bracket, b'\n']);
    }

    /// Appends spaces. Many of them are the same for everybody.
    fn spaces(&mut self, mut count: usize) {
        while count >= SPACES.len() {
            self.push(Chunk::Shared(Arc::new(SPACES)));
            count -= SPACES.len();
        }
        self.owned.resize(self.owned.len() + count, b' ');
    }
}

const SPACES: &[u8] = &[b' '; 4096];

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

    /// Pads what is in one chunk.
    fn padded(lines: &[u8], each: bool, max: usize) -> Vec<u8> {
        let chunks = pad(vec![Chunk::Owned(lines.to_vec())], each, max);
        chunks.iter().flat_map(AsRef::as_ref).copied().collect()
    }

    #[test]
    fn spaces_stand_before_the_last_bracket() {
        let lines = b"{\"id\":0,\"result\":null}\n[{\"id\":1}]\n".to_vec();
        let once = padded(&lines, false, 10_000);
        assert_eq!(once.len(), LEAST);
        assert!(once.starts_with(b"{\"id\":0,\"result\":null}\n[{\"id\":1} "));
        assert!(once.ends_with(b" ]\n"));
        let without: Vec<u8> = once.into_iter().filter(|byte| *byte != b' ').collect();
        assert_eq!(without, lines);
        assert_eq!(padded(&lines, true, 10_000).len(), 2 * LEAST);
        assert_eq!(padded(b"", false, 10_000), b"");
    }

    #[test]
    fn lines_stay_within_what_clients_read() {
        let line = [&[b'['; 3000], &b"]\n"[..]].concat();
        assert_eq!(padded(&line, false, 3010).len(), 3010);
        assert_eq!(padded(&line, true, 100), line);
    }

    #[test]
    fn what_others_send_as_well_is_padded_as_if_it_were_not() {
        let result = vec![b'1'; 100_000];
        for lines in [1, 3] {
            let mut whole = Vec::new();
            let mut chunks = Vec::new();
            for _ in 0..lines {
                let parts = [&b"{\"id\":0}\n{\"result\":"[..], &result, b"}\n"];
                whole.extend(parts.concat());
                let [head, result, end] = parts;
                chunks.push(Chunk::Owned(head.to_vec()));
                chunks.push(Chunk::Shared(Arc::new(result.to_vec())));
                chunks.push(Chunk::Owned(end.to_vec()));
            }
            for each in [false, true] {
                let split = pad(chunks.clone(), each, 1_000_000);
                let owned = split.iter().filter(|chunk| !chunk.is_shared());
                assert!(owned.map(Chunk::len).sum::<usize>() < lines * 8000);
                let bytes: Vec<u8> = split.iter().flat_map(AsRef::as_ref).copied().collect();
                assert_eq!(bytes, padded(&whole, each, 1_000_000));
            }
        }
    }
}
