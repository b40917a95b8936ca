//! What servers are asked: kinds of requests, each with many keys.

use std::sync::Arc;

use super::scan::{Chain, hash, wire};
use super::script::Script;

/// How many keys of each kind are asked for, one after the other.
const KEYS: usize = 20_000;

/// Requests of one kind: method and params, as they stand in a message.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// What is aimed for: so many requests a second, as a part of the same server's pings.
    pub(crate) aim: Option<f64>,
    pub(crate) requests: Arc<Vec<String>>,
}

pub(crate) const PING: &str = "ping";
pub(crate) const HEADERS: &str = "block.headers, 500";

pub(crate) fn request(method: &str, params: &str) -> String {
    format!(r#""method":"{method}","params":[{params}]"#)
}

/// Script hashes, as the protocol writes them, that do not occur in the chain.
pub(crate) fn unused(count: u32) -> Vec<String> {
    (0..count)
        .map(|number| wire(&hash(&Script(u32::MAX - number).output())))
        .collect()
}

/// Everything that a load is made of.
pub(crate) fn kinds(chain: &Chain) -> Vec<Kind> {
    let used = |uses| -> Vec<String> {
        let scripts = chain.used(uses, KEYS);
        scripts
            .into_iter()
            .map(|script| chain.wire(script))
            .collect()
    };
    let of = |method: &str, hashes: &[String]| {
        let method = format!("blockchain.scripthash.{method}");
        let request = |hash: &String| request(&method, &format!("\"{hash}\""));
        Arc::new(hashes.iter().map(request).collect::<Vec<_>>())
    };
    let (small, middle, large) = (used(1..=3), used(20..=200), used(1000..=5000));
    let unused = unused(KEYS as u32);
    let samples = chain.some_transactions(KEYS);
    let transactions = |method: &str, with_height: bool| {
        let method = format!("blockchain.transaction.{method}");
        let params = |(txid, height): &(bitcoin::Txid, u32)| match with_height {
            true => request(&method, &format!("\"{txid}\",{height}")),
            false => request(&method, &format!("\"{txid}\"")),
        };
        Arc::new(samples.iter().map(params).collect::<Vec<_>>())
    };
    let headers = (0..=chain.height.saturating_sub(500))
        .map(|height| request("blockchain.block.headers", &format!("{height},500")))
        .collect();
    let ping = Arc::new(vec![request("server.ping", "")]);
    let kind = |name, aim, requests| Kind {
        name,
        aim,
        requests,
    };
    vec![
        kind(PING, None, ping),
        kind("get_history, 1-3", Some(0.5), of("get_history", &small)),
        kind("get_balance, 1-3", Some(0.5), of("get_balance", &small)),
        kind("subscribe, 1-3", Some(0.5), of("subscribe", &small)),
        kind("get_history, unused", None, of("get_history", &unused)),
        kind("subscribe, unused", None, of("subscribe", &unused)),
        kind(
            "listunspent, 20-200",
            Some(0.25),
            of("listunspent", &middle),
        ),
        kind(
            "get_history, 20-200",
            Some(0.12),
            of("get_history", &middle),
        ),
        kind("get_history, 1000-5000", None, of("get_history", &large)),
        kind("transaction.get", Some(0.5), transactions("get", false)),
        kind(
            "transaction.get_merkle",
            Some(0.4),
            transactions("get_merkle", true),
        ),
        kind(HEADERS, None, Arc::new(headers)),
    ]
    .into_iter()
    .filter(|kind| !kind.requests.is_empty())
    .collect()
}
