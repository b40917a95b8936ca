//! The mempool: what is not confirmed yet, as an immutable value that is cheap to copy.
//!
//! [`fetch`] asks the node what changed, [`Mempool::apply`] changes the value and says which scripts that touches. The
//! value is a function of the set of its transactions alone: any way to the same set gives the same value. Only which of
//! them came last is a matter of how it came about.

mod chunks;
mod cluster;
mod entry;
mod fetch;
mod histogram;
mod personal;

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, OnceLock};

use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Txid};
use electrum_protocol::ScriptHash;
use electrum_protocol::method::mempool::FeeBin;

pub use entry::{Entry, EntryError};
pub use fetch::{Fetched, fetch};
pub(crate) use personal::{Ours, fetch_ours};

/// Unconfirmed transactions, found by txid, by script and by what they spend.
///
/// Copies share everything until one of them changes.
#[derive(Clone, Default)]
pub struct Mempool {
    entries: imbl::HashMap<Txid, Arc<Entry>>,
    /// Each transaction under every script that it funds or spends from.
    by_script: imbl::OrdSet<(ScriptHash, Txid)>,
    spenders: imbl::OrdMap<OutPoint, Txid>,
    /// Virtual bytes by the rate at which they are mined, for the histogram.
    rates: imbl::OrdMap<histogram::Rate, u64>,
    /// The rates of transactions that are mined at another than their own.
    chunk_rates: imbl::HashMap<Txid, histogram::Rate>,
    histogram: OnceLock<Vec<FeeBin>>,
    /// Transactions that are in the node's mempool and not here, although some here spend from them.
    foreign_parents: imbl::HashSet<Txid>,
    /// What came last, the newest at the end; some of it may be gone again.
    newest: VecDeque<Txid>,
}

/// How many newcomers are remembered: more than are told, since some of them leave.
const NEWEST: usize = 64;

/// A change from one mempool to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// What is new; the parents of each that are unconfirmed are here as well, or there already.
    pub added: Vec<Entry>,
    /// What is gone: mined, replaced, evicted or expired.
    pub removed: Vec<Txid>,
    /// When this mempool is a part of the node's: those of the node's, here or not, from which some here spend.
    pub parents: Option<HashSet<Txid>>,
}

impl Delta {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

impl Mempool {
    /// Returns the empty mempool.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of transactions.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no transactions.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns a transaction.
    pub fn get(&self, txid: &Txid) -> Option<&Arc<Entry>> {
        self.entries.get(txid)
    }

    /// Returns all transactions, in no particular order.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// Returns the transactions that fund a script or spend from it, each once, in no order that means anything.
    pub fn entries_of<'a>(
        &'a self,
        script_hash: &ScriptHash,
    ) -> impl Iterator<Item = &'a Arc<Entry>> + use<'a> {
        let first = (*script_hash, Txid::from_byte_array([0; 32]));
        let last = (*script_hash, Txid::from_byte_array([0xff; 32]));
        self.by_script
            .range(first..=last)
            .filter_map(|(_, txid)| self.entries.get(txid))
    }

    /// Returns the transaction that spends an output, be that confirmed or not.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spenders.get(outpoint).copied()
    }

    /// Returns how much of the mempool pays how well; rates are strictly decreasing, and every transaction is counted
    /// in exactly one bin, at the rate of its chunk: what a miner gets who takes it together with what it needs and with
    /// the children that pay for it.
    pub fn fee_histogram(&self) -> &[FeeBin] {
        self.histogram.get_or_init(|| {
            histogram::bins(self.rates.iter().rev().map(|(rate, vsize)| (*rate, *vsize)))
        })
    }

    /// Returns the transactions that came last, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Arc<Entry>> {
        let newest = self.newest.iter().rev();
        newest.filter_map(|txid| self.entries.get(txid))
    }

    /// Makes a change, and returns the scripts whose histories it changes: those of what came and went, and those of
    /// transactions that have, or no longer have, unconfirmed parents.
    pub fn apply(&mut self, delta: Delta) -> HashSet<ScriptHash> {
        let mut touched = HashSet::new();
        let mut moved = Vec::with_capacity(delta.added.len() + delta.removed.len());
        // The parents of what is gone, which nobody pays for any more.
        let mut left = Vec::new();
        for txid in delta.removed {
            if let Some(entry) = self.remove(&txid) {
                touched.extend(entry.script_hashes());
                left.extend(entry.spent.iter().map(|(outpoint, ..)| outpoint.txid));
                moved.push(txid);
            }
        }
        for entry in delta.added {
            if self.entries.contains_key(&entry.txid) {
                continue;
            }
            // A node never lists two spenders of one output. If ours tells otherwise, the newer one is right.
            let rivals: Vec<Txid> = entry
                .spent
                .iter()
                .filter_map(|(outpoint, ..)| self.spender(outpoint))
                .collect();
            for rival in rivals {
                if let Some(entry) = self.remove(&rival) {
                    touched.extend(entry.script_hashes());
                    left.extend(entry.spent.iter().map(|(outpoint, ..)| outpoint.txid));
                    moved.push(rival);
                }
            }
            touched.extend(entry.script_hashes());
            moved.push(entry.txid);
            if self.newest.len() == NEWEST {
                self.newest.pop_front();
            }
            self.newest.push_back(entry.txid);
            self.insert(entry);
        }
        if let Some(parents) = delta.parents {
            let foreign: imbl::HashSet<Txid> = parents
                .into_iter()
                .filter(|txid| !self.entries.contains_key(txid))
                .collect();
            let before = std::mem::replace(&mut self.foreign_parents, foreign);
            let changed = before.symmetric_difference(self.foreign_parents.clone());
            moved.extend(changed);
        }
        for txid in &moved {
            self.settle_flag(txid, &mut touched);
            for child in self.children(txid) {
                self.settle_flag(&child, &mut touched);
                left.push(child);
            }
        }
        left.extend(moved);
        self.settle_rates(left);
        self.histogram = OnceLock::new();
        touched
    }

    /// Returns the transactions that spend outputs of `txid`, which need not be in the mempool itself, each once.
    fn children(&self, txid: &Txid) -> Vec<Txid> {
        let outputs = OutPoint::new(*txid, 0)..=OutPoint::new(*txid, u32::MAX);
        let mut children: Vec<Txid> = self
            .spenders
            .range(outputs)
            .map(|(_, child)| *child)
            .collect();
        children.sort_unstable();
        children.dedup();
        children
    }

    /// Brings `unconfirmed_parents` of one entry up to date.
    fn settle_flag(&mut self, txid: &Txid, touched: &mut HashSet<ScriptHash>) {
        let Some(entry) = self.entries.get(txid) else {
            return;
        };
        let unconfirmed_parents = entry
            .spent
            .iter()
            .map(|(outpoint, ..)| &outpoint.txid)
            .any(|txid| self.entries.contains_key(txid) || self.foreign_parents.contains(txid));
        if entry.unconfirmed_parents != unconfirmed_parents {
            let entry = Entry {
                unconfirmed_parents,
                ..Entry::clone(entry)
            };
            touched.extend(entry.script_hashes());
            self.entries.insert(*txid, Arc::new(entry));
        }
    }

    fn insert(&mut self, entry: Entry) {
        for script_hash in entry.script_hashes() {
            self.by_script.insert((script_hash, entry.txid));
        }
        for (outpoint, ..) in &entry.spent {
            self.spenders.insert(*outpoint, entry.txid);
        }
        self.count(histogram::rate(&entry), entry.vsize);
        self.entries.insert(entry.txid, Arc::new(entry));
    }

    fn remove(&mut self, txid: &Txid) -> Option<Arc<Entry>> {
        let entry = self.entries.remove(txid)?;
        self.newest.retain(|newest| newest != txid);
        for script_hash in entry.script_hashes() {
            self.by_script.remove(&(script_hash, *txid));
        }
        for (outpoint, ..) in &entry.spent {
            self.spenders.remove(outpoint);
        }
        let rate = self.chunk_rates.remove(txid);
        self.uncount(rate.unwrap_or_else(|| histogram::rate(&entry)), entry.vsize);
        Some(entry)
    }
}

impl fmt::Debug for Mempool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mempool")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Compares everything but the order in which the transactions came.
impl PartialEq for Mempool {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
            && self.by_script == other.by_script
            && self.spenders == other.spenders
            && self.rates == other.rates
    }
}

impl Eq for Mempool {}

#[cfg(test)]
mod tests;
