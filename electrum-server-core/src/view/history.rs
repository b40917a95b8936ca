//! Histories and statuses.

use std::ops::{ControlFlow, RangeInclusive};

use electrum_protocol::method::scripthash::{FirstUse, HeightRange};
use electrum_protocol::status::{Confirmation, StatusHasher, mempool_order};
use electrum_protocol::{HistoryEntry, ScriptHash, Status};

use super::{QueryError, View};
use crate::store::{ReadError, Table};

impl View {
    /// Returns the transactions that fund a script or spend from it: confirmed ones in chain order, then those of the
    /// mempool in the protocol's order.
    ///
    /// # Errors
    ///
    /// When there are more than `limit`, or the database cannot be read.
    pub fn history(
        &self,
        script_hash: &ScriptHash,
        limit: Option<usize>,
    ) -> Result<Vec<HistoryEntry>, QueryError> {
        self.history_between(script_hash, HeightRange::ALL, limit)
    }

    /// Returns a part of the history: what is confirmed at these heights, and what the mempool has if there is no upper
    /// end.
    ///
    /// # Errors
    ///
    /// When there are more than `limit`, or the database cannot be read.
    pub fn history_between(
        &self,
        script_hash: &ScriptHash,
        heights: HeightRange,
        limit: Option<usize>,
    ) -> Result<Vec<HistoryEntry>, QueryError> {
        let mut history = match self.tx_nums_between(heights) {
            Some(tx_nums) => self.confirmed_history(script_hash, tx_nums, limit)?,
            None => Vec::new(),
        };
        if heights.to.is_none() {
            history.extend(self.mempool_history(script_hash));
        }
        match limit {
            Some(limit) if history.len() > limit => Err(QueryError::TooLong { limit }),
            Some(_) | None => Ok(history),
        }
    }

    /// Counts the confirmed part of a history, at these heights.
    ///
    /// # Errors
    ///
    /// When there are more than `limit`, or the database cannot be read.
    pub(crate) fn count_history(
        &self,
        script_hash: &ScriptHash,
        heights: HeightRange,
        limit: Option<usize>,
    ) -> Result<usize, QueryError> {
        let Some(tx_nums) = self.tx_nums_between(heights) else {
            return Ok(0);
        };
        let limit = limit.unwrap_or(usize::MAX);
        let mut count = 0;
        self.reader()
            .history_among(script_hash, tx_nums, &mut |_, _| {
                count += 1;
                match count > limit {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })?;
        match count > limit {
            true => Err(QueryError::TooLong { limit }),
            false => Ok(count),
        }
    }

    /// Returns the numbers of the transactions in the blocks at these heights; nothing when there are none.
    fn tx_nums_between(&self, heights: HeightRange) -> Option<RangeInclusive<u32>> {
        let end = heights.to.unwrap_or(u32::MAX).min(self.headers().len());
        let last = end.checked_sub(1).filter(|last| heights.from <= *last)?;
        let first = self.headers().tx_nums(heights.from)?.start;
        let last = self.headers().tx_nums(last)?.end.checked_sub(1)?;
        Some(first..=last)
    }

    /// Returns the oldest transaction that touches a script.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn first_use(&self, script_hash: &ScriptHash) -> Result<Option<FirstUse>, QueryError> {
        let mut first = None;
        self.reader().history(script_hash, &mut |tx_num, _| {
            first = Some(tx_num);
            ControlFlow::Break(())
        })?;
        if let Some(tx_num) = first {
            let (height, _) = self.locate(tx_num)?;
            return Ok(Some(FirstUse {
                txid: self.reader().txid(tx_num)?,
                block: self.block_hash(height).map(|hash| (height, hash)),
            }));
        }
        let unconfirmed = self.mempool_history(script_hash);
        Ok(unconfirmed.first().map(|entry| FirstUse {
            txid: entry.txid,
            block: None,
        }))
    }

    /// Returns the unconfirmed part of the history.
    pub fn mempool_history(&self, script_hash: &ScriptHash) -> Vec<HistoryEntry> {
        let mut history: Vec<_> = self
            .mempool()
            .entries_of(script_hash)
            .map(|entry| HistoryEntry {
                txid: entry.txid,
                confirmation: Confirmation::Mempool {
                    unconfirmed_parents: entry.unconfirmed_parents,
                },
                fee: Some(entry.fee),
            })
            .collect();
        history.sort_by(mempool_order);
        history
    }

    /// Returns the status of a script: the hash of its history, nothing without one.
    ///
    /// # Errors
    ///
    /// When the history has more than `limit` entries, or the database cannot be read.
    pub fn status(
        &self,
        script_hash: &ScriptHash,
        limit: Option<usize>,
    ) -> Result<Option<Status>, QueryError> {
        let mut hasher = StatusHasher::new();
        for entry in self.history(script_hash, limit)? {
            hasher.push(&entry.txid, entry.confirmation);
        }
        Ok(hasher.finish())
    }

    fn confirmed_history(
        &self,
        script_hash: &ScriptHash,
        tx_nums: RangeInclusive<u32>,
        limit: Option<usize>,
    ) -> Result<Vec<HistoryEntry>, QueryError> {
        let limit = limit.unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut too_long = false;
        let reader = self.reader();
        reader.history_among(script_hash, tx_nums, &mut |tx_num, _| {
            if found.len() == limit {
                too_long = true;
                return ControlFlow::Break(());
            }
            found.push(tx_num);
            ControlFlow::Continue(())
        })?;
        if too_long {
            return Err(QueryError::TooLong { limit });
        }
        let mut history = Vec::with_capacity(found.len());
        for tx_num in found {
            let (height, _) = self.locate(tx_num)?;
            history.push(HistoryEntry {
                txid: reader.txid(tx_num)?,
                confirmation: Confirmation::Block(height),
                fee: None,
            });
        }
        Ok(history)
    }

    /// Finds the block of a transaction that a row names, and its position there.
    pub(super) fn locate(&self, tx_num: u32) -> Result<(u32, u32), ReadError> {
        self.headers().locate(tx_num).ok_or_else(|| {
            let problem = format!("a row names transaction {tx_num}, which is in no block");
            ReadError::damaged(Table::History, problem)
        })
    }
}
