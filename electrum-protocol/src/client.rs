//! The client's side of a conversation, without I/O.
//!
//! [`Client::request`] yields the bytes to send; bytes from the server enter through [`Client::receive`];
//! [`Client::poll_event`] yields typed replies and notifications. One bad reply is an event with an error in it: the
//! conversation goes on.
//!
//! It holds what was received and not polled yet, of a line that is not complete no more than the longest that is read,
//! the events of one array, and a few bytes for each request that waits. An array may have a thousand messages more than
//! requests wait.

use std::collections::{HashMap, VecDeque};

use serde_json::value::RawValue;

use crate::frame::{FrameError, LineDecoder};
use crate::json::{DecodeError, FromJson, array, excerpt, is_null, text};
use crate::jsonrpc::{ErrorObject, Incoming, Message, ParseError};
use crate::method::server::{Version, VersionResponse};
use crate::method::{Method, Parameters, Request, Response};
use crate::notification::Notification;
use crate::version::{ProtocolVersion, VersionRange};

/// The number that ties a reply to its request; counts up from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Something that came from the server.
#[derive(Debug)]
pub enum Event {
    /// The server answered [`Client::introduce`].
    Negotiated {
        /// Which request it was.
        id: RequestId,
        /// The server's software and the version of the session.
        result: Result<VersionResponse, ReplyError>,
    },
    /// The server answered a request.
    Reply {
        /// Which request it was.
        id: RequestId,
        /// The result, of the method that was asked for.
        result: Result<Response, ReplyError>,
    },
    /// Something changed that was subscribed to.
    Notification(Notification),
    /// Something came that belongs nowhere. It was dropped; the conversation can go on.
    Unexpected(UnexpectedMessage),
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The server refused.
    #[error("the server answers: {0}")]
    Server(ErrorObject),
    /// The server sent a result that the protocol does not know.
    #[error("the answer is malformed: {0}")]
    Malformed(DecodeError),
    /// The server chose a protocol version that was not on offer.
    #[error("the server chose protocol {chosen}, asked for was {asked}")]
    VersionNotAsked {
        /// What the server chose.
        chosen: ProtocolVersion,
        /// What was asked for.
        asked: VersionRange,
    },
}

/// A message that belongs nowhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnexpectedMessage {
    /// A line that is too long.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A line that is no message.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// JSON that is neither a reply nor a notification.
    #[error("neither a reply nor a notification: {text}")]
    NoMessage {
        /// The JSON, cut when it is long.
        text: String,
    },
    /// A reply to nothing that was asked, or asked and answered before.
    #[error("a reply to an unknown request {id}")]
    UnknownId {
        /// The id, cut when it is long.
        id: String,
    },
    /// An error that names no request: something sent before could not be read.
    #[error("the server complains: {0}")]
    Complaint(ErrorObject),
    /// A notification or request of a method that servers do not send.
    #[error("an unknown notification {method}")]
    UnknownNotification {
        /// The method, cut when it is long.
        method: String,
    },
    /// A notification that the protocol does not know in this form.
    #[error("a malformed notification {method}: {error}")]
    MalformedNotification {
        /// The method.
        method: Method,
        /// What is wrong with it.
        error: DecodeError,
    },
}

/// What a reply will be read as.
#[derive(Clone, Copy, Debug)]
enum Pending {
    Version(VersionRange),
    Method(Method),
}

/// The client's side of one conversation.
#[derive(Debug)]
pub struct Client {
    decoder: LineDecoder,
    next_id: u64,
    pending: HashMap<u64, Pending>,
    version: ProtocolVersion,
    events: VecDeque<Event>,
}

/// The longest line that clients read: what the Electrum wallet allows.
pub const MAX_LINE: usize = 8_100_000;

/// How many messages an array may have beyond the replies that are waited for.
const MAX_UNASKED: usize = 1000;

/// For how many events an idle client may keep room.
const IDLE_EVENTS: usize = 128;

impl Default for Client {
    fn default() -> Self {
        Self::new(MAX_LINE)
    }
}

impl Client {
    /// Starts a conversation in which lines of at most `max_line` bytes are read.
    pub fn new(max_line: usize) -> Self {
        Self {
            decoder: LineDecoder::new(max_line),
            next_id: 0,
            pending: HashMap::new(),
            version: ProtocolVersion::V1_4,
            events: VecDeque::new(),
        }
    }

    /// Returns the bytes of `server.version`, which must be the first request of a conversation.
    pub fn introduce(&mut self, client_name: &str, versions: VersionRange) -> (RequestId, Vec<u8>) {
        let introduction = Version {
            client_name: client_name.to_owned(),
            protocol_version: versions,
        };
        let id = self.track(Pending::Version(versions));
        let mut out = Vec::new();
        let version = self.version;
        envelope(
            id,
            Version::NAME,
            |out| introduction.encode(version, out),
            &mut out,
        );
        out.push(b'\n');
        (id, out)
    }

    /// Returns the bytes of a request.
    pub fn request(&mut self, request: impl Into<Request>) -> (RequestId, Vec<u8>) {
        let mut out = Vec::new();
        let id = self.write(&request.into(), &mut out);
        out.push(b'\n');
        (id, out)
    }

    /// Returns the bytes of a message of some length that says nothing: it hides how much else is said.
    ///
    /// From protocol 1.7 on; nothing in a session of an older version, whose servers would not know what it is.
    pub fn pad(&self, data_len: u32) -> Vec<u8> {
        let mut out = Vec::new();
        if self.version >= ProtocolVersion::V1_7 {
            Notification::Ping { data_len }.encode(self.version, &mut out);
            out.push(b'\n');
        }
        out
    }

    /// Returns the bytes of several requests in one batch; no bytes for no requests.
    pub fn batch(&mut self, requests: &[Request]) -> (Vec<RequestId>, Vec<u8>) {
        let mut ids = Vec::with_capacity(requests.len());
        let mut out = Vec::new();
        if !requests.is_empty() {
            array(requests, &mut out, |request, out| {
                ids.push(self.write(request, out))
            });
            out.push(b'\n');
        }
        (ids, out)
    }

    /// Forgets a request: its reply, should it come, will be unknown. Returns whether it was waited for.
    pub fn forget(&mut self, id: RequestId) -> bool {
        self.pending.remove(&id.0).is_some()
    }

    /// Takes bytes from the server, in any portions.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
    }

    /// Returns the next event; nothing when more bytes are needed.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            self.events.shrink_to(IDLE_EVENTS);
            match self.decoder.next_line()? {
                Err(error) => return Some(Event::Unexpected(error.into())),
                // An event is larger than the two bytes that cause one.
                Ok(line) => match Incoming::parse(line, self.pending.len() + MAX_UNASKED) {
                    Err(error) => return Some(Event::Unexpected(error.into())),
                    Ok(Incoming::Single(raw)) => {
                        return Some(message(raw, &mut self.pending, &mut self.version));
                    }
                    Ok(Incoming::Batch(messages)) => {
                        for raw in messages {
                            let event = message(raw, &mut self.pending, &mut self.version);
                            self.events.push_back(event);
                        }
                    }
                },
            }
        }
    }

    /// Returns how many requests wait for their reply.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Returns the protocol version of the session: 1.4 until another is negotiated.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    fn track(&mut self, pending: Pending) -> RequestId {
        let id = self.next_id;
        self.next_id += 1;
        self.pending.insert(id, pending);
        RequestId(id)
    }

    fn write(&mut self, request: &Request, out: &mut Vec<u8>) -> RequestId {
        let method = request.method();
        let id = self.track(Pending::Method(method));
        envelope(
            id,
            method.name(),
            |out| request.encode(self.version, out),
            out,
        );
        id
    }
}

fn envelope(id: RequestId, method: &str, params: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    crate::json::number(id.0, out);
    out.extend_from_slice(b",\"method\":\"");
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\",\"params\":");
    params(out);
    out.push(b'}');
}

/// Makes an event of a message.
fn message(
    raw: &RawValue,
    pending: &mut HashMap<u64, Pending>,
    version: &mut ProtocolVersion,
) -> Event {
    let Some(message) = Message::from_raw(raw) else {
        return Event::Unexpected(no_message(raw));
    };
    if let Some(method) = message.method {
        return notification(method, message.params);
    }
    let error = message
        .error
        .filter(|error| !is_null(error))
        .map(error_object);
    if error.is_none() && message.result.is_none() && message.id.is_none() {
        return Event::Unexpected(no_message(raw));
    }
    let id = message.id.and_then(|id| id.get().parse().ok());
    let Some((id, waiting)) = id.and_then(|id| Some((id, pending.remove(&id)?))) else {
        return Event::Unexpected(match (error, message.id) {
            (Some(error), id) if id.is_none_or(is_null) => UnexpectedMessage::Complaint(error),
            (_, id) => UnexpectedMessage::UnknownId {
                id: excerpt(id.map_or("", RawValue::get)),
            },
        });
    };
    let id = RequestId(id);
    let outcome = match (error, message.result) {
        (Some(error), _) => Err(ReplyError::Server(error)),
        (None, Some(result)) => Ok(result),
        (None, None) => Err(ReplyError::Malformed(DecodeError::missing("result"))),
    };
    match waiting {
        Pending::Version(asked) => {
            let result = outcome.and_then(|result| introduced(result, asked));
            if let Ok(response) = &result {
                *version = response.protocol_version;
            }
            Event::Negotiated { id, result }
        }
        Pending::Method(method) => {
            let result = outcome.and_then(|result| {
                Response::from_raw(method, result).map_err(ReplyError::Malformed)
            });
            Event::Reply { id, result }
        }
    }
}

/// Reads the answer to `server.version`.
fn introduced(result: &RawValue, asked: VersionRange) -> Result<VersionResponse, ReplyError> {
    let response = VersionResponse::from_json(result)
        .map_err(|error| ReplyError::Malformed(error.within("result")))?;
    let chosen = response.protocol_version;
    if asked.contains(chosen) {
        Ok(response)
    } else {
        Err(ReplyError::VersionNotAsked { chosen, asked })
    }
}

fn notification(method: &RawValue, params: Option<&RawValue>) -> Event {
    let name = text(method).unwrap_or_default();
    let decoded = params.and_then(|params| Notification::from_raw(&name, params));
    match (decoded, Method::from_name(&name)) {
        (Some(Ok(notification)), _) => Event::Notification(notification),
        (Some(Err(error)), Some(method)) => {
            Event::Unexpected(UnexpectedMessage::MalformedNotification { method, error })
        }
        _ => {
            let method = excerpt(method.get());
            Event::Unexpected(UnexpectedMessage::UnknownNotification { method })
        }
    }
}

/// Reads an error; whatever it is, it is one.
fn error_object(raw: &RawValue) -> ErrorObject {
    ErrorObject::from_json(raw)
        .unwrap_or_else(|_| ErrorObject::new(crate::ErrorCode::UNSPECIFIED, excerpt(raw.get())))
}

fn no_message(raw: &RawValue) -> UnexpectedMessage {
    UnexpectedMessage::NoMessage {
        text: excerpt(raw.get()),
    }
}
