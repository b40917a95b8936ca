//! The longest history, while another client asks for little.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::ask::request;
use crate::client::Client;
use crate::load::{self, Load};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the longest history cost.
#[derive(Clone, Debug)]
pub(crate) struct Heavy {
    /// The first time, and each time after that, sorted.
    pub(crate) cold: Duration,
    pub(crate) warm: Vec<Duration>,
    pub(crate) bytes: usize,
    /// Of one connection with one request in flight: meanwhile, and before.
    pub(crate) small: Load,
    pub(crate) undisturbed: Load,
}

impl Heavy {
    pub(crate) fn median(&self) -> Option<Duration> {
        self.warm.get(self.warm.len() / 2).copied()
    }
}

/// Asks for the history of the script for about so long, again and again.
pub(crate) fn run(
    address: &str,
    script_hash: &str,
    small: &Arc<Vec<String>>,
    duration: Duration,
) -> io::Result<Heavy> {
    let mut client = Client::connect(address, PATIENCE)?;
    let mut ask = move || {
        let start = Instant::now();
        let params = format!("\"{script_hash}\"");
        client.send(&[request("blockchain.scripthash.get_history", &params)])?;
        let reply = client.next_reply()?;
        let elapsed = start.elapsed();
        if reply.len() < 1000 {
            return Err(io::Error::other(String::from_utf8_lossy(reply)));
        }
        Ok((elapsed, reply.len()))
    };
    let undisturbed = load::run(address, small, 1, 1, duration / 2);
    let (cold, bytes) = ask()?;
    let is_over = AtomicBool::new(false);
    let (small, warm) = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut warm = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                match ask() {
                    Ok((elapsed, _)) => warm.push(elapsed),
                    Err(_) => break,
                }
            }
            warm
        });
        let small = load::run(address, small, 1, 1, duration);
        is_over.store(true, Ordering::Relaxed);
        (small, asking.join().unwrap())
    });
    let mut warm = warm;
    warm.sort();
    Ok(Heavy {
        cold,
        warm,
        bytes,
        small,
        undisturbed,
    })
}
