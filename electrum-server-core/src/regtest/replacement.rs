//! Replacing what waits in the mempool by something that pays more, and how much may hang together.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::Txid;

use super::diagram::{self, Node};
use super::mempool::{Candidate, Mempool};
use super::policy::{MIN_RELAY_RATE, fee_at};
use super::reject::{Reject, ensure};
use super::rules::money;

/// How many clusters a replacement may touch.
const MAX_CONFLICTING_CLUSTERS: usize = 100;
/// How many transactions may hang together.
const MAX_CLUSTER: usize = 64;
/// What may hang together may weigh.
const MAX_CLUSTER_WEIGHT: u64 = 404_000;

/// The part of the mempool that candidates touch, before and after them.
#[derive(Debug)]
pub(super) struct Graph {
    old: BTreeMap<Txid, Node>,
    new: BTreeMap<Txid, Node>,
}

impl Graph {
    /// Nothing that hangs together may be too large.
    pub(super) fn check_size(&self) -> Result<(), Reject> {
        let mut left: BTreeSet<Txid> = self.new.keys().copied().collect();
        while let Some(first) = left.pop_first() {
            let (mut count, mut weight) = (0, 0);
            let mut open = vec![first];
            while let Some(txid) = open.pop() {
                let Some(node) = self.new.get(&txid) else {
                    continue;
                };
                count += 1;
                weight += node.size;
                let near = |other: &Txid| {
                    node.parents.contains(other)
                        || self
                            .new
                            .get(other)
                            .is_some_and(|other| other.parents.contains(&txid))
                };
                let found: Vec<Txid> = left.iter().filter(|other| near(other)).copied().collect();
                for txid in found {
                    left.remove(&txid);
                    open.push(txid);
                }
            }
            let fits = count <= MAX_CLUSTER && weight <= MAX_CLUSTER_WEIGHT;
            ensure(fits, "too-large-cluster")?;
        }
        Ok(())
    }

    /// Whether miners are better off afterwards, at whatever size of a block.
    fn improves(&self) -> bool {
        let (old, new) = (self.old.clone(), self.new.clone());
        diagram::improves(&diagram::chunks(old), &diagram::chunks(new))
    }
}

impl Mempool {
    /// What candidates touch: the clusters of their parents and of what they replace.
    pub(super) fn graph_with(&self, candidates: &[Candidate]) -> Graph {
        let replaced: BTreeSet<Txid> = candidates
            .iter()
            .flat_map(|candidate| candidate.replaced.iter().copied())
            .collect();
        let parents = candidates
            .iter()
            .flat_map(|candidate| self.parents(&candidate.tx));
        let touched = self.cluster(parents.chain(replaced.iter().copied()));
        let waiting = touched.iter().filter_map(|txid| self.waiting.get(txid));
        let old: BTreeMap<Txid, Node> = waiting
            .map(|waiting| {
                let node = Node {
                    fee: waiting.fee,
                    size: waiting.weight,
                    parents: self.parents(&waiting.tx),
                };
                (waiting.txid, node)
            })
            .collect();
        let mut new = old.clone();
        new.retain(|txid, _| !replaced.contains(txid));
        for candidate in candidates {
            let inputs = candidate.tx.input.iter();
            let node = Node {
                fee: candidate.fee,
                size: candidate.weight,
                parents: inputs.map(|input| input.previous_output.txid).collect(),
            };
            new.insert(candidate.txid, node);
        }
        Graph { old, new }
    }

    /// Whether one transaction may replace others.
    pub(super) fn check_replacement(
        &self,
        candidate: &Candidate,
        graph: &Graph,
    ) -> Result<(), Reject> {
        let suffix = match candidate.evicts_sibling {
            true => " (including sibling eviction)",
            false => "",
        };
        let about = |reason: &str, details| Reject::with(format!("{reason}{suffix}"), details);
        self.check_clusters(&candidate.conflicts, candidate.txid)
            .map_err(|details| about("too many potential replacements", details))?;
        let lost = self.fees_of(&candidate.replaced);
        pays_for(lost, candidate.fee, candidate.vsize, candidate.txid)
            .map_err(|details| about("insufficient fee", details))?;
        graph.check_size()?;
        match graph.improves() {
            true => Ok(()),
            false => Err(Reject::with("replacement-failed", NO_BETTER)),
        }
    }

    /// Whether a package may replace others.
    pub(super) fn check_package_replacement(
        &self,
        package: &[Candidate],
        graph: &Graph,
    ) -> Result<(), String> {
        let failed = |why: &str| Err(format!("package RBF failed: {why}"));
        let [parent, child] = package else {
            return failed("package must be 1-parent-1-child");
        };
        if !self.parents(&parent.tx).is_empty() || !self.parents(&child.tx).is_empty() {
            return failed("new transaction cannot have mempool ancestors");
        }
        let conflicts: BTreeSet<Txid> = parent.conflicts.union(&child.conflicts).copied().collect();
        if let Err(details) = self.check_clusters(&conflicts, child.txid) {
            return failed(&format!("too many potential replacements, {details}"));
        }
        let replaced = parent.replaced.union(&child.replaced).copied().collect();
        let (fee, vsize) = (parent.fee + child.fee, parent.vsize + child.vsize);
        if let Err(details) = pays_for(self.fees_of(&replaced), fee, vsize, child.txid) {
            return failed(&format!("insufficient anti-DoS fees, {details}"));
        }
        if u128::from(fee) * u128::from(parent.vsize) <= u128::from(parent.fee) * u128::from(vsize)
        {
            let (package, parent) = (rate(fee, vsize), rate(parent.fee, parent.vsize));
            return failed(&format!(
                "package feerate is less than or equal to parent feerate, package feerate {package} <= parent \
                 feerate is {parent}"
            ));
        }
        if graph.check_size().is_err() {
            return Err("too-large-cluster".to_owned());
        }
        match graph.improves() {
            true => Ok(()),
            false => failed(NO_BETTER),
        }
    }

    fn fees_of(&self, txids: &BTreeSet<Txid>) -> u64 {
        let waiting = txids.iter().filter_map(|txid| self.waiting.get(txid));
        waiting.map(|waiting| waiting.fee).sum()
    }

    fn check_clusters(&self, conflicts: &BTreeSet<Txid>, txid: Txid) -> Result<(), String> {
        let mut clusters = BTreeSet::new();
        for conflict in conflicts {
            clusters.insert(self.cluster([*conflict].into_iter()));
        }
        match clusters.len() > MAX_CONFLICTING_CLUSTERS {
            true => Err(format!(
                "rejecting replacement {txid}; too many conflicting clusters ({} > {MAX_CONFLICTING_CLUSTERS})",
                clusters.len()
            )),
            false => Ok(()),
        }
    }
}

const NO_BETTER: &str = "insufficient feerate: does not improve feerate diagram";

/// Whether a fee makes up for the fees that are lost, and pays for so many virtual bytes besides.
fn pays_for(lost: u64, fee: u64, vsize: u64, txid: Txid) -> Result<(), String> {
    let Some(more) = fee.checked_sub(lost) else {
        let (fee, lost) = (money(fee), money(lost));
        return Err(format!(
            "rejecting replacement {txid}, less fees than conflicting txs; {fee} < {lost}"
        ));
    };
    let least = fee_at(MIN_RELAY_RATE, vsize);
    match more < least {
        true => {
            let (more, least) = (money(more), money(least));
            Err(format!(
                "rejecting replacement {txid}, not enough additional fees to relay; {more} < {least}"
            ))
        }
        false => Ok(()),
    }
}

/// A rate as Bitcoin Core writes it.
fn rate(fee: u64, vsize: u64) -> String {
    let rate = (fee * 1000).checked_div(vsize).unwrap_or(0);
    format!("{}.{:08} BTC/kvB", rate / 100_000_000, rate % 100_000_000)
}
