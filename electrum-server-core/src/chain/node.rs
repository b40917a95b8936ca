//! What clients want from the node itself: its mempool's rules, its fee estimates, its copy of a transaction.

use std::ops::Range;

use bitcoin::{BlockHash, Txid};
use electrum_protocol::RawJson;
use electrum_protocol::method::fee::{EstimateMode, FeePerKvb};
use electrum_protocol::method::mempool::MempoolFees;
use electrum_protocol::method::transaction::{MempoolVerdict, PackageError};

use super::SourceError;

/// Relays transactions to the network: the node itself, or what the operator has chosen instead.
///
/// Every method that relays a transaction belongs here. [`Node`] has none, so a server that relays by other means cannot
/// hand a transaction to the node by mistake.
pub trait Broadcast: Send + Sync {
    /// Relays a transaction, in its network encoding, and returns its txid.
    ///
    /// # Errors
    ///
    /// [`NodeError::Rpc`] with the reason, verbatim, when the transaction is refused.
    fn broadcast(&self, raw_tx: &[u8]) -> Result<Txid, NodeError>;

    /// Relays a package of transactions, parents first and the child last.
    ///
    /// # Errors
    ///
    /// [`NodeError::Rpc`] with the reason, verbatim, when the package is refused as such.
    fn submit_package(&self, raw_txs: &[Vec<u8>]) -> Result<PackageOutcome, NodeError>;
}

/// A node that answers questions about its mempool's rules, about fees and about single transactions.
///
/// No method has a default, so that a wrapper has to forward each of them.
pub trait Node: Send + Sync {
    /// Tells whether the node's mempool would take transactions, parents first and the child last, without giving them to
    /// it.
    ///
    /// # Errors
    ///
    /// [`NodeError::Rpc`] with the node's own words when it does not look at them at all.
    fn test_mempool_accept(&self, raw_txs: &[Vec<u8>]) -> Result<Vec<MempoolVerdict>, NodeError>;

    /// Returns the rate at which a transaction confirms within `blocks` blocks; `None` when the node has no estimate.
    ///
    /// # Errors
    ///
    /// See [`NodeError`].
    fn estimate_fee(
        &self,
        blocks: u32,
        mode: Option<EstimateMode>,
    ) -> Result<Option<FeePerKvb>, NodeError>;

    /// Returns the lowest rate that the node relays.
    ///
    /// # Errors
    ///
    /// See [`NodeError`].
    fn relay_fee(&self) -> Result<FeePerKvb, NodeError>;

    /// Returns the rates that the node's mempool accepts now.
    ///
    /// # Errors
    ///
    /// See [`NodeError`].
    fn mempool_fees(&self) -> Result<MempoolFees, NodeError>;

    /// Returns a transaction of the mempool, or of the block when its hash is given (then the node needs no
    /// transaction index), in its network encoding.
    ///
    /// # Errors
    ///
    /// [`NodeError::Rpc`] when the node does not find it.
    fn raw_transaction(&self, txid: &Txid, block: Option<&BlockHash>)
    -> Result<Vec<u8>, NodeError>;

    /// Returns some bytes of a block, which nobody has checked; nothing when the node does not do that.
    ///
    /// # Errors
    ///
    /// When the node could not be asked.
    fn block_part(
        &self,
        block: &BlockHash,
        range: Range<u32>,
    ) -> Result<Option<Vec<u8>>, NodeError>;

    /// Returns what the node tells about a transaction, unread (the result of Bitcoin Core's verbose
    /// `getrawtransaction`), if that has no more than `max_bytes` bytes. Where it is looked for is as in
    /// [`raw_transaction`](Self::raw_transaction).
    ///
    /// # Errors
    ///
    /// [`NodeError::Rpc`] when the node does not find it, [`NodeError::TooLarge`] when it tells more.
    fn verbose_transaction(
        &self,
        txid: &Txid,
        block: Option<&BlockHash>,
        max_bytes: usize,
    ) -> Result<RawJson, NodeError>;

    /// Returns the node's name for itself, such as `/Satoshi:31.0.0/`.
    ///
    /// # Errors
    ///
    /// See [`NodeError`].
    fn user_agent(&self) -> Result<String, NodeError>;
}

/// What became of a package of transactions that was handed to a [`Broadcast`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageOutcome {
    /// Whether all of it was accepted.
    pub success: bool,
    /// The transactions that were refused, and why.
    pub errors: Vec<PackageError>,
    /// The answer, unread, in the form of Bitcoin Core's `submitpackage`.
    pub json: RawJson,
}

/// Why the node did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The node refused, and says why.
    #[error("{message} (code {code})")]
    Rpc {
        /// The node's own error code.
        code: i32,
        /// The node's own words, verbatim.
        message: String,
    },
    /// The node's answer is larger than what was asked for.
    #[error("the node's answer has more than {max_bytes} bytes")]
    TooLarge {
        /// How many it may have.
        max_bytes: usize,
    },
    /// The node could not be asked, or its answer could not be understood.
    #[error("the node is not available: {0}")]
    Unavailable(SourceError),
}
