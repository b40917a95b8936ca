//! What is listened on.

use std::io;

use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;

use super::AnyStream;
use crate::net::origin::Origin;

/// A socket that is listened on.
#[derive(Debug)]
pub(in crate::net) enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Socket {
    /// Waits for the next connection.
    pub(in crate::net) async fn accept(&self) -> io::Result<(AnyStream, Origin)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are small and awaited; a system that does not know the option is still served.
                let _ = stream.set_nodelay(true);
                Ok((Box::new(stream), Origin::Ip(peer)))
            }
            #[cfg(unix)]
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Origin::Unix))
            }
        }
    }
}
