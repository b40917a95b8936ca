//! A client that waits: one connection, no runtime, no threads.
//!
//! ```no_run
//! use electrum_protocol::blocking;
//! use electrum_protocol::method::{headers, scripthash};
//! use electrum_protocol::net::Config;
//! use electrum_protocol::{Batch, ScriptHash};
//!
//! let config = Config::new("tcp://127.0.0.1:50001".parse()?);
//! let mut client = blocking::connect(&config)?;
//! let tip = client.subscribe(headers::Subscribe::RAW)?;
//! println!("{} speaks {}, at height {}", client.software(), client.version(), tip.height);
//!
//! let script_hash = ScriptHash::from_byte_array([0; 32]);
//! let balance = client.request(scripthash::GetBalance { script_hash })?;
//! println!("{} confirmed", balance.confirmed);
//!
//! while let Some(news) = client.wait(std::time::Duration::from_secs(3600))? {
//!     println!("{news:?}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dial;
mod lines;
mod wire;

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batch::{Batch, Replies};
use crate::client::{Event, ReplyError, RequestId, UnexpectedMessage};
use crate::frame::FrameError;
use crate::jsonrpc::ErrorObject;
use crate::method::server::VersionResponse;
use crate::method::{Call, Request, Response};
use crate::net::{Config, ConnectError, News, alive, bearable, complaint_of, explained, is_unread};
use crate::notification::Notification;
use crate::request_error::RequestError;
use crate::subscription::{Subscribe, Topic};
use crate::version::ProtocolVersion;
pub use lines::Lines;
use wire::{Deadline, Timed, Wire};

/// Connects to a server and negotiates a version.
///
/// # Errors
///
/// When there is no way to the server, or none in which both can speak; [`ConnectError::is_transient`] says whether it is
/// worth another try.
pub fn connect(config: &Config) -> Result<Client, ConnectError> {
    let deadline = after(config.connect_timeout);
    let wire = dial::dial(config, deadline)?;
    Client::introduce(wire, config, deadline)
}

/// Connects over a stream of the caller's that leads to the address of `config`: a tunnel, a unix socket that stands for
/// `tcp://`. TLS and a WebSocket are laid over it if the address has them; its proxy is not asked.
///
/// The times of `config` count between two reads or writes of the stream, and cannot interrupt one: let it give up now
/// and then with [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::TimedOut`], such as by
/// [`TcpStream::set_read_timeout`](std::net::TcpStream::set_read_timeout). It is asked again until the time is over.
///
/// # Errors
///
/// As [`connect`].
pub fn connect_over(
    stream: impl Read + Write + Send + 'static,
    config: &Config,
) -> Result<Client, ConnectError> {
    let until = after(config.connect_timeout);
    let deadline = Deadline::new(until);
    let stream = Timed::new(stream, deadline.clone());
    let wire = dial::layers(Box::new(stream), deadline, config)?;
    let deadline = until;
    Client::introduce(wire, config, deadline)
}

/// Returns when a time from now on is over.
fn after(time: Duration) -> Instant {
    Instant::now() + bearable(time)
}

/// A connection to a server. Dropping it closes the connection.
///
/// It can be sent to another thread; several share it by a [`Mutex`](std::sync::Mutex).
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    protocol: crate::Client,
    server: VersionResponse,
    request_timeout: Duration,
    keep_alive: Option<Duration>,
    max_batch: usize,
    /// When something last came.
    heard: Instant,
    replies: HashMap<RequestId, Result<Response, ReplyError>>,
    /// Of requests that are not answered yet.
    subscribing: HashMap<RequestId, Topic>,
    topics: HashSet<Topic>,
    news: News,
    /// What the server last said about nothing in particular: often why it closes.
    complaint: Option<ErrorObject>,
    /// What an answer means that does not say whose it is: one that is not read, or to what the server did not read.
    nameless: Option<RequestError>,
    /// Whether an answer may still come that nobody waits for any more.
    gave_up: bool,
    lost: Option<Arc<io::Error>>,
}

impl Client {
    fn introduce(wire: Wire, config: &Config, deadline: Instant) -> Result<Self, ConnectError> {
        let mut client = Self {
            wire,
            protocol: crate::Client::new(config.max_line),
            server: VersionResponse {
                software: String::new(),
                protocol_version: ProtocolVersion::V1_4,
            },
            request_timeout: config.request_timeout,
            keep_alive: config.keep_alive,
            max_batch: config.max_batch.max(1),
            heard: Instant::now(),
            replies: HashMap::new(),
            subscribing: HashMap::new(),
            topics: HashSet::new(),
            news: News::default(),
            complaint: None,
            nameless: None,
            gave_up: false,
            lost: None,
        };
        let address = || config.address.to_string();
        let (_, bytes) = client
            .protocol
            .introduce(&config.client_name, config.versions);
        let result = client.write(&bytes, deadline).and_then(|()| {
            loop {
                while let Some(event) = client.protocol.poll_event() {
                    match event {
                        Event::Negotiated { result, .. } => return Ok(result),
                        Event::Unexpected(UnexpectedMessage::Complaint(error)) => {
                            return Ok(Err(ReplyError::Server(error)));
                        }
                        event => client.take(event),
                    }
                }
                client.read(deadline)?;
            }
        });
        match result {
            Ok(Ok(server)) => {
                client.server = server;
                Ok(client)
            }
            Ok(Err(error)) => Err(ConnectError::Negotiation {
                address: address(),
                error,
            }),
            Err(RequestError::Disconnected(error)) => Err(ConnectError::Closed {
                address: address(),
                error: io::Error::new(error.kind(), error.to_string()),
            }),
            Err(_) => Err(ConnectError::TimedOut { address: address() }),
        }
    }

    /// Asks for something, and waits for the result.
    ///
    /// # Errors
    ///
    /// When the server refuses, or does not answer; see [`RequestError::is_transient`].
    pub fn request<C: Call>(&mut self, call: C) -> Result<C::Response, RequestError> {
        let response = self.send(call.into())?;
        C::unwrap(response).ok_or(RequestError::NotInBatch { method: C::METHOD })
    }

    /// Asks for something whose method is known at run time only.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn send(&mut self, request: Request) -> Result<Response, RequestError> {
        self.check(&request)?;
        let deadline = after(self.request_timeout);
        let (began, ended) = (request.topic(), request.ends());
        let (id, bytes) = self.protocol.request(request);
        self.expect(id, began, ended);
        let sent = self.write(&bytes, deadline);
        let awaited = sent.and_then(|()| self.wait_for(&[id], deadline));
        self.collect(id, awaited.err())
    }

    /// Asks for several things at once, and waits for all results.
    ///
    /// They go out in arrays of [`Config::max_batch`], one array after the other, and each may take the time of a request.
    /// When an array brings no answer at all in that time, those behind it are not sent.
    ///
    /// Subscriptions may be among them: what changes later comes out of [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// When the connection was lost before. What is wrong with one request stands in its place.
    pub fn batch(&mut self, batch: Batch) -> Result<Replies, RequestError> {
        if let Some(error) = &self.lost {
            return Err(RequestError::Disconnected(error.clone()));
        }
        let mut results = Vec::with_capacity(batch.len());
        let mut silent = false;
        for requests in batch.requests().chunks(self.max_batch) {
            // One after the other: a server that waits for us to read is not written to.
            match silent {
                false => silent = self.array(requests, &mut results),
                true => results.extend(requests.iter().map(|_| Err(RequestError::TimedOut))),
            }
        }
        Ok(results.into_iter().collect())
    }

    /// Asks for what fits into an array. Tells whether there was no answer at all in time.
    fn array(
        &mut self,
        requests: &[Request],
        results: &mut Vec<Result<Response, RequestError>>,
    ) -> bool {
        let checks: Vec<_> = requests.iter().map(|request| self.check(request)).collect();
        let good: Vec<_> = requests
            .iter()
            .zip(&checks)
            .filter(|(_, check)| check.is_ok())
            .map(|(request, _)| request.clone())
            .collect();
        let deadline = after(self.request_timeout);
        let (ids, bytes) = self.protocol.batch(&good);
        for (id, request) in ids.iter().zip(&good) {
            self.expect(*id, request.topic(), request.ends());
        }
        let sent = self.write(&bytes, deadline);
        let failure = sent.and_then(|()| self.wait_for(&ids, deadline)).err();
        let silent = matches!(failure, Some(RequestError::TimedOut))
            && !ids.iter().any(|id| self.replies.contains_key(id));
        let mut replies = ids.into_iter();
        for check in checks {
            let result = check.and_then(|()| {
                let id = replies.next().expect("each good request has an id");
                self.collect(id, failure.clone())
            });
            results.push(result);
        }
        silent
    }

    /// Subscribes, and returns how things stand. What changes later comes out of [`wait`](Self::wait).
    ///
    /// To subscribe to many things, put these requests into a [`batch`](Self::batch).
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn subscribe<S: Subscribe>(&mut self, call: S) -> Result<S::Update, RequestError> {
        self.request(call).map(S::first)
    }

    /// Ends a subscription; of those that the protocol cannot end, no news is told any more.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn unsubscribe<S: Subscribe>(&mut self, call: &S) -> Result<(), RequestError> {
        self.ignore(&call.topic());
        match call.unsubscribe(self.version()) {
            Some(request) => self.send(request).map(drop),
            None => Ok(()),
        }
    }

    /// Waits for news of what was subscribed to, in whichever way it was asked for; nothing when none came in time.
    ///
    /// Of several news about one thing only the last is told. While it waits it shows the server now and then that it is
    /// still there, and notices when the server is not.
    ///
    /// # Errors
    ///
    /// When the connection is lost, or the server shows no sign of life.
    pub fn wait(&mut self, at_most: Duration) -> Result<Option<Notification>, RequestError> {
        // What has arrived already is read even by those who do not want to wait.
        let deadline = after(at_most.max(Duration::from_millis(1)));
        loop {
            if let Some(news) = self.next_news() {
                return Ok(Some(news));
            }
            let restless = self.keep_alive.map(|pause| self.heard + bearable(pause));
            let next = restless.map_or(deadline, |restless| restless.min(deadline));
            match self.read(next) {
                Ok(()) => self.take_all(),
                Err(RequestError::TimedOut) if Instant::now() >= deadline => return Ok(None),
                // A clock of the system's may be early.
                Err(RequestError::TimedOut) if Instant::now() < next => {}
                Err(RequestError::TimedOut) => {
                    match self.send(alive(self.version())) {
                        Err(RequestError::TimedOut) => {
                            return Err(self.lose(io::ErrorKind::TimedOut.into()));
                        }
                        Err(error @ RequestError::Disconnected(_)) => return Err(error),
                        // Whatever it says, it is there.
                        _ => {}
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns news that came while something else was waited for; nothing when there is none.
    pub fn next_news(&mut self) -> Option<Notification> {
        self.news.pop()
    }

    /// Returns the protocol version of the session.
    pub fn version(&self) -> ProtocolVersion {
        self.server.protocol_version
    }

    /// Returns the name and version of the server's software. Text of a stranger.
    pub fn software(&self) -> &str {
        &self.server.software
    }

    fn check(&self, request: &Request) -> Result<(), RequestError> {
        if let Some(error) = &self.lost {
            return Err(RequestError::Disconnected(error.clone()));
        }
        let (method, version) = (request.method(), self.protocol.version());
        match method.exists_in(version) {
            true => Ok(()),
            false => Err(RequestError::NotInVersion { method, version }),
        }
    }

    /// Notes what a request begins or ends to be told.
    fn expect(&mut self, id: RequestId, began: Option<Topic>, ended: Option<Topic>) {
        if let Some(topic) = began {
            self.subscribing.insert(id, topic);
        }
        if let Some(topic) = ended {
            self.ignore(&topic);
        }
    }

    fn ignore(&mut self, topic: &Topic) {
        self.topics.remove(topic);
        self.news.forget(topic);
    }

    /// Reads until all of these are answered.
    fn wait_for(&mut self, ids: &[RequestId], deadline: Instant) -> Result<(), RequestError> {
        self.nameless = None;
        loop {
            self.take_all();
            if ids.iter().all(|id| self.replies.contains_key(id)) {
                return Ok(());
            }
            // One line at a time waits for an answer.
            if let (Some(error), false) = (self.nameless.take(), self.gave_up) {
                return Err(error);
            }
            self.read(deadline)?;
        }
    }

    /// Takes the reply to a request, or gives it up.
    fn collect(
        &mut self,
        id: RequestId,
        failure: Option<RequestError>,
    ) -> Result<Response, RequestError> {
        match self.replies.remove(&id) {
            Some(reply) => reply.map_err(RequestError::from),
            None => {
                self.protocol.forget(id);
                self.subscribing.remove(&id);
                // Behind such an answer nothing more comes.
                let nameless = matches!(
                    failure,
                    Some(RequestError::TooLong { .. } | RequestError::Server(_))
                );
                self.gave_up |= !nameless;
                Err(failure.unwrap_or(RequestError::TimedOut))
            }
        }
    }

    fn take_all(&mut self) {
        while let Some(event) = self.protocol.poll_event() {
            self.take(event);
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Reply { id, result } => {
                if let (Some(topic), Ok(_)) = (self.subscribing.remove(&id), &result) {
                    // What came before the answer is older than it.
                    self.news.forget(&topic);
                    self.topics.insert(topic);
                }
                self.replies.insert(id, result);
            }
            Event::Notification(notification) => {
                if let Some(topic) = notification.topic()
                    && self.topics.contains(&topic)
                {
                    self.news.push(topic, notification);
                }
            }
            Event::Unexpected(UnexpectedMessage::Complaint(error)) => {
                let complaint = complaint_of(&error);
                self.complaint = Some(complaint.clone());
                if is_unread(&error) {
                    // There will be a copy for each request that it answers.
                    self.nameless = Some(RequestError::Server(complaint));
                }
            }
            Event::Unexpected(UnexpectedMessage::Frame(FrameError::TooLong { max })) => {
                self.nameless = Some(RequestError::TooLong { max });
            }
            // Not asked for, or given up.
            Event::Negotiated { .. } | Event::Unexpected(_) => {}
        }
    }

    fn write(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), RequestError> {
        if let Some(error) = &self.lost {
            return Err(RequestError::Disconnected(error.clone()));
        }
        self.wire.write(bytes, deadline).map_err(|error| {
            if !is_timeout(&error) {
                self.hear_out();
            }
            self.lose(error)
        })
    }

    /// Reads what the server said before it went: why it did is the last of it.
    fn hear_out(&mut self) {
        let deadline = after(GOODBYE);
        while Instant::now() < deadline {
            let Ok(bytes) = self.wire.read(deadline) else {
                return;
            };
            self.protocol.receive(bytes);
            self.take_all();
        }
    }

    /// Waits for bytes, and reads them.
    fn read(&mut self, deadline: Instant) -> Result<(), RequestError> {
        if let Some(error) = &self.lost {
            return Err(RequestError::Disconnected(error.clone()));
        }
        if Instant::now() >= deadline {
            // Even though something may come all the time.
            return Err(RequestError::TimedOut);
        }
        match self.wire.read(deadline) {
            Ok(bytes) => {
                self.heard = Instant::now();
                self.protocol.receive(bytes);
                Ok(())
            }
            Err(error) if is_timeout(&error) => Err(RequestError::TimedOut),
            Err(error) => Err(self.lose(error)),
        }
    }

    fn lose(&mut self, error: io::Error) -> RequestError {
        self.take_all();
        let error = Arc::new(explained(error, self.complaint.take()));
        self.lost = Some(error.clone());
        RequestError::Disconnected(error)
    }
}

/// How long the goodbye of a server that is gone may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A timeout has two kinds, by system.
fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}
