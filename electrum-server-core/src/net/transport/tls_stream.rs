//! A stream within TLS that keeps no buffers while nothing moves.
//!
//! Thousands of clients wait most of the time. Where the state of a connection has buffers of its own, each of them keeps
//! the room for a read that is not happening; here that room is on the stack of whoever reads.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::UnbufferedServerConnection;
use tokio_rustls::rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};

use super::AnyStream;

/// A connection of which TLS is the server's side.
pub(super) struct TlsStream {
    socket: AnyStream,
    tls: UnbufferedServerConnection,
    /// What arrived and is no whole record yet.
    arrived: Vec<u8>,
    /// What was in a record and nobody has read yet.
    plain: Vec<u8>,
    /// Records to send, and how much of them is sent.
    outgoing: Vec<u8>,
    sent: usize,
    /// Whether the client sends no more.
    has_ended: bool,
    /// Whether the client was told that we send no more.
    has_closed: bool,
}

/// What is to be done besides what the records ask for.
enum Wish<'a> {
    Nothing,
    Write(&'a [u8]),
    Close,
}

/// Where the records have led.
enum Reached {
    /// More must arrive before the handshake goes on.
    Handshake,
    /// There is something to read, or more must arrive.
    Traffic,
    /// The wish was granted: so many bytes are in records.
    Written(usize),
}

/// How much is read at a time; it lies on the stack.
const READ_SIZE: usize = 4096;
/// The most that is put into one record.
const RECORD: usize = 16 * 1024;
/// More than a record takes besides what is in it.
const OVERHEAD: usize = 128;

impl TlsStream {
    /// Shakes hands.
    pub(super) async fn accept(socket: AnyStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let tls = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        let mut stream = Self {
            socket,
            tls,
            arrived: Vec::new(),
            plain: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            has_ended: false,
            has_closed: false,
        };
        poll_fn(|cx| stream.poll_handshake(cx)).await?;
        Ok(stream)
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let reached = self.advance(&Wish::Nothing, cx)?;
            ready!(self.poll_send(cx))?;
            match reached {
                Reached::Traffic => return Pin::new(&mut self.socket).poll_flush(cx),
                Reached::Handshake | Reached::Written(_) => {}
            }
            ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
            ready!(self.poll_arrive(cx))?;
            if self.has_ended {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Does what the records that arrived ask for, until more is needed, or something can be read.
    fn advance(&mut self, wish: &Wish<'_>, cx: &mut Context<'_>) -> io::Result<Reached> {
        loop {
            let UnbufferedStatus {
                mut discard, state, ..
            } = self.tls.process_tls_records(&mut self.arrived);
            let mut reached = None;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(wrong)?;
                        discard += record.discard;
                        self.plain.extend_from_slice(record.payload);
                    }
                    // Whoever writes is not kept from it by what nobody has read.
                    if let Wish::Nothing = wish {
                        reached = Some(Reached::Traffic);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut self.outgoing, OVERHEAD, |room| {
                        match data.encode(room) {
                            Ok(written) => Ok(written),
                            Err(EncodeError::InsufficientSize(size)) => Err(Some(size)),
                            Err(EncodeError::AlreadyEncoded) => Err(None),
                        }
                    })?;
                }
                // Nothing that is said later overtakes what waits in the buffer.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::BlockedHandshake) => reached = Some(Reached::Handshake),
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let room = |data: &[u8]| data.len() + OVERHEAD;
                    reached = Some(match wish {
                        Wish::Nothing => Reached::Traffic,
                        Wish::Write(data) => {
                            let data = data.get(..RECORD).unwrap_or(data);
                            encode(&mut self.outgoing, room(data), |room| {
                                traffic.encrypt(data, room).map_err(size)
                            })?;
                            Reached::Written(data.len())
                        }
                        Wish::Close => {
                            encode(&mut self.outgoing, room(&[]), |room| {
                                traffic.queue_close_notify(room).map_err(size)
                            })?;
                            Reached::Written(0)
                        }
                    });
                }
                Ok(ConnectionState::PeerClosed) => self.has_ended = true,
                Ok(ConnectionState::Closed) => {
                    self.has_ended = true;
                    reached = Some(Reached::Traffic);
                }
                // Data before the handshake was not offered.
                Ok(_) => return Err(ErrorKind::Unsupported.into()),
                Err(error) => {
                    self.complain(cx);
                    return Err(wrong(error));
                }
            }
            self.arrived.drain(..discard.min(self.arrived.len()));
            if self.arrived.is_empty() {
                self.arrived = Vec::new();
            }
            if let Some(reached) = reached {
                return Ok(reached);
            }
        }
    }

    /// Tells the client what was wrong with its records, if that can be said at once.
    fn complain(&mut self, cx: &mut Context<'_>) {
        let status = self.tls.process_tls_records(&mut []);
        if let Ok(ConnectionState::EncodeTlsData(mut alert)) = status.state {
            let encoded = encode(&mut self.outgoing, OVERHEAD, |room| {
                alert.encode(room).map_err(|error| match error {
                    EncodeError::InsufficientSize(size) => Some(size),
                    EncodeError::AlreadyEncoded => None,
                })
            });
            if encoded.is_ok() {
                let _ = self.poll_send(cx);
            }
        }
    }

    /// Reads what has arrived.
    fn poll_arrive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); READ_SIZE];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer))?;
        self.has_ended |= buffer.filled().is_empty();
        self.arrived.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }

    /// Sends the records that wait.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(waiting) = self.outgoing.get(self.sent..)
            && !waiting.is_empty()
        {
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, waiting))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
        self.outgoing = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

/// Makes room at the end of a buffer, and more when that is too little, and keeps of it what was written.
fn encode(
    buffer: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<InsufficientSizeError>>,
) -> io::Result<()> {
    let start = buffer.len();
    let mut room = room;
    loop {
        buffer.resize(start + room, 0);
        let written = write(buffer.get_mut(start..).unwrap_or_default());
        match written {
            Ok(written) => {
                buffer.truncate(start + written);
                return Ok(());
            }
            Err(Some(InsufficientSizeError { required_size })) if required_size > room => {
                room = required_size;
            }
            Err(_) => {
                buffer.truncate(start);
                return Err(io::Error::other("TLS has no record to write"));
            }
        }
    }
}

fn size(error: EncryptError) -> Option<InsufficientSizeError> {
    match error {
        EncryptError::InsufficientSize(size) => Some(size),
        EncryptError::EncryptExhausted => None,
    }
}

fn wrong(error: tokio_rustls::rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.plain.is_empty() && !this.arrived.is_empty() {
                this.advance(&Wish::Nothing, cx)?;
                // An answer to the records themselves; what cannot leave now leaves with the next one.
                let _ = this.poll_send(cx)?;
            }
            if !this.plain.is_empty() {
                let count = this.plain.len().min(buf.remaining());
                buf.put_slice(this.plain.get(..count).unwrap_or_default());
                this.plain.drain(..count);
                if this.plain.is_empty() {
                    this.plain = Vec::new();
                }
                return Poll::Ready(Ok(()));
            }
            if this.has_ended {
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_arrive(cx))?;
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        match self.advance(&Wish::Write(buf), cx)? {
            Reached::Written(written) => {
                // What does not leave now waits for the next write, or for a flush.
                let _ = self.poll_send(cx)?;
                Poll::Ready(Ok(written))
            }
            Reached::Handshake | Reached::Traffic => Poll::Ready(Err(ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.has_closed {
            self.has_closed = true;
            self.advance(&Wish::Close, cx)?;
        }
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
