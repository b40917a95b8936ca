//! WebSocket: one JSON text per message, without a line end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::handshake::server::{
    Callback, ErrorResponse, Request, Response,
};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::http::header::ORIGIN;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};
use tracing::debug;

use super::{AnyStream, Stream};
use crate::net::admission::TransportBuffer;
use crate::net::origins::AllowedOrigins;

/// Makes a message of every line that is written, and a line of every message that arrives.
struct Lines {
    socket: WebSocketStream<Counted>,
    /// What is left of the message that arrived last.
    arrived: Bytes,
    /// Whether its line end is still to be given out.
    line_end: bool,
    /// Whether a pong is on its way out.
    owes_pong: bool,
    /// Whether the next frame goes on with a message.
    is_within_message: bool,
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

/// Shakes hands as a server. A longer message than `max_message` bytes ends the connection. The page of an origin that is
/// not among `origins` gets an answer of status 403.
pub(super) async fn accept(
    stream: AnyStream,
    origins: &AllowedOrigins,
    max_message: usize,
    buffer: TransportBuffer,
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
        waiting: 0,
        buffer,
    };
    let mut socket = accept_hdr_async_with_config(counted, CheckOrigin(origins), Some(config))
        .await
        .map_err(into_io)?;
    // The request is no part of a message.
    socket.get_mut().complete(0);
    Ok(Box::new(Lines {
        socket,
        arrived: Bytes::new(),
        line_end: false,
        owes_pong: false,
        is_within_message: false,
        farewell: None,
    }))
}

/// Refuses pages of origins that are not let in. Programs that are no browsers name no origin.
struct CheckOrigin<'a>(&'a AllowedOrigins);

impl Callback for CheckOrigin<'_> {
    fn on_request(self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        let mut named = request.headers().get_all(ORIGIN).iter();
        let Some(origin) = named.find(|origin| !self.0.allows(origin.as_bytes())) else {
            return Ok(response);
        };
        debug!(?origin, "a web page of an origin that may not connect");
        let text = "web pages of this origin may not connect to this Electrum server\n";
        let mut response = ErrorResponse::new(Some(text.to_owned()));
        *response.status_mut() = StatusCode::FORBIDDEN;
        Err(response)
    }
}

const READ_BUFFER: usize = 2048;
const WRITE_BUFFER: usize = 16 * 1024;
/// The most that is put into one frame. What is in frames is out of sight: a longer answer waits where it is counted,
/// and where it is seen that the client reads it.
const FRAME: usize = 16 * 1024;
/// What a frame of control takes besides its payload, with the mask that clients put on it.
const CONTROL: usize = 6;

/// Counts what arrives until it is read.
struct Counted {
    stream: AnyStream,
    /// What is in no whole message yet.
    received: usize,
    /// What is left of a whole one.
    waiting: usize,
    buffer: TransportBuffer,
}

impl Counted {
    /// Takes note of a message: all that arrived was part of it.
    fn complete(&mut self, length: usize) {
        self.received = 0;
        self.keep(length);
    }

    /// Takes note of a frame of control, which may stand between two parts of a message.
    fn skip(&mut self, payload: usize) {
        self.received = self.received.saturating_sub(payload + CONTROL);
        self.count();
    }

    /// Takes note of how much of a message is left.
    fn keep(&mut self, length: usize) {
        self.waiting = length;
        self.count();
    }

    /// Returns whether there is no room for it.
    fn count(&mut self) -> bool {
        self.buffer.set(self.received + self.waiting)
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
                this.socket.get_mut().keep(this.arrived.len());
                return Poll::Ready(Ok(()));
            }
            if this.line_end && buf.remaining() > 0 {
                this.line_end = false;
                buf.put_slice(b"\n");
                return Poll::Ready(Ok(()));
            }
            if this.owes_pong {
                // Whoever does not take the answers to his pings is not listened to: they would gather without end.
                ready!(Pin::new(&mut this.socket).poll_flush(cx)).map_err(into_io)?;
                this.owes_pong = false;
            }
            let message = match ready!(Pin::new(&mut this.socket).poll_next(cx)) {
                Some(Ok(message)) => message,
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) | None => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(into_io(error))),
            };
            match message {
                Message::Text(text) => this.arrived = text.into(),
                // A client that thinks in bytes means the same.
                Message::Binary(bytes) => this.arrived = bytes,
                Message::Close(_) => return Poll::Ready(Ok(())),
                Message::Ping(payload) => {
                    this.owes_pong = true;
                    this.socket.get_mut().skip(payload.len());
                    continue;
                }
                Message::Pong(payload) => {
                    this.socket.get_mut().skip(payload.len());
                    continue;
                }
                // Only for those who write.
                Message::Frame(_) => continue,
            }
            this.socket.get_mut().complete(this.arrived.len());
            this.line_end = this.arrived.last() != Some(&b'\n');
        }
    }
}

impl AsyncWrite for Lines {
    /// Takes one line, or the next part of a long one. What is written here are whole lines always.
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut socket = Pin::new(&mut self.socket);
        ready!(socket.as_mut().poll_ready(cx)).map_err(into_io)?;
        // One byte more, which may be the end of the line.
        let near = buf.get(..=FRAME).unwrap_or(buf);
        let end = near.iter().position(|byte| *byte == b'\n');
        let part = near.get(..end.unwrap_or(FRAME)).unwrap_or(near);
        let kind = match self.is_within_message {
            true => Data::Continue,
            false => Data::Text,
        };
        let frame = Frame::message(part.to_vec(), OpCode::Data(kind), end.is_some());
        let written = part.len() + usize::from(end.is_some());
        self.is_within_message = end.is_none();
        Pin::new(&mut self.socket)
            .start_send(Message::Frame(frame))
            .map_err(into_io)?;
        Poll::Ready(Ok(written))
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
        if self.count() {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Waker;

    use futures_util::{SinkExt, StreamExt};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio_tungstenite::client_async_with_config;

    use super::*;
    use crate::metrics::Metrics;
    use crate::net::admission::Admission;
    use crate::session::Limits;

    /// Both ends of a WebSocket, between which few bytes have room, and what is counted.
    async fn pair() -> (WebSocketStream<DuplexStream>, AnyStream, Arc<Metrics>) {
        let metrics = Arc::<Metrics>::default();
        let admission = Arc::new(Admission::new(Limits::default(), metrics.clone()));
        let (client, server) = tokio::io::duplex(1024);
        let origins = AllowedOrigins::default();
        let buffer = admission.transport_buffer();
        let accepting = accept(Box::new(server), &origins, 1 << 20, buffer);
        let at_once = WebSocketConfig::default().write_buffer_size(0);
        let connecting = client_async_with_config("ws://x/", client, Some(at_once));
        let (client, server) = tokio::join!(connecting, accepting);
        (client.unwrap().0, server.unwrap(), metrics)
    }

    fn part(length: usize, kind: Data, is_final: bool) -> Message {
        let payload = vec![b' '; length];
        Message::Frame(Frame::message(payload, OpCode::Data(kind), is_final))
    }

    #[tokio::test]
    async fn whoever_does_not_take_pongs_is_not_listened_to() {
        let (mut client, mut server, _) = pair().await;
        let cx = &mut Context::from_waker(Waker::noop());
        let mut taken = 0;
        let mut space = [0; 100];
        // Each answer is as long as its question; nobody reads them.
        while taken < 1000 {
            tokio::task::consume_budget().await;
            if Pin::new(&mut client).poll_ready(cx).is_ready() {
                let ping = Message::Ping(vec![0; 125].into());
                Pin::new(&mut client).start_send(ping).unwrap();
                taken += 1;
                continue;
            }
            let mut buffer = ReadBuf::new(&mut space);
            assert!(
                Pin::new(&mut server)
                    .poll_read(cx, &mut buffer)
                    .is_pending()
            );
            if Pin::new(&mut client).poll_ready(cx).is_pending() {
                break;
            }
        }
        assert!(taken < 100, "{taken}");
    }

    #[tokio::test]
    async fn what_arrived_is_counted_until_it_is_read() {
        let (mut client, mut server, metrics) = pair().await;
        let mut space = vec![0; 4000];
        let send = async {
            client.send(part(10_000, Data::Text, false)).await.unwrap();
            client.send(Message::Ping("?".into())).await.unwrap();
            // When this is answered everything before it was read.
            while !matches!(client.next().await, Some(Ok(Message::Pong(_)))) {}
            assert_eq!(metrics.buffered(), 10_000 + 8);
            client.send(part(2000, Data::Continue, true)).await.unwrap();
        };
        let (count, ()) = tokio::join!(server.read(&mut space), send);
        assert_eq!(count.unwrap(), 4000);
        assert_eq!(metrics.buffered(), 8000);
        server.read_exact(&mut vec![0; 8001]).await.unwrap();
        assert_eq!(metrics.buffered(), 0);
    }

    #[tokio::test]
    async fn a_long_answer_is_one_message_and_waits_where_it_is_counted() {
        let (mut client, mut server, _) = pair().await;
        let lines: Vec<String> = [FRAME - 1, FRAME, FRAME + 1, 5, 1_000_000]
            .map(|length| "x".repeat(length))
            .into();
        let all = lines.join("\n") + "\n";
        let cx = &mut Context::from_waker(Waker::noop());
        let mut taken = 0;
        while let Poll::Ready(written) =
            Pin::new(&mut server).poll_write(cx, &all.as_bytes()[taken..])
        {
            taken += written.unwrap();
        }
        assert!(taken < 4 * FRAME, "{taken}");
        let write = async {
            server.write_all(&all.as_bytes()[taken..]).await.unwrap();
            server.flush().await.unwrap();
        };
        let read = async {
            for line in &lines {
                let message = client.next().await.unwrap().unwrap();
                assert_eq!(message.into_text().unwrap().as_str(), line);
            }
        };
        tokio::join!(write, read);
    }
}
