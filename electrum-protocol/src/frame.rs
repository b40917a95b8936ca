//! Lines: the frames of the protocol on TCP and TLS.
//!
//! Bytes enter in any portions, whole lines leave. A line that is too long is dropped while it arrives and reported
//! once; the line after it is read as if nothing had happened.

/// Finds the lines in a stream of bytes.
///
/// Memory is bounded by what was pushed and not yet taken, and within that by the longest allowed line for each line
/// that is too long.
#[derive(Debug)]
pub struct LineDecoder {
    max_line: usize,
    /// Bytes not yet taken, from `start` on: whole lines with their ends, then an incomplete one.
    buffer: Vec<u8>,
    start: usize,
    /// Length of the incomplete line at the end of the buffer; one more than allowed when it is too long.
    tail: usize,
    /// Whether the incomplete line was already reported as too long.
    reported: bool,
}

/// A line that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Longer than allowed.
    #[error("line too long (over {max} bytes)")]
    TooLong {
        /// How many bytes are allowed, without the line end.
        max: usize,
    },
}

/// Capacity that an idle decoder may keep.
const IDLE_CAPACITY: usize = 4096;

impl LineDecoder {
    /// Makes a decoder for lines of at most `max_line` bytes, line end not counted.
    pub fn new(max_line: usize) -> Self {
        Self {
            max_line,
            buffer: Vec::new(),
            start: 0,
            tail: 0,
            reported: false,
        }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.compact();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (content, ends) = match piece {
                [content @ .., b'\n'] => (content, true),
                content => (content, false),
            };
            self.extend_tail(content);
            if ends {
                self.end_line();
            }
        }
    }

    /// Returns the next line, without its end, or the news that one was too long; nothing when more bytes are needed.
    ///
    /// Empty lines are passed over.
    pub fn next_line(&mut self) -> Option<Result<&[u8], FrameError>> {
        let complete = self.buffer.len() - self.tail;
        while self.start < complete {
            let line_start = self.start;
            let rest = self.buffer.get(line_start..complete).unwrap_or_default();
            let length = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(rest.len());
            self.start = line_start + length + 1;
            if length > self.max_line {
                return Some(Err(FrameError::TooLong { max: self.max_line }));
            }
            let line = line_start..line_start + length;
            let blank = self
                .buffer
                .get(line.clone())
                .unwrap_or_default()
                .trim_ascii()
                .is_empty();
            if !blank {
                return self.buffer.get(line).map(Ok);
            }
        }
        if self.tail > self.max_line && !self.reported {
            self.reported = true;
            return Some(Err(FrameError::TooLong { max: self.max_line }));
        }
        // The client may send nothing for a long time: the room of a long line is not kept for it.
        self.compact();
        None
    }

    /// Returns how many bytes are held.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Appends to the incomplete line no more than it takes to see that it is too long.
    fn extend_tail(&mut self, content: &[u8]) {
        let room = self.max_line.saturating_add(1).saturating_sub(self.tail);
        let kept = content.get(..room).unwrap_or(content);
        self.buffer.extend_from_slice(kept);
        self.tail += kept.len();
    }

    fn end_line(&mut self) {
        if self.reported {
            // The report is out: nothing of the line remains.
            self.buffer.truncate(self.buffer.len() - self.tail);
            self.reported = false;
        } else {
            self.buffer.push(b'\n');
        }
        self.tail = 0;
    }

    /// Forgets what was taken, and gives memory back when nothing is left.
    fn compact(&mut self) {
        self.buffer.drain(..self.start.min(self.buffer.len()));
        self.start = 0;
        // A line that grows is not moved each time.
        if self.buffer.len() <= IDLE_CAPACITY {
            self.buffer.shrink_to(IDLE_CAPACITY);
        }
    }
}

/// Ends a line. The content must not contain a line end; JSON as this crate writes it never does.
pub fn end_line(out: &mut Vec<u8>) {
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 5;

    /// Feeds the pieces and returns all lines, `None` for one that is too long.
    fn lines(pieces: &[&[u8]]) -> Vec<Option<String>> {
        let mut decoder = LineDecoder::new(MAX);
        let mut lines = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            while let Some(line) = decoder.next_line() {
                lines.push(
                    line.ok()
                        .map(|line| String::from_utf8(line.to_vec()).unwrap()),
                );
            }
        }
        lines
    }

    #[test]
    fn every_split_yields_the_same_lines() {
        let check = |stream: &str, expected: &[Option<&str>]| {
            let expected: Vec<_> = expected
                .iter()
                .map(|line| line.map(str::to_owned))
                .collect();
            let stream = stream.as_bytes();
            assert_eq!(lines(&[stream]), expected);
            for split in 0..=stream.len() {
                let (a, b) = stream.split_at(split);
                assert_eq!(lines(&[a, b]), expected, "split at {split}");
            }
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            assert_eq!(lines(&bytes), expected, "byte by byte");
        };
        check("", &[]);
        check("a", &[]);
        check("a\nbc\nd", &[Some("a"), Some("bc")]);
        check(
            "12345\n123456\n12345\n",
            &[Some("12345"), None, Some("12345")],
        );
        check("1234567890123\nab\n", &[None, Some("ab")]);
        check("123456", &[None]);
        check("\n\n a\r\n \t\r\nb\n", &[Some(" a\r"), Some("b")]);
        check(
            "123456\n1234567\n\n12345678\nx\n",
            &[None, None, None, Some("x")],
        );
    }

    #[test]
    fn a_long_line_that_was_taken_leaves_no_room_behind() {
        let mut decoder = LineDecoder::new(1_000_000);
        decoder.push(&vec![b'x'; 1_000_000]);
        decoder.push(b"\nab");
        assert_eq!(decoder.next_line().unwrap().unwrap().len(), 1_000_000);
        assert!(decoder.next_line().is_none());
        assert_eq!(decoder.buffered(), 2);
        decoder.push(b"c\n");
        assert_eq!(decoder.next_line().unwrap().unwrap(), b"abc");
        assert!(decoder.next_line().is_none());
        assert!(decoder.buffer.capacity() <= IDLE_CAPACITY);
    }

    #[test]
    fn unread_lines_keep_their_order() {
        let mut decoder = LineDecoder::new(MAX);
        for piece in ["a\n123456", "789\nb\n1234", "5678", "9\nc\n"] {
            decoder.push(piece.as_bytes());
        }
        let mut seen = Vec::new();
        while let Some(line) = decoder.next_line() {
            seen.push(line.map(<[u8]>::to_vec));
        }
        let long = Err(FrameError::TooLong { max: MAX });
        assert_eq!(
            seen,
            [
                Ok(b"a".to_vec()),
                long.clone(),
                Ok(b"b".to_vec()),
                long,
                Ok(b"c".to_vec())
            ]
        );
    }

    #[test]
    fn an_endless_line_takes_no_memory() {
        let mut decoder = LineDecoder::new(1000);
        let chunk = [b'x'; 8192];
        let mut reports = 0;
        for _ in 0..12_500 {
            decoder.push(&chunk);
            while let Some(line) = decoder.next_line() {
                assert_eq!(line, Err(FrameError::TooLong { max: 1000 }));
                reports += 1;
            }
            assert!(decoder.buffered() <= 1001);
            assert!(decoder.buffer.capacity() <= 16_384);
        }
        assert_eq!(reports, 1);
        decoder.push(b"\nok\n");
        assert_eq!(decoder.next_line(), Some(Ok(b"ok".as_slice())));
        assert_eq!(decoder.next_line(), None);
    }

    #[test]
    fn memory_is_given_back() {
        let mut decoder = LineDecoder::new(1_000_000);
        decoder.push(&[b'x'; 999_999]);
        decoder.push(b"\n");
        assert_eq!(decoder.next_line().unwrap().unwrap().len(), 999_999);
        decoder.push(b"y");
        assert!(decoder.buffer.capacity() <= IDLE_CAPACITY);
    }

    #[test]
    fn a_limit_of_the_whole_address_space_does_not_overflow() {
        let mut decoder = LineDecoder::new(usize::MAX);
        decoder.push(b"a\n");
        assert_eq!(decoder.next_line(), Some(Ok(b"a".as_slice())));
    }
}
