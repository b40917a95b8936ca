//! The server's side of a conversation, without I/O.
//!
//! Bytes enter through [`Server::receive`]; [`Server::poll_event`] yields typed requests; [`Server::reply`] and
//! [`Server::notify`] turn answers into bytes, which leave through [`Server::take_output`]. What is wrong with a
//! message is answered here; what a request means, whether it is allowed and what it costs is the caller's affair.

mod outbox;

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::frame::LineDecoder;
use crate::json::{ToJson, excerpt, text};
use crate::jsonrpc::{ErrorCode, ErrorObject, Id, Incoming, Message, Params, ParseError};
use crate::method::server::{Version, VersionResponse};
use crate::method::{Method, Parameters, Request, Response};
use crate::notification::Notification;
use crate::version::{ProtocolVersion, VersionRange};
use outbox::{Address, Outbox};
pub use outbox::{Chunk, SharedResult};

/// What a server says about itself, and what it puts up with.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The name and version of the software, as `server.version` returns it.
    pub software: String,
    /// The protocol versions on offer.
    pub versions: VersionRange,
    /// Whether every request before `server.version` is refused. Otherwise such a client is taken to speak 1.4.
    pub version_first: bool,
    /// The longest line that is read, in bytes.
    pub max_line: usize,
    /// The longest line that is written as an answer, in bytes.
    pub max_response: usize,
    /// The most messages in a batch.
    pub max_batch: usize,
}

/// Accepts every version in any order, lines of 1 MB, answers of 8.1 MB (what wallets read) and batches of 345.
impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            software: concat!("electrum-protocol ", env!("CARGO_PKG_VERSION")).to_owned(),
            versions: VersionRange::SPOKEN,
            version_first: false,
            max_line: 1_000_000,
            max_response: 8_100_000,
            max_batch: 345,
        }
    }
}

/// Something that the caller has to act upon.
#[derive(Debug)]
pub enum Event {
    /// A request came; answer it with [`Server::reply`].
    Request {
        /// Where the answer belongs.
        token: Token,
        /// What is wanted.
        request: Request,
    },
    /// The client introduced itself with `server.version`. The answer is already on its way out.
    Negotiated {
        /// What the client calls itself, at most 80 characters of it; may be empty.
        client_name: String,
        /// What both sides speak from here on.
        version: ProtocolVersion,
    },
    /// A message was refused, and answered if it asked for an answer. Counts as abuse.
    Refused {
        /// Why.
        code: ErrorCode,
    },
    /// The conversation is over: send the output, then close. No event follows.
    Close {
        /// Why, in words for a log.
        reason: String,
    },
}

/// The place in the conversation where the answer to one request belongs.
///
/// Every token must come back through [`Server::reply`], even that of a request that wants no answer.
#[derive(Debug)]
#[must_use = "a batch is answered only when every token of it came back"]
pub struct Token {
    address: Option<Address>,
    version: ProtocolVersion,
}

impl Token {
    /// Returns how many bytes the request's id takes, which the answer repeats.
    pub fn id_len(&self) -> usize {
        self.address.as_ref().map_or(0, Address::id_len)
    }

    /// Tells whether the client wants an answer; it does not to a request without an id.
    pub fn wants_reply(&self) -> bool {
        self.address.is_some()
    }

    /// Returns the protocol version in whose shape the client expects the answer.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }
}

/// The server's side of one conversation.
#[derive(Debug)]
pub struct Server {
    decoder: LineDecoder,
    /// How long the line is whose events are being taken.
    line: usize,
    session: Session,
}

impl Server {
    /// Starts a conversation.
    pub fn new(config: impl Into<Arc<ServerConfig>>) -> Self {
        let config = config.into();
        Self {
            decoder: LineDecoder::new(config.max_line),
            line: 0,
            session: Session {
                outbox: Outbox::new(config.max_response),
                config,
                negotiated: None,
                closed: false,
                events: VecDeque::new(),
            },
        }
    }

    /// Takes bytes from the client, in any portions.
    pub fn receive(&mut self, bytes: &[u8]) {
        if !self.session.closed {
            self.decoder.push(bytes);
        }
    }

    /// Returns the next event; nothing when more bytes are needed.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.session.events.pop_front() {
                return Some(event);
            }
            // One batch needs room for a thousand, and most clients never send another.
            self.session.events.shrink_to(IDLE_EVENTS);
            self.line = 0;
            if self.session.closed {
                return None;
            }
            match self.decoder.next_line()? {
                Ok(line) => {
                    self.line = line.len();
                    self.session.line(line);
                }
                Err(error) => {
                    let error = ErrorObject::new(ErrorCode::INVALID_REQUEST, error.to_string());
                    self.session.refuse(Some(Address::of_nothing()), error);
                }
            }
        }
    }

    /// Answers a request. The answer to the last open request of a batch sends the whole batch.
    ///
    /// A result whose line would be longer than [`ServerConfig::max_response`] becomes an error.
    pub fn reply(&mut self, token: Token, result: Result<Response, ErrorObject>) {
        let Some(address) = token.address else { return };
        match result {
            Ok(response) => {
                self.session
                    .outbox
                    .result(address, |out| response.encode(token.version, out));
            }
            Err(error) => self.session.outbox.error(address, &error),
        }
    }

    /// Answers a request with a result that [`Response::encode`] wrote before, for the version of this
    /// [token](Token::version): what many clients ask for is encoded once.
    ///
    /// A result whose line would be longer than [`ServerConfig::max_response`] becomes an error.
    pub fn reply_encoded(&mut self, token: Token, result: &[u8]) {
        let Some(address) = token.address else { return };
        let outbox = &mut self.session.outbox;
        outbox.result(address, |out| out.extend_from_slice(result));
    }

    /// Answers a request with a result that [`Response::encode`] wrote before, which others may send at the same time:
    /// outside a batch it is not copied. It must not contain a line end.
    ///
    /// A result whose line would be longer than [`ServerConfig::max_response`] becomes an error.
    pub fn reply_shared(&mut self, token: Token, result: SharedResult) {
        if let Some(address) = token.address {
            self.session.outbox.shared_result(address, result);
        }
    }

    /// Sends a notification. While a batch is being answered it waits for the end of that batch, so that no status
    /// overtakes the answer to its subscription.
    pub fn notify(&mut self, notification: &Notification) {
        self.session.outbox.notify(notification, self.version());
    }

    /// Ends the conversation with an error that answers no request in particular; its id is `null`.
    ///
    /// What is received from here on is ignored, and no event follows.
    pub fn close(&mut self, error: &ErrorObject) {
        self.session.outbox.error(Address::of_nothing(), error);
        self.session.events.clear();
        self.session.closed = true;
    }

    /// Takes the bytes to send: whole lines, in order.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.session.outbox.take()
    }

    /// Takes the same bytes without copying results that are [shared](Self::reply_shared). A line may be in several
    /// chunks; the last chunk ends with a line.
    pub fn take_chunks(&mut self) -> impl Iterator<Item = Chunk> + use<> {
        self.session.outbox.take_chunks()
    }

    /// Returns how many bytes wait to be taken, or for the end of a batch.
    pub fn pending_output(&self) -> usize {
        self.session.outbox.len()
    }

    /// Returns how many bytes could be taken now.
    pub fn ready_output(&self) -> usize {
        self.session.outbox.ready()
    }

    /// Returns how many of the bytes that wait belong to this conversation alone: all but those of shared results.
    pub fn owned_output(&self) -> usize {
        self.session.outbox.owned()
    }

    /// Returns how many bytes the answers of the batch that is being answered may have at most, of which some may wait
    /// already; nothing when no batch is open.
    pub fn most_of_batch(&self) -> Option<usize> {
        self.session.outbox.most_of_batches()
    }

    /// Returns how many bytes were received and not read yet.
    pub fn pending_input(&self) -> usize {
        self.decoder.buffered()
    }

    /// Returns how many bytes of what was received are held in whatever form: those not read yet, and the line whose
    /// events are being taken.
    pub fn held_input(&self) -> usize {
        self.decoder.buffered() + self.line
    }

    /// Returns the protocol version of the session: 1.4 until the client negotiates another.
    pub fn version(&self) -> ProtocolVersion {
        self.session.version()
    }
}

/// Everything but the framing.
#[derive(Debug)]
struct Session {
    config: Arc<ServerConfig>,
    negotiated: Option<ProtocolVersion>,
    closed: bool,
    events: VecDeque<Event>,
    outbox: Outbox,
}

/// How many events there is room for in a conversation at rest.
const IDLE_EVENTS: usize = 4;
/// The characters of a client's name that are kept.
const MAX_CLIENT_NAME: usize = 80;

impl Session {
    fn version(&self) -> ProtocolVersion {
        self.negotiated.unwrap_or(ProtocolVersion::V1_4)
    }

    fn line(&mut self, line: &[u8]) {
        match Incoming::parse(line, self.config.max_batch) {
            Ok(Incoming::Single(raw)) => self.message(raw, None),
            Ok(Incoming::Batch(messages)) => {
                let batch = self.outbox.open_batch();
                for raw in messages {
                    self.message(raw, Some(batch));
                }
                self.outbox.seal_batch(batch);
            }
            Err(error) => {
                let code = match error {
                    ParseError::NotUtf8(_) | ParseError::NotJson(_) => ErrorCode::PARSE_ERROR,
                    _ => ErrorCode::INVALID_REQUEST,
                };
                let error = ErrorObject::new(code, error.to_string());
                self.refuse(Some(Address::of_nothing()), error);
            }
        }
        if self.closed {
            let reason = "no common protocol version".to_owned();
            self.events.push_back(Event::Close { reason });
        }
    }

    /// Handles one message, alone or in a batch.
    fn message(&mut self, raw: &RawValue, batch: Option<u64>) {
        let invalid = |message: &str| ErrorObject::new(ErrorCode::INVALID_REQUEST, message);
        let Some(message) = Message::from_raw(raw) else {
            let address = self.outbox.address(Id::null(), batch);
            return self.refuse(
                Some(address),
                invalid("request object must be a dictionary"),
            );
        };
        if message.method.is_none() && (message.result.is_some() || message.error.is_some()) {
            // An answer to an answer might be answered again.
            return self.refuse(None, invalid("unexpected response"));
        }
        let id = match message.id.map(|id| (id, Id::from_raw(id))) {
            None => None,
            Some((_, Some(id))) => Some(id),
            Some((id, None)) => {
                let error = format!("invalid \"id\": {}", excerpt(id.get()));
                let address = self.outbox.address(Id::null(), batch);
                return self.refuse(Some(address), invalid(&error));
            }
        };
        let address = id.map(|id| self.outbox.address(id, batch));
        let (name, params) = match envelope(&message) {
            Ok(envelope) => envelope,
            Err(error) => {
                // Not even a notification, so the client is told in any case.
                let address = address.unwrap_or_else(|| self.outbox.address(Id::null(), batch));
                return self.refuse(Some(address), error);
            }
        };
        if let Err((address, error)) = self.request(&name, params, address) {
            self.refuse(address, error);
        }
    }

    /// Reads a request and passes it on, or gives its address back together with what is wrong.
    fn request(
        &mut self,
        name: &str,
        params: Params<'_>,
        address: Option<Address>,
    ) -> Result<(), (Option<Address>, ErrorObject)> {
        let bad_request = |message| ErrorObject::new(ErrorCode::BAD_REQUEST, message);
        if self.closed {
            return Err((address, bad_request("the connection is closing")));
        }
        if name == Version::NAME {
            return self.introduce(params, address);
        }
        if self.config.version_first && self.negotiated.is_none() {
            return Err((
                address,
                bad_request("use server.version to identify client"),
            ));
        }
        let version = self.version();
        match decode(name, params, version) {
            Ok(request) => {
                let token = Token { address, version };
                self.events.push_back(Event::Request { token, request });
                Ok(())
            }
            Err(error) => Err((address, error)),
        }
    }

    /// Answers `server.version`.
    fn introduce(
        &mut self,
        params: Params<'_>,
        address: Option<Address>,
    ) -> Result<(), (Option<Address>, ErrorObject)> {
        let bad_request = |message: String| ErrorObject::new(ErrorCode::BAD_REQUEST, message);
        let (asked, raw) = match asked(params) {
            Ok(asked) => asked,
            Err(error) => return Err((address, error)),
        };
        if let Some(spoken) = self.negotiated {
            // Before there was a ping, this was how clients showed that they are still there.
            let range = VersionRange::exactly(spoken);
            let again = asked.is_some_and(|asked| {
                spoken < ProtocolVersion::V1_4 && range.negotiate(asked.protocol_version).is_some()
            });
            if !again {
                let message = format!("{} already sent", Version::NAME);
                return Err((address, bad_request(message)));
            }
            self.say_version(spoken, address);
            return Ok(());
        }
        let version = asked
            .as_ref()
            .and_then(|asked| self.config.versions.negotiate(asked.protocol_version));
        let (Some(Version { client_name, .. }), Some(version)) = (asked, version) else {
            self.closed = true;
            return Err((
                address,
                bad_request(format!("unsupported protocol version: {raw}")),
            ));
        };
        self.negotiated = Some(version);
        self.outbox.speak(version);
        self.say_version(version, address);
        let client_name = client_name.chars().take(MAX_CLIENT_NAME).collect();
        self.events.push_back(Event::Negotiated {
            client_name,
            version,
        });
        Ok(())
    }

    fn say_version(&mut self, version: ProtocolVersion, address: Option<Address>) {
        let Some(address) = address else { return };
        let response = VersionResponse {
            software: self.config.software.clone(),
            protocol_version: version,
        };
        self.outbox
            .result(address, |out| response.to_json(version, out));
    }

    /// Queues an error for whoever asked, and tells the caller.
    fn refuse(&mut self, address: Option<Address>, error: ErrorObject) {
        if let Some(address) = address {
            self.outbox.error(address, &error);
        }
        self.events.push_back(Event::Refused { code: error.code });
    }
}

/// Takes method and params out of a message that ought to be a request.
///
/// What `jsonrpc` says is not looked at: clients exist that put the protocol's version there, and every version of
/// JSON-RPC means the same by the rest.
fn envelope<'a>(
    message: &Message<'a>,
) -> Result<(std::borrow::Cow<'a, str>, Params<'a>), ErrorObject> {
    let invalid = |message: String| ErrorObject::new(ErrorCode::INVALID_REQUEST, message);
    let method = message
        .method
        .ok_or_else(|| invalid("no \"method\"".to_owned()))?;
    let name = text(method)
        .ok_or_else(|| invalid(format!("invalid \"method\": {}", excerpt(method.get()))))?;
    Ok((name, Params::new(message.params)))
}

/// Reads a request of the method table.
fn decode(
    name: &str,
    params: Params<'_>,
    version: ProtocolVersion,
) -> Result<Request, ErrorObject> {
    let unknown = |message: String| ErrorObject::new(ErrorCode::METHOD_NOT_FOUND, message);
    let Some(method) = Method::from_name(name) else {
        return Err(unknown(format!("unknown method \"{}\"", excerpt(name))));
    };
    if !method.exists_in(version) {
        return Err(unknown(format!(
            "unknown method \"{name}\" in protocol {version}"
        )));
    }
    Request::decode(method, params, version)
        .map_err(|error| ErrorObject::new(ErrorCode::INVALID_PARAMS, error.to_string()))
}

/// Reads what a client asks `server.version` for: nothing when that is not a version, and its text for a message.
fn asked(params: Params<'_>) -> Result<(Option<Version>, String), ErrorObject> {
    let wrong =
        |error: crate::DecodeError| ErrorObject::new(ErrorCode::INVALID_PARAMS, error.to_string());
    let [name, version] = params
        .bind(["client_name", "protocol_version"])
        .map_err(wrong)?;
    crate::json::optional::<String>(name, "client_name").map_err(wrong)?;
    let raw = match version {
        Some(version) => {
            text(version).map_or_else(|| excerpt(version.get()), |text| excerpt(&text))
        }
        None => ProtocolVersion::V1_4.to_string(),
    };
    Ok((Version::decode(params, ProtocolVersion::V1_4).ok(), raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_until_all_of_it_is_handled() {
        let mut server = Server::new(ServerConfig::default());
        let batch = [r#"{"id":1,"method":"server.ping"}"#; 3].join(",");
        let line = format!("[{batch}]");
        server.receive(format!("{line}\n{{").as_bytes());
        assert_eq!(server.held_input(), line.len() + 2);
        for _ in 0..3 {
            let Some(Event::Request { token, .. }) = server.poll_event() else {
                panic!("a request");
            };
            assert_eq!(token.id_len(), 1);
            server.reply(token, Ok(Response::ServerPing(Default::default())));
            assert_eq!(server.held_input(), line.len() + 1);
        }
        assert!(server.poll_event().is_none());
        assert_eq!(server.held_input(), 1);
    }

    #[test]
    fn a_conversation_at_rest_keeps_no_room_for_a_batch() {
        let mut server = Server::new(ServerConfig::default());
        let batch = vec![r#"{"id":1,"method":"server.ping"}"#; 300].join(",");
        server.receive(format!("[{batch}]\n").as_bytes());
        let mut count = 0;
        while let Some(event) = server.poll_event() {
            let Event::Request { token, request } = event else {
                panic!("{event:?}");
            };
            assert!(matches!(request, Request::ServerPing(_)));
            server.reply(token, Ok(Response::ServerPing(Default::default())));
            count += 1;
        }
        assert_eq!(count, 300);
        assert!(server.session.events.capacity() < 16);
    }
}
