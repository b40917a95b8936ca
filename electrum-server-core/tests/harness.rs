//! The tests' own node and coins work.

mod common;

use bitcoin::Amount;
use common::{Coin, RegtestNode, Script, pay};

#[test]
fn a_node_mines_spends_reorganises_and_restarts() {
    let mut node = RegtestNode::start();
    let miner = Script::new(0);
    node.mine(101, &miner);
    assert_eq!(node.height(), 101);

    let payment = pay(
        node.coinbase(1, &miner),
        &Script::new(1),
        Amount::from_sat(500),
    );
    assert_eq!(node.send(&payment), payment.compute_txid());
    assert_eq!(node.mempool(), [payment.compute_txid()]);

    let child = pay(
        Coin::of(&payment, 0, &Script::new(1)),
        &Script::new(2),
        Amount::from_sat(500),
    );
    let block = node.mine_exactly(&[payment.clone(), child.clone()], &miner);
    assert_eq!(node.block(block).txdata[1..], [payment, child]);
    assert_eq!(node.mempool(), []);

    node.invalidate(block);
    assert_eq!(node.height(), 101);
    node.stop();
    node.launch();
    assert_eq!(node.height(), 101);
    node.kill();
    node.launch();
    assert_eq!(node.mine(1, &miner).len(), 1);
}
