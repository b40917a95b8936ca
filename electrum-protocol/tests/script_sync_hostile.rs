//! Servers that lie to a wallet: what it takes, and where it ends.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod chain;
mod model;

use electrum_protocol::bitcoin::consensus::encode;
use electrum_protocol::bitcoin::hashes::Hash;
use electrum_protocol::bitcoin::{OutPoint, ScriptBuf, Transaction, Txid};
use electrum_protocol::method::transaction::{GetResponse, MerkleResponse};
use electrum_protocol::script_sync::{
    HistoryFault, Limited, Limits, Obstacle, Progress, SyncError,
};
use electrum_protocol::{
    Confirmation, HistoryEntry, Method, Notification, ProtocolVersion, Request, Response,
    ScriptSync, Status, status,
};
use proptest::prelude::*;

use model::lies::{config, hash, limits, run, start, start_with};
use model::{Model, Wallet, script};

fn entry(seed: u32, height: i64) -> HistoryEntry {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    HistoryEntry {
        txid: Txid::from_byte_array(bytes),
        confirmation: Confirmation::from_wire_height(height).unwrap(),
        fee: None,
    }
}

/// Tells of a script that its history is another.
fn with_history(history: Vec<HistoryEntry>) -> Result<usize, SyncError> {
    let (mut model, mut wallet, _) = start();
    run(&mut model, &mut wallet, |request| match request {
        Request::ScripthashSubscribe(asked) if asked.script_hash == hash(0, 0) => {
            Some(Response::ScripthashSubscribe(status::status(&history)))
        }
        Request::ScripthashGetHistory(asked) if asked.script_hash == hash(0, 0) => {
            Some(Response::ScripthashGetHistory(history.clone()))
        }
        _ => None,
    })
}

#[test]
fn histories_that_are_none() {
    let fault = |history: &[HistoryEntry]| match with_history(history.to_vec()) {
        Err(SyncError::MalformedHistory { script_hash, fault }) => {
            assert_eq!(script_hash, hash(0, 0));
            Some(fault)
        }
        Err(other) => panic!("{other}"),
        Ok(_) => None,
    };
    let txid = |seed| entry(seed, 0).txid;
    assert_eq!(
        fault(&[
            entry(1, 1),
            entry(2, 1),
            entry(3, 2),
            entry(4, 0),
            entry(5, -1)
        ]),
        None
    );
    // Before 1.6 the order within the mempool is the server's.
    assert_eq!(fault(&[entry(4, -1), entry(5, 0)]), None);
    assert_eq!(
        fault(&[entry(1, 1), entry(1, 2)]),
        Some(HistoryFault::Duplicate { txid: txid(1) })
    );
    assert_eq!(
        fault(&[entry(1, 2), entry(2, 1)]),
        Some(HistoryFault::Disorder { txid: txid(2) })
    );
    assert_eq!(
        fault(&[entry(1, 0), entry(2, 1)]),
        Some(HistoryFault::Disorder { txid: txid(2) })
    );
}

#[test]
fn what_never_ends_is_bounded() {
    // One history that is too long.
    let long = (0..100).map(|seed| entry(seed, 1)).collect();
    assert_eq!(
        with_history(long),
        Err(SyncError::TooMany {
            what: Limited::Entries,
            limit: 40
        })
    );

    // Many short ones: every script that is asked for was used, so the next one is looked for.
    let (mut model, mut wallet, _) = start();
    let one = vec![entry(1, 0)];
    let outcome = run(&mut model, &mut wallet, |request| match request {
        Request::ScripthashSubscribe(_) => {
            Some(Response::ScripthashSubscribe(status::status(&one)))
        }
        Request::ScripthashGetHistory(_) => Some(Response::ScripthashGetHistory(one.clone())),
        _ => None,
    });
    // Whichever of the two bounds is met first.
    assert!(
        matches!(outcome, Err(SyncError::TooMany { .. })),
        "{outcome:?}"
    );

    // The caller's own scripts may be too many.
    let mut sync = ScriptSync::new(ProtocolVersion::V1_4, config()).unwrap();
    let all = (0..50)
        .map(|index| script(0, index))
        .collect::<Vec<ScriptBuf>>();
    sync.add_keychain(1, u32::MAX, all).unwrap();
    assert_eq!(sync.scripts().count(), 50);
    let error = sync.add_keychain(2, u32::MAX, |index| Some(script(1, index)));
    assert_eq!(sync.scripts().count(), 100);
    assert_eq!(
        error,
        Err(SyncError::TooMany {
            what: Limited::Scripts,
            limit: 50
        })
    );

    // A transaction that is too large.
    let (mut model, mut wallet, _) = start();
    let large = model.make(&[], &vec![script(0, 0); 200]);
    model.mempool.push(large);
    assert_eq!(
        run(&mut model, &mut wallet, |_| None),
        Err(SyncError::TooMany {
            what: Limited::TransactionBytes,
            limit: 5_000
        })
    );
}

#[test]
fn statuses_that_always_change() {
    let (mut model, mut wallet, _) = start();
    run(&mut model, &mut wallet, |_| None).unwrap();
    let script_hash = hash(0, 1);
    let history = wallet.scripts.history(&script_hash).unwrap().to_vec();
    let mut histories = 0;
    let error = (1..=100_u8).find_map(|seed| {
        let status = Some(Status::from_byte_array([seed; 32]));
        let told = Notification::ScriptHash {
            script_hash,
            status,
        };
        assert_eq!(wallet.scripts.notify(&told), Progress::Nothing);
        let request = wallet.scripts.poll_request().unwrap();
        assert_eq!(request.method(), Method::ScripthashGetHistory);
        assert_eq!(wallet.scripts.poll_request(), None);
        histories += 1;
        let response = Response::ScripthashGetHistory(history.clone());
        let outcome = wallet
            .scripts
            .answer(&request, response, wallet.headers.chain());
        if let Ok(progress) = &outcome {
            assert_eq!(
                *progress,
                Progress::StatusMismatch {
                    script_hash,
                    told: status,
                    computed: status::status(&history),
                }
            );
            assert!(!wallet.scripts.is_up_to_date());
            // It is not asked for again before another status comes.
            assert_eq!(wallet.scripts.poll_request(), None);
        }
        outcome.err()
    });
    assert_eq!(
        error,
        Some(SyncError::Restless {
            script_hash,
            mismatches: 11
        })
    );
    assert_eq!(histories, 11);
    // What was known stays, and the right status makes it good.
    let status = status::status(&history);
    wallet.scripts.notify(&Notification::ScriptHash {
        script_hash,
        status,
    });
    assert!(wallet.scripts.is_up_to_date());
}

/// The status of the history arrives after it: nothing is asked again.
#[test]
fn a_race_that_a_status_ends() {
    let (mut model, mut wallet, _) = start();
    run(&mut model, &mut wallet, |_| None).unwrap();
    let script_hash = hash(0, 1);
    let next = model.make(&[], &[script(0, 1)]);
    model.mempool.push(next);
    let early = Some(Status::from_byte_array([1; 32]));
    let told = Notification::ScriptHash {
        script_hash,
        status: early,
    };
    wallet.scripts.notify(&told);
    run(&mut model, &mut wallet, |_| None).unwrap();
    assert!(!wallet.scripts.is_up_to_date());
    let status = status::status(wallet.scripts.history(&script_hash).unwrap());
    wallet.scripts.notify(&Notification::ScriptHash {
        script_hash,
        status,
    });
    assert_eq!(wallet.scripts.poll_request(), None);
    assert!(wallet.scripts.is_up_to_date());
}

#[test]
fn histories_that_contradict_each_other() {
    let (mut model, mut wallet, payment) = start();
    let txid = payment.compute_txid();
    let fake = vec![HistoryEntry {
        txid,
        confirmation: Confirmation::from_wire_height(0).unwrap(),
        fee: None,
    }];
    run(&mut model, &mut wallet, |request| match request {
        Request::ScripthashSubscribe(asked) if asked.script_hash == hash(0, 2) => {
            Some(Response::ScripthashSubscribe(status::status(&fake)))
        }
        Request::ScripthashGetHistory(asked) if asked.script_hash == hash(0, 2) => {
            Some(Response::ScripthashGetHistory(fake.clone()))
        }
        _ => None,
    })
    .unwrap();
    let obstacles: Vec<_> = wallet.scripts.obstacles().collect();
    assert_eq!(obstacles, [Obstacle::Contradiction { txid }]);
}

#[test]
fn what_is_refused_is_asked_again_when_the_caller_likes() {
    let (mut model, mut wallet, payment) = start();
    let txid = payment.compute_txid();
    let without = |model: &mut Model, wallet: &mut Wallet| {
        let blocks = model.blocks.clone();
        let mut gets = 0;
        while let Some(request) = wallet.scripts.poll_request() {
            let headers = wallet.headers.chain();
            if let Request::TransactionGet(_) = request {
                gets += 1;
                wallet.scripts.refused(&request, headers);
                continue;
            }
            let response = model.answer(&request).unwrap();
            wallet.scripts.answer(&request, response, headers).unwrap();
        }
        assert_eq!(model.blocks.len(), blocks.len());
        gets
    };
    assert_eq!(without(&mut model, &mut wallet), 1);
    let obstacles: Vec<_> = wallet.scripts.obstacles().collect();
    assert_eq!(obstacles, [Obstacle::NoTransaction { txid }]);
    assert_eq!(wallet.scripts.poll_request(), None);
    wallet.scripts.retry(wallet.headers.chain());
    assert_eq!(run(&mut model, &mut wallet, |_| None), Ok(1));
    assert!(wallet.scripts.is_up_to_date());
}

/// A transaction may leave the mempool and come back while it is asked for: then the status is again what it was.
#[test]
fn what_was_refused_is_asked_again_when_it_is_back() {
    let (_, mut wallet, _) = start();
    let history: Vec<_> = (0..30).map(|seed| entry(seed, 0)).collect();
    let tell = |wallet: &mut Wallet, index, history: &[HistoryEntry]| {
        wallet.scripts.notify(&Notification::ScriptHash {
            script_hash: hash(0, index),
            status: status::status(history),
        });
    };
    let refuse = |wallet: &mut Wallet| {
        let mut asked = Vec::new();
        while let Some(request) = wallet.scripts.poll_request() {
            let headers = wallet.headers.chain();
            match &request {
                Request::TransactionGet(get) => {
                    asked.push(get.txid);
                    wallet.scripts.refused(&request, headers);
                }
                Request::ScripthashGetHistory(get) => {
                    let part = match get.script_hash == hash(0, 0) {
                        true => &history[..20],
                        false => &history[20..],
                    };
                    let response = Response::ScripthashGetHistory(part.to_vec());
                    wallet.scripts.answer(&request, response, headers).unwrap();
                }
                _ => wallet.scripts.refused(&request, headers),
            }
        }
        asked.sort();
        asked
    };
    let txids = |history: &[HistoryEntry]| {
        let mut txids: Vec<_> = history.iter().map(|entry| entry.txid).collect();
        txids.sort();
        txids
    };
    tell(&mut wallet, 0, &history[..20]);
    tell(&mut wallet, 1, &history[20..]);
    assert_eq!(refuse(&mut wallet), txids(&history));
    // Those of one script left and are back.
    tell(&mut wallet, 1, &[]);
    tell(&mut wallet, 1, &history[20..]);
    assert_eq!(refuse(&mut wallet), txids(&history[20..]));
    tell(&mut wallet, 0, &history[..20]);
    assert_eq!(refuse(&mut wallet), txids(&history[..20]));
}

#[test]
fn answers_that_were_not_asked_for() {
    let (mut model, mut wallet, _) = start();
    let request = wallet.scripts.poll_request().unwrap();
    let response = model.answer(&request).unwrap();
    let headers = wallet.headers.chain();
    let wrong = Response::BlockHeader(electrum_protocol::method::block::HeaderResponse {
        header: chain::genesis(),
        proof: None,
    });
    let error = wallet.scripts.answer(&request, wrong, headers).unwrap_err();
    assert_eq!(
        error,
        SyncError::WrongAnswer {
            asked: Method::ScripthashSubscribe,
            answered: Method::BlockHeader,
        }
    );
    // It counts as answered.
    let outcome = wallet.scripts.answer(&request, response, headers);
    assert_eq!(outcome, Ok(Progress::Ignored));
    let script_hash = hash(9, 9);
    let status = Some(Status::from_byte_array([1; 32]));
    let told = Notification::ScriptHash {
        script_hash,
        status,
    };
    assert_eq!(wallet.scripts.notify(&told), Progress::Ignored);
    // And is asked again when the caller likes.
    wallet.scripts.retry(headers);
    assert_eq!(wallet.scripts.poll_request(), Some(request));
}

/// Answers at random, out of few values, so that they fit together now and then.
fn nonsense(model: &Model, request: &Request, choice: u32) -> Option<Response> {
    let transactions: Vec<&Transaction> = model.transactions().map(|(tx, _)| tx).collect();
    let some = |at: u32| transactions[at as usize % transactions.len()];
    let history = |choice: u32| -> Vec<HistoryEntry> {
        let entries = (0..choice % 4).map(|at| HistoryEntry {
            txid: some(choice / 7 + at).compute_txid(),
            confirmation: Confirmation::from_wire_height(i64::from(choice / 3 % 5) - 1).unwrap(),
            fee: None,
        });
        entries.collect()
    };
    Some(match request {
        _ if choice.is_multiple_of(17) => return None,
        Request::ScripthashSubscribe(_) => {
            Response::ScripthashSubscribe(status::status(&history(choice)))
        }
        Request::ScripthashGetHistory(_) => Response::ScripthashGetHistory(history(choice)),
        Request::TransactionGet(get) => {
            let right = transactions.iter().find(|tx| tx.compute_txid() == get.txid);
            let transaction = right.filter(|_| choice % 20 != 1).copied();
            let bytes = encode::serialize(transaction.unwrap_or_else(|| some(choice)));
            Response::TransactionGet(GetResponse::Raw(bytes))
        }
        Request::TransactionGetMerkle(get) => Response::TransactionGetMerkle(MerkleResponse {
            block_height: get.height.unwrap() + u32::from(choice % 5 == 1),
            merkle: (0..choice % 3)
                .map(|at| some(choice / 5 + at).compute_txid().to_raw_hash())
                .collect(),
            pos: choice / 11 % 4,
        }),
        other => panic!("{other:?}"),
    })
}

proptest! {
    /// Whatever a server says, the wallet asks no more than in proportion to it, and ends.
    #[test]
    fn nonsense_ends(
        choices in proptest::collection::vec(any::<u32>(), 1..300),
        notifications in proptest::collection::vec((0..3u32, any::<u32>()), 0..20),
    ) {
        let (mut model, mut wallet, payment) = start_with(Limits { entries: 1_000, ..limits() });
        let spent = OutPoint::new(payment.compute_txid(), 0);
        for spend in [&[spent][..], &[]] {
            let next = model.make(spend, &[script(0, 0), script(1, 0)]);
            model.mempool.push(next);
        }
        let mut notifications = notifications.into_iter();
        for choice in choices {
            let Some(request) = wallet.scripts.poll_request() else {
                let Some((index, choice)) = notifications.next() else {
                    break;
                };
                let status = (choice % 3 > 0).then(|| Status::from_byte_array([choice as u8; 32]));
                let script_hash = hash(0, index);
                wallet.scripts.notify(&Notification::ScriptHash { script_hash, status });
                continue;
            };
            let headers = wallet.headers.chain();
            match nonsense(&model, &request, choice) {
                None => wallet.scripts.refused(&request, headers),
                Some(response) => {
                    let _ = wallet.scripts.answer(&request, response, headers);
                }
            }
            let scripts = wallet.scripts.scripts();
            prop_assert!(scripts.count() <= 2 * limits().scripts);
            let _ = (wallet.scripts.balance(), wallet.scripts.unspent(), wallet.scripts.save());
        }
        // And an honest server afterwards makes everything good.
        let headers = wallet.headers.chain();
        wallet.scripts.reconnect(ProtocolVersion::V1_4, headers).unwrap();
        run(&mut model, &mut wallet, |_| None).unwrap();
        let obstacles: Vec<_> = wallet.scripts.obstacles().collect();
        prop_assert!(wallet.scripts.is_up_to_date(), "{:?}", obstacles);
        let histories = model.histories();
        for view in wallet.scripts.scripts() {
            let expected = histories.get(&view.script_hash).map_or(&[][..], Vec::as_slice);
            // No status says what a fee is.
            let places = |history: &[HistoryEntry]| -> Vec<_> {
                history.iter().map(|entry| (entry.txid, entry.confirmation)).collect()
            };
            prop_assert_eq!(places(view.history), places(expected));
        }
    }
}
