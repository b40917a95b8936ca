//! Applying blocks and undoing them: the same rows, put or deleted.

use std::collections::HashSet;

use bitcoin::BlockHash;
use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash;
use electrum_protocol::ScriptHash;

use super::reader::{Reader, tx_num_key};
use super::rows::{HISTORY_KEY_LEN, HistoryRow, tx_row};
use super::{BlockRows, Index, META_SEGMENTS, UNDO_DEPTH};
use crate::chain::{BlockId, PushError};
use crate::store::{Batch, CommitError, Durability, End, ReadError, Table, encode_end};

/// Blocks that could not be applied.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A block does not follow the one before it.
    #[error(transparent)]
    NotLinked(#[from] PushError),
    /// The first block is not the genesis block of the chain that the index is for.
    #[error("block {hash} is not the genesis block")]
    OtherGenesis {
        /// The hash of the block.
        hash: BlockHash,
    },
    /// The rows of a block were derived with the key of another index.
    #[error("the rows of block {hash} belong to another index")]
    OtherKey {
        /// The hash of the block.
        hash: BlockHash,
    },
    /// There are more transactions than numbers.
    #[error("block {hash} has transaction number 2^32")]
    NumbersExhausted {
        /// The hash of the block.
        hash: BlockHash,
    },
    /// A block has not as many transactions as the node said.
    #[error("block {hash} has {found} transactions, not {told}")]
    OtherCount {
        /// The hash of the block.
        hash: BlockHash,
        /// What the node said.
        told: usize,
        /// What it has.
        found: u32,
    },
    /// The rows that are there could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The rows could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// A block that could not be undone.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UndoError {
    /// There is no block.
    #[error("there is no block to undo")]
    Empty,
    /// The database does not say which rows the block made, because it lies too deep, or lay so when it was applied: they
    /// must be derived anew from the block.
    #[error("there is no record of the rows of {tip}: the block is needed to undo it")]
    NoRecord {
        /// The block.
        tip: BlockId,
    },
    /// The given rows are those of another block, or were derived with the key of another index.
    #[error("rows of block {given} cannot undo {tip}")]
    OtherBlock {
        /// The block that is to be undone.
        tip: BlockId,
        /// The block that the rows are of.
        given: BlockHash,
    },
    /// The rows could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The rows could not be deleted.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Index {
    /// Applies blocks on top of the tip, all or none, and returns the scripts that they touch.
    ///
    /// `target` is the height that the chain is known to have: blocks that are already too deep below it to be undone from
    /// the database leave no record for that.
    ///
    /// # Errors
    ///
    /// When a block does not follow the one before, or when the rows cannot be written. The index is as before then.
    pub fn apply(
        &mut self,
        blocks: &[BlockRows],
        target: u32,
        durability: Durability,
    ) -> Result<HashSet<ScriptHash>, ApplyError> {
        let mut headers = self.headers.clone();
        let mut batch = Batch::default();
        let mut touched = HashSet::new();
        let mut history = Vec::new();
        for block in blocks {
            let height = headers.len();
            let hash = block.hash;
            if block.key != self.key {
                return Err(ApplyError::OtherKey { hash });
            }
            if height == 0 && hash != self.genesis {
                return Err(ApplyError::OtherGenesis { hash });
            }
            let first = headers.next_tx_num();
            let Some(next) = u32::try_from(block.txids.len())
                .ok()
                .and_then(|count| first.checked_add(count))
            else {
                return Err(ApplyError::NumbersExhausted { hash });
            };
            headers.push(block.header, next)?;

            let mut row = serialize(&block.header);
            row.extend_from_slice(&next.to_be_bytes());
            batch.put(Table::Headers, height.to_be_bytes(), row);
            for (tx_num, (txid, end)) in (first..next).zip(block.txids.iter().zip(&block.ends)) {
                let row = tx_row(txid.as_byte_array(), *end);
                batch.put(Table::Txids, tx_num.to_be_bytes(), row);
                batch.put(Table::TxNums, tx_num_key(txid, tx_num), []);
            }
            let keys = block.history.iter().map(|row| history_key(row, first));
            if height.saturating_add(UNDO_DEPTH) > target {
                let record: Vec<u8> = keys.clone().flatten().collect();
                batch.put(Table::Undo, height.to_be_bytes(), record);
            }
            if let Some(old) = height.checked_sub(UNDO_DEPTH) {
                batch.delete(Table::Undo, old.to_be_bytes());
            }
            history.extend(keys.zip(block.history.iter().map(|row| row.deltas.as_slice())));
            touched.extend(block.scripts());
        }
        // Sorted rows go into the engine's sorted buffers several times as fast.
        history.sort_unstable();
        for (key, deltas) in history {
            batch.put(Table::History, key, deltas);
        }
        self.store.commit(batch, durability)?;
        self.headers = headers;
        Ok(touched)
    }

    /// Undoes the block at the tip.
    ///
    /// `stale` are its rows, if the caller has them; without them the database must have a record of the block, as it
    /// has of the last [`UNDO_DEPTH`].
    ///
    /// # Errors
    ///
    /// [`UndoError::NoRecord`] when the rows are needed. The index is as before after any error.
    pub fn undo_tip(&mut self, stale: Option<&BlockRows>) -> Result<(), UndoError> {
        let tip = self.headers.tip().ok_or(UndoError::Empty)?;
        let tx_nums = self.headers.tx_nums(tip.height).ok_or(UndoError::Empty)?;
        if self
            .segments_end()?
            .is_some_and(|end| tip.height < end.height)
        {
            // Its rows are in files that never change: they are out of sight from here on.
            let end = End {
                height: tip.height,
                tx_num: tx_nums.start,
            };
            let mut batch = Batch::default();
            batch.put(Table::Meta, META_SEGMENTS, encode_end(end));
            self.store.commit(batch, Durability::Process)?;
            self.headers.pop();
            return Ok(());
        }
        let snapshot = self.store.snapshot();
        let history = match (stale, snapshot.get(Table::Undo, &tip.height.to_be_bytes())?) {
            (Some(rows), _) if rows.hash != tip.hash || rows.key != self.key => {
                return Err(UndoError::OtherBlock {
                    tip,
                    given: rows.hash,
                });
            }
            (Some(rows), _) => rows
                .history
                .iter()
                .map(|row| history_key(row, tx_nums.start))
                .collect(),
            (None, Some(record)) => split_record(&record)?,
            (None, None) => return Err(UndoError::NoRecord { tip }),
        };
        let mut batch = Batch::default();
        for key in history {
            batch.delete(Table::History, key);
        }
        let reader = Reader::new(snapshot.as_ref(), &self.key);
        for (tx_num, txid) in tx_nums.clone().zip(reader.txids(tx_nums)?) {
            batch.delete(Table::TxNums, tx_num_key(&txid, tx_num));
            batch.delete(Table::Txids, tx_num.to_be_bytes());
        }
        batch.delete(Table::Undo, tip.height.to_be_bytes());
        batch.delete(Table::Headers, tip.height.to_be_bytes());
        self.store.commit(batch, Durability::Process)?;
        self.headers.pop();
        Ok(())
    }

    /// Returns the lowest height from `from` on whose block cannot be undone without its rows, because neither a record nor
    /// the files of a bulk build have them; `None` when everything above can be undone from the database alone.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn first_without_record(&self, from: u32) -> Result<Option<u32>, ReadError> {
        let built = self.segments_end()?.map_or(0, |end| end.height);
        let lowest = from.max(built);
        if lowest >= self.headers.len() {
            return Ok(None);
        }
        let record = self
            .store
            .snapshot()
            .get(Table::Undo, &lowest.to_be_bytes())?;
        Ok(record.is_none().then_some(lowest))
    }

    /// Makes everything that was applied survive a power cut.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn persist(&self) -> Result<(), CommitError> {
        self.store.persist()
    }
}

fn history_key(row: &HistoryRow, first_tx_num: u32) -> [u8; HISTORY_KEY_LEN] {
    let mut key = [0; HISTORY_KEY_LEN];
    let (prefix, tx_num) = key.split_at_mut(row.prefix.len());
    prefix.copy_from_slice(&row.prefix);
    // The sum is below the number of the next block's first transaction.
    tx_num.copy_from_slice(&first_tx_num.wrapping_add(row.position).to_be_bytes());
    key
}

pub(super) fn split_record(record: &[u8]) -> Result<Vec<[u8; HISTORY_KEY_LEN]>, ReadError> {
    match record.as_chunks() {
        (keys, []) => Ok(keys.to_vec()),
        _ => Err(ReadError::damaged(
            Table::Undo,
            "a row has the wrong length",
        )),
    }
}
