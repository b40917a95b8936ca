//! A regtest node in the process.

mod admission;
mod block;
mod chain;
mod control;
mod diagram;
mod faucet;
mod json;
mod mempool;
mod mine;
mod node;
mod package;
mod policy;
mod reject;
mod replacement;
mod rules;
mod saved;
mod script;
#[cfg(feature = "net")]
mod serve;
mod source;
mod steer;
#[cfg(test)]
mod tests;
mod truc;

pub use control::{Control, ControlError};
pub use faucet::FundError;
pub use node::{Clock, RegtestNode, RegtestOptions, Snapshot};
pub use package::{PackageResult, PackageVerdict};
pub use reject::Reject;
pub use saved::LoadError;
#[cfg(feature = "net")]
pub use serve::{ServeOptions, StartError, TestServer};
