//! Histories and statuses.

use std::ops::ControlFlow;

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
        let mut history = self.confirmed_history(script_hash, limit)?;
        history.extend(self.mempool_history(script_hash));
        match limit {
            Some(limit) if history.len() > limit => Err(QueryError::TooLong { limit }),
            Some(_) | None => Ok(history),
        }
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
        limit: Option<usize>,
    ) -> Result<Vec<HistoryEntry>, QueryError> {
        let limit = limit.unwrap_or(usize::MAX);
        let mut tx_nums = Vec::new();
        let mut too_long = false;
        let reader = self.reader();
        reader.history(script_hash, &mut |tx_num, _| {
            if tx_nums.len() == limit {
                too_long = true;
                return ControlFlow::Break(());
            }
            tx_nums.push(tx_num);
            ControlFlow::Continue(())
        })?;
        if too_long {
            return Err(QueryError::TooLong { limit });
        }
        let mut history = Vec::with_capacity(tx_nums.len());
        for tx_num in tx_nums {
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
