//! What a server sends unasked, to those who subscribed.

use serde_json::value::RawValue;

use crate::json::{DecodeError, ToJson, array, bind, required};
use crate::method::Method;
use crate::method::headers::Tip;
use crate::script_hash::ScriptHash;
use crate::status::Status;
use crate::version::ProtocolVersion;

/// A notification, closed for the same reason as [`Request`](crate::Request).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notification {
    /// `blockchain.headers.subscribe`: the chain has a new tip. Params: `[tip]`.
    Headers(Tip),
    /// `blockchain.scripthash.subscribe`: the status of a script changed. Params: `[scripthash, status]`.
    ScriptHash {
        /// The script.
        script_hash: ScriptHash,
        /// Its status now; nothing when its history became empty.
        status: Option<Status>,
    },
}

impl Notification {
    /// Returns the method under whose name it is sent.
    pub const fn method(&self) -> Method {
        match self {
            Self::Headers(_) => Method::HeadersSubscribe,
            Self::ScriptHash { .. } => Method::ScripthashSubscribe,
        }
    }

    /// Appends the whole message, without a line end.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"method\":\"");
        out.extend_from_slice(self.method().name().as_bytes());
        out.extend_from_slice(b"\",\"params\":");
        match self {
            Self::Headers(tip) => array([tip], out, |tip, out| tip.to_json(version, out)),
            Self::ScriptHash {
                script_hash,
                status,
            } => {
                out.push(b'[');
                script_hash.to_json(version, out);
                out.push(b',');
                status.to_json(version, out);
                out.push(b']');
            }
        }
        out.push(b'}');
    }

    /// Reads the params of a notification; nothing when the method does not notify.
    pub(crate) fn from_raw(method: &str, params: &RawValue) -> Option<Result<Self, DecodeError>> {
        let decoded = match Method::from_name(method)? {
            Method::HeadersSubscribe => headers(params),
            Method::ScripthashSubscribe => script_hash(params),
            _ => return None,
        };
        Some(decoded.map_err(|error| error.within("params")))
    }
}

fn headers(params: &RawValue) -> Result<Notification, DecodeError> {
    let [tip] = bind(params, ["tip"], true)?;
    required(tip, "tip").map(Notification::Headers)
}

fn script_hash(params: &RawValue) -> Result<Notification, DecodeError> {
    let [script_hash, status] = bind(params, ["scripthash", "status"], true)?;
    Ok(Notification::ScriptHash {
        script_hash: required(script_hash, "scripthash")?,
        status: required(status, "status")?,
    })
}
