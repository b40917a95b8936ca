//! Bytes to and from a server, each step before a deadline.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[cfg(feature = "blocking-websocket")]
use crate::net::frames;

/// Whatever can be read and written.
pub(super) trait Stream: Read + Write + Send {
    /// Says that nothing more will be written, to those who have words for it.
    fn say_goodbye(&mut self) {}
}

impl<S: Read + Write + Send> Stream for Timed<S> {}

#[cfg(feature = "blocking-tls")]
impl Stream for rustls::StreamOwned<rustls::ClientConnection, Box<dyn Stream>> {
    fn say_goodbye(&mut self) {
        self.conn.send_close_notify();
        // Whoever is gone has heard all that it will hear.
        let _ = self.flush();
    }
}

/// When the current step has to be done, shared with the socket below all layers.
#[derive(Clone, Debug)]
pub(super) struct Deadline(Arc<Mutex<Instant>>);

impl Deadline {
    pub(super) fn new(deadline: Instant) -> Self {
        Self(Arc::new(Mutex::new(deadline)))
    }

    fn set(&self, deadline: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    /// Returns what is left.
    fn left(&self) -> io::Result<Duration> {
        let deadline = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = deadline.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(io::ErrorKind::TimedOut.into()),
            // Less than the system's clock ticks would be no time at all, which means forever.
            false => Ok(left.max(Duration::from_millis(1))),
        }
    }
}

/// A stream that gives up at the deadline, however many steps a layer above makes of it.
#[derive(Debug)]
pub(super) struct Timed<S> {
    stream: S,
    deadline: Deadline,
    /// Tells the stream how long a step may take, if it can be told.
    patience: fn(&S, Direction, Duration) -> io::Result<()>,
}

/// Which of the two times of a socket.
#[derive(Clone, Copy, Debug)]
enum Direction {
    Read,
    Write,
}

impl<S> Timed<S> {
    /// Asks a stream of the caller's, which has an idea of its own of how long to wait, again and again.
    pub(super) fn new(stream: S, deadline: Deadline) -> Self {
        Self {
            stream,
            deadline,
            patience: |_, _, _| Ok(()),
        }
    }

    fn step<T>(
        &mut self,
        direction: Direction,
        mut step: impl FnMut(&mut S) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            (self.patience)(&self.stream, direction, self.deadline.left()?)?;
            match step(&mut self.stream) {
                // A signal interrupts the steps of a socket with a time. A clock of the system's may be early.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if super::is_timeout(&error) => {}
                result => return result,
            }
        }
    }
}

impl Timed<TcpStream> {
    pub(super) fn socket(stream: TcpStream, deadline: Deadline) -> Self {
        Self {
            stream,
            deadline,
            patience: |stream, direction, left| match direction {
                Direction::Read => stream.set_read_timeout(Some(left)),
                Direction::Write => stream.set_write_timeout(Some(left)),
            },
        }
    }
}

impl<S: Read> Read for Timed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.step(Direction::Read, |stream| stream.read(buffer))
    }
}

impl<S: Write> Write for Timed<S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.step(Direction::Write, |stream| stream.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.step(Direction::Write, Write::flush)
    }
}

/// What carries the messages.
enum Channel {
    Lines(Box<dyn Stream>),
    #[cfg(feature = "blocking-websocket")]
    WebSocket(Box<tungstenite::WebSocket<Box<dyn Stream>>>),
}

/// A connection, as bytes.
pub(super) struct Wire {
    channel: Channel,
    /// Of the stream below.
    deadline: Deadline,
    buffer: Vec<u8>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

/// How long the goodbye may take: dropping is no time to wait for a server that takes nothing.
const GOODBYE: Duration = Duration::from_millis(100);
/// How much is read at a time.
const READ_SIZE: usize = 64 * 1024;

impl Wire {
    pub(super) fn lines(stream: Box<dyn Stream>, deadline: Deadline) -> Self {
        Self {
            channel: Channel::Lines(stream),
            deadline,
            buffer: vec![0; READ_SIZE],
        }
    }

    #[cfg(feature = "blocking-websocket")]
    pub(super) fn messages(
        websocket: tungstenite::WebSocket<Box<dyn Stream>>,
        deadline: Deadline,
    ) -> Self {
        Self {
            channel: Channel::WebSocket(Box::new(websocket)),
            deadline,
            buffer: Vec::new(),
        }
    }

    /// Sends whole lines, of which a WebSocket makes a message each.
    pub(super) fn write(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        self.deadline.set(deadline);
        match &mut self.channel {
            _ if bytes.is_empty() => Ok(()),
            Channel::Lines(stream) => {
                stream.write_all(bytes)?;
                stream.flush()
            }
            #[cfg(feature = "blocking-websocket")]
            Channel::WebSocket(websocket) => websocket
                .send(frames::message(bytes.to_vec()))
                .map_err(frames::io_error),
        }
    }

    /// Waits for bytes.
    ///
    /// # Errors
    ///
    /// When there are none before the deadline, and when the connection is closed or broken.
    pub(super) fn read(&mut self, deadline: Instant) -> io::Result<&[u8]> {
        self.deadline.set(deadline);
        match &mut self.channel {
            Channel::Lines(stream) => match stream.read(&mut self.buffer)? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                count => Ok(self.buffer.get(..count).unwrap_or_default()),
            },
            #[cfg(feature = "blocking-websocket")]
            Channel::WebSocket(websocket) => {
                let message = websocket.read().map_err(frames::io_error)?;
                let content = frames::content(&message)?;
                self.buffer.clear();
                self.buffer.extend_from_slice(content);
                self.buffer.push(b'\n');
                Ok(&self.buffer)
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.deadline.set(Instant::now() + GOODBYE);
        match &mut self.channel {
            Channel::Lines(stream) => stream.say_goodbye(),
            #[cfg(feature = "blocking-websocket")]
            Channel::WebSocket(websocket) => {
                if websocket
                    .close(None)
                    .and_then(|()| websocket.flush())
                    .is_ok()
                {
                    websocket.get_mut().say_goodbye();
                }
            }
        }
    }
}
