//! Bytes to and from a server, each step before a deadline.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[cfg(feature = "blocking-websocket")]
use crate::net::frames;

/// Whatever can be read and written.
pub(super) trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

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

/// A socket that gives up at the deadline, however many steps a layer above makes of it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    pub(super) deadline: Deadline,
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.deadline.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.deadline.left()?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
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
    /// Of the socket below; nothing when the stream is the caller's.
    deadline: Option<Deadline>,
    buffer: Vec<u8>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

/// How much is read at a time.
const READ_SIZE: usize = 64 * 1024;

impl Wire {
    pub(super) fn lines(stream: Box<dyn Stream>, deadline: Option<Deadline>) -> Self {
        Self {
            channel: Channel::Lines(stream),
            deadline,
            buffer: vec![0; READ_SIZE],
        }
    }

    #[cfg(feature = "blocking-websocket")]
    pub(super) fn messages(
        websocket: tungstenite::WebSocket<Box<dyn Stream>>,
        deadline: Option<Deadline>,
    ) -> Self {
        Self {
            channel: Channel::WebSocket(Box::new(websocket)),
            deadline,
            buffer: Vec::new(),
        }
    }

    /// Sends whole lines, of which a WebSocket makes a message each.
    pub(super) fn write(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        self.begin(deadline);
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
        self.begin(deadline);
        match &mut self.channel {
            Channel::Lines(stream) => loop {
                match stream.read(&mut self.buffer) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(count) => return Ok(self.buffer.get(..count).unwrap_or_default()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // A stream of the caller's has an idea of its own of how long to wait.
                    Err(error)
                        if self.deadline.is_none()
                            && super::is_timeout(&error)
                            && Instant::now() < deadline => {}
                    Err(error) => return Err(error),
                }
            },
            #[cfg(feature = "blocking-websocket")]
            Channel::WebSocket(websocket) => {
                let message = websocket.read().map_err(frames::io_error)?;
                let Some(content) = frames::content(&message) else {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                };
                self.buffer.clear();
                self.buffer.extend_from_slice(content);
                self.buffer.push(b'\n');
                Ok(&self.buffer)
            }
        }
    }

    fn begin(&self, deadline: Instant) {
        if let Some(shared) = &self.deadline {
            shared.set(deadline);
        }
    }
}
