//! Params and results that are right in an unusual way, and those that are wrong, for every method.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use electrum_protocol::jsonrpc::Params;
use electrum_protocol::{Method, ProtocolVersion, RawJson, Request, Response};

const HASH: &str = "8b01df4e368ea28f8dc0423bcf7a4923e3a12d307c875e47a0cfbf90b5c39161";
const HEADER: &str = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c";

/// Writes `$` for a hash and `#` for a header.
fn expand(text: &str) -> String {
    text.replace('$', HASH).replace('#', HEADER)
}

fn decode(method: &str, params: &str, version: ProtocolVersion) -> Result<Request, String> {
    let method = Method::from_name(method).expect("a method of the table");
    let params = expand(params);
    let params = Params::parse(&params).expect("JSON");
    Request::decode(method, params, version).map_err(|error| error.to_string())
}

const NO_PARAMS: [&str; 7] = [
    "server.features",
    "server.peers.subscribe",
    "server.banner",
    "server.donation_address",
    "blockchain.relayfee",
    "mempool.get_fee_histogram",
    "mempool.get_info",
];

const SCRIPT_HASH: [&str; 6] = [
    "blockchain.scripthash.get_balance",
    "blockchain.scripthash.get_history",
    "blockchain.scripthash.get_mempool",
    "blockchain.scripthash.listunspent",
    "blockchain.scripthash.subscribe",
    "blockchain.scripthash.unsubscribe",
];

#[test]
fn equal_params() {
    let check = |method: &str, ways: &[&str]| {
        for version in ProtocolVersion::SPOKEN {
            let expected = decode(method, ways[0], version).unwrap();
            for way in ways {
                assert_eq!(
                    decode(method, way, version).as_ref(),
                    Ok(&expected),
                    "{method} {way}"
                );
            }
        }
    };
    for method in NO_PARAMS {
        check(
            method,
            &[
                "[]",
                "{}",
                "null",
                " [ ] ",
                "[false]",
                "[null,1,{}]",
                "{\"raw\":true}",
            ],
        );
    }
    let upper = format!("[\"{}\"]", HASH.to_uppercase());
    let escaped = format!("[\"\\u0038{}\"]", &HASH[1..]);
    for method in SCRIPT_HASH {
        check(
            method,
            &[
                "[\"$\"]",
                "[\"$\",0,-1]",
                "[\"$\",0.0,-1.0]",
                " [ \"$\" , 0 , -1 , {\"a\":[]} ] ",
                "{\"scripthash\":\"$\"}",
                "{\"other\":[1],\"scripthash\":\"$\",\"x\":null}",
                "{\"scripthash\":1,\"scripthash\":\"$\"}",
                "{\"\\u0073cripthash\":\"$\"}",
                &upper,
                &escaped,
            ],
        );
    }
    check(
        "blockchain.block.header",
        &[
            "[5]",
            "[5,0]",
            "[5,null]",
            "[5,0,9]",
            "[5.0]",
            "[5.000,0.0]",
            "[0.5e1,-0]",
            "[500E-2]",
            "{\"height\":5}",
            "{\"height\":5,\"cp_height\":null}",
        ],
    );
    check(
        "blockchain.block.headers",
        &["[5,9]", "[5,9,0]", "{\"count\":9,\"start_height\":5}"],
    );
    check(
        "blockchain.block.header",
        &["[4294967295]", "{\"height\":4294967295}"],
    );
    check(
        "blockchain.estimatefee",
        &["[6]", "[6,null]", "{\"number\":6,\"mode\":null}"],
    );
    check(
        "blockchain.transaction.get",
        &["[\"$\"]", "[\"$\",false]", "[\"$\",0]", "[\"$\",null]"],
    );
    check(
        "blockchain.transaction.get_merkle",
        &["[\"$\"]", "[\"$\",null]", "{\"tx_hash\":\"$\"}"],
    );
    check(
        "blockchain.transaction.get",
        &[
            "[\"$\",true]",
            "[\"$\",1]",
            "[\"$\",1.0]",
            "{\"verbose\":true,\"tx_hash\":\"$\"}",
        ],
    );
    check(
        "blockchain.transaction.broadcast",
        &["[\"00ff\"]", "[\"00FF\"]", "[\"\\u0030\\u0030fF\"]"],
    );
    check("blockchain.transaction.broadcast", &["[\"\"]"]);
    check(
        "blockchain.transaction.id_from_pos",
        &["[1,2]", "[1,2,false]"],
    );
}

#[test]
fn parameters_of_other_versions_are_ignored() {
    let estimate = |version| decode("blockchain.estimatefee", "[6,\"bogus\"]", version);
    assert!(estimate(ProtocolVersion::V1_4).is_ok());
    assert!(estimate(ProtocolVersion::V1_4_2).is_ok());
    assert!(estimate(ProtocolVersion::V1_6).is_err());
}

#[test]
fn wrong_params_are_named() {
    let check = |method: &str, params: &str, name: &str| {
        let error = decode(method, params, ProtocolVersion::V1_6).unwrap_err();
        assert!(
            error.starts_with(&format!("{name}: ")),
            "{method} {params}: {error}"
        );
        assert!(error.chars().count() < 150, "{error}");
    };
    for method in NO_PARAMS.iter().chain(&SCRIPT_HASH) {
        for params in ["0", "true", "\"$\"", "1e400"] {
            check(method, params, "params");
        }
    }
    let long = format!("[\"{}\"]", "ab".repeat(500_000));
    for method in SCRIPT_HASH {
        for params in [
            "[]",
            "{}",
            "null",
            "[null]",
            "[1]",
            "[true]",
            "[[]]",
            "[{}]",
            "[\"\"]",
            "[\"$$\"]",
            "[\"\\ud800\"]",
            "{\"script_hash\":\"$\"}",
            "{\"scripthash\":null}",
            &long,
        ] {
            check(method, params, "scripthash");
        }
    }
    let numbers = [
        "-1",
        "-1.0",
        "1.5",
        "1.0000000000000000000000000000000000000001",
        "15e-1",
        "1e400",
        "1e99999999999",
        "4294967296",
        "1180591620717411303424",
        "true",
        "\"5\"",
        "[]",
        "{}",
    ];
    for number in numbers {
        check("blockchain.block.header", &format!("[{number}]"), "height");
        check(
            "blockchain.block.header",
            &format!("[1,{number}]"),
            "cp_height",
        );
        check(
            "blockchain.block.headers",
            &format!("[{number},1]"),
            "start_height",
        );
        check(
            "blockchain.block.headers",
            &format!("[1,{number}]"),
            "count",
        );
        check(
            "blockchain.block.headers",
            &format!("[1,1,{number}]"),
            "cp_height",
        );
        check("blockchain.estimatefee", &format!("[{number}]"), "number");
        check(
            "blockchain.transaction.get_merkle",
            &format!("[\"$\",{number}]"),
            "height",
        );
        check(
            "blockchain.transaction.id_from_pos",
            &format!("[{number},1]"),
            "height",
        );
        check(
            "blockchain.transaction.id_from_pos",
            &format!("{{\"height\":1,\"tx_pos\":{number}}}"),
            "tx_pos",
        );
    }
    for missing in ["[]", "{}", "null", "[null]"] {
        check("blockchain.block.header", missing, "height");
        check("blockchain.block.headers", missing, "start_height");
        check("blockchain.estimatefee", missing, "number");
        check("blockchain.transaction.broadcast", missing, "raw_tx");
        check(
            "blockchain.transaction.broadcast_package",
            missing,
            "raw_txs",
        );
        check("blockchain.transaction.get", missing, "tx_hash");
        check("blockchain.transaction.get_merkle", missing, "tx_hash");
        check("blockchain.transaction.id_from_pos", missing, "height");
        check("server.add_peer", missing, "features");
    }
    check("blockchain.block.headers", "[1]", "count");
    check("blockchain.transaction.id_from_pos", "[1]", "tx_pos");
    for flag in ["2", "-1", "0.5", "\"true\"", "\"1\"", "[]", "{}"] {
        check(
            "blockchain.transaction.get",
            &format!("[\"$\",{flag}]"),
            "verbose",
        );
        check(
            "blockchain.transaction.id_from_pos",
            &format!("[1,2,{flag}]"),
            "merkle",
        );
        check(
            "blockchain.transaction.broadcast_package",
            &format!("[[],{flag}]"),
            "verbose",
        );
    }
    for mode in ["1", "\"\"", "\"fast\"", "[]"] {
        check("blockchain.estimatefee", &format!("[1,{mode}]"), "mode");
    }
    for hex in ["\"0\"", "\"0g\"", "\" 00\"", "\"0x00\"", "1", "[]", "true"] {
        check(
            "blockchain.transaction.broadcast",
            &format!("[{hex}]"),
            "raw_tx",
        );
        check(
            "blockchain.transaction.broadcast_package",
            &format!("[[\"00\",{hex}]]"),
            "raw_txs.[1]",
        );
    }
    check(
        "blockchain.transaction.broadcast_package",
        "[\"00\"]",
        "raw_txs",
    );
    check("server.add_peer", "[{}]", "features.hosts");
    check("server.add_peer", "[[]]", "features");
    check(
        "server.add_peer",
        "[{\"hosts\":{\"a\":{\"tcp_port\":65536}}}]",
        "features.hosts.a.tcp_port",
    );
    check(
        "server.add_peer",
        "[{\"hosts\":{\"a\":1}}]",
        "features.hosts.a",
    );
}

#[test]
fn results_of_other_servers() {
    let check = |method: &str, ways: &[&str]| {
        let method = Method::from_name(method).expect("a method of the table");
        let decode =
            |way: &str| Response::decode(method, &RawJson::parse(&expand(way)).unwrap()).unwrap();
        let expected = decode(ways[0]);
        for way in ways {
            assert_eq!(decode(way), expected, "{method} {way}");
        }
    };
    check("server.donation_address", &["\"\"", "null"]);
    check("server.ping", &["null", "{\"data\":\"\"}", "\"pong\""]);
    check("blockchain.relayfee", &["0.00001", "1e-05", "0.00001000"]);
    check("blockchain.estimatefee", &["-1", "-1.0"]);
    check(
        "blockchain.headers.subscribe",
        &[
            "{\"height\":1,\"hex\":\"#\"}",
            "{\"more\":[],\"height\":1,\"hex\":\"#\"}",
        ],
    );
    check(
        "blockchain.scripthash.get_history",
        &[
            "[{\"tx_hash\":\"$\",\"height\":7}]",
            "[{\"tx_hash\":\"$\",\"height\":7,\"fee\":1,\"token_data\":{}}]",
        ],
    );
    check(
        "blockchain.block.headers",
        &[
            "{\"count\":1,\"hex\":\"#\",\"max\":9}",
            "{\"count\":1,\"headers\":[\"#\"],\"max\":9}",
        ],
    );
    check(
        "mempool.get_fee_histogram",
        &["[[1,2]]", "[[1.0,2]]", "[[1,2,3]]"],
    );
    check(
        "mempool.get_fee_histogram",
        &["[[18446744073709551615,2]]", "[[1e300,2]]"],
    );
    check(
        "server.features",
        &[
            "{\"hosts\":{},\"genesis_hash\":\"$\",\"hash_function\":\"sha256\",\"server_version\":\"x\",\"protocol_min\":\"1.4\",\"protocol_max\":\"1.4.2\",\"pruning\":null}",
            "{\"hosts\":{},\"genesis_hash\":\"$\",\"server_version\":\"x\",\"protocol_min\":\"1.4.0\",\"protocol_max\":\"1.4.2\",\"services\":[]}",
        ],
    );
}

#[test]
fn wrong_results_are_named() {
    let check = |method: &str, result: &str, name: &str| {
        let method = Method::from_name(method).expect("a method of the table");
        let result = expand(result);
        let error = Response::decode(method, &RawJson::parse(&result).unwrap()).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with(&format!("result{name}: ")),
            "{method} {result}: {error}"
        );
    };
    for method in Method::ALL
        .iter()
        .filter(|method| method.name() != "server.ping")
    {
        check(method.name(), "-2", "");
    }
    for entry in [
        "{}",
        "{\"height\":1}",
        "{\"tx_hash\":1,\"height\":1}",
        "{\"tx_hash\":\"$$\",\"height\":1}",
    ] {
        check(
            "blockchain.scripthash.get_history",
            &format!("[{entry}]"),
            &match entry {
                "{}" => ".[0].height".to_owned(),
                _ => ".[0].tx_hash".to_owned(),
            },
        );
    }
    for height in ["-2", "4294967296", "1.5", "\"1\"", "true"] {
        let entry = format!("[{{\"tx_hash\":\"$\",\"height\":{height}}}]");
        check("blockchain.scripthash.get_mempool", &entry, ".[0].height");
    }
    check(
        "blockchain.scripthash.get_balance",
        "{\"confirmed\":-1,\"unconfirmed\":0}",
        ".confirmed",
    );
    check(
        "blockchain.scripthash.get_balance",
        "{\"confirmed\":1,\"unconfirmed\":9223372036854775808}",
        ".unconfirmed",
    );
    check(
        "blockchain.scripthash.listunspent",
        "[{\"tx_hash\":\"$\",\"tx_pos\":0,\"value\":1,\"height\":-1}]",
        ".[0].height",
    );
    check("blockchain.scripthash.subscribe", "\"$0\"", "");
    check("blockchain.block.header", "\"#0\"", "");
    check(
        "blockchain.block.header",
        "{\"header\":\"#\",\"branch\":[1],\"root\":\"$\"}",
        ".branch.[0]",
    );
    check(
        "blockchain.block.header",
        "{\"header\":\"#\",\"branch\":[]}",
        ".root",
    );
    check(
        "blockchain.block.headers",
        "{\"count\":2,\"hex\":\"#\",\"max\":9}",
        ".count",
    );
    check(
        "blockchain.block.headers",
        "{\"hex\":\"#\",\"max\":9}",
        ".count",
    );
    check(
        "blockchain.block.headers",
        "{\"count\":1,\"hex\":\"#00\",\"max\":9}",
        ".hex",
    );
    check(
        "blockchain.block.headers",
        "{\"count\":0,\"max\":9}",
        ".hex",
    );
    check(
        "blockchain.block.headers",
        "{\"count\":1,\"hex\":\"#\"}",
        ".max",
    );
    check(
        "blockchain.block.headers",
        "{\"count\":1,\"hex\":\"#\",\"max\":9,\"root\":\"$\"}",
        ".branch",
    );
    check(
        "blockchain.transaction.get_merkle",
        "{\"merkle\":[],\"pos\":0}",
        ".block_height",
    );
    check(
        "blockchain.transaction.get_merkle",
        "{\"merkle\":[],\"block_height\":1,\"pos\":-1}",
        ".pos",
    );
    check(
        "blockchain.transaction.id_from_pos",
        "{\"tx_hash\":\"$\"}",
        ".merkle",
    );
    check("blockchain.transaction.get", "\"0\"", "");
    check("mempool.get_fee_histogram", "[[-1,2]]", ".[0].rate");
    check("mempool.get_fee_histogram", "[[1]]", ".[0].vsize");
    check(
        "mempool.get_info",
        "{\"mempoolminfee\":0,\"minrelaytxfee\":0}",
        ".incrementalrelayfee",
    );
    check("server.peers.subscribe", "[[\"\",\"\"]]", ".[0].features");
    check(
        "server.features",
        "{\"hosts\":{},\"genesis_hash\":\"$\",\"server_version\":\"x\",\"protocol_min\":\"x\",\"protocol_max\":\"1\"}",
        ".protocol_min",
    );
}
