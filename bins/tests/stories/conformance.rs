//! `electrum-tools conformance` against our server, which does everything, and against one that lies.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bitcoin::Amount;
use serde_json::{Value, json};

use crate::eventually;
use crate::node::{Coin, RegtestNode, Script, pay, spend};
use crate::server::{Server, command};

/// Blocks, the last but one with a payment, and three transactions in the mempool, two of them on top of others.
fn furnish(node: &RegtestNode) -> usize {
    let [miner, alice, bob] = [0, 1, 2].map(Script::new);
    node.mine(110, &miner);
    let fee = Amount::from_sat(2_000);
    let coin = node.coinbase(1, &miner);
    let half = (coin.value - fee) / 2;
    let payment = spend(
        &[coin],
        &[(alice.output_script(), half), (bob.output_script(), half)],
    );
    let spending = pay(Coin::of(&payment, 0, &alice), &bob, fee);
    node.mine_exactly(&[payment, spending], &miner);
    node.mine(1, &miner);
    let first = pay(node.coinbase(2, &miner), &alice, fee);
    let second = pay(Coin::of(&first, 0, &alice), &bob, fee);
    let third = pay(Coin::of(&second, 0, &bob), &alice, fee);
    [first, second, third]
        .map(|transaction| node.send(&transaction))
        .len()
}

fn conformance(port: u16, arguments: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let mut tools: Command = command("electrum-tools", dir.path());
    tools
        .args(["conformance", &format!("127.0.0.1:{port}"), "--json"])
        .args(arguments)
        .output()
        .unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn failed(report: &Value) -> Vec<&Value> {
    let checks = report["checks"].as_array().unwrap();
    let failed = checks.iter().filter(|check| check["outcome"] == "failed");
    failed.collect()
}

#[test]
fn our_server_does_everything_that_the_transcripts_say() {
    let node = RegtestNode::start();
    let waiting = furnish(&node);
    let mut server = Server::start(&node);
    eventually("the server knows the mempool", || {
        let mut wire = server.connect();
        let bins = wire.try_call("mempool.get_fee_histogram", json!([]))?;
        let tip = wire.try_call("blockchain.headers.subscribe", json!([]))?;
        let is_there = bins.as_array().is_some_and(|bins| !bins.is_empty());
        match is_there && tip["height"] == 112 {
            true => Ok(()),
            false => Err(format!("{waiting} transactions: {bins}")),
        }
    });
    let output = conformance(server.port, &[]);
    let report = report(&output);
    assert_eq!(failed(&report), Vec::<&Value>::new());
    assert_eq!(output.status.code(), Some(0));
    let versions = [
        "0.10", "1.0", "1.1", "1.2", "1.3", "1.4", "1.4.1", "1.4.2", "1.6", "1.7",
    ];
    assert_eq!(report["versions"], json!(versions));
    // The chain has everything that checks ask for; what is left out is only what did not happen.
    let checks = report["checks"].as_array().unwrap();
    for check in checks.iter().filter(|check| check["outcome"] == "skipped") {
        assert_eq!(check["reason"], "none came", "{check}");
    }
    // Once more while the chain grows: nothing becomes wrong by it, and notifications are looked at as well.
    let is_over = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                // What is in the mempool stays there.
                node.mine_exactly(&[], &Script::new(3));
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let output = conformance(server.port, &[]);
        is_over.store(true, Ordering::Relaxed);
        output
    });
    let report = self::report(&output);
    assert_eq!(failed(&report), Vec::<&Value>::new());
    let checks = report["checks"].as_array().unwrap();
    let is_notification = |check: &&Value| {
        let place = check["transcript"].as_str().unwrap();
        place.starts_with("notifications:") && check["outcome"] == "passed"
    };
    assert!(checks.iter().any(|check| is_notification(&check)));
    server.stop();
}

/// What the liar answers to a request of our own.
fn lie(request: &Value) -> Value {
    let header = "00".repeat(80);
    match request["method"].as_str().unwrap() {
        "server.version" => json!(["liar 1", "1.4"]),
        "blockchain.headers.subscribe" => json!({"hex": header, "height": 5, "more": true}),
        "blockchain.block.header" => json!(header),
        "mempool.get_fee_histogram" => json!([[1, 10], [2, 10]]),
        "server.ping" => json!("pong"),
        _ => Value::Null,
    }
}

/// Answers every line of every connection, the wrong way.
fn serve_lies(stream: TcpStream) {
    let mut writer = stream.try_clone().unwrap();
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let reply = match serde_json::from_str::<Value>(&line) {
            Ok(request) if request["method"].is_string() => {
                json!({"jsonrpc": "2.0", "id": request["id"], "result": lie(&request)})
            }
            _ => json!({"jsonrpc": "2.0", "id": null, "result": null}),
        };
        if writeln!(writer, "{reply}").is_err() {
            return;
        }
    }
}

#[test]
fn a_server_that_lies_is_found_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // It ends with the test program.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve_lies(stream.unwrap()));
        }
    });
    let output = conformance(port, &["--protocol", "1.4", "--timeout", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let report = report(&output);
    assert_eq!(report["software"], "liar 1");
    let failed = failed(&report);
    let failure = |method: &str, level: &str| {
        let mut found = failed
            .iter()
            .filter(|check| check["method"] == method && check["level"] == level);
        found
            .next()
            .unwrap_or_else(|| panic!("no failure of {method}: {failed:?}"))
    };
    let histogram = failure("mempool.get_fee_histogram", "must");
    let expected = histogram["expected"].as_str().unwrap();
    assert!(expected.contains("do not fall strictly"), "{expected}");
    assert_eq!(failure("server.ping", "must")["expected"], ".result null");
    let more = failure("blockchain.headers.subscribe", "should");
    assert_eq!(more["expected"], ".result without `more`");
    let unknown = failed
        .iter()
        .find(|check| check["check"] == "an unknown method")
        .unwrap();
    assert_eq!(unknown["expected"], "a reply with `error`");
    assert!(unknown["got"].as_str().unwrap().contains("null"));
    // What it got right is not held against it.
    let checks = report["checks"].as_array().unwrap();
    let right = checks
        .iter()
        .find(|check| check["check"] == "one version" && check["version"] == "1.4");
    assert_eq!(right.unwrap()["outcome"], "passed");

    let only = conformance(
        port,
        &[
            "--protocol",
            "1.4",
            "--method",
            "server.ping",
            "--level",
            "must",
        ],
    );
    let only: Value = serde_json::from_slice(&only.stdout).unwrap();
    let checks = only["checks"].as_array().unwrap();
    assert!(checks.iter().all(|check| {
        check["level"] == "must" && check["method"] == "server.ping" && check["version"] == "1.4"
    }));
    assert_eq!(only["totals"]["must"]["failed"], 1);
}

#[test]
fn what_cannot_be_asked_is_no_failure_of_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    assert_eq!(conformance(port, &[]).status.code(), Some(3));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("wrong.txt"), "= a check\nS: {\n").unwrap();
    let folder = dir.path().to_str().unwrap();
    let output = conformance(port, &["--transcripts", folder]);
    assert_eq!(output.status.code(), Some(1));
    let error = report(&output)["error"]["message"].to_string();
    assert!(error.contains("wrong, line 2"), "{error}");
}
