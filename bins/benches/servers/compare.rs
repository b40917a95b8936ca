//! What a server answers, held against the plain scan.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use crate::ask;
use crate::client::Client;
use crate::scan::{Chain, Unspent};

/// Requests that are sent before their answers are read.
const AT_A_TIME: usize = 40;

/// What the comparison showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compared {
    pub(crate) scripts: usize,
    pub(crate) answers: usize,
    /// The number of differences, and the first few.
    pub(crate) different: usize,
    pub(crate) examples: Vec<String>,
}

const METHODS: [&str; 4] = ["get_history", "listunspent", "get_balance", "subscribe"];

/// Compares history, unspent outputs, balance and status of thousands of scripts: of every size, and unused ones.
pub(crate) fn run(address: &str, chain: &Chain) -> io::Result<Compared> {
    let mut scripts = Vec::new();
    for (uses, count) in [
        (1..=3, 3000),
        (4..=19, 500),
        (20..=200, 500),
        (201..=5000, 30),
        (100_000..=usize::MAX, 1),
    ] {
        scripts.extend(chain.used(uses, count).into_iter().map(Some));
    }
    scripts.resize(scripts.len() + 200, None);
    let unused = ask::unused(200);
    let mut unused = unused.iter();
    let hashes: Vec<String> = scripts
        .iter()
        .map(|script| match script {
            Some(script) => chain.wire(*script),
            None => unused.next().cloned().unwrap_or_default(),
        })
        .collect();

    let mut client = Client::connect(address, Duration::from_secs(300))?;
    let mut compared = Compared {
        scripts: scripts.len(),
        ..Compared::default()
    };
    let pairs: Vec<_> = scripts.iter().zip(&hashes).collect();
    for pairs in pairs.chunks(AT_A_TIME / METHODS.len()) {
        let requests: Vec<String> = pairs
            .iter()
            .flat_map(|(_, hash)| METHODS.map(|method| (method, hash)))
            .map(|(method, hash)| {
                ask::request(
                    &format!("blockchain.scripthash.{method}"),
                    &format!("\"{hash}\""),
                )
            })
            .collect();
        client.send(&requests)?;
        for _ in &requests {
            let reply: Value = serde_json::from_slice(client.next_reply()?)?;
            let number = reply["id"].as_u64().unwrap() as usize;
            let (script, hash) = pairs[number / METHODS.len()];
            let method = METHODS[number % METHODS.len()];
            compared.answers += 1;
            if answer(&reply["result"], method) != expected(chain, *script, method)
                || !reply["error"].is_null()
            {
                compared.different += 1;
                if compared.examples.len() < 5 {
                    let reply = reply.to_string();
                    let reply = reply.chars().take(200).collect::<String>();
                    compared.examples.push(format!("{method} {hash}: {reply}"));
                }
            }
        }
    }
    Ok(compared)
}

/// The answer in a form in which it can be compared: the order of unspent outputs within a block is free.
fn answer(result: &Value, method: &str) -> Value {
    match (method, result) {
        ("listunspent", Value::Array(entries)) => {
            let mut entries: Vec<Unspent> = entries.iter().filter_map(unspent).collect();
            entries.sort();
            entries.iter().map(unspent_json).collect()
        }
        _ => result.clone(),
    }
}

fn unspent(entry: &Value) -> Option<Unspent> {
    Some(Unspent {
        height: u32::try_from(entry["height"].as_u64()?).ok()?,
        txid: entry["tx_hash"].as_str()?.parse().ok()?,
        vout: u32::try_from(entry["tx_pos"].as_u64()?).ok()?,
        value: entry["value"].as_u64()?,
    })
}

fn unspent_json(entry: &Unspent) -> Value {
    json!([
        entry.height,
        entry.txid.to_string(),
        entry.vout,
        entry.value
    ])
}

fn expected(chain: &Chain, script: Option<u32>, method: &str) -> Value {
    let history = || {
        script
            .map(|script| chain.history(script))
            .unwrap_or_default()
    };
    let unspent = || {
        script
            .map(|script| chain.unspent(script))
            .unwrap_or_default()
    };
    match method {
        "get_history" => history()
            .iter()
            .map(|(txid, height)| json!({"tx_hash": txid.to_string(), "height": height}))
            .collect(),
        "listunspent" => unspent().iter().map(unspent_json).collect(),
        "get_balance" => {
            let confirmed: u64 = unspent().iter().map(|entry| entry.value).sum();
            json!({"confirmed": confirmed, "unconfirmed": 0})
        }
        _ => script.map(|script| chain.status(script)).into(),
    }
}
