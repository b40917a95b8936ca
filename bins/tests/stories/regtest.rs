//! The life of a chain: every answer about every script is compared with the node after every step.

use std::collections::BTreeMap;

use bitcoin::{Amount, ScriptBuf, Transaction};
use serde_json::{Value, json};

use crate::node::{Coin, RegtestNode, Script, spend};
use crate::oracle::{Oracle, Truth};
use crate::server::Server;
use crate::wire::Wire;
use crate::{eventually, script_hash};

/// Blocks until a coinbase can be spent.
const MATURITY: u32 = 100;
/// High enough to be mined even after the mempool was full.
const FEE: u64 = 20_000;

#[test]
fn every_answer_follows_the_node() {
    let mut story = Story::begin();
    story.receive_and_spend();
    story.chain_in_the_mempool();
    story.replace_by_fee();
    story.server_stops_and_starts();
    story.reorg_of_one_block();
    story.node_restarts();
    story.reorg_of_ten_blocks();
    story.killed_while_it_catches_up();
    story.reorg_while_the_server_is_down();
    story.eviction_from_a_full_mempool();
    story.server.stop();
}

struct Story {
    node: RegtestNode,
    server: Server,
    oracle: Oracle,
    subscriber: Subscriber,
    /// Mature outputs nobody has used yet.
    coins: Vec<Coin>,
    /// Number of the next fresh script.
    next: u32,
}

impl Story {
    fn begin() -> Self {
        let node = RegtestNode::start_with(&["-rest=1", "-maxmempool=5"]);
        node.mine(20, &Script::new(0));
        node.mine(MATURITY, &Script::new(1));
        let coins = (1..=20)
            .map(|height| node.coinbase(height, &Script::new(0)))
            .collect();
        let server = Server::start(&node);
        let subscriber = Subscriber::new(&server);
        let oracle = Oracle::default();
        let mut story = Self {
            node,
            server,
            oracle,
            subscriber,
            coins,
            next: 100,
        };
        story.check("after the first sync");
        story
    }

    fn fresh(&mut self) -> Script {
        self.next += 1;
        Script::new(self.next)
    }

    /// Spends `from` to fresh scripts, the fee aside, in equal parts.
    fn pay(&mut self, from: &[Coin], parts: u32, fee: u64) -> (Transaction, Vec<Coin>) {
        let sum: Amount = from.iter().map(|coin| coin.value).sum();
        let value = (sum - Amount::from_sat(fee)) / u64::from(parts);
        let scripts: Vec<Script> = (0..parts).map(|_| self.fresh()).collect();
        let outputs: Vec<(ScriptBuf, Amount)> = scripts
            .iter()
            .map(|script| (script.output_script(), value))
            .collect();
        let transaction = spend(from, &outputs);
        let coins = (0..parts)
            .zip(&scripts)
            .map(|(vout, script)| Coin::of(&transaction, vout, script));
        let coins = coins.collect();
        (transaction, coins)
    }

    /// The server answers everything as the node has it, and has told the subscriber so.
    fn check(&mut self, step: &str) -> Truth {
        let truth = self.oracle.read(&self.node);
        let mut wire = self.server.connect();
        eventually(step, || truth.compare(&mut wire));
        self.subscriber.follow(step, &truth, &mut wire);
        truth
    }

    fn receive_and_spend(&mut self) {
        let from = self.coins.pop().unwrap();
        let (payment, coins) = self.pay(&[from], 3, FEE);
        self.node.send(&payment);
        self.check("a payment in the mempool");
        self.node.mine(1, &Script::new(2));
        self.check("a payment in a block");
        // Two inputs, one of which shares its script with the change.
        let back = spend(
            &coins[..2],
            &[(coins[0].script.output_script(), coins[0].value)],
        );
        self.node.send(&back);
        self.check("an output spent in the mempool");
        self.node.mine(1, &Script::new(2));
        let truth = self.check("an output spent in a block");
        let mut wire = self.server.connect();
        truth.check_proofs(&mut wire);
        truth.check_header_proofs(&mut wire);
    }

    fn chain_in_the_mempool(&mut self) {
        let from = self.coins.pop().unwrap();
        let (parent, coins) = self.pay(&[from], 2, FEE);
        let (child, grandchildren) = self.pay(&coins[..1], 2, FEE);
        let (grandchild, _) = self.pay(&[grandchildren[0], coins[1]], 1, FEE);
        self.node.send(&parent);
        self.node.send(&child);
        let grandchild_id = self.node.send(&grandchild).to_string();
        self.check("a chain of three in the mempool");
        self.node.mine_exactly(&[parent], &Script::new(3));
        self.check("the first of the chain in a block: the second has no unconfirmed parent left");
        // Everything at once, through the server this time.
        let (more, _) = self.pay(&grandchildren[1..], 1, FEE);
        let hex = bitcoin::consensus::encode::serialize_hex(&more);
        let mut wire = self.server.connect();
        let id = wire.call("blockchain.transaction.broadcast", json!([hex]));
        assert_eq!(id, json!(more.compute_txid().to_string()));
        // Who broadcast it finds it at once.
        let hash = script_hash(more.output[0].script_pubkey.as_bytes());
        let history = wire.call("blockchain.scripthash.get_history", json!([hash]));
        assert_eq!(history[0]["tx_hash"], id);
        // So does who asks for a transaction that the node already has.
        let found = wire.call("blockchain.transaction.get", json!([grandchild_id]));
        assert_eq!(
            found,
            json!(bitcoin::consensus::encode::serialize_hex(&grandchild))
        );
        self.check("a transaction broadcast through the server");
        self.node.mine(1, &Script::new(3));
        self.check("the rest of the chain in a block");
    }

    fn replace_by_fee(&mut self) {
        let from = self.coins.pop().unwrap();
        let (first, coins) = self.pay(&[from], 2, FEE);
        let (dependent, _) = self.pay(&coins[1..], 1, FEE);
        self.node.send(&first);
        self.node.send(&dependent);
        self.check("a payment and a dependent of it, to be replaced");
        let (second, _) = self.pay(&[from], 1, 10 * FEE);
        self.node.send(&second);
        self.check("the replacement");
        // A block with yet another spend of the same coin throws the replacement out.
        let (third, _) = self.pay(&[from], 2, FEE);
        self.node.mine_exactly(&[third], &Script::new(4));
        assert_eq!(self.node.mempool(), []);
        self.check("a conflicting transaction in a block");
    }

    fn server_stops_and_starts(&mut self) {
        let from = self.coins.pop().unwrap();
        let (payment, _) = self.pay(&[from], 2, FEE);
        self.node.send(&payment);
        self.server.stop();
        self.node.mine(3, &Script::new(5));
        self.restart_server("the server stopped and started");
    }

    fn restart_server(&mut self, step: &str) {
        self.server.resume();
        self.server.wait_until_ready();
        self.subscriber = Subscriber::new(&self.server);
        self.check(step);
    }

    fn reorg_of_one_block(&mut self) {
        let from = self.coins.pop().unwrap();
        let (payment, coins) = self.pay(&[from], 2, FEE);
        self.node.send(&payment);
        let stale = self.node.mine(1, &Script::new(6));
        self.check("before the reorg of one block");
        self.node.invalidate(stale[0]);
        self.check("one block less, its payment back in the mempool");
        // A block of the same height without the payment, then one with it and with its child.
        self.node.mine_exactly(&[], &Script::new(7));
        self.check("another block of the same height");
        let (child, _) = self.pay(&coins[..1], 1, FEE);
        self.node.send(&child);
        self.node.mine(1, &Script::new(7));
        let truth = self.check("the payment in another block than before");
        truth.check_proofs(&mut self.server.connect());
    }

    fn node_restarts(&mut self) {
        let from = self.coins.pop().unwrap();
        let (payment, _) = self.pay(&[from], 2, FEE);
        self.node.send(&payment);
        self.check("before the node stops");
        self.node.stop();
        // Clients keep being served from what is known.
        let mut wire = self.server.connect();
        wire.call("server.ping", json!([]));
        let hash = script_hash(payment.output[0].script_pubkey.as_bytes());
        let history = wire.call("blockchain.scripthash.get_history", json!([hash]));
        assert_eq!(
            history[0]["tx_hash"],
            json!(payment.compute_txid().to_string())
        );
        let error = wire
            .try_call("blockchain.transaction.broadcast", json!(["00"]))
            .unwrap_err();
        assert!(error.contains("code"), "{error}");
        self.node.launch();
        self.check("the node is back");
        self.node.mine(1, &Script::new(8));
        self.check("the node mines again");
    }

    fn reorg_of_ten_blocks(&mut self) {
        let fork = self.node.height();
        for _ in 0..10 {
            let from = self.coins.pop();
            if let Some(from) = from {
                let (payment, _) = self.pay(&[from], 2, FEE);
                self.node.send(&payment);
            }
            self.node.mine(1, &Script::new(9));
        }
        self.check("ten blocks to be lost");
        self.reorganize(fork, 11);
        let truth = self.check("ten blocks lost, eleven others instead");
        truth.check_proofs(&mut self.server.connect());
        truth.check_header_proofs(&mut self.server.connect());
        let back = self.node.mempool();
        assert!(!back.is_empty(), "payments return to the mempool");
        self.node.mine(1, &Script::new(10));
        self.check("payments mined again after the reorg");
        self.coins = self.mine_coins(4);
        self.check("new coins");
    }

    /// Replaces all blocks above `fork` by `count` empty ones.
    fn reorganize(&mut self, fork: u32, count: u32) {
        let first = self.node.block_hash(fork + 1);
        self.node.invalidate(first);
        for _ in 0..count {
            self.node.mine_exactly(&[], &Script::new(10));
        }
    }

    fn mine_coins(&mut self, count: u32) -> Vec<Coin> {
        let first = self.node.height() + 1;
        self.node.mine(count, &Script::new(0));
        self.node.mine(MATURITY, &Script::new(1));
        (first..first + count)
            .map(|height| self.node.coinbase(height, &Script::new(0)))
            .collect()
    }

    fn killed_while_it_catches_up(&mut self) {
        self.server.kill();
        self.node.mine(120, &Script::new(11));
        // Killed at several moments of its start and its catching up.
        for attempt in 0..8_u64 {
            self.server.resume();
            std::thread::sleep(std::time::Duration::from_millis(15 * attempt * attempt));
            self.server.kill();
        }
        self.restart_server("killed while it caught up");
        let from = self.coins.pop().unwrap();
        let (payment, _) = self.pay(&[from], 2, FEE);
        self.node.send(&payment);
        self.node.mine(1, &Script::new(11));
        self.server.kill();
        self.restart_server("killed right after a block");
    }

    fn reorg_while_the_server_is_down(&mut self) {
        let fork = self.node.height();
        self.node.mine(5, &Script::new(12));
        self.check("five blocks to be lost");
        self.server.kill();
        self.reorganize(fork, 7);
        self.restart_server("a reorg while the server was down");
        // The new branch may also be shorter for a while.
        let first = self.node.block_hash(self.node.height() - 2);
        self.node.invalidate(first);
        self.check("a shorter chain");
        self.node.reconsider(first);
        self.check("the longer chain again");
    }

    fn eviction_from_a_full_mempool(&mut self) {
        // Sixty coins to fill the mempool with.
        let from = self.coins.pop().unwrap();
        let (fan, mut coins) = self.pay(&[from], 60, 10 * FEE);
        self.node.send(&fan);
        self.node.mine(1, &Script::new(13));
        let (cheap, _) = self.pay(&[coins.pop().unwrap()], 1, 200);
        let cheap_id = self.node.send(&cheap).to_string();
        self.check("a cheap payment");
        let mut evicted = false;
        while let (false, Some(from)) = (evicted, coins.pop()) {
            let script = self.fresh().output_script();
            let data = ScriptBuf::new_op_return(
                bitcoin::script::PushBytesBuf::try_from(vec![0; 90_000]).unwrap(),
            );
            let fee = Amount::from_sat(400_000);
            self.node.send(&spend(
                &[from],
                &[(script, from.value - fee), (data, Amount::ZERO)],
            ));
            let entry = self.node.try_rpc("getmempoolentry", &[json!(cheap_id)]);
            evicted = entry.is_err();
        }
        assert!(evicted, "the node's mempool never got full");
        self.check("the cheap payment is evicted");
        self.node.mine(1, &Script::new(13));
        self.check("a full block");
    }
}

/// A client that asks once and then believes its notifications.
struct Subscriber {
    wire: Wire,
    tip: Value,
    statuses: BTreeMap<String, Value>,
}

impl Subscriber {
    fn new(server: &Server) -> Self {
        let mut wire = server.connect();
        let tip = wire.call("blockchain.headers.subscribe", json!([]));
        Self {
            wire,
            tip,
            statuses: BTreeMap::new(),
        }
    }

    /// Hears of everything that changed, and then of scripts that it did not know.
    fn follow(&mut self, step: &str, truth: &Truth, fresh: &mut Wire) {
        let tip = fresh.call("blockchain.headers.subscribe", json!([]));
        loop {
            let missing = self.missing(truth, &tip);
            if missing.is_empty() {
                break;
            }
            let notification = self
                .wire
                .notification()
                .unwrap_or_else(|error| panic!("{step}: {error}; not heard of: {missing:?}"));
            self.hear(&notification);
        }
        for (script_hash, account) in &truth.accounts {
            if !self.statuses.contains_key(script_hash) {
                let status = self
                    .wire
                    .call("blockchain.scripthash.subscribe", json!([script_hash]));
                assert_eq!(status, account.status(), "{step}");
                self.statuses.insert(script_hash.clone(), status);
            }
        }
    }

    fn hear(&mut self, notification: &Value) {
        let params = &notification["params"];
        match notification["method"].as_str() {
            Some("blockchain.headers.subscribe") => self.tip = params[0].clone(),
            Some("blockchain.scripthash.subscribe") => {
                let script_hash = params[0].as_str().unwrap().to_owned();
                let before = self.statuses.insert(script_hash, params[1].clone());
                assert!(before.is_some(), "not subscribed: {notification}");
                assert_ne!(
                    before.as_ref(),
                    Some(&params[1]),
                    "nothing new: {notification}"
                );
            }
            _ => panic!("not subscribed: {notification}"),
        }
    }

    fn missing(&self, truth: &Truth, tip: &Value) -> Vec<String> {
        let mut missing = Vec::new();
        if self.tip != *tip {
            missing.push("the tip".to_owned());
        }
        for (script_hash, known) in &self.statuses {
            if *known != truth.accounts[script_hash].status() {
                missing.push(script_hash.clone());
            }
        }
        missing
    }
}
