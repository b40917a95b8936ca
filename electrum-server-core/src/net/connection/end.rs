//! Why a connection ends.

use std::fmt;
use std::io;

use electrum_protocol::{ErrorCode, ErrorObject};

use super::room::no_memory;
use crate::session::Limits;

/// Why a connection ended.
pub(in crate::net) enum End {
    /// The client closed it, and has its answers.
    Client,
    /// The client sent nothing for too long.
    Idle,
    /// The client took too long to send a line.
    Slow,
    /// The client read nothing for too long.
    Stalled,
    /// The client took or sent too little while it held memory that others waited for.
    Holding,
    /// The server shuts down.
    Shutdown,
    /// The client speaks TLS.
    Tls,
    /// The client speaks HTTP.
    Http,
    /// The session does not want to go on.
    Session(String),
    /// The socket failed.
    Io(io::Error),
    /// The server failed.
    Internal,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("closed by the client"),
            Self::Idle => f.write_str("the client sent nothing for too long"),
            Self::Slow => f.write_str("the client took too long to send a line"),
            Self::Stalled => f.write_str("the client read nothing for too long"),
            Self::Holding => f.write_str("the client held memory that others waited for"),
            Self::Shutdown => f.write_str("shutting down"),
            Self::Tls => f.write_str("the client speaks TLS"),
            Self::Http => f.write_str("the client speaks HTTP"),
            Self::Session(reason) => f.write_str(reason),
            Self::Io(error) => error.fmt(f),
            Self::Internal => f.write_str("internal error"),
        }
    }
}

impl End {
    /// Returns what the client is told that the session has not told it already.
    pub(super) fn farewell(&self, limits: &Limits) -> Option<ErrorObject> {
        let message = match self {
            Self::Idle => format!("no request for {:?}", limits.idle_timeout),
            Self::Slow => format!("a line was not complete after {:?}", limits.line_timeout),
            Self::Holding => return Some(no_memory()),
            // Who does not read cannot be told, and a session has said why itself.
            Self::Client
            | Self::Stalled
            | Self::Shutdown
            | Self::Tls
            | Self::Http
            | Self::Session(_)
            | Self::Io(_)
            | Self::Internal => return None,
        };
        Some(ErrorObject::new(ErrorCode::LIMIT_EXCEEDED, message))
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
