//! Replacing what waits in the mempool by something that pays more.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::Txid;

use super::diagram::{self, Node};
use super::mempool::{Candidate, Mempool, Terms};
use super::policy::{MIN_RELAY_RATE, fee_at};
use super::reject::Reject;
use super::rules::money;

/// How many clusters a replacement may touch.
const MAX_CONFLICTING_CLUSTERS: usize = 100;

impl Mempool {
    /// Rules about replacing what waits already.
    pub(super) fn check_replacement(
        &self,
        candidate: &Candidate,
        terms: Terms,
    ) -> Result<(), Reject> {
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
        // What others pay is counted with them.
        if terms == Terms::Sponsored {
            return Ok(());
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
}
