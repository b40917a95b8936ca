//! A Bitcoin node on regtest that lives in this process: for tests, and for trying things out.
//!
//! [`RegtestNode`] is a [`ChainSource`](crate::chain::ChainSource) and a [`Node`](crate::chain::Node) like any other. It
//! mines when it is told to, pays from a faucet, and is moved about in ways that a test wants: reorganizations to any
//! depth, transactions that vanish, times that jump, snapshots to return to. What breaks a rule is refused as Bitcoin
//! Core refuses it, in its words ([`Reject`]): proof of work, coins and their maturity, locks, every script (by Bitcoin
//! Core's consensus library), and the mempool's rules about fees, replacement and packages. `docs/regtest.md` in the
//! repository lists what differs.
//!
//! `TestServer` (with the feature `net`) is a whole Electrum server on such a node, in one call. [`Control`] answers
//! JSON-RPC requests with Bitcoin Core's names.
//!
//! ```
//! use electrum_server_core::bitcoin::{Amount, ScriptBuf};
//! use electrum_server_core::regtest::RegtestNode;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = RegtestNode::default(); // 101 blocks and a faucet
//! let script = ScriptBuf::from_hex("00141b6f3b6a1d4b3d0b8a6b9d3b7e2c4f5a6b7c8d9e")?;
//! let txid = node.fund(&script, Amount::from_sat(20_000))?;
//! assert_eq!(node.mempool(), [txid]);
//!
//! let before = node.snapshot();
//! node.mine_to_faucet(1);
//! assert_eq!(node.height(), 102);
//! node.reorg(1); // two blocks in the place of one
//! assert_eq!((node.height(), node.mempool()), (103, vec![txid]));
//! node.restore(&before);
//! assert_eq!(node.height(), 101);
//! # Ok(())
//! # }
//! ```

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
pub use serve::{Endpoint, ServeOptions, StartError, TestServer};
