//! A closed loop of requests: so many connections, so many requests in flight on each, nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Connections, and requests in flight on each.
pub(crate) const CONNECTIONS: usize = 16;
pub(crate) const IN_FLIGHT: usize = 8;

/// How long a slow server is waited for when the load is over.
const GRACE: Duration = Duration::from_secs(10);

/// What a load showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    /// Of these, those whose answers came in time.
    in_time: u64,
    pub(crate) errors: u64,
    pub(crate) bytes: u64,
    /// The beginning of the first error.
    pub(crate) complaint: Option<String>,
    pub(crate) duration: Duration,
    elapsed: Duration,
    /// Of each answer, in microseconds, sorted.
    latencies: Vec<u32>,
}

impl Load {
    pub(crate) fn per_second(&self) -> f64 {
        match self.in_time {
            // Whoever is that slow has at least the time that all of this has taken.
            0 => self.requests as f64 / self.elapsed.as_secs_f64(),
            in_time => in_time as f64 / self.duration.as_secs_f64(),
        }
    }

    /// The time within which so many of a thousand answers came, in milliseconds.
    pub(crate) fn per_mille(&self, part: usize) -> f64 {
        let at = (self.latencies.len() * part / 1000).min(self.latencies.len().saturating_sub(1));
        let latency = self.latencies.get(at).copied();
        latency.map_or(f64::NAN, |latency| f64::from(latency) / 1000.0)
    }

    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.in_time += other.in_time;
        self.errors += other.errors;
        self.bytes += other.bytes;
        self.complaint = self.complaint.take().or(other.complaint);
        self.latencies.extend(other.latencies);
    }
}

/// Asks for `duration`: each connection goes through `requests` (method and params as JSON) from another place on.
pub(crate) fn run(
    address: &str,
    requests: &Arc<Vec<String>>,
    connections: usize,
    in_flight: usize,
    duration: Duration,
) -> Load {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        let end = start + duration;
        let tasks: Vec<_> = (0..connections)
            .map(|number| {
                let (address, requests) = (address.to_owned(), requests.clone());
                let first = number * requests.len() / connections;
                tokio::spawn(async move {
                    let mut load = Load::default();
                    let loaded = connection(&address, &requests, first, in_flight, end, &mut load);
                    let loaded = timeout(duration + GRACE, loaded).await;
                    let silence = || Err(std::io::ErrorKind::TimedOut.into());
                    if let Err(error) = loaded.unwrap_or_else(|_| silence()) {
                        load.errors += 1;
                        load.complaint = Some(error.to_string());
                    }
                    load
                })
            })
            .collect();
        let mut total = Load::default();
        for task in tasks {
            total.add(task.await.unwrap());
        }
        total.duration = duration;
        total.elapsed = start.elapsed();
        total.latencies.sort_unstable();
        total
    })
}

async fn connection(
    address: &str,
    requests: &[String],
    first: usize,
    in_flight: usize,
    end: Instant,
    load: &mut Load,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut sent = [Instant::now(); IN_FLIGHT];
    let mut out = Vec::new();
    let mut next = first;
    let mut push = |slot: usize, out: &mut Vec<u8>| {
        let request = &requests[next % requests.len()];
        next += 1;
        out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        out.push(b'0' + slot as u8);
        out.push(b',');
        out.extend_from_slice(request.as_bytes());
        out.extend_from_slice(b"}\n");
    };
    let version = br#"{"id":9,"method":"server.version","params":["load","1.4"]}"#;
    out.extend_from_slice(version);
    out.push(b'\n');
    for slot in 0..in_flight {
        push(slot, &mut out);
    }
    stream.write_all(&out).await?;
    let mut buffer = vec![0; 1 << 18];
    // The beginning of the line that is being read, and its end: servers put the id at either.
    let mut line = Ends::default();
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let now = Instant::now();
        load.bytes += count as u64;
        out.clear();
        let mut rest = &buffer[..count];
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let (part, tail) = rest.split_at(at);
            rest = tail.split_at(1).1;
            line.add(part);
            if let Some(slot) = line.slot() {
                load.requests += 1;
                load.in_time += u64::from(now < end);
                load.latencies
                    .push(now.duration_since(sent[slot]).as_micros() as u32);
                if line.is_error() {
                    load.errors += 1;
                    load.complaint.get_or_insert_with(|| line.text());
                }
                sent[slot] = now;
                push(slot, &mut out);
            }
            line.clear();
        }
        line.add(rest);
        if now >= end {
            return Ok(());
        }
        if !out.is_empty() {
            stream.write_all(&out).await?;
        }
    }
}

/// How much is kept of either end of a line.
const KEPT: usize = 100;

#[derive(Default)]
struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Ends {
    fn clear(&mut self) {
        self.head.clear();
        self.tail.clear();
    }

    fn add(&mut self, part: &[u8]) {
        let fits = part.len().min(KEPT.saturating_sub(self.head.len()));
        self.head.extend_from_slice(&part[..fits]);
        // Without spaces: ElectrumX fills its lines up with them, after the id.
        let ends = part[fits..].iter().rev().filter(|byte| **byte != b' ');
        let mut tail: Vec<u8> = ends.take(KEPT).copied().collect();
        tail.reverse();
        let excess = (self.tail.len() + tail.len()).saturating_sub(KEPT);
        self.tail.drain(..excess);
        self.tail.extend_from_slice(&tail);
    }

    /// The number of the request that this answers.
    fn slot(&self) -> Option<usize> {
        let key = b"\"id\":";
        let head = memchr::memmem::find(&self.head, key).map(|at| &self.head[at + key.len()..]);
        let tail = || memchr::memmem::rfind(&self.tail, key).map(|at| &self.tail[at + key.len()..]);
        let digit = head.or_else(tail)?.iter().find(|byte| **byte != b' ')?;
        let slot = usize::from(digit.wrapping_sub(b'0'));
        (slot < IN_FLIGHT).then_some(slot)
    }

    fn is_error(&self) -> bool {
        let key = b"\"error\":";
        let Some(at) = memchr::memmem::find(&self.head, key) else {
            return false;
        };
        !self.head[at + key.len()..]
            .trim_ascii_start()
            .starts_with(b"null")
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }
}
