//! HTTP with the node: connections that are kept alive, bounded answers, and errors sorted into those that pass and
//! those that do not.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ureq::Agent;

use crate::chain::SourceError;

/// The largest answer that is read. The outputs that a block spends may take more than the block itself, and blocks as
/// JSON more again.
pub(super) const MAX_BODY: u64 = 1 << 30;
/// How long a connection may take to open: the node is on this machine, or near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bitcoin Core closes connections that were idle for 30 seconds (`-rpcservertimeout`); ours are gone before.
const MAX_IDLE: Duration = Duration::from_secs(20);

/// An HTTP client of one node. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub(super) struct Http {
    agent: Agent,
    address: String,
    pending: Arc<AtomicUsize>,
}

/// An answer with its status: errors of the node come as bodies with status 4xx or 5xx.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// False when the body is longer than what may be read of it; then none of it is here.
    pub(super) is_whole: bool,
}

impl Http {
    /// Makes a client for a node at `host:port`, with connections of its own, that waits `timeout` for each answer. Nothing
    /// is sent yet.
    pub(super) fn new(address: &str, timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(timeout))
            .max_idle_age(MAX_IDLE)
            .max_idle_connections_per_host(8)
            .user_agent(concat!("electrum-server/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.new_agent(),
            address: address.to_owned(),
            pending: Arc::default(),
        }
    }

    /// Returns how many exchanges have not ended yet.
    pub(super) fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// Fetches `path`, which begins with a slash.
    pub(super) fn get(&self, path: &str) -> Result<Answer, SourceError> {
        let url = self.url(path);
        self.twice(|| read(self.agent.get(&url).call()?, MAX_BODY))
    }

    /// Posts JSON to the node's RPC, and reads an answer of up to `max` bytes.
    ///
    /// Repeating is harmless: every call that is made here has the same effect once and twice.
    pub(super) fn post(
        &self,
        authorization: &str,
        json: &[u8],
        max: u64,
    ) -> Result<Answer, SourceError> {
        let url = self.url("/");
        self.twice(|| {
            let request = self
                .agent
                .post(&url)
                .header("Authorization", authorization)
                .content_type("application/json");
            read(request.send(json)?, max)
        })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Repeats once, silently, what failed because the node closed the connection that it went over.
    fn twice(
        &self,
        mut exchange: impl FnMut() -> Result<Answer, ureq::Error>,
    ) -> Result<Answer, SourceError> {
        let _pending = Pending::new(&self.pending);
        exchange()
            .or_else(|error| {
                if is_dropped_connection(&error) {
                    exchange()
                } else {
                    Err(error)
                }
            })
            .map_err(|error| self.sort(&error))
    }

    fn sort(&self, error: &ureq::Error) -> SourceError {
        let address = &self.address;
        match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => SourceError::permanent(format_args!(
                "{address:?} is not an address of a node: {error}"
            )),
            _ => SourceError::transient(format_args!("the node at {address}: {error}")),
        }
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>, max: u64) -> Result<Answer, ureq::Error> {
    let status = response.status().as_u16();
    let body = response.body_mut();
    let is_announced = body.content_length().is_some_and(|length| length > max);
    let body = match is_announced {
        true => None,
        // One byte more than may be read, so that what ends there is not taken for too long.
        false => match body
            .with_config()
            .limit(max.saturating_add(1))
            .read_to_vec()
        {
            Ok(body) => Some(body),
            Err(ureq::Error::BodyExceedsLimit(_)) => None,
            Err(error) => return Err(error),
        },
    };
    Ok(Answer {
        status,
        is_whole: body.is_some(),
        body: body.unwrap_or_default(),
    })
}

/// Counts an exchange for as long as it lasts.
struct Pending<'a>(&'a AtomicUsize);

impl<'a> Pending<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn is_dropped_connection(error: &ureq::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    let dropped = [
        BrokenPipe,
        ConnectionAborted,
        ConnectionReset,
        NotConnected,
        UnexpectedEof,
    ];
    matches!(error, ureq::Error::Io(error) if dropped.contains(&error.kind()))
}
