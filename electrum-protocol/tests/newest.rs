//! What 1.7 has of its own, after its draft, and the extensions.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod examples;

use electrum_protocol::jsonrpc::Params;
use electrum_protocol::{Method, ProtocolVersion, Request, Response};
use serde_json::json;

use examples::{check_params, check_result};

type Versions = &'static [ProtocolVersion];

const ALL: Versions = &ProtocolVersion::SPOKEN;
const SINCE_1_1: Versions = ALL.split_at(2).1;
const SINCE_1_2: Versions = ALL.split_at(3).1;
const ONLY_1_7: Versions = ALL.split_at(9).1;

const TXID: &str = "fc12dfcb4723715a456c6984e298e00c479706067da81be969e8085544b0ba08";
const SCRIPT_HASH: &str = "8b01df4e368ea28f8dc0423bcf7a4923e3a12d307c875e47a0cfbf90b5c39161";
const SCRIPT: &str = "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac";
const STATUS: &str = "78e96c6562cafa71c115503b9411fdfdc595a45031e2ab76ff75162fe1b0590d";
const RAW_520481: &str = "00000020890208a0ae3a3892aa047c5468725846577cfcd9b512b50000000000000000005dc2b02f2d297a9064ee103036c14d678f9afc7e3d9409cf53fd58b82e938e8ecbeca05a2d2103188ce804c4";

#[test]
fn scripts_in_1_7() {
    for name in [
        "get_balance",
        "get_history",
        "get_mempool",
        "listunspent",
        "subscribe",
        "unsubscribe",
    ] {
        check_params(
            ONLY_1_7,
            &format!("blockchain.scriptpubkey.{name}"),
            json!([SCRIPT]),
            json!({"scriptpubkey": SCRIPT}),
        );
        // The name that ElectrumX has for it.
        check_params(
            ONLY_1_7,
            &format!("blockchain.scriptpubkey.{name}"),
            json!([SCRIPT]),
            json!({"spk": SCRIPT}),
        );
    }
    let result = |name: &str, result| {
        check_result(ONLY_1_7, &format!("blockchain.scriptpubkey.{name}"), result)
    };
    result(
        "get_balance",
        json!({"confirmed": 103873966, "unconfirmed": 23684400}),
    );
    let entry = json!({"fee": 20000, "height": -1, "tx_hash": TXID});
    result(
        "get_history",
        json!({"history": [{"height": 200004, "tx_hash": TXID}, entry]}),
    );
    result("get_mempool", json!({"history": [entry]}));
    let output = json!({"tx_pos": 0, "value": 919195, "tx_hash": TXID, "height": 441696});
    result("listunspent", json!({"utxos": [output]}));
    result("subscribe", json!(STATUS));
    result("unsubscribe", json!(false));
}

#[test]
fn outpoints() {
    for name in ["subscribe", "get_status"] {
        let method = format!("blockchain.outpoint.{name}");
        check_params(
            ONLY_1_7,
            &method,
            json!([TXID, 3, SCRIPT]),
            json!({"tx_hash": TXID, "txout_idx": 3, "spk_hint": SCRIPT}),
        );
        check_params(
            ONLY_1_7,
            &method,
            json!([TXID, 0]),
            json!({"tx_hash": TXID, "txout_idx": 0, "spk_hint": null}),
        );
        check_result(ONLY_1_7, &method, json!({}));
        check_result(ONLY_1_7, &method, json!({"funder_height": -1}));
        check_result(
            ONLY_1_7,
            &method,
            json!({"funder_height": 5, "spender_txhash": TXID, "spender_height": 0}),
        );
    }
    check_params(
        ONLY_1_7,
        "blockchain.outpoint.unsubscribe",
        json!([TXID, 3]),
        json!({"tx_hash": TXID, "txout_idx": 3}),
    );
    check_result(ONLY_1_7, "blockchain.outpoint.unsubscribe", json!(true));
}

#[test]
fn the_mempool_in_1_7() {
    let method = "blockchain.transaction.testmempoolaccept";
    check_params(
        ONLY_1_7,
        method,
        json!([["00", "ff"]]),
        json!({"raw_txs": ["00", "ff"]}),
    );
    check_result(
        ONLY_1_7,
        method,
        json!([
            {"txid": TXID, "wtxid": SCRIPT_HASH, "allowed": true},
            {"txid": TXID, "wtxid": SCRIPT_HASH, "allowed": false, "reason": "min relay fee not met"},
            {"txid": TXID, "wtxid": SCRIPT_HASH},
        ]),
    );
    check_params(ONLY_1_7, "mempool.recent", json!([]), json!({}));
    check_result(
        ONLY_1_7,
        "mempool.recent",
        json!([{"txid": TXID, "fee": 24310, "vsize": 141}]),
    );
}

#[test]
fn pings() {
    let method = "server.ping";
    check_params(ONLY_1_7, method, json!([5]), json!({"pong_len": 5}));
    check_params(ONLY_1_7, method, json!([0, "000"]), json!({"data": "abc"}));
    check_params(
        ONLY_1_7,
        method,
        json!([7, "00"]),
        json!({"data": "fF", "pong_len": 7}),
    );
    check_result(ONLY_1_7, method, json!({"data": ""}));
    check_result(ONLY_1_7, method, json!({"data": "00000"}));
    let decode = |params| {
        Request::decode(
            Method::ServerPing,
            Params::parse(params).unwrap(),
            ONLY_1_7[0],
        )
    };
    assert_eq!(
        decode("[\"000\"]"),
        decode("[0,\"abc\"]"),
        "as a notification has it"
    );
    assert!(decode("[\"xyz\"]").is_err());
    for version in &SINCE_1_2[..6] {
        let params = Params::parse("[false,1]").unwrap();
        let expected = Params::parse("[]").unwrap();
        assert_eq!(
            Request::decode(Method::ServerPing, params, *version),
            Request::decode(Method::ServerPing, expected, *version),
        );
    }
}

#[test]
fn features() {
    let mut features = json!({
        "genesis_hash": "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
        "hosts": {},
        "protocol_max": "1.7",
        "protocol_min": "0.10",
        "pruning": null,
        "server_version": "x",
        "extensions": ["blockchain.headers.get_tip"],
        "limits": {"max_batch": 345, "max_history": 81817},
    });
    check_result(ONLY_1_7, "server.features", features.clone());
    features["hash_function"] = json!("sha256");
    let before = &SINCE_1_1[..SINCE_1_1.len() - 1];
    check_result(before, "server.features", features.clone());
    // What other servers may mean by these keys.
    features["extensions"] = json!({"x": 1});
    features["limits"] = json!([{}]);
    let json = electrum_protocol::RawJson::parse(&features.to_string()).unwrap();
    assert!(Response::decode(Method::ServerFeatures, &json).is_ok());
}

#[test]
fn extensions() {
    for name in ["scripthash.get_status", "scripthash.get_first_use"] {
        check_params(
            ALL,
            &format!("blockchain.{name}"),
            json!([SCRIPT_HASH]),
            json!({"scripthash": SCRIPT_HASH}),
        );
    }
    check_result(ALL, "blockchain.scripthash.get_status", json!(STATUS));
    let first_use = json!({
        "block_hash": "000000000000000000b512b5d9fc7c5746587268547c04aa92383aaea0080289",
        "block_height": 5,
        "height": 5,
        "tx_hash": TXID,
    });
    check_result(ALL, "blockchain.scripthash.get_first_use", first_use);
    let unconfirmed = json!({
        "block_hash": "0".repeat(64), "block_height": 0, "height": 0, "tx_hash": TXID,
    });
    check_result(ALL, "blockchain.scripthash.get_first_use", unconfirmed);
    check_result(ALL, "blockchain.scripthash.get_first_use", json!(null));
    let method = "blockchain.scripthash.get_history";
    let versions = &SINCE_1_1[..SINCE_1_1.len() - 1];
    check_params(
        versions,
        method,
        json!([SCRIPT_HASH, 5]),
        json!({"scripthash": SCRIPT_HASH, "from_height": 5, "to_height": -1}),
    );
    check_params(
        versions,
        method,
        json!([SCRIPT_HASH, 0, 9]),
        json!({"scripthash": SCRIPT_HASH, "to_height": 9}),
    );

    for name in ["headers.get_tip", "headers.unsubscribe"] {
        check_params(ALL, &format!("blockchain.{name}"), json!([]), json!({}));
    }
    let tip = json!({"height": 520481, "hex": RAW_520481});
    check_result(ALL, "blockchain.headers.get_tip", tip.clone());
    check_result(ALL, "blockchain.headers.unsubscribe", json!(true));
    let method = "blockchain.header.get";
    check_params(ALL, method, json!([TXID]), json!({"block_hash": TXID}));
    check_params(ALL, method, json!([5]), json!({"block_hash": 5}));
    check_result(ALL, method, tip);

    for name in [
        "get_height",
        "subscribe",
        "unsubscribe",
        "get_confirmed_blockhash",
        "get_merkle",
    ] {
        check_params(
            ALL,
            &format!("blockchain.transaction.{name}"),
            json!([TXID]),
            json!({"tx_hash": TXID}),
        );
    }
    for name in ["get_height", "subscribe"] {
        for height in [json!(null), json!(0), json!(5)] {
            check_result(ALL, &format!("blockchain.transaction.{name}"), height);
        }
    }
    check_result(ALL, "blockchain.transaction.unsubscribe", json!(false));
    let method = "blockchain.transaction.get_confirmed_blockhash";
    check_params(
        ALL,
        method,
        json!([TXID, true]),
        json!({"tx_hash": TXID, "include_header": true}),
    );
    check_result(ALL, method, json!({"block_hash": TXID, "block_height": 5}));
    check_result(
        ALL,
        method,
        json!({"block_hash": TXID, "block_height": 5, "block_header": RAW_520481}),
    );

    let method = "blockchain.utxo.get_info";
    check_params(
        ALL,
        method,
        json!([TXID, 3]),
        json!({"tx_hash": TXID, "out_n": 3}),
    );
    check_result(
        ALL,
        method,
        json!({"value": 7, "scripthash": SCRIPT_HASH, "confirmed_height": 5}),
    );
    check_result(ALL, method, json!({"value": 7, "scripthash": SCRIPT_HASH}));
    check_result(ALL, method, json!(null));
}
