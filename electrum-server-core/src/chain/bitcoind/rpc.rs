//! JSON-RPC with the node: single calls and batches, authorized, with the node's own errors kept apart from failures
//! to reach it.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::auth::Auth;
use super::http::{Answer, Http, MAX_BODY};
use crate::chain::{NodeError, SourceError};

/// The node is starting (`RPC_IN_WARMUP`).
const IN_WARMUP: i32 = -28;
/// The node does not know the method (`RPC_METHOD_NOT_FOUND`).
pub(super) const METHOD_NOT_FOUND: i32 = -32601;
/// Wrong number of parameters, among other things (`RPC_MISC_ERROR`).
pub(super) const MISC_ERROR: i32 = -1;
/// What was asked for does not exist (`RPC_INVALID_ADDRESS_OR_KEY`).
pub(super) const NOT_FOUND: i32 = -5;

/// What an answer has beside its result, in bytes; more than enough.
const ENVELOPE: u64 = 1000;

/// A JSON-RPC client of one node.
#[derive(Debug)]
pub(super) struct Rpc {
    http: Http,
    auth: Auth,
    /// The `Authorization` header that the node accepted last. Never shown.
    accepted: Mutex<Secret>,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Secret(Option<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// An error object of the node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ErrorReply {
    pub(super) code: i32,
    #[serde(default)]
    pub(super) message: String,
}

/// Why a call has no result.
#[derive(Debug)]
pub(super) enum CallError {
    /// The node says no.
    Refused(ErrorReply),
    /// The node could not be asked, or said nothing that we understand.
    Source(SourceError),
}

impl From<SourceError> for CallError {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<CallError> for NodeError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(ErrorReply { code, message }) => Self::Rpc { code, message },
            CallError::Source(error) => Self::Unavailable(error),
        }
    }
}

impl CallError {
    /// Takes a refusal that the caller has no use for as a failure of the node.
    pub(super) fn into_source(self, method: &str) -> SourceError {
        match self {
            Self::Source(error) => error,
            Self::Refused(error) => refused(method, &error),
        }
    }
}

/// Sorts a refusal: a method that the node does not have will not appear; the rest depends on the node's state.
pub(super) fn refused(method: &str, ErrorReply { code, message }: &ErrorReply) -> SourceError {
    let text = format!("the node answers {method} with: {message} (code {code})");
    match *code {
        METHOD_NOT_FOUND => SourceError::permanent(text),
        _ => SourceError::transient(text),
    }
}

/// The envelope of a reply; everything in it may be absent.
#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<ErrorReply>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

impl Rpc {
    pub(super) fn new(address: &str, auth: Auth, timeout: Duration) -> Self {
        Self {
            http: Http::new(address, timeout),
            auth,
            accepted: Mutex::default(),
        }
    }

    /// Returns how many calls wait for an answer.
    pub(super) fn pending(&self) -> usize {
        self.http.pending()
    }

    /// Calls a method and reads its result as `T`.
    pub(super) fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &[Value],
    ) -> Result<T, CallError> {
        let answer = self.post(&request(0, method, params), MAX_BODY)?;
        match answer {
            Some(answer) => result(&answer, method),
            None => Err(oversized(method).into()),
        }
    }

    /// Calls a method whose result may have about `max_bytes` bytes; `None` when it has more, which is not read.
    pub(super) fn call_within<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &[Value],
        max_bytes: usize,
    ) -> Result<Option<T>, CallError> {
        let max = (max_bytes as u64).saturating_add(ENVELOPE).min(MAX_BODY);
        let answer = self.post(&request(0, method, params), max)?;
        answer.map(|answer| result(&answer, method)).transpose()
    }

    /// Calls a method several times in one exchange; the results are in the order of `params`.
    pub(super) fn batch<T: DeserializeOwned>(
        &self,
        method: &str,
        params: impl IntoIterator<Item = Vec<Value>>,
    ) -> Result<Vec<Result<T, ErrorReply>>, SourceError> {
        let calls: Vec<String> = params
            .into_iter()
            .enumerate()
            .map(|(id, params)| request(id, method, &params))
            .collect();
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self
            .post(&format!("[{}]", calls.join(",")), MAX_BODY)?
            .ok_or_else(|| oversized(method))?;
        // While it starts, the node may answer a batch with one error.
        if answer.body.trim_ascii_start().first() == Some(&b'{') {
            let reply: Reply<'_> = read(&answer, method)?;
            return Err(match reply.error {
                Some(error) => in_warmup(&error).unwrap_or_else(|| refused(method, &error)),
                None => malformed(method, "one reply to a batch"),
            });
        }
        let replies: Vec<Reply<'_>> = read(&answer, method)?;
        if replies.len() != calls.len() {
            return Err(malformed(method, "a batch of another length"));
        }
        let mut results: Vec<Option<Result<T, ErrorReply>>> = Vec::new();
        results.resize_with(calls.len(), || None);
        for Reply { result, error, id } in replies {
            let slot = id
                .and_then(|id| id.get().parse::<usize>().ok())
                .and_then(|id| results.get_mut(id))
                .ok_or_else(|| malformed(method, "a reply to nothing"))?;
            *slot = Some(match error {
                Some(error) => match in_warmup(&error) {
                    Some(error) => return Err(error),
                    None => Err(error),
                },
                None => Ok(read_result(result, method)?),
            });
        }
        let complete: Option<Vec<_>> = results.into_iter().collect();
        complete.ok_or_else(|| malformed(method, "two replies to one call"))
    }

    /// Posts with credentials; when they are refused, the cookie may be that of an earlier start of the node. Returns
    /// nothing when the answer has more than `max` bytes.
    fn post(&self, json: &str, max: u64) -> Result<Option<Answer>, SourceError> {
        let known = self.lock().clone();
        let authorization = match &known.0 {
            Some(header) => header.clone(),
            None => self.auth.header()?,
        };
        let mut answer = self.exchange(&authorization, json, max)?;
        let mut accepted = authorization;
        if answer.status == 401 {
            let fresh = self.auth.header()?;
            if fresh != accepted {
                answer = self.exchange(&fresh, json, max)?;
                accepted = fresh;
            }
        }
        match answer.status {
            401 => Err(self.refused_credentials()),
            403 => Err(SourceError::permanent(
                "the node does not accept RPC from this machine: see its option -rpcallowip",
            )),
            503 => Err(SourceError::transient(format_args!(
                "the node is busy: {}",
                String::from_utf8_lossy(&answer.body).trim()
            ))),
            _ => {
                *self.lock() = Secret(Some(accepted));
                Ok(Some(answer).filter(|answer| answer.is_whole))
            }
        }
    }

    /// Exchanges one message; a node that went away forgets its cookie, so do we.
    fn exchange(&self, authorization: &str, json: &str, max: u64) -> Result<Answer, SourceError> {
        let answer = self.http.post(authorization, json.as_bytes(), max);
        if answer.is_err() {
            *self.lock() = Secret(None);
        }
        answer
    }

    fn refused_credentials(&self) -> SourceError {
        *self.lock() = Secret(None);
        match &self.auth {
            Auth::Cookie(path) => SourceError::transient(format_args!(
                "the node refuses the cookie of {}: does it belong to another node?",
                path.display()
            )),
            Auth::UserPassword { .. } => SourceError::permanent(
                "the node refuses the user and password: compare them with its rpcuser and rpcpassword, or rpcauth",
            ),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Secret> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn request(id: usize, method: &str, params: &[Value]) -> String {
    serde_json::json!({"jsonrpc": "1.0", "id": id, "method": method, "params": params}).to_string()
}

fn in_warmup(error: &ErrorReply) -> Option<SourceError> {
    (error.code == IN_WARMUP)
        .then(|| SourceError::transient(format_args!("the node is starting: {}", error.message)))
}

fn read<'a, T: Deserialize<'a>>(answer: &'a Answer, method: &str) -> Result<T, SourceError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        malformed(
            method,
            format_args!("HTTP status {}, {error}", answer.status),
        )
    })
}

fn read_result<T: DeserializeOwned>(
    result: Option<&RawValue>,
    method: &str,
) -> Result<T, SourceError> {
    let text = result.map_or("null", RawValue::get);
    serde_json::from_str(text).map_err(|error| malformed(method, error))
}

fn result<T: DeserializeOwned>(answer: &Answer, method: &str) -> Result<T, CallError> {
    let reply: Reply<'_> = read(answer, method)?;
    match reply.error {
        Some(error) => Err(in_warmup(&error).map_or(CallError::Refused(error), Into::into)),
        None => Ok(read_result(reply.result, method)?),
    }
}

fn oversized(method: &str) -> SourceError {
    malformed(method, format_args!("more than {MAX_BODY} bytes"))
}

/// The error for data that the node must never send. It may pass: a node that is being stopped, or something between us and
/// the node, may have cut or replaced one answer, and another program may have the node's port until it is started.
pub(super) fn malformed(what: &str, why: impl fmt::Display) -> SourceError {
    SourceError::transient(format_args!(
        "malformed answer of the node to {what}: {why} (is there a Bitcoin Core at this address?)"
    ))
}
