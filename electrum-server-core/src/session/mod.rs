//! One client: the protocol's state, its subscriptions, its limits.
//!
//! Bytes enter through [`Session::receive`], changes of the chain and the mempool through [`Session::on_update`];
//! [`Session::run`] acts on both, and what it has to say leaves through [`Session::take_output`]. There is no I/O here,
//! no clock and no thread: the [network](crate::net) decides when and where a session runs.
//!
//! Three rules hold whatever a client does. Requests are answered one after the other, in order. Every answer comes from
//! one view, and what was pipelined together from the same view; the view only ever moves forward, and when it moves,
//! the new tip is told before anything else that comes from it. What waits to be sent is bounded: a client that does not
//! read is not answered, and changes become marks.

mod answer;
mod extent;
mod fees;
mod handlers;
mod limits;
mod lookups;
mod quota;
mod reply;
mod services;
mod subscriptions;
#[cfg(test)]
pub(crate) mod tests;
mod wallets;

use std::net::IpAddr;

use electrum_protocol::server::{Chunk, Event, Token};
use electrum_protocol::{ErrorCode, ErrorObject, Request, Server};
use tracing::{debug, error};

pub use limits::{FAIR_BUFFER, Limits, Place};
pub(crate) use limits::{price, price_of_work};
#[cfg(test)]
pub(crate) use lookups::least_verbose;
pub use quota::{Quota, Tally};
pub use services::{About, PeerBook, Refresh, Services};

use crate::notify::Update;
use crate::room::Account;
use crate::view::{QueryError, View};
use answer::{Granted, Wanted};
use limits::{Conduct, price_of, price_of_refusal};
use subscriptions::Subscriptions;

/// The server's side of one client.
#[derive(Debug)]
pub struct Session {
    server: Server,
    subscriptions: Subscriptions,
    conduct: Conduct,
    /// A request that waits for a place where it may be handled, or for room.
    held: Option<(Token, Request)>,
    /// What memory the session may use; as much as it likes when nobody counts.
    account: Option<Account>,
    /// Whether it turned out to take long.
    is_long: bool,
    /// What the request that is held waits for.
    wanted: Option<Box<Wanted>>,
    /// What it was given.
    granted: Option<Box<Granted>>,
    /// The view that the requests of a group are answered from.
    view: Option<View>,
    /// Whether there is a view that the client may not have been told about.
    news: bool,
    /// Why the conversation is over, once it is.
    over: Option<String>,
    /// What the requests cost that were handled since somebody asked.
    cost: f64,
    /// Where the client comes from.
    client: Option<IpAddr>,
    /// Whether it was told of a script of no wallet.
    has_logged: bool,
}

/// What a session needs in order to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Bytes from the client, or an update.
    Input,
    /// A client that reads: too much waits to be sent.
    Output,
    /// Memory that others have. Only sessions that the network counts need any.
    Room,
    /// To run in another place, or once more in this one, before it is given anything else.
    Needs(Place),
    /// To run again; it may be given other things first.
    Pause,
    /// Nothing: send the output, then close.
    Close(String),
}

/// How many statuses are computed before other work gets its turn.
const STATUSES_AT_A_TIME: usize = 512;
/// How many are computed before it is asked whether others wait.
const STATUSES_BETWEEN_LOOKS: usize = 64;
/// A notification takes no more bytes.
const NEWS: usize = 300;

/// How many bytes were taken from a session that the client has not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unsent {
    pub(crate) all: usize,
    /// Those of them that belong to this client alone.
    pub(crate) owned: usize,
}

impl Unsent {
    fn owned(bytes: usize) -> Self {
        Self {
            all: bytes,
            owned: bytes,
        }
    }
}

impl Session {
    /// Begins a session.
    ///
    /// To miss nothing, listen to updates before.
    pub fn new(services: &Services) -> Self {
        Self {
            server: Server::new(services.protocol.clone()),
            subscriptions: Subscriptions::default(),
            conduct: Conduct::default(),
            held: None,
            account: None,
            is_long: false,
            wanted: None,
            granted: None,
            view: None,
            news: false,
            over: None,
            cost: 0.0,
            client: None,
            has_logged: false,
        }
    }

    /// Says where the client comes from, unless it is a unix socket.
    #[must_use]
    pub fn with_client(mut self, client: Option<IpAddr>) -> Self {
        self.client = client;
        self
    }

    /// Counts the session's subscriptions where those of others are counted.
    #[must_use]
    pub fn with_quota(mut self, quota: Quota) -> Self {
        self.subscriptions.count_in(quota);
        self
    }

    /// Lets the session use no more memory for what it says than this.
    pub(crate) fn with_account(mut self, account: Account) -> Self {
        self.account = Some(account);
        self
    }

    /// Takes bytes from the client, in any portions. They are acted upon by [`run`](Self::run).
    pub fn receive(&mut self, bytes: &[u8]) {
        self.server.receive(bytes);
    }

    /// Takes note of an update whose view is published already. It is acted upon by [`run`](Self::run).
    pub fn on_update(&mut self, update: &Update) {
        self.subscriptions.touch(&update.touched);
        self.news = true;
    }

    /// Takes note that updates were lost: anything may have changed.
    pub fn on_missed_updates(&mut self) {
        self.subscriptions.touch_all();
        self.news = true;
    }

    /// Takes what there is to send: whole lines, in order.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.server.take_output()
    }

    /// Takes the same without copying what others send as well.
    pub(crate) fn take_chunks(&mut self) -> impl Iterator<Item = Chunk> + use<> {
        self.server.take_chunks()
    }

    /// Takes what was done since this was asked last, in the unit of [`Limits::cost_hard`].
    pub fn take_cost(&mut self) -> f64 {
        std::mem::take(&mut self.cost)
    }

    /// Whether the answers of a batch gather.
    pub(crate) fn is_in_batch(&self) -> bool {
        self.server.most_of_batch().is_some()
    }

    /// Whether a line is longer than half of what the session may hold by itself.
    pub(crate) fn has_long_input(&self) -> bool {
        let share = self.account.as_ref().map_or(usize::MAX, Account::share);
        self.server.held_input() > share / 2
    }

    /// Adds what else the requests cost.
    pub fn add_cost(&mut self, cost: f64) {
        self.cost += cost;
    }

    /// Returns how many bytes were received that are no whole line yet.
    pub fn pending_input(&self) -> usize {
        self.server.pending_input()
    }

    /// Ends the conversation with an error; [`run`](Self::run) then says so.
    pub fn end(&mut self, error: &ErrorObject) {
        self.server.close(error);
        self.held = None;
        self.is_long = false;
        self.wanted = None;
        self.granted = None;
        self.over = Some(error.message.clone());
    }

    /// Acts on what was received, as far as that is possible here and now.
    ///
    /// `place` says what may be waited for, `unsent` how many bytes were taken from the session but not by the client.
    /// In [`Place::Reactor`] it returns within microseconds; in the others it blocks.
    pub fn run(&mut self, place: Place, services: &Services, unsent: usize) -> Next {
        self.run_while(place, services, Unsent::owned(unsent), &|| true)
    }

    /// Does the same, but no more than one request, or a few statuses, once `may_go_on` says no: others want to be served
    /// as well. What is left belongs to the same group.
    pub(crate) fn run_while(
        &mut self,
        place: Place,
        services: &Services,
        unsent: Unsent,
        may_go_on: &dyn Fn() -> bool,
    ) -> Next {
        let next = self.answer_all(place, services, unsent, may_go_on);
        match next {
            // What comes next belongs to the same group.
            Next::Needs(_) => {}
            // It may take long.
            Next::Room | Next::Input | Next::Output | Next::Pause | Next::Close(_) => {
                self.view = None
            }
        }
        next
    }

    /// Answers requests until there are none, then tells what changed.
    fn answer_all(
        &mut self,
        place: Place,
        services: &Services,
        unsent: Unsent,
        may_go_on: &dyn Fn() -> bool,
    ) -> Next {
        let mut has_answered = false;
        loop {
            if let Some(reason) = &self.over {
                return Next::Close(reason.clone());
            }
            if self.is_full(services, unsent) {
                return Next::Output;
            }
            if has_answered && self.held.is_some() && !may_go_on() {
                return Next::Needs(place);
            }
            if let Some((token, request)) = self.held.take() {
                has_answered = true;
                match self.answer(token, request, place, services, unsent) {
                    None => continue,
                    Some(next) => return next,
                }
            }
            match self.server.poll_event() {
                Some(event) => self.note(event, services),
                None => return self.tell_news(place, services, unsent, may_go_on),
            }
        }
    }

    /// Tells whether a client reads so slowly that it gets no more until it has read. What waits for the end of its batch
    /// does not count: only going on ends the batch.
    fn is_full(&self, services: &Services, unsent: Unsent) -> bool {
        unsent.all + self.server.ready_output() >= services.limits.output_ceiling
    }

    fn note(&mut self, event: Event, services: &Services) {
        match event {
            Event::Request { token, request } => {
                self.conduct.accepted();
                self.cost += price_of(&request);
                self.held = Some((token, request));
            }
            Event::Negotiated {
                client_name,
                version,
            } => {
                debug!(client_name, %version, "negotiated");
            }
            Event::Refused { code } => {
                services.metrics.refused.add(1);
                self.cost += price_of_refusal(code);
                if self.conduct.refused(&services.limits) {
                    let reason = "too many invalid messages";
                    debug!(%code, reason);
                    self.server
                        .close(&ErrorObject::new(ErrorCode::EXCESSIVE_USAGE, reason));
                    self.over = Some(reason.to_owned());
                }
            }
            Event::Close { reason } => self.over = Some(reason),
        }
    }

    /// Returns the view of this group: the newest one when the group began.
    fn view(&mut self, services: &Services) -> View {
        self.with_view(services, View::clone)
    }

    /// Looks at the view of this group. A copy of it would be counted by all threads.
    fn with_view<T>(&mut self, services: &Services, look: impl FnOnce(&View) -> T) -> T {
        if self.view.is_none() {
            self.adopt(services.view());
        }
        match &self.view {
            Some(view) => look(view),
            None => look(&services.view()),
        }
    }

    /// Goes on with a view. Whoever subscribed to headers hears of its tip before anything else of it.
    fn adopt(&mut self, view: View) {
        for notification in self.subscriptions.news_of(view.tip()) {
            self.server.notify(&notification);
        }
        self.view = Some(view);
    }

    /// Tells the client what changed.
    fn tell_news(
        &mut self,
        place: Place,
        services: &Services,
        unsent: Unsent,
        may_go_on: &dyn Fn() -> bool,
    ) -> Next {
        if std::mem::take(&mut self.news) {
            self.view(services);
        }
        for notification in self.subscriptions.take_owed() {
            services.metrics.notifications.add(1);
            self.server.notify(&notification);
        }
        let mut computed = 0;
        while self.subscriptions.has_marks() {
            if !place.handles(Place::Store) {
                return Next::Needs(Place::Store);
            }
            if self.is_full(services, unsent) {
                return Next::Output;
            }
            let count = self.subscriptions.marks().min(STATUSES_BETWEEN_LOOKS);
            if let Err(next) = self.make_room(count * NEWS, unsent) {
                return next;
            }
            let view = self.view(services);
            computed += STATUSES_BETWEEN_LOOKS;
            for script_hash in self.subscriptions.take_marks(STATUSES_BETWEEN_LOOKS) {
                // Without a limit: a history that outgrows it is still news, and an error to whoever asks for it.
                let answers = services.answers();
                let known = answers.status(&script_hash, view.sequence());
                let status = match known {
                    Some(status) => Ok(status),
                    None => view.status(&script_hash, None),
                };
                match status {
                    Ok(status) => {
                        if known.is_none() {
                            answers.keep_status(script_hash, view.sequence(), status);
                        }
                        for notification in self.subscriptions.news_of_script(script_hash, status) {
                            services.metrics.notifications.add(1);
                            self.server.notify(&notification);
                        }
                    }
                    Err(error) => return self.give_up(&error),
                }
            }
            let is_enough = computed >= STATUSES_AT_A_TIME || !may_go_on();
            if is_enough && self.subscriptions.has_marks() {
                return Next::Pause;
            }
        }
        self.tell_other_news(place, services, unsent)
    }

    /// Tells the client what changed that few clients subscribe to.
    fn tell_other_news(&mut self, place: Place, services: &Services, unsent: Unsent) -> Next {
        while let Some(others) = self.subscriptions.existing_others()
            && others.has_marks()
        {
            let needed = match others.looks_for_outputs() {
                true => Place::Node,
                false => Place::Store,
            };
            if !place.handles(needed) {
                return Next::Needs(needed);
            }
            if self.is_full(services, unsent) {
                return Next::Output;
            }
            if let Err(next) = self.make_room(STATUSES_BETWEEN_LOOKS * NEWS, unsent) {
                return next;
            }
            let view = self.view(services);
            let Some(others) = self.subscriptions.existing_others() else {
                break;
            };
            match handlers::other_news(others, services, &view, STATUSES_BETWEEN_LOOKS) {
                Ok(notifications) => {
                    for notification in notifications {
                        self.server.notify(&notification);
                    }
                }
                Err(error) => return self.give_up(&error),
            }
            if self
                .subscriptions
                .existing_others()
                .is_some_and(|others| others.has_marks())
            {
                return Next::Pause;
            }
        }
        Next::Input
    }

    /// Ends a session that cannot be told the truth: a client that is not told would trust what it knows. A new
    /// connection asks again.
    fn give_up(&mut self, error: &QueryError) -> Next {
        error!(%error, "cannot compute the status of a subscription");
        let reason = "internal server error";
        self.server
            .close(&ErrorObject::new(ErrorCode::INTERNAL_ERROR, reason));
        self.over = Some(reason.to_owned());
        Next::Close(reason.to_owned())
    }
}
