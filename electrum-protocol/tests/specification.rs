//! The examples of the specification's page "Protocol methods", read and written, at every version that has them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod examples;

use electrum_protocol::{ProtocolVersion, Response};
use serde_json::{Value, json};

use examples::{check_params, check_result};

const SINCE_1_4: &[ProtocolVersion] = ProtocolVersion::SPOKEN.split_at(5).1;
const BEFORE_1_6: &[ProtocolVersion] = &[
    ProtocolVersion::V1_4,
    ProtocolVersion::V1_4_1,
    ProtocolVersion::V1_4_2,
];
const SINCE_1_6: &[ProtocolVersion] = &[ProtocolVersion::V1_6, ProtocolVersion::V1_7];
const UNTIL_1_6: &[ProtocolVersion] = SINCE_1_4.split_at(4).0;

const SCRIPT_HASH: &str = "8b01df4e368ea28f8dc0423bcf7a4923e3a12d307c875e47a0cfbf90b5c39161";
const TXID: &str = "fc12dfcb4723715a456c6984e298e00c479706067da81be969e8085544b0ba08";
const HEADER_5: &str = "0100000085144a84488ea88d221c8bd6c059da090e88f8a2c99690ee55dbba4e00000000e11c48fecdd9e72510ca84f023370c9a38bf91ac5cae88019bee94d24528526344c36649ffff001d1d03e477";
const HEADER_0: &str = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c";
const HEADER_1: &str = "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299";

#[test]
fn block_header() {
    let method = "blockchain.block.header";
    check_params(SINCE_1_4, method, json!([5]), json!({"height": 5}));
    check_params(
        SINCE_1_4,
        method,
        json!([5, 8]),
        json!({"cp_height": 8, "height": 5}),
    );
    check_result(SINCE_1_4, method, json!(HEADER_5));
    let proven = json!({
        "branch": [
            "000000004ebadb55ee9096c9a2f8880e09da59c0d68b1c228da88e48844a1485",
            "96cbbc84783888e4cc971ae8acf86dd3c1a419370336bb3c634c97695a8c5ac9",
            "965ac94082cebbcffe458075651e9cc33ce703ab0115c72d9e8b1a9906b2b636",
            "89e5daa6950b895190716dd26054432b564ccdc2868188ba1da76de8e1dc7591",
        ],
        "header": HEADER_5,
        "root": "e347b1c43fd9b5415bf0d92708db8284b78daf4d0e24f9c3405f45feb85e25db",
    });
    let Response::BlockHeader(response) = check_result(SINCE_1_4, method, proven) else {
        panic!("another method's result");
    };
    let leaf = response.header.block_hash().to_raw_hash();
    response.proof.unwrap().verify(leaf, 5).unwrap();
}

#[test]
fn block_headers() {
    let method = "blockchain.block.headers";
    check_params(
        SINCE_1_4,
        method,
        json!([0, 2]),
        json!({"start_height": 0, "count": 2}),
    );
    check_params(
        SINCE_1_4,
        method,
        json!([0, 2, 8]),
        json!({"start_height": 0, "count": 2, "cp_height": 8}),
    );
    let concatenated = format!("{HEADER_0}{HEADER_1}");
    let old = check_result(
        BEFORE_1_6,
        method,
        json!({"count": 2, "hex": concatenated, "max": 2016}),
    );
    let new = check_result(
        SINCE_1_6,
        method,
        json!({"count": 2, "headers": [HEADER_0, HEADER_1], "max": 2016}),
    );
    assert_eq!(old, new);
    check_result(
        BEFORE_1_6,
        method,
        json!({"count": 0, "hex": "", "max": 2016}),
    );
    check_result(
        SINCE_1_6,
        method,
        json!({"count": 0, "headers": [], "max": 2016}),
    );
    check_result(
        SINCE_1_6,
        method,
        json!({"count": 1, "headers": [HEADER_5], "max": 2016, "branch": [TXID], "root": TXID}),
    );
}

#[test]
fn fees() {
    let method = "blockchain.estimatefee";
    check_params(SINCE_1_4, method, json!([6]), json!({"number": 6}));
    check_params(
        SINCE_1_6,
        method,
        json!([6, "ECONOMICAL"]),
        json!({"mode": "economical", "number": 6}),
    );
    check_result(SINCE_1_4, method, json!(0.00101079));
    check_result(SINCE_1_4, method, json!(-1));
    let method = "blockchain.relayfee";
    check_params(BEFORE_1_6, method, json!([]), json!({}));
    check_result(BEFORE_1_6, method, json!(1e-05));
    check_result(BEFORE_1_6, method, json!(0.0));
    let method = "mempool.get_info";
    check_params(SINCE_1_6, method, json!([]), json!({}));
    check_result(
        SINCE_1_6,
        method,
        json!({"mempoolminfee": 0.00001, "minrelaytxfee": 0.00001, "incrementalrelayfee": 0.00001}),
    );
    let method = "mempool.get_fee_histogram";
    check_params(SINCE_1_4, method, json!([]), json!({}));
    check_result(
        SINCE_1_4,
        method,
        json!([[12, 128812], [4, 92524], [2, 6478638], [1, 22890421]]),
    );
    check_result(
        SINCE_1_4,
        method,
        json!([[59.5, 30324], [40.1, 34305], [35, 38459], [0.1, 1], [0, 0]]),
    );
}

#[test]
fn headers_subscribe() {
    let method = "blockchain.headers.subscribe";
    check_params(SINCE_1_4, method, json!([]), json!({}));
    check_result(
        SINCE_1_4,
        method,
        json!({
            "height": 520481,
            "hex": "00000020890208a0ae3a3892aa047c5468725846577cfcd9b512b50000000000000000005dc2b02f2d297a9064ee103036c14d678f9afc7e3d9409cf53fd58b82e938e8ecbeca05a2d2103188ce804c4",
        }),
    );
}

#[test]
fn script_hashes() {
    for name in [
        "get_balance",
        "get_history",
        "get_mempool",
        "listunspent",
        "subscribe",
        "unsubscribe",
    ] {
        let method = format!("blockchain.scripthash.{name}");
        check_params(
            UNTIL_1_6,
            &method,
            json!([SCRIPT_HASH]),
            json!({"scripthash": SCRIPT_HASH}),
        );
    }
    let result = |name: &str, result: Value| {
        check_result(UNTIL_1_6, &format!("blockchain.scripthash.{name}"), result)
    };
    result(
        "get_balance",
        json!({"confirmed": 103873966, "unconfirmed": 23684400}),
    );
    result("get_balance", json!({"confirmed": 1, "unconfirmed": -1}));
    result(
        "get_history",
        json!([
            {"height": 200004, "tx_hash": "acc3758bd2a26f869fcc67d48ff30b96464d476bca82c1cd6656e7d506816412"},
            {"height": 215008, "tx_hash": "f3e1bf48975b8d6060a9de8884296abb80be618dc00ae3cb2f6cee3085e09403"},
        ]),
    );
    result(
        "get_history",
        json!([{
            "fee": 20000,
            "height": 0,
            "tx_hash": "9fbed79a1e970343fcd39f4a2d830a6bde6de0754ed2da70f489d0303ed558ec",
        }]),
    );
    result(
        "get_mempool",
        json!([{
            "tx_hash": "45381031132c57b2ff1cbe8d8d3920cf9ed25efd9a0beb764bdb2f24c7d1c7e3",
            "height": -1,
            "fee": 24310,
        }]),
    );
    result(
        "listunspent",
        json!([
            {
                "tx_pos": 0,
                "value": 45318048,
                "tx_hash": "9f2c45a12db0144909b5db269415f7319179105982ac70ed80d76ea79d923ebf",
                "height": 437146,
            },
            {
                "tx_pos": 0,
                "value": 919195,
                "tx_hash": "3d2290c93436a3e964cfc2f0950174d8847b1fbe3946432c4784e168da0f019f",
                "height": 441696,
            },
        ]),
    );
    result(
        "subscribe",
        json!("78e96c6562cafa71c115503b9411fdfdc595a45031e2ab76ff75162fe1b0590d"),
    );
    result("subscribe", json!(null));
    result("unsubscribe", json!(true));
    result("unsubscribe", json!(false));
}

const RAW_TX: &str = "01000000015bb9142c960a838329694d3fe9ba08c2a6421c5158d8f7044cb7c48006c1b484000000006a4730440220229ea5359a63c2b83a713fcc20d8c41b20d48fe639a639d2a8246a137f29d0fc02201de12de9c056912a4e581a62d12fb5f43ee6c08ed0238c32a1ee769213ca8b8b412103bcf9a004f1f7a9a8d8acce7b51c983233d107329ff7c4fb53e44c855dbe1f6a4feffffff02c6b68200000000001976a9141041fb024bd7a1338ef1959026bbba860064fe5f88ac50a8cf00000000001976a91445dac110239a7a3814535c15858b939211f8529888ac61ee0700";

#[test]
fn transactions_sent() {
    let method = "blockchain.transaction.broadcast";
    check_params(
        SINCE_1_4,
        method,
        json!([RAW_TX]),
        json!({"raw_tx": RAW_TX}),
    );
    check_result(
        SINCE_1_4,
        method,
        json!("a76242fce5753b4212f903ff33ac6fe66f2780f34bdb4b33b175a7815a11a98e"),
    );
    let method = "blockchain.transaction.broadcast_package";
    check_params(
        SINCE_1_6,
        method,
        json!([[RAW_TX, "00"]]),
        json!({"raw_txs": [RAW_TX, "00"], "verbose": false}),
    );
    check_params(
        SINCE_1_6,
        method,
        json!([[], true]),
        json!({"raw_txs": [], "verbose": true}),
    );
    check_result(SINCE_1_6, method, json!({"success": true}));
    check_result(
        SINCE_1_6,
        method,
        json!({"success": false, "errors": [{"txid": TXID, "error": "bad-txns-inputs-missingorspent"}]}),
    );
    check_result(
        SINCE_1_6,
        method,
        json!({"package_msg": "success", "tx-results": {TXID: {"txid": TXID, "vsize": 110}}}),
    );
}

#[test]
fn transactions_fetched() {
    let method = "blockchain.transaction.get";
    check_params(SINCE_1_4, method, json!([TXID]), json!({"tx_hash": TXID}));
    check_params(
        SINCE_1_4,
        method,
        json!([TXID, true]),
        json!({"tx_hash": TXID, "verbose": true}),
    );
    check_result(SINCE_1_4, method, json!(RAW_TX));
    check_result(
        SINCE_1_4,
        method,
        json!({"blockhash": TXID, "hex": RAW_TX, "vout": [{"n": 0, "value": 0.0856647}]}),
    );
}

#[test]
fn transactions_proven() {
    let method = "blockchain.transaction.get_merkle";
    check_params(
        SINCE_1_4,
        method,
        json!([TXID, 450538]),
        json!({"height": 450538, "tx_hash": TXID}),
    );
    check_result(
        SINCE_1_4,
        method,
        json!({
            "merkle": [
                "713d6c7e6ce7bbea708d61162231eaa8ecb31c4c5dd84f81c20409a90069cb24",
                "03dbaec78d4a52fbaf3c7aa5d3fccd9d8654f323940716ddf5ee2e4bda458fde",
            ],
            "block_height": 450538,
            "pos": 710,
        }),
    );
    let method = "blockchain.transaction.id_from_pos";
    check_params(
        SINCE_1_4,
        method,
        json!([5, 0]),
        json!({"height": 5, "tx_pos": 0}),
    );
    check_params(
        SINCE_1_4,
        method,
        json!([5, 7, true]),
        json!({"height": 5, "tx_pos": 7, "merkle": true}),
    );
    check_result(SINCE_1_4, method, json!(TXID));
    check_result(
        SINCE_1_4,
        method,
        json!({
            "tx_hash": TXID,
            "merkle": ["928c4275dfd6270349e76aa5a49b355eefeb9e31ffbe95dd75fed81d219a23f8"],
        }),
    );
    check_result(SINCE_1_4, method, json!({"tx_hash": TXID, "merkle": []}));
}

#[test]
fn server() {
    for name in [
        "features",
        "peers.subscribe",
        "banner",
        "donation_address",
        "ping",
    ] {
        check_params(SINCE_1_4, &format!("server.{name}"), json!([]), json!({}));
    }
    let features = json!({
        "genesis_hash": "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
        "hosts": {"14.3.140.101": {"tcp_port": 51001, "ssl_port": 51002}},
        "protocol_max": "1.0",
        "protocol_min": "1.0",
        "pruning": null,
        "server_version": "ElectrumX 1.0.17",
        "hash_function": "sha256",
    });
    check_result(UNTIL_1_6, "server.features", features.clone());
    let all_ports =
        json!({"a.onion": {"tcp_port": 1, "ssl_port": null, "ws_port": 3, "wss_port": 4}});
    let mut rich = features.clone();
    rich["hosts"] = all_ports;
    rich["pruning"] = json!(550);
    check_result(UNTIL_1_6, "server.features", rich);
    check_params(
        UNTIL_1_6,
        "server.add_peer",
        json!([features.clone()]),
        json!({"features": features}),
    );
    check_result(SINCE_1_4, "server.add_peer", json!(true));
    check_result(
        SINCE_1_4,
        "server.peers.subscribe",
        json!([[
            "107.150.45.210",
            "e.anonyhost.org",
            ["v1.0", "p10000", "t", "s995"]
        ]]),
    );
    check_result(
        SINCE_1_4,
        "server.banner",
        json!("Welcome to Electrum!\n\"\u{1f44b}\""),
    );
    check_result(
        SINCE_1_4,
        "server.donation_address",
        json!("1BWwXJH3q6PRsizBkSGm2Uw4Sz1urZ5sCj"),
    );
    check_result(UNTIL_1_6, "server.ping", json!(null));
}
