//! Why a request of a connected client has no result, and whether to try again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::client::ReplyError;
use crate::json::DecodeError;
use crate::jsonrpc::{ErrorCode, ErrorObject};
use crate::method::Method;
use crate::version::ProtocolVersion;

/// Why a request has no result.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The server refused, the request or the array that it was in. What it says is text of a stranger.
    #[error("the server answers: {0}")]
    Server(ErrorObject),
    /// The server sent a result that the protocol does not know.
    #[error("the answer is malformed: {0}")]
    Malformed(DecodeError),
    /// The protocol version of the session does not have the method; nothing was sent.
    #[error("there is no {method} in protocol {version}")]
    NotInVersion {
        /// The method.
        method: Method,
        /// What was negotiated.
        version: ProtocolVersion,
    },
    /// The place of a result belongs to another batch.
    #[error("the batch has no such {method}")]
    NotInBatch {
        /// The method.
        method: Method,
    },
    /// The answer is longer than what is read (`max_line` of the configuration), and so for all requests of an array, which
    /// are answered together: fewer at a time may do. This is known when no others can be meant; otherwise the answer just
    /// does not come.
    #[error("the answer is longer than {max} bytes")]
    TooLong {
        /// How many bytes are read.
        max: usize,
    },
    /// No answer came in time. The connection may still be good.
    #[error("no answer in time")]
    TimedOut,
    /// The connection is lost, and every request on it with it. When the server said why,
    /// [`server_error`](Self::server_error) has it.
    #[error("the connection is lost: {0}")]
    Disconnected(Arc<io::Error>),
}

impl RequestError {
    /// Tells whether the same request may well succeed later, perhaps on a new connection or at another server.
    ///
    /// Everything else is final: asked again, the answer would be the same.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Server(error) => error.is_transient(),
            Self::TimedOut | Self::Disconnected(_) => true,
            Self::Malformed(_)
            | Self::TooLong { .. }
            | Self::NotInVersion { .. }
            | Self::NotInBatch { .. } => false,
        }
    }

    /// Returns what the server refused with, or what it said before it closed the connection.
    pub fn server_error(&self) -> Option<&ErrorObject> {
        match self {
            Self::Server(error) => Some(error),
            Self::Disconnected(error) => error.get_ref()?.downcast_ref(),
            _ => None,
        }
    }
}

impl From<ReplyError> for RequestError {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::Server(error) => Self::Server(error),
            ReplyError::Malformed(error) => Self::Malformed(error),
            error @ ReplyError::VersionNotAsked { .. } => {
                let error = io::Error::new(io::ErrorKind::InvalidData, error.to_string());
                Self::Disconnected(Arc::new(error))
            }
        }
    }
}

impl ErrorObject {
    /// Tells whether the server is only busy, or out of order: whether the same request may well succeed later.
    ///
    /// So are excessive use, floods, a server that is busy or at fault, and every error that says
    /// [when to come back](Self::retry_after). A node's error (code 2) is not, though a node may well be restarting:
    /// most of them are about the request.
    pub fn is_transient(&self) -> bool {
        let busy = [
            ErrorCode::EXCESSIVE_FLOOD,
            ErrorCode::EXCESSIVE_USAGE,
            ErrorCode::SERVER_BUSY,
            ErrorCode::INTERNAL_ERROR,
        ];
        busy.contains(&self.code) || self.retry_after().is_some()
    }

    /// Returns how long the server wants the client to wait: `"data": {"retry_after": 30}`, in seconds, at most a day.
    pub fn retry_after(&self) -> Option<Duration> {
        let [seconds] =
            crate::json::bind(self.data.as_ref()?.raw(), ["retry_after"], false).ok()?;
        let seconds: u32 = seconds?.get().parse().ok()?;
        Some(Duration::from_secs(seconds.into()).min(A_DAY))
    }
}

/// No server knows what will be tomorrow.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say_when_they_are_busy_is_transient() {
        let check = |code: i32, transient: bool| {
            let error = ErrorObject::new(ErrorCode(code), "words");
            assert_eq!(error.is_transient(), transient, "{code}");
            assert_eq!(RequestError::Server(error).is_transient(), transient);
        };
        check(-102, true);
        check(-101, true);
        check(-32603, true);
        check(-32601, false);
        check(1, false);
        check(2, false);
        let error = ErrorObject::new(ErrorCode::LIMIT_EXCEEDED, "later").with_retry_after(30);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
        assert!(error.is_transient());
        assert!(RequestError::TimedOut.is_transient());
    }

    #[test]
    fn absurd_times_are_no_times() {
        for data in [
            "{\"retry_after\":-1}",
            "{\"retry_after\":\"soon\"}",
            "[]",
            "1e300",
        ] {
            let mut error = ErrorObject::new(ErrorCode::LIMIT_EXCEEDED, "later");
            error.data = crate::RawJson::parse(data).ok();
            assert_eq!(error.retry_after(), None, "{data}");
        }
        let error = ErrorObject::new(ErrorCode::SERVER_BUSY, "later").with_retry_after(u32::MAX);
        assert_eq!(error.retry_after(), Some(A_DAY));
    }
}
