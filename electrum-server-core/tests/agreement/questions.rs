//! The control interface answers as Bitcoin Core does: what both say is the same, and little is missing.

use std::collections::BTreeSet;

use bitcoin::OutPoint;
use electrum_server_core::regtest::Control;
use serde_json::{Value, json};

use crate::locks::{Lock, USUAL};
use crate::transactions::{draft, output};
use crate::world::World;

/// What Bitcoin Core tells and this node does not: nobody has asked for it yet.
const LEFT_OUT: [&str; 13] = [
    "blockmintxfee",
    "chunk",
    "chunkweight",
    "coinbase_tx",
    "currentblocktx",
    "currentblockweight",
    "desc",
    "limitclustercount",
    "limitclustersize",
    "maxdatacarriersize",
    "next",
    "optimal",
    "permitbaremultisig",
];

/// What depends on the node that is asked.
const OWN: [&str; 17] = [
    "connections",
    "connections_in",
    "connections_out",
    "localservices",
    "localservicesnames",
    "maxmempool",
    "networkactive",
    "networkhashps",
    "networks",
    "protocolversion",
    "size_on_disk",
    "subversion",
    "usage",
    "unbroadcast",
    "unbroadcastcount",
    "version",
    "warnings",
];

/// What came of comparing answers.
#[derive(Default)]
struct Findings {
    /// What only Bitcoin Core tells.
    missing: BTreeSet<String>,
    /// What the two say differently.
    wrong: Vec<String>,
}

/// Compares two answers.
fn compare(path: &str, ours: &Value, core: &Value, found: &mut Findings) {
    match (ours, core) {
        (Value::Object(own), Value::Object(theirs)) => {
            for (key, value) in own {
                // A transaction has a version too, and that is the same.
                if OWN.contains(&key.as_str()) && theirs.get("txid").is_none() {
                    continue;
                }
                match theirs.get(key) {
                    Some(other) => compare(&format!("{path}.{key}"), value, other, found),
                    None => found
                        .wrong
                        .push(format!("{path}.{key}: Core has no such field")),
                }
            }
            found
                .missing
                .extend(theirs.keys().filter(|key| !own.contains_key(*key)).cloned());
        }
        (Value::Array(own), Value::Array(theirs)) => {
            if own.len() != theirs.len() {
                found.wrong.push(format!("{path}: {ours}, Core {core}"));
            }
            for (at, (own, other)) in own.iter().zip(theirs).enumerate() {
                compare(&format!("{path}[{at}]"), own, other, found);
            }
        }
        (Value::Number(own), Value::Number(other)) => {
            let (own, other) = (own.as_f64().unwrap(), other.as_f64().unwrap());
            if (own - other).abs() > other.abs() * 1e-12 {
                found.wrong.push(format!("{path}: {own}, Core {other}"));
            }
        }
        _ if ours != core => found.wrong.push(format!("{path}: {ours}, Core {core}")),
        _ => {}
    }
}

pub(crate) fn all(world: &mut World) {
    // A block with a spend of every kind, one that is stale, and a family in the mempool.
    let coins = world.coins();
    for lock in USUAL {
        let mut of_kind = coins.iter().filter(|coin| coin.lock == lock);
        let coin = of_kind.find(|coin| coin.output.value.to_sat() < 1_000_000_000);
        let coin = coin.unwrap().clone();
        let value = coin.output.value.to_sat() - 2_000;
        let tx = draft(
            &[coin],
            vec![output(lock, value / 2), output(lock, value / 2)],
        )
        .signed();
        assert!(world.send("of every kind", &tx));
    }
    world.mined_by_ours(1, Lock::P2wpkh);
    let stale = world.ours.best_block().hash;
    world.core.invalidate(stale);
    world.ours.invalidate(&stale);
    world.mined_by_core(2);
    let height = world.ours.height();
    let block = world.ours.block_hash(height - 1).unwrap();
    let txs = world.ours.get_block(&block).unwrap().txdata;
    let parent = world
        .coin(&OutPoint::new(txs[1].compute_txid(), 0))
        .unwrap();
    let mut coin = parent;
    for _ in 0..3 {
        let value = coin.output.value.to_sat() - 3_000;
        let tx = draft(&[coin], vec![output(Lock::P2wpkh, value)]).signed();
        assert!(world.send("a family", &tx));
        coin = world.coin(&OutPoint::new(tx.compute_txid(), 0)).unwrap();
    }
    let waiting = coin.outpoint.txid;
    let children = [9, 3_000].map(|fee| {
        let value = coin.output.value.to_sat() - fee;
        let child = draft(
            std::slice::from_ref(&coin),
            vec![output(Lock::P2wpkh, value)],
        );
        bitcoin::consensus::encode::serialize_hex(&child.signed())
    });
    let coinbase = txs[0].compute_txid();
    let header = world.ours.block_hash(height).unwrap();

    let control = Control::new(world.ours.clone());
    let mut found = Findings::default();
    let mut ask = |method: &str, params: Value| {
        let list = params.as_array().unwrap();
        match (
            control.call(method, &params),
            world.core.try_rpc(method, list),
        ) {
            (Ok(ours), Ok(core)) => compare(method, &ours, &core, &mut found),
            (Err(ours), Err(core)) => {
                let (own, other) = (
                    (json!(ours.code), json!(ours.message)),
                    (&core["code"], &core["message"]),
                );
                if (&own.0, &own.1) != other {
                    found
                        .wrong
                        .push(format!("{method} {params}: {ours}, Core {core}"));
                }
            }
            (ours, core) => found
                .wrong
                .push(format!("{method} {params}: {ours:?}, Core {core:?}")),
        }
    };
    ask("getblockcount", json!([]));
    ask("getbestblockhash", json!([]));
    ask("getblockchaininfo", json!([]));
    ask("getnetworkinfo", json!([]));
    ask("getmempoolinfo", json!([]));
    ask("getchaintips", json!([]));
    for height in [0, 1, height, height + 1] {
        ask("getblockhash", json!([height]));
    }
    for hash in [header, block, stale, world.ours.block_hash(0).unwrap()] {
        for level in 0..=2 {
            ask("getblock", json!([hash, level]));
        }
        ask("getblockheader", json!([hash, true]));
        ask("getblockheader", json!([hash, false]));
    }
    let nothing = "11".repeat(32);
    ask("getblock", json!([nothing]));
    ask("getblock", json!(["short"]));
    ask("getblockheader", json!([nothing]));
    ask("getmempoolentry", json!([waiting]));
    ask("getmempoolentry", json!([nothing]));
    ask("getrawtransaction", json!([waiting, 1]));
    ask("getrawtransaction", json!([nothing]));
    for tx in &txs {
        ask("getrawtransaction", json!([tx.compute_txid(), 1, block]));
        ask("getrawtransaction", json!([tx.compute_txid(), 0, block]));
        let raw = bitcoin::consensus::encode::serialize_hex(tx);
        ask("decoderawtransaction", json!([raw]));
        ask("gettxout", json!([tx.compute_txid(), 0]));
        ask("gettxout", json!([tx.compute_txid(), 1, false]));
        ask("sendrawtransaction", json!([raw]));
    }
    ask("gettxout", json!([waiting, 0]));
    ask("gettxout", json!([waiting, 0, false]));
    ask("gettxout", json!([coinbase, 7]));
    ask("decoderawtransaction", json!(["00"]));
    ask("sendrawtransaction", json!(["00"]));
    for child in children {
        ask("testmempoolaccept", json!([[child]]));
    }
    ask("getdifficulty", json!([]));
    ask("getmininginfo", json!([]));
    ask("getpeerinfo", json!([]));
    ask("getconnectioncount", json!([]));
    let xpub = "tpubD6NzVbkrYhZ4WaWSyoBvQwbpLkojyoTZPRsgXELWz3Popb3qkjcJyJUGLnL4qHHoQvao8ESaAstxYSnhyswJ76uZPStJRJCTKvosUCJZL5B";
    let key = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";
    let uncompressed = "04c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee51ae168fea63dc339a3c58419466ceaeef7f632653266d0e1236431a950cfe52a";
    let descriptors = [
        format!("wpkh({xpub}/0/*)"),
        format!("tr({xpub}/86h/1/*)"),
        format!("pkh({xpub}/<0;1>/*)"),
        format!("combo({xpub}/*)"),
        format!("combo({key})"),
        format!("combo({uncompressed})"),
        format!("pk({key})"),
        format!("wsh(sortedmulti(1,{key},{xpub}/*))"),
        "raw(51)".to_owned(),
        "raw(5)".to_owned(),
        "addr(bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080)".to_owned(),
        "addr(bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4)".to_owned(),
        "wpkh(cVpF924EspNh8KjYsfhgY96mmxvT6DgdWiTYMtMjuM74hJaU5psW)".to_owned(),
        format!("wpkh({xpub}/0/*)#00000000"),
    ];
    for descriptor in &descriptors {
        let info = world
            .core
            .try_rpc("getdescriptorinfo", &[json!(descriptor)]);
        let checked = match &info {
            Ok(info) => format!("{descriptor}#{}", info["checksum"].as_str().unwrap()),
            Err(_) => descriptor.clone(),
        };
        if info.is_ok() {
            ask("getdescriptorinfo", json!([descriptor]));
            ask("deriveaddresses", json!([descriptor]));
            ask("deriveaddresses", json!([checked]));
            ask("deriveaddresses", json!([checked, 2]));
            ask("deriveaddresses", json!([checked, [3, 5]]));
            ask("deriveaddresses", json!([checked, [5, 3]]));
            ask("deriveaddresses", json!([checked, "x"]));
        } else {
            assert_eq!(
                control
                    .call("getdescriptorinfo", &json!([descriptor]))
                    .unwrap_err()
                    .code,
                -5
            );
        }
    }
    let pay = world.ours.get_block(&header).unwrap().txdata[0].output[0]
        .script_pubkey
        .clone();
    let paid = format!("raw({pay:x})");
    ask("scantxoutset", json!(["start", [paid]]));
    ask(
        "scantxoutset",
        json!(["start", [{"desc": format!("wpkh({xpub}/*)"), "range": [0, 20]}]]),
    );
    ask("scantxoutset", json!(["status"]));
    ask("scantxoutset", json!(["abort"]));
    ask("scantxoutset", json!(["begin"]));
    ask(
        "generatetodescriptor",
        json!([1, format!("wpkh({xpub}/*)")]),
    );
    ask("invalidateblock", json!([nothing]));
    ask("submitblock", json!(["00"]));
    ask(
        "validateaddress",
        json!(["bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"]),
    );
    let wrong = found.wrong.join("\n");
    assert!(wrong.is_empty(), "{wrong}");
    let missing: Vec<&str> = found.missing.iter().map(String::as_str).collect();
    assert_eq!(missing, LEFT_OUT, "what only Core tells");
}
