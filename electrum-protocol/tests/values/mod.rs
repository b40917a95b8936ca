//! Any value of each type.

use electrum_protocol::bitcoin::block::Header;
use electrum_protocol::bitcoin::consensus::encode;
use electrum_protocol::bitcoin::hashes::{Hash, sha256d};
use electrum_protocol::bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, SignedAmount, Txid};
use electrum_protocol::method::outpoint::OutpointStatus;
use electrum_protocol::method::transaction::TransactionHeight;
use electrum_protocol::method::{
    address, block, fee, header, headers, mempool, outpoint, scripthash, scriptpubkey, server,
    transaction, utxo,
};
use electrum_protocol::{
    Balance, CheckpointProof, Confirmation, EstimateMode, FeePerKvb, HistoryEntry, ProtocolVersion,
    RawJson, Request, Response, ScriptHash, Status, Tip, Unspent,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub(crate) fn version() -> impl Strategy<Value = ProtocolVersion> {
    proptest::sample::select(ProtocolVersion::SPOKEN.to_vec())
}

pub(crate) fn txid() -> impl Strategy<Value = Txid> {
    any::<[u8; 32]>().prop_map(Txid::from_byte_array)
}

pub(crate) fn hash() -> impl Strategy<Value = sha256d::Hash> {
    any::<[u8; 32]>().prop_map(sha256d::Hash::from_byte_array)
}

pub(crate) fn script_hash() -> impl Strategy<Value = ScriptHash> {
    any::<[u8; 32]>().prop_map(ScriptHash::from_byte_array)
}

pub(crate) fn header() -> impl Strategy<Value = Header> {
    vec(any::<u8>(), 80).prop_map(|bytes| encode::deserialize(&bytes).expect("80 bytes"))
}

fn proof() -> impl Strategy<Value = Option<CheckpointProof>> {
    option::of(
        (vec(hash(), 0..4), hash()).prop_map(|(branch, root)| CheckpointProof { branch, root }),
    )
}

fn amount() -> impl Strategy<Value = Amount> {
    any::<u64>().prop_map(Amount::from_sat)
}

fn rate() -> impl Strategy<Value = FeePerKvb> {
    (0..=Amount::MAX_MONEY.to_sat())
        .prop_map(Amount::from_sat)
        .prop_map(FeePerKvb)
}

pub(crate) fn entry() -> impl Strategy<Value = HistoryEntry> {
    (txid(), -1..=i64::from(u32::MAX), amount()).prop_map(|(txid, height, fee)| HistoryEntry {
        txid,
        confirmation: Confirmation::from_wire_height(height).expect("in range"),
        fee: (height < 1).then_some(fee),
    })
}

fn confirmation() -> impl Strategy<Value = Confirmation> {
    (-1..=i64::from(u32::MAX))
        .prop_map(|height| Confirmation::from_wire_height(height).expect("in range"))
}

pub(crate) fn outpoint_status() -> impl Strategy<Value = OutpointStatus> {
    let parts = (confirmation(), option::of((txid(), confirmation())));
    option::of(parts).prop_map(|parts| match parts {
        None => OutpointStatus::Missing,
        Some((funder, None)) => OutpointStatus::Unspent { funder },
        Some((funder, Some((spender, spender_confirmation)))) => OutpointStatus::Spent {
            funder,
            spender,
            spender_confirmation,
        },
    })
}

pub(crate) fn transaction_height() -> impl Strategy<Value = TransactionHeight> {
    prop_oneof![
        Just(TransactionHeight::Unknown),
        Just(TransactionHeight::Mempool),
        (1..u32::MAX).prop_map(TransactionHeight::Block),
    ]
}

fn features() -> impl Strategy<Value = server::ServerFeatures> {
    let ports = vec(option::of(any::<u16>()), 4).prop_map(|ports| server::HostPorts {
        tcp_port: ports[0],
        ssl_port: ports[1],
        ws_port: ports[2],
        wss_port: ports[3],
    });
    let hosts = proptest::collection::btree_map(any::<String>(), ports, 0..3);
    (
        hosts,
        hash(),
        any::<String>(),
        version(),
        option::of(any::<u32>()),
        vec(any::<String>(), 0..3),
        proptest::collection::btree_map(any::<String>(), any::<u64>(), 0..3),
    )
        .prop_map(
            |(hosts, genesis_hash, software, version, pruning, extensions, limits)| {
                server::ServerFeatures {
                    hosts,
                    genesis_hash: genesis_hash.into(),
                    hash_function: "sha256".to_owned(),
                    server_version: software,
                    protocol_min: version,
                    protocol_max: ProtocolVersion::new(1, 20, 3),
                    pruning,
                    extensions,
                    limits,
                }
            },
        )
}

fn mode() -> impl Strategy<Value = Option<EstimateMode>> {
    option::of(prop_oneof![
        Just(EstimateMode::Conservative),
        Just(EstimateMode::Economical)
    ])
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let raw = || vec(any::<u8>(), 0..40);
    let height = any::<u32>;
    prop_oneof![
        Just(server::Features.into()),
        (any::<u32>(), 0u32..9).prop_map(|(pong_len, data_len)| server::Ping {
            pong_len,
            data_len
        }
        .into()),
        any::<bool>().prop_map(|raw| headers::Subscribe { raw }.into()),
        Just(mempool::GetInfo.into()),
        features().prop_map(|features| server::AddPeer { features }.into()),
        (height(), height())
            .prop_map(|(height, cp_height)| block::Header { height, cp_height }.into()),
        (height(), height(), height()).prop_map(|(start_height, count, cp_height)| {
            block::Headers {
                start_height,
                count,
                cp_height,
            }
            .into()
        }),
        (height(), mode()).prop_map(|(number, mode)| fee::EstimateFee { number, mode }.into()),
        script_hash().prop_map(|script_hash| scripthash::GetHistory::whole(script_hash).into()),
        script_hash().prop_map(|script_hash| scripthash::Unsubscribe { script_hash }.into()),
        raw().prop_map(|raw_tx| transaction::Broadcast { raw_tx }.into()),
        (vec(raw(), 0..3), any::<bool>()).prop_map(|(raw_txs, verbose)| {
            transaction::BroadcastPackage { raw_txs, verbose }.into()
        }),
        (txid(), any::<bool>())
            .prop_map(|(txid, verbose)| transaction::Get { txid, verbose }.into()),
        (txid(), option::of(height())).prop_map(|(txid, height)| transaction::GetMerkle {
            txid,
            height
        }
        .into()),
        any::<String>().prop_map(|address| address::Subscribe { address }.into()),
        (script_hash(), height(), option::of(height())).prop_map(|(script_hash, from, to)| {
            let heights = scripthash::HeightRange { from, to };
            scripthash::GetHistory {
                script_hash,
                heights,
            }
            .into()
        }),
        (raw(), height(), option::of(height())).prop_map(|(script, from, to)| {
            let (script, heights) = (
                ScriptBuf::from_bytes(script),
                scripthash::HeightRange { from, to },
            );
            scriptpubkey::GetHistory { script, heights }.into()
        }),
        raw().prop_map(|script| {
            scriptpubkey::Subscribe {
                script: ScriptBuf::from_bytes(script),
            }
            .into()
        }),
        (txid(), height(), option::of(raw())).prop_map(|(txid, vout, script)| {
            outpoint::Subscribe {
                outpoint: OutPoint { txid, vout },
                script_hint: script.map(ScriptBuf::from_bytes),
            }
            .into()
        }),
        (txid(), height()).prop_map(|(txid, vout)| utxo::GetInfo { txid, vout }.into()),
        (txid(), any::<bool>()).prop_map(|(txid, include_header)| {
            transaction::GetConfirmedBlockhash {
                txid,
                include_header,
            }
            .into()
        }),
        vec(raw(), 0..3).prop_map(|raw_txs| transaction::TestMempoolAccept { raw_txs }.into()),
        height().prop_map(|height| header::Get {
            block: header::Block::Height(height)
        }
        .into()),
        hash().prop_map(|hash| header::Get {
            block: header::Block::Hash(hash.into())
        }
        .into()),
        (height(), height(), any::<bool>()).prop_map(|(height, tx_pos, merkle)| {
            transaction::IdFromPos {
                height,
                tx_pos,
                merkle,
            }
            .into()
        }),
    ]
}

pub(crate) fn response() -> impl Strategy<Value = Response> {
    let hashes = || vec(hash(), 0..5);
    let summary =
        (any::<bool>(), vec((txid(), any::<String>()), 0..3)).prop_map(|(success, errors)| {
            let errors = errors.into_iter();
            transaction::BroadcastPackageResponse::Summary {
                success,
                errors: errors
                    .map(|(txid, error)| transaction::PackageError { txid, error })
                    .collect(),
            }
        });
    let verbose = Just(RawJson::parse("{\"a\":[1.50,\"x\"]}").expect("JSON"));
    prop_oneof![
        features().prop_map(Response::ServerFeatures),
        any::<bool>().prop_map(Response::ServerAddPeer),
        any::<String>().prop_map(Response::ServerBanner),
        (0u32..9).prop_map(|data_len| Response::ServerPing(server::Pong { data_len })),
        (any::<String>(), any::<String>(), vec(any::<String>(), 0..3)).prop_map(
            |(ip, host, features)| {
                Response::ServerPeersSubscribe(vec![server::Peer { ip, host, features }])
            }
        ),
        (any::<u32>(), header()).prop_map(|(height, header)| Response::HeadersSubscribe(
            headers::TipResponse::Raw(Tip { height, header })
        )),
        (header(), proof()).prop_map(|(header, proof)| {
            Response::BlockHeader(block::HeaderResponse { header, proof })
        }),
        (vec(header(), 0..4), any::<u32>(), proof()).prop_map(|(headers, max, proof)| {
            Response::BlockHeaders(block::HeadersResponse {
                headers,
                max,
                proof,
            })
        }),
        (any::<u32>(), header(), any::<bool>()).prop_map(|(height, header, raw)| {
            Response::HeadersSubscribe(headers::TipResponse::new(Tip { height, header }, raw))
        }),
        vec(header(), 0..4).prop_map(|headers| Response::BlockGetChunk(block::Chunk(headers))),
        vec(entry(), 0..5)
            .prop_map(|entries| Response::ScriptpubkeyGetHistory(scriptpubkey::History(entries))),
        outpoint_status().prop_map(Response::OutpointSubscribe),
        option::of((option::of(any::<u32>()), script_hash(), amount())).prop_map(|info| {
            Response::UtxoGetInfo(
                info.map(|(confirmed_height, script_hash, value)| utxo::Info {
                    confirmed_height,
                    script_hash,
                    value,
                }),
            )
        }),
        option::of((txid(), option::of((any::<u32>(), hash())))).prop_map(|first| {
            Response::ScripthashGetFirstUse(first.map(|(txid, block)| scripthash::FirstUse {
                txid,
                block: block.map(|(height, hash)| (height, hash.into())),
            }))
        }),
        transaction_height().prop_map(Response::TransactionSubscribe),
        vec(
            (
                txid(),
                hash(),
                option::of(any::<bool>()),
                option::of(any::<String>())
            ),
            0..3
        )
        .prop_map(|verdicts| {
            let verdict = |(txid, wtxid, allowed, reason): (_, sha256d::Hash, _, _)| {
                transaction::MempoolVerdict {
                    txid,
                    wtxid: wtxid.into(),
                    allowed,
                    reason,
                }
            };
            Response::TransactionTestMempoolAccept(verdicts.into_iter().map(verdict).collect())
        }),
        vec((txid(), amount(), any::<u64>()), 0..3).prop_map(|recent| {
            let recent = recent.into_iter();
            Response::MempoolRecent(
                recent
                    .map(|(txid, fee, vsize)| mempool::RecentTransaction { txid, fee, vsize })
                    .collect(),
            )
        }),
        (hash(), any::<u32>(), option::of(header())).prop_map(
            |(hash, block_height, block_header)| {
                Response::TransactionGetConfirmedBlockhash(transaction::ConfirmedBlockhash {
                    block_hash: hash.into(),
                    block_height,
                    block_header,
                })
            }
        ),
        option::of(rate()).prop_map(|rate| Response::EstimateFee(fee::FeeEstimate(rate))),
        rate().prop_map(Response::RelayFee),
        (amount(), any::<i64>()).prop_map(|(confirmed, unconfirmed)| {
            let unconfirmed = SignedAmount::from_sat(unconfirmed);
            Response::ScripthashGetBalance(Balance {
                confirmed,
                unconfirmed,
            })
        }),
        vec(entry(), 0..5).prop_map(Response::ScripthashGetHistory),
        (txid(), any::<u32>(), amount(), any::<u32>()).prop_map(|(txid, vout, value, height)| {
            Response::ScripthashListUnspent(vec![Unspent {
                txid,
                vout,
                value,
                height,
            }])
        }),
        option::of(any::<[u8; 32]>().prop_map(Status::from_byte_array))
            .prop_map(Response::ScripthashSubscribe),
        txid().prop_map(|txid| Response::TransactionBroadcast(
            transaction::BroadcastResponse::Accepted(txid)
        )),
        summary.prop_map(Response::TransactionBroadcastPackage),
        verbose
            .clone()
            .prop_map(transaction::BroadcastPackageResponse::Verbose)
            .prop_map(Response::TransactionBroadcastPackage),
        vec(any::<u8>(), 0..50)
            .prop_map(transaction::GetResponse::Raw)
            .prop_map(Response::TransactionGet),
        verbose
            .prop_map(transaction::GetResponse::Verbose)
            .prop_map(Response::TransactionGet),
        (any::<u32>(), hashes(), any::<u32>()).prop_map(|(block_height, merkle, pos)| {
            Response::TransactionGetMerkle(transaction::MerkleResponse {
                block_height,
                merkle,
                pos,
            })
        }),
        (txid(), option::of(hashes())).prop_map(|(txid, merkle)| {
            Response::TransactionIdFromPos(transaction::IdFromPosResponse { txid, merkle })
        }),
        // Beyond 2^53 a float no longer holds every number.
        vec((0..1u64 << 44, any::<u64>()), 0..4).prop_map(|bins| {
            let bin = |(rate, vsize)| mempool::FeeBin {
                rate: FeeRate::from_sat_per_kwu(rate),
                vsize,
            };
            Response::MempoolGetFeeHistogram(bins.into_iter().map(bin).collect())
        }),
        (rate(), rate(), rate()).prop_map(|(mempool, relay, incremental)| {
            Response::MempoolGetInfo(mempool::MempoolFees {
                mempool_min_fee: mempool,
                min_relay_tx_fee: relay,
                incremental_relay_fee: incremental,
            })
        }),
    ]
}
