//! SOCKS5, the client's side without I/O: RFC 1928, with the passwords of RFC 1929.
//!
//! A handshake is a few questions and answers of known length:
//!
//! ```
//! # use std::io::{self, Read, Write};
//! use electrum_protocol::net::socks5::{Handshake, Next};
//!
//! # fn through(mut proxy: impl Read + Write) -> Result<(), Box<dyn std::error::Error>> {
//! let mut handshake = Handshake::new("electrum.example", 50002, None)?;
//! let mut answer = Vec::new();
//! while let Next::Exchange { send, read } = handshake.advance(&answer)? {
//!     proxy.write_all(&send)?;
//!     answer.resize(read, 0);
//!     proxy.read_exact(&mut answer)?;
//! }
//! // From here on it is the server who reads and writes.
//! # Ok(())
//! # }
//! ```

use core::fmt;
use std::net::IpAddr;

/// A proxy, such as that of Tor at `127.0.0.1:9050`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// `host:port`.
    pub address: String,
    /// What to show it. Tor takes anything, and gives each pair a circuit of its own, so that two servers do not see
    /// that they have the same client.
    pub credentials: Option<Credentials>,
}

impl Proxy {
    /// Names a proxy that wants no password.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            credentials: None,
        }
    }
}

/// A name and a password, each of 1 to 255 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Why a proxy does not let us through.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Socks5Error {
    /// The name of the server, the user name or the password is empty, or longer than 255 bytes.
    #[error("a name or password for the proxy is empty or too long ({len} bytes)")]
    Length {
        /// How long it is.
        len: usize,
    },
    /// It answers with something else.
    #[error("not a SOCKS5 proxy, it answers {found:02x?}")]
    NoSocks5 {
        /// The beginning of its answer.
        found: [u8; 2],
    },
    /// It wants a password, or another one.
    #[error("the proxy wants another way to say who we are")]
    Authentication,
    /// It says why it cannot reach the server.
    #[error("the proxy answers: {}", reason(*code))]
    Refused {
        /// The reply of RFC 1928, section 6, or from 0xf0 on of Tor.
        code: u8,
    },
    /// The connection to the proxy broke.
    #[error("the connection to the proxy broke: {0}")]
    Io(std::io::Error),
}

impl From<std::io::Error> for Socks5Error {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl Socks5Error {
    /// Tells whether the same attempt may well succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            // General failure, unreachable networks and hosts, refused, out of time.
            Self::Refused { code } => matches!(code, 1 | 3..=6 | 0xf0..=0xf7),
            Self::Io(_) => true,
            _ => false,
        }
    }
}

fn reason(code: u8) -> String {
    match code {
        1 => "general failure".to_owned(),
        2 => "not allowed by its rules".to_owned(),
        3 => "network unreachable".to_owned(),
        4 => "host unreachable".to_owned(),
        5 => "connection refused".to_owned(),
        6 => "out of time".to_owned(),
        7 => "command not supported".to_owned(),
        8 => "address type not supported".to_owned(),
        0xf0..=0xf7 => format!("onion service not reachable (code {code:#x})"),
        _ => format!("code {code:#x}"),
    }
}

/// What to do next.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Send these bytes, then read exactly so many.
    Exchange {
        /// The bytes to send, if any.
        send: Vec<u8>,
        /// How many bytes to read; at least one.
        read: usize,
    },
    /// The server is at the other end.
    Done,
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // There may be a password among the bytes.
            Self::Exchange { send, read } => f
                .debug_struct("Exchange")
                .field("send", &send.len())
                .field("read", read)
                .finish(),
            Self::Done => f.write_str("Done"),
        }
    }
}

/// What the next answer is about.
#[derive(Clone, Copy, Debug)]
enum State {
    Begin,
    Method,
    Password,
    Reply,
    BoundLength,
    Bound,
}

/// The way through a proxy to one server.
#[derive(Debug)]
pub struct Handshake {
    state: State,
    /// Address type, address and port, as the request has them.
    target: Vec<u8>,
    credentials: Option<Credentials>,
}

impl Handshake {
    /// Prepares the way to a server: a name, which the proxy looks up, or an IP address without brackets.
    ///
    /// # Errors
    ///
    /// When a name or password is empty or longer than 255 bytes.
    pub fn new(
        host: &str,
        port: u16,
        credentials: Option<&Credentials>,
    ) -> Result<Self, Socks5Error> {
        let mut target = Vec::new();
        match host.parse() {
            Ok(IpAddr::V4(address)) => {
                target.push(1);
                target.extend_from_slice(&address.octets());
            }
            Ok(IpAddr::V6(address)) => {
                target.push(4);
                target.extend_from_slice(&address.octets());
            }
            Err(_) => {
                target.push(3);
                push_text(host, &mut target)?;
            }
        }
        target.extend_from_slice(&port.to_be_bytes());
        Ok(Self {
            state: State::Begin,
            target,
            credentials: credentials.cloned(),
        })
    }

    /// Takes the answer to the last exchange, empty at first, and returns what comes next.
    ///
    /// # Errors
    ///
    /// When the proxy is none, or refuses.
    pub fn advance(&mut self, answer: &[u8]) -> Result<Next, Socks5Error> {
        let exchange = |send, read| Ok(Next::Exchange { send, read });
        match (self.state, answer) {
            (State::Begin, _) => {
                self.state = State::Method;
                // Version 5, the number of methods, the methods: without and with a password.
                let methods: &[u8] = match self.credentials {
                    None => &[5, 1, 0],
                    Some(_) => &[5, 2, 0, 2],
                };
                exchange(methods.to_vec(), 2)
            }
            (State::Method, [5, 0]) => self.request(),
            (State::Method, [5, 2]) => {
                let Some(Credentials { username, password }) = &self.credentials else {
                    return Err(Socks5Error::Authentication);
                };
                let mut send = vec![1];
                push_text(username, &mut send)?;
                push_text(password, &mut send)?;
                self.state = State::Password;
                exchange(send, 2)
            }
            (State::Method, [5, _]) => Err(Socks5Error::Authentication),
            (State::Password, [_, 0]) => self.request(),
            (State::Password, [_, _]) => Err(Socks5Error::Authentication),
            (State::Reply, [5, 0, _, kind @ (1 | 4)]) => {
                self.state = State::Bound;
                let address = if *kind == 1 { 4 } else { 16 };
                exchange(Vec::new(), address + 2)
            }
            (State::Reply, [5, 0, _, 3]) => {
                self.state = State::BoundLength;
                exchange(Vec::new(), 1)
            }
            (State::Reply, [5, code, ..]) if *code != 0 => {
                Err(Socks5Error::Refused { code: *code })
            }
            (State::BoundLength, [length]) => {
                self.state = State::Bound;
                exchange(Vec::new(), usize::from(*length) + 2)
            }
            // From where the proxy connects is of no use to us.
            (State::Bound, _) => Ok(Next::Done),
            (_, found) => {
                let mut beginning = found.iter().copied().chain([0, 0]);
                let mut byte = || beginning.next().unwrap_or_default();
                Err(Socks5Error::NoSocks5 {
                    found: [byte(), byte()],
                })
            }
        }
    }

    /// Asks for the connection.
    fn request(&mut self) -> Result<Next, Socks5Error> {
        self.state = State::Reply;
        let mut send = vec![5, 1, 0];
        send.extend_from_slice(&self.target);
        Ok(Next::Exchange { send, read: 4 })
    }
}

/// Appends a text behind its length.
fn push_text(text: &str, out: &mut Vec<u8>) -> Result<(), Socks5Error> {
    let len = text.len();
    match u8::try_from(len) {
        Ok(byte @ 1..) => {
            out.push(byte);
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
        _ => Err(Socks5Error::Length { len }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(send: &[u8], read: usize) -> Next {
        let send = send.to_vec();
        Next::Exchange { send, read }
    }

    #[test]
    fn a_name_goes_to_the_proxy_as_it_is() {
        let mut handshake = Handshake::new("a.onion", 50001, None).unwrap();
        assert_eq!(handshake.advance(&[]).unwrap(), exchange(&[5, 1, 0], 2));
        let request = b"\x05\x01\x00\x03\x07a.onion\xc3\x51";
        assert_eq!(handshake.advance(&[5, 0]).unwrap(), exchange(request, 4));
        assert_eq!(handshake.advance(&[5, 0, 0, 1]).unwrap(), exchange(&[], 6));
        assert_eq!(handshake.advance(&[0; 6]).unwrap(), Next::Done);
    }

    #[test]
    fn a_password_is_shown_when_it_is_asked_for() {
        let credentials = Credentials {
            username: "me".into(),
            password: "secret".into(),
        };
        assert!(!format!("{credentials:?}").contains("secret"));
        let mut handshake = Handshake::new("::1", 1, Some(&credentials)).unwrap();
        assert_eq!(handshake.advance(&[]).unwrap(), exchange(&[5, 2, 0, 2], 2));
        let next = handshake.advance(&[5, 2]).unwrap();
        assert_eq!(next, exchange(b"\x01\x02me\x06secret", 2));
        assert!(!format!("{next:?} {handshake:?}").contains("secret"));
        let mut request = vec![5, 1, 0, 4];
        request.extend([0; 15]);
        request.extend([1, 0, 1]);
        assert_eq!(handshake.advance(&[1, 0]).unwrap(), exchange(&request, 4));
        assert_eq!(handshake.advance(&[5, 0, 0, 3]).unwrap(), exchange(&[], 1));
        assert_eq!(handshake.advance(&[9]).unwrap(), exchange(&[], 11));
        assert_eq!(handshake.advance(&[0; 11]).unwrap(), Next::Done);
    }

    #[test]
    fn refusals_say_why() {
        let refused = |answers: &[&[u8]]| {
            let mut handshake = Handshake::new("example.org", 1, None).unwrap();
            let last = answers.iter().fold(handshake.advance(&[]), |last, answer| {
                let _ = last.unwrap();
                handshake.advance(answer)
            });
            last.unwrap_err()
        };
        let error = refused(&[&[5, 0xff]]);
        assert!(matches!(error, Socks5Error::Authentication));
        let error = refused(&[&[5, 2]]);
        assert!(!error.is_transient());
        let error = refused(&[b"HT"]);
        assert!(matches!(
            error,
            Socks5Error::NoSocks5 {
                found: [b'H', b'T']
            }
        ));
        let error = refused(&[&[5, 0], &[5, 5, 0, 1]]);
        assert_eq!(error.to_string(), "the proxy answers: connection refused");
        assert!(error.is_transient());
        let error = refused(&[&[5, 0], &[5, 2, 0, 1]]);
        assert!(!error.is_transient());
        assert!(matches!(
            Handshake::new(&"x".repeat(256), 1, None),
            Err(Socks5Error::Length { len: 256 })
        ));
    }
}
