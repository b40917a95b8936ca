//! Transactions: where they are found, proven and broadcast.

use std::sync::atomic::Ordering;

use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{OutPoint, Txid, consensus};
use electrum_protocol::method::outpoint::OutpointStatus;
use electrum_protocol::method::transaction::{
    BroadcastPackageResponse, GetResponse, IdFromPosResponse, PackageError,
};
use electrum_protocol::method::{fee, headers, mempool, outpoint, scripthash, transaction, utxo};
use electrum_protocol::{ErrorCode, ProtocolVersion, RawJson, VersionRange, merkle};

use super::chain::{pay, script, script_hash};
use super::handlers::{COIN, error, stage};
use super::stage::Stage;
use crate::chain::{NodeError, PackageOutcome};
use crate::session::{About, Limits};
use crate::sync::RefreshScope;

#[test]
fn transactions_of_blocks_come_from_the_node_and_its_block() {
    let stage = stage();
    let mut talk = stage.talk();
    let block = &stage.chain.blocks[11];
    let raw = consensus::serialize(&block.txdata[1]);
    let txid = block.txdata[1].compute_txid();
    stage.node.knows(&block.txdata[1], Some(block.block_hash()));
    let answer = talk.ask(transaction::Get {
        txid,
        verbose: false,
    });
    assert_eq!(answer, Ok(GetResponse::Raw(raw.clone())));
    let answer = talk.ask(transaction::Get {
        txid,
        verbose: true,
    });
    let json = RawJson::parse(&format!("{{\"size\": {}}}", raw.len())).unwrap();
    assert_eq!(answer, Ok(GetResponse::Verbose(json)));
    let place = format!("{txid} {:?}", Some(block.block_hash()));
    assert_eq!(
        stage.node.asked(),
        [format!("raw {place}"), format!("verbose {place}")]
    );
}

#[test]
fn transactions_of_the_mempool_are_known_without_the_node() {
    let mut stage = stage();
    let paid = OutPoint::new(stage.chain.blocks[11].txdata[1].compute_txid(), 1);
    let tx = pay(&[paid], &[(4, 29 * COIN)]);
    let txid = stage.receive(tx.clone());
    stage.node.away.store(true, Ordering::Relaxed);
    let answer = stage.talk().ask(transaction::Get {
        txid,
        verbose: false,
    });
    assert_eq!(answer, Ok(GetResponse::Raw(consensus::serialize(&tx))));
    assert_eq!(stage.node.asked(), [""; 0]);
}

/// A client that sees a transaction expects to see it in histories.
#[test]
fn a_transaction_is_not_told_before_the_histories_have_it() {
    let mut stage = stage();
    let paid = OutPoint::new(stage.chain.blocks[11].txdata[1].compute_txid(), 1);
    let tx = pay(&[paid], &[(4, 29 * COIN)]);
    let txid = tx.compute_txid();
    let script_hash = script_hash(4);
    // The node has it, the view gets it when it is made current.
    stage.node.knows(&tx, None);
    stage.receive_on_refresh(tx.clone());
    let mut talk = stage.talk();
    assert_eq!(
        talk.ask(scripthash::GetHistory::whole(script_hash))
            .unwrap()
            .len(),
        0
    );
    let answer = talk.ask(transaction::Get {
        txid,
        verbose: false,
    });
    assert_eq!(answer, Ok(GetResponse::Raw(consensus::serialize(&tx))));
    assert_eq!(stage.refreshes(), 1);
    assert_eq!(
        talk.ask(scripthash::GetHistory::whole(script_hash))
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_transaction_that_was_just_mined_is_found_in_its_block() {
    let mut stage = stage();
    let paid = OutPoint::new(stage.chain.blocks[11].txdata[1].compute_txid(), 1);
    let tx = pay(&[paid], &[(4, 29 * COIN)]);
    // Gone from the node's mempool, and the view does not know the block yet.
    stage.mine_on_refresh(9, std::slice::from_ref(&tx));
    stage.node.knows(&tx, Some(stage.chain.tip_hash()));
    let answer = stage.talk().ask(transaction::Get {
        txid: tx.compute_txid(),
        verbose: false,
    });
    assert_eq!(answer, Ok(GetResponse::Raw(consensus::serialize(&tx))));
}

#[test]
fn unknown_transactions_and_absent_nodes() {
    let stage = stage();
    let mut talk = stage.talk();
    let txid = Txid::from_byte_array([7; 32]);
    let answer = talk.ask(transaction::Get {
        txid,
        verbose: false,
    });
    // The words of Bitcoin Core with a transaction index, as ElectrumX prints them: clients search for them.
    let message = "daemon error: DaemonError({'code': -5, 'message': 'No such mempool or blockchain transaction. \
                   Use gettransaction for wallet transactions.'})";
    assert_eq!(answer, Err(error(ErrorCode::DAEMON_ERROR, message)));

    stage.node.away.store(true, Ordering::Relaxed);
    let away = error(
        ErrorCode::DAEMON_ERROR,
        "daemon error: the node is not available",
    );
    let answer = talk.ask(transaction::Get {
        txid,
        verbose: false,
    });
    assert_eq!(answer, Err(away.clone()));
    let answer = talk.ask(transaction::Broadcast {
        raw_tx: vec![1, 2, 3],
    });
    assert_eq!(answer, Err(away.clone()));
    assert_eq!(talk.ask(fee::RelayFee), Err(away));
    // What the view knows is served all the same.
    let script_hash = script_hash(1);
    assert_eq!(
        talk.ask(scripthash::GetHistory::whole(script_hash))
            .unwrap()
            .len(),
        stage.chain.history(1).len()
    );
    talk.ask(headers::Subscribe::RAW).unwrap();
    talk.ask(mempool::GetFeeHistogram).unwrap();
}

#[test]
fn proofs_of_transactions() {
    let stage = stage();
    let mut talk = stage.talk();
    for (height, block) in (0..).zip(&stage.chain.blocks) {
        for (pos, tx) in (0..).zip(&block.txdata) {
            let txid = tx.compute_txid();
            let proof = talk
                .ask(transaction::GetMerkle {
                    txid,
                    height: Some(height),
                })
                .unwrap();
            assert_eq!((proof.block_height, proof.pos), (height, pos));
            let leaf = sha256d::Hash::from_byte_array(txid.to_byte_array());
            let root = block.header.merkle_root.to_byte_array();
            let root = sha256d::Hash::from_byte_array(root);
            merkle::verify(leaf, pos, &proof.merkle, root).unwrap();

            let params = transaction::IdFromPos {
                height,
                tx_pos: pos,
                merkle: false,
            };
            let expected = IdFromPosResponse { txid, merkle: None };
            assert_eq!(talk.ask(params), Ok(expected));
            let params = transaction::IdFromPos {
                height,
                tx_pos: pos,
                merkle: true,
            };
            let expected = IdFromPosResponse {
                txid,
                merkle: Some(proof.merkle),
            };
            assert_eq!(talk.ask(params), Ok(expected));
        }
    }
    let txid = stage.chain.blocks[11].txdata[1].compute_txid();
    for (height, shown) in [(12, "12"), (0, "0"), (1_000_000, "1,000,000")] {
        let message = format!("tx {txid} not in block at height {shown}");
        let expected = error(ErrorCode::BAD_REQUEST, message);
        assert_eq!(
            talk.ask(transaction::GetMerkle {
                txid,
                height: Some(height)
            }),
            Err(expected)
        );
    }
    for (height, tx_pos, shown) in [(11, 3, "3"), (13, 0, "0"), (11, 1000, "1,000")] {
        let message = format!("no tx at position {shown} in block at height {height}");
        let expected = error(ErrorCode::BAD_REQUEST, message);
        let params = transaction::IdFromPos {
            height,
            tx_pos,
            merkle: true,
        };
        assert_eq!(talk.ask(params), Err(expected));
    }
}

#[test]
fn the_sender_of_a_transaction_finds_it_at_once() {
    let mut stage = stage();
    let paid = OutPoint::new(stage.chain.blocks[11].txdata[1].compute_txid(), 1);
    let tx = pay(&[paid], &[(4, 29 * COIN)]);
    let txid = tx.compute_txid();
    stage.receive_on_refresh(tx.clone());
    stage.node.answers_broadcast(Ok(txid));
    let mut talk = stage.talk();
    // In one write: nothing happens between the two.
    let raw_tx = consensus::encode::serialize_hex(&tx);
    let lines = talk.say(&format!(
        "{{\"id\":1,\"method\":\"blockchain.transaction.broadcast\",\"params\":[\"{raw_tx}\"]}}\n\
         {{\"id\":2,\"method\":\"blockchain.scripthash.get_history\",\"params\":[\"{}\"]}}\n",
        script_hash(4)
    ));
    assert_eq!(
        lines[0],
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"{txid}\"}}")
    );
    assert!(lines[1].contains(&txid.to_string()), "{}", lines[1]);
    assert_eq!(stage.refreshes(), 1);
}

/// Asking for what the node does not have makes it read nothing, as often as it is asked.
#[test]
fn what_nobody_has_does_not_make_the_node_read_its_mempool() {
    let stage = stage();
    let mut talk = stage.talk();
    for number in 0..50 {
        let txid = Txid::from_byte_array([number; 32]);
        for verbose in [false, true] {
            let answer = talk.ask(transaction::Get { txid, verbose });
            assert!(answer.unwrap_err().message.contains("No such mempool"));
        }
    }
    let is_cheap = |scope: &RefreshScope| *scope == RefreshScope::Blocks;
    assert!(stage.scopes().iter().all(is_cheap), "{:?}", stage.scopes());
    // Once for each.
    assert_eq!(stage.node.asked().len(), 100);
}

/// As it is with the transactions of others for a server of some wallets, or where the mempool is left out.
#[test]
fn what_the_view_will_never_have_is_waited_for_once() {
    let stage = stage();
    let paid = OutPoint::new(stage.chain.blocks[11].txdata[1].compute_txid(), 1);
    let tx = pay(&[paid], &[(4, 29 * COIN)]);
    let txid = tx.compute_txid();
    stage.node.knows(&tx, None);
    let mut talk = stage.talk();
    let raw = GetResponse::Raw(consensus::serialize(&tx));
    for _ in 0..10 {
        let get = transaction::Get {
            txid,
            verbose: false,
        };
        assert_eq!(talk.ask(get), Ok(raw.clone()));
    }
    assert_eq!(stage.scopes(), [RefreshScope::MempoolInTurn]);
}

/// The node takes a transaction that it has, as often as it is given it.
#[test]
fn a_transaction_that_is_there_already_is_not_waited_for() {
    let mut stage = stage();
    let paid = OutPoint::new(stage.chain.blocks[11].txdata[1].compute_txid(), 1);
    let tx = pay(&[paid], &[(4, 29 * COIN)]);
    let (txid, raw_tx) = (tx.compute_txid(), consensus::serialize(&tx));
    let mut talk = stage
        .talk()
        .introduce(VersionRange::exactly(ProtocolVersion::V1_6));
    stage.receive_on_refresh(tx);
    let outcome = PackageOutcome {
        success: true,
        errors: Vec::new(),
        json: RawJson::parse("{}").unwrap(),
    };
    for _ in 0..10 {
        stage.node.answers_broadcast(Ok(txid));
        let raw_tx = raw_tx.clone();
        talk.ask(transaction::Broadcast {
            raw_tx: raw_tx.clone(),
        })
        .unwrap();
        stage.node.answers_package(Ok(outcome.clone()));
        let package = transaction::BroadcastPackage {
            raw_txs: vec![raw_tx],
            verbose: false,
        };
        talk.ask(package).unwrap();
    }
    assert_eq!(stage.scopes(), [RefreshScope::Everything]);
    // Nor is one that was refused.
    let outcome = PackageOutcome {
        success: false,
        errors: vec![PackageError {
            txid: Txid::all_zeros(),
            error: "no".to_owned(),
        }],
        ..outcome
    };
    stage.node.answers_package(Ok(outcome));
    let raw_txs = vec![vec![1], vec![2]];
    let package = transaction::BroadcastPackage {
        raw_txs,
        verbose: false,
    };
    talk.ask(package).unwrap();
    assert_eq!(stage.refreshes(), 1);
}

/// What cannot be sent is not asked for, or once.
#[test]
fn answers_that_are_too_large_are_not_asked_for() {
    let max_response = 1000;
    let limits = Limits {
        max_response,
        ..Limits::default()
    };
    let mut stage = Stage::with(About::default(), limits);
    let coins: Vec<OutPoint> = (0..4).map(|_| stage.mine(1, &[])).collect();
    // 600 bytes, which are 1200 digits; and one that may fit.
    let outputs: Vec<(u8, u64)> = (0..50).map(|number| (number, COIN / 10)).collect();
    let (large, small) = (pay(&coins[..1], &outputs), pay(&coins[1..2], &[(2, COIN)]));
    stage.mine(9, &[large.clone(), small.clone()]);
    let block = Some(stage.chain.tip_hash());
    let unconfirmed = pay(&coins[2..3], &outputs);
    stage.receive(unconfirmed.clone());
    for (tx, block) in [(&large, block), (&small, block), (&unconfirmed, None)] {
        stage.node.knows(tx, block);
    }
    let too_large = error(
        ErrorCode::INVALID_REQUEST,
        format!("response too large (over {max_response} bytes)"),
    );
    let mut talk = stage.talk();
    for tx in [&large, &unconfirmed] {
        assert!(consensus::serialize(tx).len() > 500);
        for verbose in [false, true] {
            let txid = tx.compute_txid();
            let answer = talk.ask(transaction::Get { txid, verbose });
            assert_eq!(answer, Err(too_large.clone()));
        }
    }
    assert_eq!(stage.node.asked(), [""; 0]);
    // What nobody could know before is remembered.
    stage.node.padding.store(1000, Ordering::Relaxed);
    for _ in 0..10 {
        let (txid, verbose) = (small.compute_txid(), true);
        let answer = talk.ask(transaction::Get { txid, verbose });
        assert_eq!(answer, Err(too_large.clone()));
    }
    assert_eq!(stage.node.asked().len(), 1);
    // It has its bytes all the same.
    let (txid, verbose) = (small.compute_txid(), false);
    talk.ask(transaction::Get { txid, verbose }).unwrap();
}

/// A node that has begun to prune: what it does not have any more is an error, and not an output that does not exist.
#[test]
fn what_the_node_has_pruned_is_said_to_be_unknown() {
    let stage = stage();
    stage.node.pruned.store(true, Ordering::Relaxed);
    let mut talk = stage
        .talk()
        .introduce(VersionRange::exactly(ProtocolVersion::V1_7));
    let txid = stage.chain.blocks[11].txdata[1].compute_txid();
    let pruned = "daemon error: DaemonError({'code': -1, 'message': 'Block not available'})";
    let expected = error(ErrorCode::DAEMON_ERROR, pruned);
    for verbose in [false, true] {
        let answer = talk.ask(transaction::Get { txid, verbose });
        assert_eq!(answer, Err(expected.clone()));
    }
    let outpoint = OutPoint::new(txid, 0);
    let script_hint = None;
    assert_eq!(
        talk.ask(outpoint::GetStatus {
            outpoint,
            script_hint: script_hint.clone()
        }),
        Err(expected.clone())
    );
    assert_eq!(
        talk.ask(outpoint::Subscribe {
            outpoint,
            script_hint
        }),
        Err(expected.clone())
    );
    assert_eq!(talk.ask(utxo::GetInfo { txid, vout: 0 }), Err(expected));
    // With its script the output is found.
    let hinted = outpoint::GetStatus {
        outpoint,
        script_hint: Some(script(2)),
    };
    assert_ne!(talk.ask(hinted), Ok(OutpointStatus::Missing));
    assert_eq!(stage.refreshes(), 0);
}

#[test]
fn refused_transactions() {
    let stage = stage();
    let mut talk = stage.talk();
    let message = "bad-txns-inputs-missingorspent".to_owned();
    stage
        .node
        .answers_broadcast(Err(NodeError::Rpc { code: -25, message }));
    let expected = "the transaction was rejected by network rules.\n\n\
                    bad-txns-inputs-missingorspent\n[0001ff]";
    let answer = talk.ask(transaction::Broadcast {
        raw_tx: vec![0, 1, 255],
    });
    assert_eq!(answer, Err(error(ErrorCode::BAD_REQUEST, expected)));
    assert_eq!(stage.refreshes(), 0);
}

#[test]
fn packages() {
    let stage = stage();
    let mut talk = stage
        .talk()
        .introduce(VersionRange::exactly(ProtocolVersion::V1_6));
    let outcome = PackageOutcome {
        success: false,
        errors: vec![PackageError {
            txid: Txid::from_byte_array([1; 32]),
            error: "no".to_owned(),
        }],
        json: RawJson::parse("{\"package_msg\":\"transaction failed\"}").unwrap(),
    };
    let package = |verbose| transaction::BroadcastPackage {
        raw_txs: vec![vec![1], vec![2]],
        verbose,
    };
    stage.node.answers_package(Ok(outcome.clone()));
    let expected = BroadcastPackageResponse::Summary {
        success: false,
        errors: outcome.errors.clone(),
    };
    assert_eq!(talk.ask(package(false)), Ok(expected));
    stage.node.answers_package(Ok(outcome.clone()));
    assert_eq!(
        talk.ask(package(true)),
        Ok(BroadcastPackageResponse::Verbose(outcome.json))
    );
    let message = "package-not-child-with-parents".to_owned();
    stage
        .node
        .answers_package(Err(NodeError::Rpc { code: -25, message }));
    let expected =
        "the tx package was rejected by network rules.\n\npackage-not-child-with-parents.";
    assert_eq!(
        talk.ask(package(false)),
        Err(error(ErrorCode::BAD_REQUEST, expected))
    );
}
