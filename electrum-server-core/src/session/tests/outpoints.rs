//! What becomes of outputs, told to sessions of 1.7.

use bitcoin::{OutPoint, Transaction};
use electrum_protocol::method::outpoint::{self, OutpointStatus};
use electrum_protocol::method::transaction::TransactionHeight;
use electrum_protocol::method::{mempool, scriptpubkey, server, transaction};
use electrum_protocol::{Confirmation, ErrorCode, Notification, ProtocolVersion, VersionRange};

use super::chain::{pay, script, script_hash};
use super::handlers::{COIN, error, stage};
use super::stage::Stage;
use super::talk::Talk;
use crate::session::{About, Limits};

fn talk(stage: &Stage) -> Talk {
    stage
        .talk()
        .introduce(VersionRange::exactly(ProtocolVersion::V1_7))
}

/// Who spends an output, found by reading the whole chain.
fn spender(stage: &Stage, outpoint: &OutPoint) -> Option<(bitcoin::Txid, u32)> {
    (0..).zip(&stage.chain.blocks).find_map(|(height, block)| {
        let mut transactions = block.txdata.iter();
        let spends = |tx: &&Transaction| {
            tx.input
                .iter()
                .any(|input| input.previous_output == *outpoint)
        };
        transactions
            .find(spends)
            .map(|tx| (tx.compute_txid(), height))
    })
}

#[test]
fn every_output_of_the_chain() {
    let stage = stage();
    let mut talk = talk(&stage);
    for (height, block) in (1..).zip(&stage.chain.blocks[1..]) {
        for tx in &block.txdata {
            stage.node.knows(tx, Some(block.block_hash()));
            for (vout, output) in (0..).zip(&tx.output) {
                let outpoint = OutPoint::new(tx.compute_txid(), vout);
                let funder = Confirmation::Block(height);
                let expected = match spender(&stage, &outpoint) {
                    None => OutpointStatus::Unspent { funder },
                    Some((spender, height)) => OutpointStatus::Spent {
                        funder,
                        spender,
                        spender_confirmation: Confirmation::Block(height),
                    },
                };
                for script_hint in [Some(output.script_pubkey.clone()), None] {
                    let answer = talk.ask(outpoint::GetStatus {
                        outpoint,
                        script_hint,
                    });
                    assert_eq!(answer, Ok(expected));
                }
                // Who names another script is believed.
                let script_hint = Some(script(200));
                let answer = talk.ask(outpoint::GetStatus {
                    outpoint,
                    script_hint,
                });
                assert_eq!(answer, Ok(OutpointStatus::Missing));
            }
            let outpoint = OutPoint::new(tx.compute_txid(), 9);
            for script_hint in [Some(tx.output[0].script_pubkey.clone()), None] {
                let answer = talk.ask(outpoint::GetStatus {
                    outpoint,
                    script_hint,
                });
                assert_eq!(answer, Ok(OutpointStatus::Missing));
            }
        }
    }
}

fn told(stage: &Stage, talk: &mut Talk) -> Vec<String> {
    talk.update(stage.last_update())
}

fn line(outpoint: OutPoint, status: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"blockchain.outpoint.subscribe\",\"params\":[\"{}\",{},{{{status}}}]}}",
        outpoint.txid, outpoint.vout
    )
}

/// From an output that nobody has seen to one that is spent in a block.
fn the_life_of_an_output(script_hint: Option<bitcoin::ScriptBuf>) {
    let mut stage = stage();
    let mut talk = talk(&stage);
    let coin = OutPoint::new(stage.chain.blocks[5].txdata[0].compute_txid(), 0);
    let parent = pay(&[coin], &[(4, 20 * COIN)]);
    let funder = pay(
        &[OutPoint::new(parent.compute_txid(), 0)],
        &[(5, 19 * COIN)],
    );
    let outpoint = OutPoint::new(funder.compute_txid(), 0);
    let spender = pay(&[outpoint], &[(6, 18 * COIN)]);
    let spent_by = format!("\"spender_txhash\":\"{}\"", spender.compute_txid());
    let request = outpoint::Subscribe {
        outpoint,
        script_hint,
    };
    assert_eq!(talk.ask(request.clone()), Ok(OutpointStatus::Missing));
    stage.receive(parent.clone());
    assert_eq!(told(&stage, &mut talk), [""; 0]);
    stage.receive(funder.clone());
    assert_eq!(
        told(&stage, &mut talk),
        [line(outpoint, "\"funder_height\":-1")]
    );
    stage.mine(9, &[parent]);
    assert_eq!(
        told(&stage, &mut talk),
        [line(outpoint, "\"funder_height\":0")]
    );
    stage.receive(spender.clone());
    let status = format!("\"funder_height\":0,{spent_by},\"spender_height\":-1");
    assert_eq!(told(&stage, &mut talk), [line(outpoint, &status)]);
    assert_eq!(told(&stage, &mut talk), [""; 0], "nothing is said twice");
    stage.mine(9, std::slice::from_ref(&funder));
    let status = format!("\"funder_height\":14,{spent_by},\"spender_height\":0");
    assert_eq!(told(&stage, &mut talk), [line(outpoint, &status)]);
    stage.mine(9, &[]);
    assert_eq!(told(&stage, &mut talk), [""; 0]);
    stage.mine(9, &[spender]);
    let status = format!("\"funder_height\":14,{spent_by},\"spender_height\":16");
    assert_eq!(told(&stage, &mut talk), [line(outpoint, &status)]);
    // After missed updates everything is looked at again, and nothing is news.
    talk.session.on_missed_updates();
    talk.run();
    assert_eq!(talk.hear(), [""; 0]);
    assert_eq!(talk.ask(outpoint::Unsubscribe { outpoint }), Ok(true));
    assert_eq!(talk.ask(outpoint::Unsubscribe { outpoint }), Ok(false));
}

#[test]
fn the_life_of_an_output_whose_script_is_known() {
    the_life_of_an_output(Some(script(5)));
}

#[test]
fn the_life_of_an_output_whose_script_must_be_found() {
    the_life_of_an_output(None);
}

/// What leaves the mempool leaves no trace.
#[test]
fn transactions_that_are_evicted() {
    for script_hint in [Some(script(4)), None] {
        let mut stage = stage();
        let mut talk = talk(&stage);
        let coin = OutPoint::new(stage.chain.blocks[5].txdata[0].compute_txid(), 0);
        let funder = pay(&[coin], &[(4, 20 * COIN)]);
        let outpoint = OutPoint::new(funder.compute_txid(), 0);
        let spender = pay(&[outpoint], &[(5, 19 * COIN)]);
        stage.receive(funder);
        let funder = Confirmation::Mempool {
            unconfirmed_parents: false,
        };
        let request = outpoint::Subscribe {
            outpoint,
            script_hint,
        };
        assert_eq!(talk.ask(request), Ok(OutpointStatus::Unspent { funder }));
        let txid = outpoint.txid;
        let answer = talk.ask(transaction::Subscribe { txid });
        assert_eq!(answer, Ok(TransactionHeight::Mempool));
        let spender = stage.receive(spender);
        assert_eq!(told(&stage, &mut talk).len(), 1);
        stage.evict(spender);
        assert_eq!(
            told(&stage, &mut talk),
            [line(outpoint, "\"funder_height\":0")]
        );
        stage.evict(txid);
        let gone = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"blockchain.transaction.subscribe\",\"params\":[\"{txid}\",null]}}"
        );
        assert_eq!(told(&stage, &mut talk), [line(outpoint, ""), gone]);
    }
}

/// The transaction was never in the mempool, so its script is found in the block; while the node is away, later.
#[test]
fn an_output_that_appears_in_a_block() {
    let mut stage = stage();
    let mut talk = talk(&stage);
    let coin = OutPoint::new(stage.chain.blocks[5].txdata[0].compute_txid(), 0);
    let funder = pay(&[coin], &[(4, 20 * COIN)]);
    let outpoint = OutPoint::new(funder.compute_txid(), 0);
    let request = outpoint::Subscribe {
        outpoint,
        script_hint: None,
    };
    assert_eq!(talk.ask(request), Ok(OutpointStatus::Missing));
    stage
        .node
        .away
        .store(true, std::sync::atomic::Ordering::Relaxed);
    stage.mine(9, std::slice::from_ref(&funder));
    stage.node.knows(&funder, Some(stage.chain.tip_hash()));
    assert_eq!(told(&stage, &mut talk), [""; 0]);
    stage
        .node
        .away
        .store(false, std::sync::atomic::Ordering::Relaxed);
    stage.mine(9, &[]);
    assert_eq!(
        told(&stage, &mut talk),
        [line(outpoint, "\"funder_height\":13")]
    );
}

#[test]
fn outputs_that_nobody_can_spend() {
    let mut stage = stage();
    let mut talk = talk(&stage);
    let coin = OutPoint::new(stage.chain.blocks[5].txdata[0].compute_txid(), 0);
    let mut tx = pay(&[coin], &[(4, 20 * COIN), (5, 0)]);
    let script = bitcoin::ScriptBuf::new_op_return([1, 2, 3]);
    tx.output[1].script_pubkey = script.clone();
    let outpoint = OutPoint::new(tx.compute_txid(), 1);
    for script_hint in [Some(script), None] {
        let request = outpoint::Subscribe {
            outpoint,
            script_hint,
        };
        assert_eq!(talk.ask(request), Ok(OutpointStatus::Missing));
    }
    stage.receive(tx.clone());
    assert_eq!(
        told(&stage, &mut talk),
        [line(outpoint, "\"funder_height\":0")]
    );
    stage.evict(outpoint.txid);
    assert_eq!(told(&stage, &mut talk), [line(outpoint, "")]);
    stage.receive(tx.clone());
    assert_eq!(
        told(&stage, &mut talk),
        [line(outpoint, "\"funder_height\":0")]
    );
    stage.mine(9, std::slice::from_ref(&tx));
    stage.node.knows(&tx, Some(stage.chain.tip_hash()));
    assert_eq!(
        told(&stage, &mut talk),
        [line(outpoint, "\"funder_height\":13")]
    );
}

#[test]
fn scripts_by_themselves() {
    let mut stage = stage();
    let mut talk = talk(&stage);
    let view = stage.view();
    for n in [1, 2, 3, 77] {
        let (script, script_hash) = (script(n), script_hash(n));
        let heights = Default::default();
        let history = talk.ask(scriptpubkey::GetHistory {
            script: script.clone(),
            heights,
        });
        assert_eq!(
            history.unwrap().0,
            view.history(&script_hash, None).unwrap()
        );
        let unspent = talk.ask(scriptpubkey::ListUnspent {
            script: script.clone(),
        });
        assert_eq!(
            unspent.unwrap().0,
            view.unspent(&script_hash, None).unwrap()
        );
        let balance = talk.ask(scriptpubkey::GetBalance {
            script: script.clone(),
        });
        assert_eq!(balance.unwrap(), view.balance(&script_hash, None).unwrap());
        let mempool = talk.ask(scriptpubkey::GetMempool {
            script: script.clone(),
        });
        assert_eq!(mempool.unwrap().0, []);
        let status = talk.ask(scriptpubkey::Subscribe { script });
        assert_eq!(status.unwrap(), view.status(&script_hash, None).unwrap());
    }
    stage.mine(1, &[]);
    let status = stage.view().status(&script_hash(1), None).unwrap().unwrap();
    let expected = format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"blockchain.scriptpubkey.subscribe\",\"params\":[\"{}\",\"{status}\"]}}",
        script_hash(1)
    );
    assert_eq!(told(&stage, &mut talk), [expected]);
    assert_eq!(
        talk.ask(scriptpubkey::Unsubscribe { script: script(1) }),
        Ok(true)
    );
    assert_eq!(
        talk.ask(scriptpubkey::Unsubscribe { script: script(1) }),
        Ok(false)
    );
    stage.mine(1, &[]);
    assert_eq!(told(&stage, &mut talk), [""; 0]);
}

#[test]
fn the_newest_of_the_mempool() {
    let mut stage = stage();
    let mut talk = talk(&stage);
    assert_eq!(talk.ask(mempool::Recent), Ok(Vec::new()));
    let mut txids = Vec::new();
    let mut coin = OutPoint::new(stage.chain.blocks[5].txdata[0].compute_txid(), 0);
    let mut chain = Vec::new();
    for n in 1..=12 {
        let tx = pay(&[coin], &[(4, 50 * COIN - 1000 * n)]);
        coin = OutPoint::new(stage.receive(tx.clone()), 0);
        txids.insert(0, coin.txid);
        chain.push(tx);
    }
    let recent = talk.ask(mempool::Recent).unwrap();
    let told: Vec<_> = recent.iter().map(|recent| recent.txid).collect();
    assert_eq!(told, txids[..10]);
    assert!(recent.iter().all(|recent| recent.fee.to_sat() == 1000));
    assert_eq!(recent[0].vsize, chain[11].vsize() as u64);
    stage.mine(9, &chain[..11]);
    let recent = talk.ask(mempool::Recent).unwrap();
    assert_eq!(recent.len(), 1);
    assert_eq!(recent[0].txid, txids[0]);
}

#[test]
fn the_node_judges() {
    let stage = stage();
    let mut talk = talk(&stage);
    let tx = pay(&[OutPoint::null()], &[(4, 1)]);
    let raw_txs = vec![bitcoin::consensus::serialize(&tx)];
    let verdicts = talk
        .ask(transaction::TestMempoolAccept { raw_txs })
        .unwrap();
    assert_eq!(verdicts[0].txid, tx.compute_txid());
    assert_eq!(verdicts[0].allowed, Some(true));
    let raw_txs = vec![vec![1, 2, 3]];
    let refused = talk
        .ask(transaction::TestMempoolAccept { raw_txs })
        .unwrap_err();
    assert_eq!(refused.code, ErrorCode::BAD_REQUEST);
}

#[test]
fn pings_are_as_long_as_they_may_be() {
    let limits = Limits {
        max_response: 10_000,
        ..Limits::default()
    };
    let stage = Stage::with(About::default(), limits);
    let mut talk = talk(&stage);
    let mut ping = |pong_len| {
        talk.ask(server::Ping {
            pong_len,
            data_len: 7,
        })
    };
    assert_eq!(ping(0).unwrap().data_len, 0);
    assert_eq!(ping(9000).unwrap().data_len, 9000);
    let expected = error(ErrorCode::BAD_REQUEST, "pong_len value too high");
    assert_eq!(ping(10_001), Err(expected.clone()));
    assert_eq!(ping(u32::MAX), Err(expected));
    // As a notification it is not answered.
    let line = "{\"jsonrpc\":\"2.0\",\"method\":\"server.ping\",\"params\":[\"000\"]}\n";
    assert_eq!(talk.say(line), [""; 0]);
}

/// All kinds of subscriptions share one limit.
#[test]
fn subscriptions_are_limited_together() {
    let limits = Limits {
        max_subscriptions: 3,
        ..Limits::default()
    };
    let stage = Stage::with(About::default(), limits);
    let mut talk = talk(&stage);
    let outpoint = |vout| outpoint::Subscribe {
        outpoint: OutPoint {
            vout,
            ..OutPoint::null()
        },
        script_hint: Some(script(1)),
    };
    let txid = OutPoint::null().txid;
    talk.ask(scriptpubkey::Subscribe { script: script(1) })
        .unwrap();
    talk.ask(outpoint(1)).unwrap();
    talk.ask(transaction::Subscribe { txid }).unwrap();
    let too_many = error(
        ErrorCode::LIMIT_EXCEEDED,
        "Subscription limit reached: 3 subscriptions",
    );
    assert_eq!(talk.ask(outpoint(2)), Err(too_many.clone()));
    let script = script(2);
    assert_eq!(talk.ask(scriptpubkey::Subscribe { script }), Err(too_many));
    // What is there already may be asked for again.
    talk.ask(outpoint(1)).unwrap();
    talk.ask(transaction::Subscribe { txid }).unwrap();
    talk.ask(outpoint::Unsubscribe {
        outpoint: outpoint(1).outpoint,
    })
    .unwrap();
    talk.ask(outpoint(2)).unwrap();
}

/// Everything that a block changes, in one order.
#[test]
fn headers_then_scripts_then_outpoints_then_transactions() {
    let mut stage = stage();
    let mut talk = talk(&stage);
    let coin = OutPoint::new(stage.chain.blocks[5].txdata[0].compute_txid(), 0);
    let tx = pay(&[coin], &[(4, 20 * COIN)]);
    let txid = tx.compute_txid();
    talk.ask(transaction::Subscribe { txid }).unwrap();
    let outpoint = OutPoint::new(txid, 0);
    talk.ask(outpoint::Subscribe {
        outpoint,
        script_hint: Some(script(4)),
    })
    .unwrap();
    talk.ask(scriptpubkey::Subscribe { script: script(4) })
        .unwrap();
    talk.ask(electrum_protocol::method::headers::Subscribe::RAW)
        .unwrap();
    stage.mine(9, &[tx]);
    talk.session.on_update(stage.last_update());
    // The answer to a request waits for nothing, but what it is answered from is told before.
    talk.ask(server::Ping::default()).unwrap();
    let kinds: Vec<_> = talk
        .notifications
        .iter()
        .map(|notification| match notification {
            Notification::Headers(_) => 0,
            Notification::ScriptHash { .. } => 1,
            Notification::Outpoint { .. } => 2,
            Notification::Transaction { .. } => 3,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, [0, 1, 2, 3]);
}
