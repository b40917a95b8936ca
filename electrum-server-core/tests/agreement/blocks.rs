//! Blocks made by hand, valid and with each rule broken.

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, Sequence, Target, Transaction, TxIn,
    TxMerkleNode, TxOut, Witness, absolute, transaction,
};
use electrum_server_core::regtest::{RegtestNode, RegtestOptions};
use serde_json::json;

use crate::common;
use crate::locks::Lock;
use crate::world::World;

/// A block in the making.
#[derive(Clone)]
pub(crate) struct Making {
    pub(crate) block: Block,
    pub(crate) height: u32,
}

fn subsidy(height: u32) -> u64 {
    5_000_000_000u64 >> (height / 150)
}

impl Making {
    pub(crate) fn on(
        world: &mut World,
        parent: BlockHash,
        txdata: &[Transaction],
        fees: u64,
    ) -> Self {
        let height = (0..=world.ours.height())
            .rev()
            .find(|height| world.ours.block_hash(*height) == Some(parent))
            .unwrap()
            + 1;
        Self::at(world, parent, height, txdata, fees)
    }

    pub(crate) fn at(
        world: &mut World,
        parent: BlockHash,
        height: u32,
        txdata: &[Transaction],
        fees: u64,
    ) -> Self {
        let extra = world.random.next().to_le_bytes();
        let coinbase = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: Builder::new()
                    .push_int(i64::from(height))
                    .push_slice(extra)
                    .into_script(),
                sequence: Sequence::MAX,
                witness: Witness::from_slice(&[[0u8; 32]]),
            }],
            output: vec![TxOut {
                value: Amount::from_sat(subsidy(height) + fees),
                script_pubkey: Lock::P2wshOpen.script(),
            }],
        };
        let mut txs = vec![coinbase];
        txs.extend_from_slice(txdata);
        let before = world.ours.get_block(&parent).unwrap().header.time;
        let header = Header {
            version: Version::from_consensus(0x2000_0000),
            prev_blockhash: parent,
            merkle_root: TxMerkleNode::all_zeros(),
            time: before + 600,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: 0,
        };
        let mut making = Self {
            block: Block {
                header,
                txdata: txs,
            },
            height,
        };
        making.commit();
        making
    }

    pub(crate) fn coinbase(&mut self) -> &mut Transaction {
        &mut self.block.txdata[0]
    }

    /// Commits to the witnesses, in place of an earlier commitment.
    pub(crate) fn commit(&mut self) {
        let is_commitment = |output: &TxOut| {
            output
                .script_pubkey
                .as_bytes()
                .starts_with(&[0x6a, 0x24, 0xaa])
        };
        self.coinbase()
            .output
            .retain(|output| !is_commitment(output));
        let root = self.block.witness_root().unwrap();
        let hash = Block::compute_witness_commitment(&root, &[0; 32]);
        let script = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], hash.as_ref()].concat();
        self.coinbase().output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: script.into(),
        });
    }

    /// Sets the root and finds a nonce.
    pub(crate) fn mined(mut self) -> Block {
        if let Some(root) = self.block.compute_merkle_root() {
            self.block.header.merkle_root = root;
        }
        self.with_work()
    }

    pub(crate) fn with_work(mut self) -> Block {
        let target = Target::from_compact(CompactTarget::from_consensus(0x207f_ffff));
        while !target.is_met_by(self.block.block_hash()) {
            self.block.header.nonce += 1;
        }
        self.block
    }

    pub(crate) fn with(&self, change: impl FnOnce(&mut Self)) -> Block {
        let mut other = self.clone();
        change(&mut other);
        other.mined()
    }
}

/// Everything in the mempool, parents first, and what it pays; or a part of it.
fn from_mempool(world: &mut World, all: bool) -> (Vec<Transaction>, u64) {
    let mut taken: Vec<Transaction> = Vec::new();
    let mut fees = 0;
    let mempool = world.ours.mempool();
    for txid in &mempool {
        let tx = world.ours.mempool_transaction(txid).unwrap();
        let parents_in = tx.input.iter().all(|input| {
            let parent = input.previous_output.txid;
            !mempool.contains(&parent) || taken.iter().any(|tx| tx.compute_txid() == parent)
        });
        if !parents_in || (!all && world.random.one_in(3)) {
            continue;
        }
        let entry = world.core.rpc("getmempoolentry", &[json!(txid)]);
        fees += (entry["fees"]["base"].as_f64().unwrap() * 1e8).round() as u64;
        taken.push(tx);
    }
    (taken, fees)
}

/// A block of a part of the mempool.
pub(crate) fn random(world: &mut World) {
    let (txs, fees) = from_mempool(world, false);
    let tip = world.ours.best_block().hash;
    let block = Making::on(world, tip, &txs, fees).mined();
    assert!(world.submit("a block by hand", &block));
}

/// A branch that wins, or not.
pub(crate) fn fork(world: &mut World) {
    let depth = 1 + world.random.below(3) as u32;
    let longer = world.random.one_in(2);
    let height = world.ours.height();
    let mut parent = world.ours.block_hash(height - depth).unwrap();
    let mut at = height - depth;
    for _ in 0..depth + u32::from(longer) {
        at += 1;
        // What was in the block that is replaced, sometimes.
        let keep = world.random.one_in(2);
        let replaced = world.ours.block_hash(at).filter(|_| keep);
        let replaced = replaced.and_then(|hash| world.ours.get_block(&hash));
        let txs: Vec<Transaction> = replaced.map_or(Vec::new(), |block| block.txdata[1..].to_vec());
        let block = Making::at(world, parent, at, &txs, 0).mined();
        if !world.submit("a branch", &block) {
            return;
        }
        parent = block.block_hash();
    }
}

/// A fresh node of each kind takes the other's chain.
pub(crate) fn replay(world: &World) {
    let core = common::RegtestNode::start();
    core.rpc("setmocktime", &[json!(world.ours.time() + 7_000)]);
    let ours = RegtestNode::new(RegtestOptions {
        blocks: 0,
        ..RegtestOptions::default()
    });
    ours.set_time(Some(world.ours.time() + 7_000));
    for height in 1..=world.ours.height() {
        let theirs = world.core.block(world.core.block_hash(height));
        ours.submit_block(theirs).unwrap();
        let own = world
            .ours
            .get_block(&world.ours.block_hash(height).unwrap());
        let raw = bitcoin::consensus::encode::serialize_hex(&own.unwrap());
        assert!(core.rpc("submitblock", &[json!(raw)]).is_null());
    }
    assert_eq!(core.tip_hash(), world.ours.best_block().hash);
    assert_eq!(ours.best_block().hash, world.core.tip_hash());
}
