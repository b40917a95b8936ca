//! What a server counts, and its text form for Prometheus.
//!
//! Nothing here tells clients apart, and nothing names a script or a transaction.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use electrum_protocol::method::Method;

use crate::room::Budget;
use crate::session::{Limits, Place, Tally};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Returns it.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Through what a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Lines over TCP.
    Tcp,
    /// Lines within TLS.
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket within TLS.
    Wss,
    /// A unix socket.
    Unix,
}

impl Transport {
    const ALL: [Self; 5] = [Self::Tcp, Self::Tls, Self::Ws, Self::Wss, Self::Unix];

    /// Returns its name, as options and labels have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Unix => "unix",
        }
    }
}

/// Why a client is not served, or not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// All places are taken.
    Full,
    /// The subnet has its share of them.
    Subnet,
    /// The subnet owes too much.
    Cost,
    /// Too much is buffered.
    Buffers,
    /// The handshake of TLS, WebSocket or the PROXY protocol failed or took too long.
    Handshake,
    /// It sent nothing, or not a whole line, for too long.
    Idle,
    /// It read nothing for too long.
    Stalled,
}

impl Rejection {
    const ALL: [Self; 7] = [
        Self::Full,
        Self::Subnet,
        Self::Cost,
        Self::Buffers,
        Self::Handshake,
        Self::Idle,
        Self::Stalled,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Subnet => "subnet",
            Self::Cost => "cost",
            Self::Buffers => "buffers",
            Self::Handshake => "handshake",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
        }
    }
}

/// How long things took.
#[derive(Debug, Default)]
pub struct Durations {
    /// By the first limit of [`BOUNDS`] that holds them; the last is for the rest.
    buckets: [Counter; BOUNDS.len() + 1],
    microseconds: Counter,
}

/// The limits of the classes of durations, in seconds.
const BOUNDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

impl Durations {
    /// Notes one.
    pub fn note(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let class = BOUNDS.iter().position(|bound| seconds <= *bound);
        if let Some(bucket) = self.buckets.get(class.unwrap_or(BOUNDS.len())) {
            bucket.add(1);
        }
        self.microseconds
            .add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }
}

/// What a server counts.
#[derive(Debug)]
pub struct Metrics {
    /// The clients that are connected.
    pub(crate) connections: AtomicUsize,
    /// What is buffered for them, in bytes.
    pub(crate) buffered: AtomicUsize,
    pub(crate) subscriptions: Arc<Tally>,
    accepted: [Counter; Transport::ALL.len()],
    rejected: [Counter; Rejection::ALL.len()],
    /// Answers and errors of each method, in the order of [`Method::ALL`].
    requests: Vec<[Counter; 2]>,
    /// Messages that are no requests of the protocol.
    pub(crate) refused: Counter,
    pub(crate) notifications: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) sent_bytes: Counter,
    store: Durations,
    node: Durations,
    budget: OnceLock<Arc<Budget>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            connections: AtomicUsize::default(),
            buffered: AtomicUsize::default(),
            subscriptions: Arc::default(),
            accepted: Default::default(),
            rejected: Default::default(),
            requests: Method::ALL.iter().map(|_| Default::default()).collect(),
            refused: Counter::default(),
            notifications: Counter::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            store: Durations::default(),
            node: Durations::default(),
            budget: OnceLock::new(),
        }
    }
}

impl Metrics {
    /// Returns how many clients are connected.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Returns how many bytes are buffered for clients.
    pub fn buffered(&self) -> usize {
        self.buffered.load(Ordering::Relaxed)
    }

    /// Returns how many scripts are subscribed to.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.count()
    }

    /// Returns how many clients were turned or sent away for a reason.
    pub fn rejected(&self, reason: Rejection) -> u64 {
        self.rejected.get(reason as usize).map_or(0, Counter::get)
    }

    /// Returns the budget of all clients that are counted here, however many servers they are of.
    pub(crate) fn budget(&self, limits: &Limits) -> &Arc<Budget> {
        self.budget.get_or_init(|| Budget::new(limits.room()))
    }

    pub(crate) fn accept(&self, transport: Transport) {
        if let Some(counter) = self.accepted.get(transport as usize) {
            counter.add(1);
        }
    }

    pub(crate) fn reject(&self, reason: Rejection) {
        if let Some(counter) = self.rejected.get(reason as usize) {
            counter.add(1);
        }
    }

    pub(crate) fn answered(&self, method: Method, well: bool) {
        if let Some(counters) = self.requests.get(method as usize) {
            let [good, bad] = counters;
            (if well { good } else { bad }).add(1);
        }
    }

    pub(crate) fn worked(&self, place: Place, duration: Duration) {
        match place {
            Place::Reactor => {}
            Place::Store | Place::Long => self.store.note(duration),
            Place::Node | Place::Broadcast => self.node.note(duration),
        }
    }
}

/// The text form that Prometheus reads, version 0.0.4.
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut page = Page { out: f };
        page.one(
            "connections",
            "gauge",
            "Clients that are connected.",
            self.connections(),
        )?;
        page.one(
            "subscriptions",
            "gauge",
            "Scripts that are subscribed to.",
            self.subscriptions(),
        )?;
        page.one(
            "buffered_bytes",
            "gauge",
            "Bytes that wait for clients.",
            self.buffered(),
        )?;
        page.head("accepted_total", "counter", "Clients that were served.")?;
        for (transport, counter) in Transport::ALL.iter().zip(&self.accepted) {
            page.sample(
                "accepted_total",
                "transport",
                transport.name(),
                counter.get(),
            )?;
        }
        page.head(
            "rejected_total",
            "counter",
            "Clients that were turned or sent away.",
        )?;
        for (reason, counter) in Rejection::ALL.iter().zip(&self.rejected) {
            page.sample("rejected_total", "reason", reason.name(), counter.get())?;
        }
        page.head("requests_total", "counter", "Requests that were answered.")?;
        for (method, counters) in Method::ALL.iter().zip(&self.requests) {
            for (result, counter) in ["ok", "error"].iter().zip(counters) {
                if counter.get() > 0 {
                    let name = method.name();
                    let count = counter.get();
                    writeln!(
                        page.out,
                        "electrum_server_requests_total{{method=\"{name}\",result=\"{result}\"}} {count}"
                    )?;
                }
            }
        }
        let counters = [
            (
                "refused_total",
                "Messages that were no valid requests.",
                &self.refused,
            ),
            (
                "notifications_total",
                "Notifications that were sent.",
                &self.notifications,
            ),
            (
                "received_bytes_total",
                "Bytes that clients sent.",
                &self.received_bytes,
            ),
            (
                "sent_bytes_total",
                "Bytes that were sent to clients.",
                &self.sent_bytes,
            ),
        ];
        for (name, help, counter) in counters {
            page.one(name, "counter", help, counter.get())?;
        }
        let help = "How long groups of requests took that needed the store or the node.";
        page.head("work_seconds", "histogram", help)?;
        page.durations("work_seconds", "store", &self.store)?;
        page.durations("work_seconds", "node", &self.node)
    }
}

/// A page of samples.
struct Page<'a, 'f> {
    out: &'a mut fmt::Formatter<'f>,
}

impl Page<'_, '_> {
    fn head(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        writeln!(self.out, "# HELP electrum_server_{name} {help}")?;
        writeln!(self.out, "# TYPE electrum_server_{name} {kind}")
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl fmt::Display) -> fmt::Result {
        self.head(name, kind, help)?;
        writeln!(self.out, "electrum_server_{name} {value}")
    }

    fn sample(&mut self, name: &str, key: &str, label: &str, value: u64) -> fmt::Result {
        writeln!(
            self.out,
            "electrum_server_{name}{{{key}=\"{label}\"}} {value}"
        )
    }

    fn durations(&mut self, name: &str, place: &str, durations: &Durations) -> fmt::Result {
        let mut count = 0;
        let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, bucket) in bounds.zip(&durations.buckets) {
            count += bucket.get();
            writeln!(
                self.out,
                "electrum_server_{name}_bucket{{place=\"{place}\",le=\"{bound}\"}} {count}"
            )?;
        }
        let sum = Duration::from_micros(durations.microseconds.get()).as_secs_f64();
        writeln!(
            self.out,
            "electrum_server_{name}_sum{{place=\"{place}\"}} {sum}"
        )?;
        writeln!(
            self.out,
            "electrum_server_{name}_count{{place=\"{place}\"}} {count}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_has_every_sample_under_its_type() {
        let metrics = Metrics::default();
        metrics.accept(Transport::Wss);
        metrics.reject(Rejection::Cost);
        metrics.answered(Method::ServerPing, true);
        metrics.answered(Method::ServerPing, false);
        metrics.worked(Place::Store, Duration::from_millis(3));
        metrics.worked(Place::Store, Duration::from_secs(60));
        let text = metrics.to_string();
        for line in [
            "electrum_server_accepted_total{transport=\"wss\"} 1",
            "electrum_server_accepted_total{transport=\"tcp\"} 0",
            "electrum_server_rejected_total{reason=\"cost\"} 1",
            "electrum_server_requests_total{method=\"server.ping\",result=\"error\"} 1",
            "electrum_server_work_seconds_bucket{place=\"store\",le=\"0.001\"} 0",
            "electrum_server_work_seconds_bucket{place=\"store\",le=\"0.005\"} 1",
            "electrum_server_work_seconds_bucket{place=\"store\",le=\"+Inf\"} 2",
            "electrum_server_work_seconds_sum{place=\"store\"} 60.003",
            "electrum_server_work_seconds_count{place=\"store\"} 2",
            "# TYPE electrum_server_work_seconds histogram",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        // Prometheus refuses a page in which a type comes twice or a sample has none.
        let typed: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .collect();
        let names: std::collections::HashSet<_> =
            typed.iter().map(|line| line.split(' ').next()).collect();
        assert_eq!(names.len(), typed.len());
    }
}
