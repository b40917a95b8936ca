//! The chain source and the node, against a real Bitcoin Core.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, Network, OutPoint, ScriptBuf, Txid};
use common::{Coin, RegtestNode, Script, pay, spend, wait_for};
use electrum_protocol::EstimateMode;
use electrum_server_core::chain::bitcoind::{Auth, Bitcoind, Config, cookie_path};
use electrum_server_core::chain::{Broadcast, ChainSource, Node, NodeError, SourceError};
use electrum_server_core::mempool::{Fetched, Mempool, fetch};
use serde_json::json;

const FEE: Amount = Amount::from_sat(1000);

fn config(node: &RegtestNode) -> Config {
    Config {
        network: Network::Regtest,
        address: node.rpc_address(),
        auth: Auth::Cookie(cookie_path(node.daemon_dir(), Network::Regtest)),
        timeout: Config::DEFAULT_TIMEOUT,
    }
}

fn connect(node: &RegtestNode) -> Bitcoind {
    Bitcoind::connect(&config(node)).unwrap()
}

/// A chain with transactions that spend each other within one block, several inputs, and data outputs.
fn busy_chain(node: &RegtestNode) {
    let (miner, alice) = (Script::new(0), Script::new(1));
    node.mine(110, &miner);
    for height in 1..=5 {
        let coin = node.coinbase(height, &miner);
        let half = (coin.value - FEE) / 2;
        let data = ScriptBuf::new_op_return([7; 40]);
        let parent = spend(
            &[coin],
            &[
                (alice.output_script(), half),
                (data, Amount::ZERO),
                (miner.output_script(), half),
            ],
        );
        let coins = [Coin::of(&parent, 2, &miner), Coin::of(&parent, 0, &alice)];
        let child = spend(&coins, &[(alice.output_script(), half)]);
        node.mine_exactly(&[parent, child], &miner);
    }
}

#[test]
fn rest_and_rpc_tell_the_same_and_restarts_go_unnoticed() {
    let mut node = RegtestNode::start();
    busy_chain(&node);
    let source = connect(&node);
    assert!(source.uses_rest());
    let look = |source: &Bitcoind| {
        let tip = source.tip().unwrap();
        assert_eq!(tip.height, 115);
        let headers = source.headers(0, 2000).unwrap();
        let blocks = headers
            .iter()
            .map(|header| source.block(&header.block_hash()).unwrap());
        let blocks: Vec<_> = blocks.collect();
        let part = source.headers(100, 7).unwrap();
        assert_eq!(part, headers[100..107]);
        assert_eq!(source.headers(114, 10).unwrap(), headers[114..]);
        assert_eq!(source.headers(116, 10).unwrap(), []);
        assert_eq!(source.headers(0, 0).unwrap(), []);
        assert_eq!(headers.last().unwrap().block_hash(), tip.hash);
        (headers, blocks)
    };
    let rest = look(&source);
    // What is spent is found independently, in the blocks themselves.
    for block in &rest.1 {
        for (tx, spent) in block.block.txdata.iter().zip(&block.spent).skip(1) {
            for (input, output) in tx.input.iter().zip(spent) {
                let OutPoint { txid, vout } = input.previous_output;
                let all = rest.1.iter().flat_map(|block| &block.block.txdata);
                let parent = all
                    .into_iter()
                    .find(|tx| tx.compute_txid() == txid)
                    .unwrap();
                assert_eq!(parent.output[vout as usize], *output);
            }
        }
    }

    // Another cookie, connections that are gone, and no REST any more.
    node.stop();
    assert!(source.tip().unwrap_err().is_transient());
    node.set_arguments(&["-rest=0"]);
    node.launch();
    assert!(look(&source) == rest);
    assert!(!source.uses_rest());
    let fresh = connect(&node);
    assert!(!fresh.uses_rest());
    assert!(look(&fresh) == rest);
}

#[test]
fn stale_blocks_are_still_there_and_unknown_ones_are_missing() {
    for argument in ["-rest=1", "-rest=0"] {
        let node = RegtestNode::start_with(&[argument]);
        busy_chain(&node);
        let source = connect(&node);
        let stale = node.tip_hash();
        let before = source.block(&stale).unwrap();
        node.invalidate(stale);
        node.mine_exactly(&[], &Script::new(9));
        assert_ne!(source.tip().unwrap().hash, stale);
        assert!(source.block(&stale).unwrap() == before);
        let hash = BlockHash::from_byte_array([7; 32]);
        assert_eq!(source.block(&hash), Err(SourceError::Missing { hash }));
    }
}

#[test]
fn mempool_and_confirmed_outputs() {
    let node = RegtestNode::start();
    let (miner, alice) = (Script::new(0), Script::new(1));
    node.mine(102, &miner);
    let source = connect(&node);
    assert_eq!(source.mempool_txids().unwrap(), []);
    let empty = source.mempool_fingerprint().unwrap();
    let coin = node.coinbase(1, &miner);
    let tx = pay(coin, &alice, FEE);
    let txid = node.send(&tx);

    assert_eq!(source.mempool_txids().unwrap(), [txid]);
    let nobody = Txid::from_byte_array([7; 32]);
    let found = source.mempool_transactions(&[nobody, txid]).unwrap();
    assert_eq!(found, [None, Some(tx.clone())]);
    let full = source.mempool_fingerprint().unwrap();
    assert_ne!(full, empty);
    assert_eq!((full.count, full.fees), (1, FEE));

    // The mempool spends the coin, confirmed it is unspent; the mempool's own output is not confirmed.
    let own = OutPoint::new(txid, 0);
    let outputs = source
        .unspent_outputs(&[own, coin.outpoint, OutPoint::new(nobody, 0)])
        .unwrap();
    assert_eq!(outputs[0], None);
    let output = outputs[1].as_ref().unwrap();
    assert_eq!(
        (output.value, &output.script_pubkey),
        (coin.value, &miner.output_script())
    );
    assert_eq!(outputs[2], None);
    node.mine(1, &miner);
    let outputs = source.unspent_outputs(&[own, coin.outpoint]).unwrap();
    assert_eq!(outputs, [Some(tx.output[0].clone()), None]);
    // More than one batch.
    let many = source.unspent_outputs(&vec![own; 2500]).unwrap();
    assert!(many.len() == 2500 && many.iter().all(Option::is_some));
}

#[test]
fn a_new_block_ends_the_wait() {
    let node = RegtestNode::start();
    let source = connect(&node);
    let tip = source.tip().unwrap().hash;
    assert_eq!(
        source.wait_for_change(tip, Duration::from_millis(50)),
        Ok(false)
    );
    std::thread::scope(|scope| {
        let begin = Instant::now();
        let wait = scope.spawn(|| source.wait_for_change(tip, Duration::from_secs(60)));
        // Others are not held up meanwhile.
        assert_eq!(source.tip().unwrap().hash, tip);
        node.mine(1, &Script::new(0));
        assert_eq!(wait.join().unwrap(), Ok(true));
        assert!(begin.elapsed() < Duration::from_secs(30));
    });
    // A tip that is not known at all is another one.
    let unknown = BlockHash::from_byte_array([7; 32]);
    assert_eq!(
        source.wait_for_change(unknown, Duration::from_secs(60)),
        Ok(true)
    );
}

#[test]
fn what_cannot_serve_us_says_why() {
    let mut node = RegtestNode::start();
    let good = config(&node);
    let with = |change: &dyn Fn(&mut Config)| {
        let mut config = good.clone();
        change(&mut config);
        Bitcoind::connect(&config).map(|_| ()).unwrap_err()
    };
    let error = with(&|config| config.network = Network::Signet);
    assert!(
        !error.is_transient() && error.to_string().contains("regtest"),
        "{error}"
    );
    let error = with(&|config| config.auth = Auth::from_user_password("alice:sesame").unwrap());
    assert!(
        !error.is_transient() && !error.to_string().contains("sesame"),
        "{error}"
    );
    let error = with(&|config| config.auth = Auth::Cookie("/nowhere/.cookie".into()));
    assert!(
        error.is_transient() && error.to_string().contains("/nowhere/.cookie"),
        "{error}"
    );
    let error = with(&|config| config.address = format!("127.0.0.1:{}", common::free_port()));
    assert!(error.is_transient(), "{error}");
    let error = with(&|config| config.address = "not an address".to_owned());
    assert!(!error.is_transient(), "{error}");

    node.stop();
    node.set_arguments(&["-prune=1"]);
    node.launch();
    let error = Bitcoind::connect(&config(&node)).map(|_| ()).unwrap_err();
    assert!(
        !error.is_transient() && error.to_string().contains("prune=0"),
        "{error}"
    );
}

/// Who has indexed blocks can do without them. What is gone is an error that says so.
#[test]
fn a_node_may_prune_what_is_indexed() {
    let node = RegtestNode::start_with(&["-rest=1", "-prune=1", "-fastprune"]);
    node.mine(700, &Script::new(0));
    let lowest = node
        .rpc("pruneblockchain", &[json!(400)])
        .as_u64()
        .and_then(|height| u32::try_from(height + 1).ok())
        .unwrap();
    assert!(lowest > 1, "something is pruned");
    let config = config(&node);
    let refused = |height| {
        Bitcoind::connect_from(&config, height)
            .map(drop)
            .unwrap_err()
    };
    for (height, advice) in [
        (0, "prune=0"),
        (lowest - 1, "the index goes on where it ended"),
    ] {
        let error = refused(height);
        assert!(!error.is_transient(), "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }
    for height in [lowest, 701] {
        let source = Bitcoind::connect_from(&config, height).unwrap();
        assert!(source.uses_rest(), "the blocks that it has come over REST");
        assert_eq!(source.tip().unwrap().height, 700);
        let kept = node.block_hash(700);
        assert_eq!(source.block(&kept).unwrap().block.block_hash(), kept);
        let hash = node.block_hash(1);
        assert_eq!(source.block(&hash), Err(SourceError::Missing { hash }));
        let header = source.headers(1, 1).unwrap()[0];
        let txid = Txid::from_byte_array(header.merkle_root.to_byte_array());
        let asked = [
            source.raw_transaction(&txid, Some(&hash)).map(drop),
            source
                .verbose_transaction(&txid, Some(&hash), 1 << 20)
                .map(drop),
        ];
        for answer in asked {
            assert!(
                matches!(answer, Err(NodeError::Rpc { code: -1, .. })),
                "{answer:?}"
            );
        }
    }
}

/// No more is read of an answer than whoever asks can use.
#[test]
fn what_is_too_large_is_not_read() {
    let node = RegtestNode::start();
    let block = node.mine(1, &Script::new(0))[0];
    let door = connect(&node);
    let txid = node.block(block).txdata[0].compute_txid();
    let whole = door
        .verbose_transaction(&txid, Some(&block), usize::MAX)
        .unwrap();
    let length = whole.get().len();
    let told = |max_bytes| door.verbose_transaction(&txid, Some(&block), max_bytes);
    assert_eq!(told(length), Ok(whole));
    for max_bytes in [length - 1, 10, 0] {
        assert_eq!(told(max_bytes), Err(NodeError::TooLarge { max_bytes }));
    }
    // The connection is of use for what comes next.
    assert_eq!(door.tip().unwrap().height, 1);
    assert_eq!(door.pending(), 0);
}

#[test]
fn a_user_and_password_do_as_well() {
    // The line of `share/rpcauth/rpcauth.py alice`, for the password "pass:word".
    let salt = "0123456789abcdef0123456789abcdef";
    let line = format!("-rpcauth=alice:{salt}${}", hmac(salt, "pass:word"));
    let node = RegtestNode::start_with(&["-rest=1", &line]);
    let auth = Auth::from_user_password("alice:pass:word").unwrap();
    let source = Bitcoind::connect(&Config {
        auth,
        ..config(&node)
    })
    .unwrap();
    assert_eq!(source.tip().unwrap().height, 0);
}

fn hmac(key: &str, message: &str) -> String {
    use bitcoin::hashes::{HashEngine, Hmac, HmacEngine, sha256};
    let mut engine = HmacEngine::<sha256::Hash>::new(key.as_bytes());
    engine.input(message.as_bytes());
    Hmac::from_engine(engine).to_string()
}

#[test]
fn clients_get_what_the_node_says() {
    let node = RegtestNode::start();
    let (miner, alice) = (Script::new(0), Script::new(1));
    node.mine(101, &miner);
    let door = connect(&node);

    assert_eq!(door.estimate_fee(6, None), Ok(None));
    assert_eq!(
        door.estimate_fee(6, Some(EstimateMode::Conservative)),
        Ok(None)
    );
    let btc = |rate: Amount| rate.to_btc();
    let info = node.rpc("getnetworkinfo", &[]);
    assert_eq!(
        btc(door.relay_fee().unwrap().0),
        info["relayfee"].as_f64().unwrap()
    );
    assert_eq!(
        door.user_agent().unwrap(),
        info["subversion"].as_str().unwrap()
    );
    let info = node.rpc("getmempoolinfo", &[]);
    let fees = door.mempool_fees().unwrap();
    assert_eq!(
        btc(fees.mempool_min_fee.0),
        info["mempoolminfee"].as_f64().unwrap()
    );
    assert_eq!(
        btc(fees.min_relay_tx_fee.0),
        info["minrelaytxfee"].as_f64().unwrap()
    );
    assert_eq!(
        btc(fees.incremental_relay_fee.0),
        info["incrementalrelayfee"].as_f64().unwrap()
    );

    let tx = pay(node.coinbase(1, &miner), &alice, FEE);
    let txid = tx.compute_txid();
    assert_eq!(door.broadcast(&serialize(&tx)), Ok(txid));
    assert_eq!(
        door.broadcast(&serialize(&tx)),
        Ok(txid),
        "once and twice is the same"
    );
    assert_eq!(door.raw_transaction(&txid, None), Ok(serialize(&tx)));
    let block = node.mine(1, &miner)[0];
    assert_eq!(
        door.raw_transaction(&txid, Some(&block)),
        Ok(serialize(&tx))
    );
    let verbose = door
        .verbose_transaction(&txid, Some(&block), 1 << 20)
        .unwrap();
    let verbose: serde_json::Value = serde_json::from_str(verbose.get()).unwrap();
    assert_eq!(verbose["blockhash"], json!(block));
    assert_eq!(verbose["txid"], json!(txid));

    // Refusals come in the node's own words.
    let raw = |tx: &bitcoin::Transaction| bitcoin::consensus::encode::serialize_hex(tx);
    let conflict = pay(node.coinbase(1, &miner), &miner, FEE * 2);
    for refused in [serialize(&conflict), vec![], vec![1, 2, 3]] {
        let hex = bitcoin::hex::DisplayHex::to_lower_hex_string(refused.as_slice());
        let theirs = node
            .try_rpc("sendrawtransaction", &[json!(hex)])
            .unwrap_err();
        let Err(NodeError::Rpc { code, message }) = door.broadcast(&refused) else {
            panic!()
        };
        assert_eq!(json!(code), theirs["code"]);
        assert_eq!(json!(message), theirs["message"]);
    }
    assert!(matches!(
        door.raw_transaction(&txid, None),
        Err(NodeError::Rpc { code: -5, .. })
    ));

    let parent = pay(Coin::of(&tx, 0, &alice), &alice, Amount::ZERO);
    let child = pay(Coin::of(&parent, 0, &alice), &alice, FEE * 5);
    let package = door
        .submit_package(&[serialize(&parent), serialize(&child)])
        .unwrap();
    assert!(!raw(&parent).is_empty() && package.json.get().contains("package_msg"));

    // What the node would take, it does not have afterwards.
    let other = pay(node.coinbase(2, &miner), &alice, FEE);
    let verdicts = door
        .test_mempool_accept(&[serialize(&other), serialize(&conflict)])
        .unwrap();
    assert_eq!(verdicts.len(), 2);
    assert_eq!(verdicts[1].allowed, Some(false));
    let reason = verdicts[1].reason.as_deref().unwrap();
    assert!(
        reason.contains("missing-inputs") || reason.contains("missingorspent"),
        "{reason}"
    );
    let verdicts = door.test_mempool_accept(&[serialize(&other)]).unwrap();
    assert_eq!(verdicts[0].txid, other.compute_txid());
    assert_eq!(verdicts[0].wtxid, other.compute_wtxid());
    assert_eq!(
        (verdicts[0].allowed, &verdicts[0].reason),
        (Some(true), &None)
    );
    assert!(door.raw_transaction(&other.compute_txid(), None).is_err());
    assert!(matches!(
        door.test_mempool_accept(&[vec![1, 2, 3]]),
        Err(NodeError::Rpc { code: -22, .. })
    ));
}

#[test]
fn a_node_that_starts_is_waited_for() {
    let mut node = RegtestNode::start();
    node.mine(3, &Script::new(0));
    let source = connect(&node);
    let tip = source.tip().unwrap();
    for _ in 0..2 {
        node.kill();
        assert!(source.tip().unwrap_err().is_transient());
        assert!(source.headers(0, 1).unwrap_err().is_transient());
        assert!(
            source
                .wait_for_change(tip.hash, Duration::from_secs(1))
                .unwrap_err()
                .is_transient()
        );
        node.launch();
        // What a killed node had not written, it has forgotten.
        let tip = node.tip_hash();
        wait_for("the source to recover", || source.tip().is_ok());
        assert_eq!(source.tip().unwrap().hash, tip);
        assert_eq!(source.block(&tip).unwrap().block, node.block(tip));
    }
}

/// The rates at which we count unconfirmed transactions are those at which the node mines them: its chunks.
#[test]
fn the_fee_histogram_is_by_the_chunks_of_the_node() {
    let node = RegtestNode::start();
    let miner = Script::new(0);
    node.mine(130, &miner);
    // Deterministic, and different for each cluster.
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        (state >> 33) % below
    };
    for height in 1..=12 {
        let mut coins = vec![node.coinbase(height, &miner)];
        for _ in 0..12 {
            let mut inputs = Vec::new();
            for _ in 0..=random(3).min(coins.len() as u64 - 1) {
                inputs.push(coins.swap_remove(random(coins.len() as u64) as usize));
            }
            let fee = Amount::from_sat(1000 + random(4) * random(20_000));
            let value = inputs.iter().map(|coin| coin.value).sum::<Amount>() - fee;
            let count = 1 + random(3);
            let mut outputs = vec![(miner.output_script(), value / count); count as usize];
            // Sizes differ, too.
            let data = vec![1; random(80) as usize];
            let data = bitcoin::script::PushBytesBuf::try_from(data).unwrap();
            outputs.push((ScriptBuf::new_op_return(data), Amount::ZERO));
            let tx = spend(&inputs, &outputs);
            node.send(&tx);
            coins.extend((0..count).map(|vout| Coin::of(&tx, vout as u32, &miner)));
        }
    }
    let source = connect(&node);
    let mut mempool = Mempool::new();
    let tip = node.tip_hash();
    let Fetched::Delta(delta) = fetch(&source, &mempool, tip, &|| false).unwrap() else {
        panic!("nothing was mined");
    };
    drop(mempool.apply(delta));
    assert_eq!(mempool.len(), 144);

    let mut clustered = 0;
    for txid in node.mempool() {
        let entry = node.rpc("getmempoolentry", &[json!(txid)]);
        let fee = entry["fees"]["chunk"].as_f64().unwrap() * 1e8;
        let vsize = entry["chunkweight"].as_f64().unwrap() / 4.0;
        clustered += u32::from(vsize > entry["vsize"].as_f64().unwrap());
        let theirs = fee / vsize;
        let ours = mempool.mining_rate(&txid).unwrap().to_sat_per_kwu() as f64 / 250.0;
        // Ours is in tenths, and rounds the size of each transaction up.
        let tolerance = 0.1 + theirs / 100.0;
        assert!(
            (ours - theirs).abs() <= tolerance,
            "{txid}: {ours}, {theirs}"
        );
    }
    assert!(
        clustered > 50,
        "most of this pays for others or is paid for"
    );
}
