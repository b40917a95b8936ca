//! A node that stops answering, that is another one, or that has pruned its blocks; and what is left behind at the node.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::eventually;
use crate::node::{RegtestNode, Script};
use crate::server::Server;

/// Much longer than stopping takes, and shorter than one wait after the other would be.
const SOON: Duration = Duration::from_secs(10);

/// A node whose process is stopped: it accepts connections, and never answers.
struct Stopped<'a>(&'a RegtestNode);

impl<'a> Stopped<'a> {
    fn new(node: &'a RegtestNode) -> Self {
        signal(node, "STOP");
        Self(node)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

fn signal(node: &RegtestNode, name: &str) {
    let pid = node.pid().unwrap().to_string();
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid])
        .status()
        .unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}

fn stops_soon(server: &mut Server) {
    let begun = Instant::now();
    server.stop();
    let took = begun.elapsed();
    assert!(took < SOON, "stopping took {took:?}:\n{}", server.log());
}

#[test]
fn stopping_does_not_wait_for_the_node() {
    let node = RegtestNode::start();
    node.mine(101, &Script::new(0));
    let mut server = Server::start(&node);
    {
        let _stopped = Stopped::new(&node);
        // More than are asked at a time, and a transaction.
        let mut waiting: Vec<_> = (0..20_u8)
            .map(|number| {
                let mut wire = server.connect();
                let txid = format!("{number:02x}").repeat(32);
                wire.send("blockchain.transaction.get", json!([txid, true]))
                    .unwrap();
                wire
            })
            .collect();
        let mut wire = server.connect();
        wire.send("blockchain.transaction.broadcast", json!(["00"]))
            .unwrap();
        waiting.push(wire);
        // The writer asks twice a second: by then it waits for an answer as well.
        std::thread::sleep(Duration::from_secs(1));
        stops_soon(&mut server);
    }
    // While it waits for the node at its start.
    {
        let _stopped = Stopped::new(&node);
        server.resume();
        std::thread::sleep(Duration::from_millis(500));
        stops_soon(&mut server);
    }
    server.resume();
    server.wait_until_ready();
    stops_soon(&mut server);
}

#[test]
fn restarts_leave_no_thread_of_the_node_waiting() {
    let node = RegtestNode::start_with(&["-rest=1", "-rpcthreads=4"]);
    node.mine(101, &Script::new(0));
    let mut server = Server::start(&node);
    // With the last one below, as many waits are left behind as the node has threads.
    for _ in 0..3 {
        // The wait for the next block has begun.
        std::thread::sleep(Duration::from_millis(200));
        server.kill();
        server.resume();
        server.wait_until_ready();
    }
    std::thread::sleep(Duration::from_millis(200));
    server.kill();
    let begun = Instant::now();
    node.rpc("getblockcount", &[]);
    let took = begun.elapsed();
    assert!(took < SOON, "the node answered after {took:?}");
    server.resume();
    server.wait_until_ready();
    server.stop();
}

/// A web server, or whatever else has the node's port.
fn something_else(listener: &TcpListener) {
    while let Ok((mut stream, _)) = listener.accept() {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let body = "<html>It works!</html>";
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
    }
}

#[test]
fn another_node_does_not_cost_the_index() {
    let node = RegtestNode::start();
    node.mine(250, &Script::new(0));
    let mut server = Server::start(&node);
    server.stop();
    let other = RegtestNode::start();
    other.mine(120, &Script::new(1));
    let address = format!("--daemon-rpc-addr={}", other.rpc_address());
    let daemon_dir = format!("--daemon-dir={}", other.daemon_dir().display());
    server.set_overrides(&[&address, &daemon_dir]);
    server.resume();
    eventually("the server says what is wrong", || {
        match server.log().contains("less work than the index has") {
            true => Ok(()),
            false => Err(server.log()),
        }
    });
    assert!(server.is_running());
    server.stop();

    // An answer that is none.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("--daemon-rpc-addr={}", listener.local_addr().unwrap());
    std::thread::spawn(move || something_else(&listener));
    server.set_overrides(&[&address, &daemon_dir]);
    server.resume();
    eventually("the server says what is wrong", || {
        match server.log().contains("malformed answer of the node") {
            true => Ok(()),
            false => Err(server.log()),
        }
    });
    std::thread::sleep(Duration::from_secs(2));
    assert!(server.is_running(), "{}", server.log());
    server.stop();

    server.set_overrides(&[]);
    server.resume();
    server.wait_until_ready();
    let tip = server
        .connect()
        .call("blockchain.headers.subscribe", json!([]));
    assert_eq!(tip["height"], json!(250));
    server.stop();
    let log = server.log();
    assert!(!log.contains("undoing") && !log.contains("delete"), "{log}");
    // It has never begun anew.
    assert_eq!(log.matches("beginning an index").count(), 1, "{log}");
}

#[test]
fn an_index_is_served_when_the_node_has_begun_to_prune() {
    let mut node = RegtestNode::start_with(&["-rest=1", "-fastprune"]);
    node.mine(700, &Script::new(0));
    let mut server = Server::start(&node);
    server.stop();
    node.stop();
    node.set_arguments(&["-rest=1", "-fastprune", "-prune=1"]);
    node.launch();
    node.rpc("pruneblockchain", &[json!(400)]);
    node.mine(1, &Script::new(1));
    server.resume();
    server.wait_until_ready();
    let mut wire = server.connect();
    let tip = wire.call("blockchain.headers.subscribe", json!([]));
    assert_eq!(tip["height"], json!(701));
    let hash = crate::script_hash(Script::new(0).output_script().as_bytes());
    let history = wire.call("blockchain.scripthash.get_history", json!([hash]));
    assert_eq!(history.as_array().unwrap().len(), 700);
    // A transaction that the node does not have any more is an error in its words; a kept one is there.
    let txid = |index: usize| history[index]["tx_hash"].clone();
    let error = wire
        .try_call("blockchain.transaction.get", json!([txid(0)]))
        .unwrap_err();
    assert!(error.contains("Block not available"), "{error}");
    wire.call("blockchain.transaction.get", json!([txid(699)]));
    let proof = wire.call("blockchain.transaction.get_merkle", json!([txid(0), 1]));
    assert_eq!(proof["block_height"], json!(1));
    node.mine(1, &Script::new(1));
    eventually("the server follows", || {
        let tip = wire.try_call("blockchain.headers.subscribe", json!([]))?;
        match tip["height"] == json!(702) {
            true => Ok(()),
            false => Err(tip.to_string()),
        }
    });
    server.stop();
    assert!(server.log().contains("the node prunes its blocks"));
}
