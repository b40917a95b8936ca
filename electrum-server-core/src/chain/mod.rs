//! (chain)

#[cfg(feature = "bitcoind")]
pub mod bitcoind;
mod follower;
mod headers;
mod node;
mod source;
