//! Stories: our programs as processes, in front of a real Bitcoin Core on regtest.
//!
//! What a server answers is compared with what [`oracle`] computes from the node's own blocks and
//! mempool, read as plain JSON and without our libraries.

// A test says best what is wrong by stopping where it is.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr
)]

#[path = "../../../electrum-server-core/tests/common/mod.rs"]
mod node;
mod oracle;
mod server;
mod wire;

mod bad_input;
mod bulk;
mod command_line;
mod dev;
mod idle;
mod notify_latency;
mod personal;
mod personal_bdk;
mod regtest;
mod transports;
mod wallet;

use std::time::{Duration, Instant};

use bitcoin::hashes::Hash;

/// Calls `attempt` until it succeeds, and fails with its last complaint after a minute.
pub(crate) fn eventually<T>(what: &str, attempt: impl FnMut() -> Result<T, String>) -> T {
    within(Duration::from_secs(60), what, attempt)
}

/// Calls `attempt` until it succeeds, and fails with its last complaint after `limit`.
pub(crate) fn within<T>(
    limit: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Result<T, String>,
) -> T {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(complaint) if start.elapsed() > limit => {
                panic!("{what}: not within {limit:?}: {complaint}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The script hash of the wire: SHA-256 of the script, bytes reversed, in hex.
pub(crate) fn script_hash(script: &[u8]) -> String {
    let mut hash = bitcoin::hashes::sha256::Hash::hash(script).to_byte_array();
    hash.reverse();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
