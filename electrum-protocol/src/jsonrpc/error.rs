//! The error that answers a request.

use core::fmt;

use serde_json::value::RawValue;

use crate::json::{DecodeError, FromJson, Object, bind, is_null, number, text, unexpected, whole};
use crate::raw_json::RawJson;
use crate::version::ProtocolVersion;

/// The number that says what kind of error it is.
///
/// The protocol specifies none of them; these are the ones that ElectrumX and Fulcrum use, and clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i32);

impl ErrorCode {
    /// The message is not JSON.
    pub const PARSE_ERROR: Self = Self(-32700);
    /// The message is JSON but no request, or an answer to it would be too large.
    pub const INVALID_REQUEST: Self = Self(-32600);
    /// There is no such method in the protocol version of the session.
    pub const METHOD_NOT_FOUND: Self = Self(-32601);
    /// A parameter is missing or wrong.
    pub const INVALID_PARAMS: Self = Self(-32602);
    /// The server is at fault.
    pub const INTERNAL_ERROR: Self = Self(-32603);
    /// The request makes no sense at this time, or for this chain.
    pub const BAD_REQUEST: Self = Self(1);
    /// The node refused, or cannot be reached.
    pub const DAEMON_ERROR: Self = Self(2);
    /// The client sends more than the server cares to read.
    pub const EXCESSIVE_FLOOD: Self = Self(3);
    /// A limit of the server, such as the number of subscriptions.
    pub const LIMIT_EXCEEDED: Self = Self(4);
    /// The history is longer than the server serves.
    pub const HISTORY_TOO_LARGE: Self = Self(10001);
    /// The client costs too much; the connection ends.
    pub const EXCESSIVE_USAGE: Self = Self(-101);
    /// The request took too long.
    pub const SERVER_BUSY: Self = Self(-102);
    /// Stands for the code of an error that came without one.
    pub const UNSPECIFIED: Self = Self(0);
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The error that answers a request: `{"code": 1, "message": "height 9 out of range"}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct ErrorObject {
    /// What kind of error it is.
    pub code: ErrorCode,
    /// What happened, in words.
    pub message: String,
    /// Anything more; absent on the wire when absent here.
    pub data: Option<RawJson>,
}

impl ErrorObject {
    /// Makes an error without data.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// Says when it may be tried again: `"data": {"retry_after": 30}`, in seconds.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.data = RawJson::parse(&format!("{{\"retry_after\":{seconds}}}")).ok();
        self
    }

    /// Appends the error as JSON.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // Errors look the same in every version.
        let version = ProtocolVersion::V1_4;
        let mut object = Object::begin(out);
        number(self.code.0, object.key("code"));
        object.field("message", &self.message, version);
        if let Some(data) = &self.data {
            object.field("data", data, version);
        }
        object.end();
    }
}

/// Takes what servers have sent as errors: an object with or without a code, or a bare string.
impl FromJson for ErrorObject {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        if let Some(message) = text(raw) {
            return Ok(Self::new(ErrorCode::UNSPECIFIED, message));
        }
        let [code, message, data] = bind(raw, ["code", "message", "data"], false)
            .map_err(|_| unexpected("an error object or a string", raw))?;
        let code = code
            .and_then(whole)
            .and_then(|code| code.try_into().ok())
            .map(ErrorCode);
        let message = message.map(|message| match text(message) {
            Some(message) => message.into_owned(),
            None => message.get().to_owned(),
        });
        if code.is_none() && message.is_none() {
            return Err(unexpected("an error object with a code or a message", raw));
        }
        Ok(Self {
            code: code.unwrap_or(ErrorCode::UNSPECIFIED),
            message: message.unwrap_or_default(),
            data: data.filter(|data| !is_null(data)).map(RawJson::from_raw),
        })
    }
}
