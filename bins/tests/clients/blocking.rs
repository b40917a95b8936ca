//! `electrum-client`, which many Rust wallets are built on. It pipelines what it asks in batches.

use bitcoin::hashes::Hash;
use electrum_client::{
    Batch, Client, ConfigBuilder, ElectrumApi, Error, GetHistoryRes, Param, utils,
};
use serde_json::{Value, json};

use crate::eventually;
use crate::report::Report;
use crate::stage::{ALICE, AMOUNT, Stage, script};

#[test]
fn electrum_client_over_tcp() {
    let _report = Report::of_crate("electrum-client", "TCP");
    let mut stage = Stage::start();
    let url = stage.tcp_url();
    story(&mut stage, &url);
}

#[test]
#[ignore = "contrib/clients.sh builds the client with TLS, and runs this"]
fn electrum_client_over_tls() {
    let _report = Report::of_crate("electrum-client", "TLS");
    let mut stage = Stage::start();
    let url = stage.tls_url();
    story(&mut stage, &url);

    // Unless it is told to, it takes no certificate that nobody has signed.
    let strict = ConfigBuilder::new().retry(0).build();
    match Client::from_config(&url, strict) {
        Ok(_) => panic!("nobody has signed that certificate"),
        Err(error) => {
            let error = format!("{error:?}");
            assert!(error.contains("InvalidCertificate"), "{error}");
        }
    }
}

fn story(stage: &mut Stage, url: &str) {
    let config = ConfigBuilder::new().validate_domain(false).retry(3).build();
    let client = Client::from_config(url, config).unwrap();
    assert_eq!(client.protocol_version().unwrap(), "1.6");
    let features = client.server_features().unwrap();
    let mut genesis = features.genesis_hash;
    genesis.reverse();
    assert_eq!(genesis, stage.node.block_hash(0).to_byte_array());
    client.ping().unwrap();

    follow(stage, &client);
    read(stage, &client);
    let payment = broadcast(stage, &client);
    refuse(&client);

    // It connects again by itself; to be told of anything, it has to ask again.
    stage.restart();
    assert_eq!(
        client.transaction_get(&payment.compute_txid()).unwrap(),
        payment
    );
    let tip = client.block_headers_subscribe().unwrap();
    assert_eq!(tip.header.block_hash(), stage.node.tip_hash());
}

/// Headers, and what happens to a script, as it happens.
fn follow(stage: &mut Stage, client: &Client) {
    let tip = client.block_headers_subscribe().unwrap();
    assert_eq!(tip.height, stage.node.height() as usize);
    assert_eq!(tip.header.block_hash(), stage.node.tip_hash());
    let hash = stage.mine();
    let header = eventually("the block is told", || {
        client.ping().unwrap();
        client.block_headers_pop().unwrap().ok_or_else(String::new)
    });
    assert_eq!(header.header.block_hash(), hash);

    let alice = script(ALICE);
    let status = client.script_subscribe(&alice).unwrap();
    assert_eq!(text(&status), stage.truth(&alice).status());
    assert!(matches!(
        client.script_subscribe(&alice),
        Err(Error::AlreadySubscribed(_))
    ));
    let payment = stage.pay(&alice);
    let next = |stage: &mut Stage| {
        let status = eventually("the payment is told", || {
            client.ping().unwrap();
            client.script_pop(&alice).unwrap().ok_or_else(String::new)
        });
        assert_eq!(text(&Some(status)), stage.truth(&alice).status());
    };
    next(stage);
    let history = client.script_get_history(&alice).unwrap();
    let last = history.last().unwrap();
    assert_eq!((last.height, last.tx_hash), (0, payment.compute_txid()));
    assert_eq!(last.fee, Some(10_000));
    stage.mine();
    next(stage);

    assert!(client.script_unsubscribe(&alice).unwrap());
    assert_eq!(
        text(&client.script_subscribe(&alice).unwrap()),
        stage.truth(&alice).status()
    );
    assert!(client.script_unsubscribe(&alice).unwrap());
}

/// Everything that can be asked for, one by one and in batches.
fn read(stage: &mut Stage, client: &Client) {
    let alice = script(ALICE);
    let truth = stage.truth(&alice);
    let balance = client.script_get_balance(&alice).unwrap();
    assert_eq!(
        (balance.confirmed as i64, balance.unconfirmed),
        truth.balance
    );
    let history = client.script_get_history(&alice).unwrap();
    assert_eq!(listed(&history), truth.history);
    let unspent: Vec<Value> = client
        .script_list_unspent(&alice)
        .unwrap()
        .iter()
        .map(|output| {
            json!({"height": output.height, "tx_hash": output.tx_hash, "tx_pos": output.tx_pos,
                "value": output.value})
        })
        .collect();
    assert_eq!(unspent, truth.unspent);

    let scripts: Vec<_> = (0..60).map(script).collect();
    let all = client
        .batch_script_get_history(scripts.iter().map(bitcoin::ScriptBuf::as_script))
        .unwrap();
    for (number, history) in (0..).zip(&all) {
        assert_eq!(listed(history), stage.truth(&script(number)).history);
        if number >= ALICE {
            break;
        }
    }
    assert_eq!(all.len(), scripts.len());

    let entry = &history[0];
    let raw = client.transaction_get_raw(&entry.tx_hash).unwrap();
    let told = stage.node.rpc(
        "getblock",
        &[json!(stage.node.block_hash(131).to_string()), json!(2)],
    );
    assert_eq!(json!(hex(&raw)), told["tx"][1]["hex"]);
    let verbose = client
        .raw_call(
            "blockchain.transaction.get",
            [Param::String(entry.tx_hash.to_string()), Param::Bool(true)],
        )
        .unwrap();
    for field in ["txid", "hash", "vsize", "vin", "vout"] {
        assert_eq!(verbose[field], told["tx"][1][field], "{field}");
    }
    let height = entry.height as usize;
    let header = client.block_header(height).unwrap();
    assert_eq!(header.block_hash(), stage.node.block_hash(131));
    let proof = client
        .transaction_get_merkle(&entry.tx_hash, height)
        .unwrap();
    assert!(utils::validate_merkle_proof(
        &entry.tx_hash,
        &header.merkle_root,
        &proof
    ));
    assert_eq!(
        client.txid_from_pos(height, proof.pos).unwrap(),
        entry.tx_hash
    );
    let headers = client.block_headers(1, 100).unwrap();
    assert_eq!(headers.count, 100);
    assert_eq!(headers.headers[99].block_hash(), stage.node.block_hash(100));

    assert_eq!(client.estimate_fee(6, None).unwrap(), stage.fee(6));
    let info = stage.node.rpc("getmempoolinfo", &[]);
    let relay = client.mempool_get_info().unwrap();
    assert_eq!(json!(relay.minrelaytxfee), info["minrelaytxfee"]);
    assert_eq!(json!(relay.mempoolminfee), info["mempoolminfee"]);
    // What 1.6 has taken away is an error, and the connection goes on.
    assert!(matches!(client.relay_fee(), Err(Error::Protocol(_))));
}

/// A payment through the server, and one that spends the same again.
fn broadcast(stage: &mut Stage, client: &Client) -> bitcoin::Transaction {
    let bob = script(8);
    let payment = stage.payment(&bob);
    let txid = client.transaction_broadcast(&payment).unwrap();
    assert_eq!(stage.node.mempool(), [txid]);
    let balance = client.script_get_balance(&bob).unwrap();
    assert!(balance.unconfirmed >= AMOUNT as i64, "{balance:?}");

    let mut other = payment.clone();
    other.output[0].value -= bitcoin::Amount::from_sat(1);
    match client.transaction_broadcast(&other) {
        Err(Error::Protocol(error)) => {
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("insufficient fee"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    stage.mine();
    payment
}

fn refuse(client: &Client) {
    let unknown = bitcoin::Txid::all_zeros();
    assert!(matches!(
        client.transaction_get(&unknown),
        Err(Error::Protocol(_))
    ));
    match client.raw_call("blockchain.nonsense", []) {
        Err(Error::Protocol(error)) => assert_eq!(error["code"], json!(-32601), "{error}"),
        other => panic!("{other:?}"),
    }
    let mut batch = Batch::default();
    batch.estimate_fee(6, None);
    batch.transaction_get(&unknown);
    assert!(matches!(client.batch_call(&batch), Err(Error::Protocol(_))));
    client.ping().unwrap();
}

/// A history as the protocol lists it.
fn listed(history: &[GetHistoryRes]) -> Vec<Value> {
    history
        .iter()
        .map(|entry| match entry.fee {
            Some(fee) => json!({"tx_hash": entry.tx_hash, "height": entry.height, "fee": fee}),
            None => json!({"tx_hash": entry.tx_hash, "height": entry.height}),
        })
        .collect()
}

fn text(status: &Option<electrum_client::ScriptStatus>) -> Value {
    match status {
        Some(status) => json!(hex(&status[..])),
        None => Value::Null,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
