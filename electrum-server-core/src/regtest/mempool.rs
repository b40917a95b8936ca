//! Transactions that wait for a block, by Bitcoin Core's rules.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use bitcoin::{OutPoint, Transaction, TxOut, Txid};
use imbl::{HashMap, OrdMap};

use super::admission::unconfirmed;
use super::chain::{Chain, Moved};
use super::policy::MIN_RELAY_RATE;
use super::rules::{self, Coin};

/// In virtual bytes: what the mempool holds before it drops what pays least.
const MAX_VSIZE: u64 = 100_000_000;

/// A transaction that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) tx: Transaction,
    pub(super) txid: Txid,
    /// In satoshis.
    pub(super) fee: u64,
    pub(super) weight: u64,
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
    pub(super) spenders: HashMap<OutPoint, Txid>,
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
    /// That of its signature operations when it is more.
    pub(super) weight: u64,
    pub(super) vsize: u64,
    /// What it spends.
    pub(super) spent: Vec<TxOut>,
    /// What spends the same, and the sibling that it pushes out.
    pub(super) conflicts: BTreeSet<Txid>,
    pub(super) evicts_sibling: bool,
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

    /// What waits, in the order in which it came.
    pub(super) fn in_order(&self) -> Vec<&Arc<Waiting>> {
        let mut waiting: Vec<_> = self.waiting.values().collect();
        waiting.sort_by_key(|waiting| waiting.sequence);
        waiting
    }

    /// The lowest rate that gets in now.
    pub(super) fn min_rate(&self) -> u64 {
        self.floor.max(MIN_RELAY_RATE)
    }

    /// An output that a new transaction may refer to, whether or not another one spends it.
    pub(super) fn coin(&self, chain: &Chain, outpoint: &OutPoint) -> Option<Coin> {
        if let Some(parent) = self.waiting.get(&outpoint.txid) {
            return unconfirmed(chain, &parent.tx, outpoint);
        }
        chain.coins.get(outpoint).cloned()
    }

    /// What a transaction conflicts with, and what is built on that.
    pub(super) fn conflicts(&self, tx: &Transaction) -> BTreeSet<Txid> {
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

    /// Adds what was checked.
    pub(super) fn add(&mut self, candidate: Candidate, time: u32, height: u32) {
        candidate.replaced.iter().for_each(|txid| self.remove(txid));
        let Candidate {
            tx,
            txid,
            fee,
            weight,
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
                weight,
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
        let mined: HashSet<&Txid> = moved
            .connected
            .iter()
            .flat_map(|entry| &entry.txids)
            .collect();
        for entry in moved.disconnected.iter().rev() {
            for (tx, txid) in entry
                .transactions()
                .filter(|(_, txid)| !mined.contains(txid))
            {
                let checked = match tx.is_coinbase() {
                    true => None,
                    false => self.check(chain, tx, Terms::Returning).ok(),
                };
                match checked {
                    Some(candidate) => self.add(candidate, now, chain.height()),
                    None => {
                        self.remove_with_descendants(&txid);
                        self.remove_children_of(tx, txid);
                    }
                }
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
