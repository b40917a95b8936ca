//! From nothing, or from where it ended, to where the node is.

use super::*;
use crate::chain::scripted::transaction;
use crate::index::UNDO_DEPTH;

/// A chain with payments in it, and some in the mempool.
fn busy(blocks: usize) -> Arc<ScriptedNode> {
    let node = Arc::new(ScriptedNode::new());
    node.mine(5);
    for number in 0..blocks {
        let (coin, output) = node.spendable().pop().unwrap();
        let half = output.value.to_sat() / 2;
        let to = 1 + (number % 7) as u8;
        let tx = transaction(&[coin], &[(to, half), (to + 1, half)]);
        node.state().mine(&[tx]);
    }
    let (coin, output) = node.spendable().pop().unwrap();
    node.state()
        .add(&transaction(&[coin], &[(9, output.value.to_sat())]));
    node
}

#[test]
fn in_more_batches_than_one_on_several_threads() {
    let node = Arc::new(ScriptedNode::new());
    // The node is asked for 2000 headers at a time.
    node.mine(4100);
    let running = Running::start(&node);
    let mut heights = Vec::new();
    let published = loop {
        match running.told.recv_timeout(PATIENCE).unwrap() {
            Told::Progress { height, target } => {
                assert_eq!(target, 4100);
                heights.push(height);
            }
            Told::Ready(published) => break published,
            other => panic!("{other:?}"),
        }
    };
    assert!(heights.is_sorted() && heights.len() > 3, "{heights:?}");
    assert_eq!(heights.last(), Some(&4100));
    running.check(&published);
    running.stop();
}

#[test]
fn with_any_number_of_threads() {
    let node = busy(40);
    for threads in [0, 1, 2, 7, 100] {
        let running = Running::start_on(
            &node,
            Arc::default(),
            SyncOptions {
                threads,
                ..patient()
            },
        );
        running.check(&running.ready());
        running.stop();
    }
}

#[test]
fn and_on_from_there_after_a_restart() {
    let node = busy(10);
    let store = Arc::<MemoryStore>::default();
    for _ in 0..3 {
        let running = Running::start_on(&node, store.clone(), patient());
        running.check(&running.ready());
        running.stop();
        node.mine(7);
    }
    // Another chain, while it was not running.
    node.state().rewind(8);
    node.mine(30);
    let running = Running::start_on(&node, store, patient());
    running.check(&running.ready());
    running.stop();
}

#[test]
fn once() {
    let node = busy(10);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let sync = Sync::new(open(&store), node.clone(), patient());
    let handle = sync.handle();
    sync.run_once(&mut |_| {}).unwrap();
    assert!(content(&store) == content(&build(&node).1));
    assert!(!handle.refresh(PATIENCE));
}

/// What the index cannot undo by itself is fetched from the node, stale as it is.
#[test]
fn from_a_branch_that_is_too_deep_to_undo_from_the_database() {
    let node = Arc::new(ScriptedNode::new());
    let depth = UNDO_DEPTH as usize + 50;
    node.mine(depth);
    let store = Arc::<MemoryStore>::default();
    let running = Running::start_on(&node, store.clone(), patient());
    running.ready();
    running.stop();
    node.state().rewind(3);
    node.mine(depth);
    let running = Running::start_on(&node, store, patient());
    running.check(&running.ready());
    running.stop();
}

#[test]
fn not_from_a_branch_that_nobody_knows_any_more() {
    let node = Arc::new(ScriptedNode::new());
    let depth = UNDO_DEPTH as usize + 50;
    node.mine(depth);
    let store = Arc::<MemoryStore>::default();
    let running = Running::start_on(&node, store.clone(), patient());
    running.ready();
    running.stop();
    let stale = node.headers(4, 1).unwrap()[0].block_hash();
    node.state().rewind(3);
    node.mine(depth);
    node.state().forget(&stale);
    let before = content(&store);
    let running = Running::start_on(&node, store.clone(), patient());
    let error = running.thread.join().unwrap().unwrap_err().to_string();
    assert!(
        error.contains(&stale.to_string()) && error.contains("check that it is the node"),
        "{error}"
    );
    assert!(!error.contains("delete"), "{error}");
    assert!(content(&store) == before, "nothing is undone");
}

#[test]
fn while_the_chain_changes_at_every_turn() {
    let reorganize: [fn(&mut crate::chain::scripted::State); 3] = [
        |state| {
            state.rewind(4);
            for _ in 0..20 {
                state.mine(&[]);
            }
        },
        |state| {
            state.mine(&[]);
        },
        |state| state.rewind(9),
    ];
    for change in reorganize {
        let node = busy(10);
        node.after_headers(change);
        node.after_block(change);
        node.after_listing(change);
        let running = Running::start(&node);
        let published = running.ready();
        running.settled();
        running.check(&published);
        running.stop();
    }
}
