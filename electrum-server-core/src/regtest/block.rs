//! Rules of consensus about blocks, as far as they need no coins.

use bitcoin::block::Header;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Block, CompactTarget, Target, Transaction, WitnessMerkleNode};

use super::reject::{Reject, ensure};
use super::rules::{self, MAX_WEIGHT};

/// The difficulty of every block on regtest.
pub(super) const BITS: u32 = 0x207f_ffff;
/// How far in the future the time of a block may be, in seconds.
const MAX_FUTURE: u32 = 2 * 60 * 60;
/// The largest sum of signature operations in a block.
const MAX_SIGOPS_COST: usize = 80_000;
/// What the script of a witness commitment begins with.
const COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// What holds of a header by itself.
pub(super) fn check_work(header: &Header) -> Result<(), Reject> {
    let target = Target::from_compact(header.bits);
    let good = target <= Target::from_compact(CompactTarget::from_consensus(BITS))
        && target != Target::ZERO
        && target.is_met_by(header.block_hash());
    match good {
        true => Ok(()),
        false => Err(Reject::with("high-hash", "proof of work failed")),
    }
}

/// What holds of a header on top of a chain whose median time is `mtp`, for a node whose clock shows `now`.
pub(super) fn check_header(header: &Header, mtp: u32, now: u32) -> Result<(), Reject> {
    if header.bits.to_consensus() != BITS {
        return Err(Reject::with("bad-diffbits", "incorrect proof of work"));
    }
    if header.time <= mtp {
        return Err(Reject::with(
            "time-too-old",
            "block's timestamp is too early",
        ));
    }
    // From the first block on versions 2, 3 and 4 are required, one after the other, by rules that regtest has
    // always had; the lowest that is enough is 4.
    let version = header.version.to_consensus();
    if version < 4 {
        return Err(Reject::with(
            format!("bad-version(0x{version:08x})"),
            format!("rejected nVersion=0x{version:08x} block"),
        ));
    }
    if header.time > now.saturating_add(MAX_FUTURE) {
        return Err(Reject::with(
            "time-too-new",
            "block timestamp too far in the future",
        ));
    }
    Ok(())
}

/// What holds of a block by itself.
pub(super) fn check_block(block: &Block) -> Result<(), Reject> {
    check_work(&block.header)?;
    let leaves: Vec<sha256d::Hash> = block
        .txdata
        .iter()
        .map(|tx| tx.compute_txid().to_raw_hash())
        .collect();
    let (root, mutated) = merkle_root(leaves);
    if root.to_byte_array() != block.header.merkle_root.to_byte_array() {
        return Err(Reject::with("bad-txnmrklroot", "hashMerkleRoot mismatch"));
    }
    if mutated {
        return Err(Reject::with("bad-txns-duplicate", "duplicate transaction"));
    }
    let stripped: u64 = 80
        + bitcoin::VarInt::from(block.txdata.len()).size() as u64
        + block
            .txdata
            .iter()
            .map(|tx| tx.base_size() as u64)
            .sum::<u64>();
    let fits = !block.txdata.is_empty() && stripped * 4 <= MAX_WEIGHT;
    if !fits {
        return Err(Reject::with("bad-blk-length", "size limits failed"));
    }
    let mut transactions = block.txdata.iter();
    if !transactions.next().is_some_and(Transaction::is_coinbase) {
        return Err(Reject::with("bad-cb-missing", "first tx is not coinbase"));
    }
    if transactions.any(Transaction::is_coinbase) {
        return Err(Reject::with("bad-cb-multiple", "more than one coinbase"));
    }
    for tx in &block.txdata {
        rules::check_transaction(tx).map_err(|reject| {
            let txid = tx.compute_txid();
            let details = format!(
                "Transaction check failed (tx hash {txid}) {}",
                reject.details
            );
            Reject::with(reject.reason, details)
        })?;
    }
    let sigops: usize = block.txdata.iter().map(legacy_sigops).sum();
    match sigops * 4 > MAX_SIGOPS_COST {
        true => Err(Reject::with("bad-blk-sigops", "out-of-bounds SigOpCount")),
        false => Ok(()),
    }
}

/// Signature operations that can be seen without looking at what is spent, inaccurately counted.
fn legacy_sigops(tx: &Transaction) -> usize {
    let inputs = tx
        .input
        .iter()
        .map(|input| input.script_sig.count_sigops_legacy());
    let outputs = tx
        .output
        .iter()
        .map(|output| output.script_pubkey.count_sigops_legacy());
    inputs.chain(outputs).sum()
}

/// What holds of a block at `height`, on top of a chain whose median time is `mtp`.
pub(super) fn check_contextually(block: &Block, height: u32, mtp: u32) -> Result<(), Reject> {
    for tx in &block.txdata {
        if !rules::is_final(tx, height, mtp) {
            return Err(Reject::with("bad-txns-nonfinal", "non-final transaction"));
        }
    }
    let Some(coinbase) = block.txdata.first() else {
        return Reject::err("bad-cb-missing");
    };
    let script = coinbase.input.first().map(|input| &input.script_sig);
    let begin = height_push(height);
    if !script.is_some_and(|script| script.as_bytes().starts_with(&begin)) {
        return Err(Reject::with(
            "bad-cb-height",
            "block height mismatch in coinbase",
        ));
    }
    check_witnesses(block, coinbase)?;
    ensure(block.weight().to_wu() <= MAX_WEIGHT, "bad-blk-weight")
        .map_err(|_| Reject::with("bad-blk-weight", "weight limit failed"))
}

/// The height as a coinbase has to push it (BIP 34).
pub(super) fn height_push(height: u32) -> Vec<u8> {
    bitcoin::script::Builder::new()
        .push_int(i64::from(height))
        .into_script()
        .into_bytes()
}

fn check_witnesses(block: &Block, coinbase: &Transaction) -> Result<(), Reject> {
    let commitment = coinbase.output.iter().rev().find_map(|output| {
        let script = output.script_pubkey.as_bytes();
        script
            .strip_prefix(&COMMITMENT)
            .and_then(<[u8]>::first_chunk::<32>)
    });
    let Some(commitment) = commitment else {
        let has_witness = |tx: &Transaction| tx.input.iter().any(|input| !input.witness.is_empty());
        if block.txdata.iter().any(has_witness) {
            return Err(Reject::with(
                "unexpected-witness",
                "unexpected witness data found",
            ));
        }
        return Ok(());
    };
    let witness = coinbase.input.first().map(|input| &input.witness);
    let reserved = witness
        .filter(|witness| witness.len() == 1)
        .and_then(|witness| witness.nth(0))
        .and_then(|item| <[u8; 32]>::try_from(item).ok());
    let Some(reserved) = reserved else {
        return Err(Reject::with(
            "bad-witness-nonce-size",
            "invalid witness reserved value size",
        ));
    };
    let root = witness_root(&block.txdata);
    match Block::compute_witness_commitment(&root, &reserved).to_byte_array() == *commitment {
        true => Ok(()),
        false => Err(Reject::with(
            "bad-witness-merkle-match",
            "witness merkle commitment mismatch",
        )),
    }
}

/// The root over the witnesses of a block's transactions; that of the coinbase counts as zero.
pub(super) fn witness_root(txdata: &[Transaction]) -> WitnessMerkleNode {
    let rest = txdata.iter().skip(1);
    let leaves = std::iter::once(sha256d::Hash::all_zeros())
        .chain(rest.map(|tx| tx.compute_wtxid().to_raw_hash()))
        .collect();
    WitnessMerkleNode::from_raw_hash(merkle_root(leaves).0)
}

/// The script that commits to the witnesses of a block.
pub(super) fn commitment_script(root: &WitnessMerkleNode) -> bitcoin::ScriptBuf {
    let commitment = Block::compute_witness_commitment(root, &[0; 32]).to_byte_array();
    [COMMITMENT.as_slice(), &commitment].concat().into()
}

/// The root over `level`, and whether some pair on the way has two equal halves: then another list has the same root.
pub(super) fn merkle_root(mut level: Vec<sha256d::Hash>) -> (sha256d::Hash, bool) {
    let mut mutated = false;
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| {
                let (left, right) = match pair {
                    [left, right] => {
                        mutated |= left == right;
                        (left, right)
                    }
                    [single] => (single, single),
                    // A chunk has one or two.
                    _ => return sha256d::Hash::all_zeros(),
                };
                let both = [left.to_byte_array(), right.to_byte_array()].concat();
                sha256d::Hash::hash(&both)
            })
            .collect();
    }
    let root = level.first().copied();
    (root.unwrap_or_else(sha256d::Hash::all_zeros), mutated)
}
