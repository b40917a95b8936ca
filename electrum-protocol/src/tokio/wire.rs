//! Bytes to and from a server.

use std::io;

use ::tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

#[cfg(feature = "tokio-websocket")]
use crate::net::frames;

/// Whatever can be read and written.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

#[cfg(feature = "tokio-websocket")]
type WebSocket = tokio_tungstenite::WebSocketStream<Box<dyn Stream>>;

/// A connection, as bytes.
pub(super) enum Wire {
    Lines(Box<dyn Stream>),
    #[cfg(feature = "tokio-websocket")]
    WebSocket(Box<WebSocket>),
}

impl Wire {
    pub(super) fn lines(stream: Box<dyn Stream>) -> Self {
        Self::Lines(stream)
    }

    /// Makes two of it, since one must not wait for the other.
    pub(super) fn split(self) -> (Reader, Writer) {
        match self {
            Self::Lines(stream) => {
                let (reader, writer) = ::tokio::io::split(stream);
                let buffer = vec![0; READ_SIZE];
                (Reader::Lines(reader, buffer), Writer::Lines(writer))
            }
            #[cfg(feature = "tokio-websocket")]
            Self::WebSocket(websocket) => {
                let (writer, reader) = futures_util::StreamExt::split(*websocket);
                let buffer = Vec::new();
                (Reader::WebSocket(reader, buffer), Writer::WebSocket(writer))
            }
        }
    }
}

/// How much is read at a time.
const READ_SIZE: usize = 16 * 1024;

pub(super) enum Reader {
    Lines(ReadHalf<Box<dyn Stream>>, Vec<u8>),
    #[cfg(feature = "tokio-websocket")]
    WebSocket(futures_util::stream::SplitStream<WebSocket>, Vec<u8>),
}

impl Reader {
    /// Waits for bytes. Nothing is lost when the future is dropped.
    pub(super) async fn read(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Lines(stream, buffer) => match stream.read(buffer).await? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                count => Ok(buffer.get(..count).unwrap_or_default()),
            },
            #[cfg(feature = "tokio-websocket")]
            Self::WebSocket(stream, buffer) => {
                let message = match futures_util::StreamExt::next(stream).await {
                    Some(message) => message.map_err(frames::io_error)?,
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                };
                let content = frames::content(&message)?;
                buffer.clear();
                buffer.extend_from_slice(content);
                buffer.push(b'\n');
                Ok(buffer)
            }
        }
    }
}

pub(super) enum Writer {
    Lines(WriteHalf<Box<dyn Stream>>),
    #[cfg(feature = "tokio-websocket")]
    WebSocket(futures_util::stream::SplitSink<WebSocket, tungstenite::Message>),
}

impl Writer {
    /// Sends lines, of which a WebSocket makes a message each. Leaves none.
    pub(super) async fn write(&mut self, lines: &mut Vec<Vec<u8>>) -> io::Result<()> {
        match self {
            Self::Lines(stream) => {
                let bytes = match lines.as_mut_slice() {
                    [line] => std::mem::take(line),
                    lines => lines.concat(),
                };
                lines.clear();
                stream.write_all(&bytes).await?;
                stream.flush().await
            }
            #[cfg(feature = "tokio-websocket")]
            Self::WebSocket(stream) => {
                for line in lines.drain(..) {
                    futures_util::SinkExt::feed(stream, frames::message(line))
                        .await
                        .map_err(frames::io_error)?;
                }
                futures_util::SinkExt::flush(stream)
                    .await
                    .map_err(frames::io_error)
            }
        }
    }

    /// Says goodbye.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        match self {
            Self::Lines(stream) => stream.shutdown().await,
            #[cfg(feature = "tokio-websocket")]
            Self::WebSocket(stream) => futures_util::SinkExt::close(stream)
                .await
                .map_err(frames::io_error),
        }
    }
}
