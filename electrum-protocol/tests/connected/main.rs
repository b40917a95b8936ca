//! The connected clients, in front of a server of threads that has one answer to every question, over every transport.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod blocking;
#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod memory;
mod nameless;
mod proxy;
mod server;
mod tls;
mod tokio;

use std::time::Duration;

use electrum_protocol::net::Config;

/// How to reach an address, with little patience.
fn config(address: &str) -> Config {
    let mut config = Config::new(address.parse().unwrap());
    config.connect_timeout = Duration::from_secs(10);
    config.request_timeout = Duration::from_secs(10);
    config
}
