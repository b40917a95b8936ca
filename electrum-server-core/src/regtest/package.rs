//! Packages: transactions that are looked at together, so that a child can pay for its parents.

use std::collections::{BTreeMap, HashSet};

use bitcoin::{Transaction, Txid, Wtxid};
use serde_json::{Value, json};

use super::admission::{check_fee, check_scripts};
use super::json::{btc, object};
use super::mempool::{Candidate, Terms};
use super::node::State;
use super::reject::{Reject, ensure};

const MAX_COUNT: usize = 25;
const MAX_WEIGHT: u64 = 404_000;

/// What became of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageVerdict {
    /// `success`, or why not.
    pub message: String,
    /// What became of each transaction, in the order in which they came.
    pub transactions: Vec<PackageResult>,
    /// What has left the mempool for them.
    pub replaced: Vec<Txid>,
}

/// What became of one transaction of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageResult {
    /// Which one.
    pub txid: Txid,
    /// The same with witnesses.
    pub wtxid: Wtxid,
    /// Its size in virtual bytes and its fee in satoshis, or why it is not in the mempool.
    pub outcome: Result<(u64, u64), Reject>,
}

impl PackageVerdict {
    /// Returns what Bitcoin Core's `submitpackage` would answer.
    pub(super) fn to_json(&self) -> Value {
        let mut results = serde_json::Map::new();
        for tx in &self.transactions {
            let mut result = object(json!({"txid": tx.txid}));
            match &tx.outcome {
                Ok((vsize, fee)) => {
                    result.insert("vsize".to_owned(), json!(vsize));
                    result.insert("fees".to_owned(), json!({"base": btc(*fee)}));
                }
                Err(reject) => drop(result.insert("error".to_owned(), json!(reject.to_string()))),
            }
            results.insert(tx.wtxid.to_string(), Value::Object(result));
        }
        json!({
            "package_msg": self.message,
            "tx-results": results,
            "replaced-transactions": self.replaced,
        })
    }
}

/// What holds of packages by themselves.
fn check_form(txs: &[Transaction]) -> Result<(), Reject> {
    ensure(txs.len() <= MAX_COUNT, "package-too-many-transactions")?;
    let weight: u64 = txs.iter().map(|tx| tx.weight().to_wu()).sum();
    ensure(txs.len() <= 1 || weight <= MAX_WEIGHT, "package-too-large")?;
    let txids: Vec<Txid> = txs.iter().map(Transaction::compute_txid).collect();
    let mut later: HashSet<Txid> = txids.iter().copied().collect();
    ensure(later.len() == txids.len(), "package-contains-duplicates")?;
    for (tx, txid) in txs.iter().zip(&txids) {
        let mut parents = tx.input.iter().map(|input| input.previous_output.txid);
        ensure(
            !parents.any(|parent| later.contains(&parent)),
            "package-not-sorted",
        )?;
        later.remove(txid);
    }
    let mut spent = HashSet::new();
    for tx in txs {
        let fresh = tx
            .input
            .iter()
            .all(|input| !spent.contains(&input.previous_output));
        ensure(fresh, "conflict-in-package")?;
        spent.extend(tx.input.iter().map(|input| input.previous_output));
    }
    match txs.len() <= 1 || is_family(txs) {
        true => Ok(()),
        false => Reject::err("package-not-child-with-parents"),
    }
}

/// Whether all transactions but the last are parents of the last.
fn is_family(txs: &[Transaction]) -> bool {
    let Some((child, parents)) = txs.split_last() else {
        return true;
    };
    parents.iter().all(|parent| spends(child, parent))
}

/// Whether a package is one transaction, or a child with parents none of which is a child of another.
pub(super) fn is_tree(txs: &[Transaction]) -> bool {
    let Some((_, parents)) = txs.split_last() else {
        return true;
    };
    let alone = |parent| !parents.iter().any(|other| spends(parent, other));
    txs.len() <= 1 || (is_family(txs) && parents.iter().all(alone))
}

fn spends(child: &Transaction, parent: &Transaction) -> bool {
    let txid = parent.compute_txid();
    let mut inputs = child.input.iter();
    inputs.any(|input| input.previous_output.txid == txid)
}

/// What is wrong with a package, and which of its transactions is to blame and why.
type Complaint = (String, Option<(Txid, Reject)>);

/// Whether a transaction that was refused so may be taken with others.
fn may_be_helped(reject: &Reject) -> bool {
    const REASONS: [&str; 6] = [
        "min relay fee not met",
        "mempool min fee not met",
        "insufficient fee",
        "replacement-failed",
        "mempool full",
        "bad-txns-inputs-missingorspent",
    ];
    REASONS
        .iter()
        .any(|reason| reject.reason.starts_with(reason))
}

impl State {
    /// Takes a package: each transaction by itself where it can stand so, the rest together.
    ///
    /// # Errors
    ///
    /// It is none: the transactions have not been looked at.
    pub(super) fn accept_package(
        &mut self,
        txs: &[Transaction],
        now: u32,
    ) -> Result<PackageVerdict, Reject> {
        check_form(txs)?;
        let before: HashSet<Txid> = self.mempool.waiting.keys().copied().collect();
        let mut refused: BTreeMap<Txid, Reject> = BTreeMap::new();
        let mut left = Vec::new();
        let mut spoiled = false;
        for tx in txs {
            let txid = tx.compute_txid();
            if self.mempool.waiting.contains_key(&txid) {
                continue;
            }
            if let Err(reject) = self.accept(tx, Terms::Alone, now) {
                spoiled |= !may_be_helped(&reject);
                refused.insert(txid, reject);
                left.push(tx);
            }
        }
        let mut message = "success".to_owned();
        if !left.is_empty() {
            message = "transaction failed".to_owned();
            if !spoiled && left.len() > 1 {
                match self.accept_together(&left, now) {
                    Ok(()) => {
                        message = "success".to_owned();
                        refused.clear();
                    }
                    Err((package, single)) => {
                        message = package;
                        refused.extend(single);
                    }
                }
            }
        }
        let result = |tx: &Transaction| {
            let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
            let there = self.mempool.waiting.get(&txid);
            let outcome = match (there, refused.get(&txid)) {
                (Some(waiting), _) => Ok((waiting.vsize, waiting.fee)),
                (None, Some(reject)) => Err(reject.clone()),
                (None, None) => Err(Reject::new("mempool full")),
            };
            PackageResult {
                txid,
                wtxid,
                outcome,
            }
        };
        let transactions = txs.iter().map(result).collect();
        let gone = before
            .into_iter()
            .filter(|txid| !self.mempool.waiting.contains_key(txid));
        let mut replaced: Vec<Txid> = gone.collect();
        replaced.sort_unstable();
        Ok(PackageVerdict {
            message,
            transactions,
            replaced,
        })
    }

    /// Takes transactions of which some cannot pay for themselves; all or none.
    fn accept_together(&mut self, txs: &[&Transaction], now: u32) -> Result<(), Complaint> {
        let before = self.mempool.clone();
        let verdict = self.try_together(txs, now);
        if verdict.is_err() {
            self.mempool = before;
        }
        verdict
    }

    fn try_together(&mut self, txs: &[&Transaction], now: u32) -> Result<(), Complaint> {
        let failed = |txid, reject| ("transaction failed".to_owned(), Some((txid, reject)));
        let mempool = &self.mempool;
        let mut package: Vec<Candidate> = Vec::new();
        for tx in txs {
            let candidate = mempool.precheck(&self.chain, tx, Terms::Sponsored, &package);
            package.push(candidate.map_err(|reject| failed(tx.compute_txid(), reject))?);
        }
        let Some(last) = package.last().map(|candidate| candidate.txid) else {
            return Ok(());
        };
        mempool
            .check_truc_package(&package)
            .map_err(|reject| (reject.to_string(), None))?;
        let (fee, vsize) = package.iter().fold((0, 0), |(fee, vsize), candidate| {
            (fee + candidate.fee, vsize + candidate.vsize)
        });
        check_fee(mempool.floor, fee, vsize).map_err(|reject| failed(last, reject))?;
        let graph = mempool.graph_with(&package);
        let replaces = package
            .iter()
            .any(|candidate| !candidate.conflicts.is_empty());
        if replaces {
            mempool
                .check_package_replacement(&package, &graph)
                .map_err(|why| (why, None))?;
        }
        graph
            .check_size()
            .map_err(|reject| (reject.to_string(), None))?;
        mempool
            .check_dust(&package)
            .map_err(|single| ("unspent-dust".to_owned(), Some(single)))?;
        for candidate in &package {
            check_scripts(candidate).map_err(|reject| failed(candidate.txid, reject))?;
        }
        for candidate in package {
            self.mempool.add(candidate, now, self.chain.height());
        }
        self.mempool.trim();
        match self.mempool.waiting.contains_key(&last) {
            true => Ok(()),
            false => Err(failed(last, Reject::new("mempool full"))),
        }
    }
}
