//! Servers that lie about transactions and their proofs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod chain;
mod model;

use electrum_protocol::bitcoin::consensus::encode;
use electrum_protocol::bitcoin::{Amount, ScriptBuf, Sequence, Transaction};
use electrum_protocol::method::transaction::{GetResponse, MerkleResponse};
use electrum_protocol::script_sync::{Obstacle, SyncError, TransactionFault};
use electrum_protocol::{Confirmation, HistoryEntry, RawJson, Request, Response, status};

use model::lies::{hash, run, start};

#[test]
fn transactions_that_are_others() {
    let (_, _, payment) = start();
    let txid = payment.compute_txid();
    let fault = |response: GetResponse| {
        let (mut model, mut wallet, _) = start();
        let outcome = run(&mut model, &mut wallet, |request| match request {
            Request::TransactionGet(_) => Some(Response::TransactionGet(response.clone())),
            _ => None,
        });
        match outcome {
            Err(SyncError::WrongTransaction { txid: of, fault }) => {
                assert_eq!(of, txid);
                fault
            }
            other => panic!("{other:?}"),
        }
    };
    let mut other = payment.clone();
    other.output[0].value = Amount::from_sat(1);
    assert_eq!(
        fault(GetResponse::Raw(encode::serialize(&other))),
        TransactionFault::OtherHash {
            found: other.compute_txid()
        }
    );
    let mut longer = encode::serialize(&payment);
    longer.push(0);
    assert_eq!(fault(GetResponse::Raw(longer)), TransactionFault::Malformed);
    assert_eq!(
        fault(GetResponse::Raw(Vec::new())),
        TransactionFault::Malformed
    );
    let verbose = RawJson::parse("{}").unwrap();
    assert_eq!(
        fault(GetResponse::Verbose(verbose)),
        TransactionFault::Malformed
    );
}

/// Transactions whose hash is right, and which are still none: the server lists them in a history.
#[test]
fn transactions_that_cannot_be() {
    let fault = |change: fn(&mut Transaction)| {
        let (mut model, mut wallet, mut payment) = start();
        change(&mut payment);
        model.mempool.push(payment);
        match run(&mut model, &mut wallet, |_| None) {
            Err(SyncError::WrongTransaction { fault, .. }) => Some(fault),
            Ok(_) => None,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(
        fault(|payment| payment.input[0].sequence = Sequence::ZERO),
        None
    );
    let rich = |payment: &mut Transaction| {
        let half = Amount::from_sat(Amount::MAX_MONEY.to_sat() / 2 + 1);
        payment.output[0].value = half;
        payment.output[1].value = half;
    };
    assert_eq!(fault(rich), Some(TransactionFault::TooMuchMoney));
    let richest = |payment: &mut Transaction| {
        payment.output[0].value = Amount::from_sat(u64::MAX);
        payment.output[1].value = Amount::from_sat(u64::MAX);
    };
    assert_eq!(fault(richest), Some(TransactionFault::TooMuchMoney));

    // 64 bytes without the witness.
    let (mut model, mut wallet, payment) = start();
    let mut short = payment;
    short.output.truncate(1);
    short.output[0].script_pubkey = ScriptBuf::from_bytes(vec![1, 2, 3, 4]);
    assert_eq!(encode::serialize(&short).len(), 64);
    let fake = vec![HistoryEntry {
        txid: short.compute_txid(),
        confirmation: Confirmation::Block(1),
        fee: None,
    }];
    let outcome = run(&mut model, &mut wallet, |request| match request {
        Request::ScripthashSubscribe(asked) if asked.script_hash == hash(0, 0) => {
            Some(Response::ScripthashSubscribe(status::status(&fake)))
        }
        Request::ScripthashGetHistory(asked) if asked.script_hash == hash(0, 0) => {
            Some(Response::ScripthashGetHistory(fake.clone()))
        }
        Request::TransactionGet(asked) if asked.txid == short.compute_txid() => {
            let bytes = encode::serialize(&short);
            Some(Response::TransactionGet(GetResponse::Raw(bytes)))
        }
        _ => None,
    });
    match outcome {
        Err(SyncError::WrongTransaction { fault, .. }) => {
            assert_eq!(fault, TransactionFault::SixtyFourBytes);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn proofs_that_prove_nothing() {
    let (mut model, mut wallet, payment) = start();
    let txid = payment.compute_txid();
    let mut proofs = 0;
    run(&mut model, &mut wallet, |request| match request {
        Request::TransactionGetMerkle(asked) => {
            proofs += 1;
            Some(Response::TransactionGetMerkle(MerkleResponse {
                block_height: asked.height.unwrap(),
                merkle: Vec::new(),
                pos: 0,
            }))
        }
        _ => None,
    })
    .unwrap();
    assert_eq!(proofs, 3);
    let obstacles: Vec<_> = wallet.scripts.obstacles().collect();
    assert_eq!(obstacles, [Obstacle::Unproven { txid, height: 2 }]);
    assert!(
        wallet
            .scripts
            .unspent()
            .iter()
            .all(|unspent| unspent.proven.is_none())
    );

    // A proof that is right, of another height than the server says.
    let (mut model, mut wallet, payment) = start();
    let elsewhere = vec![HistoryEntry {
        txid: payment.compute_txid(),
        confirmation: Confirmation::Block(1),
        fee: None,
    }];
    run(&mut model, &mut wallet, |request| match request {
        Request::ScripthashSubscribe(_) => {
            Some(Response::ScripthashSubscribe(status::status(&elsewhere)))
        }
        Request::ScripthashGetHistory(_) => Some(Response::ScripthashGetHistory(elsewhere.clone())),
        _ => None,
    })
    .unwrap_err();
    assert!(
        wallet
            .scripts
            .transactions()
            .all(|view| view.proven.is_none())
    );

    // What is not there is refused: asked again a few times, then when the headers change.
    let (mut model, mut wallet, _) = start();
    model.blocks[2].pop();
    let asked = run(&mut model, &mut wallet, |_| None).unwrap();
    assert!(asked > 0);
}
