//! One connection: waits for bytes, updates and deadlines, and lets the session act on them.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use electrum_protocol::server::Chunk;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info};

use super::admission::{Buffer, Guest, Verdict, excessive};
use super::first_line::{self, FirstLine, Spoken};
use super::listener::{Shared, complaint};
use super::origin::Origin;
use super::padding::pad;
use super::transport::AnyStream;
use super::turn::Turn;
use super::wire::{Moved, Sink, Wire};
use super::workers::Workers;
use crate::metrics::Rejection;
use crate::notify::Update;
use crate::session::{FAIR_BUFFER, Next, Place, Services, Session, price, price_of_work};

mod end;
mod room;

pub(super) use end::End;
use room::Hold;

/// A connected client.
pub(super) struct Connection {
    wire: Wire<AnyStream>,
    origin: Origin,
    /// Whether what is sent is padded: all of it, or each line for itself.
    padding: Option<Padding>,
    guest: Guest,
    buffer: Buffer,
    services: Arc<Services>,
    workers: Arc<Workers>,
    updates: broadcast::Receiver<Arc<Update>>,
    closing: watch::Receiver<bool>,
    /// Until when the client may read what is left; set once the server shuts down.
    drain_until: Option<Instant>,
    /// When the client last sent something.
    heard: Instant,
    /// When the line began to arrive that is not complete.
    line_since: Option<Instant>,
    /// Until when the client gets nothing, because it costs much.
    rest_until: Option<Instant>,
    /// The bytes that were received, and those that were sent, and are not paid for.
    received: usize,
    sent: usize,
    /// Since when the client holds room for more than its share, and how much of that it had taken then.
    holds: Option<Box<Hold>>,
    /// What was received since that was looked at last.
    arrived: usize,
    /// How much of a line there was when the account was settled last.
    partial: usize,
    /// Whether the client may still send something.
    open: bool,
    /// Whether more updates may come.
    published: bool,
    /// Finds out what the client speaks.
    first_line: FirstLine,
}

/// What is padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Padding {
    Stream,
    Lines,
}

impl Connection {
    /// Begins a connection. Updates that are sent from here on reach it.
    pub(super) fn new(stream: AnyStream, shared: &Shared, origin: Origin, guest: Guest) -> Self {
        Self {
            origin,
            padding: None,
            wire: Wire::new(stream),
            guest,
            buffer: shared.admission.buffer(),
            services: shared.services.clone(),
            workers: shared.workers.clone(),
            updates: shared.updates.subscribe(),
            closing: shared.closing.clone(),
            drain_until: None,
            heard: Instant::now(),
            line_since: None,
            rest_until: None,
            received: 0,
            sent: 0,
            holds: None,
            arrived: 0,
            partial: 0,
            open: true,
            published: true,
            first_line: FirstLine::default(),
        }
    }

    /// Pads what is sent, each line for itself if those are messages.
    pub(super) fn padded(mut self, messages: bool) -> Self {
        self.padding = Some(match messages {
            true => Padding::Lines,
            false => Padding::Stream,
        });
        self
    }

    /// Serves the client until the end, and closes the connection.
    pub(super) async fn run(mut self) -> End {
        let session = Session::new(&self.services)
            .with_quota(self.guest.quota())
            .with_account(self.guest.account())
            .with_client(self.origin.ip());
        // It moves between threads, and futures keep room for everything that moves through them.
        let session = Box::new(session);
        let end = match self.converse(session).await {
            Ok(end) | Err(end) => end,
        };
        let metrics = &self.services.metrics;
        match end {
            End::Idle | End::Slow => metrics.reject(Rejection::Idle),
            End::Stalled => metrics.reject(Rejection::Stalled),
            End::Holding => metrics.reject(Rejection::Buffers),
            _ => {}
        }
        // What stands behind unread megabytes is not read, and needs no room.
        let reads = self.wire.unsent().all < FAIR_BUFFER;
        if let Some(farewell) = end.farewell(&self.services.limits).filter(|_| reads) {
            self.queue(vec![Chunk::Owned(complaint(&farewell))]);
            self.wire.give_reason(&farewell.message);
        }
        if let End::Session(reason) = &end {
            self.wire.give_reason(reason);
        }
        if let End::Http = end {
            self.guest.charge(price::HTTP, Instant::now());
            self.wire.send(Chunk::Owned(first_line::answer()));
        }
        match end {
            End::Idle | End::Slow | End::Holding if !reads => {}
            End::Client
            | End::Http
            | End::Idle
            | End::Slow
            | End::Holding
            | End::Shutdown
            | End::Session(_) => {
                self.wire.close().await;
            }
            End::Stalled | End::Tls | End::Io(_) | End::Internal => {}
        }
        end
    }

    async fn converse(&mut self, mut session: Box<Session>) -> Result<End, End> {
        loop {
            let mut next = Next::Output;
            if self.rest_until.is_some() {
                self.rest(&mut session).await?;
            }
            if self.drain_until.is_none() {
                let turn = Turn::begin();
                let unsent = self.wire.unsent();
                let may_go_on = || !turn.is_over();
                next = session.run_while(Place::Reactor, &self.services, unsent, &may_go_on);
                if let Next::Needs(place) = next
                    && place != Place::Reactor
                {
                    (session, next) = self.work(session, place).await?;
                }
                self.send(&mut session);
                match next {
                    // A refusal is the last thing that is sent.
                    Next::Close(_) => {
                        self.charge(&mut session);
                    }
                    _ if self.settle(&mut session, &next) => continue,
                    _ => {}
                }
                if next == Next::Room || self.lacks_room(&mut session) {
                    // Few wait for room: the others keep none for what is needed meanwhile.
                    Box::pin(self.wait_for_room(&mut session)).await?;
                    continue;
                }
                // A client that never lets us wait must not keep others waiting.
                yield_now().await;
            }
            if self.wire.is_done() {
                match next {
                    _ if self.drain_until.is_some() => return Ok(End::Shutdown),
                    Next::Close(reason) => return Ok(End::Session(reason)),
                    Next::Input if !self.open => return Ok(End::Client),
                    Next::Input | Next::Output | Next::Room | Next::Pause | Next::Needs(_) => {}
                }
            }
            if self.rest_until.is_none() {
                self.wait(&mut session, &next).await?;
            }
        }
    }

    /// Hands what the session has to say to the wire.
    fn send(&mut self, session: &mut Session) {
        let output = session.take_chunks().collect();
        self.queue(output);
    }

    /// Hands whole lines to the wire.
    fn queue(&mut self, mut output: Vec<Chunk>) {
        if let Some(padding) = self.padding {
            let max = self.services.limits.max_response;
            output = pad(output, padding == Padding::Lines, max);
        }
        for chunk in output {
            self.sent += chunk.len();
            self.wire.send(chunk);
        }
    }

    /// Charges what the client has cost since this was done last.
    fn charge(&mut self, session: &mut Session) -> Verdict {
        let received = std::mem::take(&mut self.received);
        let sent = std::mem::take(&mut self.sent);
        let metrics = &self.services.metrics;
        metrics.received_bytes.add(received as u64);
        metrics.sent_bytes.add(sent as u64);
        let cost = session.take_cost() + (received + sent) as f64 * price::BYTE;
        self.guest.charge(cost, Instant::now())
    }

    /// Settles what the client costs. Returns whether the session has to say something about it.
    fn settle(&mut self, session: &mut Session, next: &Next) -> bool {
        let now = Instant::now();
        let received = self.received;
        match self.charge(session) {
            Verdict::Go => {}
            // A group is delayed once, when it is done.
            Verdict::Wait(_) if matches!(next, Next::Needs(_)) => {}
            Verdict::Wait(delay) => self.rest_until = now.checked_add(delay),
            Verdict::Leave(seconds) => {
                self.services.metrics.reject(Rejection::Cost);
                session.end(&excessive(seconds));
                return true;
            }
        }
        let partial = session.pending_input() + self.first_line.held();
        if partial < self.partial + received {
            // A line was completed.
            self.line_since = None;
        }
        self.partial = partial;
        if partial > 0 && self.line_since.is_none() {
            self.line_since = Some(now);
        }
        self.count(session);
        false
    }

    /// Lets a client wait that costs much, while what is ready to be sent is sent.
    async fn rest(&mut self, session: &mut Session) -> Result<(), End> {
        while let Some(until) = self.rest_until {
            tokio::select! {
                biased;
                () = passed(Some(until)) => self.rest_until = None,
                () = passed(self.patience(None)) => self.overdue()?,
                () = told(&mut self.closing), if self.drain_until.is_none() => {
                    self.drain();
                    self.rest_until = None;
                }
                update = self.updates.recv(), if self.published => self.note(update, session),
                moved = self.wire.step(None) => {
                    moved?;
                    self.count(session);
                    yield_now().await;
                }
            }
        }
        self.excuse();
        Ok(())
    }

    /// Forgives a silence that was ours: nothing was read for a while.
    fn excuse(&mut self) {
        let now = Instant::now();
        self.heard = now;
        self.line_since = self.line_since.map(|_| now);
    }

    fn note(&mut self, update: Result<Arc<Update>, RecvError>, session: &mut Session) {
        match update {
            Ok(update) => session.on_update(&update),
            Err(RecvError::Lagged(_)) => session.on_missed_updates(),
            Err(RecvError::Closed) => self.published = false,
        }
    }

    /// Waits until anything happens that may let the session go on; not at all when it can go on by itself.
    async fn wait(&mut self, session: &mut Session, next: &Next) -> Result<(), End> {
        let (reading, ready) = match next {
            Next::Input => (self.open, false),
            Next::Pause => (self.open, true),
            // It holds a request that is handled before anything else.
            Next::Needs(_) | Next::Room => return Ok(()),
            // The client took it while the session was at work.
            Next::Output if self.wire.is_done() => return Ok(()),
            Next::Output | Next::Close(_) => (false, false),
        };
        if !reading {
            self.line_since = self.line_since.map(|_| Instant::now());
        }
        let deadline = self.patience(Some(self.heard));
        let first_line = &mut self.first_line;
        let mut count = 0;
        let mut other = None;
        let mut receive = |bytes: &[u8]| {
            count += bytes.len();
            match first_line.look(bytes) {
                Spoken::Lines(bytes) => session.receive(&bytes),
                Spoken::Unknown => {}
                Spoken::Tls => other = Some(End::Tls),
                Spoken::Http => other = Some(End::Http),
            }
        };
        let sink: Option<Sink<'_>> = if reading { Some(&mut receive) } else { None };
        tokio::select! {
            biased;
            () = passed(deadline) => self.overdue()?,
            () = told(&mut self.closing), if self.drain_until.is_none() => self.drain(),
            update = self.updates.recv(), if self.published => self.note(update, session),
            moved = self.wire.step(sink) => match moved? {
                Moved::Read => {
                    self.heard = Instant::now();
                    self.received += count;
                    self.arrived += count;
                    if let Some(other) = other {
                        info!("{other} to a port that does not; it was told the wrong port or transport");
                        return Err(other);
                    }
                }
                Moved::End => self.open = false,
                Moved::Wrote => {}
            },
            () = ready_if(ready) => {}
        }
        Ok(())
    }

    /// Lets the session work where it may block, while what is ready to be sent is sent.
    async fn work(
        &mut self,
        mut session: Box<Session>,
        place: Place,
    ) -> Result<(Box<Session>, Next), End> {
        let unsent = self.wire.unsent();
        let services = self.services.clone();
        let workers = self.workers.clone();
        let subnet = self.guest.subnet();
        let mut bill = self.guest.bill();
        let mut work = pin!(workers.run(place, subnet, move || {
            let turn = Turn::begin();
            let next = session.run_while(place, &services, unsent, &|| !turn.is_over());
            let took = turn.elapsed();
            bill.add(session.take_cost() + price_of_work(place, took));
            (session, next, took, bill)
        }));
        let done = loop {
            // The client may be silent for as long as it waits for us.
            let deadline = self.patience(None);
            tokio::select! {
                biased;
                done = &mut work => break done,
                () = passed(deadline) => self.overdue()?,
                () = told(&mut self.closing), if self.drain_until.is_none() => self.drain(),
                moved = self.wire.step(None) => {
                    moved?;
                    yield_now().await;
                }
            }
        };
        self.excuse();
        let (mut session, next, took, bill) = done.map_err(|error| {
            error!(%error, "a session failed");
            End::Internal
        })?;
        self.services.metrics.worked(place, took);
        session.add_cost(bill.take());
        Ok((session, next))
    }

    /// From here on the client only gets what it has not read yet.
    fn drain(&mut self) {
        let now = Instant::now();
        let until = now.checked_add(self.services.limits.drain_timeout);
        self.drain_until = Some(until.unwrap_or(now));
    }

    /// Returns when patience with the client ends, `heard` being when it last sent something, if that matters. `None`
    /// when it does not end.
    fn patience(&self, heard: Option<Instant>) -> Option<Instant> {
        let limits = &self.services.limits;
        // A limit beyond the end of time is none.
        let idle = heard.and_then(|heard| heard.checked_add(limits.idle_timeout));
        let stalled = self
            .wire
            .waiting_since()
            .and_then(|since| since.checked_add(limits.write_timeout));
        let slow = self
            .line_since
            .filter(|_| heard.is_some())
            .and_then(|since| since.checked_add(limits.line_timeout));
        // It is the client's turn when there is something to take, or a part of a line is missing.
        let is_slow = self.wire.unsent().all > 0 || (heard.is_some() && self.partial > 0);
        let hold = self.holds.as_ref().filter(|_| is_slow);
        let hold = hold.and_then(|hold| hold.since.checked_add(limits.hold_timeout));
        [idle, slow, stalled, hold, self.drain_until]
            .into_iter()
            .flatten()
            .min()
    }

    /// Says what patience has ended for, if it has: who holds room has more time unless others wait for that.
    fn overdue(&mut self) -> Result<(), End> {
        let limits = &self.services.limits;
        let is_over = |since: Option<Instant>, limit| {
            since.is_some_and(|since: Instant| since.elapsed() >= limit)
        };
        if self
            .drain_until
            .is_some_and(|until| until <= Instant::now())
        {
            return Err(End::Shutdown);
        }
        if is_over(self.wire.waiting_since(), limits.write_timeout) {
            return Err(End::Stalled);
        }
        if let Some(hold) = &mut self.holds
            && is_over(Some(hold.since), limits.hold_timeout)
        {
            let taken = hold.taken + self.wire.take_progress() + std::mem::take(&mut self.arrived);
            if taken < hold.due && self.services.metrics.budget(limits).is_wanted() {
                return Err(End::Holding);
            }
            hold.since = Instant::now();
            hold.taken = 0;
            return Ok(());
        }
        Err(match is_over(self.line_since, limits.line_timeout) {
            true => End::Slow,
            false => End::Idle,
        })
    }
}

/// Waits until the server shuts down, or is gone.
async fn told(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Waits until a moment has passed; forever when there is none.
async fn passed(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// Is ready at once, or never.
async fn ready_if(ready: bool) {
    if !ready {
        pending::<()>().await;
    }
}
