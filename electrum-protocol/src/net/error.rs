//! Why there is no connection, and whether to try again.

use std::io;

use super::address::Transport;
use super::socks5::Socks5Error;
use crate::client::ReplyError;
use crate::jsonrpc::ErrorObject;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name has no address, or cannot be looked up.
    #[error("cannot find {host}: {error}")]
    Lookup {
        /// `host:port` of the server or of the proxy.
        host: String,
        /// What the system says.
        error: io::Error,
    },
    /// Nobody listens there, or there is no way.
    #[error("cannot connect to {address}: {error}")]
    Unreachable {
        /// `host:port` of the server or of the proxy.
        address: String,
        /// What the system says about the last address of the name.
        error: io::Error,
    },
    /// It took too long.
    #[error("no connection to {address} in time")]
    TimedOut {
        /// The server.
        address: String,
    },
    /// The proxy does not let us through.
    #[error("no way to {address} through the proxy {proxy}: {error}")]
    Proxy {
        /// The server.
        address: String,
        /// The proxy.
        proxy: String,
        /// What is wrong.
        error: Socks5Error,
    },
    /// An onion service cannot be reached without a proxy, and its name is nothing for a name server.
    #[error("{host} is reached through a proxy only")]
    OnionWithoutProxy {
        /// The name.
        host: String,
    },
    /// The server's certificate is not trusted, or belongs to another name.
    #[cfg(feature = "tls")]
    #[error("the certificate of {address} with SHA-256 {fingerprint} is not trusted: {reason}")]
    Certificate {
        /// The server.
        address: String,
        /// What the certificate is known by.
        fingerprint: super::tls::Fingerprint,
        /// Why not.
        reason: String,
    },
    /// The caller's store of certificates could not be read or written, so nothing is known of the server's.
    #[cfg(feature = "tls")]
    #[error("cannot tell whether the certificate of {address} is trusted: {error}")]
    TrustStore {
        /// The server.
        address: String,
        /// What the store says.
        error: io::Error,
    },
    /// Whoever is there does not speak TLS as we do.
    #[error("no TLS with {address}: {error}")]
    Tls {
        /// The server.
        address: String,
        /// What is wrong.
        error: io::Error,
    },
    /// Whoever is there does not open a WebSocket.
    #[error("no WebSocket at {address}: {reason}")]
    WebSocket {
        /// The server.
        address: String,
        /// What is wrong, in words.
        reason: String,
    },
    /// This build has no such transport.
    #[error("{transport:?} is not built in")]
    NotBuiltIn {
        /// The transport.
        transport: Transport,
    },
    /// The connection broke before a version was negotiated.
    #[error("{address} closed the connection: {error}")]
    Closed {
        /// The server.
        address: String,
        /// What the system says.
        error: io::Error,
    },
    /// The server does not speak with us: it has no version in common, or refuses.
    #[error("{address} does not speak with us: {error}")]
    Negotiation {
        /// The server.
        address: String,
        /// What it says.
        error: ReplyError,
    },
}

impl ConnectError {
    /// Tells whether the same attempt may well succeed later.
    ///
    /// Everything else is final: something has to change first, here or there.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Lookup { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Closed { .. } => true,
            Self::Proxy { error, .. } => error.is_transient(),
            // A server that is being restarted breaks off in the middle of it.
            Self::Tls { error, .. } => error.kind() != io::ErrorKind::InvalidData,
            Self::Negotiation { error, .. } => match error {
                ReplyError::Server(error) => error.is_transient(),
                _ => false,
            },
            Self::WebSocket { .. } | Self::OnionWithoutProxy { .. } | Self::NotBuiltIn { .. } => {
                false
            }
            #[cfg(feature = "tls")]
            Self::Certificate { .. } | Self::TrustStore { .. } => false,
        }
    }

    /// Returns what the server refused with: when to come back may be [in it](ErrorObject::retry_after).
    pub fn server_error(&self) -> Option<&ErrorObject> {
        match self {
            Self::Negotiation {
                error: ReplyError::Server(error),
                ..
            } => Some(error),
            _ => None,
        }
    }
}
