//! Published base43 texts; each record of `tests/data/base43.json` names its source.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bitcoin::hex::{DisplayHex, FromHex};
use electrum_psbt_legacy::{TextError, base43, from_text};
use serde_json::Value;

fn records() -> Value {
    serde_json::from_str(include_str!("data/base43.json")).unwrap()
}

#[test]
fn both_ways() {
    let records = records();
    assert_eq!(records["meta"]["alphabet"], base43::ALPHABET);
    for record in records["vectors"].as_array().unwrap() {
        let bytes = Vec::from_hex(record["hex"].as_str().unwrap()).unwrap();
        let text = record["base43"].as_str().unwrap();
        assert_eq!(base43::encode(&bytes), text);
        assert_eq!(base43::decode(text).unwrap(), bytes);
        assert_eq!(record["bytes"], bytes.len());
        assert_eq!(record["chars"], text.len());
    }
}

#[test]
fn foreign_characters_are_refused() {
    for record in records()["invalid"].as_array().unwrap() {
        let result = base43::decode(record["input"].as_str().unwrap());
        assert!(
            matches!(result, Err(TextError::NotBase43 { .. })),
            "{record}"
        );
    }
}

#[test]
fn hex_comes_first() {
    for record in records()["detection_order_ambiguity"].as_array().unwrap() {
        let (_, bytes) = from_text(record["input"].as_str().unwrap()).unwrap();
        assert_eq!(
            record["convert_raw_tx_to_hex"],
            bytes.to_lower_hex_string(),
            "{record}"
        );
    }
}
