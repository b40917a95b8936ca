//! Wallets' libraries from crates.io in front of the server in this process, many at a time, each with a chain of its
//! own.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bdk_electrum::BdkElectrumClient;
use bdk_wallet::{KeychainKind, SignOptions, Wallet};
use bitcoin::consensus::encode::serialize;
use bitcoin::{Amount, FeeRate, Network, Psbt, ScriptBuf, Transaction, Txid};
use electrum_client::{Client, ElectrumApi};
use electrum_protocol::blocking;
use electrum_protocol::method::headers;
use electrum_protocol::net::{Config, tls::Trust};
use electrum_server_core::net::Certificate;
use electrum_server_core::regtest::{
    Endpoint, RegtestNode, RegtestOptions, ServeOptions, TestServer,
};

const RECEIVE: &str = "wpkh(tprv8ZgxMBicQKsPd7sVMQBb516ZT1d9SxYmN4Nt5muFEtExeTosajJo4qi6r6Z7puQcZkC1RcezzreVxzcdqanw8MQfwpMdhGEBYxr24F96VLK/84'/1'/0'/0/*)";
const CHANGE: &str = "wpkh(tprv8ZgxMBicQKsPd7sVMQBb516ZT1d9SxYmN4Nt5muFEtExeTosajJo4qi6r6Z7puQcZkC1RcezzreVxzcdqanw8MQfwpMdhGEBYxr24F96VLK/84'/1'/0'/1/*)";

/// The test that the README of electrum-server-core shows.
#[test]
fn a_wallet_sees_its_coins() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestServer::start()?;
    let client = BdkElectrumClient::new(Client::new(&server.url())?);
    let mut wallet = Wallet::create(RECEIVE, CHANGE)
        .network(Network::Regtest)
        .create_wallet_no_persist()?;

    let address = wallet.reveal_next_address(KeychainKind::External);
    server
        .node()
        .fund(&address.script_pubkey(), Amount::from_sat(50_000))?;
    server.node().mine_to_faucet(1);

    let update = client.full_scan(wallet.start_full_scan(), 5, 5, false)?;
    wallet.apply_update(update)?;
    assert_eq!(wallet.balance().confirmed, Amount::from_sat(50_000));
    Ok(())
}

/// A wallet that pins certificates, and one in a browser.
#[test]
fn a_server_is_reached_through_every_transport() {
    let certificate = Arc::new(Certificate::self_signed(vec!["localhost".to_owned()]).unwrap());
    let endpoint = |tls: bool, websocket| Endpoint {
        tls: tls.then(|| certificate.clone()),
        websocket,
        ..Endpoint::default()
    };
    let options = ServeOptions {
        endpoint: endpoint(true, false),
        further: vec![
            endpoint(false, false),
            endpoint(false, true),
            endpoint(true, true),
        ],
        ..ServeOptions::default()
    };
    let server = TestServer::start_on(RegtestNode::default(), options).unwrap();
    let schemes: Vec<_> = server
        .urls()
        .map(|url| url.split_once("://127.0.0.1:").unwrap().0)
        .collect();
    assert_eq!(schemes, ["ssl", "tcp", "ws", "wss"]);
    assert_eq!(server.url(), format!("ssl://{}", server.address()));
    let connect = |url: &str, certificate: &Certificate| {
        let mut config = Config::new(url.parse().unwrap());
        config.trust = Trust::Pinned(certificate.fingerprint());
        blocking::connect(&config)
    };
    for url in server.urls() {
        let mut client = connect(url, &certificate).unwrap();
        let tip = client.subscribe(headers::Subscribe::RAW).unwrap();
        assert_eq!(tip.height, server.node().height(), "{url}");
    }
    let another = Certificate::self_signed(vec!["localhost".to_owned()]).unwrap();
    connect(&server.url(), &another).unwrap_err();
}

fn wallet() -> Wallet {
    Wallet::create(RECEIVE, CHANGE)
        .network(Network::Regtest)
        .create_wallet_no_persist()
        .unwrap()
}

/// `at` is a time: BDK decides between a transaction and its replacement by which it saw last, in whole seconds.
fn sync(wallet: &mut Wallet, client: &BdkElectrumClient<Client>, at: u64) {
    let request = wallet.start_full_scan_at(at);
    let update = client.full_scan(request, 5, 5, true).unwrap();
    wallet.apply_update(update).unwrap();
}

fn sign(wallet: &Wallet, mut psbt: Psbt) -> Transaction {
    #[expect(deprecated, reason = "what replaces it is for signers of one's own")]
    let complete = wallet.sign(&mut psbt, SignOptions::default()).unwrap();
    assert!(complete);
    psbt.extract_tx().unwrap()
}

/// Receives, confirms, pays, replaces its payment, loses it in a reorg and has it again.
fn bdk_story(server: &TestServer) {
    let node = server.node();
    let client = BdkElectrumClient::new(Client::new(&server.url()).unwrap());
    let mut wallet = wallet();
    let address = wallet.reveal_next_address(KeychainKind::External);
    let coin = Amount::from_sat(10_000_000);
    node.fund(&address.script_pubkey(), coin).unwrap();
    sync(&mut wallet, &client, 1);
    assert_eq!(wallet.balance().untrusted_pending, coin);
    node.mine_to_faucet(1);
    sync(&mut wallet, &client, 2);
    assert_eq!(wallet.balance().confirmed, coin);

    let payment = Amount::from_sat(4_000_000);
    let mut builder = wallet.build_tx();
    builder
        .add_recipient(node.faucet_script(), payment)
        .fee_rate(FeeRate::from_sat_per_vb(2).unwrap());
    let psbt = builder.finish().unwrap();
    let tx = sign(&wallet, psbt);
    let txid = client.transaction_broadcast(&tx).unwrap();
    assert_eq!(node.mempool(), [txid]);
    sync(&mut wallet, &client, 3);
    let fee = wallet.calculate_fee(&tx).unwrap();
    assert_eq!(wallet.balance().total(), coin - payment - fee);

    // The same, for more.
    let mut builder = wallet.build_fee_bump(txid).unwrap();
    builder.fee_rate(FeeRate::from_sat_per_vb(10).unwrap());
    let psbt = builder.finish().unwrap();
    let bumped = sign(&wallet, psbt);
    let bumped_id = client.transaction_broadcast(&bumped).unwrap();
    assert_eq!(node.mempool(), [bumped_id]);
    let fee = wallet.calculate_fee(&bumped).unwrap();
    node.mine_to_faucet(1);
    sync(&mut wallet, &client, 4);
    assert_eq!(wallet.balance().confirmed, coin - payment - fee);

    // The block is replaced by two without it, then it is mined again.
    node.reorg(1);
    assert_eq!(node.mempool(), [bumped_id]);
    sync(&mut wallet, &client, 5);
    let confirmed = |wallet: &Wallet| {
        let tx = wallet.get_tx(bumped_id).unwrap();
        tx.chain_position.is_confirmed()
    };
    assert!(!confirmed(&wallet));
    node.mine_to_faucet(1);
    sync(&mut wallet, &client, 6);
    assert!(confirmed(&wallet));
}

#[test]
fn bdk_receives_pays_bumps_and_survives_a_reorg() {
    bdk_story(&TestServer::start().unwrap());
}

/// Anybody can spend it: nothing but `OP_TRUE`, behind its hash.
fn open() -> (ScriptBuf, ScriptBuf) {
    let script = ScriptBuf::from_bytes(vec![0x51]);
    (script.to_p2wsh(), script)
}

fn spend(node: &RegtestNode, txid: Txid, fee: u64) -> Transaction {
    let funding = node.mempool_transaction(&txid).unwrap_or_else(|| {
        let block = node.get_block(&node.block_of(&txid).unwrap()).unwrap();
        let mut txs = block.txdata.into_iter();
        txs.find(|tx| tx.compute_txid() == txid).unwrap()
    });
    let (script, witness) = open();
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![bitcoin::TxIn {
            previous_output: bitcoin::OutPoint::new(txid, 0),
            sequence: bitcoin::Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: bitcoin::Witness::from_slice(&[witness.as_bytes()]),
            ..Default::default()
        }],
        output: vec![bitcoin::TxOut {
            value: funding.output[0].value - Amount::from_sat(fee),
            script_pubkey: script,
        }],
    }
}

#[test]
fn electrum_client_follows_a_script() {
    let server = TestServer::start().unwrap();
    let node = server.node();
    let client = Client::new(&server.url()).unwrap();
    assert_eq!(client.block_headers_subscribe().unwrap().height, 101);
    let (script, _) = open();
    assert_eq!(client.script_subscribe(&script).unwrap(), None);

    let funding = node.fund(&script, Amount::from_sat(100_000)).unwrap();
    let wait = |what: &str, pop: &dyn Fn() -> bool| {
        let begin = Instant::now();
        while !pop() {
            assert!(begin.elapsed() < Duration::from_secs(10), "{what}");
            client.ping().unwrap();
        }
    };
    let notified = || client.script_pop(&script).unwrap().is_some();
    wait("the payment is announced", &notified);
    node.mine_to_faucet(1);
    wait("the block is announced", &|| {
        client
            .block_headers_pop()
            .unwrap()
            .is_some_and(|header| header.height == 102)
    });
    wait("the confirmation is announced", &notified);
    let history = client.script_get_history(&script).unwrap();
    assert_eq!((history[0].tx_hash, history[0].height), (funding, 102));
    let merkle = client.transaction_get_merkle(&funding, 102).unwrap();
    let header = client.block_header(102).unwrap();
    assert!(electrum_client::utils::validate_merkle_proof(
        &funding,
        &header.merkle_root,
        &merkle
    ));

    // Pays, is refused, replaces.
    let payment = spend(node, funding, 300);
    let txid = client.transaction_broadcast(&payment).unwrap();
    let cheap = spend(node, funding, 301);
    let error = client
        .transaction_broadcast(&cheap)
        .unwrap_err()
        .to_string();
    assert!(error.contains("insufficient fee"), "{error}");
    let better = spend(node, funding, 5_000);
    let better_id = client.transaction_broadcast(&better).unwrap();
    assert_ne!(txid, better_id);
    assert_eq!(client.transaction_get(&better_id).unwrap(), better);
    assert_eq!(
        client.script_get_balance(&script).unwrap().unconfirmed,
        -5_000
    );
    let found = client.script_list_unspent(&script).unwrap();
    assert_eq!((found[0].tx_hash, found[0].height), (better_id, 0));

    // What the node forgets, clients forget.
    assert!(node.drop_transaction(&better_id));
    assert_eq!(client.script_get_history(&script).unwrap().len(), 1);
    assert_eq!(
        client
            .transaction_broadcast_raw(&serialize(&payment))
            .unwrap(),
        txid
    );

    // A pause hides everything, then it is there at once.
    node.pause();
    node.mine_to_faucet(3);
    assert_eq!(client.block_headers_subscribe().unwrap().height, 102);
    node.resume();
    assert_eq!(client.block_headers_subscribe().unwrap().height, 105);

    // Back to before, and forward again: the same blocks.
    let snapshot = node.snapshot();
    let first = node.mine_to_faucet(2);
    node.restore(&snapshot);
    assert_eq!(client.block_headers_subscribe().unwrap().height, 105);
    assert_eq!(node.mine_to_faucet(2), first);
}

#[test]
fn many_stories_at_once_do_not_meet() {
    let threads: Vec<_> = (0..8u64)
        .map(|seed| {
            std::thread::spawn(move || {
                let options = RegtestOptions {
                    seed,
                    ..RegtestOptions::default()
                };
                let node = RegtestNode::new(options);
                let server = TestServer::start_on(node, ServeOptions::default()).unwrap();
                bdk_story(&server);
                server.node().best_block().hash
            })
        })
        .collect();
    let mut tips: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    tips.sort_unstable();
    tips.dedup();
    assert_eq!(tips.len(), 8, "each has a chain of its own");
}

/// Only one measurement at a time.
static MEASURING: Mutex<()> = Mutex::new(());

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

/// Prints how many servers with funded wallets start in a second, one after the other, and what each takes.
#[test]
fn servers_start_quickly() {
    let _alone = MEASURING.lock().unwrap();
    let count = 50;
    drop(TestServer::start().unwrap());
    let (before, begin) = (resident_kib(), Instant::now());
    let servers: Vec<TestServer> = (0..count)
        .map(|_| {
            let server = TestServer::start().unwrap();
            server
                .node()
                .fund(&open().0, Amount::from_sat(1_000))
                .unwrap();
            server
        })
        .collect();
    let took = begin.elapsed();
    let each = resident_kib().saturating_sub(before) / count;
    let rate = f64::from(u32::try_from(count).unwrap()) / took.as_secs_f64();
    println!("{rate:.0} funded servers a second, {each} KiB each");
    for server in &servers {
        let client = Client::new(&server.url()).unwrap();
        let balance = client.script_get_balance(&open().0).unwrap();
        assert_eq!(balance.unconfirmed, 1_000);
    }
    let begin = Instant::now();
    drop(servers);
    println!("{count} servers ended in {:?}", begin.elapsed());
}
