//! Which transactions the mempool takes, and in which order it looks: the first complaint is the one that is told.

use std::collections::BTreeSet;

use bitcoin::{OutPoint, Transaction, TxOut, Txid};

use super::chain::{Chain, sigop_cost};
use super::mempool::{Candidate, Mempool, Terms};
use super::policy::{self, MIN_RELAY_RATE, fee_at};
use super::reject::{Reject, ensure};
use super::rules::{self, Coin};
use super::script;

impl Mempool {
    /// Checks a transaction by itself.
    pub(super) fn check(
        &self,
        chain: &Chain,
        tx: &Transaction,
        terms: Terms,
    ) -> Result<Candidate, Reject> {
        let candidate = self.precheck(chain, tx, terms, &[])?;
        let one = std::slice::from_ref(&candidate);
        let graph = self.graph_with(one);
        if !candidate.conflicts.is_empty() {
            self.check_replacement(&candidate, &graph)?;
        }
        graph.check_size()?;
        self.check_own_ancestors(&candidate)?;
        if terms != Terms::Returning {
            self.check_dust(one).map_err(|(_, reject)| reject)?;
        }
        check_scripts(&candidate)?;
        Ok(candidate)
    }

    /// Checks what can be checked before its standing among others; `before` are the transactions of a package that
    /// come before it.
    pub(super) fn precheck(
        &self,
        chain: &Chain,
        tx: &Transaction,
        terms: Terms,
        before: &[Candidate],
    ) -> Result<Candidate, Reject> {
        rules::check_transaction(tx)?;
        ensure(!tx.is_coinbase(), "coinbase")?;
        policy::check_standard(tx)?;
        let (tip, height) = (chain.tip(), chain.height() + 1);
        let mtp = chain.median_time(&tip);
        ensure(rules::is_final(tx, height, mtp), "non-final")?;
        let txid = tx.compute_txid();
        if let Some(known) = self.waiting.get(&txid) {
            let same = known.tx.compute_wtxid() == tx.compute_wtxid();
            return Reject::err(match same {
                true => "txn-already-in-mempool",
                false => "txn-same-nonwitness-data-in-mempool",
            });
        }
        let coin = |outpoint: &OutPoint| {
            let parent = before.iter().find(|parent| parent.txid == outpoint.txid);
            match parent {
                Some(parent) => unconfirmed(chain, &parent.tx, outpoint),
                None => self.coin(chain, outpoint),
            }
        };
        let inputs = tx.input.iter();
        let coins: Option<Vec<Coin>> = inputs.map(|input| coin(&input.previous_output)).collect();
        let Some(coins) = coins else {
            let confirmed = (0..tx.output.len() as u32)
                .any(|vout| chain.coins.contains_key(&OutPoint::new(txid, vout)));
            return Reject::err(match confirmed {
                true => "txn-already-known",
                false => "bad-txns-inputs-missingorspent",
            });
        };
        let mtp_before = |height| chain.median_time_before(height);
        let unlocked = rules::sequence_locks_hold(tx, &coins, height, mtp, mtp_before);
        ensure(unlocked, "non-BIP68-final")?;
        let fee = rules::check_inputs(tx, &coins, height)?.to_sat();
        policy::check_spends(tx, &coins)?;
        if policy::has_dust(tx) && fee != 0 {
            return Err(Reject::with("dust", "tx with dust output must be 0-fee"));
        }
        let sigops = sigop_cost(tx, &coins);
        if sigops > policy::MAX_SIGOPS_COST {
            return Err(Reject::with("bad-txns-too-many-sigops", sigops));
        }
        let weight = tx.weight().to_wu().max(sigops as u64 * 20);
        let vsize = weight.div_ceil(4);
        if terms == Terms::Alone {
            check_fee(self.floor, fee, vsize)?;
        }
        let spent = tx.input.iter().map(|input| &input.previous_output);
        let mut conflicts: BTreeSet<Txid> = spent
            .filter_map(|spent| self.spender(spent).copied())
            .collect();
        let mut evicts_sibling = false;
        if terms != Terms::Returning {
            let sibling = self.check_truc(tx, &conflicts, vsize, terms)?;
            evicts_sibling = sibling.is_some();
            conflicts.extend(sibling);
        }
        let replaced = self.with_descendants(conflicts.iter().copied());
        Ok(Candidate {
            tx: tx.clone(),
            txid,
            fee,
            weight,
            vsize,
            spent: coins.into_iter().map(|coin| coin.output).collect(),
            conflicts,
            evicts_sibling,
            replaced,
        })
    }

    /// Whoever spends from a transaction with dust spends the dust too.
    pub(super) fn check_dust(&self, candidates: &[Candidate]) -> Result<(), (Txid, Reject)> {
        for candidate in candidates {
            let inputs = candidate.tx.input.iter().map(|input| input.previous_output);
            let spent: BTreeSet<OutPoint> = inputs.collect();
            for parent in spent.iter().map(|outpoint| outpoint.txid) {
                let here = candidates.iter().find(|other| other.txid == parent);
                let there = self.waiting.get(&parent).map(|waiting| &waiting.tx);
                let Some(tx) = here.map(|other| &other.tx).or(there) else {
                    continue;
                };
                let mut dust = (0..)
                    .zip(&tx.output)
                    .filter(|(_, output)| policy::is_dust(output));
                if dust.any(|(vout, _)| !spent.contains(&OutPoint::new(parent, vout))) {
                    let name = name(&candidate.tx);
                    let details = format!("{name} did not spend parent's ephemeral dust");
                    let reject = Reject::with("missing-ephemeral-spends", details);
                    return Err((candidate.txid, reject));
                }
            }
        }
        Ok(())
    }

    /// Nobody is built on what he replaces.
    fn check_own_ancestors(&self, candidate: &Candidate) -> Result<(), Reject> {
        if candidate.conflicts.is_empty() {
            return Ok(());
        }
        let ancestors = self.with_ancestors(self.parents(&candidate.tx).into_iter());
        match ancestors.intersection(&candidate.conflicts).next() {
            Some(conflict) => {
                let details = format!(
                    "{} spends conflicting transaction {conflict}",
                    candidate.txid
                );
                Err(Reject::with("bad-txns-spends-conflicting-tx", details))
            }
            None => Ok(()),
        }
    }
}

/// Whether a fee is enough for so many virtual bytes, in a mempool with this floor.
pub(super) fn check_fee(floor: u64, fee: u64, vsize: u64) -> Result<(), Reject> {
    for (rate, reason) in [
        (floor, "mempool min fee not met"),
        (MIN_RELAY_RATE, "min relay fee not met"),
    ] {
        let least = fee_at(rate, vsize);
        if fee < least {
            return Err(Reject::with(reason, format!("{fee} < {least}")));
        }
    }
    Ok(())
}

pub(super) fn check_scripts(candidate: &Candidate) -> Result<(), Reject> {
    policy::check_signatures(&candidate.tx, &candidate.spent)?;
    let outputs: Vec<&TxOut> = candidate.spent.iter().collect();
    script::verify(&candidate.tx, &outputs).map_err(|index| {
        let details = input_name(&candidate.tx, index);
        Reject::with("mempool-script-verify-flag-failed", details)
    })
}

/// An input as Bitcoin Core names it.
pub(super) fn input_name(tx: &Transaction, index: usize) -> String {
    let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
    let input = tx.input.get(index);
    let outpoint = input.map(|input| input.previous_output).unwrap_or_default();
    format!("input {index} of {txid} (wtxid {wtxid}), spending {outpoint}")
}

/// A transaction as Bitcoin Core names it.
pub(super) fn name(tx: &Transaction) -> String {
    format!("tx {} (wtxid={})", tx.compute_txid(), tx.compute_wtxid())
}

/// An output of a transaction that the next block may contain.
pub(super) fn unconfirmed(chain: &Chain, tx: &Transaction, outpoint: &OutPoint) -> Option<Coin> {
    Some(Coin {
        output: tx.output.get(outpoint.vout as usize)?.clone(),
        height: chain.height() + 1,
        is_coinbase: false,
    })
}
