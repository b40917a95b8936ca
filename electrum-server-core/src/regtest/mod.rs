//! A regtest node in the process.

mod block;
mod chain;
mod diagram;
mod faucet;
mod mempool;
mod mine;
mod node;
mod policy;
mod reject;
mod rules;
mod script;
#[cfg(test)]
mod tests;

pub use faucet::FundError;
pub use node::{Clock, RegtestNode, RegtestOptions, Snapshot};
pub use reject::Reject;
