//! Transactions that wait for a block, by Bitcoin Core's rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bitcoin::{OutPoint, Transaction, TxOut, Txid};
use imbl::{HashMap, OrdMap};

use super::chain::{Chain, Moved, sigop_cost};
use super::diagram::{self, Node};
use super::policy::{self, MIN_RELAY_RATE, fee_at};
use super::reject::{Reject, ensure};
use super::rules::{self, Coin, money};
use super::script;

/// How many transactions may hang together.
const MAX_CLUSTER: usize = 64;
/// How many virtual bytes may hang together.
const MAX_CLUSTER_VSIZE: u64 = 101_000;
/// How many clusters a replacement may touch.
const MAX_CONFLICTING_CLUSTERS: usize = 100;
/// In virtual bytes: what the mempool holds before it drops what pays least.
const MAX_VSIZE: u64 = 100_000_000;

/// A transaction that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) tx: Transaction,
    pub(super) txid: Txid,
    /// In satoshis.
    pub(super) fee: u64,
    pub(super) vsize: u64,
    /// When it came, in seconds since 1970.
    pub(super) time: u32,
    /// The height of the tip when it came.
    pub(super) height: u32,
    /// How many came before it.
    pub(super) sequence: u64,
}

/// The mempool. Its clones share what they have in common.
#[derive(Clone, Debug)]
pub(super) struct Mempool {
    pub(super) waiting: OrdMap<Txid, Arc<Waiting>>,
    spenders: HashMap<OutPoint, Txid>,
    vsize: u64,
    pub(super) fees: u64,
    arrivals: u64,
    /// In satoshis per 1000 virtual bytes: what it takes to get in, since something was dropped for want of space.
    pub(super) floor: u64,
    pub(super) max_vsize: u64,
}

/// How strict the mempool is about fees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Terms {
    /// It must pay its own way.
    Alone,
    /// Others pay for it.
    Sponsored,
    /// It was in a block: no limits.
    Returning,
}

/// A transaction that may enter.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) tx: Transaction,
    pub(super) txid: Txid,
    pub(super) fee: u64,
    pub(super) vsize: u64,
    /// What leaves when it enters.
    pub(super) replaced: BTreeSet<Txid>,
}

impl Default for Mempool {
    fn default() -> Self {
        Self {
            waiting: OrdMap::new(),
            spenders: HashMap::new(),
            vsize: 0,
            fees: 0,
            arrivals: 0,
            floor: 0,
            max_vsize: MAX_VSIZE,
        }
    }
}

impl Mempool {
    pub(super) fn vsize(&self) -> u64 {
        self.vsize
    }

    pub(super) fn spender(&self, outpoint: &OutPoint) -> Option<&Txid> {
        self.spenders.get(outpoint)
    }

    /// The lowest rate that gets in now.
    pub(super) fn min_rate(&self) -> u64 {
        self.floor.max(MIN_RELAY_RATE)
    }

    /// An output that a new transaction may refer to, whether or not another one spends it.
    fn coin(&self, chain: &Chain, outpoint: &OutPoint) -> Option<Coin> {
        if let Some(parent) = self.waiting.get(&outpoint.txid) {
            let output = parent.tx.output.get(outpoint.vout as usize)?.clone();
            return Some(Coin {
                output,
                height: chain.height() + 1,
                is_coinbase: false,
            });
        }
        chain.coins.get(outpoint).cloned()
    }

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
            self.check_topology(&candidate)?;
            self.check_replacement(&candidate)?;
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

    /// What a transaction conflicts with, and what is built on that.
    fn conflicts(&self, tx: &Transaction) -> BTreeSet<Txid> {
        let direct = tx
            .input
            .iter()
            .filter_map(|input| self.spenders.get(&input.previous_output));
        self.with_descendants(direct.copied())
    }

    pub(super) fn parents(&self, tx: &Transaction) -> BTreeSet<Txid> {
        let txids = tx.input.iter().map(|input| input.previous_output.txid);
        txids
            .filter(|txid| self.waiting.contains_key(txid))
            .collect()
    }

    pub(super) fn children(&self, waiting: &Waiting) -> BTreeSet<Txid> {
        let outputs =
            (0..waiting.tx.output.len() as u32).map(|vout| OutPoint::new(waiting.txid, vout));
        outputs
            .filter_map(|outpoint| self.spenders.get(&outpoint).copied())
            .collect()
    }

    /// These transactions and all that is built on them.
    pub(super) fn with_descendants(&self, txids: impl Iterator<Item = Txid>) -> BTreeSet<Txid> {
        self.reach(txids, |waiting| self.children(waiting))
    }

    /// These transactions and all that they are built on.
    pub(super) fn with_ancestors(&self, txids: impl Iterator<Item = Txid>) -> BTreeSet<Txid> {
        self.reach(txids, |waiting| self.parents(&waiting.tx))
    }

    /// Everything that hangs together with these transactions.
    pub(super) fn cluster(&self, txids: impl Iterator<Item = Txid>) -> BTreeSet<Txid> {
        self.reach(txids, |waiting| {
            let mut near = self.parents(&waiting.tx);
            near.extend(self.children(waiting));
            near
        })
    }

    fn reach(
        &self,
        from: impl Iterator<Item = Txid>,
        next: impl Fn(&Waiting) -> BTreeSet<Txid>,
    ) -> BTreeSet<Txid> {
        let mut open: Vec<Txid> = from.collect();
        let mut seen = BTreeSet::new();
        while let Some(txid) = open.pop() {
            let Some(waiting) = self.waiting.get(&txid) else {
                continue;
            };
            if seen.insert(txid) {
                open.extend(next(waiting));
            }
        }
        seen
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

    /// Rules about replacing what waits already.
    fn check_replacement(&self, candidate: &Candidate) -> Result<(), Reject> {
        if candidate.replaced.is_empty() {
            return Ok(());
        }
        let txid = candidate.txid;
        let ancestors = self.with_ancestors(self.parents(&candidate.tx).into_iter());
        let direct: BTreeSet<Txid> = candidate
            .tx
            .input
            .iter()
            .filter_map(|input| self.spenders.get(&input.previous_output))
            .copied()
            .collect();
        if let Some(conflict) = ancestors.intersection(&direct).next() {
            let details = format!("{txid} spends conflicting transaction {conflict}");
            return Err(Reject::with("bad-txns-spends-conflicting-tx", details));
        }
        let mut clusters = BTreeSet::new();
        for conflict in &direct {
            clusters.insert(self.cluster([*conflict].into_iter()));
        }
        if clusters.len() > MAX_CONFLICTING_CLUSTERS {
            let details = format!(
                "rejecting replacement {txid}; too many conflicting clusters ({} > {MAX_CONFLICTING_CLUSTERS})",
                clusters.len()
            );
            return Err(Reject::with("too many potential replacements", details));
        }
        let fees: u64 = candidate
            .replaced
            .iter()
            .filter_map(|txid| self.waiting.get(txid))
            .map(|tx| tx.fee)
            .sum();
        let Some(more) = candidate.fee.checked_sub(fees) else {
            let details = format!(
                "rejecting replacement {txid}, less fees than conflicting txs; {} < {}",
                money(candidate.fee),
                money(fees)
            );
            return Err(Reject::with("insufficient fee", details));
        };
        let least = fee_at(MIN_RELAY_RATE, candidate.vsize);
        if more < least {
            let details = format!(
                "rejecting replacement {txid}, not enough additional fees to relay; {} < {}",
                money(more),
                money(least)
            );
            return Err(Reject::with("insufficient fee", details));
        }
        match self.improves(candidate) {
            true => Ok(()),
            false => Err(Reject::with(
                "replacement-failed",
                "insufficient feerate: does not improve feerate diagram",
            )),
        }
    }

    /// Whether miners are better off with the candidate, at whatever size of a block.
    fn improves(&self, candidate: &Candidate) -> bool {
        let touched = candidate
            .replaced
            .iter()
            .copied()
            .chain(self.parents(&candidate.tx));
        let before = self.cluster(touched);
        let nodes = |txids: &BTreeSet<Txid>| -> BTreeMap<Txid, Node> {
            let there = txids.iter().filter_map(|txid| self.waiting.get(txid));
            there
                .map(|tx| {
                    let parents = self.parents(&tx.tx);
                    (
                        tx.txid,
                        Node {
                            fee: tx.fee,
                            vsize: tx.vsize,
                            parents,
                        },
                    )
                })
                .collect()
        };
        let old = nodes(&before);
        let mut new = nodes(&before.difference(&candidate.replaced).copied().collect());
        let parents = self.parents(&candidate.tx);
        let node = Node {
            fee: candidate.fee,
            vsize: candidate.vsize,
            parents,
        };
        new.insert(candidate.txid, node);
        diagram::improves(&diagram::chunks(old), &diagram::chunks(new))
    }

    /// Adds what was checked.
    pub(super) fn add(&mut self, candidate: Candidate, time: u32, height: u32) {
        candidate.replaced.iter().for_each(|txid| self.remove(txid));
        let Candidate {
            tx,
            txid,
            fee,
            vsize,
            ..
        } = candidate;
        for input in &tx.input {
            self.spenders.insert(input.previous_output, txid);
        }
        self.vsize += vsize;
        self.fees += fee;
        let sequence = self.arrivals;
        self.arrivals += 1;
        self.waiting.insert(
            txid,
            Arc::new(Waiting {
                tx,
                txid,
                fee,
                vsize,
                time,
                height,
                sequence,
            }),
        );
    }

    /// Drops what pays least until the mempool has the size that it may have.
    pub(super) fn trim(&mut self) {
        while self.vsize > self.max_vsize {
            // What pays least counts with all that is built on it.
            let rate = |txid: &Txid| {
                let with = self.with_descendants([*txid].into_iter());
                let there = with.iter().filter_map(|txid| self.waiting.get(txid));
                let (fee, vsize) =
                    there.fold((0, 0), |(fee, vsize), tx| (fee + tx.fee, vsize + tx.vsize));
                (fee * 1000).checked_div(vsize).unwrap_or(0)
            };
            let Some((rate, txid)) = self.waiting.keys().map(|txid| (rate(txid), *txid)).min()
            else {
                return;
            };
            self.floor = self.floor.max(rate + MIN_RELAY_RATE);
            self.remove_with_descendants(&txid);
        }
    }

    /// Removes one transaction, whatever is built on it.
    fn remove(&mut self, txid: &Txid) {
        let Some(gone) = self.waiting.remove(txid) else {
            return;
        };
        self.vsize -= gone.vsize;
        self.fees -= gone.fee;
        for input in &gone.tx.input {
            if self.spenders.get(&input.previous_output) == Some(txid) {
                self.spenders.remove(&input.previous_output);
            }
        }
    }

    /// Removes a transaction and all that is built on it; what was removed.
    pub(super) fn remove_with_descendants(&mut self, txid: &Txid) -> BTreeSet<Txid> {
        let gone = self.with_descendants([*txid].into_iter());
        gone.iter().for_each(|txid| self.remove(txid));
        gone
    }

    /// Follows the chain.
    pub(super) fn follow(&mut self, chain: &Chain, moved: &Moved, now: u32) {
        for entry in &moved.connected {
            for (tx, txid) in entry.transactions() {
                self.remove(&txid);
                for txid in self.conflicts(tx) {
                    self.remove(&txid);
                }
            }
            self.floor = 0;
        }
        for entry in moved.disconnected.iter().rev() {
            for (tx, txid) in entry.transactions().filter(|(tx, _)| !tx.is_coinbase()) {
                match self.check(chain, tx, Terms::Returning) {
                    Ok(candidate) => self.add(candidate, now, chain.height()),
                    Err(_) if self.waiting.contains_key(&txid) => {}
                    Err(_) => self.remove_children_of(tx, txid),
                }
            }
            for (tx, txid) in entry.transactions().take(1) {
                self.remove_children_of(tx, txid);
            }
        }
        if !moved.disconnected.is_empty() {
            self.sweep(chain);
        }
    }

    /// Removes what is built on a transaction that is nowhere any more.
    fn remove_children_of(&mut self, tx: &Transaction, txid: Txid) {
        for vout in 0..tx.output.len() as u32 {
            if let Some(child) = self.spenders.get(&OutPoint::new(txid, vout)).copied() {
                self.remove_with_descendants(&child);
            }
        }
    }

    /// Removes what a shorter or another chain does not allow any more.
    fn sweep(&mut self, chain: &Chain) {
        let height = chain.height() + 1;
        let mtp = chain.median_time(&chain.tip());
        let all: Vec<Arc<Waiting>> = self.waiting.values().cloned().collect();
        for waiting in all {
            let tx = &waiting.tx;
            let coins: Option<Vec<Coin>> = tx
                .input
                .iter()
                .map(|input| self.coin(chain, &input.previous_output))
                .collect();
            let before = |height| chain.median_time_before(height);
            let stays = coins.is_some_and(|coins| {
                rules::is_final(tx, height, mtp)
                    && rules::sequence_locks_hold(tx, &coins, height, mtp, before)
                    && rules::check_inputs(tx, &coins, height).is_ok()
            });
            if !stays {
                self.remove_with_descendants(&waiting.txid);
            }
        }
    }
}
