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

use std::io;
use std::time::Duration;

use crate::jsonrpc::{ErrorCode, ErrorObject};
use crate::method::server::{Banner, Ping};
use crate::method::{Method, Request};
use crate::raw_json::RawJson;
use crate::version::ProtocolVersion;

/// Returns a request that shows that both are there. Before protocol 1.2 there is no ping.
pub(crate) fn alive(version: ProtocolVersion) -> Request {
    match Method::ServerPing.exists_in(version) {
        true => Ping::default().into(),
        false => Banner.into(),
    }
}

/// Returns a time that can be added to any moment: callers who wait for ever say [`Duration::MAX`].
pub(crate) fn bearable(time: Duration) -> Duration {
    const YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    time.min(YEARS)
}

/// Returns the part of the time that is left for the first of several attempts.
pub(crate) fn share(left: Duration, attempts: usize) -> Duration {
    left / u32::try_from(attempts).unwrap_or(u32::MAX).max(1)
}

/// Says why nobody could be connected to.
pub(crate) fn unreachable(authority: &str, error: io::Error) -> ConnectError {
    let address = authority.to_owned();
    match error.kind() {
        io::ErrorKind::TimedOut => ConnectError::TimedOut { address },
        _ => ConnectError::Unreachable { address, error },
    }
}

/// Returns what a server said before it closed: text of a stranger, cut when it is long.
pub(crate) fn complaint_of(error: &ErrorObject) -> ErrorObject {
    let short = |data: &&RawJson| data.get().len() <= LONGEST_COMPLAINT;
    ErrorObject {
        code: error.code,
        message: error.message.chars().take(LONGEST_COMPLAINT).collect(),
        data: error.data.as_ref().filter(short).cloned(),
    }
}

const LONGEST_COMPLAINT: usize = 300;

/// Puts what the server last said in the place of what the system says, if it said anything.
pub(crate) fn explained(error: io::Error, complaint: Option<ErrorObject>) -> io::Error {
    match complaint {
        Some(complaint) => io::Error::new(error.kind(), complaint),
        None => error,
    }
}

/// Tells whether an error that names no request answers one that the server did not read, such as an array that is too
/// long for it (JSON-RPC 2.0, section 5). Others say why the connection will end.
pub(crate) fn is_unread(error: &ErrorObject) -> bool {
    [ErrorCode::PARSE_ERROR, ErrorCode::INVALID_REQUEST].contains(&error.code)
}
