//! How bytes get from a client to a session: a socket, perhaps a proxy's word, perhaps TLS, perhaps WebSocket.
//!
//! Whatever the layers, a [`Connection`](super::connection::Connection) sees a stream of lines.

mod known_clients;
mod proxy;
mod socket;
mod tls;
mod tls_stream;
mod websocket;

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

pub(super) use socket::Socket;
pub use tls::{Certificate, CertificateError, PemProblem};
use tls_stream::TlsStream;

use self::proxy::Proxied;
use super::admission::TransportBuffer;
use super::origin::Origin;
use super::origins::AllowedOrigins;
use crate::metrics::Transport;
use crate::subnet::Subnet;

/// What a connection speaks through.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Says why the server is about to close, to those layers that have words for it.
    fn give_reason(&mut self, _reason: &str) {}
}

impl Stream for TcpStream {}

#[cfg(unix)]
impl Stream for UnixStream {}

impl Stream for TlsStream {}

#[cfg(test)]
impl Stream for tokio::io::DuplexStream {}

/// Any stream.
pub(super) type AnyStream = Box<dyn Stream>;

/// The layers above the socket.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    pub(super) tls: Option<Arc<Certificate>>,
    pub(super) websocket: bool,
    /// Whose pages may connect by WebSocket.
    pub(super) origins: AllowedOrigins,
    pub(super) trusted: Trusted,
    pub(super) padded: bool,
}

/// Whose word is taken for where a connection comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    /// Proxies that begin their connections with a PROXY header.
    pub subnets: Vec<Subnet>,
    /// Whether connections through unix sockets do as well.
    pub unix: bool,
}

impl Trusted {
    /// Tells whether a connection is one of these proxies'.
    pub(super) fn has(&self, origin: Origin) -> bool {
        match origin.ip() {
            Some(ip) => self.subnets.iter().any(|subnet| subnet.contains(ip)),
            None => self.unix,
        }
    }
}

impl Layers {
    /// Returns what clients speak through, given where they come from.
    pub(super) fn transport(&self, origin: Origin) -> Transport {
        match (self.tls.is_some(), self.websocket) {
            (false, false) if origin == Origin::Unix => Transport::Unix,
            (false, false) => Transport::Tcp,
            (true, false) => Transport::Tls,
            (false, true) => Transport::Ws,
            (true, true) => Transport::Wss,
        }
    }

    /// Shakes hands in every layer. Messages of more than `max_message` bytes are refused; those that are not complete
    /// are counted in `buffer`.
    pub(super) async fn greet(
        &self,
        stream: AnyStream,
        max_message: usize,
        buffer: TransportBuffer,
    ) -> io::Result<AnyStream> {
        let stream = match &self.tls {
            Some(certificate) => certificate.accept(stream).await?,
            None => stream,
        };
        match self.websocket {
            true => websocket::accept(stream, &self.origins, max_message, buffer).await,
            false => Ok(stream),
        }
    }
}

/// Reads the header of a proxy that begins these bytes; returns for whom it speaks, and how many bytes the header takes.
#[cfg(feature = "fuzzing")]
pub(crate) fn proxy_header(bytes: &[u8]) -> Option<(Option<std::net::SocketAddr>, usize)> {
    use futures_util::FutureExt;
    let mut rest = bytes;
    let read = proxy::read(&mut rest).now_or_never()?;
    let origin = match read.ok()? {
        Proxied::For(address) => Some(address),
        Proxied::Itself => None,
    };
    Some((origin, bytes.len() - rest.len()))
}

/// Asks a proxy for whom it connects. Whoever is trusted to say so must say so.
pub(super) async fn origin_of(stream: &mut AnyStream, proxy: Origin) -> io::Result<Origin> {
    Ok(match proxy::read(stream).await? {
        Proxied::For(address) => Origin::Ip(address),
        Proxied::Itself => proxy,
    })
}
