//! What changed in the node's mempool, at one tip.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bitcoin::{BlockHash, OutPoint, Transaction, TxOut, Txid};

use super::{Delta, Entry, Mempool};
use crate::chain::{ChainSource, SourceError};

/// How many transactions are asked for between two looks at whether to go on.
pub(super) const CHUNK: usize = 5_000;

/// What came of looking at the node's mempool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// What leads from our mempool to the node's, both at the same tip.
    Delta(Delta),
    /// The node has another tip: blocks come first.
    Moved,
    /// Somebody wants us to stop.
    Interrupted,
}

/// Asks the node how its mempool at the block `tip` differs from ours.
///
/// The node's tip is compared before and after, so that the mempool belongs to the block. The output that an input
/// spends is looked for in the mempool, then among the node's confirmed unspent outputs. A transaction for which one is
/// not found has left the mempool meanwhile; it is left out, as are those that spend from it. If it has not left, the
/// next call finds it.
///
/// # Errors
///
/// Those of the source.
pub fn fetch(
    source: &dyn ChainSource,
    known: &Mempool,
    tip: BlockHash,
    stop: &dyn Fn() -> bool,
) -> Result<Fetched, SourceError> {
    if source.tip()?.hash != tip {
        return Ok(Fetched::Moved);
    }
    let listed: HashSet<Txid> = source.mempool_txids()?.into_iter().collect();
    let removed: Vec<Txid> = known
        .entries()
        .map(|entry| entry.txid)
        .filter(|txid| !listed.contains(txid))
        .collect();
    let unknown: Vec<Txid> = listed
        .iter()
        .copied()
        .filter(|txid| known.get(txid).is_none())
        .collect();

    let mut new = HashMap::with_capacity(unknown.len());
    for chunk in unknown.chunks(CHUNK) {
        if stop() {
            return Ok(Fetched::Interrupted);
        }
        let transactions = source.mempool_transactions(chunk)?;
        let found = chunk.iter().zip(transactions);
        new.extend(found.filter_map(|(txid, tx)| Some((*txid, tx?))));
    }

    let staying = |txid: &Txid| known.get(txid).filter(|_| listed.contains(txid));
    let confirmed = |outpoint: &OutPoint| {
        !new.contains_key(&outpoint.txid) && staying(&outpoint.txid).is_none()
    };
    let asked: Vec<OutPoint> = new
        .values()
        .flat_map(|tx: &Transaction| &tx.input)
        .map(|input| input.previous_output)
        .filter(confirmed)
        .collect();
    let mut outputs = HashMap::with_capacity(asked.len());
    for chunk in asked.chunks(CHUNK) {
        if stop() {
            return Ok(Fetched::Interrupted);
        }
        let found = chunk.iter().zip(source.unspent_outputs(chunk)?);
        outputs.extend(found.filter_map(|(outpoint, output)| Some((*outpoint, output?))));
    }

    if source.tip()?.hash != tip {
        return Ok(Fetched::Moved);
    }
    let left_out = new.len();
    let added = resolve(new, staying, &outputs);
    let left_out = left_out - added.len();
    if left_out > 0 {
        tracing::debug!(
            left_out,
            "transactions that left the mempool while we looked at it"
        );
    }
    Ok(Fetched::Delta(Delta {
        added,
        removed,
        parents: None,
    }))
}

/// Makes entries of new transactions, parents before children; leaves out those that spend what is not there.
pub(super) fn resolve<'a>(
    mut new: HashMap<Txid, Transaction>,
    staying: impl Fn(&Txid) -> Option<&'a Arc<Entry>>,
    outputs: &HashMap<OutPoint, TxOut>,
) -> Vec<Entry> {
    // How many new parents of each have no entry yet, and who waits for whom.
    let mut waiting: HashMap<Txid, usize> = HashMap::new();
    let mut children: HashMap<Txid, Vec<Txid>> = HashMap::new();
    let mut ready = Vec::new();
    for (txid, tx) in &new {
        let parents: HashSet<Txid> = tx
            .input
            .iter()
            .map(|input| input.previous_output.txid)
            .collect();
        let parents: Vec<Txid> = parents
            .into_iter()
            .filter(|parent| new.contains_key(parent))
            .collect();
        if parents.is_empty() {
            ready.push(*txid);
        } else {
            waiting.insert(*txid, parents.len());
        }
        for parent in parents {
            children.entry(parent).or_default().push(*txid);
        }
    }

    let mut added: Vec<Entry> = Vec::with_capacity(new.len());
    let mut places: HashMap<Txid, usize> = HashMap::with_capacity(new.len());
    while let Some(txid) = ready.pop() {
        let Some(tx) = new.remove(&txid) else {
            continue;
        };
        let output = |outpoint: &OutPoint| -> Option<TxOut> {
            let place = places.get(&outpoint.txid);
            let parent = match place.and_then(|place| added.get(*place)) {
                Some(entry) => &entry.tx,
                None => match outputs.get(outpoint) {
                    Some(output) => return Some(output.clone()),
                    None => &staying(&outpoint.txid)?.tx,
                },
            };
            parent
                .output
                .get(usize::try_from(outpoint.vout).ok()?)
                .cloned()
        };
        let spent: Option<Vec<TxOut>> = tx
            .input
            .iter()
            .map(|input| output(&input.previous_output))
            .collect();
        let Some(spent) = spent else { continue };
        let entry = match Entry::new(tx, &spent) {
            Ok(entry) => entry,
            Err(error) => {
                tracing::warn!(
                    "a transaction of the node's mempool makes no sense, and is left out"
                );
                tracing::debug!(%error, "the node's mempool makes no sense");
                continue;
            }
        };
        for child in children.remove(&txid).unwrap_or_default() {
            if let Some(missing) = waiting.get_mut(&child) {
                *missing -= 1;
                if *missing == 0 {
                    ready.push(child);
                }
            }
        }
        places.insert(txid, added.len());
        added.push(entry);
    }
    added
}
