//! Proofs: a transaction in a block, a header under a checkpoint.

use std::ops::Range;

use bitcoin::Txid;
use bitcoin::hashes::sha256d;
use electrum_protocol::{CheckpointProof, merkle};

use super::trees::GROUP;
use super::{Position, QueryError, View};

impl View {
    /// Proves that a transaction is in the block at a height: the branch, from the leaf up, and its position in the
    /// block; nothing when it is not there.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn merkle_branch(
        &self,
        txid: &Txid,
        height: u32,
    ) -> Result<Option<(Vec<sha256d::Hash>, u32)>, QueryError> {
        let positions = self.positions(txid)?;
        let Some(Position { pos, .. }) = positions
            .into_iter()
            .find(|position| position.height == height)
        else {
            return Ok(None);
        };
        Ok(self
            .merkle_branch_at(height, pos)?
            .map(|branch| (branch, pos)))
    }

    /// Proves what is at a position of the block at a height; nothing when there is no transaction.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn merkle_branch_at(
        &self,
        height: u32,
        pos: u32,
    ) -> Result<Option<Vec<sha256d::Hash>>, QueryError> {
        let Some((tx_nums, block)) = self.headers().tx_nums(height).zip(self.block_hash(height))
        else {
            return Ok(None);
        };
        let count = tx_nums.end - tx_nums.start;
        if pos >= count {
            return Ok(None);
        }
        if self.0.personal {
            let kept = self.reader().kept(tx_nums.start + pos)?;
            return Ok(kept.map(|kept| kept.branch));
        }
        if count <= GROUP {
            let leaves = self.leaves(tx_nums)?;
            return Ok(merkle::branch(&leaves, pos as usize).map(|(branch, _)| branch));
        }
        let first = tx_nums.start + pos / GROUP * GROUP;
        let group = self.leaves(first..tx_nums.end.min(first + GROUP))?;
        let all = || self.leaves(tx_nums);
        self.0.trees.branch(&block, pos, &group, all).map(Some)
    }

    /// Proves that the header at `height` is in the chain that ends at `cp_height`; nothing when that is below it or
    /// above the tip.
    pub fn checkpoint_proof(&self, height: u32, cp_height: u32) -> Option<CheckpointProof> {
        self.headers().checkpoint_proof(height, cp_height)
    }

    fn leaves(&self, tx_nums: Range<u32>) -> Result<Vec<sha256d::Hash>, QueryError> {
        let txids = self.reader().txids(tx_nums)?;
        Ok(txids.into_iter().map(Txid::to_raw_hash).collect())
    }
}
