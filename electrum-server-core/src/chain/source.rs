//! Where blocks and unconfirmed transactions come from.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::{Amount, Block, BlockHash, OutPoint, ScriptBuf, Transaction, TxOut, Txid};

use super::RawBlock;

/// A block's place and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockId {
    /// The number of blocks below it; 0 is the genesis block.
    pub height: u32,
    /// The hash of its header.
    pub hash: BlockHash,
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {} at height {}", self.hash, self.height)
    }
}

/// A block together with the outputs that it spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockWithSpent {
    /// The block.
    pub block: Block,
    /// One list per transaction of the block: the outputs that it spends, in the order of its inputs. Empty for the
    /// coinbase.
    pub spent: Vec<Vec<TxOut>>,
}

/// A cheap summary of the node's mempool: another one means another mempool.
///
/// The reverse does not hold: a mempool can change and keep its summary, when what enters has the same size and pays
/// the same fee as what leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MempoolFingerprint {
    /// How many transactions there are.
    pub count: u64,
    /// Their size together, in virtual bytes.
    pub vsize: u64,
    /// Their fees together.
    pub fees: Amount,
    /// The node's own measure of the memory they take, in bytes.
    pub usage: u64,
}

/// A node that is asked for blocks and for its mempool.
///
/// Every call is answered from the node's present state, and two calls may see different states: whoever needs several
/// answers of one moment compares the tip before and after. Implementations check what can be checked: a block has the
/// hash that was asked for, lists have the length that belongs to the question.
pub trait ChainSource: Send + Sync {
    /// Returns the tip of the active chain.
    ///
    /// # Errors
    ///
    /// See [`SourceError`]; this holds for every method here.
    fn tip(&self) -> Result<BlockId, SourceError>;

    /// Returns up to `count` headers of the active chain from `start_height` on; fewer, or none, past the tip.
    ///
    /// # Errors
    ///
    /// See [`SourceError`].
    fn headers(&self, start_height: u32, count: u32) -> Result<Vec<Header>, SourceError>;

    /// Returns a block and what it spends. The block may be stale, if the node has it still.
    ///
    /// # Errors
    ///
    /// [`SourceError::Missing`] when the node does not have the block, or not the outputs that it spends.
    fn block(&self, hash: &BlockHash) -> Result<BlockWithSpent, SourceError>;

    /// Returns a block and what it spends, as bytes: what building an index in bulk needs. Nothing but the order of the
    /// bytes is checked; whoever reads them checks the rest.
    ///
    /// # Errors
    ///
    /// See [`block`](Self::block).
    fn raw_block(&self, hash: &BlockHash) -> Result<RawBlock, SourceError> {
        Ok(RawBlock::from(&self.block(hash)?))
    }

    /// Returns a block as bytes, without what it spends: all that looking for known scripts needs.
    ///
    /// # Errors
    ///
    /// See [`block`](Self::block).
    fn block_bytes(&self, hash: &BlockHash) -> Result<Vec<u8>, SourceError> {
        Ok(self.raw_block(hash)?.block)
    }

    /// Returns headers as [`headers`](Self::headers) does, each with the number of transactions in its block. A node that
    /// has pruned its blocks knows these numbers still.
    ///
    /// # Errors
    ///
    /// See [`SourceError`].
    fn headers_with_counts(
        &self,
        start_height: u32,
        count: u32,
    ) -> Result<Vec<(Header, u32)>, SourceError> {
        let headers = self.headers(start_height, count)?;
        let count = |header: Header| {
            let block = self.block(&header.block_hash())?;
            Ok((header, block.block.txdata.len() as u32))
        };
        headers.into_iter().map(count).collect()
    }

    /// Returns the blocks in a range of heights of the active chain that may have to do with any of some scripts, as
    /// compact filters say (BIP 158); `None` when there are no filters.
    ///
    /// # Errors
    ///
    /// See [`SourceError`].
    fn filtered(
        &self,
        _scripts: &[ScriptBuf],
        _heights: RangeInclusive<u32>,
    ) -> Result<Option<Vec<BlockHash>>, SourceError> {
        Ok(None)
    }

    /// Asks the node to fetch a block that it has pruned from its peers; false when that cannot be done. It may take a
    /// while, and nobody promises that it comes: another attempt (0 is the first) asks another peer.
    ///
    /// # Errors
    ///
    /// See [`SourceError`].
    fn request_block(&self, _hash: &BlockHash, _attempt: usize) -> Result<bool, SourceError> {
        Ok(false)
    }

    /// Returns the txids of the mempool, in no particular order.
    ///
    /// # Errors
    ///
    /// See [`SourceError`].
    fn mempool_txids(&self) -> Result<Vec<Txid>, SourceError>;

    /// Returns transactions of the mempool, one answer per txid; `None` for those that are not there any more.
    ///
    /// # Errors
    ///
    /// See [`SourceError`].
    fn mempool_transactions(&self, txids: &[Txid])
    -> Result<Vec<Option<Transaction>>, SourceError>;

    /// Returns outputs of confirmed transactions, one answer per outpoint; `None` for those that do not exist or are
    /// spent by a confirmed transaction. The mempool plays no part.
    ///
    /// # Errors
    ///
    /// See [`SourceError`].
    fn unspent_outputs(&self, outpoints: &[OutPoint]) -> Result<Vec<Option<TxOut>>, SourceError>;

    /// Waits until the tip is another than `known_tip`, at most for `timeout`; tells whether it is.
    ///
    /// # Errors
    ///
    /// See [`SourceError`].
    fn wait_for_change(&self, known_tip: BlockHash, timeout: Duration)
    -> Result<bool, SourceError>;

    /// Returns a summary of the mempool that costs the node little.
    ///
    /// # Errors
    ///
    /// See [`SourceError`].
    fn mempool_fingerprint(&self) -> Result<MempoolFingerprint, SourceError>;
}

/// Why a chain source gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The node is away, starting, busy or between two states: the same question may be answered soon.
    #[error("{message}")]
    Transient {
        /// What happened, in one line.
        message: String,
    },
    /// Asking again will not help: somebody has to change something.
    #[error("{message}")]
    Permanent {
        /// What is wrong and what to do about it.
        message: String,
    },
    /// The node does not have this block, or has pruned it.
    #[error("the node does not have block {hash}")]
    Missing {
        /// The block that was asked for.
        hash: BlockHash,
    },
}

impl SourceError {
    /// Makes an error that may pass. The message becomes one line, of which 1000 characters are kept: it may hold words of
    /// the node.
    pub fn transient(message: impl fmt::Display) -> Self {
        Self::Transient {
            message: one_line(message),
        }
    }

    /// Makes an error that will not pass. The message is kept as by [`transient`](Self::transient).
    pub fn permanent(message: impl fmt::Display) -> Self {
        Self::Permanent {
            message: one_line(message),
        }
    }

    /// Whether asking again may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }
}

/// The longest message of an error, in characters.
const MAX_MESSAGE: usize = 1000;

/// Cuts a text that is too long, and replaces what is not fit for a line of a log.
fn one_line(message: impl fmt::Display) -> String {
    let text = message.to_string();
    let printable = |char: char| if char.is_control() { ' ' } else { char };
    let mut line: String = text.chars().take(MAX_MESSAGE).map(printable).collect();
    if text.chars().nth(MAX_MESSAGE).is_some() {
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_short_line() {
        let error = SourceError::transient("a\nb\u{1b}[31m\u{9b}\u{e9}");
        assert_eq!(error.to_string(), "a b [31m \u{e9}");
        let error = SourceError::permanent("\u{e9}".repeat(1_000_000));
        assert_eq!(error.to_string(), "\u{e9}".repeat(1000) + "...");
    }
}
