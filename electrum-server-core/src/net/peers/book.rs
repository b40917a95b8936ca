//! What is known of other servers. No I/O, and time is an argument.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use electrum_protocol::method::server::{HostPorts, Peer};
use tokio::time::Instant;

use crate::subnet::Subnet;

/// The servers that are known, by name.
#[derive(Debug)]
pub(super) struct Book {
    /// Under which names this server is known itself.
    own: BTreeMap<String, HostPorts>,
    entries: HashMap<String, Entry>,
    last_onion: Option<Instant>,
    /// Makes the order in which peers are listed one that nobody can choose.
    order: RandomState,
}

#[derive(Debug)]
struct Entry {
    ports: HostPorts,
    /// The address at which it was found.
    ip: Option<IpAddr>,
    /// The newest protocol version that it speaks.
    version: String,
    /// The address that it must have, if it named itself.
    claimed_by: Option<IpAddr>,
    good: Option<Instant>,
    failures: u32,
    next_visit: Instant,
    added: Instant,
}

/// Who speaks of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The operator of this server.
    Operator,
    /// The server itself, from an address; without one through an anonymising network or a unix socket.
    Itself(Option<IpAddr>),
    /// Another server.
    Peer,
}

/// A server to visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Visit {
    pub(super) host: String,
    pub(super) ports: HostPorts,
    /// One of its addresses must be this.
    pub(super) claimed_by: Option<IpAddr>,
}

/// What a visit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) ip: Option<IpAddr>,
    pub(super) ports: HostPorts,
    pub(super) version: String,
}

/// Whoever was not found for so long is not named to others, and is visited twice in that time.
const STALE: Duration = Duration::from_secs(3 * 60 * 60);
/// The pause after the first failure; it doubles with each.
const RETRY: Duration = Duration::from_secs(5 * 60);
/// After so many failures a server is forgotten: one that was good once, and one that never was.
const FORGET_GOOD: u32 = 10;
const FORGET_UNKNOWN: u32 = 3;
/// Servers that are known at most, and those named by others that were never found.
const MAX_ENTRIES: usize = 1000;
/// A domain is taken up once in this time, and so is an onion service, when they name themselves.
const SAME_DOMAIN: Duration = Duration::from_secs(10 * 60);
const ONION: Duration = Duration::from_secs(20 * 60);
/// Servers that are named of each range of addresses.
const PER_BUCKET: usize = 2;
/// Onion services that are named to those who come through Tor.
const ONIONS_FOR_TOR: usize = 50;

impl Book {
    pub(super) fn new(own: BTreeMap<String, HostPorts>) -> Self {
        Self {
            own,
            entries: HashMap::new(),
            last_onion: None,
            order: RandomState::new(),
        }
    }

    /// Takes up a server, unless it is known, is this one, or there are too many.
    pub(super) fn propose(
        &mut self,
        host: &str,
        ports: HostPorts,
        source: Source,
        now: Instant,
    ) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let reachable = ports.tcp_port.is_some() || ports.ssl_port.is_some();
        if !reachable || !is_host(&host) || self.own.contains_key(&host) {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(&host) {
            // It has come back, or has other ports: worth a look, once in a while.
            if let Source::Itself(ip) = source
                && entry.failures > 0
                && entry.may_be_at(ip)
                && now.saturating_duration_since(entry.added) >= SAME_DOMAIN
            {
                entry.ports = ports;
                entry.next_visit = now;
                entry.added = now;
            }
            return entry.good.is_some();
        }
        if let Source::Itself(_) = source {
            let soon = |at: Instant, pause| now.saturating_duration_since(at) < pause;
            if is_onion(&host) {
                if self.last_onion.is_some_and(|last| soon(last, ONION)) {
                    return false;
                }
                self.last_onion = Some(now);
            } else {
                let same = |known: &str| domain(known) == domain(&host);
                let mut others = self.entries.iter();
                if others.any(|(known, entry)| same(known) && soon(entry.added, SAME_DOMAIN)) {
                    return false;
                }
            }
        }
        if self.entries.len() >= MAX_ENTRIES {
            return false;
        }
        let claimed_by = match source {
            Source::Itself(ip) if !is_onion(&host) => ip,
            _ => None,
        };
        let entry = Entry {
            ports,
            ip: None,
            version: String::new(),
            claimed_by,
            good: None,
            failures: 0,
            next_visit: now,
            added: now,
        };
        self.entries.insert(host, entry);
        true
    }

    /// Takes a server that should be visited; it will not be due again while that goes on.
    pub(super) fn due(&mut self, now: Instant) -> Option<Visit> {
        let (host, entry) = self
            .entries
            .iter_mut()
            .filter(|(_, entry)| entry.next_visit <= now)
            .min_by_key(|(_, entry)| entry.next_visit)?;
        entry.next_visit = now + RETRY;
        Some(Visit {
            host: host.clone(),
            ports: entry.ports,
            claimed_by: entry.claimed_by,
        })
    }

    /// Notes that a server is what it says.
    pub(super) fn succeeded(&mut self, host: &str, found: Found, now: Instant) {
        if let Some(entry) = self.entries.get_mut(host) {
            entry.ports = found.ports;
            entry.ip = found.ip;
            entry.version = found.version;
            entry.claimed_by = None;
            entry.good = Some(now);
            entry.failures = 0;
            entry.next_visit = now + STALE / 2;
        }
    }

    /// Notes that a server could not be found; with `lies`, that it is not what it says.
    pub(super) fn failed(&mut self, host: &str, lies: bool, now: Instant) {
        let Some(entry) = self.entries.get_mut(host) else {
            return;
        };
        if lies {
            entry.good = None;
        }
        entry.failures += 1;
        entry.next_visit = now + RETRY * 2u32.pow(entry.failures.min(6) - 1);
        let patience = match entry.good {
            Some(_) => FORGET_GOOD,
            None => FORGET_UNKNOWN,
        };
        if entry.failures >= patience {
            self.entries.remove(host);
        }
    }

    /// Returns how many servers are known, and how many of them are good.
    pub(super) fn count(&self, now: Instant) -> (usize, usize) {
        let good = self.entries.values().filter(|entry| entry.is_good(now));
        (self.entries.len(), good.count())
    }

    /// Returns the servers to name to a client: few of each range of addresses, so that nobody can fill the list.
    pub(super) fn list(&self, tor: bool, now: Instant) -> Vec<Peer> {
        let mut good: Vec<(&String, &Entry)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.is_good(now))
            .collect();
        good.sort_by_key(|(host, _)| self.order.hash_one(host));
        let (onions, others): (Vec<_>, Vec<_>) =
            good.into_iter().partition(|(host, _)| is_onion(host));
        let mut buckets: HashMap<Option<Subnet>, usize> = HashMap::new();
        let mut list: Vec<Peer> = Vec::new();
        for (host, entry) in others {
            let taken = buckets.entry(entry.ip.map(bucket)).or_default();
            if *taken < PER_BUCKET {
                *taken += 1;
                list.push(entry.named(host));
            }
        }
        let room = match tor {
            true => ONIONS_FOR_TOR,
            false => (list.len() / 4).max(10),
        };
        list.extend(
            onions
                .into_iter()
                .take(room)
                .map(|(host, entry)| entry.named(host)),
        );
        list
    }
}

impl Entry {
    /// Tells whether the server may be who speaks from an address. Nobody else chooses where it is looked for.
    fn may_be_at(&self, ip: Option<IpAddr>) -> bool {
        match self.ip.or(self.claimed_by) {
            Some(known) => ip == Some(known),
            // An onion service has no address; one that was found is where it was.
            None => self.good.is_none(),
        }
    }

    fn is_good(&self, now: Instant) -> bool {
        self.good
            .is_some_and(|good| now.saturating_duration_since(good) < STALE)
    }

    fn named(&self, host: &str) -> Peer {
        let port = |letter: char, port: Option<u16>| port.map(|port| format!("{letter}{port}"));
        let mut features = vec![format!("v{}", self.version)];
        features.extend(port('s', self.ports.ssl_port));
        features.extend(port('t', self.ports.tcp_port));
        Peer {
            ip: self.ip.map_or_else(|| host.to_owned(), |ip| ip.to_string()),
            host: host.to_owned(),
            features,
        }
    }
}

/// Reads how servers name each other: `v1.4`, `s50002`, `t`.
pub(super) fn ports_of(peer: &Peer) -> HostPorts {
    let port = |letter: char, usual: u16| {
        let mut found = peer
            .features
            .iter()
            .filter_map(|word| word.strip_prefix(letter));
        found.find_map(|port| match port {
            "" => Some(usual),
            port => port.parse().ok(),
        })
    };
    HostPorts {
        tcp_port: port('t', 50001),
        ssl_port: port('s', 50002),
        ..HostPorts::default()
    }
}

pub(super) fn is_onion(host: &str) -> bool {
    host.ends_with(".onion")
}

/// Tells whether a name may be one of a server that others can reach.
fn is_host(host: &str) -> bool {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return is_public(ip);
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.len() <= 253 && host.contains('.') && host.split('.').all(label)
}

/// Tells whether an address is one that everybody can reach.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
                || shared
                || a == 0
                || a >= 240)
        }
        // What is routed begins with 001.
        IpAddr::V6(ip) => ip.to_bits() >> 125 == 1,
    }
}

fn bucket(ip: IpAddr) -> Subnet {
    Subnet::of(ip, if ip.is_ipv4() { 16 } else { 56 })
}

fn domain(host: &str) -> &str {
    match host.rmatch_indices('.').nth(1) {
        Some((dot, _)) if host.parse::<IpAddr>().is_err() => host.get(dot + 1..).unwrap_or(host),
        _ => host,
    }
}
