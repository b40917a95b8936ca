//! `electrum_streaming_client`: it speaks over any stream, sends batches as arrays, and never says which version of the
//! protocol it speaks.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use bitcoin::{Amount, Txid};
use electrum_streaming_client::notification::Notification;
use electrum_streaming_client::{
    AsyncBatchRequest, AsyncClient, BlockingBatchRequest, BlockingClient, ElectrumScriptHash,
    ElectrumScriptStatus, Event, SatisfiedRequest, request,
};
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::report::Report;
use crate::stage::{ALICE, AMOUNT, Stage, script};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn electrum_streaming_client_blocking_over_tcp() {
    let _report = Report::of_crate("electrum_streaming_client", "TCP");
    let mut stage = Stage::start();
    let (client, events) = connect(&stage);
    follow(&mut stage, &client, &events);
    read(&mut stage, &client);

    let payment = stage.payment(&script(8));
    let txid = client
        .send_request(request::BroadcastTx(payment.clone()))
        .unwrap();
    assert_eq!(txid, payment.compute_txid());
    assert_eq!(stage.node.mempool(), [txid]);
    let mut other = payment;
    other.output[0].value -= Amount::from_sat(1);
    let error = client
        .send_request(request::BroadcastTx(other))
        .unwrap_err();
    assert!(error.to_string().contains("insufficient fee"), "{error}");

    // A batch with something wrong in it: that is an error, and everything else is answered.
    let mut batch = BlockingBatchRequest::new();
    let header = batch.request(request::Header { height: 3 });
    let nonsense = batch.request(request::Custom {
        method: "blockchain.nonsense".into(),
        params: Vec::new(),
    });
    let balance = batch.request(request::GetBalance::from_script(script(8)));
    assert!(client.send_batch(batch).unwrap());
    let header = header.recv_timeout(PATIENCE).unwrap().unwrap().header;
    assert_eq!(header.block_hash(), stage.node.block_hash(3));
    let error = nonsense.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert!(error.to_string().contains("-32601"), "{error}");
    let balance = balance.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(balance.unconfirmed, Amount::from_sat(AMOUNT));

    // It ends with its connection; its users make another.
    stage.restart();
    assert!(events.iter().count() < 100);
    let (client, _events) = connect(&stage);
    client.send_request(request::Ping).unwrap();
}

fn connect(stage: &Stage) -> (BlockingClient, Receiver<Event>) {
    let stream = TcpStream::connect(("127.0.0.1", stage.server.port)).unwrap();
    let (client, events, _, _) = BlockingClient::new(stream.try_clone().unwrap(), stream);
    (client, events)
}

fn follow(stage: &mut Stage, client: &BlockingClient, events: &Receiver<Event>) {
    let alice = script(ALICE);
    let next = || events.recv_timeout(PATIENCE).unwrap();
    client
        .send_event_request(request::HeadersSubscribe)
        .unwrap();
    match next() {
        Event::Response(SatisfiedRequest::HeadersSubscribe { resp, .. }) => {
            assert_eq!(resp.height, stage.node.height());
            assert_eq!(resp.header.block_hash(), stage.node.tip_hash());
        }
        other => panic!("{other:?}"),
    }
    client
        .send_event_request(request::ScriptHashSubscribe::from_script(&alice))
        .unwrap();
    match next() {
        Event::Response(SatisfiedRequest::ScriptHashSubscribe { resp, .. }) => {
            assert_eq!(text(resp), stage.truth(&alice).status());
        }
        other => panic!("{other:?}"),
    }
    stage.pay(&alice);
    let expect_status = |stage: &mut Stage| match next() {
        Event::Notification(Notification::ScriptHash(told)) => {
            assert_eq!(told.script_hash(), ElectrumScriptHash::new(&alice));
            assert_eq!(text(told.script_status()), stage.truth(&alice).status());
        }
        other => panic!("{other:?}"),
    };
    let expect_header = |hash| match next() {
        Event::Notification(Notification::Header(told)) => {
            assert_eq!(told.header().block_hash(), hash);
        }
        other => panic!("{other:?}"),
    };
    expect_status(stage);
    let hash = stage.mine();
    expect_header(hash);
    expect_status(stage);
    // Nothing more is told of a script that was let go.
    let request = request::ScriptHashUnsubscribe::from_script(&alice);
    assert!(client.send_request(request).unwrap());
    stage.pay(&alice);
    let hash = stage.mine();
    expect_header(hash);
    let hash = stage.mine();
    expect_header(hash);
}

fn read(stage: &mut Stage, client: &BlockingClient) {
    let alice = script(ALICE);
    let truth = stage.truth(&alice);
    let history = client
        .send_request(request::GetHistory::from_script(&alice))
        .unwrap();
    let listed: Vec<(Txid, i64)> = history
        .iter()
        .map(|tx| (tx.txid(), tx.electrum_height()))
        .collect();
    assert_eq!(listed, pairs(&truth.history));
    assert_eq!(
        text(ElectrumScriptStatus::from_history(&history)),
        truth.status()
    );
    let balance = client
        .send_request(request::GetBalance::from_script(&alice))
        .unwrap();
    assert_eq!(balance.confirmed.to_sat() as i64, truth.balance.0);
    let unspent = client
        .send_request(request::ListUnspent::from_script(&alice))
        .unwrap();
    let listed: Vec<(Txid, i64)> = unspent
        .iter()
        .map(|output| (output.txid, i64::from(output.height.to_consensus_u32())))
        .collect();
    assert_eq!(listed, pairs(&truth.unspent));

    let (txid, height) = (history[0].txid(), 131);
    let block = stage.node.block(stage.node.block_hash(height));
    let tx = client.send_request(request::GetTx { txid }).unwrap().tx;
    assert_eq!(tx, block.txdata[1]);
    let proof = client
        .send_request(request::GetTxMerkle { txid, height })
        .unwrap();
    assert_eq!(proof.expected_merkle_root(txid), block.header.merkle_root);
    let at = request::GetTxidFromPos {
        height,
        tx_pos: proof.pos,
    };
    assert_eq!(client.send_request(at).unwrap().txid, txid);
    let proven = request::HeaderWithProof {
        height: 3,
        cp_height: 100,
    };
    let proven = client.send_request(proven).unwrap();
    assert_eq!(proven.header.block_hash(), stage.node.block_hash(3));
    assert_eq!(proven.branch.len(), 7);
    let headers = client
        .send_request(request::Headers {
            start_height: 1,
            count: 50,
        })
        .unwrap();
    assert_eq!(headers.headers[49].block_hash(), stage.node.block_hash(50));

    // The old version has these, and the node does not know what a payment costs.
    let estimate = request::EstimateFee { number: 6 };
    assert_eq!(client.send_request(estimate).unwrap().fee_rate, None);
    let relay = client.send_request(request::RelayFee).unwrap().fee;
    let told = stage.node.rpc("getmempoolinfo", &[]);
    assert_eq!(json!(relay.to_btc()), told["minrelaytxfee"]);
    client.send_request(request::GetFeeHistogram).unwrap();
    client.send_request(request::Banner).unwrap();
    let features = request::Custom {
        method: "server.features".into(),
        params: Vec::new(),
    };
    let features = client.send_request(features).unwrap();
    assert_eq!(
        features["genesis_hash"],
        json!(stage.node.block_hash(0).to_string())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn electrum_streaming_client_async_over_tls() {
    let _report = Report::of_crate("electrum_streaming_client", "TLS (pinned)");
    let mut stage = tokio::task::block_in_place(Stage::start);
    let (client, events, task) = connect_tls(&stage).await;
    let mut batch = AsyncBatchRequest::new();
    let futures: Vec<_> = (0..20)
        .map(|number| batch.request(request::GetHistory::from_script(script(number))))
        .collect();
    client.send_batch(batch).unwrap();
    for (number, future) in (0..).zip(futures) {
        let history = future.await.unwrap();
        let status = ElectrumScriptStatus::from_history(&history);
        assert_eq!(text(status), stage.truth(&script(number)).status());
    }
    let unknown = request::GetTx {
        txid: "00".repeat(32).parse().unwrap(),
    };
    assert!(client.send_request(unknown).await.is_err());
    client.send_request(request::Ping).await.unwrap();

    // The same certificate is shown after a restart.
    tokio::task::block_in_place(|| stage.restart());
    let _ = task.await.unwrap();
    assert!(client.send_request(request::Ping).await.is_err());
    drop(events);
    let (client, _events, _task) = connect_tls(&stage).await;
    client.send_request(request::Ping).await.unwrap();
}

type Task = tokio::task::JoinHandle<std::io::Result<()>>;

/// Trusts the server's own certificate and no other.
async fn connect_tls(
    stage: &Stage,
) -> (
    AsyncClient,
    electrum_streaming_client::AsyncEventReceiver,
    Task,
) {
    let mut roots = RootCertStore::empty();
    let pinned = CertificateDer::from_pem_file(stage.certificate()).unwrap();
    roots.add(pinned).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", stage.tls))
        .await
        .unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect("localhost".try_into().unwrap(), stream)
        .await
        .unwrap();
    let (reader, writer) = tokio::io::split(stream);
    let (client, events, work) = AsyncClient::new_tokio(reader, writer);
    (client, events, tokio::spawn(work))
}

/// Transactions and heights of what the node lists.
fn pairs(entries: &[Value]) -> Vec<(Txid, i64)> {
    entries
        .iter()
        .map(|entry| {
            let txid = entry["tx_hash"].as_str().unwrap().parse().unwrap();
            (txid, entry["height"].as_i64().unwrap())
        })
        .collect()
}

fn text(status: Option<ElectrumScriptStatus>) -> Value {
    json!(status.map(|status| status.to_string()))
}
