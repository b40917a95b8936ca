//! A server of some wallets answers for them what a server of the whole chain answers, whatever happens.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use bitcoin::constants::genesis_block;
use bitcoin::{Amount, Network};
use common::{Coin, RegtestNode, Script, spend};
use electrum_protocol::ScriptHash;
use electrum_server_core::chain::bitcoind::{Auth, Bitcoind, Config, cookie_path, network_dir};
use electrum_server_core::chain::blockfiles::{BlockFiles, FilesFirst};
use electrum_server_core::chain::{ChainSource, Node};
use electrum_server_core::index::Index;
use electrum_server_core::notify::Published;
use electrum_server_core::personal::{Birth, Keychain, Wallet};
use electrum_server_core::store::MemoryStore;
use electrum_server_core::sync::{
    PersonalHandle, Sync, SyncError, SyncEvent, SyncHandle, SyncOptions,
};
use electrum_server_core::view::View;
use proptest::prelude::{Strategy, any, prop};
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

const FEE: u64 = 1000;
const PATIENCE: Duration = Duration::from_secs(30);
/// The first script of a wallet's keychain.
const OURS: u32 = 1000;
/// The scripts of others.
const THEIRS: u32 = 100_000;

fn bitcoind(node: &RegtestNode) -> Bitcoind {
    Bitcoind::connect_pruned(&Config {
        network: Network::Regtest,
        address: node.rpc_address(),
        auth: Auth::Cookie(cookie_path(node.daemon_dir(), Network::Regtest)),
        timeout: Config::DEFAULT_TIMEOUT,
    })
    .unwrap()
}

/// A keychain of the test's scripts from a number on.
fn keychain(first: u32) -> Keychain {
    let derive = move |index| Some(Script::new(first + index).output_script());
    Keychain::new(format!("test/{first}"), Arc::new(derive))
}

fn wallet(first: u32, gap_limit: u32) -> Wallet {
    Wallet {
        gap_limit,
        ..Wallet::new("test", vec![keychain(first), keychain(first + 50_000)])
    }
}

struct Running {
    handle: SyncHandle,
    published: Arc<Published>,
    thread: JoinHandle<()>,
}

impl Running {
    fn start(sync: Sync) -> Self {
        let handle = sync.handle();
        let (ready, published) = channel();
        let thread = std::thread::spawn(move || {
            sync.run(&mut |event| {
                if let SyncEvent::Ready(published) = event {
                    ready.send(published.clone()).unwrap();
                }
            })
            .unwrap();
        });
        Self {
            handle,
            published: published.recv_timeout(PATIENCE).unwrap(),
            thread,
        }
    }

    fn full(node: &RegtestNode) -> Self {
        let genesis = genesis_block(Network::Regtest).block_hash();
        let index = Index::open(Arc::new(MemoryStore::new()), genesis).unwrap();
        Self::start(Sync::new(
            index,
            Arc::new(bitcoind(node)),
            SyncOptions::default(),
        ))
    }

    fn personal(
        source: Arc<dyn ChainSource>,
        store: &Arc<MemoryStore>,
        wallets: Vec<Wallet>,
    ) -> (Self, PersonalHandle) {
        let (sync, handle) = personal(source, store, wallets);
        (Self::start(sync), handle)
    }

    fn view(&self) -> View {
        assert!(self.handle.refresh(PATIENCE));
        self.published.view()
    }

    fn stop(self) {
        self.handle.stop();
        self.thread.join().unwrap();
    }
}

fn personal(
    source: Arc<dyn ChainSource>,
    store: &Arc<MemoryStore>,
    wallets: Vec<Wallet>,
) -> (Sync, PersonalHandle) {
    let genesis = genesis_block(Network::Regtest).block_hash();
    let index = Index::open_personal(store.clone(), genesis).unwrap();
    Sync::personal(index, source, SyncOptions::default(), wallets, false)
}

/// Everything that is told of a script, with proofs.
fn told(view: &View, script: &Script, node: &Bitcoind) -> String {
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

fn compare(step: &str, full: &View, personal: &View, scripts: &[u32], node: &Bitcoind) {
    assert_eq!(full.tip(), personal.tip(), "{step}");
    for number in scripts {
        let script = Script::new(*number);
        let (expected, found) = (told(full, &script, node), told(personal, &script, node));
        assert_eq!(found, expected, "{step}: script {number}");
    }
}

/// Things that happen, and who has what.
struct World {
    node: RegtestNode,
    /// Outputs that may be spent, confirmed or not.
    coins: Vec<Coin>,
    /// The next script of ours that was never used.
    next: u32,
    foreign: u32,
    used: Vec<u32>,
    runner: TestRunner,
}

impl World {
    fn begin(arguments: &[&str], seed: u8) -> Self {
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

    fn pick(&mut self, below: usize) -> usize {
        let index = any::<prop::sample::Index>()
            .new_tree(&mut self.runner)
            .unwrap()
            .current();
        index.index(below)
    }

    /// A script of ours, new or used, or one of others.
    fn script(&mut self) -> Script {
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

    fn pay(&mut self, inputs: usize) {
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

    fn step(&mut self) -> &'static str {
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
    fn scripts(&self) -> Vec<u32> {
        (OURS..self.next + 5).collect()
    }
}

fn schedule(arguments: &[&str], from_files: bool, seed: u8) {
    let mut world = World::begin(arguments, seed);
    let source = |world: &World| -> Arc<dyn ChainSource> {
        let node = Arc::new(bitcoind(&world.node));
        match from_files {
            true => {
                let blocks = network_dir(world.node.daemon_dir(), Network::Regtest).join("blocks");
                let files = Arc::new(BlockFiles::open(&blocks, Network::Regtest).unwrap());
                files.refresh(&|| false).unwrap();
                Arc::new(FilesFirst::new(files, node))
            }
            false => node,
        }
    };
    let full = Running::full(&world.node);
    let store = Arc::new(MemoryStore::new());
    let (mut personal, _) = Running::personal(source(&world), &store, vec![wallet(OURS, 8)]);
    let node = bitcoind(&world.node);
    for number in 0..60 {
        let step = world.step();
        if number % 11 == 10 {
            personal.stop();
            let more = world.step();
            personal = Running::personal(source(&world), &store, vec![wallet(OURS, 8)]).0;
            compare(
                &format!("{number}: {more}, while it was off"),
                &full.view(),
                &personal.view(),
                &world.scripts(),
                &node,
            );
            continue;
        }
        compare(
            &format!("{number}: {step}"),
            &full.view(),
            &personal.view(),
            &world.scripts(),
            &node,
        );
    }
    personal.stop();
    // Who begins now finds the same.
    let (fresh, _) = Running::personal(
        source(&world),
        &Arc::new(MemoryStore::new()),
        vec![wallet(OURS, 8)],
    );
    compare(
        "afresh",
        &full.view(),
        &fresh.view(),
        &world.scripts(),
        &node,
    );
    fresh.stop();
    full.stop();
}

#[test]
fn any_schedule_leads_to_the_answers_of_the_whole_chain() {
    schedule(&["-rest=1"], false, 1);
}

#[test]
fn with_filters_as_well() {
    schedule(&["-blockfilterindex=1"], false, 2);
}

#[test]
fn from_block_files_as_well() {
    schedule(&["-rest=1"], true, 3);
}

#[test]
fn wallets_come_and_go_while_others_are_served() {
    let mut world = World::begin(&["-rest=1"], 4);
    for _ in 0..30 {
        world.step();
    }
    let full = Running::full(&world.node);
    let node = bitcoind(&world.node);
    let source: Arc<dyn ChainSource> = Arc::new(bitcoind(&world.node));
    let store = Arc::new(MemoryStore::new());
    let others = wallet(THEIRS, 30);
    let (running, handle) = Running::personal(source.clone(), &store, vec![others.clone()]);
    let scripts = world.scripts();
    compare(
        "the one",
        &full.view(),
        &running.view(),
        &[THEIRS, THEIRS + 1],
        &node,
    );
    let of = |number| ScriptHash::from_script(&Script::new(number).output_script());
    assert!(!handle.watched().contains(&of(OURS)));
    handle.set_wallets(vec![others.clone(), wallet(OURS, 8)]);
    common::wait_for("the new wallet", || {
        running.view();
        handle.watched().contains(&of(OURS))
    });
    world.step();
    compare("both", &full.view(), &running.view(), &scripts, &node);
    compare(
        "the first",
        &full.view(),
        &running.view(),
        &[THEIRS, THEIRS + 1],
        &node,
    );
    handle.set_wallets(vec![wallet(OURS, 8)]);
    common::wait_for("the old wallet to go", || {
        running.view();
        !handle.watched().contains(&of(THEIRS))
    });
    let view = running.view();
    compare("the other", &full.view(), &view, &scripts, &node);
    assert!(view.history(&of(THEIRS), None).unwrap().is_empty());
    // A script that a client wants: from now on.
    handle.watch(of(THEIRS + 40_000), running.view().height() + 1);
    running.view();
    world.node.mine(1, &Script::new(THEIRS + 40_000));
    compare(
        "wanted",
        &full.view(),
        &running.view(),
        &[THEIRS + 40_000],
        &node,
    );
    running.stop();
    let (running, handle) = Running::personal(source, &store, vec![wallet(OURS, 8)]);
    assert!(handle.watched().contains(&of(THEIRS + 40_000)));
    compare(
        "after a restart",
        &full.view(),
        &running.view(),
        &[THEIRS + 40_000],
        &node,
    );
    running.stop();
    full.stop();
}

#[test]
fn a_reorganization_while_it_is_off_is_followed() {
    let mut world = World::begin(&["-rest=1"], 7);
    let full = Running::full(&world.node);
    let node = bitcoind(&world.node);
    let source: Arc<dyn ChainSource> = Arc::new(bitcoind(&world.node));
    let store = Arc::new(MemoryStore::new());
    world.node.mine(5, &Script::new(OURS));
    let (running, handle) = Running::personal(source.clone(), &store, vec![wallet(OURS, 8)]);
    let wanted = Script::new(THEIRS + 40_000);
    let script_hash = ScriptHash::from_script(&wanted.output_script());
    handle.watch(script_hash, running.view().height() + 1);
    running.view();
    world.node.mine(2, &wanted);
    let scripts = [OURS, OURS + 1, OURS + 50_000, THEIRS + 40_000];
    compare("before", &full.view(), &running.view(), &scripts, &node);
    running.stop();
    // Of the new blocks, which are as high as the old ones, each has something for us.
    let first = world.node.block_hash(world.node.height() - 5);
    world.node.invalidate(first);
    world.node.mine(3, &Script::new(OURS + 1));
    world.node.mine(2, &wanted);
    world.node.mine(3, &Script::new(OURS + 50_000));
    world.used.clear();
    let (running, _) = Running::personal(source, &store, vec![wallet(OURS, 8)]);
    compare("after", &full.view(), &running.view(), &scripts, &node);
    running.stop();
    full.stop();
}

#[test]
fn a_wallet_takes_the_place_of_another_of_the_same_size() {
    let node = RegtestNode::start();
    node.mine(3, &Script::new(OURS));
    node.mine(4, &Script::new(THEIRS));
    let source: Arc<dyn ChainSource> = Arc::new(bitcoind(&node));
    let of = |number| ScriptHash::from_script(&Script::new(number).output_script());
    let (running, handle) =
        Running::personal(source, &Arc::new(MemoryStore::new()), vec![wallet(OURS, 8)]);
    let before = handle.watched().len();
    handle.set_wallets(vec![wallet(THEIRS, 8)]);
    common::wait_for("the other wallet", || {
        running.view();
        handle.watched().contains(&of(THEIRS))
    });
    assert_eq!(handle.watched().len(), before);
    assert!(!handle.watched().contains(&of(OURS)));
    let view = running.view();
    assert_eq!(view.history(&of(THEIRS), None).unwrap().len(), 4);
    assert!(view.history(&of(OURS), None).unwrap().is_empty());
    running.stop();
}

#[test]
fn many_used_scripts_are_followed_beyond_the_look_ahead() {
    let mut world = World::begin(&["-rest=1"], 5);
    // Each in a block below that of the one before: the second look has to find what is further down.
    for number in [2_950, 1_980, 1_200, 990, 20] {
        world.node.mine(1, &Script::new(OURS + number));
    }
    world.next = OURS;
    let full = Running::full(&world.node);
    let source: Arc<dyn ChainSource> = Arc::new(bitcoind(&world.node));
    let (personal, _) = Running::personal(
        source,
        &Arc::new(MemoryStore::new()),
        vec![wallet(OURS, 20)],
    );
    let node = bitcoind(&world.node);
    // 990 is less than the gap limit below 1000, 1980 below 1991.
    let scripts = [20, 990, 1_200, 1_980, 2_950].map(|number| OURS + number);
    compare("beyond", &full.view(), &personal.view(), &scripts, &node);
    personal.stop();
    full.stop();
}

#[test]
fn births_are_respected_and_impossible_ones_refused() {
    let node = RegtestNode::start();
    node.mine(10, &Script::new(OURS));
    node.mine(10, &Script::new(OURS));
    let source: Arc<dyn ChainSource> = Arc::new(bitcoind(&node));
    let born = |birth| {
        let mut wallet = wallet(OURS, 8);
        wallet.birth = birth;
        wallet
    };
    let count = |wallet| {
        let (running, _) =
            Running::personal(source.clone(), &Arc::new(MemoryStore::new()), vec![wallet]);
        let script = ScriptHash::from_script(&Script::new(OURS).output_script());
        let count = running.view().history(&script, None).unwrap().len();
        running.stop();
        count
    };
    assert_eq!(count(born(Birth::Height(0))), 20);
    assert_eq!(count(born(Birth::Height(11))), 10);
    assert_eq!(count(born(Birth::Height(20))), 1);
    assert_eq!(count(born(Birth::Time(0))), 20);
    assert_eq!(count(born(Birth::Time(u32::MAX))), 0);
    let store = Arc::new(MemoryStore::new());
    let (sync, _) = personal(source.clone(), &store, vec![born(Birth::Height(21))]);
    let error = sync.run(&mut |_| {}).unwrap_err();
    assert!(matches!(error, SyncError::Source(_)));
    let text = error.to_string();
    assert!(
        text.contains("height 21") && text.contains("height 20"),
        "{text}"
    );
    // Older than was said before: it is looked for again.
    let (running, _) = Running::personal(source.clone(), &store, vec![born(Birth::Height(15))]);
    running.stop();
    let (running, _) = Running::personal(source.clone(), &store, vec![born(Birth::Height(3))]);
    let script = ScriptHash::from_script(&Script::new(OURS).output_script());
    assert_eq!(running.view().history(&script, None).unwrap().len(), 18);
    running.stop();
}

/// A node that is going to prune: block files of 64 KiB.
fn pruning(more: &[&str]) -> World {
    let mut world = World::begin(&[&["-prune=1", "-fastprune", "-rest=1"], more].concat(), 6);
    for _ in 0..40 {
        world.step();
    }
    // 288 blocks are always kept.
    world.node.mine(700, &Script::new(THEIRS));
    world
}

#[test]
fn what_was_found_outlives_the_blocks() {
    for filters in [&[][..], &["-blockfilterindex=1"]] {
        let world = pruning(filters);
        let full = Running::full(&world.node);
        let store = Arc::new(MemoryStore::new());
        let source: Arc<dyn ChainSource> = Arc::new(bitcoind(&world.node));
        let (before, handle) = Running::personal(source.clone(), &store, vec![wallet(OURS, 8)]);
        let scripts = world.scripts();
        let node = bitcoind(&world.node);
        let expected: Vec<String> = scripts
            .iter()
            .map(|number| told(&full.view(), &Script::new(*number), &node))
            .collect();
        assert_eq!(handle.unseen(), []);
        let pruned = world.node.rpc("pruneblockchain", &[500.into()]);
        assert!(pruned.as_u64().unwrap() > 130, "{pruned}");
        let check = |running: &Running| {
            let view = running.view();
            for (number, expected) in scripts.iter().zip(&expected) {
                assert_eq!(told(&view, &Script::new(*number), &node), *expected);
            }
        };
        check(&before);
        before.stop();
        let (again, handle) = Running::personal(source.clone(), &store, vec![wallet(OURS, 8)]);
        check(&again);
        assert_eq!(handle.unseen(), []);
        again.stop();
        full.stop();

        // Who begins now is told what cannot be known: with filters, only the blocks that matter.
        let store = Arc::new(MemoryStore::new());
        let (late, handle) = Running::personal(source.clone(), &store, vec![wallet(OURS, 8)]);
        let unseen: Vec<u32> = handle.unseen().into_iter().flatten().collect();
        let pruned = u32::try_from(pruned.as_u64().unwrap()).unwrap();
        match filters {
            [] => assert_eq!(unseen, (0..=pruned).collect::<Vec<_>>()),
            _ => {
                assert!(
                    !unseen.is_empty() && unseen.len() < pruned as usize / 2,
                    "{unseen:?}"
                );
                // A filter says yes of a few blocks that have nothing.
                assert!(unseen.iter().all(|height| *height <= pruned));
            }
        }
        // What comes from here on is known.
        world.node.mine(1, &Script::new(OURS + 1));
        let script = ScriptHash::from_script(&Script::new(OURS + 1).output_script());
        assert_eq!(late.view().history(&script, None).unwrap().len(), 1);
        late.stop();
        // And the gap is remembered.
        let (again, handle) = Running::personal(source, &store, vec![wallet(OURS, 8)]);
        assert_eq!(
            handle.unseen().into_iter().flatten().collect::<Vec<u32>>(),
            unseen
        );
        again.stop();
    }
}
