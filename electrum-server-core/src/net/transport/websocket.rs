//! WebSocket: one JSON text per message, without a line end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

use super::{AnyStream, Stream};
use crate::net::admission::Buffer;

/// Makes a message of every line that is written, and a line of every message that arrives.
struct Lines {
    socket: WebSocketStream<Counted>,
    /// What is left of the message that arrived last.
    arrived: Bytes,
    /// Whether its line end is still to be given out.
    line_end: bool,
    /// What the last frame is to say, if there is something to say.
    farewell: Option<CloseFrame>,
}

impl Stream for Lines {
    fn give_reason(&mut self, reason: &str) {
        // A frame of this kind has no room for more; the line before it says it in full.
        let end = reason.len().min(LONGEST_REASON);
        let reason = reason.get(..end).unwrap_or_default();
        self.farewell = Some(CloseFrame {
            code: CloseCode::Policy,
            reason: reason.into(),
        });
    }
}

const LONGEST_REASON: usize = 123;

/// Shakes hands as a server. A longer message than `max_message` bytes ends the connection.
pub(super) async fn accept(
    stream: AnyStream,
    max_message: usize,
    buffer: Buffer,
) -> io::Result<AnyStream> {
    let config = WebSocketConfig::default()
        // Connections at rest are many.
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message));
    let counted = Counted {
        stream,
        received: 0,
        buffer,
    };
    let socket = accept_async_with_config(counted, Some(config))
        .await
        .map_err(into_io)?;
    Ok(Box::new(Lines {
        socket,
        arrived: Bytes::new(),
        line_end: false,
        farewell: None,
    }))
}

const READ_BUFFER: usize = 2048;
const WRITE_BUFFER: usize = 16 * 1024;

/// Counts what arrives and is no whole message yet.
struct Counted {
    stream: AnyStream,
    received: usize,
    buffer: Buffer,
}

impl Counted {
    /// Everything that arrived was part of a message that is complete.
    fn settle(&mut self) {
        self.received = 0;
        self.buffer.set(0);
    }
}

impl AsyncRead for Lines {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.arrived.is_empty() {
                let count = this.arrived.len().min(buf.remaining());
                buf.put_slice(&this.arrived.split_to(count));
                if this.arrived.is_empty() {
                    // A slice of nothing would keep the message alive.
                    this.arrived = Bytes::new();
                }
                return Poll::Ready(Ok(()));
            }
            if this.line_end && buf.remaining() > 0 {
                this.line_end = false;
                buf.put_slice(b"\n");
                return Poll::Ready(Ok(()));
            }
            let message = match ready!(Pin::new(&mut this.socket).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) | None => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(into_io(error))),
            };
            this.socket.get_mut().settle();
            match message {
                Message::Text(text) => this.arrived = text.into(),
                // A client that thinks in bytes means the same.
                Message::Binary(bytes) => this.arrived = bytes,
                Message::Close(_) => return Poll::Ready(Ok(())),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            }
            this.line_end = this.arrived.last() != Some(&b'\n');
        }
    }
}

impl AsyncWrite for Lines {
    /// Takes one line. What is written here are whole lines always.
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let end = buf.iter().position(|byte| *byte == b'\n');
        let line = buf.get(..end.unwrap_or(buf.len())).unwrap_or_default();
        let mut socket = Pin::new(&mut self.socket);
        ready!(socket.as_mut().poll_ready(cx)).map_err(into_io)?;
        let text = Utf8Bytes::try_from(line.to_vec())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        socket.start_send(Message::Text(text)).map_err(into_io)?;
        Poll::Ready(Ok(line.len() + usize::from(end.is_some())))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(into_io)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.farewell.is_some() {
            ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(into_io)?;
            let farewell = Message::Close(self.farewell.take());
            Pin::new(&mut self.socket)
                .start_send(farewell)
                .map_err(into_io)?;
        }
        Pin::new(&mut self.socket).poll_close(cx).map_err(into_io)
    }
}

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::ConnectionAborted.into(),
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.received += buf.filled().len().saturating_sub(before);
        let received = self.received;
        if self.buffer.set(received) {
            let text = "the buffers of all clients are full";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::OutOfMemory, text)));
        }
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
