//! What the server and the node do for a client is charged, whatever comes of it, and for every method; and what clients ask
//! of the node does not keep transactions from it.

use std::sync::atomic::Ordering;
use std::time::Instant;

use bitcoin::hashes::Hash;
use bitcoin::{Transaction, Txid, consensus};
use electrum_protocol::method::Method;
use electrum_protocol::{ProtocolVersion, RawJson};
use tokio::io::DuplexStream;
use tokio::sync::{Semaphore, mpsc, watch};

use super::healthy::{HOSTILE, connect_from, limits, until};
use super::*;
use crate::chain::{NodeError, PackageOutcome};
use crate::net::admission::Admission;
use crate::net::connection::{Connection, End};
use crate::net::listener::Shared;
use crate::net::origin::Origin;
use crate::net::workers::Workers;
use crate::session::tests::{TestNode, pay, script};

/// How many milliseconds the node takes for each answer. It sleeps for so long, so a busy machine makes it longer, never
/// shorter.
const THINKS: u64 = 20;
/// What a second of the node costs.
const SECOND: f64 = 10.0;

/// A server in front of a node that takes its time.
struct World {
    stage: Stage,
    shared: Shared,
    closing: watch::Sender<bool>,
    confirmed: Txid,
    unconfirmed: Transaction,
    clients: u8,
}

/// What comes of what the node is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    /// The node has no such thing, or does not want it.
    Refused,
    /// It is no use to anybody.
    TooLarge,
    /// The client is sent away before it has come.
    Abandoned,
}

impl World {
    fn new() -> Self {
        let limits = Limits {
            // What is forgiven while a request is answered is next to nothing.
            cost_hard: 1000.0,
            cost_soft: 1000.0,
            max_response: 100_000,
            drain_timeout: Duration::ZERO,
            ..limits()
        };
        let mut stage = Stage::with(About::default(), limits);
        let coins: Vec<_> = (0..5).map(|_| stage.mine(1, &[])).collect();
        let first = pay(&coins[..1], &[(2, 1000), (3, 1000)]);
        stage.mine(9, std::slice::from_ref(&first));
        stage.node.knows(&first, Some(stage.chain.tip_hash()));
        let unconfirmed = pay(&coins[1..2], &[(2, 1000)]);
        stage.node.knows(&unconfirmed, None);
        stage.receive(unconfirmed.clone());
        let services = stage.services.clone();
        let admission = Admission::new(services.limits.clone(), services.metrics.clone());
        let (closing, is_closing) = watch::channel(false);
        let shared = Shared {
            admission: Arc::new(admission),
            services,
            workers: Arc::new(Workers::new().unwrap()),
            updates: updates(),
            closing: is_closing,
            farewells: Arc::new(Semaphore::new(1)),
            alive: mpsc::channel(1).0,
        };
        stage.node.thinks.store(THINKS, Ordering::Relaxed);
        Self {
            stage,
            shared,
            closing,
            confirmed: first.compute_txid(),
            unconfirmed,
            clients: 0,
        }
    }

    /// A client from a subnet of its own.
    fn connect(&mut self) -> (Origin, DuplexStream, JoinHandle<End>) {
        self.clients += 1;
        let address = std::net::Ipv4Addr::new(203, 0, self.clients, 1);
        let origin = Origin::Ip((address, 1).into());
        let (client, server) = tokio::io::duplex(1 << 20);
        let now = tokio::time::Instant::now();
        let guest = self.shared.admission.admit(origin, now).unwrap();
        let connection = Connection::new(Box::new(server), &self.shared, origin, guest);
        (origin, client, tokio::spawn(connection.run()))
    }

    fn thought(&self) -> u64 {
        self.stage.node.thought.load(Ordering::Relaxed)
    }

    /// Parameters for a method with which it does all that it can do.
    fn parameters(&self, method: Method) -> Vec<String> {
        let known = self.confirmed;
        let waiting = self.unconfirmed.compute_txid();
        let unknown = Txid::from_byte_array([7; 32]);
        let raw = consensus::encode::serialize_hex(&self.unconfirmed);
        let hash = script_hash(1);
        let hex = format!("{:x}", script(1));
        let one = |text: &str| vec![format!("[\"{text}\"]")];
        use Method as M;
        match method {
            M::ServerFeatures
            | M::ServerPeersSubscribe
            | M::ServerBanner
            | M::ServerDonationAddress
            | M::ServerPing
            | M::NumblocksSubscribe
            | M::HeadersSubscribe
            | M::HeadersGetTip
            | M::HeadersUnsubscribe
            | M::RelayFee
            | M::MempoolGetFeeHistogram
            | M::MempoolGetInfo
            | M::MempoolRecent => vec!["[]".to_owned()],
            M::ServerAddPeer => {
                let hash = self.stage.view().block_hash(0).unwrap();
                let fields = "\"hash_function\":\"sha256\",\"server_version\":\"x\",\
                     \"protocol_min\":\"1.4\",\"protocol_max\":\"1.4\",\"pruning\":null";
                vec![format!(
                    "[{{\"hosts\":{{\"a.b\":{{\"tcp_port\":1}}}},\"genesis_hash\":\"{hash}\",{fields}}}]"
                )]
            }
            M::HeaderGet | M::BlockGetHeader | M::BlockGetChunk => vec!["[0]".to_owned()],
            M::BlockHeader => vec!["[1]".to_owned(), "[1,5]".to_owned()],
            M::BlockHeaders => vec!["[0,6]".to_owned(), "[0,3,5]".to_owned()],
            M::EstimateFee => (1..4).map(|blocks| format!("[{blocks}]")).collect(),
            M::AddressGetBalance
            | M::AddressGetHistory
            | M::AddressGetMempool
            | M::AddressListUnspent
            | M::AddressSubscribe => one("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"),
            M::ScripthashGetBalance
            | M::ScripthashGetHistory
            | M::ScripthashGetMempool
            | M::ScripthashListUnspent
            | M::ScripthashSubscribe
            | M::ScripthashUnsubscribe
            | M::ScripthashGetStatus
            | M::ScripthashGetFirstUse => one(&hash.to_string()),
            M::ScriptpubkeyGetBalance
            | M::ScriptpubkeyGetHistory
            | M::ScriptpubkeyGetMempool
            | M::ScriptpubkeyListUnspent
            | M::ScriptpubkeySubscribe
            | M::ScriptpubkeyUnsubscribe => one(&hex),
            M::OutpointSubscribe
            | M::OutpointGetStatus
            | M::OutpointUnsubscribe
            | M::UtxoGetAddress
            | M::UtxoGetInfo => [known, waiting, unknown]
                .iter()
                .map(|txid| format!("[\"{txid}\",0]"))
                .chain([format!("[\"{known}\",0,\"{hex}\"]")])
                .collect(),
            M::TransactionBroadcast => one(&raw),
            M::TransactionBroadcastPackage | M::TransactionTestMempoolAccept => {
                vec![format!("[[\"{raw}\"]]")]
            }
            M::TransactionGet => [known, waiting, unknown]
                .iter()
                .flat_map(|txid| [true, false].map(|verbose| format!("[\"{txid}\",{verbose}]")))
                .collect(),
            M::TransactionGetMerkle => vec![format!("[\"{known}\",6]")],
            M::TransactionIdFromPos => vec!["[6,1,true]".to_owned(), "[6,9,false]".to_owned()],
            M::TransactionGetHeight
            | M::TransactionGetConfirmedBlockhash
            | M::TransactionSubscribe
            | M::TransactionUnsubscribe => one(&known.to_string()),
            _ => panic!("say with which parameters {method} is called"),
        }
    }

    /// Lets the node answer so that this comes of it.
    fn prepare(&self, outcome: Outcome) {
        let node = &self.stage.node;
        let refusal = || NodeError::Rpc {
            code: -25,
            message: "no".to_owned(),
        };
        let is_good = outcome != Outcome::Refused;
        node.answers_broadcast(match is_good {
            true => Ok(Txid::from_byte_array([9; 32])),
            false => Err(refusal()),
        });
        node.answers_package(match is_good {
            true => Ok(PackageOutcome {
                success: true,
                errors: Vec::new(),
                json: RawJson::parse("{}").unwrap(),
            }),
            false => Err(refusal()),
        });
        node.pruned.store(!is_good, Ordering::Relaxed);
        let padding = match outcome {
            Outcome::TooLarge => 200_000,
            _ => 0,
        };
        node.padding.store(padding, Ordering::Relaxed);
    }

    /// Asks, and returns how long the node thought about it, in seconds, and what the client owes for it.
    async fn ask(&mut self, method: Method, parameters: &str, outcome: Outcome) -> (f64, f64) {
        self.prepare(outcome);
        let (origin, mut client, ended) = self.connect();
        let admission = self.shared.admission.clone();
        let versions = ProtocolVersion::SPOKEN;
        let version = versions
            .into_iter()
            .rfind(|version| method.exists_in(*version));
        let version = version.unwrap();
        let negotiate =
            format!("{{\"id\":0,\"method\":\"server.version\",\"params\":[\"\",\"{version}\"]}}\n");
        client.write_all(negotiate.as_bytes()).await.unwrap();
        let negotiated = read_line(&mut client).await;
        assert!(negotiated.contains("\"result\""), "{negotiated}");
        let (before, owed) = (self.thought(), admission.owed(origin));
        let asked = self.stage.node.asked().len();
        let line = format!("{{\"id\":1,\"method\":\"{method}\",\"params\":{parameters}}}\n");
        client.write_all(line.as_bytes()).await.unwrap();
        match outcome {
            Outcome::Abandoned => {
                // Some do not ask the node at all.
                let begun = Instant::now();
                while self.stage.node.asked().len() == asked
                    && begun.elapsed() < Duration::from_millis(50)
                {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                self.closing.send(true).unwrap();
                drop(client);
                within(ended).await.unwrap();
                self.closing.send(false).unwrap();
                // What was begun is finished by a thread of its own.
                let mut last = u64::MAX;
                while last != self.thought() || self.shared.workers.is_busy() {
                    last = self.thought();
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            Outcome::Good | Outcome::Refused | Outcome::TooLarge => {
                let answer = read_line(&mut client).await;
                let is_known = !answer.contains("unknown method") && !answer.contains("-32602");
                assert!(is_known, "{line}{answer}");
                drop(client);
                within(ended).await.unwrap();
            }
        }
        let seconds = (self.thought() - before) as f64 / 1000.0;
        (seconds, admission.owed(origin) - owed)
    }
}

/// An invariant of every method and of every way in which it can end: who keeps the node busy for a second owes for one.
#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_the_node_is_charged() {
    let mut asking = Vec::new();
    for outcome in [
        Outcome::Good,
        Outcome::Refused,
        Outcome::TooLarge,
        Outcome::Abandoned,
    ] {
        // Nothing is known from before.
        let mut world = World::new();
        for method in Method::ALL {
            for parameters in world.parameters(*method) {
                let (seconds, owed) = world.ask(*method, &parameters, outcome).await;
                // What is forgiven meanwhile is a fifth of a unit in a second.
                assert!(
                    owed >= seconds * SECOND - 0.1,
                    "{method}{parameters} {outcome:?}: {owed} for {seconds} s of the node"
                );
                if seconds > 0.0 {
                    asking.push(method.name());
                }
            }
        }
    }
    asking.sort_unstable();
    asking.dedup();
    let expected = [
        "blockchain.estimatefee",
        "blockchain.outpoint.get_status",
        "blockchain.outpoint.subscribe",
        "blockchain.relayfee",
        "blockchain.transaction.broadcast",
        "blockchain.transaction.broadcast_package",
        "blockchain.transaction.get",
        "blockchain.transaction.testmempoolaccept",
        "blockchain.utxo.get_address",
        "blockchain.utxo.get_info",
        "mempool.get_info",
    ];
    assert_eq!(asking, expected, "the methods that ask the node");
}

/// A node that does not answer questions about transactions for as long as this exists; so a test that fails ends.
struct Stuck(Arc<TestNode>);

impl Stuck {
    fn new(node: &Arc<TestNode>) -> Self {
        node.is_stuck(true);
        Self(node.clone())
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0.is_stuck(false);
    }
}

/// However many questions wait for the node, and whatever is pipelined behind a broadcast: a transaction gets to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_does_not_wait_for_questions() {
    let mut stage = Stage::with(
        About::default(),
        Limits {
            max_subnet_connections: 100,
            ..limits()
        },
    );
    let coin = stage.mine(1, &[]);
    let tx = pay(&[coin], &[(2, 1000)]);
    stage.node.knows(&tx, None);
    let txid = stage.receive(tx.clone());
    let raw = consensus::encode::serialize_hex(&tx);
    let running = Running::start(&stage).await;
    let node = stage.node.clone();
    let stuck = Stuck::new(&node);
    let question = format!(
        "{{\"id\":0,\"method\":\"blockchain.transaction.get\",\"params\":[\"{txid}\",true]}}\n"
    );
    let broadcast = format!(
        "{{\"id\":1,\"method\":\"blockchain.transaction.broadcast\",\"params\":[\"{raw}\"]}}\n"
    );
    let mut hostile = Vec::new();
    for _ in 0..40 {
        let mut stream = connect_from(HOSTILE, running.addresses[0]).await;
        stream
            .write_all(question.repeat(10).as_bytes())
            .await
            .unwrap();
        hostile.push(stream);
    }
    until("the node is busy", || node.asked().len() >= 8).await;
    for _ in 0..20 {
        node.answers_broadcast(Ok(txid));
        let mut stream = connect_from(HOSTILE, running.addresses[0]).await;
        let both = format!("{broadcast}{question}");
        stream.write_all(both.as_bytes()).await.unwrap();
        assert!(read_line(&mut stream).await.contains(&txid.to_string()));
        hostile.push(stream);
    }
    node.answers_broadcast(Ok(txid));
    let mut stream = running.connect().await;
    stream.write_all(broadcast.as_bytes()).await.unwrap();
    assert!(read_line(&mut stream).await.contains(&txid.to_string()));
    drop(stuck);
    for stream in &mut hostile {
        assert!(read_line(stream).await.contains("\"size\""));
    }
    running.stop().await;
}
