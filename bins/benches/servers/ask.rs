//! What servers are asked: kinds of requests, each with many keys.

use std::sync::Arc;

use bitcoin::hashes::{Hash, sha256};

use super::chain::{Facts, Script};

/// How many keys of each kind are asked for, one after the other.
const KEYS: usize = 20_000;

/// Requests of one kind: method and params, as they stand in a message.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) requests: Arc<Vec<String>>,
}

/// The script hash as the protocol writes it.
pub(crate) fn script_hash(script: Script) -> String {
    let hash = sha256::Hash::hash(script.output().as_bytes()).to_byte_array();
    hash.iter()
        .rev()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn request(method: &str, params: &str) -> String {
    format!(r#""method":"{method}","params":[{params}]"#)
}

/// The scripts that so many transactions touch, in an order that is mixed and always the same.
pub(crate) fn scripts(facts: &Facts, uses: std::ops::RangeInclusive<u32>) -> Vec<Script> {
    let mut found: Vec<_> = (0u32..)
        .zip(&facts.uses)
        .filter(|(_, count)| uses.contains(count))
        .map(|(number, _)| Script(number))
        .collect();
    found.sort_by_key(|script| script.0.wrapping_mul(0x9e37_79b1).rotate_left(7));
    found.truncate(KEYS);
    found
}

/// Everything that a load is made of.
pub(crate) fn kinds(facts: &Facts) -> Vec<Kind> {
    let of = |method: &str, scripts: &[Script]| {
        let request = |script: &Script| request(method, &format!("\"{}\"", script_hash(*script)));
        Arc::new(scripts.iter().map(request).collect::<Vec<_>>())
    };
    let (small, middle) = (scripts(facts, 1..=3), scripts(facts, 20..=200));
    let large = scripts(facts, 1000..=5000);
    let unused: Vec<_> = (0..KEYS as u32)
        .map(|number| Script(u32::MAX - number))
        .collect();
    let (history, unspent) = (
        "blockchain.scripthash.get_history",
        "blockchain.scripthash.listunspent",
    );
    let subscribe = "blockchain.scripthash.subscribe";
    let transactions = |method: &str, with_height: bool| {
        let params = |(txid, height): &(bitcoin::Txid, u32)| match with_height {
            true => request(method, &format!("\"{txid}\",{height}")),
            false => request(method, &format!("\"{txid}\"")),
        };
        Arc::new(facts.samples.iter().map(params).collect::<Vec<_>>())
    };
    let headers = (0..facts.height.saturating_sub(500))
        .map(|height| request("blockchain.block.headers", &format!("{height},500")))
        .collect();
    let kind = |name, requests| Kind { name, requests };
    vec![
        kind("server.ping", Arc::new(vec![request("server.ping", "")])),
        kind("get_history, 1-3", of(history, &small)),
        kind(
            "get_balance, 1-3",
            of("blockchain.scripthash.get_balance", &small),
        ),
        kind("subscribe, 1-3", of(subscribe, &small)),
        kind("subscribe, unused", of(subscribe, &unused)),
        kind("get_history, 20-200", of(history, &middle)),
        kind("listunspent, 20-200", of(unspent, &middle)),
        kind("get_history, 1000-5000", of(history, &large)),
        kind(
            "transaction.get",
            transactions("blockchain.transaction.get", false),
        ),
        kind(
            "get_merkle",
            transactions("blockchain.transaction.get_merkle", true),
        ),
        kind("block.headers, 500", Arc::new(headers)),
    ]
}
