//! The way to a server: TCP, perhaps through a proxy, perhaps with TLS and a WebSocket in it.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Instant;

use super::is_timeout;
use super::wire::{Deadline, Stream, Timed, Wire};
use crate::net::socks5::{Handshake, Next, Proxy, Socks5Error};
use crate::net::{Config, ConnectError, ServerAddress, share, unreachable};

/// Connects, layer by layer.
pub(super) fn dial(config: &Config, until: Instant) -> Result<Wire, ConnectError> {
    let address = &config.address;
    let deadline = Deadline::new(until);
    let socket = match &config.proxy {
        Some(proxy) => through(proxy, address, &deadline, until)?,
        None if address.is_onion() => {
            let host = address.host().to_owned();
            return Err(ConnectError::OnionWithoutProxy { host });
        }
        None => tcp(&address.authority(), &deadline, until)?,
    };
    layers(Box::new(socket), deadline, config)
}

/// Lays TLS and a WebSocket over a stream, if the address has them.
pub(super) fn layers(
    stream: Box<dyn Stream>,
    deadline: Deadline,
    config: &Config,
) -> Result<Wire, ConnectError> {
    let address = &config.address;
    let stream: Box<dyn Stream> = match address.transport().is_tls() {
        false => stream,
        #[cfg(feature = "blocking-tls")]
        true => {
            let mut stream = stream;
            let handshake = crate::net::tls::Handshake::new(
                address,
                &config.trust,
                config.client_certificate.as_ref(),
            );
            let (tls, name) = handshake.begin()?;
            let failed = |error: io::Error| match is_timeout(&error) {
                true => late(address),
                false => handshake.failed(&error),
            };
            let mut connection = rustls::ClientConnection::new(tls, name)
                .map_err(|error| failed(io::Error::other(error)))?;
            while connection.is_handshaking() {
                connection.complete_io(&mut stream).map_err(failed)?;
            }
            handshake.judge()?;
            Box::new(rustls::StreamOwned::new(connection, stream))
        }
        #[cfg(not(feature = "blocking-tls"))]
        true => return Err(not_built_in(address)),
    };
    match address.transport().is_websocket() {
        false => Ok(Wire::lines(stream, deadline)),
        #[cfg(feature = "blocking-websocket")]
        true => {
            use tungstenite::HandshakeError;

            let (request, limits) = crate::net::frames::opening(address, config.max_line)?;
            match tungstenite::client::client_with_config(request, stream, Some(limits)) {
                Ok((websocket, _)) => Ok(Wire::messages(websocket, deadline)),
                Err(HandshakeError::Interrupted(_)) => Err(late(address)),
                Err(HandshakeError::Failure(tungstenite::Error::Io(error))) => {
                    Err(match is_timeout(&error) {
                        true => late(address),
                        false => ConnectError::Closed {
                            address: address.to_string(),
                            error,
                        },
                    })
                }
                Err(HandshakeError::Failure(error)) => {
                    Err(crate::net::frames::refused(address, &error))
                }
            }
        }
        #[cfg(not(feature = "blocking-websocket"))]
        true => Err(not_built_in(address)),
    }
}

/// Connects to the first address of a name that answers.
fn tcp(
    authority: &str,
    deadline: &Deadline,
    until: Instant,
) -> Result<Timed<TcpStream>, ConnectError> {
    let addresses = authority.to_socket_addrs().map_err(|error| {
        let host = authority.to_owned();
        ConnectError::Lookup { host, error }
    })?;
    let addresses: Vec<_> = addresses.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        // One that never answers leaves time for those behind it.
        let left = until.saturating_duration_since(Instant::now());
        let share = share(left, addresses.len() - tried);
        if share.is_zero() {
            last = io::ErrorKind::TimedOut.into();
            break;
        }
        let connected = TcpStream::connect_timeout(address, share).and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        match connected {
            Ok(stream) => return Ok(Timed::socket(stream, deadline.clone())),
            Err(error) => last = error,
        }
    }
    Err(unreachable(authority, last))
}

/// Connects to a proxy, and through it to the server.
fn through(
    proxy: &Proxy,
    address: &ServerAddress,
    deadline: &Deadline,
    until: Instant,
) -> Result<Timed<TcpStream>, ConnectError> {
    let mut socket = tcp(&proxy.address, deadline, until)?;
    let mut ask = || {
        let credentials = proxy.credentials.as_ref();
        let mut handshake = Handshake::new(address.host(), address.port(), credentials)?;
        let mut answer = Vec::new();
        while let Next::Exchange { send, read } = handshake.advance(&answer)? {
            socket.write_all(&send)?;
            answer.resize(read, 0);
            socket.read_exact(&mut answer)?;
        }
        Ok(())
    };
    match ask() {
        Ok(()) => Ok(socket),
        Err(Socks5Error::Io(error)) if is_timeout(&error) => Err(late(address)),
        Err(error) => Err(ConnectError::Proxy {
            address: address.to_string(),
            proxy: proxy.address.clone(),
            error,
        }),
    }
}

fn late(address: &ServerAddress) -> ConnectError {
    let address = address.to_string();
    ConnectError::TimedOut { address }
}

#[cfg(not(all(feature = "blocking-tls", feature = "blocking-websocket")))]
fn not_built_in(address: &ServerAddress) -> ConnectError {
    let transport = address.transport();
    ConnectError::NotBuiltIn { transport }
}
