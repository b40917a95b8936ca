//! Keeps the rates at which transactions are mined, cluster by cluster.

use std::collections::{HashMap, HashSet};

use bitcoin::{FeeRate, Txid};

use super::chunks::{Member, chunk_rates};
use super::histogram::{self, Rate};
use super::{Entry, Mempool};

impl Mempool {
    /// Returns the rate at which a transaction of the mempool is mined: that of its chunk, in tenths of a satoshi per
    /// virtual byte, rounded down.
    pub fn mining_rate(&self, txid: &Txid) -> Option<FeeRate> {
        let entry = self.entries.get(txid)?;
        let rate = self.chunk_rates.get(txid).copied();
        Some(histogram::fee_rate(
            rate.unwrap_or_else(|| histogram::rate(entry)),
        ))
    }

    /// Brings the rates of some transactions, and of all that are connected with them, up to date. Some may be gone.
    pub(super) fn settle_rates(&mut self, txids: Vec<Txid>) {
        let mut settled = HashSet::new();
        for txid in txids {
            if settled.contains(&txid) || !self.entries.contains_key(&txid) {
                continue;
            }
            let cluster = self.cluster(txid);
            let rates = chunk_rates(&self.members(&cluster));
            for (txid, rate) in cluster.iter().zip(rates) {
                self.settle_rate(txid, rate);
            }
            settled.extend(cluster);
        }
    }

    /// Returns a transaction of the mempool with all that are connected with it, each behind its parents. The order
    /// depends on nothing but who is there.
    fn cluster(&self, txid: Txid) -> Vec<Txid> {
        let mut unseen = vec![txid];
        // How many parents of each have no place yet.
        let mut waiting = HashMap::new();
        while let Some(txid) = unseen.pop() {
            let Some(entry) = self.entries.get(&txid) else {
                continue;
            };
            if waiting.contains_key(&txid) {
                continue;
            }
            let parents = self.parents(entry);
            waiting.insert(txid, parents.len());
            unseen.extend(parents);
            unseen.extend(self.children(&txid));
        }
        let mut ready: Vec<Txid> = waiting
            .iter()
            .filter(|(_, parents)| **parents == 0)
            .map(|(txid, _)| *txid)
            .collect();
        ready.sort_unstable();
        let mut cluster = Vec::with_capacity(waiting.len());
        while let Some(txid) = ready.pop() {
            cluster.push(txid);
            for child in self.children(&txid) {
                if let Some(parents) = waiting.get_mut(&child) {
                    *parents -= 1;
                    if *parents == 0 {
                        ready.push(child);
                    }
                }
            }
        }
        cluster
    }

    fn members(&self, cluster: &[Txid]) -> Vec<Member> {
        let places: HashMap<&Txid, usize> = cluster.iter().zip(0..).collect();
        let member = |txid| {
            let entry = self.entries.get(txid)?;
            let parents = self.parents(entry).into_iter();
            Some(Member {
                fee: entry.fee.to_sat(),
                vsize: entry.vsize,
                parents: parents
                    .filter_map(|parent| places.get(&parent).copied())
                    .collect(),
            })
        };
        let members = cluster.iter().map(member);
        members.map(Option::unwrap_or_default).collect()
    }

    /// Returns the parents of a transaction that are unconfirmed as well, each once.
    fn parents(&self, entry: &Entry) -> Vec<Txid> {
        let parents = entry.spent.iter().map(|(outpoint, ..)| outpoint.txid);
        let mut parents: Vec<Txid> = parents
            .filter(|txid| self.entries.contains_key(txid))
            .collect();
        parents.sort_unstable();
        parents.dedup();
        parents
    }

    /// Counts a transaction at another rate than before, if it is one.
    fn settle_rate(&mut self, txid: &Txid, rate: Rate) {
        let Some(entry) = self.entries.get(txid) else {
            return;
        };
        let (own, vsize) = (histogram::rate(entry), entry.vsize);
        let before = match rate == own {
            true => self.chunk_rates.remove(txid),
            false => self.chunk_rates.insert(*txid, rate),
        };
        let before = before.unwrap_or(own);
        if before != rate {
            self.uncount(before, vsize);
            self.count(rate, vsize);
        }
    }

    pub(super) fn count(&mut self, rate: Rate, vsize: u64) {
        *self.rates.entry(rate).or_default() += vsize;
    }

    pub(super) fn uncount(&mut self, rate: Rate, vsize: u64) {
        match self.rates.get_mut(&rate) {
            Some(sum) if *sum > vsize => *sum -= vsize,
            _ => drop(self.rates.remove(&rate)),
        }
    }
}
