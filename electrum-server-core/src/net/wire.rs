//! The bytes of one connection.
//!
//! Bytes that arrive go to whoever wants them at once and are not kept; bytes to send wait here until the peer takes
//! them, those of shared answers without a copy. A connection at rest costs no buffer.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use electrum_protocol::server::Chunk;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout};

use super::transport::AnyStream;
use crate::session::Unsent;

/// A stream, and what waits to be written to it.
pub(super) struct Wire<S> {
    stream: S,
    outbound: VecDeque<Chunk>,
    /// How much of the first chunk the peer has taken.
    taken: usize,
    unsent: Unsent,
    /// How much the peer has taken since it was asked last.
    progressed: usize,
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
            outbound: VecDeque::new(),
            taken: 0,
            unsent: Unsent::default(),
            progressed: 0,
            unflushed: false,
            progress: Instant::now(),
        }
    }

    /// Returns how many bytes wait to be taken by the peer.
    pub(super) fn unsent(&self) -> Unsent {
        self.unsent
    }

    /// Returns how many bytes the peer has taken since this was asked last.
    pub(super) fn take_progress(&mut self) -> usize {
        std::mem::take(&mut self.progressed)
    }

    /// Tells whether nothing waits, here or in a layer below.
    pub(super) fn is_done(&self) -> bool {
        self.unsent.all == 0 && !self.unflushed
    }

    /// Returns since when the peer has taken nothing although there was something to take.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        (!self.is_done()).then_some(self.progress)
    }

    /// Queues bytes.
    pub(super) fn send(&mut self, chunk: Chunk) {
        let length = chunk.len();
        if length == 0 {
            return;
        }
        if self.is_done() {
            self.progress = Instant::now();
        }
        self.unsent.all += length;
        match chunk {
            Chunk::Owned(bytes) => {
                self.unsent.owned += length;
                self.append(bytes);
            }
            shared @ Chunk::Shared(_) => self.outbound.push_back(shared),
        }
    }

    /// Queues bytes in one piece with those that wait already, if they are few.
    fn append(&mut self, bytes: Vec<u8>) {
        let is_only = self.outbound.len() == 1;
        match self.outbound.back_mut() {
            Some(Chunk::Owned(last)) if last.len() < SMALL && bytes.len() < SMALL => {
                if is_only {
                    last.drain(..self.taken.min(last.len()));
                    self.taken = 0;
                }
                last.extend_from_slice(&bytes);
            }
            Some(_) | None => self.outbound.push_back(Chunk::Owned(bytes)),
        }
    }

    /// Waits until bytes move: out whenever some wait, in only when somebody wants them.
    ///
    /// Nothing is lost when the future is dropped before it is ready.
    pub(super) async fn step(&mut self, mut sink: Option<Sink<'_>>) -> io::Result<Moved> {
        poll_fn(|cx| {
            if self.unsent.all > 0
                && let Poll::Ready(result) = self.poll_write(cx)
            {
                return Poll::Ready(result.map(|()| Moved::Wrote));
            }
            if self.unsent.all == 0
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

    /// Writes a part of what waits: others want to write as well.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(first) = self.outbound.front() else {
            return Poll::Ready(Ok(()));
        };
        let is_shared = first.is_shared();
        let waiting = first.as_ref().get(self.taken..).unwrap_or_default();
        let part = waiting.get(..WRITE_SIZE).unwrap_or(waiting);
        let (length, is_last) = (waiting.len(), self.outbound.len() == 1);
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, part))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.taken += written;
        self.progressed += written;
        self.unsent.all = self.unsent.all.saturating_sub(written);
        if !is_shared {
            self.unsent.owned = self.unsent.owned.saturating_sub(written);
        }
        self.unflushed = true;
        self.progress = Instant::now();
        if written >= length {
            // Gives the memory of a large answer back.
            self.outbound.pop_front();
            self.taken = 0;
            if is_last {
                self.outbound = VecDeque::new();
            }
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
            while self.unsent.all > 0 {
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

/// How much is written at a time.
const WRITE_SIZE: usize = 128 * 1024;

/// Chunks of fewer bytes are put together.
const SMALL: usize = 16 * 1024;

/// How much is read at a time, and so how much one client may have done before others get their turn. Lives on the stack
/// while it is read, and never longer.
const READ_SIZE: usize = 16 * 1024;

/// How long, and how much, is read after the goodbye.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_READS: usize = 64;
