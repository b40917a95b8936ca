//! What Debian's Electrum reads of our PSBTs and texts, and we of its; on demand, as it must be installed.
//!
//! `cargo test -p electrum-psbt-legacy --test electrum -- --ignored`; `ELECTRUM_PYTHON` names a Python that can import
//! `electrum` (default: `/usr/bin/python3`).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Write;
use std::process::{Command, Stdio};

use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{NetworkKind, Psbt};
use electrum_psbt_legacy::psbt::{FromPsbt, ToPsbt};
use electrum_psbt_legacy::{Encoding, ExtendedKey, PartialTransaction, base43, from_text};
use serde_json::{Value, json};

fn ask(requests: &Value) -> Value {
    let python = std::env::var("ELECTRUM_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ask_electrum.py");
    let mut electrum = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let requests = requests.to_string();
    electrum
        .stdin
        .take()
        .unwrap()
        .write_all(requests.as_bytes())
        .unwrap();
    let output = electrum.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn vectors() -> Vec<Value> {
    let text = include_str!("data/partial_tx.json");
    let mut records: Value = serde_json::from_str(text).unwrap();
    records["vectors"].as_array_mut().unwrap().split_off(0)
}

fn decode(record: &Value) -> PartialTransaction {
    let bytes = Vec::from_hex(record["hex"].as_str().unwrap()).unwrap();
    PartialTransaction::decode(&bytes).unwrap()
}

fn network(record: &Value) -> NetworkKind {
    match record["network"].as_str().unwrap() {
        "mainnet" => NetworkKind::Main,
        _ => NetworkKind::Test,
    }
}

#[test]
#[ignore = "needs Electrum 4"]
fn psbts() {
    let vectors = vectors();
    let psbts: Vec<_> = vectors
        .iter()
        .map(|record| {
            let given = ToPsbt {
                network: Some(network(record)),
                ..ToPsbt::default()
            };
            decode(record).to_psbt(&given).unwrap().value
        })
        .collect();
    let requests: Vec<_> = psbts
        .iter()
        .zip(&vectors)
        .map(|(psbt, record)| {
            json!({ "psbt": psbt.serialize().to_lower_hex_string(), "network": record["network"] })
        })
        .collect();
    let answers = ask(&json!({ "psbt": requests, "base43": [], "text": [] }));
    let mut compared = 0;
    for ((record, psbt), answer) in vectors
        .iter()
        .zip(&psbts)
        .zip(answers["psbt"].as_array().unwrap())
    {
        let id = &record["id"];
        let transaction = decode(record);
        let described = &record["decoded"];
        // Electrum writes nested witness programs into transactions without signatures.
        let nested = described["inputs"].as_array().unwrap().iter();
        let nested = nested
            .filter(|input| input.get("redeem_script_nested").is_some())
            .count();
        if nested == 0 {
            assert_eq!(answer["unsigned"], described["unsigned_tx_hex"], "{id}");
        }
        assert_eq!(answer["version"], described["tx_version"]);
        assert_eq!(answer["locktime"], described["locktime"]);
        for (output, expected) in answer["outputs"]
            .as_array()
            .unwrap()
            .iter()
            .zip(described["outputs"].as_array().unwrap())
        {
            assert_eq!(output["value_sats"], expected["value"]);
            assert_eq!(output["address"], expected["address"]);
        }
        for (at, input) in answer["inputs"].as_array().unwrap().iter().enumerate() {
            compared += 1;
            let expected = &described["inputs"][at];
            let kind = expected["type"].as_str().unwrap();
            let map = &psbt.inputs[at];
            if let Some(coin) = &map.witness_utxo {
                assert_eq!(input["value_sats"], expected["value"], "{id}");
                assert_eq!(input["address"], expected["address"], "{id}");
                // Of P2SH that is known by its address nobody knows.
                let is_segwit = kind != "address" || coin.script_pubkey.is_witness_program();
                assert_eq!(answer["segwit"][at], is_segwit, "{id}");
            }
            let script = &expected["redeem_or_witness_script"];
            match kind {
                "p2sh" => assert_eq!(input["redeem_script"], *script),
                "p2wsh" | "p2wsh-p2sh" => assert_eq!(input["witness_script"], *script),
                _ => {}
            }
            if let Some(nested) = expected.get("redeem_script_nested") {
                assert_eq!(input["redeem_script"], *nested);
            }
            let keys = expected["x_pubkeys"].as_array().unwrap();
            let signatures = expected["signatures"].as_array().unwrap();
            for (key, signature) in keys.iter().zip(signatures) {
                let Some(public_key) = key["pubkey"].as_str() else {
                    continue;
                };
                assert_eq!(
                    input["part_sigs"].get(public_key).unwrap_or(&Value::Null),
                    signature,
                    "{id}"
                );
                let (_, path) = (
                    &input["bip32_paths"][public_key][0],
                    &input["bip32_paths"][public_key][1],
                );
                let path = path.as_str().unwrap();
                let suffix = match key["path"].as_array() {
                    Some(steps) => format!("/{}/{}", steps[0], steps[1]),
                    None => "m".to_owned(),
                };
                assert!(path.ends_with(&suffix), "{id} {path} {suffix}");
            }
        }
        // What Electrum writes of it makes the same partial transaction.
        let theirs = Vec::from_hex(answer["serialized"].as_str().unwrap()).unwrap();
        let given = FromPsbt {
            encoding: transaction.encoding(),
            network: network(record),
            ..FromPsbt::default()
        };
        let back = PartialTransaction::from_psbt(&Psbt::deserialize(&theirs).unwrap(), &given);
        assert_eq!(back.unwrap().value, transaction, "{id}");
    }
    assert!(compared > 60, "{compared}");
}

#[test]
#[ignore = "needs Electrum 4"]
fn texts() {
    // Deterministic bytes of many lengths, leading zeros among them; only zeros are left out, of which 4.3 makes one
    // digit too many.
    let mut state = 1u64;
    let mut byte = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    let mut bytes: Vec<Vec<u8>> = (1..300)
        .map(|len| {
            let mut bytes: Vec<u8> = (0..len).map(|_| byte()).collect();
            bytes.iter_mut().take(len / 40).for_each(|byte| *byte = 0);
            *bytes.last_mut().unwrap() |= 1;
            bytes
        })
        .collect();
    bytes.extend(vectors().iter().map(|record| decode(record).encode()));
    let hex: Vec<_> = bytes
        .iter()
        .map(|bytes| bytes.to_lower_hex_string())
        .collect();
    let ours: Vec<_> = bytes.iter().map(|bytes| base43::encode(bytes)).collect();
    let mut texts = ours.clone();
    texts.extend(hex.iter().map(|hex| hex.to_uppercase()));
    texts.extend(["12345", "A", " A\n", "a", "zz", "A_B", "é"].map(str::to_owned));
    let answers = ask(&json!({ "psbt": [], "base43": hex, "text": texts }));
    assert_eq!(answers["base43"], json!(ours));
    for (text, answer) in texts.iter().zip(answers["text"].as_array().unwrap()) {
        let bytes = from_text(text)
            .ok()
            .map(|(_, bytes)| bytes.to_lower_hex_string());
        assert_eq!(json!(bytes), *answer, "{text}");
    }
}

/// Electrum signs what a PSBT of ours says, and makes the signatures that Electrum 3.0 made of the partial transaction.
#[test]
#[ignore = "needs Electrum 4"]
fn signatures() {
    let vectors: Vec<_> = vectors()
        .into_iter()
        .filter(|record| record["signing_keys"].is_object())
        .collect();
    let secp = Secp256k1::new();
    let given = ToPsbt {
        network: Some(NetworkKind::Test),
        ..ToPsbt::default()
    };
    let psbts: Vec<_> = vectors
        .iter()
        .map(|record| decode(record).to_psbt(&given).unwrap().value)
        .collect();
    let requests: Vec<_> = psbts
        .iter()
        .zip(&vectors)
        .map(|(psbt, record)| {
            let pairs = record["signing_keys"].as_object().unwrap().values();
            let pairs = pairs.flat_map(|pairs| pairs.as_object().unwrap());
            let keys: Vec<_> = pairs
                .map(|(key, secret)| {
                    let key = ExtendedKey::from_bytes(&Vec::from_hex(key).unwrap()).unwrap();
                    let key = key.public_key(&secp).unwrap().unwrap().to_string();
                    json!([key, secret["privkey"], secret["compressed"]])
                })
                .collect();
            let psbt = psbt.serialize().to_lower_hex_string();
            json!({ "psbt": psbt, "inputs": record["decoded"]["inputs"], "keys": keys })
        })
        .collect();
    let answers = ask(&json!({ "psbt": [], "base43": [], "text": [], "sign": requests }));
    let answers = answers["sign"].as_array().unwrap();
    for ((record, mut psbt), answer) in vectors.iter().zip(psbts).zip(answers) {
        for (map, signatures) in psbt.inputs.iter_mut().zip(answer.as_array().unwrap()) {
            for (key, signature) in signatures.as_object().unwrap() {
                let signature = Vec::from_hex(signature.as_str().unwrap()).unwrap();
                let signature = bitcoin::ecdsa::Signature::from_slice(&signature).unwrap();
                map.partial_sigs.insert(key.parse().unwrap(), signature);
            }
        }
        let given = FromPsbt {
            encoding: Encoding::Bare,
            network: NetworkKind::Test,
            ..FromPsbt::default()
        };
        let signed = PartialTransaction::from_psbt(&psbt, &given).unwrap().value;
        assert!(signed.is_complete(), "{}", record["id"]);
        let hex = signed.encode().to_lower_hex_string();
        assert_eq!(record["final_tx_hex"], hex, "{}", record["id"]);
    }
    assert_eq!(vectors.len(), 9);
}
