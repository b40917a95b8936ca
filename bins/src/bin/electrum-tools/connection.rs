//! A conversation with a server over blocking TCP.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use electrum_protocol::client::{Client, Event, ReplyError};
use electrum_protocol::method::server::VersionResponse;
use electrum_protocol::{Request, Response, VersionRange};

use crate::report::Failure;
use crate::server_address::ServerAddress;

/// One connection; a question and its answer at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    client: Client,
    address: ServerAddress,
    timeout: Duration,
}

impl Connection {
    /// Connects within `timeout`, which later holds for every answer as well.
    pub(crate) fn open(address: &ServerAddress, timeout: Duration) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::Network(format!("cannot connect to {address}: {}", plain(&error)))
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for candidate in address.as_str().to_socket_addrs().map_err(failed)? {
            match TcpStream::connect_timeout(&candidate, timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(failed)?;
                    stream.set_write_timeout(Some(timeout)).map_err(failed)?;
                    let (address, client) = (address.clone(), Client::default());
                    return Ok(Self {
                        stream,
                        client,
                        address,
                        timeout,
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    /// Says who we are and agrees on a version.
    pub(crate) fn introduce(&mut self, versions: VersionRange) -> Result<VersionResponse, Failure> {
        let name = concat!("electrum-tools/", env!("CARGO_PKG_VERSION"));
        let (asked, bytes) = self.client.introduce(name, versions);
        self.exchange(&bytes, |event| match event {
            Event::Negotiated { id, result } if id == asked => Some(result),
            _ => None,
        })
    }

    /// Asks one question.
    pub(crate) fn ask(&mut self, request: Request) -> Result<Response, Failure> {
        let (asked, bytes) = self.client.request(request);
        self.exchange(&bytes, |event| match event {
            Event::Reply { id, result } if id == asked => Some(result),
            _ => None,
        })
    }

    /// Sends `bytes` and reads until `pick` finds the answer. What else comes is not asked for.
    fn exchange<T>(
        &mut self,
        bytes: &[u8],
        pick: impl Fn(Event) -> Option<Result<T, ReplyError>>,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + self.timeout;
        self.stream
            .write_all(bytes)
            .map_err(|error| self.failed(&error))?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            while let Some(event) = self.client.poll_event() {
                match pick(event) {
                    None => {}
                    Some(Ok(answer)) => return Ok(answer),
                    Some(Err(ReplyError::Server(error))) => {
                        let message = format!("{} refuses: {error}", self.address);
                        return Err(Failure::Refused {
                            message,
                            code: Some(error.code.0),
                        });
                    }
                    Some(Err(error)) => return Err(self.complain(&error.to_string())),
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.failed(&io::ErrorKind::TimedOut.into()));
            }
            self.stream
                .set_read_timeout(Some(left))
                .map_err(|error| self.failed(&error))?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(self.complain("it closed the connection")),
                Ok(count) => self.client.receive(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }

    fn failed(&self, error: &io::Error) -> Failure {
        self.complain(&plain(error))
    }

    fn complain(&self, what: &str) -> Failure {
        Failure::Network(format!("no answer from {}: {what}", self.address))
    }
}

/// Words for an error; a timeout has two kinds.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "timed out".into(),
        _ => error.to_string(),
    }
}
