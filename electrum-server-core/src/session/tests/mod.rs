//! Sessions on a chain that is made by hand, joined with a client without a wire.

mod chain;
mod extensions;
mod handlers;
mod node;
mod old_versions;
mod order;
mod outpoints;
mod pressure;
mod stage;
mod talk;
mod transactions;
mod walk;

pub(crate) use chain::{pay, script, script_hash};
pub(crate) use stage::Stage;
