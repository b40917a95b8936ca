//! Making blocks.

use std::collections::{BTreeSet, HashMap};

use bitcoin::block::{Header, Version};
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{
    Amount, Block, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode,
    TxOut, Txid, Witness, absolute, transaction,
};

use super::block::{BITS, check_work, commitment_script, merkle_root, witness_root};
use super::chain::subsidy;
use super::node::State;
use super::rules::{MAX_MONEY, MAX_WEIGHT};

/// What header and coinbase may weigh.
const RESERVED: u64 = 8_000;
/// Into how many coins a block's reward is divided for the faucet: payments from different coins do not hang together,
/// and only so many that do may wait.
const FAUCET_PARTS: u64 = 10;
/// What signature operations of the coinbase may cost.
const MAX_SIGOPS: usize = 80_000 - 400;

/// Makes a block on the tip that pays to `script`, with these transactions, or else with what is in the mempool.
pub(super) fn block(
    state: &State,
    script: ScriptBuf,
    exactly: Option<Vec<Transaction>>,
    now: u32,
) -> Block {
    let height = state.chain.height() + 1;
    let txdata = exactly.unwrap_or_else(|| select(state));
    let value = subsidy(height) + fees(state, &txdata);
    let parts = match script == state.faucet.script() {
        true => FAUCET_PARTS,
        false => 1,
    };
    let mut all = vec![coinbase(height, state.mined, &script, value, parts)];
    all.extend(txdata);
    let commitment = commitment_script(&witness_root(&all));
    if let Some(coinbase) = all.first_mut() {
        coinbase.output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: commitment,
        });
    }
    let leaves = all
        .iter()
        .map(|tx| tx.compute_txid().to_raw_hash())
        .collect();
    let tip = state.chain.tip();
    let mut header = Header {
        version: Version::from_consensus(0x2000_0000),
        prev_blockhash: tip,
        merkle_root: TxMerkleNode::from_raw_hash(merkle_root(leaves).0),
        time: now.max(state.chain.median_time(&tip).saturating_add(1)),
        bits: CompactTarget::from_consensus(BITS),
        nonce: 0,
    };
    // Every second hash will do.
    while check_work(&header).is_err() {
        header.nonce = header.nonce.wrapping_add(1);
    }
    Block {
        header,
        txdata: all,
    }
}

fn coinbase(height: u32, mined: u64, script: &ScriptBuf, value: Amount, parts: u64) -> Transaction {
    let extra: PushBytesBuf = mined.to_le_bytes().into();
    let script_sig = Builder::new()
        .push_int(i64::from(height))
        .push_slice(extra)
        .into_script();
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig,
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[[0u8; 32]]),
        }],
        output: (0..parts)
            .map(|part| TxOut {
                // The first has what does not divide.
                value: value / parts
                    + if part == 0 {
                        value % parts
                    } else {
                        Amount::ZERO
                    },
                script_pubkey: script.clone(),
            })
            .collect(),
    }
}

/// What these transactions pay, as far as their inputs are known: a block with others is invalid anyway.
fn fees(state: &State, txdata: &[Transaction]) -> Amount {
    let mut made: HashMap<OutPoint, u64> = HashMap::new();
    let mut fees = 0u64;
    for tx in txdata {
        let txid = tx.compute_txid();
        let spent = tx.input.iter().map(|input| {
            let outpoint = &input.previous_output;
            let confirmed = state
                .chain
                .coins
                .get(outpoint)
                .map(|coin| coin.output.value.to_sat());
            confirmed
                .or_else(|| made.get(outpoint).copied())
                .unwrap_or(0)
        });
        let spent: u64 = spent.fold(0, u64::saturating_add);
        let paid = tx.output.iter().fold(0u64, |sum, output| {
            sum.saturating_add(output.value.to_sat())
        });
        fees = fees.saturating_add(spent.saturating_sub(paid));
        made.extend(
            (0..)
                .zip(&tx.output)
                .map(|(vout, output)| (OutPoint::new(txid, vout), output.value.to_sat())),
        );
    }
    Amount::from_sat(fees.min(MAX_MONEY))
}

/// Chooses from the mempool what pays most, parents before children.
fn select(state: &State) -> Vec<Transaction> {
    let mempool = &state.mempool;
    let mut by_rate: Vec<_> = mempool.waiting.values().collect();
    by_rate.sort_by(|left, right| {
        let rates = (
            u128::from(left.fee) * u128::from(right.vsize),
            u128::from(right.fee) * u128::from(left.vsize),
        );
        rates
            .1
            .cmp(&rates.0)
            .then(left.sequence.cmp(&right.sequence))
    });
    let (mut weight, mut sigops) = (RESERVED, 0);
    let mut taken: BTreeSet<Txid> = BTreeSet::new();
    let mut txdata = Vec::new();
    for waiting in by_rate {
        let needed: Vec<_> = mempool
            .with_ancestors([waiting.txid].into_iter())
            .into_iter()
            .filter(|txid| !taken.contains(txid))
            .filter_map(|txid| mempool.waiting.get(&txid))
            .collect();
        let more: u64 = needed.iter().map(|tx| tx.tx.weight().to_wu()).sum();
        // Virtual size counts signature operations: no more than a block's share.
        let more_sigops: usize = needed
            .iter()
            .map(|tx| (tx.vsize as usize * 4).div_ceil(20))
            .sum();
        if weight + more > MAX_WEIGHT || sigops + more_sigops > MAX_SIGOPS.max(sigops) * 4 {
            continue;
        }
        weight += more;
        sigops += more_sigops;
        let mut needed = needed;
        // Whoever has fewer ancestors comes first.
        needed.sort_by_key(|tx| {
            (
                mempool.with_ancestors([tx.txid].into_iter()).len(),
                tx.sequence,
            )
        });
        for tx in needed {
            taken.insert(tx.txid);
            txdata.push(tx.tx.clone());
        }
    }
    txdata
}
