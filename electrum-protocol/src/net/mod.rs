//! Where a server is, how it is reached, and whom one trusts: what the connected clients have in common.
//!
//! [`ServerAddress`] names a server and its transport, [`Config`] says how to reach it. Nothing here opens a socket:
//! [`blocking`](crate::blocking) and [`tokio`](crate::tokio) do.

mod address;
mod config;
mod error;
#[cfg(any(feature = "blocking-websocket", feature = "tokio-websocket"))]
pub(crate) mod frames;
mod news;
pub mod socks5;
#[cfg(feature = "tls")]
pub mod tls;

pub use address::{ParseServerAddressError, ServerAddress, Transport};
pub use config::Config;
pub use error::ConnectError;

pub(crate) use news::News;

use crate::method::server::{Banner, Ping};
use crate::method::{Method, Request};
use crate::version::ProtocolVersion;

/// Returns a request that shows that both are there. Before protocol 1.2 there is no ping.
pub(crate) fn alive(version: ProtocolVersion) -> Request {
    match Method::ServerPing.exists_in(version) {
        true => Ping::default().into(),
        false => Banner.into(),
    }
}
