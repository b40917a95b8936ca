//! What holds of any bytes and any text.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bitcoin::hex::FromHex;
use bitcoin::{Network, Psbt};
use electrum_psbt_legacy::psbt::{FromPsbt, ToPsbt};
use electrum_psbt_legacy::{Encoding, ExtendedKey, PartialTransaction, base43, base64, from_text};
use proptest::prelude::*;

fn published() -> Vec<Vec<u8>> {
    let text = include_str!("data/partial_tx.json");
    let records: serde_json::Value = serde_json::from_str(text).unwrap();
    let lists = ["vectors", "electron_cash", "json_1_9_8"].map(|name| records[name].as_array());
    let records = lists.into_iter().flatten().flatten();
    let hex = records.flat_map(|record| {
        [
            &record["hex"],
            &record["final_tx_hex"],
            &record["json"]["hex"],
        ]
    });
    hex.filter_map(|hex| Vec::from_hex(hex.as_str()?).ok())
        .collect()
}

/// A published transaction with a few bytes changed, cut out or put in.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4u8);
    let changes = prop::collection::vec(change, 0..4);
    (prop::sample::select(published()), changes).prop_map(|(mut bytes, changes)| {
        for (index, byte, how) in changes {
            let index = index.index(bytes.len());
            match how {
                0 => bytes.insert(index, byte),
                1 if bytes.len() > 1 => drop(bytes.remove(index)),
                _ => bytes[index] = byte,
            }
        }
        bytes
    })
}

/// All that can be asked of bytes: none of it panics, and what is read is written.
fn ask(bytes: &[u8]) {
    let Ok(transaction) = PartialTransaction::decode(bytes) else {
        return;
    };
    assert_eq!(transaction.encode(), bytes);
    let described = transaction.describe(Network::Testnet);
    assert_eq!(described.complete, transaction.is_complete());
    let verdicts = transaction.verify_signatures();
    assert_eq!(verdicts.len(), transaction.inputs().len());
    let _ = transaction.network_kind();
    if let Ok(finalized) = transaction.finalize() {
        assert!(transaction.is_complete());
        let bytes = bitcoin::consensus::serialize(&finalized);
        // Without inputs the network cannot tell a transaction from one with witnesses.
        if !transaction.inputs().is_empty() {
            let again = PartialTransaction::decode(&bytes).unwrap();
            assert_eq!(again.txid(), transaction.txid());
        }
    }
    for omit_extended_keys in [false, true] {
        let given = ToPsbt {
            omit_extended_keys,
            ..ToPsbt::default()
        };
        let Ok(converted) = transaction.to_psbt(&given) else {
            assert_eq!(transaction.encoding(), Encoding::ElectronCash);
            return;
        };
        let psbt = converted.value;
        let read = Psbt::deserialize(&psbt.serialize()).unwrap();
        for psbt in [psbt, read] {
            for encoding in [Encoding::Bare, Encoding::Headed] {
                let given = FromPsbt {
                    encoding,
                    ..FromPsbt::default()
                };
                let Ok(back) = PartialTransaction::from_psbt(&psbt, &given) else {
                    continue;
                };
                assert_eq!(back.value.outputs(), transaction.outputs());
                // The second time nothing changes any more.
                let again = back.value.to_psbt(&ToPsbt::default()).unwrap().value;
                let again = PartialTransaction::from_psbt(&again, &given).unwrap();
                assert_eq!(again.value, back.value);
                for (left, right) in back.value.inputs().iter().zip(transaction.inputs()) {
                    let (left, right) = (left.spend(), right.spend());
                    if let (Some(left), Some(right)) = (left.script_pubkey(), right.script_pubkey())
                    {
                        assert_eq!(left, right);
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_transactions(bytes in damaged()) {
        ask(&bytes);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        ask(&bytes);
        let mut headed = b"EPTF\xff\0".to_vec();
        headed.extend(&bytes);
        ask(&headed);
        if let Ok(key) = ExtendedKey::from_bytes(&bytes) {
            prop_assert_eq!(key.to_bytes(), bytes);
        }
    }

    #[test]
    fn base43_both_ways(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = base43::encode(&bytes);
        prop_assert_eq!(base43::decode(&text).unwrap(), bytes);
    }

    #[test]
    fn base64_both_ways(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = base64::encode(&bytes);
        prop_assert_eq!(base64::decode(&text).unwrap(), bytes);
    }

    #[test]
    fn base43_texts(text in "[0-9A-Z$*+./:-]{0,300}") {
        let bytes = base43::decode(&text).unwrap();
        prop_assert_eq!(base43::encode(&bytes), text);
    }

    #[test]
    fn any_text(text in any::<String>()) {
        let _ = base43::decode(&text);
        let _ = base64::decode(&text);
        let _ = from_text(&text);
    }
}
