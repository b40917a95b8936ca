//! The bytes of one connection.
//!
//! Bytes that arrive go to whoever wants them at once and are not kept; bytes to send wait here until the peer takes
//! them. A connection at rest costs no buffer.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout};

use super::transport::AnyStream;

/// A stream, and what waits to be written to it.
pub(super) struct Wire<S> {
    stream: S,
    outbound: Vec<u8>,
    /// How much of `outbound` the peer has taken.
    taken: usize,
    /// Whether a layer below may hold back what was written.
    unflushed: bool,
    /// When the peer last took something, or when the first byte began to wait.
    progress: Instant,
}

/// Whoever wants the bytes that arrive.
pub(super) type Sink<'a> = &'a mut (dyn FnMut(&[u8]) + Send);

/// What a step of the wire did.
#[derive(Debug)]
pub(super) enum Moved {
    /// Bytes arrived, and were handed over.
    Read,
    /// The peer sends no more. It may still read.
    End,
    /// The peer took bytes.
    Wrote,
}

impl Wire<AnyStream> {
    /// Says why there will be an end, where that is not said in a line.
    pub(super) fn give_reason(&mut self, reason: &str) {
        self.stream.give_reason(reason);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            outbound: Vec::new(),
            taken: 0,
            unflushed: false,
            progress: Instant::now(),
        }
    }

    /// Returns how many bytes wait to be taken by the peer.
    pub(super) fn unsent(&self) -> usize {
        self.outbound.len().saturating_sub(self.taken)
    }

    /// Tells whether nothing waits, here or in a layer below.
    pub(super) fn is_done(&self) -> bool {
        self.unsent() == 0 && !self.unflushed
    }

    /// Returns since when the peer has taken nothing although there was something to take.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        (!self.is_done()).then_some(self.progress)
    }

    /// Queues bytes.
    pub(super) fn send(&mut self, bytes: Vec<u8>) {
        if self.unsent() == 0 {
            self.outbound = bytes;
            self.taken = 0;
            if !self.unflushed {
                self.progress = Instant::now();
            }
        } else if !bytes.is_empty() {
            self.outbound.drain(..self.taken);
            self.taken = 0;
            self.outbound.extend_from_slice(&bytes);
        }
    }

    /// Waits until bytes move: out whenever some wait, in only when somebody wants them.
    ///
    /// Nothing is lost when the future is dropped before it is ready.
    pub(super) async fn step(&mut self, mut sink: Option<Sink<'_>>) -> io::Result<Moved> {
        poll_fn(|cx| {
            if self.unsent() > 0
                && let Poll::Ready(result) = self.poll_write(cx)
            {
                return Poll::Ready(result.map(|()| Moved::Wrote));
            }
            if self.unsent() == 0
                && self.unflushed
                && let Poll::Ready(result) = Pin::new(&mut self.stream).poll_flush(cx)
            {
                self.unflushed = false;
                return Poll::Ready(result.map(|()| Moved::Wrote));
            }
            match &mut sink {
                Some(sink) => self.poll_read(cx, sink),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waiting = self.outbound.get(self.taken..).unwrap_or_default();
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, waiting))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.taken += written;
        self.unflushed = true;
        self.progress = Instant::now();
        if self.unsent() == 0 {
            // Gives the memory of a large answer back.
            self.outbound = Vec::new();
            self.taken = 0;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, sink: Sink<'_>) -> Poll<io::Result<Moved>> {
        let mut space = [MaybeUninit::uninit(); READ_SIZE];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(Moved::End));
        }
        sink(buffer.filled());
        Poll::Ready(Ok(Moved::Read))
    }

    /// Sends what waits, then says goodbye: no more bytes will be sent.
    ///
    /// Then reads on for a moment, into nothing. A socket that is closed while unread bytes lie in it makes the peer's
    /// system throw away what the peer has not read yet, and with it the message that says why.
    pub(super) async fn close(mut self) {
        let goodbye = async {
            while self.unsent() > 0 {
                poll_fn(|cx| self.poll_write(cx)).await?;
            }
            poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await?;
            for _ in 0..LINGER_READS {
                let mut discard = |_: &[u8]| {};
                if let Moved::End = poll_fn(|cx| self.poll_read(cx, &mut discard)).await? {
                    break;
                }
            }
            io::Result::Ok(())
        };
        // Whether the peer heard it is not our concern any more.
        let _ = timeout(LINGER, goodbye).await;
    }
}

/// How much is read at a time, and so how much one client may have done before others get their turn. Lives on the stack
/// while it is read, and never longer.
const READ_SIZE: usize = 16 * 1024;

/// How long, and how much, is read after the goodbye.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_READS: usize = 64;
