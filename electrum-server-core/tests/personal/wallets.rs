//! Wallets that come, go and change places, and blocks that are no longer there.

use std::sync::Arc;

use electrum_protocol::ScriptHash;
use electrum_server_core::chain::ChainSource;
use electrum_server_core::personal::{Birth, Wallet, WalletSet};
use electrum_server_core::store::MemoryStore;
use electrum_server_core::sync::{PersonalHandle, SyncError};

use crate::common::{self, RegtestNode, Script};
use crate::world::{OURS, Running, THEIRS, World, bitcoind, compare, personal, told, wallet};

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

const DAY: u32 = 24 * 3600;

fn node_time(source: &dyn ChainSource, height: u32) -> u32 {
    source.headers(height, 1).unwrap()[0].time
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
    let tip_time = node_time(source.as_ref(), 20);
    // A day is allowed for clocks.
    assert!(count(born(Birth::Time(tip_time + DAY - 1))) > 0);
    for (birth, shown) in [
        (Birth::Time(tip_time + DAY + 1), ""),
        (Birth::Time(u32::MAX), "2106-02-07"),
        (Birth::Time(1_924_992_000), "2031-01-01"),
    ] {
        let (sync, _) = personal(
            source.clone(),
            &Arc::new(MemoryStore::new()),
            vec![born(birth)],
        );
        let text = sync.run(&mut |_| {}).unwrap_err().to_string();
        assert!(
            text.contains(shown) && text.contains("height 20") && text.contains("one before"),
            "{text}"
        );
    }
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

/// The first script of another wallet.
const OTHERS: u32 = 500_000;

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

/// What is missing for one wallet is no matter of those who are shown another.
#[test]
fn blocks_that_could_not_be_looked_at_are_told_to_those_whom_they_concern() {
    for filters in [&[][..], &["-blockfilterindex=1"]] {
        let world = pruning(filters);
        let paid = world.node.height();
        world.node.mine(1, &Script::new(OTHERS));
        world.node.mine(700, &Script::new(THEIRS));
        world.node.rpc("pruneblockchain", &[paid.into()]);
        let source: Arc<dyn ChainSource> = Arc::new(bitcoind(&world.node));
        let late = |name: &str, first, birth| Wallet {
            name: name.to_owned(),
            birth: Birth::Height(birth),
            ..wallet(first, 8)
        };
        let wallets = vec![late("old", OURS, 0), late("new", OTHERS, 200)];
        let only = |name: &str| WalletSet::Only(vec![name.to_owned()]);
        let store = Arc::new(MemoryStore::new());
        let heights = |handle: &PersonalHandle, name: &str| {
            let ranges = handle.unseen_by(&only(name)).into_iter();
            ranges.flatten().collect::<Vec<u32>>()
        };
        // Alone, together, and together once more from what was written down.
        let alone = ["old", "new"].map(|name| {
            let wallets = wallets.iter().filter(|wallet| wallet.name == name).cloned();
            let (running, handle) = Running::personal(
                source.clone(),
                &Arc::new(MemoryStore::new()),
                wallets.collect(),
            );
            let unseen = heights(&handle, name);
            running.stop();
            unseen
        });
        assert!(alone.iter().all(|heights| !heights.is_empty()), "{alone:?}");
        assert_ne!(alone[0], alone[1]);
        for _ in 0..2 {
            let (running, handle) = Running::personal(source.clone(), &store, wallets.clone());
            assert_eq!(["old", "new"].map(|name| heights(&handle, name)), alone);
            running.stop();
        }
    }
}
