//! Other people's clients, as they are published, before our program in front of a real Bitcoin Core on regtest.
//!
//! Each does what its users do with it, and what it is told is compared with what the node says. `just clients` installs
//! those that are not written in Rust, and runs all of them; docs/clients.md tells what each needs.

// A test says best what is wrong by stopping where it is. What is shared with the stories is not all used here.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr
)]

#[path = "../../../electrum-server-core/tests/common/mod.rs"]
mod node;
#[path = "../stories/oracle.rs"]
mod oracle;
#[path = "../stories/server.rs"]
mod server;
#[path = "../stories/wait.rs"]
mod wait;
#[path = "../stories/wire.rs"]
mod wire;

mod bdk;
mod blocking;
mod npm;
mod python;
mod report;
mod script;
mod stage;
mod streaming;

pub(crate) use wait::{eventually, script_hash};
