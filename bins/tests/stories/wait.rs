//! What all tests of the programs need: to wait for something, and the name of a script on the wire.

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
