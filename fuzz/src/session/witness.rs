//! A client that reads everything, and knows what it was promised.

use std::collections::{HashMap, HashSet, VecDeque};

use electrum_protocol::client::{Event, UnexpectedMessage};
use electrum_protocol::jsonrpc::{Id, Incoming, Message, Params};
use electrum_protocol::serde_json::{self, value::RawValue};
use electrum_protocol::{
    Client, ErrorObject, Method, Notification, ProtocolVersion, RawJson, Request, Response,
    ScriptHash,
};
use electrum_server_core::bitcoin::{OutPoint, ScriptBuf, Txid};

/// Something that is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Headers,
    Numblocks,
    Script(ScriptHash),
    Address(String),
    Outpoint(OutPoint),
    Transaction(Txid),
}

/// A message that wants an answer under an id.
#[derive(Debug)]
struct Question {
    id: String,
    request: Option<(String, String)>,
}

/// What the server owes, in order.
#[derive(Debug)]
enum Owed {
    One(Question),
    Batch(Vec<Question>),
}

/// The client.
pub(super) struct Witness {
    max_line: usize,
    max_batch: usize,
    /// A line that is not complete; nothing of one that is too long.
    line: Vec<u8>,
    is_skipping: bool,
    owed: VecDeque<Owed>,
    version: ProtocolVersion,
    /// It may have changed without a word.
    is_version_unsure: bool,
    /// What was said last of each subscription.
    pub(super) told: HashMap<Key, Notification>,
    /// What was subscribed to, or no longer, in a batch: a new tip that came up meanwhile is told after that.
    in_batch: HashSet<Key>,
    /// What the script of an outpoint is, as the client says.
    pub(super) hints: HashMap<OutPoint, Option<ScriptBuf>>,
    /// What may be subscribed to or not: that was asked for without an id.
    unsure: HashSet<Key>,
    /// The server has ended the conversation.
    pub(super) is_over: bool,
    has_farewell: bool,
}

impl Witness {
    pub(super) fn new(max_line: usize, max_batch: usize) -> Self {
        Self {
            max_line,
            max_batch,
            line: Vec::new(),
            is_skipping: false,
            owed: VecDeque::new(),
            version: ProtocolVersion::V1_4,
            is_version_unsure: false,
            told: HashMap::new(),
            in_batch: HashSet::new(),
            hints: HashMap::new(),
            unsure: HashSet::new(),
            is_over: false,
            has_farewell: false,
        }
    }

    /// Whether everything that was asked was answered.
    pub(super) fn is_content(&self) -> bool {
        self.owed.is_empty()
    }

    /// What is subscribed to for certain, and what was said of it last.
    pub(super) fn certain(&self) -> impl Iterator<Item = (&Key, &Notification)> {
        let told = self.told.iter();
        told.filter(|(key, _)| !self.is_version_unsure && !self.unsure.contains(key))
    }

    /// Takes note of bytes that the server receives.
    pub(super) fn sends(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match (byte, self.is_skipping) {
                (b'\n', true) => self.is_skipping = false,
                (b'\n', false) => {
                    let line = std::mem::take(&mut self.line);
                    self.asks(&line);
                }
                (_, true) => {}
                (byte, false) => {
                    self.line.push(*byte);
                    if self.line.len() > self.max_line {
                        self.line.clear();
                        self.is_skipping = true;
                        self.owed.push_back(Owed::One(Question::complaint()));
                    }
                }
            }
        }
    }

    fn asks(&mut self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        match Incoming::parse(line, self.max_batch) {
            Err(_) => self.owed.push_back(Owed::One(Question::complaint())),
            Ok(Incoming::Single(raw)) => {
                let question = self.question(raw);
                self.owed.extend(question.map(Owed::One));
            }
            Ok(Incoming::Batch(messages)) => {
                let questions = messages.into_iter().filter_map(|raw| self.question(raw));
                let questions: Vec<_> = questions.collect();
                if !questions.is_empty() {
                    self.owed.push_back(Owed::Batch(questions));
                }
            }
        }
    }

    /// What a message asks, if that is answered.
    fn question(&mut self, raw: &RawValue) -> Option<Question> {
        let Some(message) = Message::from_raw(raw) else {
            return Some(Question::complaint());
        };
        if message.method.is_none() && (message.result.is_some() || message.error.is_some()) {
            return None;
        }
        let id = match message.id.map(Id::from_raw) {
            None => None,
            Some(None) => return Some(Question::complaint()),
            Some(Some(id)) => Some(id.get().to_owned()),
        };
        let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).ok();
        let method = message.method.and_then(text);
        let request = method.map(|method| {
            let params = message.params.map_or("null", RawValue::get);
            (method, params.to_owned())
        });
        match (id, request) {
            (Some(id), request) => Some(Question { id, request }),
            (None, None) => Some(Question::complaint()),
            (None, Some(request)) => {
                self.asks_in_silence(&request);
                None
            }
        }
    }

    /// Takes note of a request to which no answer comes.
    fn asks_in_silence(&mut self, request: &(String, String)) {
        self.is_version_unsure |= request.0 == "server.version";
        for version in ProtocolVersion::SPOKEN {
            if let Some(request) = decode(request, version) {
                self.unsure.extend(subscribed(&request));
                self.unsure.extend(unsubscribed(&request));
            }
        }
    }

    /// Reads a line from the server.
    pub(super) fn hears(&mut self, line: &[u8]) {
        assert!(!self.has_farewell, "nothing follows the last word");
        match Incoming::parse(line, usize::MAX).expect("JSON is sent") {
            Incoming::Single(raw) => {
                let message = Message::from_raw(raw).expect("a message is sent");
                if message.method.is_some() {
                    return self.is_notified(line);
                }
                let id = message.id.expect("an answer has an id").get();
                match self.owed.pop_front() {
                    Some(Owed::One(question)) if question.id == id => {
                        self.is_answered(question, &message, false);
                    }
                    other => {
                        let text = String::from_utf8_lossy(line);
                        let is_last = self.is_over && id == "null" && message.error.is_some();
                        assert!(is_last, "{text}, but owed is {other:?}");
                        self.has_farewell = true;
                    }
                }
            }
            Incoming::Batch(answers) => {
                let Some(Owed::Batch(questions)) = self.owed.pop_front() else {
                    panic!("a batch that nobody sent");
                };
                assert_eq!(questions.len(), answers.len());
                for (question, raw) in questions.into_iter().zip(answers) {
                    let message = Message::from_raw(raw).expect("a message is sent");
                    let id = message.id.map(RawValue::get);
                    assert_eq!(id, Some(question.id.as_str()));
                    self.is_answered(question, &message, true);
                }
            }
        }
    }

    fn is_answered(&mut self, question: Question, message: &Message<'_>, in_batch: bool) {
        let Some(result) = message.result else {
            let error = message.error.expect("a result or an error");
            let text = serde_json::from_str::<String>(error.get()).is_ok();
            let object: Result<ErrorObject, _> = parse_error(error);
            assert!(text || object.is_ok(), "{error}");
            return;
        };
        assert!(message.error.is_none());
        let Some((method, params)) = question.request else {
            panic!("a result for what is no request");
        };
        if method == "server.version" {
            // Servers of 0.10 said which version they spoke, those of 1.0 what they were.
            self.version = match serde_json::from_str::<String>(result.get()) {
                Ok(text) => text.parse().unwrap_or(ProtocolVersion::V1_0),
                Err(_) => serde_json::from_str::<(String, String)>(result.get())
                    .map(|(_, version)| version.parse().expect("a version"))
                    .expect("software and version"),
            };
            return;
        }
        if self.is_version_unsure {
            return;
        }
        let request = decode(&(method, params), self.version).expect("it was understood");
        let result = RawJson::parse(result.get()).expect("JSON");
        let response = Response::decode(request.method(), &result).expect("clients can read it");
        if let Some(key) = unsubscribed(&request) {
            self.told.remove(&key);
            match in_batch {
                true => self.in_batch.insert(key),
                false => self.in_batch.remove(&key),
            };
        }
        if let Some(key) = subscribed(&request) {
            if let Request::OutpointSubscribe(subscribe) = request {
                self.hints.insert(subscribe.outpoint, subscribe.script_hint);
            }
            let told = notification(&key, response);
            match in_batch {
                true => self.in_batch.insert(key.clone()),
                false => self.in_batch.remove(&key),
            };
            self.told.insert(key, told);
        }
    }

    fn is_notified(&mut self, line: &[u8]) {
        let mut client = Client::default();
        client.receive(line);
        client.receive(b"\n");
        let Some(Event::Notification(notification)) = client.poll_event() else {
            panic!("clients cannot read {}", String::from_utf8_lossy(line));
        };
        let key = match &notification {
            Notification::Headers(_) => Key::Headers,
            Notification::Numblocks(_) => Key::Numblocks,
            Notification::ScriptHash { script_hash, .. } => Key::Script(*script_hash),
            Notification::Address { address, .. } => Key::Address(address.clone()),
            Notification::Outpoint { outpoint, .. } => Key::Outpoint(*outpoint),
            Notification::Transaction { txid, .. } => Key::Transaction(*txid),
            Notification::Ping { .. } => panic!("the server is not to ping"),
        };
        if self.is_version_unsure || self.unsure.contains(&key) {
            return;
        }
        let is_tip = matches!(key, Key::Headers | Key::Numblocks);
        let is_late = self.in_batch.remove(&key) && is_tip;
        match self.told.get_mut(&key) {
            Some(told) => {
                assert!(is_late || *told != notification, "said twice: {told:?}");
                *told = notification;
            }
            None => assert!(is_late, "not subscribed: {notification:?}"),
        }
    }
}

impl Question {
    /// Something that is no request: it is answered with an error under no id.
    fn complaint() -> Self {
        Self {
            id: "null".to_owned(),
            request: None,
        }
    }
}

/// Reads an error as a client does: as the answer to a request.
fn parse_error(error: &RawValue) -> Result<ErrorObject, ()> {
    let mut client = Client::default();
    client.receive(format!("{{\"id\":null,\"error\":{}}}\n", error.get()).as_bytes());
    match client.poll_event() {
        Some(Event::Unexpected(UnexpectedMessage::Complaint(error)))
            if error.code.0 != 0 && !error.message.is_empty() =>
        {
            Ok(error)
        }
        _ => Err(()),
    }
}

fn decode((method, params): &(String, String), version: ProtocolVersion) -> Option<Request> {
    let method = Method::from_name(method).filter(|method| method.exists_in(version))?;
    Request::decode(method, Params::parse(params).ok()?, version).ok()
}

fn subscribed(request: &Request) -> Option<Key> {
    Some(match request {
        Request::HeadersSubscribe(_) => Key::Headers,
        Request::NumblocksSubscribe(_) => Key::Numblocks,
        Request::ScripthashSubscribe(params) => Key::Script(params.script_hash),
        Request::ScriptpubkeySubscribe(params) => {
            Key::Script(ScriptHash::from_script(&params.script))
        }
        Request::AddressSubscribe(params) => Key::Address(params.address.clone()),
        Request::OutpointSubscribe(params) => Key::Outpoint(params.outpoint),
        Request::TransactionSubscribe(params) => Key::Transaction(params.txid),
        _ => return None,
    })
}

fn unsubscribed(request: &Request) -> Option<Key> {
    Some(match request {
        Request::HeadersUnsubscribe(_) => Key::Headers,
        Request::ScripthashUnsubscribe(params) => Key::Script(params.script_hash),
        Request::ScriptpubkeyUnsubscribe(params) => {
            Key::Script(ScriptHash::from_script(&params.script))
        }
        Request::OutpointUnsubscribe(params) => Key::Outpoint(params.outpoint),
        Request::TransactionUnsubscribe(params) => Key::Transaction(params.txid),
        _ => return None,
    })
}

/// What the answer to a subscription would be as a notification.
fn notification(key: &Key, response: Response) -> Notification {
    match (key, response) {
        (Key::Headers, Response::HeadersSubscribe(tip)) => Notification::Headers(tip),
        (Key::Numblocks, Response::NumblocksSubscribe(height)) => Notification::Numblocks(height),
        (
            Key::Script(script_hash),
            Response::ScripthashSubscribe(status) | Response::ScriptpubkeySubscribe(status),
        ) => Notification::ScriptHash {
            script_hash: *script_hash,
            status,
        },
        (Key::Address(address), Response::AddressSubscribe(status)) => Notification::Address {
            address: address.clone(),
            status,
        },
        (Key::Outpoint(outpoint), Response::OutpointSubscribe(status)) => Notification::Outpoint {
            outpoint: *outpoint,
            status,
        },
        (Key::Transaction(txid), Response::TransactionSubscribe(height)) => {
            Notification::Transaction {
                txid: *txid,
                height,
            }
        }
        (key, response) => panic!("{response:?} says nothing of {key:?}"),
    }
}
