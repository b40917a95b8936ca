//! Two nodes that are told the same.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash;
use bitcoin::{Block, OutPoint, Transaction, Txid};
use electrum_server_core::chain::ChainSource;
use electrum_server_core::regtest;
use serde_json::json;

use crate::common;
use crate::locks::{Lock, Owned};

/// Both nodes, and what there is to spend.
pub(crate) struct World {
    pub(crate) core: common::RegtestNode,
    pub(crate) ours: regtest::RegtestNode,
    pub(crate) random: Random,
    known: BTreeMap<OutPoint, Owned>,
    /// How often which verdict was agreed on.
    pub(crate) verdicts: BTreeMap<String, u32>,
}

/// SplitMix64: numbers that a seed decides.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }
}

pub(crate) const BEGIN: u32 = 1_700_000_000;

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let core = common::RegtestNode::start();
        let ours = regtest::RegtestNode::new(regtest::RegtestOptions {
            seed,
            blocks: 0,
            clock: regtest::Clock::Steps(BEGIN),
        });
        Self {
            core,
            ours,
            random: Random(seed),
            known: BTreeMap::new(),
            verdicts: BTreeMap::new(),
        }
    }

    /// Lets both clocks show this.
    pub(crate) fn set_time(&self, time: u32) {
        self.ours.set_time(Some(time));
        self.core.rpc("setmocktime", &[json!(time)]);
    }

    /// Everything that the test could spend now: confirmed and mature or not, and unconfirmed.
    pub(crate) fn coins(&mut self) -> Vec<Owned> {
        let mempool = self.ours.mempool();
        let waiting = self.ours.mempool_transactions(&mempool).unwrap();
        let spent: BTreeSet<OutPoint> = waiting
            .iter()
            .flatten()
            .flat_map(|tx| &tx.input)
            .map(|input| input.previous_output)
            .collect();
        let mempool: BTreeSet<Txid> = mempool.into_iter().collect();
        let outpoints: Vec<OutPoint> = self.known.keys().copied().collect();
        let confirmed = self.ours.unspent_outputs(&outpoints).unwrap();
        outpoints
            .iter()
            .zip(confirmed)
            .filter(|(outpoint, confirmed)| {
                (confirmed.is_some() || mempool.contains(&outpoint.txid))
                    && !spent.contains(outpoint)
            })
            .map(|(outpoint, _)| self.known[outpoint].clone())
            .collect()
    }

    pub(crate) fn coin(&self, outpoint: &OutPoint) -> Option<Owned> {
        self.known.get(outpoint).cloned()
    }

    pub(crate) fn learn(&mut self, tx: &Transaction) {
        let txid = tx.compute_txid();
        for (vout, output) in (0..).zip(&tx.output) {
            if let Some(lock) = Lock::of(&output.script_pubkey) {
                let outpoint = OutPoint::new(txid, vout);
                let output = output.clone();
                self.known.insert(
                    outpoint,
                    Owned {
                        outpoint,
                        output,
                        lock,
                    },
                );
            }
        }
    }

    fn count(&mut self, kind: &str, verdict: &str) {
        // Numbers in brackets belong to one case.
        let verdict = verdict.split('(').next().unwrap().trim();
        *self
            .verdicts
            .entry(format!("{kind}: {verdict}"))
            .or_default() += 1;
    }

    /// Sends a transaction to both; what they say must be the same.
    pub(crate) fn send(&mut self, what: &str, tx: &Transaction) -> bool {
        let raw = serialize_hex(tx);
        // Without the limits that save users from mistakes: those are compared elsewhere.
        let core = self.core.try_rpc(
            "sendrawtransaction",
            &[json!(raw), json!(0), json!(21_000_000)],
        );
        let known = self.ours.mempool().contains(&tx.compute_txid());
        let ours = self.ours.send(tx);
        let (core, ours) = match (core, ours) {
            (Ok(_), Ok(_)) => ("accepted".to_owned(), "accepted".to_owned()),
            // Core's call succeeds where the transaction is there already.
            (Ok(_), Err(_)) if known => ("known".to_owned(), "known".to_owned()),
            (core, ours) => (
                core.map_or_else(
                    |error| error["message"].as_str().unwrap().to_owned(),
                    |_| "accepted".to_owned(),
                ),
                ours.map_or_else(|reject| reject.to_string(), |_| "accepted".to_owned()),
            ),
        };
        assert_eq!(
            comparable(&ours),
            comparable(&core),
            "{what}: ours {ours:?}, Core {core:?}\n{tx:#?}\n{raw}"
        );
        self.count("transaction", reason(&core));
        let accepted = core == "accepted";
        if accepted {
            self.learn(tx);
        }
        accepted
    }

    /// Asks both whether they would take a transaction.
    pub(crate) fn test(&mut self, what: &str, tx: &Transaction) {
        let raw = json!([serialize_hex(tx)]);
        let core = self.core.rpc("testmempoolaccept", &[raw]);
        let core = core[0]["reject-reason"]
            .as_str()
            .unwrap_or("accepted")
            .to_owned();
        let ours = self.ours.test(tx);
        let ours = ours.map_or_else(|reject| reject.reason, |()| "accepted".to_owned());
        assert_eq!(ours, core, "{what}");
        self.count("transaction", &core);
    }

    /// Gives a block to both; what they say must be the same, and their tips must be.
    pub(crate) fn submit(&mut self, what: &str, block: &Block) -> bool {
        let core = self.core.rpc("submitblock", &[json!(serialize_hex(block))]);
        let core = core.as_str().unwrap_or("accepted").to_owned();
        let ours = self.ours.submit_block(block.clone());
        let ours = ours.map_or_else(|reject| reject.reason, |()| "accepted".to_owned());
        let on_a_side = core == "inconclusive" && ours == "accepted";
        assert!(
            comparable(&ours) == comparable(&core) || on_a_side,
            "{what}: ours {ours:?}, Core {core:?}\n{}",
            block.block_hash()
        );
        self.count("block", &core);
        for tx in &block.txdata {
            self.learn(tx);
        }
        self.compare(what);
        core == "accepted" || on_a_side
    }

    /// Both have the same tip and the same mempool.
    #[track_caller]
    pub(crate) fn compare(&self, what: &str) {
        assert_eq!(
            self.ours.best_block().hash,
            self.core.tip_hash(),
            "{what}: tip"
        );
        let core: BTreeSet<Txid> = self.core.mempool().into_iter().collect();
        let ours: BTreeSet<Txid> = self.ours.mempool().into_iter().collect();
        let only_core: Vec<_> = core.difference(&ours).collect();
        let only_ours: Vec<_> = ours.difference(&core).collect();
        for txid in only_ours.iter().chain(&only_core) {
            println!("{:#?}", self.ours.mempool_transaction(txid));
            let raw = self
                .ours
                .mempool_transaction(txid)
                .map(|tx| serialize_hex(&tx));
            println!("{:#}", self.core.rpc("testmempoolaccept", &[json!([raw])]));
        }
        assert!(
            core == ours,
            "{what}: mempools: only Core has {only_core:?}, only ours {only_ours:?}"
        );
    }

    /// Passes on the blocks that one has mined to the other.
    pub(crate) fn mined_by_core(&mut self, count: u32) {
        for hash in self.core.mine(count, &common::Script::new(60)) {
            let block = self.core.block(hash);
            self.ours
                .submit_block(block.clone())
                .unwrap_or_else(|reject| panic!("ours refuses a block of Core: {reject}"));
            self.learn_block(&block);
        }
        self.compare("after a block of Core");
    }

    pub(crate) fn mined_by_ours(&mut self, count: u32, lock: Lock) {
        let hashes = self.ours.mine(count, &lock.script());
        // Our clock goes by blocks; Core's follows.
        let time = self.ours.time();
        self.core.rpc("setmocktime", &[json!(time)]);
        for hash in hashes {
            let block = self.ours.get_block(&hash).unwrap();
            let answer = self
                .core
                .rpc("submitblock", &[json!(serialize_hex(&block))]);
            assert!(answer.is_null(), "Core refuses a block of ours: {answer}");
            self.learn_block(&block);
        }
        self.compare("after a block of ours");
    }

    fn learn_block(&mut self, block: &Block) {
        for tx in &block.txdata {
            self.learn(tx);
        }
    }
}

/// The reason without its details.
fn reason(verdict: &str) -> &str {
    verdict.split(", ").next().unwrap_or(verdict)
}

/// What must be the same of two refusals: all, but what the script interpreter complains of, which the consensus
/// library does not tell.
fn comparable(verdict: &str) -> String {
    let (script, high_s) = ("script-verify-flag-failed", "unnecessarily high");
    if !verdict.contains(script) || verdict.contains(high_s) {
        return verdict.to_owned();
    }
    let (reason, details) = verdict.split_once(", input").unwrap_or((verdict, ""));
    let reason = reason.split(" (").next().unwrap_or(reason);
    format!("{reason}, input{details}")
}

/// A txid of nothing.
pub(crate) fn nowhere() -> OutPoint {
    OutPoint::new(Txid::from_byte_array([0x5a; 32]), 0)
}
