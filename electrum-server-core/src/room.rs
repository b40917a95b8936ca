//! The memory for what passes between the server and its clients: one budget, and who gets room in it next.
//!
//! A client may hold a [share](Account) whatever others do. For more than that it takes [`Room`] from the [`Budget`]
//! *before* the bytes exist. When there is not enough left it waits, and waiting is fair between subnets: room that is
//! given back goes to the subnet that holds the least, and among those that hold the same to the one that was served the
//! longest ago. The clients of a subnet are served in the order in which they came; each waits for one thing at a time.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::subnet::Subnet;

/// A number of bytes, and who holds how many of them.
#[derive(Debug)]
pub(crate) struct Budget {
    capacity: usize,
    /// The most that a subnet may hold, so that there is always some left for another one.
    most_of_subnet: usize,
    state: Mutex<State>,
    /// How many wait. Written under the lock.
    waiting: AtomicUsize,
}

/// Room for so many bytes. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    budget: Arc<Budget>,
    subnet: Option<Subnet>,
    bytes: usize,
}

/// Waits for room; out of the queue when it is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    budget: Arc<Budget>,
    subnet: Option<Subnet>,
    ticket: u64,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    /// What each subnet holds; those that are exempt from limits hold theirs together.
    held: HashMap<Option<Subnet>, usize>,
    queues: HashMap<Option<Subnet>, Queue>,
    /// Who is next, of those that wait: by what they hold, then by when they were served last.
    order: BTreeSet<(usize, u64, Option<Subnet>)>,
    tickets: HashMap<u64, Ticket>,
    /// Counts tickets and turns.
    count: u64,
}

/// Those of a subnet that wait.
#[derive(Debug)]
struct Queue {
    tickets: VecDeque<u64>,
    turn: u64,
}

#[derive(Debug)]
struct Ticket {
    bytes: usize,
    waker: Option<Waker>,
    is_granted: bool,
}

impl Budget {
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            most_of_subnet: capacity / 2,
            state: Mutex::default(),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Tells whether anybody waits for room.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Returns how many bytes there is room taken for.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.state().used
    }

    /// Takes room if it is to be had at once.
    pub(crate) fn take(self: &Arc<Self>, subnet: Option<Subnet>, bytes: usize) -> Option<Room> {
        let bytes = bytes.min(self.capacity);
        let mut state = self.state();
        if !state.order.is_empty() {
            drop(state);
            let waiting = self.wait(subnet, bytes);
            let is_granted = {
                let state = self.state();
                let ticket = state.tickets.get(&waiting.ticket);
                ticket.is_some_and(|ticket| ticket.is_granted)
            };
            return is_granted.then(|| waiting.take());
        }
        let fits = self.fits(&state, state.held_by(subnet), subnet, bytes);
        fits.then(|| {
            state.change(subnet, bytes, 0);
            self.room(subnet, bytes)
        })
    }

    /// Waits for room. More than there is altogether is as much as there is.
    pub(crate) fn wait(self: &Arc<Self>, subnet: Option<Subnet>, bytes: usize) -> Waiting {
        let mut state = self.state();
        state.count += 1;
        let ticket = state.count;
        let bytes = bytes.min(self.capacity);
        state.tickets.insert(
            ticket,
            Ticket {
                bytes,
                waker: None,
                is_granted: false,
            },
        );
        let held = state.held_by(subnet);
        let queue = state.queues.entry(subnet).or_insert_with(|| Queue {
            tickets: VecDeque::new(),
            turn: ticket,
        });
        queue.tickets.push_back(ticket);
        let turn = queue.turn;
        state.order.insert((held, turn, subnet));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.grant(state);
        Waiting {
            budget: self.clone(),
            subnet,
            ticket,
        }
    }

    fn fits(&self, state: &State, held: usize, subnet: Option<Subnet>, bytes: usize) -> bool {
        let is_too_much = subnet.is_some() && held > 0 && held + bytes > self.most_of_subnet;
        // One always fits, however large.
        !is_too_much && (state.used == 0 || state.used.saturating_add(bytes) <= self.capacity)
    }

    /// Gives what is free to those who are next.
    fn grant(&self, mut state: MutexGuard<'_, State>) {
        let mut wakers = Vec::new();
        loop {
            let mut next = None;
            for (held, turn, subnet) in &state.order {
                let queue = state.queues.get(subnet);
                let Some(ticket) = queue.and_then(|queue| queue.tickets.front().copied()) else {
                    continue;
                };
                let Some(bytes) = state.tickets.get(&ticket).map(|ticket| ticket.bytes) else {
                    continue;
                };
                if self.fits(&state, *held, *subnet, bytes) {
                    next = Some((*held, *turn, *subnet, ticket, bytes));
                    break;
                }
                // Whoever holds too much waits for itself, and others pass. Whoever is next and does not fit is not
                // overtaken by those who want less.
                if self.fits(&state, 0, *subnet, bytes) {
                    continue;
                }
                break;
            }
            let Some((held, turn, subnet, ticket, bytes)) = next else {
                break;
            };
            state.order.remove(&(held, turn, subnet));
            state.count += 1;
            let now = state.count;
            let mut goes_on = false;
            if let Some(queue) = state.queues.get_mut(&subnet) {
                queue.tickets.pop_front();
                queue.turn = now;
                goes_on = !queue.tickets.is_empty();
            }
            match goes_on {
                true => drop(state.order.insert((held, now, subnet))),
                false => drop(state.queues.remove(&subnet)),
            }
            state.change(subnet, bytes, 0);
            if let Some(ticket) = state.tickets.get_mut(&ticket) {
                ticket.is_granted = true;
                wakers.extend(ticket.waker.take());
            }
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn room(self: &Arc<Self>, subnet: Option<Subnet>, bytes: usize) -> Room {
        Room {
            budget: self.clone(),
            subnet,
            bytes,
        }
    }

    fn give_back(&self, subnet: Option<Subnet>, bytes: usize) {
        if bytes > 0 {
            let mut state = self.state();
            state.change(subnet, 0, bytes);
            self.grant(state);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn held_by(&self, subnet: Option<Subnet>) -> usize {
        self.held.get(&subnet).copied().unwrap_or_default()
    }

    /// Changes what a subnet holds, and with it its place among those that wait.
    fn change(&mut self, subnet: Option<Subnet>, more: usize, less: usize) {
        self.used = (self.used + more).saturating_sub(less);
        let before = self.held_by(subnet);
        let now = (before + more).saturating_sub(less);
        match now {
            0 => self.held.remove(&subnet),
            now => self.held.insert(subnet, now),
        };
        if let Some(queue) = self.queues.get(&subnet)
            && self.order.remove(&(before, queue.turn, subnet))
        {
            self.order.insert((now, queue.turn, subnet));
        }
    }
}

impl Room {
    /// Gives back what is more than so many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(less) = self.bytes.checked_sub(bytes) {
            self.bytes = bytes;
            self.budget.give_back(self.subnet, less);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.budget.give_back(self.subnet, self.bytes);
    }
}

impl Waiting {
    /// Takes what was granted.
    fn take(self) -> Room {
        let ticket = self.budget.state().tickets.remove(&self.ticket);
        let bytes = ticket.map_or(0, |ticket| ticket.bytes);
        self.budget.room(self.subnet, bytes)
    }
}

impl Future for Waiting {
    type Output = Room;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Room> {
        let mut state = self.budget.state();
        let Some(ticket) = state.tickets.get_mut(&self.ticket) else {
            // It was ready before.
            return Poll::Pending;
        };
        if !ticket.is_granted {
            ticket.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let bytes = ticket.bytes;
        state.tickets.remove(&self.ticket);
        drop(state);
        Poll::Ready(self.budget.room(self.subnet, bytes))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        let Some(ticket) = state.tickets.remove(&self.ticket) else {
            return;
        };
        if ticket.is_granted {
            state.change(self.subnet, 0, ticket.bytes);
        } else {
            let held = state.held_by(self.subnet);
            let mut end = None;
            if let Some(queue) = state.queues.get_mut(&self.subnet) {
                queue.tickets.retain(|ticket| *ticket != self.ticket);
                end = queue.tickets.is_empty().then_some(queue.turn);
            }
            if let Some(turn) = end {
                state.order.remove(&(held, turn, self.subnet));
                state.queues.remove(&self.subnet);
            }
            self.budget.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        // Others may have waited behind it only.
        self.budget.grant(state);
    }
}

/// What a client may hold: a share that nobody takes from it, and room beyond it.
#[derive(Debug)]
pub(crate) struct Account {
    share: usize,
    room: Room,
}

impl Account {
    pub(crate) fn new(budget: &Arc<Budget>, subnet: Option<Subnet>, share: usize) -> Self {
        Self {
            share,
            room: budget.room(subnet, 0),
        }
    }

    /// Returns how many bytes it may hold now.
    pub(crate) fn granted(&self) -> usize {
        self.share.saturating_add(self.room.bytes)
    }

    /// Returns how many bytes it may hold whatever others do.
    pub(crate) fn share(&self) -> usize {
        self.share
    }

    /// Tells whether it holds more than its share.
    pub(crate) fn has_room(&self) -> bool {
        self.room.bytes > 0
    }

    /// Takes room for so many bytes altogether. Returns whether that was to be had at once.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        match bytes.checked_sub(self.granted()) {
            None | Some(0) => true,
            Some(more) => match self.room.budget.take(self.room.subnet, more) {
                Some(room) => {
                    self.add(room);
                    true
                }
                None => false,
            },
        }
    }

    /// Takes room for a thing of its own, if that is to be had at once.
    pub(crate) fn take(&self, bytes: usize) -> Option<Room> {
        self.room.budget.take(self.room.subnet, bytes)
    }

    /// Tells whether room is as much as could be taken for so many bytes.
    pub(crate) fn suffices(&self, room: &Room, bytes: usize) -> bool {
        room.bytes >= bytes.min(self.room.budget.capacity)
    }

    /// Waits for room.
    pub(crate) fn wait(&self, bytes: usize) -> Waiting {
        self.room.budget.wait(self.room.subnet, bytes)
    }

    pub(crate) fn add(&mut self, mut room: Room) {
        self.room.bytes += std::mem::take(&mut room.bytes);
    }

    /// Holds so many bytes, and keeps no more room than that takes. What is there is there: whoever said too little before
    /// is counted all the same, and others wait the longer.
    pub(crate) fn settle(&mut self, bytes: usize) {
        let needed = bytes.saturating_sub(self.share);
        match needed.checked_sub(self.room.bytes) {
            None => self.room.shrink_to(needed),
            Some(0) => {}
            Some(more) => {
                self.room.budget.state().change(self.room.subnet, more, 0);
                self.room.bytes = needed;
            }
        }
    }
}

#[cfg(test)]
mod tests;
