//! What the versions before 1.4 have of their own: the specification's page "Removed protocol methods", the documentation
//! of protocol 0.10. And which methods which version has.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod examples;

use std::collections::BTreeMap;

use electrum_protocol::jsonrpc::Params;
use electrum_protocol::{Method, ProtocolVersion, Request, Response};
use serde_json::{Value, json};

use examples::{check_params, check_result};

type Versions = &'static [ProtocolVersion];

const ALL: Versions = &ProtocolVersion::SPOKEN;
const BEFORE_1_1: Versions = ALL.split_at(2).0;
const BEFORE_1_2: Versions = ALL.split_at(3).0;
const BEFORE_1_3: Versions = ALL.split_at(4).0;
const BEFORE_1_4: Versions = ALL.split_at(5).0;
const BEFORE_1_6: Versions = ALL.split_at(8).0;
const BEFORE_1_7: Versions = ALL.split_at(9).0;
const SINCE_1_1: Versions = ALL.split_at(2).1;
const SINCE_1_2: Versions = ALL.split_at(3).1;
const SINCE_1_3: Versions = ALL.split_at(4).1;
const SINCE_1_4: Versions = ALL.split_at(5).1;
const SINCE_1_6: Versions = ALL.split_at(8).1;
const ONLY_1_7: Versions = ALL.split_at(9).1;

const TXID: &str = "fc12dfcb4723715a456c6984e298e00c479706067da81be969e8085544b0ba08";
const ADDRESS: &str = "1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L";
const RAW_520481: &str = "00000020890208a0ae3a3892aa047c5468725846577cfcd9b512b50000000000000000005dc2b02f2d297a9064ee103036c14d678f9afc7e3d9409cf53fd58b82e938e8ecbeca05a2d2103188ce804c4";

fn header_520481() -> Value {
    json!({
        "bits": 402858285,
        "block_height": 520481,
        "merkle_root": "8e8e932eb858fd53cf09943d7efc9a8f674dc1363010ee64907a292d2fb0c25d",
        "nonce": 3288656012u32,
        "prev_block_hash": "000000000000000000b512b5d9fc7c5746587268547c04aa92383aaea0080289",
        "timestamp": 1520495819,
        "version": 536870912,
    })
}

/// The one block that the page shows in both forms.
#[test]
fn headers_taken_apart() {
    let method = "blockchain.headers.subscribe";
    let apart = check_result(BEFORE_1_4, method, header_520481());
    let raw = check_result(ALL, method, json!({"height": 520481, "hex": RAW_520481}));
    let (Response::HeadersSubscribe(apart), Response::HeadersSubscribe(raw)) = (apart, raw) else {
        panic!("another method's result");
    };
    assert_eq!(apart.tip(), raw.tip());
    assert_ne!(apart, raw);
    // Protocol 0.10 adds the root of a tree that no server has any more.
    let mut with_utxo_root = header_520481();
    with_utxo_root["utxo_root"] = json!(TXID);
    let json = electrum_protocol::RawJson::parse(&with_utxo_root.to_string()).unwrap();
    assert_eq!(
        Response::decode(Method::HeadersSubscribe, &json),
        Ok(Response::HeadersSubscribe(apart))
    );

    let method = "blockchain.block.get_header";
    check_params(
        BEFORE_1_4,
        method,
        json!([510000]),
        json!({"height": 510000}),
    );
    let example = json!({
        "bits": 392292856,
        "block_height": 510000,
        "merkle_root": "297cfcc6a66e063692b20650d21cc0ac7a2a80f7277ebd7c5d6c7010a070d25c",
        "nonce": 3347656422u32,
        "prev_block_hash": "0000000000000000002292de0d9f03dfa15a04dbf09102d5d4552117b717fa86",
        "timestamp": 1519083654,
        "version": 536870912,
    });
    let Response::BlockGetHeader(header) = check_result(BEFORE_1_4, method, example) else {
        panic!("another method's result");
    };
    let header = header.0.header;
    assert!(
        header.validate_pow(header.target()).is_ok(),
        "nothing is lost"
    );
    let method = "blockchain.block.get_chunk";
    check_params(BEFORE_1_4, method, json!([5]), json!({"index": 5}));
    check_result(BEFORE_1_4, method, json!(RAW_520481.repeat(2)));
    check_result(BEFORE_1_4, method, json!(""));
}

#[test]
fn who_may_choose_the_form_of_headers() {
    let raw = |version, params: &str| {
        let params = Params::parse(params).unwrap();
        match Request::decode(Method::HeadersSubscribe, params, version).unwrap() {
            Request::HeadersSubscribe(request) => request.raw,
            other => panic!("{other:?}"),
        }
    };
    for version in ALL.iter().copied() {
        let default = version >= ProtocolVersion::V1_3;
        let chooses = version == ProtocolVersion::V1_2 || version == ProtocolVersion::V1_3;
        assert_eq!(raw(version, "[]"), default, "{version}");
        assert_eq!(raw(version, "[null]"), default, "{version}");
        for choice in [true, false] {
            let expected = if chooses { choice } else { default };
            assert_eq!(raw(version, &format!("[{choice}]")), expected);
            assert_eq!(raw(version, &format!("{{\"raw\":{choice}}}")), expected);
        }
    }
}

#[test]
fn addresses() {
    for name in [
        "get_balance",
        "get_history",
        "get_mempool",
        "listunspent",
        "subscribe",
    ] {
        check_params(
            BEFORE_1_3,
            &format!("blockchain.address.{name}"),
            json!([ADDRESS]),
            json!({"address": ADDRESS}),
        );
    }
    let result = |name: &str, result| {
        check_result(BEFORE_1_3, &format!("blockchain.address.{name}"), result)
    };
    result(
        "get_balance",
        json!({"confirmed": 533506535, "unconfirmed": 27060000}),
    );
    result(
        "get_history",
        json!([
            {"tx_hash": "ac9cd2f02ac3423b022e86708b66aa456a7c863b9730f7ce5bc24066031fdced", "height": 340235},
            {"tx_hash": "c4a86b1324f0a1217c80829e9209900bc1862beb23e618f1be4404145baa5ef3", "height": 340237},
        ]),
    );
    result(
        "get_mempool",
        json!([{
            "tx_hash": "16c2976eccd2b6fc937d24a3a9f3477b88a18b2c0cdbe58c40ee774b5291a0fe",
            "height": 0,
            "fee": 225,
        }]),
    );
    result(
        "listunspent",
        json!([{
            "tx_hash": "561534ec392fa8eebf5779b233232f7f7df5fd5179c3c640d84378ee6274686b",
            "tx_pos": 0,
            "value": 24990000,
            "height": 340242,
        }]),
    );
    result(
        "subscribe",
        json!("b87bc42725143f37558a0b41a664786d9e991ba89d43a53844ed7b3752545d4f"),
    );
    result("subscribe", json!(null));
}

#[test]
fn what_1_1_removed() {
    check_params(
        BEFORE_1_1,
        "blockchain.numblocks.subscribe",
        json!([]),
        json!({}),
    );
    check_result(BEFORE_1_1, "blockchain.numblocks.subscribe", json!(316024));
    let method = "blockchain.utxo.get_address";
    check_params(
        BEFORE_1_1,
        method,
        json!([TXID, 3]),
        json!({"tx_hash": TXID, "index": 3}),
    );
    check_result(BEFORE_1_1, method, json!(ADDRESS));
    check_result(BEFORE_1_1, method, json!(null));
}

#[test]
fn transactions_before_1_2() {
    let method = "blockchain.transaction.broadcast";
    check_result(BEFORE_1_1, method, json!("258: txn-mempool-conflict"));
    let decode = |version, method, params: &str| {
        Request::decode(method, Params::parse(params).unwrap(), version)
    };
    for version in ALL.iter().copied() {
        let expected = decode(version, Method::TransactionBroadcast, "[\"00ff\"]");
        let bare = decode(version, Method::TransactionBroadcast, "\"00ff\"");
        match version {
            ProtocolVersion::V0_10 => assert_eq!(bare, expected),
            _ => assert!(bare.is_err()),
        }
        // Once it was a height that meant nothing, then nothing, then a flag.
        let second = decode(version, Method::TransactionGet, &format!("[\"{TXID}\",5]"));
        let alone = decode(version, Method::TransactionGet, &format!("[\"{TXID}\"]"));
        match version < ProtocolVersion::V1_2 {
            true => assert_eq!(second, alone),
            false => assert!(second.is_err()),
        }
    }
    check_result(BEFORE_1_2, "blockchain.transaction.get", json!("0100ff"));
    check_result(BEFORE_1_4, "blockchain.estimatefee", json!(0.00026809));
    check_result(BEFORE_1_4, "blockchain.estimatefee", json!(1.169e-05));
    check_result(BEFORE_1_4, "blockchain.estimatefee", json!(-1));
}

#[test]
fn peers_of_0_10() {
    check_result(
        ALL,
        "server.peers.subscribe",
        json!([
            [
                "83.212.111.114",
                "electrum.stepkrav.pw",
                ["v0.9", "p100", "t", "h", "s", "g"]
            ],
            [
                "23.94.27.149",
                "ultra-feather.net",
                ["v0.9", "p10000", "t", "h", "s", "g"]
            ],
        ]),
    );
}

#[test]
fn checkpoints_before_1_4_are_ignored() {
    for (method, with, without) in [
        (Method::BlockHeader, "[5,8]", "[5]"),
        (Method::BlockHeaders, "[5,1,8]", "[5,1]"),
    ] {
        let decode = |params| {
            let params = Params::parse(params).unwrap();
            Request::decode(method, params, ProtocolVersion::V1_3).unwrap()
        };
        assert_eq!(decode(with), decode(without));
    }
}

/// Which methods which version has, as the specification's page "Protocol changes" tells it.
#[test]
fn methods_by_version() {
    let groups: [(Versions, &str, &str); 20] = [
        (ALL, "server", "peers.subscribe banner donation_address"),
        (SINCE_1_1, "server", "features add_peer"),
        (SINCE_1_2, "server", "ping"),
        (
            BEFORE_1_1,
            "blockchain",
            "numblocks.subscribe utxo.get_address",
        ),
        (ALL, "blockchain", "headers.subscribe estimatefee"),
        (BEFORE_1_6, "blockchain", "relayfee"),
        (BEFORE_1_4, "blockchain.block", "get_header get_chunk"),
        (SINCE_1_2, "blockchain.block", "headers"),
        (SINCE_1_3, "blockchain.block", "header"),
        (
            BEFORE_1_3,
            "blockchain.address",
            "get_balance get_history get_mempool listunspent subscribe",
        ),
        (
            BEFORE_1_7.split_at(2).1,
            "blockchain.scripthash",
            "get_balance get_history get_mempool listunspent subscribe",
        ),
        // Of 1.4.2, but everybody takes it at 1.4.
        (
            BEFORE_1_7.split_at(5).1,
            "blockchain.scripthash",
            "unsubscribe",
        ),
        (
            ONLY_1_7,
            "blockchain.scriptpubkey",
            "get_balance get_history get_mempool listunspent subscribe unsubscribe",
        ),
        (
            ONLY_1_7,
            "blockchain.outpoint",
            "subscribe get_status unsubscribe",
        ),
        (ALL, "blockchain.transaction", "broadcast get get_merkle"),
        (SINCE_1_4, "blockchain.transaction", "id_from_pos"),
        (SINCE_1_6, "blockchain.transaction", "broadcast_package"),
        (ONLY_1_7, "blockchain.transaction", "testmempoolaccept"),
        (SINCE_1_2, "mempool", "get_fee_histogram"),
        (SINCE_1_6, "mempool", "get_info"),
    ];
    let mut expected: BTreeMap<String, Versions> = BTreeMap::new();
    for (versions, namespace, verbs) in groups {
        for verb in verbs.split(' ') {
            expected.insert(format!("{namespace}.{verb}"), versions);
        }
    }
    expected.insert("mempool.recent".to_owned(), ONLY_1_7);
    let mut extensions = 0;
    for method in Method::ALL {
        assert_eq!(Method::from_name(method.name()), Some(*method));
        let having: Vec<_> = ALL
            .iter()
            .copied()
            .filter(|version| method.exists_in(*version))
            .collect();
        if method.is_extension() {
            extensions += 1;
            assert_eq!(having, ALL, "{method}");
        } else {
            assert_eq!(
                Some(having.as_slice()),
                expected.remove(method.name()),
                "{method}"
            );
        }
    }
    assert_eq!(expected, BTreeMap::new());
    assert_eq!(extensions, 10);
    for other in ["server.version", "blockchain.address.get_proof", ""] {
        assert_eq!(Method::from_name(other), None);
    }
}
