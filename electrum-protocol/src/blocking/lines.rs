//! Lines as they are.

use std::io;
use std::time::{Duration, Instant};

use super::dial::dial;
use super::wire::Wire;
use crate::frame::LineDecoder;
use crate::net::{Config, ConnectError};

/// A connection on which nothing has been said: for programs that say what no [`Client`](super::Client) would, such as
/// those that find out how a server takes it.
#[derive(Debug)]
pub struct Lines {
    wire: Wire,
    decoder: LineDecoder,
}

impl Lines {
    /// Connects, and says nothing.
    ///
    /// # Errors
    ///
    /// When there is no way to the server.
    pub fn connect(config: &Config) -> Result<Self, ConnectError> {
        let wire = dial(config, Instant::now() + config.connect_timeout)?;
        let decoder = LineDecoder::new(config.max_line);
        Ok(Self { wire, decoder })
    }

    /// Sends a line, given without its end; a WebSocket makes a message of it.
    ///
    /// # Errors
    ///
    /// When it could not be sent in time. Then the connection is of no use any more.
    pub fn send(&mut self, line: &[u8], timeout: Duration) -> io::Result<()> {
        let line = [line, b"\n"].concat();
        self.wire.write(&line, Instant::now() + timeout)
    }

    /// Waits for a line, and returns it without its end.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] or [`io::ErrorKind::WouldBlock`] when none came in time,
    /// [`io::ErrorKind::UnexpectedEof`] when the server has closed the connection, [`io::ErrorKind::InvalidData`] for one
    /// that is too long: the next line can still be read.
    pub fn receive(&mut self, timeout: Duration) -> io::Result<Vec<u8>> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.decoder.next_line() {
                Some(Ok(line)) => return Ok(line.to_vec()),
                Some(Err(error)) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
                None => self.decoder.push(self.wire.read(deadline)?),
            }
        }
    }
}
