//! What is told of each change, once there is a view.

use super::*;
use crate::chain::scripted::transaction;
use crate::sync::RefreshScope;

/// A node with some coins, and a writer that has caught up with it.
fn begin() -> (Arc<ScriptedNode>, Running, Arc<Published>) {
    let node = Arc::new(ScriptedNode::new());
    node.mine(10);
    let running = Running::start(&node);
    let published = running.ready();
    (node, running, published)
}

fn pay(node: &ScriptedNode, outputs: &[(u8, u64)]) -> bitcoin::Transaction {
    let (coin, _) = node
        .spendable()
        .into_iter()
        .find(|(_, coin)| coin.script_pubkey == script(0))
        .unwrap();
    transaction(&[coin], outputs)
}

#[test]
fn each_change_once_with_the_scripts_that_it_touches() {
    let (node, running, published) = begin();
    assert_eq!(published.view().sequence(), 1);
    let tx = pay(&node, &[(1, 10), (2, 20)]);
    node.state().add(&tx);
    running.handle.look();
    assert_eq!(running.update(), only(&[0, 1, 2]));
    running.check(&published);

    // A child, which has an unconfirmed parent.
    let parent = bitcoin::OutPoint::new(tx.compute_txid(), 1);
    let child = transaction(&[parent], &[(3, 5)]);
    node.state().add(&child);
    running.handle.look();
    assert_eq!(running.update(), only(&[2, 3]));

    // The block touches its miner and what it confirms; the child loses its unconfirmed parent.
    node.state().mine(&[tx]);
    assert_eq!(running.update(), only(&[0, 1, 2, 3]));
    assert_eq!(published.view().height(), 11);
    running.check(&published);

    let evicted = child.compute_txid();
    node.state().evict(&evicted);
    running.handle.look();
    assert_eq!(running.update(), only(&[2, 3]));
    running.check(&published);
    assert_eq!(published.view().sequence(), 5);

    // Nothing has changed, and nothing is told.
    assert!(running.settled().is_empty());
    running.stop();
}

#[test]
fn a_block_is_heard_of_without_being_told_to_look() {
    let (node, running, published) = begin();
    for height in 11..20 {
        node.mine(1);
        assert_eq!(running.update(), only(&[0]));
        assert_eq!(published.view().height(), height);
    }
    running.stop();
}

#[test]
fn after_a_reorg_everything_may_have_changed() {
    let (node, running, published) = begin();
    let tx = pay(&node, &[(1, 10)]);
    node.state().mine(&[tx]);
    assert_eq!(running.update(), only(&[0, 1]));
    let before = published.view();
    {
        let mut state = node.state();
        state.rewind(10);
        for _ in 0..4 {
            state.mine(&[]);
        }
    }
    assert_eq!(running.update(), Touched::Everything);
    running.check(&published);
    assert_eq!(
        published.view().mempool().len(),
        1,
        "the payment is unconfirmed again"
    );
    // Who still has the view of before still sees what was then.
    let hash = ScriptHash::from_script(&script(1));
    assert_eq!(before.balance(&hash, None).unwrap().confirmed.to_sat(), 10);
    assert_eq!(
        published
            .view()
            .balance(&hash, None)
            .unwrap()
            .confirmed
            .to_sat(),
        0
    );
    running.stop();
}

#[test]
fn a_node_that_steps_back_a_little_is_followed() {
    let (node, running, published) = begin();
    node.state().rewind(7);
    assert_eq!(running.update(), Touched::Everything);
    assert_eq!(published.view().height(), 7);
    running.check(&published);
    running.stop();
}

#[test]
fn a_node_that_begins_anew_is_waited_for() {
    let node = Arc::new(ScriptedNode::new());
    node.mine(200);
    let running = Running::start(&node);
    let published = running.ready();
    let blocks: Vec<_> = node.headers(21, 180).unwrap();
    node.state().rewind(20);
    assert!(matches!(running.next(), Told::Away(_)));
    assert_eq!(published.view().height(), 200, "what was known is served");
    node.state().reconnect(&blocks);
    running.handle.look();
    assert!(matches!(running.next(), Told::Back));
    assert!(running.settled().is_empty(), "nothing has changed");
    running.check(&published);
    running.stop();
}

/// What the node had before the call is published after it.
#[test]
fn who_cannot_wait_does_not_have_to() {
    let (node, running, published) = begin();
    for number in 1..=8 {
        let tx = pay(&node, &[(number, 10)]);
        let txid = node.state().add(&tx);
        assert!(running.handle.refresh(PATIENCE));
        assert!(published.view().mempool().get(&txid).is_some());
    }
    // Also when the round that is going on began before.
    let tx = pay(&node, &[(9, 10)]);
    let (txid, spent) = (tx.compute_txid(), tx.input[0].previous_output);
    let handle = running.handle.clone();
    let (asks, asked) = channel();
    node.after_listing(move |state| {
        state.add(&tx);
        let waiting = std::thread::spawn(move || handle.refresh(PATIENCE));
        asks.send(waiting).unwrap();
    });
    let (coin, _) = node
        .spendable()
        .into_iter()
        .rfind(|(coin, _)| *coin != spent)
        .unwrap();
    node.state().add(&transaction(&[coin], &[(10, 10)]));
    running.handle.look();
    assert!(asked.recv_timeout(PATIENCE).unwrap().join().unwrap());
    assert!(published.view().mempool().get(&txid).is_some());
    running.stop();
}

#[test]
fn without_the_mempool_there_are_blocks_only() {
    let node = Arc::new(ScriptedNode::new());
    node.mine(10);
    let tx = pay(&node, &[(1, 10)]);
    node.state().add(&tx);
    let options = SyncOptions {
        ignore_mempool: true,
        ..patient()
    };
    let running = Running::start_on(&node, Arc::default(), options);
    let published = running.ready();
    assert!(published.view().mempool().is_empty());
    node.state().mine(&[tx]);
    assert_eq!(running.update(), only(&[0, 1]));
    assert!(published.view().mempool().is_empty());
    running.stop();
}

/// Clients may ask for what is not there as often as they like: the mempool is not read for that.
#[test]
fn looking_for_blocks_does_not_read_the_mempool() {
    let (node, running, published) = begin();
    let listings = node.state().listings;
    for number in 1..=8 {
        let tx = pay(&node, &[(number, 10)]);
        node.state().add(&tx);
        assert!(running.handle.refresh_scope(RefreshScope::Blocks, PATIENCE));
    }
    assert_eq!(node.state().listings, listings);
    assert!(published.view().mempool().is_empty());
    // With a block its mempool is read.
    let hash = node.state().mine(&[]);
    assert!(running.handle.refresh_scope(RefreshScope::Blocks, PATIENCE));
    assert_eq!(published.view().tip_hash(), hash);
    running.check(&published);
    running.stop();
}

/// Whoever waits for the mempool's turn gets it, and all together do not make the node read it for more than its share.
#[test]
fn the_mempool_is_read_in_its_share_of_the_time() {
    let (node, running, published) = begin();
    node.mine(10);
    let takes = Duration::from_millis(20);
    node.state().listing_takes = takes;
    // The first reading, which says how long one takes.
    let tx = pay(&node, &[(100, 10)]);
    node.state().add(&tx);
    running.handle.refresh(PATIENCE);
    let before = node.state().listings;
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for client in 0..4_u8 {
            let (node, handle, published) = (&node, running.handle.clone(), &published);
            scope.spawn(move || {
                for number in 0..3 {
                    let tx = pay(node, &[(10 * client + number, 10)]);
                    let txid = node.state().add(&tx);
                    assert!(handle.refresh_scope(RefreshScope::MempoolInTurn, PATIENCE));
                    // Unless another client spent the same coin meanwhile.
                    let there = node.state().get(&txid).is_some();
                    assert!(!there || published.view().mempool().get(&txid).is_some());
                }
            });
        }
    });
    let readings = node.state().listings - before;
    let most = begun.elapsed().as_secs_f64() / (10.0 * takes.as_secs_f64()) + 1.0;
    assert!(
        readings > 0 && readings as f64 <= most,
        "{readings} > {most}"
    );
    running.stop();
}

/// The node does not notice that nobody waits any more: what it was asked to wait keeps one of its threads for as long.
#[test]
fn the_node_is_not_asked_to_wait_for_long() {
    let (node, running, _published) = begin();
    for _ in 0..3 {
        node.mine(1);
        running.update();
    }
    running.stop();
    let longest = node.state().longest_wait;
    assert!(
        longest > Duration::ZERO && longest <= Duration::from_secs(1),
        "{longest:?}"
    );
}
