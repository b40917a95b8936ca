//! Transactions that a command relays: none of them reaches the node, whichever method hands it in.

use std::fs;
use std::path::Path;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Amount, OutPoint, Transaction};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::eventually;
use crate::node::{Coin, RegtestNode, Script, pay};
use crate::server::Server;

const FEE: Amount = Amount::from_sat(10_000);

/// A parent and its child, which the node would take.
fn family(node: &RegtestNode) -> [Transaction; 2] {
    node.mine(101, &Script::new(0));
    let parent = pay(node.coinbase(1, &Script::new(0)), &Script::new(1), FEE);
    let coin = Coin {
        outpoint: OutPoint::new(parent.compute_txid(), 0),
        value: parent.output[0].value,
        script: Script::new(1),
    };
    [pay(coin, &Script::new(2), FEE), parent]
}

fn start(node: &RegtestNode, dir: &TempDir, command: &str) -> Server {
    let command = command.replace("$DIR", dir.path().to_str().unwrap());
    Server::start_with(node, &["--broadcast-command", &command])
}

fn text(dir: &TempDir, file: &str) -> String {
    fs::read_to_string(dir.path().join(file)).unwrap_or_default()
}

#[test]
fn the_command_gets_every_transaction_and_the_node_none() {
    let node = RegtestNode::start();
    let dir = TempDir::new().unwrap();
    let [child, parent] = family(&node);
    let command = "head -c 1000000 /dev/zero >&2; cat >> $DIR/got";
    let mut server = start(&node, &dir, command);
    let mut wire = server.connect();
    let hex = serialize_hex(&parent);
    let told = wire.call("blockchain.transaction.broadcast", json!([hex]));
    assert_eq!(told, json!(parent.compute_txid()));
    assert_eq!(text(&dir, "got"), format!("{hex}\n"));
    assert_eq!(node.mempool(), []);

    let package = json!([hex, serialize_hex(&child)]);
    for verbose in [false, true] {
        fs::remove_file(dir.path().join("got")).unwrap();
        let told = wire.call(
            "blockchain.transaction.broadcast_package",
            json!([package, verbose]),
        );
        match verbose {
            false => assert_eq!(told["success"], json!(true), "{told}"),
            true => assert_eq!(told["package_msg"], json!("success"), "{told}"),
        }
        let lines = format!("{hex}\n{}\n", serialize_hex(&child));
        assert_eq!(text(&dir, "got"), lines);
        assert_eq!(node.mempool(), []);
    }
    // What only asks is still asked of the node.
    let mut wire = server.connect_silently().unwrap();
    wire.call("server.version", json!(["story", "1.7"]));
    let told = wire.call("blockchain.transaction.testmempoolaccept", json!([[hex]]));
    assert_eq!(told[0]["allowed"], json!(true), "{told}");
    assert_eq!(node.mempool(), []);
    assert!(!server.log().contains(&hex));
    server.stop();
}

#[test]
fn a_command_for_single_transactions_gets_no_packages_and_neither_does_the_node() {
    let node = RegtestNode::start();
    let dir = TempDir::new().unwrap();
    let [child, parent] = family(&node);
    let mut server = start(&node, &dir, "echo %s >> $DIR/got");
    let mut wire = server.connect();
    let package = json!([[serialize_hex(&parent), serialize_hex(&child)]]);
    let told = wire.try_call("blockchain.transaction.broadcast_package", package);
    assert!(
        told.as_ref()
            .is_err_and(|told| told.contains("standard input")),
        "{told:?}"
    );
    assert_eq!(node.mempool(), []);
    assert_eq!(text(&dir, "got"), "");
    let hex = serialize_hex(&parent);
    let told = wire.call("blockchain.transaction.broadcast", json!([hex]));
    assert_eq!(told, Value::from(parent.compute_txid().to_string()));
    assert_eq!(text(&dir, "got"), format!("{hex}\n"));
    server.stop();
}

#[test]
fn a_command_ends_with_the_server() {
    let node = RegtestNode::start();
    let dir = TempDir::new().unwrap();
    let [_, parent] = family(&node);
    let mut server = start(&node, &dir, "sleep 1000 & echo $! > $DIR/pid; wait");
    let mut wire = server.connect();
    wire.send(
        "blockchain.transaction.broadcast",
        json!([serialize_hex(&parent)]),
    )
    .unwrap();
    let pid = eventually("the command runs", || match text(&dir, "pid") {
        pid if pid.ends_with('\n') => Ok(pid.trim().to_owned()),
        _ => Err(server.log()),
    });
    server.stop();
    let stat = Path::new("/proc").join(pid).join("stat");
    eventually("its child is dead", || match fs::read_to_string(&stat) {
        // A zombie does nothing any more.
        Ok(stat) if !stat.contains(") Z ") => Err(stat),
        _ => Ok(()),
    });
}
