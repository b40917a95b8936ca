//! What no version of the specification has, at any version.

use bitcoin::OutPoint;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Txid};
use electrum_protocol::method::header::{Block, Get};
use electrum_protocol::method::scripthash::HeightRange;
use electrum_protocol::method::transaction::TransactionHeight;
use electrum_protocol::method::{headers, scripthash, server, transaction, utxo};
use electrum_protocol::{Confirmation, ErrorCode, Method, ProtocolVersion, VersionRange};

use super::chain::{pay, script_hash};
use super::handlers::{COIN, error, stage};
use super::stage::Stage;
use super::talk::Talk;

/// A session of each version that has a form of its own.
fn talks(stage: &Stage) -> Vec<Talk> {
    [
        ProtocolVersion::V1_1,
        ProtocolVersion::V1_4,
        ProtocolVersion::V1_6,
    ]
    .map(|version| stage.talk().introduce(VersionRange::exactly(version)))
    .into()
}

#[test]
fn what_there_is_stands_in_the_features() {
    let stage = stage();
    let features = stage.talk().ask(server::Features).unwrap();
    for method in Method::ALL {
        let announced = features.extensions.iter().any(|name| name == method.name());
        assert_eq!(announced, method.is_extension(), "{method}");
    }
    assert_eq!(features.limits["max_batch"], 1000);
    assert_eq!(features.limits["max_history"], 81_817);
    assert_eq!(features.limits["idle_seconds"], 600);
    assert_eq!(features.limits["cost_hard"], 10_000);
}

#[test]
fn tips_and_headers() {
    let mut stage = stage();
    for mut talk in talks(&stage) {
        assert_eq!(talk.ask(headers::GetTip), Ok(stage.view().tip()));
        for (height, block) in (0..).zip(&stage.chain.blocks) {
            for block in [Block::Height(height), Block::Hash(block.block_hash())] {
                let found = talk.ask(Get { block }).unwrap();
                assert_eq!(found.height, height);
                assert_eq!(found.header, stage.chain.blocks[height as usize].header);
            }
        }
        let block = Block::Height(13);
        let expected = error(ErrorCode::BAD_REQUEST, "height 13 out of range");
        assert_eq!(talk.ask(Get { block }), Err(expected));
        let block = Block::Hash(BlockHash::all_zeros());
        assert_eq!(
            talk.ask(Get { block }).unwrap_err().code,
            ErrorCode::BAD_REQUEST
        );
    }
    let mut talk = stage.talk();
    assert_eq!(talk.ask(headers::Unsubscribe), Ok(false));
    talk.ask(headers::Subscribe::RAW).unwrap();
    assert_eq!(talk.ask(headers::Unsubscribe), Ok(true));
    stage.mine(9, &[]);
    assert_eq!(talk.update(stage.last_update()), [""; 0]);
}

#[test]
fn parts_of_histories() {
    let mut stage = stage();
    let paid = OutPoint::new(stage.chain.blocks[11].txdata[1].compute_txid(), 1);
    stage.receive(pay(&[paid], &[(1, 29 * COIN)]));
    for mut talk in talks(&stage) {
        for n in [1, 2, 3, 77] {
            let script_hash = script_hash(n);
            let whole = talk
                .ask(scripthash::GetHistory::whole(script_hash))
                .unwrap();
            for from in 0..15 {
                for to in (0..15).map(Some).chain([None, Some(u32::MAX)]) {
                    let heights = HeightRange { from, to };
                    let part = talk.ask(scripthash::GetHistory {
                        script_hash,
                        heights,
                    });
                    let expected: Vec<_> = whole
                        .iter()
                        .filter(|entry| match entry.confirmation {
                            Confirmation::Block(height) => {
                                from <= height && to.is_none_or(|to| height < to)
                            }
                            Confirmation::Mempool { .. } => to.is_none(),
                        })
                        .copied()
                        .collect();
                    assert_eq!(part, Ok(expected), "{n}: {heights:?}");
                }
            }
            let first = talk.ask(scripthash::GetFirstUse { script_hash }).unwrap();
            assert_eq!(
                first.map(|first| first.txid),
                whole.first().map(|first| first.txid)
            );
            if let Some((height, hash)) = first.and_then(|first| first.block) {
                assert_eq!(whole[0].confirmation, Confirmation::Block(height));
                assert_eq!(hash, stage.chain.blocks[height as usize].block_hash());
            }
            let status = talk.ask(scripthash::GetStatus { script_hash }).unwrap();
            assert_eq!(status, stage.view().status(&script_hash, None).unwrap());
        }
    }
}

#[test]
fn where_transactions_are() {
    let stage = stage();
    for mut talk in talks(&stage) {
        // Height 0 stands for the mempool, so what the genesis block has cannot be told.
        for (height, block) in (1..).zip(&stage.chain.blocks[1..]) {
            for tx in &block.txdata {
                let txid = tx.compute_txid();
                let found = talk.ask(transaction::GetHeight { txid });
                assert_eq!(found, Ok(TransactionHeight::Block(height)));
                let found = talk
                    .ask(transaction::GetConfirmedBlockhash {
                        txid,
                        include_header: true,
                    })
                    .unwrap();
                assert_eq!(found.block_hash, block.block_hash());
                assert_eq!(found.block_height, height);
                assert_eq!(found.block_header, Some(block.header));
                assert_eq!(
                    talk.ask(transaction::GetMerkle { txid, height: None }),
                    talk.ask(transaction::GetMerkle {
                        txid,
                        height: Some(height)
                    }),
                );
            }
        }
        let txid = Txid::from_byte_array([7; 32]);
        assert_eq!(
            talk.ask(transaction::GetHeight { txid }),
            Ok(TransactionHeight::Unknown)
        );
        let expected = error(
            ErrorCode::BAD_REQUEST,
            "No confirmed transaction matching the requested hash was found",
        );
        let include_header = false;
        let answer = talk.ask(transaction::GetConfirmedBlockhash {
            txid,
            include_header,
        });
        assert_eq!(answer, Err(expected.clone()));
        let answer = talk.ask(transaction::GetMerkle { txid, height: None });
        assert_eq!(answer, Err(expected));
    }
}

#[test]
fn the_life_of_a_transaction() {
    let mut stage = stage();
    for mut talk in talks(&stage) {
        let coin = stage.mine(1, &[]);
        let tx = pay(&[coin], &[(4, 20 * COIN)]);
        let txid = tx.compute_txid();
        let answer = talk.ask(transaction::Subscribe { txid });
        assert_eq!(answer, Ok(TransactionHeight::Unknown));
        let line = |height: &str| {
            format!(
                "{{\"jsonrpc\":\"2.0\",\"method\":\"blockchain.transaction.subscribe\",\"params\":[\"{txid}\",{height}]}}"
            )
        };
        stage.mine(9, &[]);
        assert_eq!(talk.update(stage.last_update()), [""; 0]);
        stage.receive(tx.clone());
        assert_eq!(talk.update(stage.last_update()), [line("0")]);
        stage.mine(9, &[tx]);
        let height = stage.chain.height().to_string();
        assert_eq!(talk.update(stage.last_update()), [line(&height)]);
        stage.mine(9, &[]);
        assert_eq!(talk.update(stage.last_update()), [""; 0]);
        talk.session.on_missed_updates();
        talk.run();
        assert_eq!(talk.hear(), [""; 0]);
        assert_eq!(talk.ask(transaction::Unsubscribe { txid }), Ok(true));
        assert_eq!(talk.ask(transaction::Unsubscribe { txid }), Ok(false));
    }
}

#[test]
fn what_outputs_hold() {
    let mut stage = stage();
    let block = &stage.chain.blocks[11];
    let tx = block.txdata[1].clone();
    stage.node.knows(&tx, Some(block.block_hash()));
    let txid = tx.compute_txid();
    let paid = OutPoint::new(txid, 1);
    for mut talk in talks(&stage) {
        assert_eq!(talk.ask(utxo::GetInfo { txid, vout: 0 }), Ok(None), "spent");
        let info = talk.ask(utxo::GetInfo { txid, vout: 1 }).unwrap().unwrap();
        assert_eq!(info.confirmed_height, Some(11));
        assert_eq!(info.script_hash, script_hash(3));
        assert_eq!(info.value.to_sat(), 30 * COIN);
        assert_eq!(talk.ask(utxo::GetInfo { txid, vout: 2 }), Ok(None));
        let nowhere = Txid::from_byte_array([7; 32]);
        assert_eq!(
            talk.ask(utxo::GetInfo {
                txid: nowhere,
                vout: 0
            }),
            Ok(None)
        );
    }
    let child = stage.receive(pay(&[paid], &[(1, 29 * COIN)]));
    for mut talk in talks(&stage) {
        assert_eq!(talk.ask(utxo::GetInfo { txid, vout: 1 }), Ok(None), "spent");
        let info = talk
            .ask(utxo::GetInfo {
                txid: child,
                vout: 0,
            })
            .unwrap()
            .unwrap();
        assert_eq!(info.confirmed_height, None);
    }
}

/// Whichever network a chain is of, its genesis block says.
#[test]
fn networks_by_their_genesis_blocks() {
    use bitcoin::Network;
    use bitcoin::constants::{ChainHash, genesis_block};
    for network in [
        Network::Bitcoin,
        Network::Testnet,
        Network::Testnet4,
        Network::Signet,
        Network::Regtest,
    ] {
        let hash = ChainHash::using_genesis_block_const(network);
        let genesis = genesis_block(network).block_hash();
        assert_eq!(hash.to_bytes(), genesis.to_byte_array(), "{network}");
    }
    assert_eq!(stage().view().network(), Some(Network::Regtest));
}
