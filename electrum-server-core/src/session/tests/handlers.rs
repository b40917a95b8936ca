//! Every method, on a chain whose facts are computed from its blocks.

use std::sync::atomic::Ordering;

use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Amount, OutPoint, SignedAmount};
use electrum_protocol::method::{block, fee, headers, mempool, scripthash, server};
use electrum_protocol::{
    Confirmation, ErrorCode, ErrorObject, EstimateMode, FeePerKvb, HistoryEntry, ProtocolVersion,
    VersionRange, status,
};

use super::chain::{pay, script_hash};
use super::stage::Stage;
use crate::session::{About, Limits};

pub(super) const COIN: u64 = 1_0000_0000;

pub(super) fn error(code: ErrorCode, message: impl Into<String>) -> ErrorObject {
    ErrorObject::new(code, message)
}

/// Twelve blocks. Script 1 mines, pays 2 and 3 in block 11; 2 pays 3 in block 12.
fn stage_with(limits: Limits) -> Stage {
    let mut stage = Stage::with(About::default(), limits);
    let coins: Vec<_> = (0..10).map(|_| stage.mine(1, &[])).collect();
    let first = pay(&[coins[0]], &[(2, 20 * COIN), (3, 30 * COIN)]);
    let second = pay(&[coins[1], coins[2]], &[(3, 99 * COIN)]);
    stage.mine(9, &[first.clone(), second]);
    let spent = OutPoint::new(first.compute_txid(), 0);
    stage.mine(9, &[pay(&[spent], &[(3, 15 * COIN), (2, 4 * COIN)])]);
    stage
}

pub(super) fn stage() -> Stage {
    stage_with(Limits::default())
}

#[test]
fn the_server_says_what_it_is() {
    let stage = Stage::with(
        About {
            donation_address: "bc1qthanks".to_owned(),
            ..About::default()
        },
        Limits::default(),
    );
    let mut talk = stage.talk();
    let features = talk.ask(server::Features).unwrap();
    // The genesis block of regtest.
    let genesis = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";
    assert_eq!(features.genesis_hash.to_string(), genesis);
    assert_eq!(features.hash_function, "sha256");
    assert_eq!(features.protocol_min, ProtocolVersion::V0_10);
    assert_eq!(features.protocol_max, ProtocolVersion::V1_7);
    assert_eq!(features.pruning, None);
    assert!(features.server_version.starts_with("electrum-server "));
    assert!(
        talk.ask(server::Banner)
            .unwrap()
            .starts_with("Welcome to electrum-server ")
    );
    assert_eq!(talk.ask(server::DonationAddress).unwrap(), "bc1qthanks");
    assert_eq!(talk.ask(server::PeersSubscribe).unwrap(), []);
    assert!(!talk.ask(server::AddPeer { features }).unwrap());
    talk.ask(server::Ping::default()).unwrap();
}

#[test]
fn headers_by_height() {
    let stage = stage();
    let mut talk = stage.talk();
    let tip = talk.ask(headers::Subscribe::RAW).unwrap().tip();
    assert_eq!(
        (tip.height, tip.header),
        (12, stage.chain.blocks[12].header)
    );

    let mut header = |height| {
        talk.ask(block::Header {
            height,
            cp_height: 0,
        })
    };
    assert_eq!(header(0).unwrap().header, stage.chain.blocks[0].header);
    assert_eq!(header(12).unwrap().header, stage.chain.blocks[12].header);
    let expected = error(ErrorCode::BAD_REQUEST, "height 13 out of range");
    assert_eq!(header(13), Err(expected));
    let expected = error(ErrorCode::BAD_REQUEST, "height 4,294,967,295 out of range");
    assert_eq!(header(u32::MAX), Err(expected));

    let mut range = |start_height, count| {
        let answer = talk
            .ask(block::Headers {
                start_height,
                count,
                cp_height: 0,
            })
            .unwrap();
        assert_eq!((answer.max, &answer.proof), (2016, &None));
        answer.headers
    };
    let all: Vec<_> = stage
        .chain
        .blocks
        .iter()
        .map(|block| block.header)
        .collect();
    assert_eq!(range(0, 13), all);
    assert_eq!(range(0, u32::MAX), all);
    assert_eq!(range(5, 2), all[5..7]);
    assert_eq!(range(5, 0), []);
    assert_eq!(range(13, 1), []);
    assert_eq!(range(u32::MAX, u32::MAX), []);
}

#[test]
fn headers_under_a_checkpoint() {
    let stage = stage();
    let mut talk = stage.talk();
    let leaf = |height: usize| {
        sha256d::Hash::from_byte_array(stage.chain.blocks[height].block_hash().to_byte_array())
    };
    for cp_height in 1..=12 {
        let root = naive_root((0..=cp_height).map(leaf).collect());
        for height in 0..=cp_height {
            let params = block::Header {
                height: height as u32,
                cp_height: cp_height as u32,
            };
            let proof = talk.ask(params).unwrap().proof.unwrap();
            assert_eq!(proof.root, root);
            proof.verify(leaf(height), height as u32).unwrap();
            let params = block::Headers {
                start_height: 0,
                count: height as u32 + 1,
                cp_height: cp_height as u32,
            };
            assert_eq!(talk.ask(params).unwrap().proof, Some(proof));
        }
    }
    let refused = |height, cp| {
        let message =
            format!("require header height {height} <= cp_height {cp} <= chain height 12");
        Err(error(ErrorCode::BAD_REQUEST, message))
    };
    assert_eq!(
        talk.ask(block::Header {
            height: 5,
            cp_height: 4
        }),
        refused("5", "4")
    );
    assert_eq!(
        talk.ask(block::Header {
            height: 5,
            cp_height: 1000
        }),
        refused("5", "1,000")
    );
    let params = block::Headers {
        start_height: 0,
        count: 6,
        cp_height: 4,
    };
    assert_eq!(
        talk.ask(params).unwrap_err(),
        refused("5", "4").unwrap_err() as ErrorObject
    );
    // No headers, nothing to prove.
    let params = block::Headers {
        start_height: 13,
        count: 6,
        cp_height: 4,
    };
    assert_eq!(talk.ask(params).unwrap().proof, None);
}

/// Pairs hashes row by row, the last one with itself where it is alone.
fn naive_root(mut row: Vec<sha256d::Hash>) -> sha256d::Hash {
    while row.len() > 1 {
        row = row
            .chunks(2)
            .map(|pair| {
                let (left, right) = (pair[0], *pair.last().unwrap());
                sha256d::Hash::hash(&[left.to_byte_array(), right.to_byte_array()].concat())
            })
            .collect();
    }
    row[0]
}

#[test]
fn scripts() {
    let mut stage = stage();
    let paid = OutPoint::new(stage.chain.blocks[11].txdata[1].compute_txid(), 1);
    let unconfirmed = stage.receive(pay(&[paid], &[(4, 29 * COIN)]));
    let mut talk = stage.talk();
    for n in [1, 2, 3, 4, 9, 77] {
        let script_hash = script_hash(n);
        let mut expected: Vec<_> = stage
            .chain
            .history(n)
            .into_iter()
            .map(|(txid, height)| HistoryEntry {
                txid,
                confirmation: Confirmation::Block(height),
                fee: None,
            })
            .collect();
        let mut mempool = Vec::new();
        if n == 3 || n == 4 {
            mempool.push(HistoryEntry {
                txid: unconfirmed,
                confirmation: Confirmation::Mempool {
                    unconfirmed_parents: false,
                },
                fee: Some(Amount::from_sat(COIN)),
            });
        }
        expected.extend_from_slice(&mempool);
        assert_eq!(
            talk.ask(scripthash::GetHistory::whole(script_hash))
                .unwrap(),
            expected,
            "{n}"
        );
        assert_eq!(
            talk.ask(scripthash::GetMempool { script_hash }).unwrap(),
            mempool,
            "{n}"
        );
        let status = talk.ask(scripthash::Subscribe { script_hash }).unwrap();
        assert_eq!(status, status::status(&expected), "{n}");
    }
    let mut balance = |n| {
        talk.ask(scripthash::GetBalance {
            script_hash: script_hash(n),
        })
        .unwrap()
    };
    assert_eq!(balance(2).confirmed, Amount::from_sat(4 * COIN));
    assert_eq!(
        balance(3).confirmed,
        Amount::from_sat((30 + 99 + 15) * COIN)
    );
    assert_eq!(
        balance(3).unconfirmed,
        SignedAmount::from_sat(-30 * COIN as i64)
    );
    assert_eq!(
        balance(4).unconfirmed,
        SignedAmount::from_sat(29 * COIN as i64)
    );
    let mut unspent = |n| -> Vec<_> {
        let unspent = talk
            .ask(scripthash::ListUnspent {
                script_hash: script_hash(n),
            })
            .unwrap();
        unspent
            .iter()
            .map(|coin| (coin.height, coin.value.to_sat() / COIN))
            .collect()
    };
    assert_eq!(unspent(1).len(), 7);
    assert_eq!(unspent(3), [(11, 99), (12, 15)]);
    assert_eq!(unspent(4), [(0, 29)]);
    assert_eq!(unspent(77), []);
}

#[test]
fn too_much_is_an_error() {
    let stage = stage_with(Limits {
        max_history: Some(3),
        max_subscriptions: 2,
        ..Limits::default()
    });
    let mut talk = stage.talk();
    let large = error(ErrorCode::HISTORY_TOO_LARGE, "history too large");
    // Script 1 has twelve transactions, script 3 has three.
    let params = scripthash::GetHistory {
        heights: scripthash::HeightRange::ALL,
        script_hash: script_hash(1),
    };
    assert_eq!(talk.ask(params), Err(large.clone()));
    let params = scripthash::Subscribe {
        script_hash: script_hash(1),
    };
    assert_eq!(talk.ask(params), Err(large));
    let mut subscribe = |n| {
        talk.ask(scripthash::Subscribe {
            script_hash: script_hash(n),
        })
    };
    subscribe(3).unwrap();
    subscribe(2).unwrap();
    subscribe(2).unwrap();
    assert_eq!(subscribe(9).unwrap_err().code, ErrorCode::LIMIT_EXCEEDED);
    let mut unsubscribe = |n| {
        talk.ask(scripthash::Unsubscribe {
            script_hash: script_hash(n),
        })
    };
    assert_eq!(unsubscribe(2), Ok(true));
    assert_eq!(unsubscribe(2), Ok(false));
    talk.ask(scripthash::Subscribe {
        script_hash: script_hash(9),
    })
    .unwrap();
}

#[test]
fn fees_are_asked_once_per_view() {
    let mut stage = stage();
    let mut talk = stage
        .talk()
        .introduce(VersionRange::exactly(ProtocolVersion::V1_6));
    let sat = |sat| FeePerKvb(Amount::from_sat(sat));
    let mut estimate = |number, mode| talk.ask(fee::EstimateFee { number, mode }).unwrap().0;
    for _ in 0..3 {
        assert_eq!(estimate(25, None), Some(sat(25)));
        assert_eq!(estimate(25, Some(EstimateMode::Economical)), Some(sat(25)));
        // No target is too near or too far, and no estimate is no error.
        assert_eq!(estimate(0, None), Some(sat(1)));
        assert_eq!(estimate(u32::MAX, None), None);
    }
    let asked = ["25 None", "25 Some(Economical)", "1 None", "1008 None"];
    assert_eq!(
        stage.node.asked(),
        asked.map(|asked| format!("estimate {asked}"))
    );
    let fees = talk.ask(mempool::GetInfo).unwrap();
    assert_eq!(fees.min_relay_tx_fee, sat(200));

    // While the node is away, what it said last is still good.
    stage.node.away.store(true, Ordering::Relaxed);
    assert_eq!(talk.ask(mempool::GetInfo).unwrap(), fees);
    let estimate = fee::EstimateFee {
        number: 25,
        mode: None,
    };
    assert_eq!(talk.ask(estimate).unwrap().0, Some(sat(25)));
    // And what it did not say is not known, which wallets take better than an error.
    stage.mine(1, &[]);
    assert_eq!(talk.ask(estimate).unwrap().0, None);
}

#[test]
fn the_relay_fee_ends_with_protocol_1_4() {
    let stage = stage();
    assert_eq!(
        stage.talk().ask(fee::RelayFee),
        Ok(FeePerKvb(Amount::from_sat(100)))
    );
}
