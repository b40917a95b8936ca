//! Unspent outputs and balances.

use std::collections::HashMap;
use std::ops::ControlFlow;

use bitcoin::{Amount, OutPoint, SignedAmount};
use electrum_protocol::{Balance, ScriptHash, Unspent};

use super::{QueryError, View};
use crate::index::Delta;
use crate::store::{ReadError, Table};

/// A confirmed output that no confirmed transaction spends.
struct Output {
    tx_num: u32,
    outpoint: OutPoint,
    value: Amount,
}

impl View {
    /// Returns the outputs that pay to a script and that nothing spends, be it confirmed or not: confirmed outputs in
    /// chain order, then those of the mempool by txid and index.
    ///
    /// # Errors
    ///
    /// When more than `limit` confirmed transactions touch the script, or the database cannot be read.
    pub fn unspent(
        &self,
        script_hash: &ScriptHash,
        limit: Option<usize>,
    ) -> Result<Vec<Unspent>, QueryError> {
        let mut unspent = Vec::new();
        for Output {
            tx_num,
            outpoint,
            value,
        } in self.confirmed_outputs(script_hash, limit)?
        {
            if self.mempool().spender(&outpoint).is_none() {
                let (height, _) = self.locate(tx_num)?;
                let OutPoint { txid, vout } = outpoint;
                unspent.push(Unspent {
                    txid,
                    vout,
                    value,
                    height,
                });
            }
        }
        for entry in self.mempool().entries_of(script_hash) {
            for (vout, funded, value) in &entry.funded {
                let outpoint = OutPoint::new(entry.txid, *vout);
                if funded == script_hash && self.mempool().spender(&outpoint).is_none() {
                    let OutPoint { txid, vout } = outpoint;
                    unspent.push(Unspent {
                        txid,
                        vout,
                        value: *value,
                        height: 0,
                    });
                }
            }
        }
        Ok(unspent)
    }

    /// Returns what a script holds: confirmed without regard to the mempool, and by how much the mempool changes that.
    ///
    /// # Errors
    ///
    /// See [`unspent`](Self::unspent).
    pub fn balance(
        &self,
        script_hash: &ScriptHash,
        limit: Option<usize>,
    ) -> Result<Balance, QueryError> {
        let confirmed = self
            .confirmed_outputs(script_hash, limit)?
            .iter()
            .try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value));
        let confirmed = confirmed.ok_or_else(|| {
            ReadError::damaged(Table::History, "a script holds more than there is")
        })?;
        let mut unconfirmed = 0i64;
        for entry in self.mempool().entries_of(script_hash) {
            let funded = entry
                .funded
                .iter()
                .map(|(_, script_hash, value)| (script_hash, value));
            let spent = entry
                .spent
                .iter()
                .map(|(_, script_hash, value)| (script_hash, value));
            let own = |amounts: &mut dyn Iterator<Item = (&ScriptHash, &Amount)>| {
                amounts
                    .filter(|(of, _)| *of == script_hash)
                    .fold(0i64, |sum, (_, value)| {
                        sum.saturating_add_unsigned(value.to_sat())
                    })
            };
            let (funded, spent) = (own(&mut { funded }), own(&mut { spent }));
            unconfirmed = unconfirmed.saturating_add(funded.saturating_sub(spent));
        }
        Ok(Balance {
            confirmed,
            unconfirmed: SignedAmount::from_sat(unconfirmed),
        })
    }

    /// Counts the confirmed outputs that pay to a script, whether spent or not.
    ///
    /// # Errors
    ///
    /// See [`unspent`](Self::unspent).
    pub(crate) fn count_outputs(
        &self,
        script_hash: &ScriptHash,
        limit: Option<usize>,
    ) -> Result<usize, QueryError> {
        let limit = limit.unwrap_or(usize::MAX);
        let reader = self.reader();
        let (mut rows, mut outputs, mut problem) = (0, 0, None);
        reader.history(script_hash, &mut |_, deltas| {
            rows += 1;
            let funded = reader.deltas(deltas).map(|deltas| {
                let funded = |delta: &&Delta| matches!(delta, Delta::Funded { .. });
                deltas.iter().filter(funded).count()
            });
            match funded {
                Ok(count) => outputs += count,
                Err(error) => problem = Some(error),
            }
            match rows > limit || problem.is_some() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        match problem {
            Some(error) => Err(error.into()),
            None if rows > limit => Err(QueryError::TooLong { limit }),
            None => Ok(outputs),
        }
    }

    /// Follows the script's outputs along the chain; what is left at the tip, in chain order.
    fn confirmed_outputs(
        &self,
        script_hash: &ScriptHash,
        limit: Option<usize>,
    ) -> Result<Vec<Output>, QueryError> {
        let limit = limit.unwrap_or(usize::MAX);
        let reader = self.reader();
        let mut rows = Vec::new();
        let mut too_long = false;
        reader.history(script_hash, &mut |tx_num, deltas| {
            if rows.len() == limit {
                too_long = true;
                return ControlFlow::Break(());
            }
            rows.push((tx_num, deltas.to_vec()));
            ControlFlow::Continue(())
        })?;
        if too_long {
            return Err(QueryError::TooLong { limit });
        }
        let mut outputs = HashMap::new();
        for (tx_num, deltas) in rows {
            let mut txid = None;
            for delta in reader.deltas(&deltas)? {
                match delta {
                    Delta::Funded { vout, value } => {
                        let txid = match txid {
                            Some(txid) => txid,
                            None => *txid.insert(reader.txid(tx_num)?),
                        };
                        let outpoint = OutPoint { txid, vout };
                        // Of two transactions with one txid the later one's outputs take the place of the earlier's.
                        let output = Output {
                            tx_num,
                            outpoint,
                            value,
                        };
                        outputs.insert(reader.outpoint(&outpoint), output);
                    }
                    Delta::Spent { outpoint } => {
                        outputs.remove(&outpoint);
                    }
                }
            }
        }
        let mut outputs: Vec<_> = outputs.into_values().collect();
        outputs.sort_unstable_by_key(|output| (output.tx_num, output.outpoint.vout));
        Ok(outputs)
    }
}
