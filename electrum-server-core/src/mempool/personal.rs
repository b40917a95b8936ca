//! What changed in the part of the node's mempool that touches scripts of ours.

use std::collections::{HashMap, HashSet};

use bitcoin::consensus::serialize;
use bitcoin::{BlockHash, OutPoint, Transaction, TxOut, Txid};
use electrum_protocol::ScriptHash;

use super::fetch::{CHUNK, Fetched, resolve};
use super::{Delta, Mempool};
use crate::chain::{ChainSource, SourceError};

/// What is ours.
pub(crate) struct Ours<'a> {
    /// Whether a script is watched.
    pub(crate) script: &'a dyn Fn(&ScriptHash) -> bool,
    /// Whether a confirmed output, in the network encoding, pays to one.
    pub(crate) coin: &'a dyn Fn(&[u8; 36]) -> bool,
}

impl Ours<'_> {
    fn pays(&self, output: &TxOut) -> bool {
        let script = &output.script_pubkey;
        !script.is_op_return() && (self.script)(&ScriptHash::from_script(script))
    }
}

/// Asks the node how the part of its mempool that touches scripts of ours differs from what we know.
///
/// `foreign` are transactions that were looked at before and do not; they are remembered there.
///
/// # Errors
///
/// Those of the source.
pub(crate) fn fetch_ours(
    source: &dyn ChainSource,
    known: &Mempool,
    foreign: &mut HashSet<Txid>,
    ours: &Ours<'_>,
    tip: BlockHash,
    stop: &dyn Fn() -> bool,
) -> Result<Fetched, SourceError> {
    if source.tip()?.hash != tip {
        return Ok(Fetched::Moved);
    }
    let listed: HashSet<Txid> = source.mempool_txids()?.into_iter().collect();
    foreign.retain(|txid| listed.contains(txid));
    let removed: Vec<Txid> = known
        .entries()
        .map(|entry| entry.txid)
        .filter(|txid| !listed.contains(txid))
        .collect();
    let unknown: Vec<Txid> = listed
        .iter()
        .copied()
        .filter(|txid| known.get(txid).is_none() && !foreign.contains(txid))
        .collect();

    let staying = |txid: &Txid| known.get(txid).filter(|_| listed.contains(txid));
    let mut new: HashMap<Txid, Transaction> = HashMap::new();
    let mut others: HashMap<Txid, Transaction> = HashMap::new();
    for chunk in unknown.chunks(CHUNK) {
        if stop() {
            return Ok(Fetched::Interrupted);
        }
        for (txid, tx) in chunk.iter().zip(source.mempool_transactions(chunk)?) {
            let Some(tx) = tx else { continue };
            let spends = |outpoint: &OutPoint| {
                let pays = |tx: &Transaction| {
                    let output = usize::try_from(outpoint.vout)
                        .ok()
                        .and_then(|vout| tx.output.get(vout));
                    output.is_some_and(|output| ours.pays(output))
                };
                staying(&outpoint.txid).is_some_and(|parent| pays(&parent.tx))
                    || encode(outpoint).is_some_and(|outpoint| (ours.coin)(&outpoint))
            };
            let is_ours = tx.output.iter().any(|output| ours.pays(output))
                || tx.input.iter().any(|input| spends(&input.previous_output));
            match is_ours {
                true => new.insert(*txid, tx),
                false => others.insert(*txid, tx),
            };
        }
    }
    // Those that spend what the new ones pay to us.
    loop {
        let spends = |tx: &Transaction| {
            tx.input.iter().any(|input| {
                let OutPoint { txid, vout } = input.previous_output;
                let output = new
                    .get(&txid)
                    .and_then(|parent| parent.output.get(vout as usize));
                output.is_some_and(|output| ours.pays(output))
            })
        };
        let more: Vec<Txid> = others
            .iter()
            .filter(|(_, tx)| spends(tx))
            .map(|(txid, _)| *txid)
            .collect();
        if more.is_empty() {
            break;
        }
        for txid in more {
            if let Some(tx) = others.remove(&txid) {
                new.insert(txid, tx);
            }
        }
    }
    foreign.extend(others.keys());
    drop(others);

    let Some(outputs) = outputs(source, &new, &listed, &staying, stop)? else {
        return Ok(Fetched::Interrupted);
    };
    if source.tip()?.hash != tip {
        return Ok(Fetched::Moved);
    }
    let added = resolve(new, staying, &outputs);
    // Parents that are none of ours make a difference all the same: a transaction says whether it has any.
    let parents = |spent: &OutPoint| spent.txid;
    let still = known.entries().filter(|entry| listed.contains(&entry.txid));
    let parents = still
        .flat_map(|entry| entry.spent.iter().map(|(outpoint, ..)| parents(outpoint)))
        .chain(
            added
                .iter()
                .flat_map(|entry| entry.spent.iter().map(|(outpoint, ..)| parents(outpoint))),
        )
        .filter(|txid| listed.contains(txid))
        .collect();
    Ok(Fetched::Delta(Delta {
        added,
        removed,
        parents: Some(parents),
    }))
}

/// Returns the outputs that new transactions spend, but for those of each other and of those that we have.
fn outputs<'a>(
    source: &dyn ChainSource,
    new: &HashMap<Txid, Transaction>,
    listed: &HashSet<Txid>,
    staying: &impl Fn(&Txid) -> Option<&'a std::sync::Arc<super::Entry>>,
    stop: &dyn Fn() -> bool,
) -> Result<Option<HashMap<OutPoint, TxOut>>, SourceError> {
    let asked = new
        .values()
        .flat_map(|tx: &Transaction| &tx.input)
        .map(|input| input.previous_output)
        .filter(|outpoint| !new.contains_key(&outpoint.txid) && staying(&outpoint.txid).is_none());
    let (unconfirmed, confirmed): (Vec<OutPoint>, Vec<OutPoint>) =
        asked.partition(|outpoint| listed.contains(&outpoint.txid));
    let mut outputs = HashMap::new();
    for chunk in confirmed.chunks(CHUNK) {
        if stop() {
            return Ok(None);
        }
        let found = chunk.iter().zip(source.unspent_outputs(chunk)?);
        outputs.extend(found.filter_map(|(outpoint, output)| Some((*outpoint, output?))));
    }
    let mut parents: Vec<Txid> = unconfirmed.iter().map(|outpoint| outpoint.txid).collect();
    parents.sort_unstable();
    parents.dedup();
    for chunk in parents.chunks(CHUNK) {
        if stop() {
            return Ok(None);
        }
        for (txid, tx) in chunk.iter().zip(source.mempool_transactions(chunk)?) {
            let Some(tx) = tx else { continue };
            let of_parent = unconfirmed.iter().filter(|outpoint| outpoint.txid == *txid);
            outputs.extend(of_parent.filter_map(|outpoint| {
                let output = tx.output.get(usize::try_from(outpoint.vout).ok()?)?;
                Some((*outpoint, output.clone()))
            }));
        }
    }
    Ok(Some(outputs))
}

fn encode(outpoint: &OutPoint) -> Option<[u8; 36]> {
    serialize(outpoint).try_into().ok()
}
