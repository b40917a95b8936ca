//! Who may come in, and what clients owe: one account per subnet.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use electrum_protocol::{ErrorCode, ErrorObject};
use tokio::time::Instant;

use super::origin::Origin;
use crate::metrics::{Metrics, Rejection};
use crate::room::Account;
use crate::session::{Limits, Quota, Tally, price};
use crate::subnet::Subnet;

/// The accounts of all clients.
#[derive(Debug)]
pub(super) struct Admission {
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
    groups: Mutex<HashMap<Subnet, Arc<Group>>>,
}

/// The clients of a subnet.
#[derive(Debug)]
struct Group {
    subnet: Subnet,
    connections: AtomicUsize,
    subscriptions: Arc<Tally>,
    debt: Mutex<Debt>,
}

/// What is owed, as of a moment.
#[derive(Debug)]
struct Debt {
    amount: f64,
    at: Instant,
}

/// A connection that was let in; counts for as long as it exists.
#[derive(Debug)]
pub(super) struct Guest {
    admission: Arc<Admission>,
    group: Option<Arc<Group>>,
}

/// What a client has cost and was not charged yet. It is charged when this is dropped: what was done for a client that
/// has gone meanwhile is owed all the same.
#[derive(Debug)]
pub(super) struct Bill {
    group: Option<Arc<Group>>,
    limits: Arc<Limits>,
    cost: f64,
}

/// How much is buffered for a client in one place; counts for as long as it exists.
#[derive(Debug)]
pub(super) struct Buffer {
    metrics: Arc<Metrics>,
    bytes: usize,
}

/// The same of a transport, which takes room by itself.
#[derive(Debug)]
pub(super) struct TransportBuffer {
    buffer: Buffer,
    account: Account,
}

/// What becomes of a client that was charged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It may go on.
    Go,
    /// It may go on after a while.
    Wait(Duration),
    /// It must go, and may come back after so many seconds.
    Leave(u32),
}

/// Subnets that are remembered; more than that are forgotten although they owe something, if nobody is connected.
const MAX_GROUPS: usize = 100_000;
/// Places beyond the limit for those who are in no subnet.
const RESERVED: usize = 8;
/// Below this a debt is none.
const NOTHING: f64 = 1.0;
/// The share of the hard limit that is forgiven in a second.
const FORGIVEN: f64 = 1.0 / 5000.0;
/// When it is worth asking again whether there is room, in seconds.
const RETRY: u32 = 60;
/// Tor gives each circuit an address of its own here, when it is asked to (`HiddenServiceExportCircuitID haproxy`).
const TOR_CIRCUITS: (u128, u32) = (0xfc00_dead_beef_4dad << 64, 64);

impl Admission {
    pub(super) fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            limits: Arc::new(limits),
            metrics,
            groups: Mutex::default(),
        }
    }

    #[cfg(test)]
    /// Returns how many subnets have an account.
    pub(super) fn subnets(&self) -> usize {
        self.groups().len()
    }

    #[cfg(test)]
    /// Returns what the subnet of an address owes.
    pub(super) fn owed(&self, origin: Origin) -> f64 {
        let now = Instant::now();
        let subnet = self.subnet(origin).expect("it is in a subnet");
        let group = self.group(subnet, now);
        let mut debt = group.debt.lock().unwrap();
        debt.forgive(&self.limits, now);
        debt.amount
    }

    /// Makes a place where things are buffered.
    pub(super) fn buffer(&self) -> Buffer {
        Buffer {
            metrics: self.metrics.clone(),
            bytes: 0,
        }
    }

    /// Makes a place where a transport buffers things for a client that was not let in.
    pub(super) fn transport_buffer(&self) -> TransportBuffer {
        self.transport_buffer_of(None)
    }

    fn transport_buffer_of(&self, subnet: Option<Subnet>) -> TransportBuffer {
        let (_, share) = self.limits.shares();
        TransportBuffer {
            buffer: self.buffer(),
            account: self.account_of(subnet, share),
        }
    }

    fn account_of(&self, subnet: Option<Subnet>, share: usize) -> Account {
        Account::new(self.metrics.budget(&self.limits), subnet, share)
    }

    /// Lets a connection in, or says why not.
    pub(super) fn admit(
        self: &Arc<Self>,
        origin: Origin,
        now: Instant,
    ) -> Result<Guest, ErrorObject> {
        let limits = &self.limits;
        let Some(subnet) = self.subnet(origin) else {
            return self.admit_without_account();
        };
        let group = self.group(subnet, now);
        if let Verdict::Leave(seconds) = group.charge(price::CONNECTION, limits, now) {
            self.metrics.reject(Rejection::Cost);
            return Err(excessive(seconds));
        }
        // Taken before it is looked at, so that two at once do not both find the last place.
        if group.connections.fetch_add(1, Ordering::Relaxed) >= limits.max_subnet_connections {
            group.connections.fetch_sub(1, Ordering::Relaxed);
            self.metrics.reject(Rejection::Subnet);
            let message = "too many connections from your subnet";
            let error = ErrorObject::new(ErrorCode::LIMIT_EXCEEDED, message);
            return Err(error.with_retry_after(RETRY));
        }
        self.take_place(Some(group))
    }

    /// Lets in whoever is exempt, and proxies, whose clients pay once they are known.
    pub(super) fn admit_without_account(self: &Arc<Self>) -> Result<Guest, ErrorObject> {
        self.take_place(None)
    }

    fn take_place(self: &Arc<Self>, group: Option<Arc<Group>>) -> Result<Guest, ErrorObject> {
        // The operator gets in when nobody else does.
        let max = self.limits.max_connections;
        let places = match group {
            Some(_) => max,
            None => max.saturating_add(RESERVED),
        };
        let others = self.metrics.connections.fetch_add(1, Ordering::Relaxed);
        let guest = Guest {
            admission: self.clone(),
            group,
        };
        if others >= places {
            self.metrics.reject(Rejection::Full);
            let error = ErrorObject::new(ErrorCode::SERVER_BUSY, "too many connections");
            return Err(error.with_retry_after(RETRY));
        }
        Ok(guest)
    }

    /// Returns the subnet that pays for a connection; none when nobody does.
    fn subnet(&self, origin: Origin) -> Option<Subnet> {
        let ip = origin.ip()?;
        if self.limits.exempt.iter().any(|subnet| subnet.contains(ip)) {
            return None;
        }
        let bits = match ip {
            IpAddr::V4(_) => self.limits.subnet_bits_v4,
            IpAddr::V6(ip) => {
                let (circuits, shift) = TOR_CIRCUITS;
                match ip.to_bits() >> shift == circuits >> shift {
                    true => 128,
                    false => self.limits.subnet_bits_v6,
                }
            }
        };
        Some(Subnet::of(ip, bits))
    }

    fn group(&self, subnet: Subnet, now: Instant) -> Arc<Group> {
        let mut groups = self.groups();
        if groups.len() >= MAX_GROUPS && !groups.contains_key(&subnet) {
            groups.retain(|_, group| group.is_worth_keeping(&self.limits, now));
            if groups.len() >= MAX_GROUPS {
                groups.retain(|_, group| group.connections.load(Ordering::Relaxed) > 0);
            }
        }
        let group = groups.entry(subnet).or_insert_with(|| {
            Arc::new(Group {
                subnet,
                connections: AtomicUsize::new(0),
                subscriptions: Arc::default(),
                debt: Mutex::new(Debt {
                    amount: 0.0,
                    at: now,
                }),
            })
        });
        group.clone()
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<Subnet, Arc<Group>>> {
        // Nothing panics while it is held.
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client is told that has cost too much.
pub(super) fn excessive(seconds: u32) -> ErrorObject {
    ErrorObject::new(ErrorCode::EXCESSIVE_USAGE, "excessive resource usage")
        .with_retry_after(seconds)
}

impl Group {
    fn charge(&self, cost: f64, limits: &Limits, now: Instant) -> Verdict {
        let hard = limits.cost_hard;
        if hard <= 0.0 {
            return Verdict::Go;
        }
        let owed = {
            let mut debt = self.debt.lock().unwrap_or_else(PoisonError::into_inner);
            debt.forgive(limits, now);
            // More is not counted, so that a way back exists.
            debt.amount = (debt.amount + cost).min(1.1 * hard);
            debt.amount
        };
        if owed >= hard {
            // When half of it is forgiven, there is something to come back for.
            let seconds = (owed - hard / 2.0) / (hard * FORGIVEN);
            return Verdict::Leave(seconds.ceil() as u32);
        }
        let share = (owed - limits.cost_soft) / (hard - limits.cost_soft);
        match share > 0.0 && limits.cost_soft < hard {
            true => Verdict::Wait(limits.cost_delay.mul_f64(share.min(1.0))),
            false => Verdict::Go,
        }
    }

    fn is_worth_keeping(&self, limits: &Limits, now: Instant) -> bool {
        let mut debt = self.debt.lock().unwrap_or_else(PoisonError::into_inner);
        debt.forgive(limits, now);
        self.connections.load(Ordering::Relaxed) > 0 || debt.amount >= NOTHING
    }
}

impl Debt {
    fn forgive(&mut self, limits: &Limits, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.amount = (self.amount - seconds * limits.cost_hard * FORGIVEN).max(0.0);
        self.at = self.at.max(now);
    }
}

impl Guest {
    /// Adds to what the client owes.
    pub(super) fn charge(&self, cost: f64, now: Instant) -> Verdict {
        match &self.group {
            Some(group) if cost > 0.0 => group.charge(cost, &self.admission.limits, now),
            _ => Verdict::Go,
        }
    }

    /// Begins to count what is done for the client where it may be gone before it is charged.
    pub(super) fn bill(&self) -> Bill {
        Bill {
            group: self.group.clone(),
            limits: self.admission.limits.clone(),
            cost: 0.0,
        }
    }

    /// Returns where the client's subscriptions count.
    pub(super) fn quota(&self) -> Quota {
        Quota {
            subnet: self.group.as_ref().map(|group| group.subscriptions.clone()),
            all: self.admission.metrics.subscriptions.clone(),
        }
    }
}

impl Bill {
    pub(super) fn add(&mut self, cost: f64) {
        self.cost += cost;
    }

    /// Takes the costs for somebody who charges them.
    pub(super) fn take(mut self) -> f64 {
        std::mem::take(&mut self.cost)
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        if let Some(group) = self.group.as_ref().filter(|_| self.cost > 0.0) {
            group.charge(self.cost, &self.limits, Instant::now());
        }
    }
}

impl Guest {
    /// Returns the subnet that the client pays with; none when it is exempt.
    pub(super) fn subnet(&self) -> Option<Subnet> {
        self.group.as_ref().map(|group| group.subnet)
    }

    /// Returns the memory that the client may use.
    pub(super) fn account(&self) -> Account {
        let (share, _) = self.admission.limits.shares();
        self.admission.account_of(self.subnet(), share)
    }

    /// Makes a place where the client's transport buffers things.
    pub(super) fn transport_buffer(&self) -> TransportBuffer {
        self.admission.transport_buffer_of(self.subnet())
    }
}

impl Buffer {
    /// Notes how much is buffered now.
    pub(super) fn set(&mut self, bytes: usize) {
        let total = &self.metrics.buffered;
        let before = std::mem::replace(&mut self.bytes, bytes);
        match bytes.checked_sub(before) {
            Some(more) => total.fetch_add(more, Ordering::Relaxed),
            None => total.fetch_sub(before - bytes, Ordering::Relaxed),
        };
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl TransportBuffer {
    /// Notes how much is buffered now. Returns whether that must end because there is no room for it.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        self.buffer.set(bytes);
        let is_too_much = !self.account.grow_to(bytes);
        self.account.settle(bytes);
        is_too_much
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let admission = &self.admission;
        admission
            .metrics
            .connections
            .fetch_sub(1, Ordering::Relaxed);
        if let Some(group) = &self.group {
            group.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(ip: &str) -> Origin {
        Origin::Ip((ip.parse::<IpAddr>().unwrap(), 1).into())
    }

    fn admission(limits: Limits) -> Arc<Admission> {
        Arc::new(Admission::new(limits, Arc::default()))
    }

    #[test]
    fn a_subnet_has_so_many_connections_and_others_have_theirs() {
        let admission = admission(Limits {
            max_subnet_connections: 2,
            ..Limits::default()
        });
        let now = Instant::now();
        let first = admission.admit(origin("192.0.2.1"), now).unwrap();
        let _second = admission.admit(origin("192.0.2.200"), now).unwrap();
        let refused = admission.admit(origin("192.0.2.3"), now).unwrap_err();
        assert_eq!(refused.code, ErrorCode::LIMIT_EXCEEDED);
        assert_eq!(refused.data.unwrap().get(), "{\"retry_after\":60}");
        admission.admit(origin("192.0.3.1"), now).unwrap();
        admission.admit(origin("2001:db8::1"), now).unwrap();
        let exempt: Vec<_> = (0..5)
            .map(|_| admission.admit(origin("::ffff:127.0.0.1"), now).unwrap())
            .collect();
        assert_eq!(admission.metrics.connections(), 2 + exempt.len());
        drop(first);
        admission.admit(origin("192.0.2.3"), now).unwrap();
    }

    #[test]
    fn each_tor_circuit_pays_for_itself() {
        let admission = admission(Limits {
            max_subnet_connections: 1,
            ..Limits::default()
        });
        let now = Instant::now();
        let first = admission.admit(origin("fc00:dead:beef:4dad::1:1"), now);
        let second = admission.admit(origin("fc00:dead:beef:4dad::1:2"), now);
        assert!(first.is_ok() && second.is_ok());
        assert!(
            admission
                .admit(origin("fc00:dead:beef:4dad::1:2"), now)
                .is_err()
        );
    }

    #[test]
    fn when_all_places_are_taken_the_operator_still_gets_in() {
        let admission = admission(Limits {
            max_connections: 1,
            ..Limits::default()
        });
        let now = Instant::now();
        let _first = admission.admit(origin("192.0.2.1"), now).unwrap();
        let refused = admission.admit(origin("198.51.100.1"), now).unwrap_err();
        assert_eq!(refused.code, ErrorCode::SERVER_BUSY);
        assert_eq!(admission.metrics.connections(), 1);
        let operators: Vec<_> = (0..RESERVED)
            .map(|_| admission.admit(Origin::Unix, now).unwrap())
            .collect();
        assert!(admission.admit(Origin::Unix, now).is_err());
        drop(operators);
    }

    #[test]
    fn debts_slow_down_then_send_away_and_are_forgiven() {
        let admission = admission(Limits::default());
        let start = Instant::now();
        let guest = admission.admit(origin("192.0.2.1"), start).unwrap();
        assert_eq!(guest.charge(900.0, start), Verdict::Go);
        // 905 + 4595 is half way between the two limits.
        let half = Verdict::Wait(Duration::from_millis(1250));
        assert_eq!(guest.charge(4595.0, start), half);
        // Two are forgiven in a second.
        let later = start + Duration::from_secs(2275);
        assert_eq!(guest.charge(1.0, later), Verdict::Go);
        let Verdict::Leave(seconds) = guest.charge(1e9, later) else {
            panic!("it owes too much");
        };
        assert_eq!(seconds, 3000);
        drop(guest);
        // Another address of the subnet, another connection.
        let refused = admission.admit(origin("192.0.2.99"), later).unwrap_err();
        assert_eq!(refused.code, ErrorCode::EXCESSIVE_USAGE);
        let back = later + Duration::from_secs(3010);
        admission.admit(origin("192.0.2.99"), back).unwrap();
    }

    #[test]
    fn nothing_is_charged_without_a_limit() {
        let admission = admission(Limits {
            cost_hard: 0.0,
            ..Limits::default()
        });
        let now = Instant::now();
        let guest = admission.admit(origin("192.0.2.1"), now).unwrap();
        assert_eq!(guest.charge(1e12, now), Verdict::Go);
    }

    #[test]
    fn a_transport_has_its_share_whatever_others_do_and_no_more_when_the_buffers_are_full() {
        let admission = admission(Limits {
            max_buffered: 300_000,
            max_connections: 2,
            ..Limits::default()
        });
        let now = Instant::now();
        let mut buffers = ["192.0.2.1", "192.0.3.1", "192.0.2.2"].map(|ip| {
            let guest = admission.admit(origin(ip), now);
            match guest {
                Ok(guest) => guest.transport_buffer(),
                // The third is told that it is one too many.
                Err(_) => admission.transport_buffer(),
            }
        });
        let [large, other, small] = &mut buffers;
        assert!(!large.set(150_000));
        assert!(other.set(150_000), "there is no room for both");
        assert!(!small.set(16_000));
        assert_eq!(admission.metrics.buffered(), 316_000);
        assert!(!large.set(0));
        assert!(!other.set(150_000));
        drop(buffers);
        assert_eq!(admission.metrics.buffered(), 0);
    }

    #[test]
    fn subnets_that_owe_nothing_are_forgotten() {
        let admission = admission(Limits::default());
        let start = Instant::now();
        let _connected = admission.admit(origin("192.0.2.1"), start).unwrap();
        for number in 0..MAX_GROUPS as u32 {
            let ip = std::net::Ipv4Addr::from_bits((20 << 24) + (number << 8));
            drop(admission.admit(Origin::Ip((ip, 1).into()), start).unwrap());
        }
        assert!(admission.subnets() <= MAX_GROUPS);
        let later = start + Duration::from_secs(10);
        drop(admission.admit(origin("203.0.113.1"), later).unwrap());
        assert!(admission.subnets() <= 3, "{}", admission.subnets());
    }
}
