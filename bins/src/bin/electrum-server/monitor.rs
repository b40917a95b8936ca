//! A page for monitoring: metrics for Prometheus, and whether the server is alive and ready.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwapOption;
use electrum_server_core::metrics::Metrics;
use electrum_server_core::net::Peers;
use electrum_server_core::notify::Published;
use electrum_server_core::sync::SyncHandle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

/// What there is to tell.
#[derive(Debug, Default)]
pub(crate) struct Status {
    /// Set once the node was found.
    pub(crate) writer: OnceLock<SyncHandle>,
    /// Set once the index is complete.
    pub(crate) published: OnceLock<Arc<Published>>,
    /// Set once clients are served.
    pub(crate) metrics: OnceLock<Arc<Metrics>>,
    /// Set when other servers are looked for.
    pub(crate) peers: OnceLock<Arc<Peers>>,
    /// Set once it was looked at.
    pub(crate) disk: ArcSwapOption<DiskSpace>,
}

/// The disk that the index is on, in bytes.
#[derive(Debug)]
pub(crate) struct DiskSpace {
    /// What is free.
    pub(crate) free: u64,
    /// What the index takes.
    pub(crate) used: u64,
}

/// How many may ask at a time, how long they may take, and how much they may say.
const VISITORS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_REQUEST: usize = 8192;

/// Listens for monitoring.
///
/// # Errors
///
/// The address cannot be listened on.
pub(crate) async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on the monitoring address {address}"))?;
    info!("metrics on http://{}/metrics", listener.local_addr()?);
    Ok(listener)
}

/// Answers until it is dropped.
pub(crate) async fn run(listener: TcpListener, status: Arc<Status>) {
    let places = Arc::new(Semaphore::new(VISITORS));
    loop {
        // Never closed.
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!("cannot accept a connection for monitoring: {error}");
                sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let status = status.clone();
        tokio::spawn(async move {
            match timeout(PATIENCE, answer(stream, &status)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!("monitoring: {error}"),
                Err(_) => debug!("monitoring: no request in time"),
            }
            drop(place);
        });
    }
}

async fn answer(mut stream: TcpStream, status: &Status) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 1024];
        let count = stream.read(&mut part).await?;
        if count == 0 || request.len() > LONGEST_REQUEST {
            return Ok(());
        }
        request.extend_from_slice(part.get(..count).unwrap_or_default());
    }
    let response = respond(&request, status);
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

fn respond(request: &[u8], status: &Status) -> String {
    let line = request
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let (code, body) = match (method, path) {
        (Some("GET" | "HEAD"), "/metrics" | "/") => ("200 OK", page(status)),
        (Some("GET" | "HEAD"), "/healthz") => ("200 OK", "alive\n".to_owned()),
        (Some("GET" | "HEAD"), "/readyz") => match status.metrics.get() {
            Some(_) => ("200 OK", "serving\n".to_owned()),
            None => ("503 Service Unavailable", "not serving yet\n".to_owned()),
        },
        (Some("GET" | "HEAD"), _) => ("404 Not Found", "try /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET\n".to_owned()),
    };
    let length = body.len();
    let mut response = format!(
        "HTTP/1.1 {code}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    if method != Some("HEAD") {
        response.push_str(&body);
    }
    response
}

fn page(status: &Status) -> String {
    let mut page = String::new();
    let mut counters = Vec::new();
    let mut gauge = |name: &str, labels: &str, help: &str, value: u64| {
        // Writing to a text does not fail.
        let _ = write!(
            page,
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{labels} {value}\n"
        );
    };
    let version = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    gauge("electrum_server_build_info", &version, "The software.", 1);
    let ready = status.metrics.get().is_some();
    gauge(
        "electrum_server_ready",
        "",
        "Whether clients are served.",
        ready.into(),
    );
    let node = status.writer.get().map(SyncHandle::node_status);
    let is_followed = node.as_ref().is_some_and(|node| node.outage.is_none());
    gauge(
        "electrum_server_node_up",
        "",
        "Whether the node can be followed.",
        is_followed.into(),
    );
    if let Some(node) = node {
        let outage = node.outage.map(|outage| outage.since.elapsed().as_secs());
        gauge(
            "electrum_server_node_outage_seconds",
            "",
            "For how long the node cannot be followed; 0 when it can.",
            outage.unwrap_or_default(),
        );
        counters.push((
            "electrum_server_node_outages_total",
            "How often the node could not be followed.",
            node.outages,
        ));
    }
    if let Some(published) = status.published.get() {
        let view = published.view();
        let height = view.height().into();
        gauge(
            "electrum_server_index_height",
            "",
            "The height of the index.",
            height,
        );
        // Checks of node packages look for this one.
        gauge(
            "electrs_index_height",
            "{type=\"tip\"}",
            "The same.",
            height,
        );
        let count = view.mempool().len() as u64;
        gauge(
            "electrum_server_mempool_transactions",
            "",
            "Transactions in the mempool.",
            count,
        );
    }
    if let Some(disk) = status.disk.load().as_deref() {
        gauge(
            "electrum_server_disk_free_bytes",
            "",
            "What is free on the disk of the index.",
            disk.free,
        );
        gauge(
            "electrum_server_index_bytes",
            "",
            "What the index takes on its disk.",
            disk.used,
        );
    }
    for (name, help, value) in counters {
        let _ = write!(
            page,
            "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n"
        );
    }
    if let Some(peers) = status.peers.get() {
        let (known, good) = peers.count();
        let _ = write!(
            page,
            "# HELP electrum_server_peers Other servers.\n# TYPE electrum_server_peers gauge\n\
             electrum_server_peers{{state=\"known\"}} {known}\nelectrum_server_peers{{state=\"good\"}} {good}\n"
        );
    }
    if let Some(metrics) = status.metrics.get() {
        let _ = write!(page, "{metrics}");
    }
    page
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        /// Whatever is asked, there is one page, of the length that is announced.
        #[test]
        fn any_request_is_answered(method in "(GET|HEAD|POST|) ?", path in "(/[a-z?]{0,9})?", junk in vec(any::<u8>(), 0..40)) {
            let request = [method.as_bytes(), path.as_bytes(), &junk].concat();
            let response = respond(&request, &Status::default());
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 "), "{head}");
            let length = format!("Content-Length: {}\r\n", body.len());
            assert!(head.contains(&length) || (body.is_empty() && method.starts_with("HEAD")), "{response}");
        }
    }

    #[test]
    fn pages_by_path() {
        let status = Status::default();
        let ask = |line: &str| {
            respond(
                format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
                &status,
            )
        };
        assert!(ask("GET /healthz").starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(ask("GET /readyz").starts_with("HTTP/1.1 503 "));
        assert!(ask("GET /metrics").contains("\nelectrum_server_ready 0\n"));
        assert!(ask("GET /other").starts_with("HTTP/1.1 404 "));
        assert!(ask("POST /metrics").starts_with("HTTP/1.1 405 "));
        assert!(ask("HEAD /metrics").ends_with("\r\n\r\n"));
        assert!(respond(b"\xff", &status).starts_with("HTTP/1.1 405 "));
        status.metrics.set(Arc::default()).unwrap();
        let peers = Peers::new(Default::default(), Default::default());
        status.peers.set(Arc::new(peers)).unwrap();
        let ask = |line: &str| respond(format!("{line} HTTP/1.1\r\n\r\n").as_bytes(), &status);
        assert!(ask("GET /readyz").starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(ask("GET /").contains("\nelectrum_server_peers{state=\"good\"} 0\n"));
        assert!(ask("GET /?x=1").contains("\nelectrum_server_connections 0\n"));
    }
}
