//! Which transactions the mempool takes.

use std::collections::BTreeSet;

use bitcoin::{OutPoint, Transaction, TxOut, Txid};

use super::chain::{Chain, sigop_cost};
use super::mempool::{Candidate, Mempool, Terms};
use super::policy::{self, MIN_RELAY_RATE, fee_at};
use super::reject::{Reject, ensure};
use super::rules::{self, Coin};
use super::script;

/// How many transactions may hang together.
const MAX_CLUSTER: usize = 64;
/// How many virtual bytes may hang together.
const MAX_CLUSTER_VSIZE: u64 = 101_000;

impl Mempool {
    /// Checks everything but what belongs to packages.
    pub(super) fn check(
        &self,
        chain: &Chain,
        tx: &Transaction,
        terms: Terms,
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
        let coins: Option<Vec<Coin>> = tx
            .input
            .iter()
            .map(|input| self.coin(chain, &input.previous_output))
            .collect();
        let Some(coins) = coins else {
            let confirmed = (0..tx.output.len() as u32)
                .any(|vout| chain.coins.contains_key(&OutPoint::new(txid, vout)));
            let reason = if confirmed {
                "txn-already-known"
            } else {
                "bad-txns-inputs-missingorspent"
            };
            return Reject::err(reason);
        };
        let before = |height| chain.median_time_before(height);
        let unlocked = rules::sequence_locks_hold(tx, &coins, height, mtp, before);
        ensure(unlocked, "non-BIP68-final")?;
        let fee = rules::check_inputs(tx, &coins, height)?.to_sat();
        let sigops = sigop_cost(tx, &coins);
        policy::check_spends(tx, &coins, sigops)?;
        let vsize = tx.weight().to_wu().max(sigops as u64 * 20).div_ceil(4);
        if policy::has_dust(tx) && fee != 0 {
            return Err(Reject::with("dust", "tx with dust output must be 0-fee"));
        }
        self.check_fee(terms, tx, fee, vsize)?;
        let replaced = self.conflicts(tx);
        let candidate = Candidate {
            tx: tx.clone(),
            txid,
            fee,
            vsize,
            replaced,
        };
        if terms != Terms::Returning {
            self.check_dust(tx)?;
            self.check_topology(&candidate)?;
            self.check_replacement(&candidate, terms)?;
        }
        let outputs: Vec<&TxOut> = coins.iter().map(|coin| &coin.output).collect();
        script::verify(tx, &outputs).map_err(|index| {
            let outpoint = tx
                .input
                .get(index)
                .map(|input| input.previous_output)
                .unwrap_or_default();
            let details = format!("input {index} of {txid}, spending {outpoint}");
            Reject::with("mempool-script-verify-flag-failed", details)
        })?;
        Ok(candidate)
    }

    fn check_fee(
        &self,
        terms: Terms,
        tx: &Transaction,
        fee: u64,
        vsize: u64,
    ) -> Result<(), Reject> {
        let floor = fee_at(self.floor, vsize);
        if terms == Terms::Alone && fee < floor {
            return Err(Reject::with(
                "mempool min fee not met",
                format!("{fee} < {floor}"),
            ));
        }
        let least = fee_at(MIN_RELAY_RATE, vsize);
        let must = terms == Terms::Alone || (terms == Terms::Sponsored && tx.version.0 != 3);
        match must && fee < least {
            true => Err(Reject::with(
                "min relay fee not met",
                format!("{fee} < {least}"),
            )),
            false => Ok(()),
        }
    }

    /// Whoever spends from a transaction with dust spends the dust too.
    fn check_dust(&self, tx: &Transaction) -> Result<(), Reject> {
        for parent in self.parents(tx) {
            let Some(waiting) = self.waiting.get(&parent) else {
                continue;
            };
            for (vout, output) in (0..).zip(&waiting.tx.output) {
                let outpoint = OutPoint::new(parent, vout);
                let mut spent = tx.input.iter().map(|input| input.previous_output);
                if policy::is_dust(output) && !spent.any(|other| other == outpoint) {
                    let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
                    return Err(Reject::with(
                        "missing-ephemeral-spends",
                        format!("tx {txid} (wtxid={wtxid}) did not spend parent's ephemeral dust"),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Rules about what may hang together.
    fn check_topology(&self, candidate: &Candidate) -> Result<(), Reject> {
        let parents = self.parents(&candidate.tx);
        let ancestors = self.with_ancestors(parents.iter().copied());
        self.check_truc(candidate, &ancestors)?;
        let mut cluster = self.cluster(parents.into_iter());
        cluster.retain(|txid| !candidate.replaced.contains(txid));
        let vsize: u64 = cluster
            .iter()
            .filter_map(|txid| self.waiting.get(txid))
            .map(|tx| tx.vsize)
            .sum();
        let fits = cluster.len() < MAX_CLUSTER && vsize + candidate.vsize <= MAX_CLUSTER_VSIZE;
        ensure(fits, "too-large-cluster")
    }

    /// Rules of version 3 transactions (BIP 431).
    fn check_truc(&self, candidate: &Candidate, ancestors: &BTreeSet<Txid>) -> Result<(), Reject> {
        let is_truc = candidate.tx.version.0 == 3;
        let refused = |details: String| Err(Reject::with("TRUC-violation", details));
        let name = format!(
            "tx {} (wtxid={})",
            candidate.txid,
            candidate.tx.compute_wtxid()
        );
        for parent in self
            .parents(&candidate.tx)
            .iter()
            .filter_map(|txid| self.waiting.get(txid))
        {
            let of_parent = format!("tx {} (wtxid={})", parent.txid, parent.tx.compute_wtxid());
            match (is_truc, parent.tx.version.0 == 3) {
                (true, false) => {
                    return refused(format!(
                        "version=3 {name} cannot spend from non-version=3 {of_parent}"
                    ));
                }
                (false, true) => {
                    return refused(format!(
                        "non-version=3 {name} cannot spend from version=3 {of_parent}"
                    ));
                }
                _ => {}
            }
        }
        if !is_truc {
            return Ok(());
        }
        let vsize = candidate.vsize;
        if vsize > 10_000 {
            return refused(format!(
                "version=3 {name} is too big: {vsize} > 10000 virtual bytes"
            ));
        }
        if ancestors.len() > 1 {
            return refused(format!("{name} would have too many ancestors"));
        }
        let Some(parent) = ancestors.first().and_then(|txid| self.waiting.get(txid)) else {
            return Ok(());
        };
        if vsize > 1000 {
            return refused(format!(
                "version=3 child {name} is too big: {vsize} > 1000 virtual bytes"
            ));
        }
        let siblings = self.children(parent);
        match siblings
            .iter()
            .all(|sibling| candidate.replaced.contains(sibling))
        {
            true => Ok(()),
            false => refused(format!(
                "tx {} (wtxid={}) would exceed descendant count limit",
                parent.txid,
                parent.tx.compute_wtxid()
            )),
        }
    }
}
