//! How long a block takes from the node to a subscriber: a benchmark, run by `contrib/bench-notify.sh`.

use std::time::{Duration, Instant};

use bitcoin::{Amount, Transaction};
use serde_json::json;

use crate::node::{Coin, RegtestNode, Script, pay, spend};
use crate::server::Server;
use crate::wire::Wire;
use crate::{eventually, script_hash};

const BLOCKS: u32 = 30;
const PAYMENTS: u32 = 500;

#[test]
#[ignore = "a benchmark: run contrib/bench-notify.sh"]
fn from_the_node_to_the_subscriber() {
    let node = RegtestNode::start();
    node.mine(BLOCKS, &Script::new(0));
    node.mine(100, &Script::new(1));
    let server = Server::start(&node);
    let mut coins = fan_out(&node, PAYMENTS);
    println!(
        "milliseconds from the node's announcement of a block to a subscriber, median and maximum"
    );
    measure(
        &node,
        &server,
        &format!("{BLOCKS} blocks without payments"),
        Vec::new,
    );
    measure(
        &node,
        &server,
        &format!("{BLOCKS} blocks of {PAYMENTS} payments"),
        || {
            let payments: Vec<Transaction> = coins
                .iter()
                .map(|coin| pay(*coin, &coin.script, Amount::from_sat(300)))
                .collect();
            for (coin, payment) in coins.iter_mut().zip(&payments) {
                *coin = Coin::of(payment, 0, &coin.script);
            }
            payments
        },
    );
}

/// Makes `count` coins of our own.
fn fan_out(node: &RegtestNode, count: u32) -> Vec<Coin> {
    let coin = node.coinbase(1, &Script::new(0));
    let value = (coin.value - Amount::from_sat(1_000_000)) / u64::from(count);
    let scripts: Vec<Script> = (0..count)
        .map(|number| Script::new(1000 + number))
        .collect();
    let outputs: Vec<_> = scripts
        .iter()
        .map(|script| (script.output_script(), value))
        .collect();
    let transaction = spend(&[coin], &outputs);
    node.send(&transaction);
    node.mine(1, &Script::new(1));
    (0..count)
        .zip(&scripts)
        .map(|(vout, script)| Coin::of(&transaction, vout, script))
        .collect()
}

fn measure(
    node: &RegtestNode,
    server: &Server,
    what: &str,
    mut payments: impl FnMut() -> Vec<Transaction>,
) {
    let miner = Script::new(2);
    let hash = script_hash(miner.output_script().as_bytes());
    let (mut header, mut status) = (Vec::new(), Vec::new());
    for _ in 0..BLOCKS {
        let mut wire = server.connect();
        wait_for_tip(node, &mut wire);
        for payment in payments() {
            node.send(&payment);
        }
        wire.call("blockchain.headers.subscribe", json!([]));
        wire.call("blockchain.scripthash.subscribe", json!([hash]));
        let tip = node.tip_hash().to_string();
        let (announced, seen) = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let known = json!(tip);
                node.rpc("waitfornewblock", &[json!(60_000), known]);
                Instant::now()
            });
            let subscriber = scope.spawn(|| {
                let mut seen = (None, None);
                while seen.0.is_none() || seen.1.is_none() {
                    let notification = wire.notification().unwrap();
                    let now = Some(Instant::now());
                    match notification["method"].as_str() {
                        Some("blockchain.headers.subscribe") => seen.0 = now,
                        _ => seen.1 = now,
                    }
                }
                seen
            });
            node.mine(1, &miner);
            (waiter.join().unwrap(), subscriber.join().unwrap())
        });
        header.push(seen.0.unwrap().saturating_duration_since(announced));
        status.push(seen.1.unwrap().saturating_duration_since(announced));
    }
    println!(
        "{what}: header {}, status {}",
        figures(header),
        figures(status)
    );
}

fn wait_for_tip(node: &RegtestNode, wire: &mut Wire) {
    eventually("the server is at the tip", || {
        let tip = wire.try_call("blockchain.headers.subscribe", json!([]))?;
        if tip["height"] == json!(node.height()) {
            Ok(())
        } else {
            Err(tip.to_string())
        }
    });
}

fn figures(mut times: Vec<Duration>) -> String {
    times.sort();
    let milliseconds = |time: &Duration| time.as_secs_f64() * 1e3;
    let median = times.get(times.len() / 2).map_or(0.0, milliseconds);
    let maximum = times.last().map_or(0.0, milliseconds);
    format!("{median:.1} and {maximum:.1}")
}
