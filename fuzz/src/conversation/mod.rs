//! Both sides of the protocol against each other: whatever they say in whatever order, in whatever pieces it arrives,
//! each reads what the other meant.

mod value;

use std::collections::{HashMap, HashSet, VecDeque};

use arbitrary::{Arbitrary, Unstructured};
use electrum_protocol::client::{Event as ClientEvent, ReplyError, RequestId, UnexpectedMessage};
use electrum_protocol::method::server::Pong;
use electrum_protocol::server::{Event as ServerEvent, Token};
use electrum_protocol::{
    Client, ErrorCode, ErrorObject, Method, Notification, ProtocolVersion, Request, Response,
    Server, ServerConfig, VersionRange,
};

/// Something that one of the two does.
#[derive(Arbitrary, Debug)]
enum Operation {
    /// The client introduces itself.
    Introduce { least: u8, most: u8 },
    /// The client asks.
    Request { method: u8, a: u8, b: u8 },
    /// The client asks for several things at once.
    Batch { asked: Vec<(u8, u8, u8)> },
    /// The client no longer waits for the answer to one of its questions.
    Forget(u8),
    /// The client says nothing, at some length.
    Pad(u8),
    /// So many bytes reach the server, and it acts on them.
    ToServer(u16),
    /// So many bytes reach the client, and it acts on them.
    ToClient(u16),
    /// The server answers one of the open requests.
    Reply {
        which: u8,
        a: u8,
        b: u8,
        is_encoded: bool,
    },
    /// The server refuses one of the open requests.
    Refuse { which: u8, code: i16 },
    /// The server notifies.
    Notify { kind: u8, a: u8, b: u8 },
    /// The server ends the conversation.
    Close,
}

/// How the server is set up.
#[derive(Arbitrary, Debug)]
struct Start {
    version_first: bool,
    least: u8,
    most: u8,
}

const MAX_BATCH: usize = 4;

/// A conversation.
pub fn conversation(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let Ok(start) = Start::arbitrary(&mut data) else {
        return;
    };
    let mut pair = Pair::new(&start);
    for _ in 0..300 {
        if data.is_empty() {
            break;
        }
        let Ok(operation) = Operation::arbitrary(&mut data) else {
            break;
        };
        pair.act(operation);
    }
    pair.finish();
}

/// One message on its way to the server.
#[derive(Debug)]
enum Sent {
    Introduction,
    Request {
        id: RequestId,
        request: Request,
        written_for: ProtocolVersion,
    },
    Padding,
}

/// What the client is to hear under an id.
#[derive(Debug)]
enum Expected {
    Result(Response),
    Error(ErrorObject),
    /// An error in the library's own words.
    Refusal,
}

struct Pair {
    client: Client,
    server: Server,
    config: ServerConfig,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    /// Lines on their way to the server.
    sent: VecDeque<Vec<Sent>>,
    /// Messages that arrived in one line and of which the server has not spoken yet.
    arriving: VecDeque<Sent>,
    open: Vec<(Token, Option<RequestId>, Method)>,
    expected: HashMap<RequestId, Expected>,
    /// Nobody waits for these, answers come nonetheless.
    forgotten: HashSet<RequestId>,
    notifications: VecDeque<Notification>,
    has_negotiated: bool,
    is_closed: bool,
    complaints: usize,
}

fn version(n: u8) -> ProtocolVersion {
    let spoken = ProtocolVersion::SPOKEN;
    let version = spoken.get(usize::from(n) % spoken.len());
    version.copied().unwrap_or(ProtocolVersion::V1_4)
}

fn range(a: u8, b: u8) -> VersionRange {
    let (a, b) = (version(a), version(b));
    VersionRange::new(a.min(b), a.max(b))
}

impl Pair {
    fn new(start: &Start) -> Self {
        let config = ServerConfig {
            version_first: start.version_first,
            versions: range(start.least, start.most),
            max_batch: MAX_BATCH,
            ..ServerConfig::default()
        };
        Self {
            client: Client::default(),
            server: Server::new(config.clone()),
            config,
            to_server: Vec::new(),
            to_client: Vec::new(),
            sent: VecDeque::new(),
            arriving: VecDeque::new(),
            open: Vec::new(),
            expected: HashMap::new(),
            forgotten: HashSet::new(),
            notifications: VecDeque::new(),
            has_negotiated: false,
            is_closed: false,
            complaints: 0,
        }
    }

    fn act(&mut self, operation: Operation) {
        match operation {
            Operation::Introduce { least, most } => {
                let (_, bytes) = self.client.introduce("fuzz \"1\"", range(least, most));
                self.to_server.extend(bytes);
                self.sent.push_back(vec![Sent::Introduction]);
            }
            Operation::Request { method, a, b } => {
                let written_for = self.client.version();
                if let Some(request) = value::request(method, a, b, written_for) {
                    let (id, bytes) = self.client.request(request.clone());
                    self.to_server.extend(bytes);
                    self.sent.push_back(vec![Sent::Request {
                        id,
                        request,
                        written_for,
                    }]);
                }
            }
            Operation::Batch { asked } => self.batch(&asked),
            Operation::Forget(n) => {
                let id = RequestId(n.into());
                if self.client.forget(id) {
                    self.forgotten.insert(id);
                }
            }
            Operation::Pad(data_len) => {
                let bytes = self.client.pad(data_len.into());
                if !bytes.is_empty() {
                    self.to_server.extend(bytes);
                    self.sent.push_back(vec![Sent::Padding]);
                }
            }
            Operation::ToServer(count) => self.deliver_to_server(count.into()),
            Operation::ToClient(count) => self.deliver_to_client(count.into()),
            Operation::Reply {
                which,
                a,
                b,
                is_encoded,
            } => self.reply(which.into(), a, b, is_encoded),
            Operation::Refuse { which, code } => {
                if let Some((token, id, _)) = self.take_open(which.into()) {
                    let error =
                        ErrorObject::new(ErrorCode(code.into()), format!("no \"{which}\"\n"));
                    self.server.reply(token, Err(error.clone()));
                    if let Some(id) = id {
                        self.expected.insert(id, Expected::Error(error));
                    }
                }
            }
            Operation::Notify { kind, a, b } => {
                let notification = value::notification(kind, a, b);
                self.server.notify(&notification);
                self.notifications.push_back(notification);
            }
            Operation::Close => {
                if !self.is_closed {
                    let error = ErrorObject::new(ErrorCode::EXCESSIVE_USAGE, "enough");
                    self.server.close(&error);
                    self.is_closed = true;
                    self.complaints += 1;
                }
            }
        }
    }

    fn batch(&mut self, asked: &[(u8, u8, u8)]) {
        let written_for = self.client.version();
        let requests: Vec<_> = asked
            .iter()
            .take(MAX_BATCH + 1)
            .filter_map(|(method, a, b)| value::request(*method, *a, *b, written_for))
            .collect();
        let (ids, bytes) = self.client.batch(&requests);
        assert_eq!(ids.len(), requests.len());
        if requests.is_empty() {
            return assert!(bytes.is_empty());
        }
        self.to_server.extend(bytes);
        let sent = ids.into_iter().zip(requests);
        let sent = sent.map(|(id, request)| Sent::Request {
            id,
            request,
            written_for,
        });
        self.sent.push_back(sent.collect());
    }

    fn take_open(&mut self, which: usize) -> Option<(Token, Option<RequestId>, Method)> {
        let count = self.open.len();
        (count > 0).then(|| self.open.swap_remove(which % count))
    }

    fn reply(&mut self, which: usize, a: u8, b: u8, is_encoded: bool) {
        let Some((token, id, method)) = self.take_open(which) else {
            return;
        };
        assert_eq!(token.wants_reply(), id.is_some());
        let response = value::response(method, a, b).expect("there is one of every method");
        let version = token.version();
        if is_encoded {
            let mut encoded = Vec::new();
            response.encode(version, &mut encoded);
            self.server.reply_encoded(token, &encoded);
        } else {
            self.server.reply(token, Ok(response.clone()));
        }
        let response = match response {
            // Before 1.7 it says nothing.
            Response::ServerPing(_) if version < ProtocolVersion::V1_7 => {
                Response::ServerPing(Pong::default())
            }
            other => other,
        };
        if let Some(id) = id {
            self.expected.insert(id, Expected::Result(response));
        }
    }

    fn deliver_to_server(&mut self, count: usize) {
        let count = count.min(self.to_server.len());
        let bytes: Vec<_> = self.to_server.drain(..count).collect();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.server.receive(piece);
            if piece.ends_with(b"\n") {
                let line = self.sent.pop_front().expect("a line was sent");
                self.understand(line);
            } else {
                assert!(self.server.poll_event().is_none(), "a line is not complete");
            }
        }
    }

    /// The server has a line: what it makes of it is what was sent.
    fn understand(&mut self, line: Vec<Sent>) {
        if self.is_closed {
            return assert!(self.server.poll_event().is_none(), "nothing follows");
        }
        if line.len() > MAX_BATCH {
            let event = self.server.poll_event();
            assert!(
                matches!(event, Some(ServerEvent::Refused { .. })),
                "{event:?}"
            );
            // Nobody is told which requests these were.
            self.complaints += 1;
            return;
        }
        self.arriving.extend(line);
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Close { .. } => self.is_closed = true,
                event => {
                    let sent = self.arriving.pop_front().expect("something was sent");
                    self.is_meant(event, sent);
                }
            }
        }
        // Before there was a ping, saying the same version again was one.
        let is_sign_of_life = self.has_negotiated && self.server.version() < ProtocolVersion::V1_4;
        for sent in self.arriving.drain(..) {
            let is_again = matches!(sent, Sent::Introduction) && is_sign_of_life;
            assert!(is_again, "nothing comes of {sent:?}");
        }
    }

    fn is_meant(&mut self, event: ServerEvent, sent: Sent) {
        match (event, sent) {
            (ServerEvent::Negotiated { version, .. }, Sent::Introduction) => {
                assert!(self.config.versions.contains(version));
                assert_eq!(self.server.version(), version);
                assert!(!self.has_negotiated);
                self.has_negotiated = true;
            }
            (ServerEvent::Refused { .. }, Sent::Introduction) => {}
            (
                ServerEvent::Refused { .. },
                Sent::Request {
                    id,
                    request,
                    written_for,
                },
            ) => {
                let version = self.server.version();
                let is_early = self.config.version_first && !self.has_negotiated;
                let is_known = written_for == version && request.method().exists_in(version);
                assert!(is_early || !is_known, "{request:?} is refused");
                self.expected.insert(id, Expected::Refusal);
            }
            (
                ServerEvent::Request {
                    token,
                    request: read,
                },
                Sent::Request {
                    id,
                    request,
                    written_for,
                },
            ) => {
                assert_eq!(read.method(), request.method());
                assert_eq!(token.version(), self.server.version());
                assert!(token.wants_reply());
                if written_for == token.version() {
                    assert_eq!(read, request);
                }
                self.open.push((token, Some(id), read.method()));
            }
            (ServerEvent::Request { token, request }, Sent::Padding) => {
                assert_eq!(request.method(), Method::ServerPing);
                self.open.push((token, None, Method::ServerPing));
            }
            (event, sent) => panic!("{event:?} comes of {sent:?}"),
        }
    }

    fn deliver_to_client(&mut self, count: usize) {
        self.to_client.extend(self.server.take_output());
        let count = count.min(self.to_client.len());
        let bytes: Vec<_> = self.to_client.drain(..count).collect();
        self.client.receive(&bytes);
        while let Some(event) = self.client.poll_event() {
            self.hears(event);
        }
    }

    fn hears(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Negotiated { result: Ok(_), .. } => {
                assert_eq!(self.client.version(), self.server.version());
            }
            ClientEvent::Negotiated {
                result: Err(error), ..
            } => {
                // A server of before 1.1 does not say what it speaks, and says so again only to those that ask for it.
                let is_expected = matches!(
                    error,
                    ReplyError::Server(_) | ReplyError::VersionNotAsked { .. }
                );
                assert!(is_expected, "{error}");
            }
            ClientEvent::Reply { id, result } => {
                assert!(!self.forgotten.contains(&id), "nobody waits for {id:?}");
                match (self.expected.remove(&id), result) {
                    // Rates beyond 2^53 are not exact in other servers' numbers either.
                    (
                        Some(Expected::Result(Response::MempoolGetFeeHistogram(_))),
                        Ok(Response::MempoolGetFeeHistogram(_)),
                    ) => {}
                    (Some(Expected::Result(expected)), Ok(read)) => assert_eq!(read, expected),
                    (Some(Expected::Error(expected)), Err(ReplyError::Server(read))) => {
                        assert_eq!(read.message, expected.message);
                        // Before JSON-RPC 2.0 an error was a text.
                        if self.server.version() >= ProtocolVersion::V1_0 {
                            assert_eq!(read.code, expected.code);
                        }
                    }
                    (Some(Expected::Refusal), Err(ReplyError::Server(_))) => {}
                    (expected, result) => panic!("{result:?} instead of {expected:?}"),
                }
            }
            ClientEvent::Notification(notification) => {
                assert_eq!(self.notifications.pop_front(), Some(notification));
            }
            ClientEvent::Unexpected(UnexpectedMessage::UnknownId { id }) => {
                let id = RequestId(id.parse().expect("an id of the client"));
                assert!(self.forgotten.remove(&id), "{id:?} was answered twice");
                self.expected.remove(&id);
            }
            ClientEvent::Unexpected(UnexpectedMessage::Complaint(_)) => {
                self.complaints = self.complaints.checked_sub(1).expect("a reason");
            }
            ClientEvent::Unexpected(other) => panic!("{other}"),
        }
    }

    /// Everything arrives, and everything is answered.
    fn finish(&mut self) {
        self.deliver_to_server(usize::MAX);
        while let Some((token, id, _)) = self.take_open(0) {
            let error = ErrorObject::new(ErrorCode::INTERNAL_ERROR, "the end");
            self.server.reply(token, Err(error.clone()));
            if let Some(id) = id {
                self.expected.insert(id, Expected::Error(error));
            }
        }
        self.deliver_to_client(usize::MAX);
        assert!(self.to_client.is_empty());
        // A batch whose other half came to nothing when the conversation ended is never answered.
        if !self.is_closed {
            assert_eq!(self.server.pending_output(), 0);
            assert!(self.expected.is_empty(), "{:?}", self.expected);
            assert!(self.notifications.is_empty());
            assert_eq!(self.complaints, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

        #[test]
        fn each_reads_what_the_other_meant(data in vec(any::<u8>(), 0..800)) {
            super::conversation(&data);
        }
    }
}
