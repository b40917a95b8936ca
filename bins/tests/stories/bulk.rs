//! A long chain is indexed in bulk: from the node's files, killed at any moment, then followed; transactions come from
//! the files as well.

use std::time::Duration;

use bitcoin::Amount;
use bitcoin::consensus::encode::serialize_hex;
use serde_json::{Value, json};

use crate::eventually;
use crate::node::{Coin, RegtestNode, Script, spend};
use crate::oracle::Oracle;
use crate::server::Server;

const FEE: Amount = Amount::from_sat(1000);

/// Worth a bulk build: half of the blocks spend something.
pub(crate) fn long_chain(node: &RegtestNode) {
    let miner = Script::new(0);
    node.mine(520, &miner);
    for height in 1..=200 {
        let coin = node.coinbase(height, &miner);
        let value = (coin.value - FEE) / 2;
        let outputs = [
            (Script::new(1 + height % 20).output_script(), value),
            (miner.output_script(), value),
        ];
        let payment = spend(&[coin], &outputs);
        let rest = Coin::of(&payment, 1, &miner);
        let change = spend(&[rest], &[(Script::new(50).output_script(), value - FEE)]);
        node.mine_exactly(&[payment, change], &miner);
    }
}

/// All transactions of the chain, as the server sends them.
fn check_transactions(node: &RegtestNode, server: &Server) {
    let mut wire = server.connect();
    for height in 1..=node.height() {
        for transaction in node.block(node.block_hash(height)).txdata {
            let txid = transaction.compute_txid().to_string();
            let found = wire.call("blockchain.transaction.get", json!([txid]));
            assert_eq!(found, Value::from(serialize_hex(&transaction)), "{txid}");
        }
    }
}

#[test]
fn a_long_chain_is_built_from_the_files_and_survives_being_killed() {
    let node = RegtestNode::start();
    long_chain(&node);
    let mut server = Server::spawn(&node, &["--db-mem-mib", "64", "-vvv"]);
    for attempt in 0..30_u64 {
        std::thread::sleep(Duration::from_millis(7 * attempt));
        server.kill();
        server.resume();
    }
    server.wait_until_ready();
    assert!(server.log().contains("reading blocks from the files in"));
    let mut oracle = Oracle::default();
    let truth = oracle.read(&node);
    truth.compare(&mut server.connect()).unwrap();
    check_transactions(&node, &server);

    // From here on it follows.
    let coin = node.coinbase(300, &Script::new(0));
    let value = coin.value - FEE;
    let payment = spend(&[coin], &[(Script::new(3).output_script(), value)]);
    node.send(&payment);
    let last = node.mine(2, &Script::new(0))[0];
    let mut compare = |step: &str| {
        let truth = oracle.read(&node);
        eventually(step, || truth.compare(&mut server.connect()));
    };
    compare("followed after a bulk build");
    // Into the blocks that were built in bulk, and out again on another branch.
    node.invalidate(last);
    node.invalidate(node.block_hash(node.height() - 3));
    compare("undone");
    node.mine(7, &Script::new(4));
    compare("another branch");
    server.kill();
    server.resume();
    server.wait_until_ready();
    let truth = oracle.read(&node);
    truth.compare(&mut server.connect()).unwrap();
    check_transactions(&node, &server);
    server.stop();
}

#[test]
fn without_files_blocks_and_transactions_come_from_the_node() {
    let node = RegtestNode::start();
    long_chain(&node);
    for more in [
        &["--jsonrpc-import"][..],
        // A folder that is not there is none of ours to complain about, unless it was named.
        &[
            "--daemon-dir",
            "/nowhere",
            "--cookie-file",
            node.cookie_file().to_str().unwrap(),
        ],
    ] {
        let mut server = Server::start_with(&node, more);
        assert!(!server.log().contains("reading blocks from the files"));
        let truth = Oracle::default().read(&node);
        truth.compare(&mut server.connect()).unwrap();
        check_transactions(&node, &server);
        server.stop();
    }
    let mut server = Server::spawn(&node, &["--blocks-dir", "/nowhere/blocks"]);
    assert_eq!(server.wait().code(), Some(1));
    let log = server.log();
    assert!(
        log.contains("--blocks-dir") && log.contains("/nowhere/blocks"),
        "{log}"
    );
}
