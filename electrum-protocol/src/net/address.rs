//! The address of a server, as people write it.

use core::fmt;
use core::str::FromStr;

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Lines over TCP.
    Tcp,
    /// Lines over TLS.
    Tls,
    /// Messages of a WebSocket.
    WebSocket,
    /// Messages of a WebSocket over TLS.
    SecureWebSocket,
}

impl Transport {
    /// Tells whether there is TLS in it.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::SecureWebSocket)
    }

    /// Tells whether there is a WebSocket in it.
    pub const fn is_websocket(self) -> bool {
        matches!(self, Self::WebSocket | Self::SecureWebSocket)
    }

    /// Returns the scheme of its URLs: `tcp`, `ssl`, `ws` or `wss`.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "ssl",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
        }
    }
}

/// Where a server is: `ssl://electrum.example:50002`, or as Electrum writes it `electrum.example:50002:s`.
///
/// The schemes are `tcp`, `ssl` (or `tls`), `ws` and `wss`; without one it is `tcp`. The port cannot be left out, but
/// for WebSockets, whose defaults are 80 and 443. Only a WebSocket has a path. [`Display`](fmt::Display) writes a URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerAddress {
    transport: Transport,
    host: String,
    port: u16,
    path: String,
}

impl ServerAddress {
    /// Makes an address of its parts; the host is a name or an IP address, without brackets.
    ///
    /// # Errors
    ///
    /// When the host is empty or not a host.
    pub fn new(
        transport: Transport,
        host: &str,
        port: u16,
    ) -> Result<Self, ParseServerAddressError> {
        let fitting = match host.contains(':') {
            true => host.parse::<std::net::Ipv6Addr>().is_ok(),
            false => !host.is_empty() && host.len() <= MAX_HOST && host.bytes().all(of_a_host),
        };
        if !fitting {
            return Err(ParseServerAddressError::Host {
                text: excerpt(host),
            });
        }
        Ok(Self {
            transport,
            host: host.to_ascii_lowercase(),
            port,
            path: "/".to_owned(),
        })
    }

    /// Returns what carries the messages.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Returns the host: a name, or an IP address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the path of a WebSocket; `/` otherwise.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Tells whether it is an onion service, which only a proxy reaches.
    pub fn is_onion(&self) -> bool {
        // As for a name server, a dot at the end is none of the name.
        let host = self.host.strip_suffix('.').unwrap_or(&self.host);
        host.ends_with(".onion")
    }

    /// Returns `host:port`, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// What the Domain Name System allows.
const MAX_HOST: usize = 253;

/// What is in names, also in those that break rules.
fn of_a_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.transport.scheme(), self.authority())?;
        if self.path != "/" {
            f.write_str(&self.path)?;
        }
        Ok(())
    }
}

/// Text that is no address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseServerAddressError {
    /// An unknown scheme.
    #[error("unknown scheme {text:?}, expected tcp, ssl, ws or wss")]
    Scheme {
        /// The scheme.
        text: String,
    },
    /// Neither a name nor an IP address.
    #[error("{text:?} is not a host")]
    Host {
        /// What stands in its place.
        text: String,
    },
    /// No port, or none that can be.
    #[error("no port between 1 and 65535 in {text:?}, expected HOST:PORT")]
    Port {
        /// The address.
        text: String,
    },
    /// A path where there can be none.
    #[error("{text:?} has a path, which only a WebSocket has")]
    Path {
        /// The address.
        text: String,
    },
}

/// What of an input is repeated in an error.
fn excerpt(text: &str) -> String {
    text.chars().take(100).collect()
}

impl FromStr for ServerAddress {
    type Err = ParseServerAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let (rest, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        // Electrum's way to write it: a letter for the transport at the end.
        let (rest, letter) = match rest.rsplit_once(':') {
            Some((rest, letter @ ("t" | "s"))) if scheme.is_none() => (rest, letter),
            _ => (rest, "t"),
        };
        let transport = match (scheme.map(str::to_ascii_lowercase).as_deref(), letter) {
            (None, "s") | (Some("ssl" | "tls"), _) => Transport::Tls,
            (None | Some("tcp"), _) => Transport::Tcp,
            (Some("ws"), _) => Transport::WebSocket,
            (Some("wss"), _) => Transport::SecureWebSocket,
            (Some(other), _) => {
                let text = excerpt(other);
                return Err(ParseServerAddressError::Scheme { text });
            }
        };
        let text = excerpt(text);
        if path != "/" && !transport.is_websocket() {
            return Err(ParseServerAddressError::Path { text });
        }
        let (host, port) = split_port(rest);
        let port = match (port, transport) {
            // Not with a sign, which numbers in Rust may have.
            (Some(port), _) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                port.parse().ok().filter(|port| *port > 0)
            }
            (Some(_), _) => None,
            (None, Transport::WebSocket) => Some(80),
            (None, Transport::SecureWebSocket) => Some(443),
            (None, _) => None,
        };
        let port = port.ok_or_else(|| ParseServerAddressError::Port { text: text.clone() })?;
        let host = match host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            Some(inner) if inner.contains(':') => inner,
            _ if host.contains(':') => return Err(ParseServerAddressError::Port { text }),
            _ => host,
        };
        let mut address = Self::new(transport, host, port)?;
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ParseServerAddressError::Path { text });
        }
        path.clone_into(&mut address.path);
        Ok(address)
    }
}

/// Takes the port off the end; an IPv6 address in brackets has colons of its own.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_onion_service_is_one_however_it_is_written() {
        let check = |text: &str, onion: bool| {
            let address: ServerAddress = text.parse().unwrap();
            assert_eq!(address.is_onion(), onion, "{text}");
        };
        check("abc.onion:1", true);
        check("ABC.Onion:1", true);
        check("abc.onion.:1", true);
        check("onion.example:1", false);
    }

    #[test]
    fn addresses_are_written_in_several_ways() {
        let check = |text: &str, expected: &str| {
            let address: ServerAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), expected, "{text}");
            assert_eq!(expected.parse(), Ok(address), "{expected}");
        };
        check("localhost:50001", "tcp://localhost:50001");
        check("localhost:50001:t", "tcp://localhost:50001");
        check("Example.ORG:50002:s", "ssl://example.org:50002");
        check("tcp://[::1]:50001/", "tcp://[::1]:50001");
        check("tls://127.0.0.1:50002", "ssl://127.0.0.1:50002");
        check("[2001:db8::1]:50002:s", "ssl://[2001:db8::1]:50002");
        check("ws://localhost", "ws://localhost:80");
        check(
            "WSS://a_b.example/electrum?x=1",
            "wss://a_b.example:443/electrum?x=1",
        );
        check("ws://[::1]", "ws://[::1]:80");
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        let check = |text: &str, words: &str| {
            let error = text.parse::<ServerAddress>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        };
        check("", "no port");
        check("localhost", "no port");
        check("localhost:70000", "no port");
        check("localhost:0", "no port");
        check("localhost:+5", "no port");
        check("::1:50001", "no port");
        check("[]:50001", "not a host");
        check(":50001", "not a host");
        check("a b:50001", "not a host");
        check("user@host:50001", "not a host");
        check("http://localhost:80", "unknown scheme \"http\"");
        check("tcp://localhost:50001/path", "has a path");
        check("ws://localhost/a b", "has a path");
        check("[::g]:1", "not a host");
    }
}
