//! Published partial transactions; each record of `tests/data/partial_tx.json` names its source.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Network, NetworkKind, consensus};
use electrum_psbt_legacy::psbt::{PsbtError, ToPsbt};
use electrum_psbt_legacy::{
    DecodeError, Encoding, ExtendedKey, FinalizeError, JsonWrapper, PartialTransaction, SpendKind,
    TextForm, from_text,
};
use serde_json::Value;

fn records() -> Value {
    serde_json::from_str(include_str!("data/partial_tx.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    Vec::from_hex(value.as_str().unwrap()).unwrap()
}

fn network(record: &Value) -> Network {
    match record["network"].as_str().unwrap() {
        "mainnet" => Network::Bitcoin,
        "testnet" => Network::Testnet,
        other => panic!("{other}"),
    }
}

fn decode(record: &Value) -> PartialTransaction {
    PartialTransaction::decode(&bytes(&record["hex"]))
        .unwrap_or_else(|error| panic!("{}: {error}", record["id"]))
}

#[test]
fn every_field_is_read() {
    let records = records();
    let vectors = records["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 52);
    for record in vectors {
        let described = decode(record).describe(network(record));
        let described = serde_json::to_value(described).unwrap();
        let expected = &record["decoded"];
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&described[name], value, "{} {name}", record["id"]);
        }
        assert_eq!(&described, expected, "{}", record["id"]);
        assert_eq!(record["length"], bytes(&record["hex"]).len());
    }
}

#[test]
fn networks_are_told_by_version_bytes() {
    for record in records()["vectors"].as_array().unwrap() {
        let told = decode(record).network_kind();
        let kind = NetworkKind::from(network(record));
        assert!(told.is_none_or(|told| told == kind), "{}", record["id"]);
    }
}

#[test]
fn bytes_survive() {
    for record in records()["vectors"].as_array().unwrap() {
        let encoded = decode(record).encode().to_lower_hex_string();
        assert_eq!(record["hex"], encoded, "{}", record["id"]);
    }
}

#[test]
fn signed_transactions_are_complete() {
    let mut signed = 0;
    for record in records()["vectors"].as_array().unwrap() {
        let Some(hex) = record["final_tx_hex"].as_str() else {
            continue;
        };
        signed += 1;
        let bytes = Vec::from_hex(hex).unwrap();
        let transaction = PartialTransaction::decode(&bytes).unwrap();
        assert!(transaction.is_complete(), "{}", record["id"]);
        assert_eq!(transaction.encode(), bytes);
        let (present, required) = transaction.signature_count();
        assert_eq!(present, required);
        let finalized = transaction.finalize().unwrap();
        assert_eq!(consensus::serialize(&finalized), bytes);
        assert_eq!(
            record["final_txid"],
            transaction.txid().unwrap().to_string()
        );
    }
    assert!(signed > 40, "{signed}");
}

#[test]
fn keys_of_every_kind() {
    let records = records();
    let secp = Secp256k1::verification_only();
    for record in records["x_pubkeys"].as_array().unwrap() {
        let written = bytes(&record["x_pubkey"]);
        let key = ExtendedKey::from_bytes(&written).unwrap();
        assert_eq!(key.to_bytes(), written);
        let public_key = key.public_key(&secp).unwrap();
        let public_key = public_key.map(|key| key.to_string());
        assert_eq!(record["pubkey"].as_str().map(str::to_owned), public_key);
    }
    for record in records["x_pubkey_path_encoding"].as_array().unwrap() {
        let written = bytes(&record["x_pubkey"]);
        let ExtendedKey::Bip32(key) = ExtendedKey::from_bytes(&written).unwrap() else {
            panic!("{record}");
        };
        assert_eq!(record["path"][0], key.change.value());
        assert_eq!(record["path"][1], key.index.value());
        let mut again = key.clone();
        again.change = key.change.value().into();
        again.index = key.index.value().into();
        assert_eq!(ExtendedKey::Bip32(again).to_bytes(), written);
    }
}

#[test]
fn what_electrum_refuses_is_refused() {
    for record in records()["negative"].as_array().unwrap() {
        let result = PartialTransaction::decode(&bytes(&record["hex"]));
        match record["why"].as_str().unwrap() {
            "unknown format version byte 01" => {
                assert_eq!(result, Err(DecodeError::UnknownFormatVersion(1)));
            }
            "trailing junk" => assert_eq!(result, Err(DecodeError::TrailingBytes(1))),
            "truncated header" | "truncated body" => {
                let error = result.unwrap_err();
                assert!(matches!(
                    error,
                    DecodeError::Truncated { .. } | DecodeError::CountTooLarge { .. }
                ));
            }
            "bad x_pubkey prefix fc" => {
                let transaction = result.unwrap();
                let kind = transaction.inputs()[0].spend().kind();
                assert_eq!(kind, SpendKind::Unknown);
                assert!(!transaction.is_complete());
                assert_eq!(transaction.finalize(), Err(FinalizeError::UnknownInput(0)));
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn json_wrappers() {
    for record in records()["json_wrapper"].as_array().unwrap() {
        let wrapper = match record["text"].as_str() {
            Some(text) => serde_json::from_str(text).unwrap(),
            None => record["object"].clone(),
        };
        let (form, carried) = from_text(&wrapper.to_string()).unwrap();
        assert_eq!(form, TextForm::Json);
        assert_eq!(carried, bytes(&wrapper["hex"]));
        let transaction = PartialTransaction::decode(&carried).unwrap();
        let written = JsonWrapper::new(&transaction).to_json();
        let written: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(written, wrapper);
    }
}

/// 2.8 and 2.9 wrote the witness of a P2WPKH input in P2SH as script pushes and without its amount. No such transaction is
/// published; this one has the input of a published one of 3.0, written by those rules.
#[test]
fn witnesses_of_script_pushes() {
    let records = records();
    let vectors = records["vectors"].as_array().unwrap();
    let record = vectors
        .iter()
        .find(|record| record["id"] == "ptx-017")
        .unwrap();
    let hex = record["hex"]
        .as_str()
        .unwrap()
        .strip_prefix("45505446ff00")
        .unwrap();
    let prefix = "feffffffff40420f00000000000000";
    let pushed = hex.replace(&format!("{prefix}0201ff53ff"), "0201ff4c53ff");
    assert!(hex.contains(prefix) && pushed.len() + 28 == hex.len());
    let bytes = Vec::from_hex(&pushed).unwrap();
    let transaction = PartialTransaction::decode(&bytes).unwrap();
    assert_eq!(transaction.encode(), bytes);
    let input = &transaction.inputs()[0];
    assert!(input.witness().is_pushed);
    assert_eq!(input.spend().kind(), SpendKind::P2wpkhP2sh);
    assert_eq!(input.value(), None);
    assert_eq!(transaction.signature_count(), (0, 1));
    let described = serde_json::to_value(transaction.describe(Network::Testnet)).unwrap();
    let (ours, theirs) = (&described["inputs"][0], &record["decoded"]["inputs"][0]);
    assert_eq!(ours["x_pubkeys"], theirs["x_pubkeys"]);
    assert_eq!(ours["address"], theirs["address"]);
    assert_eq!(described["txid"], record["decoded"]["txid"]);
}

/// What 1.9.8 wrote: an ordinary transaction, beside which stands what is to be signed.
#[test]
fn objects_of_1_9() {
    for record in records()["json_1_9_8"].as_array().unwrap() {
        let (form, bytes) = from_text(&record["json"].to_string()).unwrap();
        assert_eq!(form, TextForm::Json);
        let transaction = PartialTransaction::decode(&bytes).unwrap();
        assert_eq!(record["json"]["complete"], transaction.is_complete());
        let txid = transaction.txid().map(|txid| txid.to_string());
        assert_eq!(record["txid"].as_str().map(str::to_owned), txid);
    }
}

#[test]
fn electron_cash() {
    let record = &records()["electron_cash"][0];
    let transaction = decode(record);
    assert_eq!(transaction.encoding(), Encoding::ElectronCash);
    assert_eq!(
        transaction.encode().to_lower_hex_string(),
        record["hex"].as_str().unwrap()
    );
    let described = serde_json::to_value(transaction.describe(Network::Bitcoin)).unwrap();
    let (input, expected) = (&described["inputs"][0], &record["inputs"][0]);
    for name in [
        "prevout_txid",
        "prevout_n",
        "value",
        "type",
        "address",
        "sequence",
        "signatures",
    ] {
        assert_eq!(input[name], expected[name], "{name}");
    }
    assert_eq!(input["x_pubkeys"][0]["pubkey"], expected["pubkey"]);
    assert_eq!(input["x_pubkeys"][0]["x_pubkey"], expected["x_pubkey"]);
    for name in ["value", "address"] {
        assert_eq!(described["outputs"][0][name], record["outputs"][0][name]);
    }
    assert_eq!(described["locktime"], record["locktime"]);
    assert_eq!(
        transaction.to_psbt(&ToPsbt::default()),
        Err(PsbtError::ElectronCash)
    );
    let bytes = bytes(&record["final_tx_hex"]);
    let signed = PartialTransaction::decode(&bytes).unwrap();
    assert!(signed.is_complete());
    assert_eq!(signed.encode(), bytes);
}
