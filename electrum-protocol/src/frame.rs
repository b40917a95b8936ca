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
        if self.buffer.is_empty() {
            self.buffer.shrink_to(IDLE_CAPACITY);
        }
    }
}

/// Ends a line. The content must not contain a line end; JSON as this crate writes it never does.
pub fn end_line(out: &mut Vec<u8>) {
    out.push(b'\n');
}
