//! The way to a server: TCP, perhaps through a proxy, perhaps with TLS and a WebSocket in it.

use std::io;

use ::tokio::io::{AsyncReadExt, AsyncWriteExt};
use ::tokio::net::{TcpStream, lookup_host};
use ::tokio::time::{Instant, timeout};

use super::wire::{Stream, Wire};
use crate::net::socks5::{Handshake, Next, Proxy, Socks5Error};
use crate::net::{Config, ConnectError, ServerAddress, share, unreachable};

/// Connects, layer by layer.
pub(super) async fn dial(config: &Config, until: Instant) -> Result<Wire, ConnectError> {
    let address = &config.address;
    let stream = match &config.proxy {
        Some(proxy) => through(proxy, address, until).await?,
        None if address.is_onion() => {
            let host = address.host().to_owned();
            return Err(ConnectError::OnionWithoutProxy { host });
        }
        None => tcp(&address.authority(), until).await?,
    };
    layers(Box::new(stream), config).await
}

/// Lays TLS and a WebSocket over a stream, if the address has them.
pub(super) async fn layers(stream: Box<dyn Stream>, config: &Config) -> Result<Wire, ConnectError> {
    let address = &config.address;
    let stream: Box<dyn Stream> = match address.transport().is_tls() {
        false => stream,
        #[cfg(feature = "tokio-tls")]
        true => {
            let handshake = crate::net::tls::Handshake::new(
                address,
                &config.trust,
                config.client_certificate.as_ref(),
            );
            let (tls, name) = handshake.begin()?;
            let stream = tokio_rustls::TlsConnector::from(tls)
                .connect(name, stream)
                .await
                .map_err(|error| handshake.failed(&error))?;
            handshake.judge()?;
            Box::new(stream)
        }
        #[cfg(not(feature = "tokio-tls"))]
        true => return Err(not_built_in(address)),
    };
    match address.transport().is_websocket() {
        false => Ok(Wire::lines(stream)),
        #[cfg(feature = "tokio-websocket")]
        true => {
            let (request, limits) = crate::net::frames::opening(address, config.max_line)?;
            match tokio_tungstenite::client_async_with_config(request, stream, Some(limits)).await {
                Ok((websocket, _)) => Ok(Wire::WebSocket(Box::new(websocket))),
                Err(tungstenite::Error::Io(error)) => Err(ConnectError::Closed {
                    address: address.to_string(),
                    error,
                }),
                Err(error) => Err(crate::net::frames::refused(address, &error)),
            }
        }
        #[cfg(not(feature = "tokio-websocket"))]
        true => Err(not_built_in(address)),
    }
}

/// Connects to the first address of a name that answers.
async fn tcp(authority: &str, until: Instant) -> Result<TcpStream, ConnectError> {
    let addresses = lookup_host(authority).await.map_err(|error| {
        let host = authority.to_owned();
        ConnectError::Lookup { host, error }
    })?;
    let addresses: Vec<_> = addresses.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        // One that never answers leaves time for those behind it.
        let left = until.saturating_duration_since(Instant::now());
        let share = share(left, addresses.len() - tried);
        let connected = match timeout(share, TcpStream::connect(address)).await {
            Ok(connected) => connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream)),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(unreachable(authority, last))
}

/// Connects to a proxy, and through it to the server.
async fn through(
    proxy: &Proxy,
    address: &ServerAddress,
    until: Instant,
) -> Result<TcpStream, ConnectError> {
    let mut stream = tcp(&proxy.address, until).await?;
    let ask = async {
        let credentials = proxy.credentials.as_ref();
        let mut handshake = Handshake::new(address.host(), address.port(), credentials)?;
        let mut answer = Vec::new();
        while let Next::Exchange { send, read } = handshake.advance(&answer)? {
            stream.write_all(&send).await?;
            answer.resize(read, 0);
            stream.read_exact(&mut answer).await?;
        }
        Ok::<_, Socks5Error>(())
    };
    match ask.await {
        Ok(()) => Ok(stream),
        Err(error) => Err(ConnectError::Proxy {
            address: address.to_string(),
            proxy: proxy.address.clone(),
            error,
        }),
    }
}

#[cfg(not(all(feature = "tokio-tls", feature = "tokio-websocket")))]
fn not_built_in(address: &ServerAddress) -> ConnectError {
    let transport = address.transport();
    ConnectError::NotBuiltIn { transport }
}
