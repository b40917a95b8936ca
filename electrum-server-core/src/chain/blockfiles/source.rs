//! Blocks from the files, everything else from the node.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::{BlockHash, OutPoint, ScriptBuf, Transaction, TxOut, Txid};

use super::BlockFiles;
use crate::chain::{
    BlockId, BlockWithSpent, ChainSource, MempoolFingerprint, RawBlock, SourceError,
};

/// A chain source that takes [raw blocks](ChainSource::raw_block) from the node's files where they have them.
///
/// Which blocks are in the chain is the node's to say, always.
pub struct FilesFirst {
    files: Arc<BlockFiles>,
    node: Arc<dyn ChainSource>,
}

impl FilesFirst {
    /// Joins a node and its files.
    pub fn new(files: Arc<BlockFiles>, node: Arc<dyn ChainSource>) -> Self {
        Self { files, node }
    }
}

impl fmt::Debug for FilesFirst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilesFirst")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

// A method left to its default would lose what the node does better.
#[deny(clippy::missing_trait_methods)]
impl ChainSource for FilesFirst {
    fn raw_block(&self, hash: &BlockHash) -> Result<RawBlock, SourceError> {
        match self.files.block(hash) {
            Ok(Some(block)) => return Ok(block),
            Ok(None) => tracing::debug!("block {hash} is not in the block files"),
            Err(error) => tracing::warn!("cannot read block {hash} from the block files: {error}"),
        }
        self.node.raw_block(hash)
    }

    fn block_bytes(&self, hash: &BlockHash) -> Result<Vec<u8>, SourceError> {
        match self.files.bytes(hash) {
            Ok(Some(block)) => return Ok(block),
            Ok(None) => {}
            Err(error) => tracing::warn!("cannot read block {hash} from the block files: {error}"),
        }
        self.node.block_bytes(hash)
    }

    fn headers_with_counts(
        &self,
        start_height: u32,
        count: u32,
    ) -> Result<Vec<(Header, u32)>, SourceError> {
        self.node.headers_with_counts(start_height, count)
    }

    fn filtered(
        &self,
        scripts: &[ScriptBuf],
        heights: RangeInclusive<u32>,
    ) -> Result<Option<Vec<BlockHash>>, SourceError> {
        self.node.filtered(scripts, heights)
    }

    fn request_block(&self, hash: &BlockHash, attempt: usize) -> Result<bool, SourceError> {
        self.node.request_block(hash, attempt)
    }

    fn tip(&self) -> Result<BlockId, SourceError> {
        self.node.tip()
    }

    fn headers(&self, start_height: u32, count: u32) -> Result<Vec<Header>, SourceError> {
        self.node.headers(start_height, count)
    }

    fn block(&self, hash: &BlockHash) -> Result<BlockWithSpent, SourceError> {
        self.node.block(hash)
    }

    fn mempool_txids(&self) -> Result<Vec<Txid>, SourceError> {
        self.node.mempool_txids()
    }

    fn mempool_transactions(
        &self,
        txids: &[Txid],
    ) -> Result<Vec<Option<Transaction>>, SourceError> {
        self.node.mempool_transactions(txids)
    }

    fn unspent_outputs(&self, outpoints: &[OutPoint]) -> Result<Vec<Option<TxOut>>, SourceError> {
        self.node.unspent_outputs(outpoints)
    }

    fn wait_for_change(
        &self,
        known_tip: BlockHash,
        timeout: Duration,
    ) -> Result<bool, SourceError> {
        self.node.wait_for_change(known_tip, timeout)
    }

    fn mempool_fingerprint(&self) -> Result<MempoolFingerprint, SourceError> {
        self.node.mempool_fingerprint()
    }
}
