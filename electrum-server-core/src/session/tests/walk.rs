//! Long random lives: whatever happens in whatever order, what a client was told last is what is true.

use std::collections::HashMap;

use bitcoin::{OutPoint, Transaction, Txid};
use electrum_protocol::method::outpoint::{self, OutpointStatus};
use electrum_protocol::method::transaction::TransactionHeight;
use electrum_protocol::method::{scriptpubkey, server, transaction};
use electrum_protocol::{Notification, ProtocolVersion, ScriptHash, Status, VersionRange};

use super::chain::{pay, script, script_hash};
use super::stage::Stage;
use super::talk::Talk;

/// Numbers that look random, and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % end
    }
}

/// What a client knows from what it was told.
#[derive(Default)]
struct Known {
    outpoints: HashMap<OutPoint, OutpointStatus>,
    transactions: HashMap<Txid, TransactionHeight>,
    scripts: HashMap<ScriptHash, Option<Status>>,
}

impl Known {
    fn hear(&mut self, notification: Notification) {
        match notification {
            Notification::Outpoint { outpoint, status } => {
                let before = self.outpoints.insert(outpoint, status);
                assert_ne!(before, Some(status), "nothing is said twice");
            }
            Notification::Transaction { txid, height } => {
                let before = self.transactions.insert(txid, height);
                assert_ne!(before, Some(height), "nothing is said twice");
            }
            Notification::ScriptHash {
                script_hash,
                status,
            } => {
                let before = self.scripts.insert(script_hash, status);
                assert_ne!(before, Some(status), "nothing is said twice");
            }
            other => panic!("{other:?}"),
        }
    }

    /// Compares with what a client hears that asks now.
    fn is_true(&self, stage: &Stage) {
        let mut asking = talk(stage);
        for (outpoint, status) in &self.outpoints {
            let request = outpoint::GetStatus {
                outpoint: *outpoint,
                script_hint: None,
            };
            assert_eq!(asking.ask(request).as_ref(), Ok(status));
        }
        for (txid, height) in &self.transactions {
            let txid = *txid;
            assert_eq!(
                asking.ask(transaction::GetHeight { txid }).as_ref(),
                Ok(height)
            );
        }
        for (script_hash, status) in &self.scripts {
            assert_eq!(
                stage.view().status(script_hash, None).as_ref().unwrap(),
                status
            );
        }
    }
}

fn talk(stage: &Stage) -> Talk {
    stage
        .talk()
        .introduce(VersionRange::exactly(ProtocolVersion::V1_7))
}

/// The chain, what waits in the mempool, and what nobody has heard of yet.
struct World {
    stage: Stage,
    numbers: Numbers,
    coins: Vec<(OutPoint, u64)>,
    unheard: Vec<Transaction>,
    waiting: Vec<Transaction>,
}

impl World {
    /// Makes a transaction that nobody hears of yet; it spends a coin and makes two.
    fn write(&mut self) -> Option<Txid> {
        if self.coins.is_empty() {
            return None;
        }
        let chosen = self.numbers.below(self.coins.len());
        let (coin, value) = self.coins.swap_remove(chosen);
        let to = [0, 1].map(|_| self.numbers.below(6) as u8);
        let half = (value - 1000) / 2;
        let tx = pay(&[coin], &[(to[0], half), (to[1], half)]);
        let txid = tx.compute_txid();
        self.unheard.push(tx);
        Some(txid)
    }

    /// Lets the mempool have the oldest transaction that nobody has heard of.
    fn receive(&mut self) -> bool {
        if self.unheard.is_empty() {
            return false;
        }
        let tx = self.unheard.remove(0);
        let txid = self.stage.receive(tx.clone());
        let coins = (0..).zip(&tx.output);
        self.coins.extend(
            coins
                .map(|(vout, output)| (OutPoint::new(txid, vout), output.value.to_sat()))
                .filter(|(_, value)| *value > 10_000),
        );
        self.waiting.push(tx);
        true
    }

    /// Mines some of what waits, the oldest first, so that parents come before children.
    fn mine(&mut self) {
        let count = self.numbers.below(self.waiting.len() + 1);
        let mined: Vec<_> = self.waiting.drain(..count).collect();
        let miner = self.numbers.below(6) as u8;
        let coin = self.stage.mine(miner, &mined);
        self.coins.push((coin, 50_0000_0000));
        let block = self.stage.chain.tip_hash();
        for tx in &self.stage.chain.blocks.last().unwrap().txdata {
            self.stage.node.knows(tx, Some(block));
        }
    }

    /// Drops the newest transaction, which has no children; its coins are gone.
    fn evict(&mut self) -> bool {
        let Some(tx) = self.waiting.last() else {
            return false;
        };
        let txid = tx.compute_txid();
        let has_child = self
            .unheard
            .iter()
            .any(|tx| tx.input[0].previous_output.txid == txid);
        if has_child {
            return false;
        }
        self.waiting.pop();
        self.coins.retain(|(coin, _)| coin.txid != txid);
        self.stage.evict(txid);
        true
    }
}

fn live(seed: u64) {
    let mut world = World {
        stage: Stage::new(),
        numbers: Numbers(seed),
        coins: Vec::new(),
        unheard: Vec::new(),
        waiting: Vec::new(),
    };
    for _ in 0..3 {
        world.mine();
    }
    let mut talk = talk(&world.stage);
    let mut known = Known::default();
    for _ in 0..120 {
        let happened = match world.numbers.below(10) {
            0 | 1 => {
                if let Some(txid) = world.write() {
                    let outpoint = OutPoint::new(txid, world.numbers.below(3) as u32);
                    let script_hint = world.unheard.last().and_then(|tx| {
                        let output = tx.output.get(outpoint.vout as usize)?;
                        Some(output.script_pubkey.clone())
                    });
                    let script_hint = script_hint.filter(|_| seed.is_multiple_of(2));
                    let request = outpoint::Subscribe {
                        outpoint,
                        script_hint,
                    };
                    let status = talk.ask(request).unwrap();
                    known.outpoints.insert(outpoint, status);
                    let height = talk.ask(transaction::Subscribe { txid }).unwrap();
                    known.transactions.insert(txid, height);
                }
                false
            }
            2 => {
                let n = world.numbers.below(6) as u8;
                let status = talk.ask(scriptpubkey::Subscribe { script: script(n) });
                known.scripts.insert(script_hash(n), status.unwrap());
                false
            }
            3..6 => world.receive(),
            6 => world.evict(),
            _ => {
                world.mine();
                true
            }
        };
        if !happened {
            continue;
        }
        match world.numbers.below(5) {
            // Too slow to hear of this update; of a later one it hears only that there were some.
            0 => talk.session.on_missed_updates(),
            _ => talk.session.on_update(world.stage.last_update()),
        }
        talk.ask(server::Ping::default()).unwrap();
        for notification in std::mem::take(&mut talk.notifications) {
            known.hear(notification);
        }
        known.is_true(&world.stage);
    }
    assert!(known.outpoints.len() > 5 && known.scripts.len() > 2);
}

#[test]
fn what_was_told_last_is_true() {
    for seed in 0..24 {
        live(seed);
    }
}
