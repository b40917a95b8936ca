//! What became of single outputs and transactions.

use std::ops::ControlFlow;

use bitcoin::{OutPoint, Txid};
use electrum_protocol::method::outpoint::OutpointStatus;
use electrum_protocol::method::transaction::TransactionHeight;
use electrum_protocol::{Confirmation, ScriptHash};

use super::{QueryError, View};
use crate::index::Delta;

impl View {
    /// Returns what became of an output, which pays to the script with this hash: an output that pays to another counts
    /// as none.
    ///
    /// No index of spent outputs is needed: whoever spends the output is in the history of its script, after the
    /// transaction that made it.
    ///
    /// # Errors
    ///
    /// When more than `limit` transactions that touch the script come before the one that spends it, or the database
    /// cannot be read.
    pub fn outpoint(
        &self,
        outpoint: &OutPoint,
        script_hash: &ScriptHash,
        limit: Option<usize>,
    ) -> Result<OutpointStatus, QueryError> {
        if let Some(entry) = self.mempool().get(&outpoint.txid) {
            let pays = |(vout, script, _): &(u32, ScriptHash, _)| {
                *vout == outpoint.vout && script == script_hash
            };
            let funder = Confirmation::Mempool {
                unconfirmed_parents: entry.unconfirmed_parents,
            };
            return Ok(match entry.funded.iter().any(pays) {
                true => self.unconfirmed_end(outpoint, funder),
                false => OutpointStatus::Missing,
            });
        }
        // Of two transactions with one txid the outputs of the later one count.
        let Some(funder) = self.reader().tx_nums(&outpoint.txid)?.pop() else {
            return Ok(OutpointStatus::Missing);
        };
        let Some(spender) = self.confirmed_spender(outpoint, funder, script_hash, limit)? else {
            return Ok(OutpointStatus::Missing);
        };
        let (height, _) = self.locate(funder)?;
        let funder = Confirmation::Block(height);
        Ok(match spender {
            Some(tx_num) => OutpointStatus::Spent {
                funder,
                spender: self.reader().txid(tx_num)?,
                spender_confirmation: Confirmation::Block(self.locate(tx_num)?.0),
            },
            None => self.unconfirmed_end(outpoint, funder),
        })
    }

    /// Looks for a spender in the mempool.
    pub(crate) fn unconfirmed_end(
        &self,
        outpoint: &OutPoint,
        funder: Confirmation,
    ) -> OutpointStatus {
        let spender = self.mempool().spender(outpoint);
        match spender.and_then(|txid| self.mempool().get(&txid)) {
            Some(entry) => OutpointStatus::Spent {
                funder,
                spender: entry.txid,
                spender_confirmation: Confirmation::Mempool {
                    unconfirmed_parents: entry.unconfirmed_parents,
                },
            },
            None => OutpointStatus::Unspent { funder },
        }
    }

    /// Finds the transaction that spends an output of transaction number `funder`: nothing when it has no such output of
    /// this script, and nothing within when nobody spends it.
    fn confirmed_spender(
        &self,
        outpoint: &OutPoint,
        funder: u32,
        script_hash: &ScriptHash,
        limit: Option<usize>,
    ) -> Result<Option<Option<u32>>, QueryError> {
        let limit = limit.unwrap_or(usize::MAX);
        let reader = self.reader();
        let name = reader.outpoint(outpoint);
        let (mut seen, mut exists, mut spender) = (0, false, None);
        let mut problem = None;
        reader.history_among(script_hash, funder..=u32::MAX, &mut |tx_num, deltas| {
            if seen == limit {
                problem = Some(QueryError::TooLong { limit });
                return ControlFlow::Break(());
            }
            seen += 1;
            let deltas = match reader.deltas(deltas) {
                Ok(deltas) => deltas,
                Err(error) => {
                    problem = Some(error.into());
                    return ControlFlow::Break(());
                }
            };
            if tx_num == funder {
                exists = deltas.iter().any(
                    |delta| matches!(delta, Delta::Funded { vout, .. } if *vout == outpoint.vout),
                );
            } else if deltas.contains(&Delta::Spent { outpoint: name }) {
                spender = Some(tx_num);
            }
            match exists && spender.is_none() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        match problem {
            Some(problem) => Err(problem),
            None => Ok(exists.then_some(spender)),
        }
    }

    /// Returns where a transaction stands.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn transaction_height(&self, txid: &Txid) -> Result<TransactionHeight, QueryError> {
        if self.mempool().get(txid).is_some() {
            return Ok(TransactionHeight::Mempool);
        }
        let position = self.position(txid)?;
        Ok(position.map_or(TransactionHeight::Unknown, |position| {
            TransactionHeight::Block(position.height)
        }))
    }
}
