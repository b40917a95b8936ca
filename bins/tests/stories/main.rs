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
mod wait;
mod wire;

mod bad_input;
mod broadcast;
mod bulk;
mod command_line;
mod conformance;
mod dev;
mod files;
mod idle;
mod log;
mod node_trouble;
mod notify_latency;
mod personal;
mod personal_bdk;
mod personal_rescan;
mod regtest;
mod threads;
mod transports;
mod unread;
mod wallet;

pub(crate) use wait::{eventually, script_hash, within};
