//! A closed loop of requests: so many connections, so many requests in flight on each, nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connections, and requests in flight on each.
pub(crate) const CONNECTIONS: usize = 16;
pub(crate) const IN_FLIGHT: usize = 8;

/// What a load showed.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
    /// Of each answer, sorted.
    latencies: Vec<u32>,
}

impl Load {
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    /// The time within which so many of a thousand answers came, in milliseconds.
    pub(crate) fn per_mille(&self, part: usize) -> f64 {
        let at = (self.latencies.len() * part / 1000).min(self.latencies.len().saturating_sub(1));
        f64::from(self.latencies.get(at).copied().unwrap_or(0)) / 1000.0
    }
}

/// Asks for `duration`: each connection goes through `requests` (method and params as JSON) from another place on.
pub(crate) fn run(address: &str, requests: &Arc<Vec<String>>, duration: Duration) -> Load {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let start = Instant::now();
        let end = start + duration;
        let tasks: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let (address, requests) = (address.to_owned(), requests.clone());
                let first = number * requests.len() / CONNECTIONS;
                tokio::spawn(async move { connection(&address, &requests, first, end).await })
            })
            .collect();
        let mut total = Load::default();
        for task in tasks {
            let load = task.await.unwrap();
            total.requests += load.requests;
            total.errors += load.errors;
            total.bytes += load.bytes;
            total.latencies.extend(load.latencies);
        }
        total.elapsed = start.elapsed();
        total.latencies.sort_unstable();
        total
    })
}

async fn connection(address: &str, requests: &[String], first: usize, end: Instant) -> Load {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut load = Load::default();
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
    out.extend_from_slice(
        b"{\"id\":9,\"method\":\"server.version\",\"params\":[\"load\",\"1.4\"]}\n",
    );
    for slot in 0..IN_FLIGHT {
        push(slot, &mut out);
    }
    stream.write_all(&out).await.unwrap();
    let mut buffer = vec![0; 1 << 18];
    let mut head: Vec<u8> = Vec::new();
    let mut answers = 0u64;
    loop {
        let count = stream.read(&mut buffer).await.unwrap();
        if count == 0 {
            panic!("the server has closed the connection");
        }
        let now = Instant::now();
        load.bytes += count as u64;
        out.clear();
        let mut rest = &buffer[..count];
        while let Some(end_of_line) = memchr(rest) {
            let (line, tail) = rest.split_at(end_of_line + 1);
            rest = tail;
            if head.len() < 200 {
                head.extend_from_slice(&line[..line.len().min(200)]);
            }
            answers += 1;
            if let Some(slot) = slot(&head) {
                load.requests += 1;
                load.errors += u64::from(is_error(&head));
                let took = now.duration_since(sent[slot]).as_micros();
                load.latencies.push(took as u32);
                sent[slot] = now;
                push(slot, &mut out);
            }
            head.clear();
        }
        if head.len() < 200 {
            head.extend_from_slice(&rest[..rest.len().min(200)]);
        }
        if now >= end {
            return load;
        }
        if !out.is_empty() {
            stream.write_all(&out).await.unwrap();
        }
        let _ = answers;
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

/// The slot of an answer, from its beginning or, where the id comes last, not at all.
fn slot(head: &[u8]) -> Option<usize> {
    let at = head.windows(5).position(|window| window == b"\"id\":")?;
    let digit = head[at + 5..].iter().find(|byte| **byte != b' ')?;
    let slot = usize::from(digit.wrapping_sub(b'0'));
    (slot < IN_FLIGHT).then_some(slot)
}

fn is_error(head: &[u8]) -> bool {
    head.windows(8).any(|window| window == b"\"error\":")
        && !head.windows(12).any(|window| window == b"\"error\":null")
}
