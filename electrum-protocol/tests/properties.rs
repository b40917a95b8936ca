//! What holds for all bytes and all values.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod common;

use std::collections::BTreeMap;

use electrum_protocol::bitcoin::block::Header;
use electrum_protocol::bitcoin::consensus::encode;
use electrum_protocol::bitcoin::hashes::{Hash, sha256d};
use electrum_protocol::bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, SignedAmount, Txid};
use electrum_protocol::frame::LineDecoder;
use electrum_protocol::jsonrpc::Params;
use electrum_protocol::method::outpoint::OutpointStatus;
use electrum_protocol::method::transaction::TransactionHeight;
use electrum_protocol::method::{
    address, block, fee, header, headers, mempool, outpoint, scripthash, scriptpubkey, server,
    transaction, utxo,
};
use electrum_protocol::{
    Balance, CheckpointProof, Client, Confirmation, EstimateMode, FeePerKvb, HistoryEntry, Method,
    Notification, ProtocolVersion, RawJson, Request, Response, ScriptHash, Server, ServerConfig,
    Status, Tip, Unspent, VersionRange, status,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::value::RawValue;

fn version() -> impl Strategy<Value = ProtocolVersion> {
    proptest::sample::select(ProtocolVersion::SPOKEN.to_vec())
}

fn txid() -> impl Strategy<Value = Txid> {
    any::<[u8; 32]>().prop_map(Txid::from_byte_array)
}

fn hash() -> impl Strategy<Value = sha256d::Hash> {
    any::<[u8; 32]>().prop_map(sha256d::Hash::from_byte_array)
}

fn script_hash() -> impl Strategy<Value = ScriptHash> {
    any::<[u8; 32]>().prop_map(ScriptHash::from_byte_array)
}

fn header() -> impl Strategy<Value = Header> {
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

fn entry() -> impl Strategy<Value = HistoryEntry> {
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

fn outpoint_status() -> impl Strategy<Value = OutpointStatus> {
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

fn transaction_height() -> impl Strategy<Value = TransactionHeight> {
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

fn request() -> impl Strategy<Value = Request> {
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

fn response() -> impl Strategy<Value = Response> {
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

/// JSON that is nearly right: the decoders get further than with random bytes.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(|n| format!("{n:e}")),
        any::<String>().prop_map(|text| serde_json::to_string(&text).expect("a string")),
        hash().prop_map(|hash| format!("\"{hash}\"")),
        header().prop_map(|header| format!("\"{}\"", encode::serialize_hex(&header))),
        Just("\"\\ud800\"".to_owned()),
    ];
    let keys = proptest::sample::select(vec![
        "id",
        "method",
        "params",
        "result",
        "error",
        "jsonrpc",
        "height",
        "tx_hash",
        "hex",
        "fee",
        "count",
        "max",
        "headers",
        "branch",
        "root",
        "header",
        "scripthash",
        "merkle",
        "pos",
        "success",
        "errors",
        "hosts",
        "genesis_hash",
        "code",
        "message",
        "tx_pos",
        "value",
        "verbose",
        "raw_tx",
    ]);
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            vec((keys.clone(), inner), 0..6).prop_map(|fields| {
                let fields: Vec<_> = fields
                    .into_iter()
                    .map(|(key, value)| format!("\"{key}\": {value}"))
                    .collect();
                format!("{{{} }}", fields.join(","))
            }),
        ]
    })
}

/// A message to a server, more or less.
fn message() -> impl Strategy<Value = String> {
    let names: Vec<_> = Method::ALL
        .iter()
        .map(|method| method.name())
        .chain(["server.version"])
        .collect();
    prop_oneof![
        3 => (proptest::sample::select(names), json(), option::of(json())).prop_map(
            |(name, params, id)| {
                let id = id.map(|id| format!("\"id\":{id},")).unwrap_or_default();
                format!("{{{id}\"method\":\"{name}\",\"params\":{params}}}")
            }
        ),
        1 => json(),
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_round_trip(request in request(), version in version()) {
        let mut written = Vec::new();
        request.encode(version, &mut written);
        let written = String::from_utf8(written).unwrap();
        let params = Params::parse(&written).unwrap();
        let read = Request::decode(request.method(), params, version).unwrap();
        let mut again = Vec::new();
        read.encode(version, &mut again);
        prop_assert_eq!(String::from_utf8(again).unwrap(), written);
        match read {
            // From 1.4 on a client has no choice.
            Request::HeadersSubscribe(read) => prop_assert!(read.raw || version < ProtocolVersion::V1_4),
            // Every other parameter is known in the newest version.
            read if version == ProtocolVersion::V1_7 => prop_assert_eq!(read, request),
            _ => {}
        }
    }

    #[test]
    fn responses_round_trip(response in response(), version in version()) {
        let mut written = Vec::new();
        response.encode(version, &mut written);
        prop_assert!(!written.contains(&b'\n'));
        let json = RawJson::parse(core::str::from_utf8(&written).unwrap()).unwrap();
        let read = Response::decode(response.method(), &json).unwrap();
        match read {
            Response::ServerPing(read) if version < ProtocolVersion::V1_7 => {
                prop_assert_eq!(read, server::Pong::default());
            }
            read => prop_assert_eq!(read, response),
        }
    }

    #[test]
    fn decoders_do_not_panic(json in json(), version in version()) {
        let raw = RawJson::parse(&json).unwrap();
        for method in Method::ALL {
            if let Ok(request) = Request::decode(*method, Params::parse(&json).unwrap(), version) {
                request.encode(version, &mut Vec::new());
            }
            if let Ok(response) = Response::decode(*method, &raw) {
                response.encode(version, &mut Vec::new());
            }
        }
    }

    /// Every line is answered at most once, with valid JSON of exactly one of result and error.
    #[test]
    fn servers_answer_anything(
        messages in vec(message(), 1..6),
        batch in any::<bool>(),
        size in 1usize..300,
    ) {
        let stream = match batch {
            true => format!("[{}]\n", messages.join(",")),
            false => messages.join("\n") + "\n",
        };
        let mut server = Server::new(ServerConfig::default());
        let mut lines = Vec::new();
        for piece in stream.as_bytes().chunks(size) {
            server.receive(piece);
            common::serve(&mut server);
            lines.extend(common::sent(&mut server));
        }
        prop_assert_eq!(server.pending_output(), 0);
        prop_assert!(lines.len() <= stream.bytes().filter(|byte| *byte == b'\n').count());
        for line in lines {
            let answers: Vec<&RawValue> = match line.starts_with('[') {
                true => serde_json::from_str(&line).unwrap(),
                false => vec![serde_json::from_str(&line).unwrap()],
            };
            prop_assert!(!answers.is_empty());
            for answer in answers {
                // The id may be a number that no type holds, or text that is not Unicode.
                let answer: BTreeMap<String, &RawValue> = serde_json::from_str(answer.get()).unwrap();
                // A message may have asked for the version that has no such key.
                let envelope = answer.get("jsonrpc").map(|version| version.get());
                prop_assert!(matches!(envelope, Some("\"2.0\"") | None));
                prop_assert!(answer.contains_key("id"));
                prop_assert!(answer.contains_key("result") != answer.contains_key("error"));
                prop_assert_eq!(answer.len(), 2 + usize::from(envelope.is_some()));
            }
        }
    }

    #[test]
    fn servers_and_clients_take_any_bytes(bytes in vec(any::<u8>(), 0..600), size in 1usize..50) {
        let mut server = Server::new(ServerConfig { max_line: 100, ..ServerConfig::default() });
        let mut client = Client::new(100);
        client.introduce("x", VersionRange::SPOKEN);
        client.request(headers::Subscribe::RAW);
        for piece in bytes.chunks(size) {
            server.receive(piece);
            common::serve(&mut server);
            client.receive(piece);
            while client.poll_event().is_some() {}
        }
    }

    #[test]
    fn clients_take_any_message(messages in vec(json(), 1..6)) {
        let mut client = Client::default();
        for method in [headers::Subscribe::RAW; 9] {
            client.request(method);
        }
        for message in &messages {
            client.receive(message.as_bytes());
            client.receive(b"\n");
            client.receive(format!("{{\"id\":1,\"result\":{message}}}\n").as_bytes());
            client.receive(format!("{{\"id\":2,\"error\":{message}}}\n").as_bytes());
        }
        while client.poll_event().is_some() {}
    }

    /// However the stream is cut, the lines are the same, and little is kept.
    #[test]
    fn framing_does_not_depend_on_the_pieces(
        bytes in vec(prop_oneof![Just(b'\n'), Just(b'a'), Just(b' ')], 0..200),
        cuts in vec(1usize..20, 1..200),
    ) {
        let lines = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut decoder = LineDecoder::new(6);
            let mut lines = Vec::new();
            for piece in pieces {
                decoder.push(piece);
                while let Some(line) = decoder.next_line() {
                    lines.push(line.map(<[u8]>::to_vec));
                }
                assert!(decoder.buffered() <= 7);
            }
            lines
        };
        let expected: Vec<_> = bytes
            .split_inclusive(|byte| *byte == b'\n')
            .filter_map(|line| match line.strip_suffix(b"\n") {
                Some(line) if line.len() > 6 => Some(None),
                Some(line) if line.trim_ascii().is_empty() => None,
                Some(line) => Some(Some(line.to_vec())),
                None => (line.len() > 6).then_some(None),
            })
            .collect();
        let mut rest = bytes.as_slice();
        let mut cuts = cuts.into_iter().cycle();
        let mut pieces = core::iter::from_fn(|| {
            let (piece, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        let seen: Vec<_> = lines(&mut pieces).into_iter().map(Result::ok).collect();
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn notifications_round_trip(
        height in any::<u32>(),
        header in header(),
        script_hash in script_hash(),
        status in option::of(any::<[u8; 32]>().prop_map(Status::from_byte_array)),
        (raw, address, data_len) in (any::<bool>(), any::<String>(), 0u32..9),
        (txid, outpoint_status) in (txid(), outpoint_status()),
        transaction_height in transaction_height(),
        version in version(),
    ) {
        let mut client = Client::default();
        for notification in [
            Notification::Headers(headers::TipResponse::new(Tip { height, header }, raw)),
            Notification::ScriptHash { script_hash, status },
            Notification::Numblocks(height),
            Notification::Address { address, status },
            Notification::Outpoint { outpoint: OutPoint { txid, vout: height }, status: outpoint_status },
            Notification::Transaction { txid, height: transaction_height },
            Notification::Ping { data_len },
        ] {
            let mut message = Vec::new();
            notification.encode(version, &mut message);
            message.push(b'\n');
            client.receive(&message);
            match client.poll_event() {
                Some(electrum_protocol::client::Event::Notification(read)) => {
                    prop_assert_eq!(read, notification);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    /// The order of the mempool part is that of the hexadecimal texts, and total.
    #[test]
    fn mempool_order_compares_texts(mut entries in vec(entry(), 0..20)) {
        entries.retain(|entry| matches!(entry.confirmation, Confirmation::Mempool { .. }));
        let mut expected = entries.clone();
        expected.sort_by_key(|entry| (-entry.confirmation.wire_height(), entry.txid.to_string()));
        entries.sort_by(status::mempool_order);
        prop_assert_eq!(entries, expected);
    }
}
