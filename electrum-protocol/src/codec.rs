//! Lines for [`tokio_util::codec::Framed`]: the framing of [`frame`](crate::frame) over tokio's readers and writers.
//!
//! ```
//! use electrum_protocol::codec::LineCodec;
//! use tokio_util::codec::Decoder;
//!
//! let mut codec = LineCodec::new(1_000_000);
//! let mut bytes = bytes::BytesMut::from("{\"id\":0,\"method\":\"server.ping\"}\n{\"id\"");
//! let line = codec.decode(&mut bytes)?.expect("one line is complete")?;
//! assert_eq!(line, "{\"id\":0,\"method\":\"server.ping\"}");
//! assert_eq!(codec.decode(&mut bytes)?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::frame::{FrameError, LineDecoder};

/// Cuts a byte stream into lines, and ends lines.
///
/// A line that is too long is an item, not an error of the stream: [`Framed`](tokio_util::codec::Framed) gives up at
/// the first error, while here the next line can still be read.
#[derive(Debug)]
pub struct LineCodec {
    lines: LineDecoder,
}

impl LineCodec {
    /// Makes a codec for lines of at most `max_line` bytes, line end not counted.
    pub fn new(max_line: usize) -> Self {
        Self {
            lines: LineDecoder::new(max_line),
        }
    }
}

impl Decoder for LineCodec {
    /// A line without its end.
    type Item = Result<Bytes, FrameError>;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        self.lines.push(bytes);
        bytes.clear();
        Ok(self
            .lines
            .next_line()
            .map(|line| line.map(Bytes::copy_from_slice)))
    }

    /// Drops the incomplete line at the end of the stream.
    fn decode_eof(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Self::Item>> {
        self.decode(bytes)
    }
}

/// Writes a message and ends its line.
impl<M: AsRef<[u8]>> Encoder<M> for LineCodec {
    type Error = io::Error;

    /// # Errors
    ///
    /// When the message contains a line end: it would arrive as two.
    fn encode(&mut self, message: M, out: &mut BytesMut) -> io::Result<()> {
        let message = message.as_ref();
        if message.contains(&b'\n') {
            let error = "a message of more than one line";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        out.reserve(message.len() + 1);
        out.put_slice(message);
        out.put_u8(b'\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_one_by_one_and_an_overlong_one_is_an_item() {
        let mut codec = LineCodec::new(4);
        let mut bytes = BytesMut::from("abcd\nabcde\nef\ng");
        let mut items = Vec::new();
        while let Some(item) = codec.decode(&mut bytes).unwrap() {
            items.push(item);
        }
        let too_long = Err(FrameError::TooLong { max: 4 });
        assert_eq!(
            items,
            [Ok(Bytes::from("abcd")), too_long, Ok(Bytes::from("ef"))]
        );
        bytes.extend_from_slice(b"h\n");
        assert_eq!(
            codec.decode(&mut bytes).unwrap(),
            Some(Ok(Bytes::from("gh")))
        );
        bytes.extend_from_slice(b"rest");
        assert_eq!(codec.decode_eof(&mut bytes).unwrap(), None);
    }

    #[test]
    fn messages_are_ended_and_cannot_be_two() {
        let mut codec = LineCodec::new(10);
        let mut out = BytesMut::new();
        codec.encode("{}", &mut out).unwrap();
        codec.encode(b"[]".as_slice(), &mut out).unwrap();
        assert_eq!(out, "{}\n[]\n");
        assert!(codec.encode("{\n}", &mut out).is_err());
        assert_eq!(out, "{}\n[]\n");
    }
}
