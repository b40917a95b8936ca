//! A chain on which anything may happen, and servers of the whole of it and of some wallets.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bitcoin::constants::genesis_block;
use bitcoin::{Amount, Network};
use electrum_protocol::ScriptHash;
use electrum_server_core::chain::bitcoind::{Auth, Bitcoind, Config, cookie_path};
use electrum_server_core::chain::{ChainSource, Node};
use electrum_server_core::index::Index;
use electrum_server_core::notify::{Published, Update};
use electrum_server_core::personal::{Keychain, Wallet};
use electrum_server_core::store::MemoryStore;
use electrum_server_core::sync::{PersonalHandle, Sync, SyncEvent, SyncHandle, SyncOptions};
use electrum_server_core::view::View;
use proptest::prelude::{Strategy, any, prop};
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::common::{Coin, RegtestNode, Script, spend};

pub(crate) const FEE: u64 = 1000;
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The first script of a wallet's keychain.
pub(crate) const OURS: u32 = 1000;
/// The scripts of others.
pub(crate) const THEIRS: u32 = 100_000;

pub(crate) fn bitcoind(node: &RegtestNode) -> Bitcoind {
    Bitcoind::connect_pruned(&Config {
        network: Network::Regtest,
        address: node.rpc_address(),
        auth: Auth::Cookie(cookie_path(node.daemon_dir(), Network::Regtest)),
        timeout: Config::DEFAULT_TIMEOUT,
    })
    .unwrap()
}

/// A keychain of the test's scripts from a number on.
pub(crate) fn keychain(first: u32) -> Keychain {
    let derive = move |index| Some(Script::new(first + index).output_script());
    Keychain::new(format!("test/{first}"), Arc::new(derive))
}

pub(crate) fn wallet(first: u32, gap_limit: u32) -> Wallet {
    Wallet {
        gap_limit,
        ..Wallet::new("test", vec![keychain(first), keychain(first + 50_000)])
    }
}

pub(crate) struct Running {
    pub(crate) handle: SyncHandle,
    pub(crate) published: Arc<Published>,
    /// What sessions are to be told.
    pub(crate) updates: Receiver<Update>,
    pub(crate) thread: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(sync: Sync) -> Self {
        let handle = sync.handle();
        let (ready, published) = channel();
        let (teller, updates) = channel();
        let thread = std::thread::spawn(move || {
            sync.run(&mut |event| match event {
                SyncEvent::Ready(published) => ready.send(published.clone()).unwrap(),
                // Most tests do not listen.
                SyncEvent::Update(update) => drop(teller.send(update)),
                _ => {}
            })
            .unwrap();
        });
        Self {
            handle,
            published: published.recv_timeout(PATIENCE).unwrap(),
            updates,
            thread,
        }
    }

    pub(crate) fn full(node: &RegtestNode) -> Self {
        let genesis = genesis_block(Network::Regtest).block_hash();
        let index = Index::open(Arc::new(MemoryStore::new()), genesis).unwrap();
        Self::start(Sync::new(
            index,
            Arc::new(bitcoind(node)),
            SyncOptions::default(),
        ))
    }

    pub(crate) fn personal(
        source: Arc<dyn ChainSource>,
        store: &Arc<MemoryStore>,
        wallets: Vec<Wallet>,
    ) -> (Self, PersonalHandle) {
        let (sync, handle) = personal(source, store, wallets);
        (Self::start(sync), handle)
    }

    pub(crate) fn view(&self) -> View {
        assert!(self.handle.refresh(PATIENCE));
        self.published.view()
    }

    pub(crate) fn stop(self) {
        self.handle.stop();
        self.thread.join().unwrap();
    }
}

pub(crate) fn personal(
    source: Arc<dyn ChainSource>,
    store: &Arc<MemoryStore>,
    wallets: Vec<Wallet>,
) -> (Sync, PersonalHandle) {
    let genesis = genesis_block(Network::Regtest).block_hash();
    let index = Index::open_personal(store.clone(), genesis).unwrap();
    Sync::personal(index, source, SyncOptions::default(), wallets, false)
}

/// Everything that is told of a script, with proofs.
pub(crate) fn told(view: &View, script: &Script, node: &Bitcoind) -> String {
    let script_hash = ScriptHash::from_script(&script.output_script());
    let history = view.history(&script_hash, None).unwrap();
    let mut told = format!(
        "{:?} {:?} {:?} {history:?}",
        view.status(&script_hash, None).unwrap(),
        view.balance(&script_hash, None).unwrap(),
        view.unspent(&script_hash, None).unwrap(),
    );
    for entry in history {
        let Some(position) = view.position(&entry.txid).unwrap() else {
            continue;
        };
        let branch = view.merkle_branch(&entry.txid, position.height).unwrap();
        assert!(branch.is_some());
        let at = view.txid_at(position.height, position.pos).unwrap();
        assert_eq!(at, Some(entry.txid));
        let bytes = match view.kept_transaction(&position).unwrap() {
            Some(kept) => kept,
            None => node
                .raw_transaction(&entry.txid, Some(&position.block_hash))
                .unwrap(),
        };
        told.push_str(&format!(" {position:?} {branch:?} {bytes:?}"));
    }
    told
}

pub(crate) fn compare(step: &str, full: &View, personal: &View, scripts: &[u32], node: &Bitcoind) {
    assert_eq!(full.tip(), personal.tip(), "{step}");
    for number in scripts {
        let script = Script::new(*number);
        let (expected, found) = (told(full, &script, node), told(personal, &script, node));
        assert_eq!(found, expected, "{step}: script {number}");
    }
}

/// Things that happen, and who has what.
pub(crate) struct World {
    pub(crate) node: RegtestNode,
    /// Outputs that may be spent, confirmed or not.
    pub(crate) coins: Vec<Coin>,
    /// The next script of ours that was never used.
    pub(crate) next: u32,
    pub(crate) foreign: u32,
    pub(crate) used: Vec<u32>,
    pub(crate) runner: TestRunner,
}

impl World {
    pub(crate) fn begin(arguments: &[&str], seed: u8) -> Self {
        let node = RegtestNode::start_with(arguments);
        let miner = Script::new(THEIRS);
        node.mine(120, &miner);
        let coins = (1..=20)
            .map(|height| node.coinbase(height, &miner))
            .collect();
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        Self {
            node,
            coins,
            next: OURS,
            foreign: THEIRS + 1,
            used: Vec::new(),
            runner: TestRunner::new_with_rng(proptest::test_runner::Config::default(), rng),
        }
    }

    pub(crate) fn pick(&mut self, below: usize) -> usize {
        let index = any::<prop::sample::Index>()
            .new_tree(&mut self.runner)
            .unwrap()
            .current();
        index.index(below)
    }

    /// A script of ours, new or used, or one of others.
    pub(crate) fn script(&mut self) -> Script {
        match self.pick(5) {
            0 | 1 => {
                self.next += 1;
                // Every third leaves a gap.
                self.next += u32::from(self.next.is_multiple_of(3)) * 4;
                self.used.push(self.next);
                Script::new(self.next)
            }
            2 if !self.used.is_empty() => {
                let at = self.pick(self.used.len());
                Script::new(self.used[at])
            }
            _ => {
                self.foreign += 1;
                Script::new(self.foreign)
            }
        }
    }

    pub(crate) fn pay(&mut self, inputs: usize) {
        let mut from = Vec::new();
        for _ in 0..inputs {
            if self.coins.len() > 1 {
                let at = self.pick(self.coins.len());
                from.push(self.coins.swap_remove(at));
            }
        }
        let value: Amount = from.iter().map(|coin| coin.value).sum();
        if value < Amount::from_sat(100_000) {
            return;
        }
        let parts = 1 + self.pick(3);
        let each = (value - Amount::from_sat(FEE)) / parts as u64;
        let scripts: Vec<Script> = (0..parts).map(|_| self.script()).collect();
        let outputs: Vec<_> = scripts
            .iter()
            .map(|script| (script.output_script(), each))
            .collect();
        let payment = spend(&from, &outputs);
        // What was lost in a reorganization cannot be spent: then nothing happens.
        if self
            .node
            .try_rpc(
                "sendrawtransaction",
                &[bitcoin::consensus::encode::serialize_hex(&payment).into()],
            )
            .is_ok()
        {
            self.coins.extend(
                (0u32..)
                    .zip(&scripts)
                    .map(|(vout, script)| Coin::of(&payment, vout, script)),
            );
        }
    }

    pub(crate) fn step(&mut self) -> &'static str {
        match self.pick(12) {
            0..=5 => {
                let inputs = 1 + self.pick(2);
                self.pay(inputs);
                "a payment"
            }
            6..=8 => {
                self.node.mine(1, &Script::new(THEIRS));
                "a block"
            }
            9 => {
                let script = self.script();
                self.node.mine(1, &script);
                "a block for us"
            }
            10 => {
                let depth = 1 + self.pick(4) as u32;
                let first = self.node.block_hash(self.node.height() + 1 - depth);
                self.node.invalidate(first);
                self.foreign += 1;
                self.node.mine(depth + 1, &Script::new(self.foreign));
                "a reorganization"
            }
            _ => {
                let (one, two) = (self.pick(3), self.pick(3));
                (0..=one).for_each(|_| self.pay(1));
                self.node.mine(1, &Script::new(THEIRS));
                (0..=two).for_each(|_| self.pay(2));
                "several payments"
            }
        }
    }

    /// All scripts of ours that anybody may ask for, and some beyond.
    pub(crate) fn scripts(&self) -> Vec<u32> {
        (OURS..self.next + 5).collect()
    }
}
