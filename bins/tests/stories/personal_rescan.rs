//! Looking for what was before: in blocks that the node has pruned and its peers have, and again after being killed on the
//! way.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bitcoin::Amount;
use serde_json::{Value, json};

use crate::eventually;
use crate::node::{Coin, RegtestNode, Script, free_port, spend};
use crate::script_hash;
use crate::server::Server;

const FEE: Amount = Amount::from_sat(10_000);

/// Whose wallet is watched.
fn alice() -> Script {
    Script::new(7)
}

/// Blocks with something for her, some of it spent again, between many that have nothing.
fn pay_alice(node: &RegtestNode, first: u32, apart: u32) {
    let miner = Script::new(0);
    let mut coin = node.coinbase(first, &miner);
    for round in 0..4 {
        let part = (coin.value - FEE) / 2;
        let outputs = [
            (alice().output_script(), part),
            (miner.output_script(), part),
        ];
        let payment = spend(&[coin], &outputs);
        coin = Coin::of(&payment, 1, &miner);
        node.mine_exactly(std::slice::from_ref(&payment), &Script::new(1));
        node.mine(apart, &Script::new(1));
        if round % 2 == 0 {
            let own = Coin::of(&payment, 0, &alice());
            let back = spend(&[own], &[(Script::new(3).output_script(), part - FEE)]);
            node.mine_exactly(&[back], &Script::new(1));
        }
    }
}

/// Everything that a server tells of her, with her transactions and their proofs.
fn told(server: &Server) -> Vec<Value> {
    let mut wire = server.connect();
    let script_hash = json!([script_hash(alice().output_script().as_bytes())]);
    let mut told: Vec<Value> = ["get_history", "get_balance", "listunspent", "subscribe"]
        .iter()
        .map(|what| {
            wire.call(
                &format!("blockchain.scripthash.{what}"),
                script_hash.clone(),
            )
        })
        .collect();
    for entry in told[0].as_array().unwrap().clone() {
        let (txid, height) = (&entry["tx_hash"], &entry["height"]);
        told.push(wire.call("blockchain.transaction.get", json!([txid])));
        told.push(wire.call("blockchain.transaction.get_merkle", json!([txid, height])));
    }
    told
}

fn history_length(server: &Server) -> usize {
    told(server)[0].as_array().unwrap().len()
}

#[test]
fn pruned_blocks_come_from_the_peers_of_the_node() {
    let p2p = format!("127.0.0.1:{}", free_port());
    let whole = RegtestNode::start_with(&["-rest=1", "-listen=1", &format!("-bind={p2p}")]);
    whole.mine(130, &Script::new(0));
    pay_alice(&whole, 1, 10);
    whole.mine(700, &Script::new(1));
    let truth = told(&Server::start(&whole));
    assert_eq!(truth[0].as_array().unwrap().len(), 6);

    for filters in [&["-blockfilterindex=1"][..], &[]] {
        let node =
            RegtestNode::start_with(&[&["-prune=1", "-fastprune", "-rest=1"], filters].concat());
        let connect = || {
            node.rpc("addnode", &[json!(p2p), json!("onetry")]);
            eventually("the nodes know each other", || {
                match node.rpc("getpeerinfo", &[]) {
                    peers if peers.to_string().contains("\"NETWORK\"") => Ok(()),
                    peers => Err(peers.to_string()),
                }
            });
        };
        connect();
        eventually("the node has the chain", || match node.height() {
            height if height == whole.height() => Ok(()),
            height => Err(height.to_string()),
        });
        let filtered = json!({"basic block filter index": {"synced": true, "best_block_height": whole.height()}});
        if !filters.is_empty() {
            eventually("the node has its filters", || {
                match node.rpc("getindexinfo", &[]) {
                    state if state == filtered => Ok(()),
                    state => Err(state.to_string()),
                }
            });
        }
        let pruned = node.rpc("pruneblockchain", &[json!(600)]);
        assert!(pruned.as_u64().unwrap() > 200, "{pruned}");
        let hash = node.block_hash(140).to_string();
        assert!(node.try_rpc("getblock", &[json!(hash)]).is_err());

        // Without being told to ask a peer, it says what it does not know.
        let wallet = format!("alice={}", alice().address());
        let arguments = ["--wallet", &wallet, "--wallet-birth", "125"];
        let mut server = Server::start_with(&node, &arguments);
        assert_eq!(complaints(&server), 1);
        assert_eq!(history_length(&server), 0);
        assert!(banner(&server).contains("pruned"), "{}", banner(&server));
        server.stop();

        // A peer that is not there cannot help, neither now nor at the next start.
        let peer = node.rpc("getpeerinfo", &[])[0]["id"].clone();
        node.rpc("disconnectnode", &[json!(""), peer]);
        eventually("the peer is gone", || match node.rpc("getpeerinfo", &[]) {
            none if none == json!([]) => Ok(()),
            peers => Err(peers.to_string()),
        });
        server.add_arguments(&["--fetch-pruned-blocks"]);
        server.resume();
        server.wait_until_ready();
        assert_eq!(complaints(&server), 2);
        assert_eq!(history_length(&server), 0);
        server.stop();

        // With one, it makes up for what it had to leave out.
        connect();
        server.resume();
        server.wait_until_ready();
        assert_eq!(told(&server), truth);
        assert_eq!(complaints(&server), 2);
        assert!(!banner(&server).contains("pruned"), "{}", banner(&server));
        server.stop();
        server.resume();
        server.wait_until_ready();
        assert_eq!(told(&server), truth);
        server.stop();
    }
}

/// How often it has said that the node has pruned blocks that it would have to look at.
fn complaints(server: &Server) -> usize {
    server.log().matches("the node has pruned").count()
}

fn banner(server: &Server) -> String {
    server
        .connect()
        .call("server.banner", json!([]))
        .to_string()
}

#[test]
fn a_rescan_that_is_killed_goes_on_where_it_was() {
    let node = RegtestNode::start();
    node.mine(130, &Script::new(0));
    pay_alice(&node, 1, 10);
    node.mine(1700, &Script::new(1));
    pay_alice(&node, 2, 200);
    let truth = told(&Server::start(&node));
    assert_eq!(truth[0].as_array().unwrap().len(), 12);
    let blocks = node.height() as usize;
    assert!(blocks > 2_500, "more than what is looked at in one go");

    // Of the node it gets a part of the blocks, and is killed when it waits for the next.
    let gate = Gate::before(&node);
    gate.let_through(2_300);
    let wallet = format!("alice={}", alice().address());
    let mut server = Server::spawn(
        &node,
        &[
            "--daemon-rpc-addr",
            &gate.address,
            "--wallet",
            &wallet,
            "--jsonrpc-import",
        ],
    );
    eventually("it waits for a block", || match gate.asked() {
        asked if asked > 2_300 => Ok(()),
        asked => Err(format!("{asked} asked for")),
    });
    assert!(server.connect_silently().is_err(), "it is not ready");
    server.kill();

    let asked = gate.asked();
    gate.let_through(usize::MAX);
    server.resume();
    server.wait_until_ready();
    assert_eq!(told(&server), truth);
    let again = gate.asked() - asked;
    assert!(
        again < 1_000,
        "{again} of {blocks} blocks were asked for again"
    );

    // What was found once is not looked for at the next start.
    let asked = gate.asked();
    server.kill();
    server.resume();
    server.wait_until_ready();
    assert_eq!(told(&server), truth);
    let again = gate.asked() - asked;
    assert!(
        again < 20,
        "{again} of {blocks} blocks were asked for again"
    );
    server.stop();
}

/// Stands before a node and counts the blocks that it is asked for over REST; what is too many waits.
struct Gate {
    address: String,
    asked: Arc<AtomicUsize>,
    limit: Arc<AtomicUsize>,
}

impl Gate {
    fn before(node: &RegtestNode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Self {
            address: listener.local_addr().unwrap().to_string(),
            asked: Arc::default(),
            limit: Arc::new(AtomicUsize::new(usize::MAX)),
        };
        let node = node.rpc_address();
        let (asked, limit) = (gate.asked.clone(), gate.limit.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                // The node is gone when the test is over.
                let Ok(upstream) = TcpStream::connect(&node) else {
                    return;
                };
                let back = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                let (asked, limit) = (asked.clone(), limit.clone());
                std::thread::spawn(move || pass_requests(client, upstream, &asked, &limit));
                std::thread::spawn(move || pass_answers(back.0, back.1));
            }
        });
        gate
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn let_through(&self, blocks: usize) {
        self.limit.store(blocks, Ordering::SeqCst);
    }
}

/// A client sends a request only when the one before was answered, in one piece.
fn pass_requests(
    mut client: TcpStream,
    mut node: TcpStream,
    asked: &AtomicUsize,
    limit: &AtomicUsize,
) {
    let mut request = [0; 65_536];
    while let Ok(length @ 1..) = client.read(&mut request) {
        if request.starts_with(b"GET /rest/block/") {
            let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
            while number > limit.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        if node.write_all(&request[..length]).is_err() {
            break;
        }
    }
    let _ = node.shutdown(Shutdown::Both);
}

fn pass_answers(mut node: TcpStream, mut client: TcpStream) {
    let _ = std::io::copy(&mut node, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}
