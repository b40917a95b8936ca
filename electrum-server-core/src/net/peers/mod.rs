//! Other servers: whom clients may ask instead.
//!
//! Servers name each other. What is named is visited before it is named on: it must be reachable, know its own name, and
//! have our chain. See `docs/operating.md`.

mod book;
#[cfg(test)]
mod tests;
mod visit;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use electrum_protocol::method::server::{HostPorts, Peer, ServerFeatures};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info};

use self::book::{Book, Source, ports_of};
use crate::session::{PeerBook, Services};

/// How servers find each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerOptions {
    /// Whether this server names itself to those that it visits.
    pub announce: bool,
    /// A SOCKS5 proxy that leads to onion services; without one they are left out.
    pub tor_proxy: Option<SocketAddr>,
    /// Whether servers at private addresses count as well.
    pub private_too: bool,
    /// Servers to begin with.
    pub first: Vec<(String, HostPorts)>,
}

/// The servers that are known.
pub struct Peers {
    options: PeerOptions,
    book: Mutex<Book>,
}

/// Between two looks at whom to visit.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a visit may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Servers that are taken up of those that one names.
const TAKEN_OF_ONE: usize = 2;
/// Visits that go on at the same time.
const VISITS_AT_A_TIME: usize = 8;

impl Peers {
    /// Begins with the servers of the options. `own` is under which names this one can be reached.
    pub fn new(options: PeerOptions, own: std::collections::BTreeMap<String, HostPorts>) -> Self {
        let now = Instant::now();
        let mut book = Book::new(own);
        for (host, ports) in &options.first {
            if !book.propose(host, *ports, Source::Operator, now) {
                info!(host, "this peer cannot be one");
            }
        }
        Self {
            options,
            book: Mutex::new(book),
        }
    }

    /// Returns how many servers are known, and how many of them are good.
    pub fn count(&self) -> (usize, usize) {
        self.book().count(Instant::now())
    }

    /// Visits servers until it is dropped.
    pub async fn run(self: Arc<Self>, services: Arc<Services>) {
        let visits = Arc::new(tokio::sync::Semaphore::new(VISITS_AT_A_TIME));
        loop {
            let due = self.book().due(Instant::now());
            let Some(due) = due else {
                sleep(PAUSE).await;
                continue;
            };
            // Never closed.
            let Ok(permit) = visits.clone().acquire_owned().await else {
                return;
            };
            let (this, services) = (self.clone(), services.clone());
            tokio::spawn(async move {
                this.visit(due, &services).await;
                drop(permit);
            });
        }
    }

    async fn visit(&self, due: book::Visit, services: &Services) {
        let view = services.view();
        let own = services.features(&view);
        let versions = services.about.versions;
        let visit = visit::visit(&due, &self.options, &own, versions, &view);
        let result = timeout(PATIENCE, visit).await;
        let now = Instant::now();
        let host = &due.host;
        match result {
            Ok(Ok((found, others))) => {
                debug!(host, version = found.version, "a good peer");
                let mut book = self.book();
                book.succeeded(host, found, now);
                let mut taken = 0;
                for peer in others.iter().take(1000) {
                    if taken < TAKEN_OF_ONE
                        && book.propose(&peer.host, ports_of(peer), Source::Peer, now)
                    {
                        taken += 1;
                    }
                }
            }
            Ok(Err(error)) => {
                debug!(host, %error, "not a good peer");
                self.book().failed(host, error.is_lie(), now);
            }
            Err(_) => {
                debug!(host, "a peer that does not answer");
                self.book().failed(host, false, now);
            }
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing panics while it is held.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PeerBook for Peers {
    fn peers(&self, client: Option<IpAddr>) -> Vec<Peer> {
        let proxy = self.options.tor_proxy.map(|proxy| proxy.ip());
        let tor = client.is_some() && client == proxy;
        self.book().list(tor, Instant::now())
    }

    fn propose(&self, features: &ServerFeatures, client: Option<IpAddr>) -> bool {
        let now = Instant::now();
        let mut book = self.book();
        // One name is enough to find out the others.
        let mut hosts = features.hosts.iter().take(4);
        hosts.any(|(host, ports)| book.propose(host, *ports, Source::Itself(client), now))
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
