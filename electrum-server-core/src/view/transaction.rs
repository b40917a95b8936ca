//! Where transactions are.

use std::ops::Range;

use bitcoin::{BlockHash, Txid};

use super::{QueryError, View};

/// The place of a confirmed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The height of its block.
    pub height: u32,
    /// The hash of its block.
    pub block_hash: BlockHash,
    /// Its index in the block; 0 is the coinbase.
    pub pos: u32,
}

impl View {
    /// Finds a confirmed transaction; nothing when there is none with this txid.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn position(&self, txid: &Txid) -> Result<Option<Position>, QueryError> {
        Ok(self.positions(txid)?.pop())
    }

    /// Returns the bytes of a confirmed transaction, if they are kept: those of some wallets are.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn kept_transaction(&self, position: &Position) -> Result<Option<Vec<u8>>, QueryError> {
        if !self.0.personal {
            return Ok(None);
        }
        let tx_nums = self.headers().tx_nums(position.height).unwrap_or_default();
        let tx_num = tx_nums.start.saturating_add(position.pos);
        Ok(self.reader().kept(tx_num)?.map(|kept| kept.bytes))
    }

    /// Returns where in the bytes of its block a transaction is.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn extent(&self, position: &Position) -> Result<Range<u32>, QueryError> {
        let tx_nums = self.headers().tx_nums(position.height).unwrap_or_default();
        let tx_num = tx_nums.start.saturating_add(position.pos);
        Ok(self.reader().extent(tx_num, tx_nums.start, tx_nums.len())?)
    }

    /// Returns the places of all transactions with a txid, lowest first: two of 2010 share theirs with an earlier one.
    pub(super) fn positions(&self, txid: &Txid) -> Result<Vec<Position>, QueryError> {
        let mut positions = Vec::with_capacity(1);
        for tx_num in self.reader().tx_nums(txid)? {
            let (height, pos) = self.locate(tx_num)?;
            if let Some(block_hash) = self.block_hash(height) {
                positions.push(Position {
                    height,
                    block_hash,
                    pos,
                });
            }
        }
        Ok(positions)
    }

    /// Returns the txid of the transaction at a position of the block at a height; nothing when there is none.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn txid_at(&self, height: u32, pos: u32) -> Result<Option<Txid>, QueryError> {
        let tx_nums = self.headers().tx_nums(height);
        let tx_num = tx_nums.and_then(|tx_nums| {
            tx_nums
                .start
                .checked_add(pos)
                .filter(|tx_num| tx_nums.contains(tx_num))
        });
        match tx_num {
            Some(tx_num) if self.0.personal && self.reader().kept(tx_num)?.is_none() => Ok(None),
            Some(tx_num) => Ok(Some(self.reader().txid(tx_num)?)),
            None => Ok(None),
        }
    }
}
