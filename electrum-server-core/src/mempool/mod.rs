//! (mempool)

mod delta;
mod entry;
mod histogram;
