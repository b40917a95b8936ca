//! The future that moves the bytes of a connection.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use ::tokio::sync::{mpsc, oneshot};
use ::tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::news::Everything;
use super::subscription::Feed;
use super::wire::{Reader, Wire, Writer};
use super::{Client, after};
use crate::client::{Event, ReplyError, RequestId, UnexpectedMessage};
use crate::method::server::VersionResponse;
use crate::method::{Request, Response};
use crate::net::{Config, ConnectError, alive, bearable, complaint_of};
use crate::notification::Notification;
use crate::request_error::RequestError;
use crate::subscription::Topic;

/// The connection of a [`Client`]: nothing moves unless it is polled.
///
/// Ends well when the last [`Client`] and the last [`Subscription`](super::Subscription) are dropped, and with an error
/// when the connection is lost. Dropping it closes the connection at once, whoever still waits: this is how to hang up on
/// purpose.
#[must_use = "nothing moves unless it is polled"]
pub struct Connection {
    running: Pin<Box<dyn Future<Output = Result<(), Arc<io::Error>>> + Send>>,
}

impl Future for Connection {
    type Output = Result<(), Arc<io::Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.running.as_mut().poll(context)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// What a handle wants.
#[derive(Debug)]
pub(super) enum Command {
    Ask(Question),
    /// In one array.
    AskAll(Vec<Question>),
    Subscribe(Question, Arc<Feed>),
    /// Somebody wants to hear about what was subscribed to by hand.
    Listen(Weak<Everything>),
    /// Nobody listens any more; with the request that tells the server, if there is one.
    Unsubscribe(Arc<Feed>, Option<Request>),
}

/// A request, and where its result goes.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) request: Request,
    pub(super) reply: Reply,
}

type Reply = oneshot::Sender<Result<Response, RequestError>>;

/// Negotiates a version, and returns the handle with the connection.
pub(super) async fn introduce(
    wire: Wire,
    config: &Config,
    deadline: Instant,
) -> Result<(Client, Connection), ConnectError> {
    let address = || config.address.to_string();
    let (mut reader, mut writer) = wire.split();
    let mut protocol = crate::Client::new(config.max_line);
    let (_, introduction) = protocol.introduce(&config.client_name, config.versions);
    let negotiate = async {
        writer.write(&mut vec![introduction]).await?;
        let mut complaint = None;
        loop {
            while let Some(event) = protocol.poll_event() {
                match event {
                    Event::Negotiated { result, .. } => return Ok(result),
                    Event::Unexpected(UnexpectedMessage::Complaint(error)) => {
                        complaint = Some(complaint_of(&error));
                    }
                    // Nothing else was asked for yet.
                    _ => {}
                }
            }
            match reader.read().await {
                Ok(bytes) => protocol.receive(bytes),
                Err(error) => return Err(explained(error, complaint)),
            }
        }
    };
    let server = match timeout_at(deadline, negotiate).await {
        Ok(Ok(Ok(server))) => server,
        Ok(Ok(Err(error))) => {
            let address = address();
            return Err(ConnectError::Negotiation { address, error });
        }
        Ok(Err(error)) => {
            let address = address();
            return Err(ConnectError::Closed { address, error });
        }
        Err(_) => return Err(ConnectError::TimedOut { address: address() }),
    };
    Ok(start(reader, writer, protocol, server, config))
}

fn start(
    reader: Reader,
    writer: Writer,
    protocol: crate::Client,
    server: VersionResponse,
    config: &Config,
) -> (Client, Connection) {
    let (commands, receiver) = mpsc::unbounded_channel();
    let (lines, queue) = mpsc::unbounded_channel();
    let lost = Arc::new(OnceLock::new());
    let conversation = Conversation {
        commands: receiver,
        protocol,
        lines,
        waiting: HashMap::new(),
        deadlines: VecDeque::new(),
        feeds: HashMap::new(),
        topics: HashSet::new(),
        listeners: Vec::new(),
        request_timeout: config.request_timeout,
        keep_alive: config.keep_alive,
        heard: Instant::now(),
        probe: None,
        complaint: None,
    };
    let client = Client {
        commands,
        server: Arc::new(server),
        lost: lost.clone(),
        max_batch: config.max_batch.max(1),
    };
    let running = Box::pin(run(conversation, reader, writer, queue, lost));
    (client, Connection { running })
}

/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

async fn run(
    mut conversation: Conversation,
    mut reader: Reader,
    mut writer: Writer,
    mut queue: mpsc::UnboundedReceiver<Vec<u8>>,
    lost: Arc<OnceLock<Arc<io::Error>>>,
) -> Result<(), Arc<io::Error>> {
    let patience = bearable(conversation.request_timeout);
    let write = async {
        let mut lines = Vec::new();
        while queue.recv_many(&mut lines, MOST_LINES).await > 0 {
            // A server that does not read would let everything pile up that is asked. Then these were given up already.
            match timeout(patience, writer.write(&mut lines)).await {
                Ok(written) => written?,
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        writer.close().await
    };
    ::tokio::pin!(write);
    let result = ::tokio::select! {
        result = conversation.talk(&mut reader) => result,
        // It ends before the conversation only when it fails.
        result = &mut write => result,
    };
    let result = result.map_err(|error| {
        let error = Arc::new(explained(error, conversation.complaint.take()));
        // Set once, here.
        let _ = lost.set(error.clone());
        error
    });
    // What still waits for an answer finds its question dropped, and the reason in its place.
    drop(conversation);
    if result.is_ok() {
        // Whether the server hears the goodbye is its affair.
        let _ = timeout(GOODBYE, write).await;
    }
    result
}

/// How many lines are written at a time.
const MOST_LINES: usize = 64;

/// What the server last said is better than that it closed.
fn explained(error: io::Error, complaint: Option<String>) -> io::Error {
    match complaint {
        Some(complaint) => io::Error::new(error.kind(), complaint),
        None => error,
    }
}

/// Who waits for a reply.
enum Waiting {
    Question(Reply),
    /// Somebody who subscribes by hand.
    Topic(Reply, Topic),
    Subscription(Reply, Arc<Feed>),
    /// Only that it comes counts.
    Nobody,
}

struct Conversation {
    commands: mpsc::UnboundedReceiver<Command>,
    protocol: crate::Client,
    lines: mpsc::UnboundedSender<Vec<u8>>,
    waiting: HashMap<RequestId, Waiting>,
    /// When each is given up, in order; among them some that were answered long ago.
    deadlines: VecDeque<(Instant, RequestId)>,
    feeds: HashMap<Topic, Vec<Arc<Feed>>>,
    /// What was subscribed to by hand.
    topics: HashSet<Topic>,
    listeners: Vec<Weak<Everything>>,
    request_timeout: Duration,
    keep_alive: Option<Duration>,
    /// When something last came.
    heard: Instant,
    /// Since when, and by which request, the server is asked for a sign of life.
    probe: Option<(Instant, RequestId)>,
    /// What the server last said about nothing in particular: often why it closes.
    complaint: Option<String>,
}

/// However it ends, and be it that nobody polls it any more, who listens is told.
impl Drop for Conversation {
    fn drop(&mut self) {
        for feed in self.feeds.values().flatten() {
            feed.end();
        }
        // Some may have begun to listen without being heard.
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Listen(listener) = command {
                self.listeners.push(listener);
            }
        }
        for listener in self.listeners.iter().filter_map(Weak::upgrade) {
            listener.end();
        }
    }
}

impl Conversation {
    /// Talks until nobody wants anything any more.
    async fn talk(&mut self, reader: &mut Reader) -> io::Result<()> {
        loop {
            let wake = self.next_deadline();
            let at = wake.unwrap_or_else(Instant::now);
            ::tokio::select! {
                bytes = reader.read() => {
                    self.heard = Instant::now();
                    self.protocol.receive(bytes?);
                    while let Some(event) = self.protocol.poll_event() {
                        self.event(event);
                    }
                }
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => return Ok(()),
                },
                () = sleep_until(at), if wake.is_some() => self.expire()?,
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Ask(question) => {
                let waiting = self.waiting_for(&question.request);
                self.ask(question, waiting);
            }
            Command::Listen(listener) => {
                self.listeners.retain(|other| other.strong_count() > 0);
                self.listeners.push(listener);
            }
            Command::AskAll(questions) => self.ask_all(questions),
            Command::Subscribe(question, feed) => {
                let feeds = self.feeds.entry(feed.topic.clone()).or_default();
                feeds.push(feed.clone());
                self.ask(question, |reply| Waiting::Subscription(reply, feed));
            }
            Command::Unsubscribe(feed, ending) => {
                let last = self.remove(&feed) && !self.topics.contains(&feed.topic);
                if let (true, Some(ending)) = (last, ending) {
                    self.send(ending, Waiting::Nobody);
                }
            }
        }
    }

    /// Notes what a request of a caller begins or ends to be told, and returns how its reply is waited for.
    fn waiting_for(&mut self, request: &Request) -> impl FnOnce(Reply) -> Waiting + use<> {
        if let Some(ended) = request.ends() {
            self.topics.remove(&ended);
        }
        let topic = request.topic();
        |reply| match topic {
            Some(topic) => Waiting::Topic(reply, topic),
            None => Waiting::Question(reply),
        }
    }

    fn ask(&mut self, question: Question, waiting: impl FnOnce(Reply) -> Waiting) {
        if let Some(Question { request, reply }) = self.check(question) {
            self.send(request, waiting(reply));
        }
    }

    fn ask_all(&mut self, questions: Vec<Question>) {
        let (requests, replies): (Vec<_>, Vec<_>) = questions
            .into_iter()
            .filter_map(|question| self.check(question))
            .map(|question| (question.request, question.reply))
            .unzip();
        let (ids, line) = self.protocol.batch(&requests);
        for ((id, request), reply) in ids.into_iter().zip(&requests).zip(replies) {
            let waiting = self.waiting_for(request)(reply);
            self.wait(id, waiting);
        }
        self.write(line);
    }

    /// Answers a question that the version does not have, or gives it back.
    fn check(&self, question: Question) -> Option<Question> {
        let (method, version) = (question.request.method(), self.protocol.version());
        if method.exists_in(version) {
            return Some(question);
        }
        // Whether anybody still waits for it is no matter.
        let error = RequestError::NotInVersion { method, version };
        let _ = question.reply.send(Err(error));
        None
    }

    fn send(&mut self, request: Request, waiting: Waiting) -> RequestId {
        let (id, line) = self.protocol.request(request);
        self.wait(id, waiting);
        self.write(line);
        id
    }

    fn wait(&mut self, id: RequestId, waiting: Waiting) {
        self.waiting.insert(id, waiting);
        let deadline = after(self.request_timeout);
        self.deadlines.push_back((deadline, id));
    }

    fn write(&self, line: Vec<u8>) {
        if !line.is_empty() {
            // When the other end is gone, the connection is about to end.
            let _ = self.lines.send(line);
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Reply { id, result } => self.reply(id, result),
            Event::Notification(notification) => self.tell(&notification),
            Event::Unexpected(UnexpectedMessage::Complaint(error)) => {
                self.complaint = Some(complaint_of(&error));
            }
            // Not asked for, or given up.
            Event::Negotiated { .. } | Event::Unexpected(_) => {}
        }
    }

    /// Passes news on to whoever wants to hear it.
    fn tell(&mut self, notification: &Notification) {
        let Some(topic) = notification.topic() else {
            return;
        };
        for feed in self.feeds.get(&topic).into_iter().flatten() {
            feed.tell(notification.clone());
        }
        if self.topics.contains(&topic) {
            for listener in self.listeners() {
                listener.tell(topic.clone(), notification.clone());
            }
        }
    }

    /// Returns who still listens.
    fn listeners(&mut self) -> Vec<Arc<Everything>> {
        self.listeners
            .retain(|listener| listener.strong_count() > 0);
        self.listeners.iter().filter_map(Weak::upgrade).collect()
    }

    fn reply(&mut self, id: RequestId, result: Result<Response, ReplyError>) {
        if self.probe.is_some_and(|(_, probe)| probe == id) {
            self.probe = None;
        }
        self.settle(id, result.map_err(RequestError::from));
    }

    /// Hands a result to whoever waits for it.
    fn settle(&mut self, id: RequestId, result: Result<Response, RequestError>) {
        let reply = match self.waiting.remove(&id) {
            None | Some(Waiting::Nobody) => return,
            Some(Waiting::Question(reply)) => reply,
            Some(Waiting::Topic(reply, topic)) => {
                if result.is_ok() {
                    for listener in self.listeners() {
                        listener.forget(&topic);
                    }
                    self.topics.insert(topic);
                }
                reply
            }
            Some(Waiting::Subscription(reply, feed)) => {
                match &result {
                    // What came before the answer is older than it.
                    Ok(_) => feed.forget(),
                    Err(_) => {
                        self.remove(&feed);
                    }
                }
                reply
            }
        };
        // Whether anybody still waits for it is no matter.
        let _ = reply.send(result);
    }

    /// Takes a feed away, and tells whether it was the last of its topic.
    fn remove(&mut self, feed: &Arc<Feed>) -> bool {
        let Some(feeds) = self.feeds.get_mut(&feed.topic) else {
            return false;
        };
        let before = feeds.len();
        feeds.retain(|other| !Arc::ptr_eq(other, feed));
        let last = feeds.is_empty() && before > 0;
        if last {
            self.feeds.remove(&feed.topic);
        }
        last
    }

    /// Returns when something is next to be given up, or to be asked.
    fn next_deadline(&mut self) -> Option<Instant> {
        let answered = |(_, id): &(Instant, RequestId)| !self.waiting.contains_key(id);
        while self.deadlines.front().is_some_and(answered) {
            self.deadlines.pop_front();
        }
        let reply = self.deadlines.front().map(|(deadline, _)| *deadline);
        let restless = match self.probe {
            None => self.keep_alive.map(|pause| self.heard + bearable(pause)),
            Some(_) => None,
        };
        reply.into_iter().chain(restless).min()
    }

    /// Gives up what is too late, and asks for a sign of life when it was long quiet.
    fn expire(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while let Some((deadline, id)) = self.deadlines.pop_front() {
            if deadline > now {
                self.deadlines.push_front((deadline, id));
                break;
            }
            if self.waiting.contains_key(&id) {
                self.protocol.forget(id);
                self.settle(id, Err(RequestError::TimedOut));
            }
            if let Some((since, _)) = self.probe.take_if(|(_, probe)| *probe == id)
                && self.heard < since
            {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        let quiet = self
            .keep_alive
            .is_some_and(|pause| self.heard + bearable(pause) <= now);
        if quiet && self.probe.is_none() {
            let probe = self.send(alive(self.protocol.version()), Waiting::Nobody);
            self.probe = Some((now, probe));
        }
        Ok(())
    }
}
