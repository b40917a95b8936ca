//! Where every client appears: a node with a chain, and a server before it on every transport.

use std::path::PathBuf;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Amount, BlockHash, ScriptBuf, Transaction};
use serde_json::{Value, json};

use crate::node::{Coin, RegtestNode, Script, free_port, spend};
use crate::oracle::{Account, Oracle};
use crate::server::Server;
use crate::{eventually, script_hash};

/// What a payment pays, in sats.
pub(crate) const AMOUNT: u64 = 1_000_000;
const FEE: Amount = Amount::from_sat(10_000);
/// The script whose history the clients look at. It has one confirmed payment.
pub(crate) const ALICE: u32 = 7;
const MINER: u32 = 0;
/// The miner of what comes later, so that clients may look at a history that stays.
const LATER: u32 = 1;

pub(crate) struct Stage {
    pub(crate) node: RegtestNode,
    pub(crate) server: Server,
    pub(crate) tls: u16,
    pub(crate) ws: u16,
    pub(crate) wss: u16,
    coins: Vec<Coin>,
    oracle: Oracle,
}

impl Stage {
    /// A chain of 131 blocks with a payment to [`ALICE`] in the last.
    pub(crate) fn start() -> Self {
        let node = RegtestNode::start();
        let miner = Script::new(MINER);
        node.mine(30, &miner);
        node.mine(100, &Script::new(LATER));
        let coins = (1..=30)
            .map(|height| node.coinbase(height, &miner))
            .collect();
        let (tls, ws, wss) = (free_port(), free_port(), free_port());
        let at = |port: u16| format!("127.0.0.1:{port}");
        let server = Server::start_with(
            &node,
            &[
                "--electrum-tls-addr",
                &at(tls),
                "--ws-addr",
                &at(ws),
                "--wss-addr",
                &at(wss),
            ],
        );
        let mut stage = Self {
            node,
            server,
            tls,
            ws,
            wss,
            coins,
            oracle: Oracle::default(),
        };
        stage.pay(&script(ALICE));
        stage.mine();
        stage
    }

    /// Where Rust clients connect.
    pub(crate) fn tcp_url(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.server.port)
    }

    /// The same over TLS, by the name in the certificate.
    pub(crate) fn tls_url(&self) -> String {
        format!("ssl://localhost:{}", self.tls)
    }

    /// Blocks full of payments, so that the node can tell what a payment costs.
    pub(crate) fn teach_fees(&mut self) {
        const BLOCKS: usize = 20;
        const EACH: usize = 8;
        let miner = Script::new(MINER);
        let coin = self.coins.pop().expect("there are thirty");
        let part = (coin.value - FEE) / (BLOCKS * EACH) as u64;
        let many = vec![(miner.output_script(), part); BLOCKS * EACH];
        let split = spend(&[coin], &many);
        self.node.send(&split);
        self.mine();
        let mut parts = (0..).map(|at| Coin::of(&split, at, &miner));
        for _ in 0..BLOCKS {
            for coin in parts.by_ref().take(EACH) {
                let paid = coin.value - Amount::from_sat(3_000);
                self.node
                    .send(&spend(&[coin], &[(miner.output_script(), paid)]));
            }
            self.mine();
        }
    }

    /// A valid payment that nobody has seen yet.
    pub(crate) fn payment(&mut self, to: &ScriptBuf) -> Transaction {
        let coin = self.coins.pop().expect("there are thirty");
        let amount = Amount::from_sat(AMOUNT);
        let change = (script(MINER), coin.value - amount - FEE);
        spend(&[coin], &[(to.clone(), amount), change])
    }

    /// Somebody pays through the node, and the server has heard of it.
    pub(crate) fn pay(&mut self, to: &ScriptBuf) -> Transaction {
        let payment = self.payment(to);
        self.node.send(&payment);
        let status = self.truth(to).status();
        let script_hash = json!([script_hash(to.as_bytes())]);
        let mut wire = self.server.connect();
        eventually("the server has the payment", || {
            match wire.call("blockchain.scripthash.subscribe", script_hash.clone()) {
                told if told == status => Ok(()),
                told => Err(told.to_string()),
            }
        });
        payment
    }

    /// Somebody mines a block, and the server has heard of it.
    pub(crate) fn mine(&self) -> BlockHash {
        let hash = self.node.mine(1, &Script::new(LATER))[0];
        let header = serialize_hex(&self.node.block(hash).header);
        let mut wire = self.server.connect();
        eventually("the server has the block", || {
            match wire.call("blockchain.headers.subscribe", json!([])) {
                told if told["hex"] == json!(header) => Ok(()),
                told => Err(told.to_string()),
            }
        });
        hash
    }

    /// What the node says of a script.
    pub(crate) fn truth(&mut self, script: &ScriptBuf) -> Account {
        let mut truth = self.oracle.read(&self.node);
        let script_hash = script_hash(script.as_bytes());
        truth.accounts.remove(&script_hash).unwrap_or_default()
    }

    /// Stops the server as an operator does, and starts it again.
    pub(crate) fn restart(&mut self) {
        self.server.stop();
        self.server.resume();
        self.server.wait_until_ready();
    }

    /// The certificate that the server has made for itself.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.server.db_dir().join("tls").join("cert.pem")
    }

    /// What the node says that a payment costs, in BTC for 1000 vbytes; -1 when it does not know.
    pub(crate) fn fee(&self, blocks: u32) -> f64 {
        let estimate = self.node.rpc("estimatesmartfee", &[json!(blocks)]);
        estimate["feerate"].as_f64().unwrap_or(-1.0)
    }

    /// What the node says, as the protocol says it.
    pub(crate) fn told(&mut self, number: u32) -> Value {
        let script = script(number);
        let account = self.truth(&script);
        json!({
            "script_hash": script_hash(script.as_bytes()),
            "address": Script::new(number).address().to_string(),
            "status": account.status(),
            "history": account.history,
            "balance": {"confirmed": account.balance.0, "unconfirmed": account.balance.1},
            "unspent": account.unspent,
        })
    }
}

pub(crate) fn script(number: u32) -> ScriptBuf {
    Script::new(number).output_script()
}
