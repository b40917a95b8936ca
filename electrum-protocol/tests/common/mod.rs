//! A server with one answer to every question.

#![allow(dead_code, reason = "each test program uses its own part")]

use electrum_protocol::bitcoin::{Amount, FeeRate, SignedAmount, constants, network::Network};
use electrum_protocol::method::{block, fee, mempool, scripthash, server, transaction};
use electrum_protocol::server::Event;
use electrum_protocol::{
    Balance, Confirmation, ErrorCode, ErrorObject, FeePerKvb, HistoryEntry, ProtocolVersion,
    Request, Response, Server, Status, Tip, Unspent, status,
};

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
            protocol_min: ProtocolVersion::V1_4,
            protocol_max: ProtocolVersion::V1_6,
            pruning: None,
        }),
        Request::ServerAddPeer(_) => Response::ServerAddPeer(false),
        Request::ServerPeersSubscribe(_) => Response::ServerPeersSubscribe(Vec::new()),
        Request::ServerBanner(_) => {
            Response::ServerBanner("a \"banner\"\n\tof two lines \u{e9}".to_owned())
        }
        Request::ServerDonationAddress(_) => Response::ServerDonationAddress(String::new()),
        Request::ServerPing(_) => Response::ServerPing(()),
        Request::HeadersSubscribe(_) => Response::HeadersSubscribe(tip()),
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
        Request::ScripthashGetBalance(_) => Response::ScripthashGetBalance(Balance {
            confirmed: Amount::from_sat(5),
            unconfirmed: SignedAmount::from_sat(-3),
        }),
        Request::ScripthashGetHistory(_) => Response::ScripthashGetHistory(history()),
        Request::ScripthashGetMempool(_) => Response::ScripthashGetMempool(history().split_off(1)),
        Request::ScripthashListUnspent(_) => Response::ScripthashListUnspent(vec![Unspent {
            txid,
            vout: 1,
            value: Amount::from_sat(7),
            height: 0,
        }]),
        Request::ScripthashSubscribe(scripthash::Subscribe { .. }) => {
            Response::ScripthashSubscribe(example_status())
        }
        Request::ScripthashUnsubscribe(_) => Response::ScripthashUnsubscribe(true),
        Request::TransactionBroadcast(_) => Response::TransactionBroadcast(txid),
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
                block_height: params.height,
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
