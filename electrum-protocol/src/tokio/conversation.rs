//! Questions and answers of one connection: who waits for what, until when, and who listens.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ::tokio::sync::mpsc;
use ::tokio::time::{Instant, sleep_until};

use super::after;
use super::connection::{Command, Question, Reply};
use super::news::Everything;
use super::subscription::Feed;
use super::wire::Reader;
use crate::client::{Event, ReplyError, RequestId, UnexpectedMessage};
use crate::frame::FrameError;
use crate::jsonrpc::ErrorObject;
use crate::method::{Request, Response};
use crate::net::{Config, alive, bearable, complaint_of, is_unread};
use crate::notification::Notification;
use crate::request_error::RequestError;
use crate::subscription::Topic;

/// Who waits for a reply.
enum Waiting {
    Question(Reply),
    /// Somebody who subscribes by hand.
    Topic(Reply, Topic),
    Subscription(Reply, Arc<Feed>),
    /// Only that it comes counts.
    Nobody,
}

/// How many deadlines of requests that were answered are kept at least.
const MOST_ANSWERED: usize = 1000;

pub(super) struct Conversation {
    commands: mpsc::UnboundedReceiver<Command>,
    protocol: crate::Client,
    lines: mpsc::UnboundedSender<Vec<u8>>,
    /// Each with the first request of its line.
    waiting: HashMap<RequestId, (RequestId, Waiting)>,
    /// How many requests of each line wait, by the first one of the line.
    unanswered: HashMap<RequestId, usize>,
    /// How many answers came since that do not say whose they are, and what the last of them means.
    nameless: Option<(usize, RequestError)>,
    /// When each is given up, in order; among them some that were answered long ago.
    deadlines: VecDeque<(Instant, RequestId)>,
    feeds: HashMap<Topic, Vec<Arc<Feed>>>,
    /// What was subscribed to by hand.
    topics: HashSet<Topic>,
    listeners: Vec<Weak<Everything>>,
    request_timeout: Duration,
    keep_alive: Option<Duration>,
    /// Whether an answer may still come that nobody waits for any more.
    gave_up: bool,
    /// When something last came.
    heard: Instant,
    /// Since when, and by which request, the server is asked for a sign of life.
    probe: Option<(Instant, RequestId)>,
    /// What the server last said about nothing in particular: often why it closes.
    complaint: Option<ErrorObject>,
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
    pub(super) fn new(
        protocol: crate::Client,
        config: &Config,
        commands: mpsc::UnboundedReceiver<Command>,
        lines: mpsc::UnboundedSender<Vec<u8>>,
    ) -> Self {
        Self {
            commands,
            protocol,
            lines,
            waiting: HashMap::new(),
            unanswered: HashMap::new(),
            nameless: None,
            deadlines: VecDeque::new(),
            feeds: HashMap::new(),
            topics: HashSet::new(),
            listeners: Vec::new(),
            request_timeout: config.request_timeout,
            keep_alive: config.keep_alive,
            gave_up: false,
            heard: Instant::now(),
            probe: None,
            complaint: None,
        }
    }

    /// Returns what the server last said about nothing in particular: often why it closes.
    pub(super) fn take_complaint(&mut self) -> Option<ErrorObject> {
        self.complaint.take()
    }

    /// Talks until nobody wants anything any more.
    pub(super) async fn talk(&mut self, reader: &mut Reader) -> io::Result<()> {
        // Some may have come with the answer to the introduction.
        self.take_events();
        loop {
            let wake = self.next_deadline();
            let at = wake.unwrap_or_else(Instant::now);
            ::tokio::select! {
                bytes = reader.read() => {
                    self.heard = Instant::now();
                    self.protocol.receive(bytes?);
                    self.take_events();
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
        let (ids, bytes) = self.protocol.batch(&requests);
        for ((id, request), reply) in ids.iter().zip(&requests).zip(replies) {
            let waiting = self.waiting_for(request)(reply);
            self.wait(*id, *ids.first().unwrap_or(id), waiting);
        }
        self.write(bytes);
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
        self.wait(id, id, waiting);
        self.write(line);
        id
    }

    /// Waits for the answer to a request, in the line that begins with the request `line`.
    fn wait(&mut self, id: RequestId, line: RequestId, waiting: Waiting) {
        self.waiting.insert(id, (line, waiting));
        *self.unanswered.entry(line).or_default() += 1;
        // Behind one that is not answered for long, those that are would add up.
        if self.deadlines.len() > 2 * self.waiting.len() + MOST_ANSWERED {
            let waiting = &self.waiting;
            self.deadlines.retain(|(_, id)| waiting.contains_key(id));
        }
        let deadline = after(self.request_timeout);
        self.deadlines.push_back((deadline, id));
    }

    fn write(&self, line: Vec<u8>) {
        if !line.is_empty() {
            // When the other end is gone, the connection is about to end.
            let _ = self.lines.send(line);
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.protocol.poll_event() {
            self.event(event);
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Reply { id, result } => self.reply(id, result),
            Event::Notification(notification) => self.tell(&notification),
            Event::Unexpected(UnexpectedMessage::Complaint(error)) => {
                let complaint = complaint_of(&error);
                self.complaint = Some(complaint.clone());
                if is_unread(&error) {
                    // There will be a copy for each request that it answers.
                    self.nameless(RequestError::Server(complaint));
                }
            }
            Event::Unexpected(UnexpectedMessage::Frame(FrameError::TooLong { max })) => {
                self.nameless(RequestError::TooLong { max });
            }
            // Not asked for, or given up.
            Event::Negotiated { .. } | Event::Unexpected(_) => {}
        }
    }

    /// An answer that does not say whose it is: one that is not read, or to what the server did not read.
    fn nameless(&mut self, error: RequestError) {
        let before = self.nameless.take().map_or(0, |(count, _)| count);
        self.nameless = Some((before + 1, error));
        self.settle_nameless();
    }

    /// When as many such answers came as lines wait for one, these are theirs. Otherwise they are given up in time.
    fn settle_nameless(&mut self) {
        let all = |(count, _): &mut (usize, _)| !self.gave_up && *count >= self.unanswered.len();
        let Some((_, error)) = self.nameless.take_if(all) else {
            return;
        };
        self.probe = None;
        let waiting: Vec<_> = self.waiting.keys().copied().collect();
        for id in waiting {
            self.protocol.forget(id);
            self.settle(id, Err(error.clone()));
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
        self.probe.take_if(|(_, probe)| *probe == id);
        self.settle(id, result.map_err(RequestError::from));
        self.settle_nameless();
    }

    /// Hands a result to whoever waits for it.
    fn settle(&mut self, id: RequestId, result: Result<Response, RequestError>) {
        let Some((line, waiting)) = self.waiting.remove(&id) else {
            return;
        };
        if let Entry::Occupied(mut left) = self.unanswered.entry(line) {
            *left.get_mut() -= 1;
            if *left.get() == 0 {
                left.remove();
            }
        }
        let reply = match waiting {
            Waiting::Nobody => return,
            Waiting::Question(reply) => reply,
            Waiting::Topic(reply, topic) => {
                if result.is_ok() {
                    for listener in self.listeners() {
                        listener.forget(&topic);
                    }
                    self.topics.insert(topic);
                }
                reply
            }
            Waiting::Subscription(reply, feed) => {
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
                self.gave_up = true;
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
