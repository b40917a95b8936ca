//! What transcripts may ask about: facts of whichever chain the server has.

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Address, Network, OutPoint, ScriptBuf, Transaction};
use electrum_protocol::ScriptHash;
use serde_json::{Map, Value, json};

use super::matcher::{Names, part};
use super::proofs;

/// How many blocks below the tip are looked at for one with a payment.
const SEARCHED: u64 = 10;

/// Names of facts, and what a server has not that does not have them.
const FACTS: [(&str, &str); 12] = [
    ("genesis", "no header at height 0"),
    ("header_1", "no header at height 1"),
    ("tip_height", "no answer to blockchain.headers.subscribe"),
    ("coinbase", "no transaction in block 1"),
    (
        "paid",
        "no payment in the last ten blocks to a script with a short history",
    ),
    (
        "spent",
        "no spent output of a payment in the last ten blocks",
    ),
    (
        "fresh",
        "no transaction of the mempool in the histories looked at, nor in mempool.recent",
    ),
    ("unused", "a chain that this program does not know"),
    ("client", "no name"),
    ("version", "no version"),
    ("refused", "no transaction"),
    ("long", "no text"),
];

/// The fact that does not last.
pub(super) const FRESH: &str = "fresh";

/// Says why nothing is known by a name.
pub(super) fn why_unknown(name: &str) -> String {
    let fact = FACTS.iter().find(|(fact, _)| *fact == name);
    match fact {
        Some((_, why)) => format!("the server has {why}"),
        None => format!("an earlier answer did not tell `{name}`"),
    }
}

#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FACTS.iter().map(|(name, _)| *name)
}

/// What we call ourselves.
pub(super) const CLIENT: &str = concat!("electrum-tools/", env!("CARGO_PKG_VERSION"));

/// What is known without asking.
pub(super) fn about_us(names: &mut Names) {
    names.set("client", CLIENT);
    names.set("refused", proofs::unacceptable());
    names.set("long", "0".repeat(2000));
}

/// Asks a method; the result, or nothing whatever goes wrong.
pub(super) type Ask<'a> = dyn FnMut(&str, Value) -> Option<Value> + 'a;

/// Learns what the chain is and what is on it, by methods of protocol 1.4.
pub(super) fn learn(names: &mut Names, ask: &mut Ask<'_>) {
    let tip = ask("blockchain.headers.subscribe", json!([]))
        .and_then(|tip| part(&tip, "height").as_u64());
    if let Some(tip) = tip {
        names.set("tip_height", tip);
    }
    let mut network = None;
    if let Some(header) = ask("blockchain.block.header", json!([0])) {
        let parsed = deserialize_hex::<bitcoin::block::Header>(header.as_str().unwrap_or_default());
        if let Ok(parsed) = parsed {
            network = network_of(&parsed);
            let hash = parsed.block_hash().to_string();
            names.set("genesis", json!({"header": header, "hash": hash}));
        }
    }
    if let Some(header) = ask("blockchain.block.header", json!([1])) {
        names.set("header_1", header);
    }
    if let Some(network) = network {
        names.set("unused", nobodys_script(network));
    }
    if let Some(txid) = ask("blockchain.transaction.id_from_pos", json!([1, 0]))
        && let Some((raw, transaction)) = fetch(ask, &txid)
        && let Some(mut place) = output(&transaction, network, 0)
    {
        place.insert("txid".into(), txid);
        place.insert("raw".into(), json!(raw));
        names.set("coinbase", place);
    }
    learn_payment(names, tip.unwrap_or(0), network, ask);
}

/// Looks for a transaction below the tip that is no coinbase, and for the output that it spends.
fn learn_payment(names: &mut Names, tip: u64, network: Option<Network>, ask: &mut Ask<'_>) {
    for height in (1..=tip).rev().take(SEARCHED as usize) {
        let Some(txid) = ask("blockchain.transaction.id_from_pos", json!([height, 1])) else {
            continue;
        };
        let Some((raw, transaction)) = fetch(ask, &txid) else {
            continue;
        };
        let Some(header) = ask("blockchain.block.header", json!([height])) else {
            continue;
        };
        let mut outputs = (0..transaction.output.len()).take(SEARCHED as usize);
        let found = outputs.find_map(|vout| {
            let place = output(&transaction, network, vout)?;
            has_short_history(ask, &place).then_some(place)
        });
        let Some(mut place) = found else {
            continue;
        };
        place.insert("txid".into(), txid.clone());
        place.insert("height".into(), json!(height));
        place.insert("header".into(), header);
        place.insert("raw".into(), json!(raw));
        names.set("paid", place);
        let Some(OutPoint { txid: from, vout }) =
            transaction.input.first().map(|i| i.previous_output)
        else {
            return;
        };
        let from = json!(from.to_string());
        if let Some((_, before)) = fetch(ask, &from)
            && let Some(mut place) = output(&before, network, vout as usize)
            && has_short_history(ask, &place)
        {
            place.insert("txid".into(), from);
            place.insert("spender".into(), txid);
            place.insert("spender_height".into(), json!(height));
            names.set("spent", place);
        }
        return;
    }
}

/// Whether all servers would tell the whole history, and in an answer of moderate length.
fn has_short_history(ask: &mut Ask<'_>, place: &Map<String, Value>) -> bool {
    let script_hash = place.get("scripthash").unwrap_or(&Value::Null);
    let history = ask("blockchain.scripthash.get_history", json!([script_hash]));
    let length = history.and_then(|history| history.as_array().map(Vec::len));
    length.is_some_and(|length| length <= 1000)
}

/// Looks for a transaction of the mempool: in the histories that are known, and where protocol 1.7 lists some.
pub(super) fn learn_mempool(names: &mut Names, ask: &mut Ask<'_>) {
    let mut txids = Vec::new();
    for place in ["paid", "spent", "coinbase"] {
        let Ok(script_hash) = names.get(&format!("{place}.scripthash")) else {
            continue;
        };
        let history = ask("blockchain.scripthash.get_history", json!([script_hash]));
        let entries = history.as_ref().and_then(Value::as_array);
        let unconfirmed = entries.into_iter().flatten().filter(|entry| {
            let height = part(entry, "height").as_i64();
            height.is_some_and(|height| height <= 0)
        });
        txids.extend(unconfirmed.map(|entry| part(entry, "tx_hash").clone()));
    }
    let recent = ask("mempool.recent", json!([]));
    let recent = recent.as_ref().and_then(Value::as_array);
    let recent = recent.into_iter().flatten();
    txids.extend(recent.map(|entry| part(entry, "txid").clone()));
    for txid in txids {
        if set_fresh(names, ask, &txid) {
            return;
        }
    }
}

/// Makes a transaction of the mempool known; false when it cannot be fetched.
fn set_fresh(names: &mut Names, ask: &mut Ask<'_>, txid: &Value) -> bool {
    let Some((raw, transaction)) = fetch(ask, txid) else {
        return false;
    };
    let Some(mut place) = output(&transaction, None, 0) else {
        return false;
    };
    place.insert("txid".into(), txid.clone());
    place.insert("raw".into(), json!(raw));
    names.set(FRESH, place);
    true
}

fn fetch(ask: &mut Ask<'_>, txid: &Value) -> Option<(String, Transaction)> {
    let raw = ask("blockchain.transaction.get", json!([txid]))?;
    let raw = raw.as_str()?;
    let transaction = proofs::transaction(raw, txid.as_str()?)?;
    Some((raw.to_owned(), transaction))
}

/// What an output says; nothing when nobody can spend it.
fn output(
    transaction: &Transaction,
    network: Option<Network>,
    vout: usize,
) -> Option<Map<String, Value>> {
    let output = transaction.output.get(vout)?;
    let script = &output.script_pubkey;
    if script.is_op_return() {
        return None;
    }
    let mut place = of_script(script, network);
    place.insert("vout".into(), json!(vout));
    place.insert("value".into(), json!(output.value.to_sat()));
    Some(place)
}

fn of_script(script: &ScriptBuf, network: Option<Network>) -> Map<String, Value> {
    let mut place = Map::new();
    place.insert("script".into(), script.to_hex_string().into());
    let script_hash = ScriptHash::from_script(script).to_string();
    place.insert("scripthash".into(), script_hash.into());
    let address = network.and_then(|network| Address::from_script(script, network).ok());
    if let Some(address) = address {
        place.insert("address".into(), json!(address.to_string()));
    }
    place
}

/// A script that nobody has paid to, since nobody knows what would spend it.
fn nobodys_script(network: Network) -> Map<String, Value> {
    let program = sha256::Hash::hash(b"no script has this hash: electrum-tools conformance");
    let script = ScriptBuf::from_hex(&format!("0020{program}")).unwrap_or_default();
    let mut place = of_script(&script, Some(network));
    place.insert("txid".into(), json!(program.to_string()));
    place
}

fn network_of(genesis: &bitcoin::block::Header) -> Option<Network> {
    let hash = genesis.block_hash();
    [
        Network::Bitcoin,
        Network::Testnet,
        Network::Testnet4,
        Network::Signet,
        Network::Regtest,
    ]
    .into_iter()
    .find(|network| bitcoin::constants::genesis_block(network).block_hash() == hash)
}
