//! A server with one answer to every question.

#![allow(dead_code, reason = "each test program uses its own part")]

use electrum_protocol::bitcoin::hashes::Hash;
use electrum_protocol::bitcoin::{
    Amount, FeeRate, SignedAmount, Wtxid, constants, network::Network,
};
use electrum_protocol::method::headers::TipResponse;
use electrum_protocol::method::outpoint::OutpointStatus;
use electrum_protocol::method::transaction::TransactionHeight;
use electrum_protocol::method::{
    block, fee, mempool, scripthash, scriptpubkey, server, transaction, utxo,
};
use electrum_protocol::server::Event;
use electrum_protocol::{
    Balance, Confirmation, ErrorCode, ErrorObject, FeePerKvb, HistoryEntry, ProtocolVersion,
    Request, Response, Server, Status, Tip, Unspent, status,
};

/// What the server says of itself.
pub(crate) const BANNER: &str = "a \"banner\"\n\tof two lines \u{e9}";

/// The header of the genesis block of regtest, at height 0.
pub(crate) fn tip() -> Tip {
    Tip {
        height: 0,
        header: constants::genesis_block(Network::Regtest).header,
    }
}

/// The history in the specification's example of a status.
pub(crate) fn history() -> Vec<HistoryEntry> {
    [
        (
            "a6c9c361bd0bc536d6a22648efbf8f9b200e425ef6c3a7a9669dc444c532a347",
            2472,
        ),
        (
            "80b19848aed792565ab7c5a79b7c2a00fbf985741579396ebe0ab6098e607311",
            0,
        ),
        (
            "bb4c8ab438c13b89ca80d1d5bee25b0b6b7f55673f4d801998ba97db161d9e85",
            -1,
        ),
    ]
    .map(|(txid, height)| HistoryEntry {
        txid: txid.parse().unwrap(),
        confirmation: Confirmation::from_wire_height(height).unwrap(),
        fee: (height < 1).then_some(Amount::from_sat(200)),
    })
    .to_vec()
}

pub(crate) fn example_status() -> Option<Status> {
    status::status(&history())
}

fn balance() -> Balance {
    Balance {
        confirmed: Amount::from_sat(5),
        unconfirmed: SignedAmount::from_sat(-3),
    }
}

fn unspent() -> Vec<Unspent> {
    vec![Unspent {
        txid: history()[0].txid,
        vout: 1,
        value: Amount::from_sat(7),
        height: 0,
    }]
}

pub(crate) fn outpoint_status() -> OutpointStatus {
    OutpointStatus::Spent {
        funder: Confirmation::Block(5),
        spender: history()[1].txid,
        spender_confirmation: Confirmation::Mempool {
            unconfirmed_parents: true,
        },
    }
}

/// Answers every request the same way each time.
pub(crate) fn answer(request: &Request) -> Result<Response, ErrorObject> {
    let Tip { header, .. } = tip();
    let txid = history()[0].txid;
    let rate = FeePerKvb(Amount::from_sat(1000));
    Ok(match request {
        Request::ServerFeatures(_) => Response::ServerFeatures(server::ServerFeatures {
            hosts: [("localhost".to_owned(), server::HostPorts::default())].into(),
            genesis_hash: header.block_hash(),
            hash_function: "sha256".to_owned(),
            server_version: "test".to_owned(),
            protocol_min: ProtocolVersion::V0_10,
            protocol_max: ProtocolVersion::V1_7,
            pruning: None,
            extensions: vec!["blockchain.headers.get_tip".to_owned()],
            limits: [("max_batch".to_owned(), 345)].into(),
        }),
        Request::ServerAddPeer(_) => Response::ServerAddPeer(false),
        Request::ServerPeersSubscribe(_) => Response::ServerPeersSubscribe(Vec::new()),
        Request::ServerBanner(_) => Response::ServerBanner(BANNER.to_owned()),
        Request::ServerDonationAddress(_) => Response::ServerDonationAddress(String::new()),
        Request::ServerPing(params) => Response::ServerPing(server::Pong {
            data_len: params.pong_len,
        }),
        Request::NumblocksSubscribe(_) => Response::NumblocksSubscribe(tip().height),
        Request::HeadersSubscribe(params) => {
            Response::HeadersSubscribe(TipResponse::new(tip(), params.raw))
        }
        Request::HeadersGetTip(_) => Response::HeadersGetTip(tip()),
        Request::HeadersUnsubscribe(_) => Response::HeadersUnsubscribe(true),
        Request::HeaderGet(_) => Response::HeaderGet(tip()),
        Request::BlockGetHeader(_) => Response::BlockGetHeader(block::DeserializedHeader(tip())),
        Request::BlockGetChunk(_) => Response::BlockGetChunk(block::Chunk(vec![header; 3])),
        Request::BlockHeader(params) if params.height > 0 => {
            let message = format!("height {} out of range", params.height);
            return Err(ErrorObject::new(ErrorCode::BAD_REQUEST, message));
        }
        Request::BlockHeader(_) => Response::BlockHeader(block::HeaderResponse {
            header,
            proof: None,
        }),
        Request::BlockHeaders(params) => Response::BlockHeaders(block::HeadersResponse {
            headers: vec![header; params.count.min(2016) as usize],
            max: 2016,
            proof: None,
        }),
        Request::EstimateFee(_) => Response::EstimateFee(fee::FeeEstimate(None)),
        Request::RelayFee(_) => Response::RelayFee(rate),
        Request::AddressGetBalance(_) => Response::AddressGetBalance(balance()),
        Request::AddressGetHistory(_) => Response::AddressGetHistory(history()),
        Request::AddressGetMempool(_) => Response::AddressGetMempool(history().split_off(1)),
        Request::AddressListUnspent(_) => Response::AddressListUnspent(unspent()),
        Request::AddressSubscribe(_) => Response::AddressSubscribe(example_status()),
        Request::ScripthashGetBalance(_) => Response::ScripthashGetBalance(balance()),
        Request::ScripthashGetHistory(_) => Response::ScripthashGetHistory(history()),
        Request::ScripthashGetMempool(_) => Response::ScripthashGetMempool(history().split_off(1)),
        Request::ScripthashListUnspent(_) => Response::ScripthashListUnspent(unspent()),
        Request::ScripthashSubscribe(_) => Response::ScripthashSubscribe(example_status()),
        Request::ScripthashUnsubscribe(_) => Response::ScripthashUnsubscribe(true),
        Request::ScripthashGetStatus(_) => Response::ScripthashGetStatus(example_status()),
        Request::ScripthashGetFirstUse(_) => {
            Response::ScripthashGetFirstUse(Some(scripthash::FirstUse {
                txid,
                block: Some((2472, header.block_hash())),
            }))
        }
        Request::ScriptpubkeyGetBalance(_) => Response::ScriptpubkeyGetBalance(balance()),
        Request::ScriptpubkeyGetHistory(_) => {
            Response::ScriptpubkeyGetHistory(scriptpubkey::History(history()))
        }
        Request::ScriptpubkeyGetMempool(_) => {
            Response::ScriptpubkeyGetMempool(scriptpubkey::History(history().split_off(1)))
        }
        Request::ScriptpubkeyListUnspent(_) => {
            Response::ScriptpubkeyListUnspent(scriptpubkey::Unspents(unspent()))
        }
        Request::ScriptpubkeySubscribe(_) => Response::ScriptpubkeySubscribe(example_status()),
        Request::ScriptpubkeyUnsubscribe(_) => Response::ScriptpubkeyUnsubscribe(true),
        Request::OutpointSubscribe(_) => Response::OutpointSubscribe(outpoint_status()),
        Request::OutpointGetStatus(_) => Response::OutpointGetStatus(OutpointStatus::Unspent {
            funder: Confirmation::Block(5),
        }),
        Request::OutpointUnsubscribe(_) => Response::OutpointUnsubscribe(false),
        Request::UtxoGetAddress(_) => {
            Response::UtxoGetAddress(Some("1BoatSLRHtKNngkdXEeobR76b53LETtpyT".to_owned()))
        }
        Request::UtxoGetInfo(_) => Response::UtxoGetInfo(Some(utxo::Info {
            confirmed_height: Some(5),
            script_hash: electrum_protocol::ScriptHash::from_byte_array([3; 32]),
            value: Amount::from_sat(7),
        })),
        Request::TransactionBroadcast(_) => {
            Response::TransactionBroadcast(transaction::BroadcastResponse::Accepted(txid))
        }
        Request::TransactionTestMempoolAccept(_) => {
            Response::TransactionTestMempoolAccept(vec![transaction::MempoolVerdict {
                txid,
                wtxid: Wtxid::from_byte_array([4; 32]),
                allowed: Some(false),
                reason: Some("min relay fee not met".to_owned()),
            }])
        }
        Request::TransactionGetHeight(_) => {
            Response::TransactionGetHeight(TransactionHeight::Mempool)
        }
        Request::TransactionSubscribe(_) => {
            Response::TransactionSubscribe(TransactionHeight::Block(9))
        }
        Request::TransactionUnsubscribe(_) => Response::TransactionUnsubscribe(true),
        Request::TransactionGetConfirmedBlockhash(params) => {
            Response::TransactionGetConfirmedBlockhash(transaction::ConfirmedBlockhash {
                block_hash: header.block_hash(),
                block_height: 0,
                block_header: params.include_header.then_some(header),
            })
        }
        Request::TransactionBroadcastPackage(_) => {
            Response::TransactionBroadcastPackage(transaction::BroadcastPackageResponse::Summary {
                success: true,
                errors: Vec::new(),
            })
        }
        Request::TransactionGet(_) => {
            Response::TransactionGet(transaction::GetResponse::Raw(vec![0xab; 60]))
        }
        Request::TransactionGetMerkle(params) => {
            Response::TransactionGetMerkle(transaction::MerkleResponse {
                block_height: params.height.unwrap_or(8),
                merkle: vec![txid.to_raw_hash()],
                pos: 1,
            })
        }
        Request::TransactionIdFromPos(params) => {
            Response::TransactionIdFromPos(transaction::IdFromPosResponse {
                txid,
                merkle: params.merkle.then(Vec::new),
            })
        }
        Request::MempoolGetFeeHistogram(_) => Response::MempoolGetFeeHistogram(vec![
            mempool::FeeBin {
                rate: FeeRate::from_sat_per_kwu(375),
                vsize: 100,
            },
            mempool::FeeBin {
                rate: FeeRate::from_sat_per_kwu(250),
                vsize: 200,
            },
        ]),
        Request::MempoolRecent(_) => Response::MempoolRecent(vec![mempool::RecentTransaction {
            txid,
            fee: Amount::from_sat(141),
            vsize: 140,
        }]),
        Request::MempoolGetInfo(_) => Response::MempoolGetInfo(mempool::MempoolFees {
            mempool_min_fee: rate,
            min_relay_tx_fee: rate,
            incremental_relay_fee: rate,
        }),
    })
}

/// Answers all that came, and returns the events in words.
pub(crate) fn serve(server: &mut Server) -> Vec<String> {
    let mut events = Vec::new();
    while let Some(event) = server.poll_event() {
        events.push(match event {
            Event::Request { token, request } => {
                let name = request.method().name();
                let answered = if token.wants_reply() {
                    ""
                } else {
                    " (no reply)"
                };
                server.reply(token, answer(&request));
                format!("request {name}{answered}")
            }
            Event::Negotiated {
                client_name,
                version,
            } => format!("negotiated {version} {client_name}"),
            Event::Refused { code } => format!("refused {code}"),
            Event::Close { .. } => "close".to_owned(),
        });
    }
    events
}

/// Takes what the server sends, as lines.
pub(crate) fn sent(server: &mut Server) -> Vec<String> {
    let output = String::from_utf8(server.take_output()).unwrap();
    assert!(output.is_empty() || output.ends_with('\n'), "whole lines");
    output.lines().map(str::to_owned).collect()
}
