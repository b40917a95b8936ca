//! The chain as the node tells it: what a chain source offers, which blocks to undo and to connect, and the headers
//! that we follow.

#[cfg(feature = "bitcoind")]
pub mod bitcoind;
pub mod blockfiles;
mod follower;
mod headers;
mod node;
mod outage;
mod raw;
#[cfg(test)]
pub(crate) mod scripted;
mod source;

pub use follower::{Plan, has_as_much_work, plan};
pub use headers::{HeaderChain, PushError};
pub use node::{Broadcast, Node, NodeError, PackageOutcome};
pub use outage::{NodeStatus, Outage, OutageLog};
pub use raw::{RawBlock, RawError, RawSpent, SpentScripts};
pub(crate) use raw::{check_merkle_root, hash as script_hash, txid_of, walk};
pub use source::{BlockId, BlockWithSpent, ChainSource, MempoolFingerprint, SourceError};
