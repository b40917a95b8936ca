//! What must be true about answers beyond their shape: the `T:` lines of transcripts.

use std::collections::BTreeSet;

use bitcoin::block::Header;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::hashes::{Hash, sha256, sha256d};
use bitcoin::{BlockHash, Transaction, Txid};
use electrum_protocol::merkle;
use serde_json::{Value, json};

use super::matcher::part;

/// Tells whether what the words of a `T:` line say holds; `id` is the id of the last reply as it came.
///
/// # Errors
///
/// Says what does not hold.
pub(super) fn check(words: &[&str], args: &[Value], id: Option<&str>) -> Result<(), String> {
    let [name, plain @ ..] = words else {
        return Err("an empty test".into());
    };
    match (*name, args) {
        ("equal", [a, b]) => holds(a == b, || format!("{a} is not {b}")),
        ("at-least", [a, b]) => holds(a.as_u64() >= b.as_u64() && a.is_u64(), || {
            format!("{a} is less than {b}")
        }),
        ("id", _) => {
            let expected = plain.join(" ");
            holds(id == Some(expected.as_str()), || {
                format!("the id is {}, not {expected}", id.unwrap_or("missing"))
            })
        }
        ("length", [list, length]) => {
            let found = list
                .as_array()
                .map(Vec::len)
                .or_else(|| list.as_str().map(str::len));
            holds(found.map(|found| found as u64) == length.as_u64(), || {
                format!("{} elements or digits, not {length}", found.unwrap_or(0))
            })
        }
        ("member", [list, key, value]) => {
            let key = key.as_str().unwrap_or_default();
            let mut elements = list.as_array().into_iter().flatten();
            holds(
                elements.any(|element| element.get(key) == Some(value)),
                || format!("no element has `{key}` {value}"),
            )
        }
        ("hash", [header, hash]) => {
            let found = header_of(header)?.block_hash();
            holds(json!(found.to_string()) == *hash, || {
                format!("the header's hash is {found}, not {hash}")
            })
        }
        ("parts", [parts, header]) => header_parts(parts, &header_of(header)?),
        ("chain", [headers, count]) => chain(&headers_of(headers)?, count),
        ("begins", [headers, header]) => {
            let first = headers_of(headers)?.into_iter().next();
            holds(first == Some(header_of(header)?), || {
                "another header comes first".into()
            })
        }
        ("merkle", [txid, pos, branch, header]) => {
            let root = header_of(header)?.merkle_root.to_raw_hash();
            verify(hash_of(txid)?, pos, branch, root)
        }
        ("checkpoint", [header, height, cp_height, branch, root]) => {
            let depth = tree_depth(cp_height.as_u64().unwrap_or(0));
            let length = branch.as_array().map(Vec::len);
            holds(length == Some(depth), || {
                format!("a branch of {length:?} hashes, not {depth}")
            })?;
            let leaf = header_of(header)?.block_hash().to_raw_hash();
            verify(leaf, height, branch, hash_of(root)?)
        }
        ("root", [root, headers]) => {
            let hash = |header: &Header| header.block_hash().to_raw_hash();
            let leaves: Vec<sha256d::Hash> = headers_of(headers)?.iter().map(hash).collect();
            let found = merkle::root(&leaves).ok_or("no headers")?;
            holds(found == hash_of(root)?, || {
                format!("the root over the headers is {found}, not {root}")
            })
        }
        ("txid", [raw, txid]) => {
            let raw = raw.as_str().unwrap_or_default();
            let transaction: Transaction =
                deserialize_hex(raw).map_err(|error| format!("no transaction: {error}"))?;
            let found = transaction.compute_txid();
            holds(json!(found.to_string()) == *txid, || {
                format!("the transaction is {found}, not {txid}")
            })
        }
        ("status", [status, history]) => status_of(status, history),
        ("history", [history]) => history_order(history),
        ("mempool-order", [history]) => mempool_order(history),
        ("balance", [balance, unspent]) => balance_of(balance, unspent),
        ("histogram", [bins]) => histogram(bins),
        _ => Err(format!("unknown test `{}`", words.join(" "))),
    }
}

/// The tests by name, with the number of their arguments.
#[cfg(test)]
pub(super) const TESTS: [(&str, usize); 18] = [
    ("equal", 2),
    ("at-least", 2),
    ("id", 1),
    ("length", 2),
    ("member", 3),
    ("hash", 2),
    ("parts", 2),
    ("chain", 2),
    ("begins", 2),
    ("merkle", 4),
    ("checkpoint", 5),
    ("root", 2),
    ("txid", 2),
    ("status", 2),
    ("history", 1),
    ("mempool-order", 1),
    ("balance", 2),
    ("histogram", 1),
];

fn holds(condition: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    match condition {
        true => Ok(()),
        false => Err(otherwise()),
    }
}

fn header_of(value: &Value) -> Result<Header, String> {
    let text = value.as_str().unwrap_or_default();
    deserialize_hex(text).map_err(|error| format!("no header: {error}"))
}

/// Headers in a list, or one behind the other in one text.
fn headers_of(value: &Value) -> Result<Vec<Header>, String> {
    match value {
        Value::Array(list) => list.iter().map(header_of).collect(),
        _ => {
            let text = value.as_str().ok_or("no headers")?.as_bytes();
            let (chunks, rest) = text.as_chunks::<160>();
            holds(rest.is_empty(), || "a header is cut off".into())?;
            let header = |chunk: &[u8; 160]| header_of(&json!(String::from_utf8_lossy(chunk)));
            chunks.iter().map(header).collect()
        }
    }
}

fn hash_of(value: &Value) -> Result<sha256d::Hash, String> {
    let text = value.as_str().unwrap_or_default();
    text.parse()
        .map_err(|error| format!("no hash: {value}: {error}"))
}

fn verify(
    leaf: sha256d::Hash,
    pos: &Value,
    branch: &Value,
    root: sha256d::Hash,
) -> Result<(), String> {
    let pos = pos.as_u64().and_then(|pos| u32::try_from(pos).ok());
    let pos = pos.ok_or("no position")?;
    let branch = branch.as_array().ok_or("no branch")?;
    let branch: Vec<sha256d::Hash> = branch.iter().map(hash_of).collect::<Result<_, _>>()?;
    merkle::verify(leaf, pos, &branch, root).map_err(|error| error.to_string())
}

/// How many rows lie over the leaves 0 to `last`.
fn tree_depth(last: u64) -> usize {
    (u64::BITS - last.leading_zeros()) as usize
}

/// Compares a header taken apart, as it was before 1.4, with its bytes.
fn header_parts(parts: &Value, header: &Header) -> Result<(), String> {
    for (key, expected) in [
        (
            "version",
            json!(header.version.to_consensus().cast_unsigned()),
        ),
        ("prev_block_hash", json!(header.prev_blockhash.to_string())),
        ("merkle_root", json!(header.merkle_root.to_string())),
        ("timestamp", json!(header.time)),
        ("bits", json!(header.bits.to_consensus())),
        ("nonce", json!(header.nonce)),
    ] {
        let found = part(parts, key);
        holds(*found == expected, || {
            format!("{key} is {found}, not {expected}")
        })?;
    }
    Ok(())
}

/// Each header names the one before it, and has the work that it claims.
fn chain(headers: &[Header], count: &Value) -> Result<(), String> {
    let is_right = count == "any" || count.as_u64() == Some(headers.len() as u64);
    holds(is_right, || {
        format!("{} headers, not {count}", headers.len())
    })?;
    let mut previous: Option<BlockHash> = None;
    for (index, header) in headers.iter().enumerate() {
        let hash = header
            .validate_pow(header.target())
            .map_err(|error| format!("header {index}: {error}"))?;
        holds(
            previous.is_none_or(|previous| previous == header.prev_blockhash),
            || format!("header {index} does not follow the one before it"),
        )?;
        previous = Some(hash);
    }
    Ok(())
}

/// A list of entries, or an object around it as from 1.7 on.
fn entries(history: &Value) -> Result<&Vec<Value>, String> {
    history.as_array().ok_or_else(|| "no list".into())
}

fn status_of(status: &Value, history: &Value) -> Result<(), String> {
    let mut text = String::new();
    for entry in entries(history)? {
        let (txid, height) = (part(entry, "tx_hash"), part(entry, "height"));
        text += &format!("{}:{height}:", txid.as_str().unwrap_or_default());
    }
    let expected = match text.is_empty() {
        true => Value::Null,
        false => json!(sha256::Hash::hash(text.as_bytes()).to_string()),
    };
    holds(*status == expected, || {
        format!("the status of this history is {expected}, not {status}")
    })
}

/// Blocks in the order of their heights, then the mempool, whose entries have fees; no transaction twice.
fn history_order(history: &Value) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let mut highest = Some(0);
    for entry in entries(history)? {
        let txid = part(entry, "tx_hash").as_str().unwrap_or_default();
        holds(seen.insert(txid), || format!("{txid} is there twice"))?;
        let height = part(entry, "height").as_i64().ok_or("no height")?;
        let has_fee = entry.get("fee").is_some_and(Value::is_u64);
        if height > 0 {
            holds(highest.is_some_and(|highest| height >= highest), || {
                format!("{txid} of height {height} is in the wrong place")
            })?;
            holds(entry.get("fee").is_none(), || format!("{txid} has a fee"))?;
            highest = Some(height);
        } else {
            holds(has_fee, || format!("{txid} of the mempool has no fee"))?;
            highest = None;
        }
    }
    Ok(())
}

/// Heights 0 before -1, each by the transaction hash as text: so since 1.6.
fn mempool_order(history: &Value) -> Result<(), String> {
    let key = |entry: &Value| {
        let height = part(entry, "height").as_i64().unwrap_or_default();
        let txid = part(entry, "tx_hash").as_str().unwrap_or_default();
        (-height, txid.to_owned())
    };
    let keys = entries(history)?.iter().map(key);
    let mempool = keys.filter(|(depth, _)| *depth >= 0);
    holds(mempool.is_sorted(), || {
        "the mempool's entries are not ordered by height and hash".into()
    })
}

/// What is unspent is what the script holds.
fn balance_of(balance: &Value, unspent: &Value) -> Result<(), String> {
    let values = entries(unspent)?
        .iter()
        .map(|output| part(output, "value").as_i64());
    let sum: i64 = values
        .sum::<Option<i64>>()
        .ok_or("an output without value")?;
    let [confirmed, unconfirmed] =
        ["confirmed", "unconfirmed"].map(|key| part(balance, key).as_i64());
    let total = confirmed.zip(unconfirmed).map(|(a, b)| a.saturating_add(b));
    holds(total == Some(sum), || {
        format!("{sum} satoshis are unspent, but the balance is {balance}")
    })
}

/// Rates fall from bin to bin, and are no less than nothing.
fn histogram(bins: &Value) -> Result<(), String> {
    let rates: Option<Vec<f64>> = entries(bins)?
        .iter()
        .map(|bin| part(bin, 0).as_f64())
        .collect();
    let rates = rates.ok_or("a bin without a rate")?;
    let falling = rates.iter().zip(rates.iter().skip(1)).all(|(a, b)| a > b);
    holds(falling && rates.iter().all(|rate| *rate >= 0.0), || {
        format!("the rates do not fall strictly: {rates:?}")
    })
}

/// What a transcript may ask about a transaction: the script that an output pays to, and so on.
pub(super) fn transaction(raw: &str, txid: &str) -> Option<Transaction> {
    let transaction: Transaction = deserialize_hex(raw).ok()?;
    (transaction.compute_txid() == txid.parse::<Txid>().ok()?).then_some(transaction)
}

/// A transaction that no node takes: it spends an output that does not exist.
pub(super) fn unacceptable() -> String {
    let mut transaction = bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin)
        .txdata
        .swap_remove(0);
    for input in &mut transaction.input {
        input.previous_output = bitcoin::OutPoint::new(Txid::from_byte_array([0xee; 32]), 0);
    }
    serialize_hex(&transaction)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(words: &[&str], args: &[Value]) -> Result<(), String> {
        check(words, args, Some("7"))
    }

    /// Headers 0 to 2 of the main chain.
    const HEADERS: [&str; 3] = [
        "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c",
        "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299",
        "010000004860eb18bf1b1620e37e9490fc8a427514416fd75159ab86688e9a8300000000d5fdcc541e25de1c7a5addedf24858b8bb665c9f36ef744ee42c316022c90f9bb0bc6649ffff001d08d2bd61",
    ];

    #[test]
    fn headers_make_a_chain() {
        assert_eq!(says(&["chain"], &[json!(HEADERS), json!(3)]), Ok(()));
        assert_eq!(
            says(&["chain"], &[json!(HEADERS.concat()), json!(3)]),
            Ok(())
        );
        assert!(says(&["chain"], &[json!(HEADERS), json!(2)]).is_err());
        let [zero, one, two] = HEADERS;
        assert!(says(&["chain"], &[json!([zero, two]), json!(2)]).is_err());
        let without_work = one.replace("01e36299", "01e36298");
        assert!(says(&["chain"], &[json!([zero, without_work]), json!(2)]).is_err());
        let hash = json!("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
        assert_eq!(says(&["hash"], &[json!(zero), hash.clone()]), Ok(()));
        assert!(says(&["hash"], &[json!(one), hash]).is_err());
    }

    #[test]
    fn proofs_hold_or_not() {
        // Block 1 has one transaction, whose hash is the root.
        let coinbase = json!("0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098");
        let proof = |pos, branch| [coinbase.clone(), json!(pos), branch, json!(HEADERS[1])];
        assert_eq!(says(&["merkle"], &proof(0, json!([]))), Ok(()));
        assert!(says(&["merkle"], &proof(1, json!([]))).is_err());
        assert!(says(&["merkle"], &proof(0, json!([coinbase]))).is_err());
        let leaves: Vec<sha256d::Hash> = HEADERS
            .iter()
            .map(|header| {
                header_of(&json!(header))
                    .unwrap()
                    .block_hash()
                    .to_raw_hash()
            })
            .collect();
        let (branch, root) = merkle::branch(&leaves, 1).unwrap();
        let branch: Vec<String> = branch.iter().map(ToString::to_string).collect();
        let root = json!(root.to_string());
        let proof = |header: usize, cp| {
            [
                json!(HEADERS[header]),
                json!(1),
                json!(cp),
                json!(branch),
                root.clone(),
            ]
        };
        assert_eq!(says(&["checkpoint"], &proof(1, 2)), Ok(()));
        assert!(says(&["checkpoint"], &proof(0, 2)).is_err());
        assert!(says(&["checkpoint"], &proof(1, 4)).is_err());
        assert_eq!(says(&["root"], &[root.clone(), json!(HEADERS)]), Ok(()));
        assert!(says(&["root"], &[root, json!([HEADERS[0]])]).is_err());
    }

    #[test]
    fn histories_and_their_statuses() {
        // The example of the specification, "Status".
        let entries = [
            (
                "a6c9c361bd0bc536d6a22648efbf8f9b200e425ef6c3a7a9669dc444c532a347",
                2472,
            ),
            (
                "9c42f84b2fcdaff676ba25d9d4941741cc0d1a01cce0c23fdc4c0b2afa38431c",
                2473,
            ),
            (
                "770f2d4371b3fabb902dd9a103e2dd005fcd3971181078fca4a2a1d6ff127b30",
                2473,
            ),
            (
                "80b19848aed792565ab7c5a79b7c2a00fbf985741579396ebe0ab6098e607311",
                0,
            ),
            (
                "e02a1dadfa83b996b24175df807b271ea5d02937ef5b35c195fac1e1bdc3198f",
                0,
            ),
            (
                "bb4c8ab438c13b89ca80d1d5bee25b0b6b7f55673f4d801998ba97db161d9e85",
                -1,
            ),
        ];
        let entry = |(txid, height): &(&str, i64)| match height {
            1.. => json!({"tx_hash": txid, "height": height}),
            _ => json!({"tx_hash": txid, "height": height, "fee": 1}),
        };
        let list: Vec<Value> = entries.iter().map(entry).collect();
        let status = json!("78e96c6562cafa71c115503b9411fdfdc595a45031e2ab76ff75162fe1b0590d");
        let history = json!(list);
        assert_eq!(
            says(&["status"], &[status.clone(), history.clone()]),
            Ok(())
        );
        assert_eq!(says(&["status"], &[Value::Null, json!([])]), Ok(()));
        assert!(says(&["status"], &[status, json!([])]).is_err());
        assert_eq!(says(&["history"], std::slice::from_ref(&history)), Ok(()));
        assert_eq!(says(&["mempool-order"], &[history]), Ok(()));
        let swapped = |a: usize, b: usize| {
            let mut list = list.clone();
            list.swap(a, b);
            [json!(list)]
        };
        assert!(says(&["history"], &swapped(0, 1)).is_err());
        assert!(says(&["history"], &swapped(2, 3)).is_err());
        assert!(says(&["mempool-order"], &swapped(3, 4)).is_err());
        assert!(says(&["mempool-order"], &swapped(4, 5)).is_err());
        assert!(says(&["history"], &[json!([{"tx_hash": "00", "height": 0}])]).is_err());
        assert!(says(&["history"], &[json!([list[0], list[0]])]).is_err());
    }

    #[test]
    fn numbers_agree() {
        let unspent = json!([{"value": 5}, {"value": 7}]);
        let balance = |confirmed, unconfirmed| {
            [
                json!({"confirmed": confirmed, "unconfirmed": unconfirmed}),
                unspent.clone(),
            ]
        };
        assert_eq!(says(&["balance"], &balance(20, -8)), Ok(()));
        assert!(says(&["balance"], &balance(20, 8)).is_err());
        assert_eq!(says(&["histogram"], &[json!([[2.5, 9], [1, 3]])]), Ok(()));
        assert_eq!(says(&["histogram"], &[json!([])]), Ok(()));
        assert!(says(&["histogram"], &[json!([[1, 9], [1, 3]])]).is_err());
        assert!(says(&["histogram"], &[json!([[-1, 9]])]).is_err());
        assert_eq!(says(&["id", "7"], &[json!(7)]), Ok(()));
        assert!(says(&["id", "8"], &[json!(8)]).is_err());
        assert!(says(&["misspelt"], &[]).is_err());
    }

    #[test]
    fn the_transaction_that_no_node_takes_is_one() {
        assert!(deserialize_hex::<Transaction>(&unacceptable()).is_ok());
    }
}
