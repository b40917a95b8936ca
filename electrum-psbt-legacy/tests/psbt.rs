//! To PSBT and back, over the published partial transactions.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::{Network, NetworkKind, Psbt, Transaction, TxOut, consensus};
use electrum_psbt_legacy::psbt::{FromPsbt, Lost, Place, ToPsbt};
use electrum_psbt_legacy::{Encoding, PartialTransaction, TextForm, from_text};
use serde_json::Value;

fn vectors() -> Vec<Value> {
    let text = include_str!("data/partial_tx.json");
    let mut records: Value = serde_json::from_str(text).unwrap();
    records["vectors"].as_array_mut().unwrap().split_off(0)
}

fn decode(record: &Value) -> PartialTransaction {
    let bytes = Vec::from_hex(record["hex"].as_str().unwrap()).unwrap();
    PartialTransaction::decode(&bytes).unwrap()
}

fn way_back(record: &Value, transaction: &PartialTransaction) -> FromPsbt<'static> {
    FromPsbt {
        encoding: transaction.encoding(),
        network: match record["network"].as_str().unwrap() {
            "mainnet" => NetworkKind::Main,
            _ => NetworkKind::Test,
        },
        ..FromPsbt::default()
    }
}

/// Whether an input is of a coin that PSBT wants whole and the format does not even tell the amount of.
fn lacks_amount(transaction: &PartialTransaction, psbt: &Psbt) -> bool {
    transaction.encoding() == Encoding::Headed
        && transaction
            .inputs()
            .iter()
            .zip(&psbt.inputs)
            .any(|(input, map)| {
                let kind = input.spend().kind().as_str();
                kind == "address" && map.witness_utxo.is_none()
            })
}

#[test]
fn there_and_back_is_the_same() {
    let mut same = 0;
    for record in vectors() {
        let transaction = decode(&record);
        let psbt = transaction.to_psbt(&ToPsbt::default()).unwrap().value;
        // What is written is read, by the library too.
        let psbt = Psbt::deserialize(&psbt.serialize()).unwrap();
        if lacks_amount(&transaction, &psbt) {
            continue;
        }
        same += 1;
        let back = PartialTransaction::from_psbt(&psbt, &way_back(&record, &transaction)).unwrap();
        assert_eq!(back.value, transaction, "{}", record["id"]);
        assert_eq!(back.losses, [], "{}", record["id"]);
    }
    assert!(same >= 50, "{same}");
}

#[test]
fn without_kept_keys_the_rest_is_the_same() {
    let mut same = 0;
    for record in vectors() {
        let transaction = decode(&record);
        let given = ToPsbt {
            omit_extended_keys: true,
            ..ToPsbt::default()
        };
        let psbt = transaction.to_psbt(&given).unwrap().value;
        let Ok(back) = PartialTransaction::from_psbt(&psbt, &way_back(&record, &transaction))
        else {
            continue;
        };
        same += usize::from(back.value == transaction);
        assert_eq!(back.value.signature_count(), transaction.signature_count());
        assert_eq!(back.value.txid(), transaction.txid());
        for (left, right) in back.value.inputs().iter().zip(transaction.inputs()) {
            assert_eq!(left.spend().script_pubkey(), right.spend().script_pubkey());
            assert_eq!(
                left.spend().multisig_script(),
                right.spend().multisig_script()
            );
        }
    }
    assert!(same >= 20, "{same}");
}

/// Signatures of the published final transaction, put into the PSBT as partial ones, make that transaction.
#[test]
fn signatures_complete_it() {
    let mut completed = 0;
    for record in vectors() {
        let Some(hex) = record["final_tx_hex"].as_str() else {
            continue;
        };
        let bytes = Vec::from_hex(hex).unwrap();
        let signed = PartialTransaction::decode(&bytes).unwrap();
        let transaction = decode(&record);
        let mut psbt = transaction.to_psbt(&ToPsbt::default()).unwrap().value;
        let mut is_known = true;
        for ((map, input), partial) in psbt
            .inputs
            .iter_mut()
            .zip(signed.inputs())
            .zip(transaction.inputs())
        {
            let is_single = !partial.spend().kind().is_multisig();
            let keys: Vec<_> = partial
                .spend()
                .signers()
                .iter()
                .map(|signer| signer.public_key)
                .collect();
            let present: Vec<_> = input.spend().signatures().iter().flatten().collect();
            if keys.contains(&None) {
                is_known = false;
                continue;
            }
            // Of multisig the keys are those whose signature verifies; a try per key does as well.
            let keys: Vec<_> = keys.into_iter().flatten().collect();
            let order: Vec<_> = match is_single {
                true => keys,
                false => {
                    let digest = |signature: &[u8]| signature.to_vec();
                    let already: Vec<_> = map
                        .partial_sigs
                        .iter()
                        .map(|(key, s)| (*key, s.to_vec()))
                        .collect();
                    // Published signatures stand in the order of the keys: place those that are there already.
                    let mut order = Vec::new();
                    let mut rest = keys.iter();
                    for signature in &present {
                        let known = already.iter().find(|(_, s)| *s == digest(signature));
                        match known {
                            Some((key, _)) => {
                                rest.by_ref().find(|other| *other == key).unwrap();
                                order.push(*key);
                            }
                            None => {
                                let next = rest.clone().next();
                                if let Some(key) =
                                    next.filter(|key| already.iter().all(|(k, _)| k != *key))
                                {
                                    rest.next();
                                    order.push(*key);
                                }
                            }
                        }
                    }
                    order
                }
            };
            if order.len() != present.len() {
                is_known = false;
                continue;
            }
            map.partial_sigs.clear();
            for (key, signature) in order.into_iter().zip(present) {
                let signature = bitcoin::ecdsa::Signature::from_slice(signature).unwrap();
                map.partial_sigs.insert(key, signature);
            }
        }
        if !is_known {
            continue;
        }
        completed += 1;
        let back = PartialTransaction::from_psbt(&psbt, &way_back(&record, &transaction)).unwrap();
        assert!(back.value.is_complete());
        assert_eq!(
            back.value.encode().to_lower_hex_string(),
            hex,
            "{}",
            record["id"]
        );
        assert_eq!(consensus::serialize(&back.value.finalize().unwrap()), bytes);
    }
    assert!(completed >= 35, "{completed}");
}

/// Electrum's own PSBT of a partial transaction, made between 3.3 and 4.0.
#[test]
fn electrum_agrees() {
    let records = vectors();
    let record = records
        .iter()
        .find(|record| record["equivalent_psbt"].is_string())
        .unwrap();
    let (form, bytes) = from_text(record["equivalent_psbt"].as_str().unwrap()).unwrap();
    assert_eq!(form, TextForm::Base64);
    let theirs = Psbt::deserialize(&bytes).unwrap();
    let transaction = decode(record);

    let back = PartialTransaction::from_psbt(&theirs, &way_back(record, &transaction)).unwrap();
    assert_eq!(
        back.value.encode().to_lower_hex_string(),
        record["hex"].as_str().unwrap()
    );
    let lost: Vec<_> = back
        .losses
        .iter()
        .map(|loss| (loss.place, loss.lost))
        .collect();
    let input = Place::Input(0);
    let expected = [
        (input, Lost::PreviousTransaction),
        (Place::Output(1), Lost::OutputKeys),
    ];
    assert_eq!(lost, expected);

    let previous = theirs.inputs[0].non_witness_utxo.clone().unwrap();
    let given = ToPsbt {
        previous_transactions: &[previous],
        omit_extended_keys: true,
        ..ToPsbt::default()
    };
    let mut ours = transaction.to_psbt(&given).unwrap();
    assert_eq!(ours.losses, []);
    // Only what is said of the change cannot be known.
    ours.value.outputs.clone_from(&theirs.outputs);
    assert_eq!(ours.value, theirs);
}

#[test]
fn amounts_and_scripts_must_agree() {
    use electrum_psbt_legacy::psbt::PsbtError;
    let record = &vectors()
        .into_iter()
        .find(|record| record["id"] == "ptx-002")
        .unwrap();
    let transaction = decode(record);
    let psbt = transaction.to_psbt(&ToPsbt::default()).unwrap().value;
    let given = way_back(record, &transaction);

    let mut other_script = psbt.clone();
    other_script.inputs[0]
        .witness_utxo
        .as_mut()
        .unwrap()
        .script_pubkey = transaction.outputs()[0].script_pubkey.clone();
    // The keys are not those of the script: only its address can be written.
    let back = PartialTransaction::from_psbt(&other_script, &given).unwrap();
    assert_eq!(back.value.inputs()[0].spend().kind().as_str(), "address");
    assert!(back.losses.iter().any(|loss| loss.lost == Lost::Keys));

    let mut no_coin = psbt.clone();
    no_coin.inputs[0].witness_utxo = None;
    no_coin.inputs[0].redeem_script = Some(bitcoin::ScriptBuf::from_hex("0014").unwrap());
    let result = PartialTransaction::from_psbt(&no_coin, &given);
    assert_eq!(result, Err(PsbtError::MissingUtxo(0)));

    let mut wrong = psbt.clone();
    wrong.inputs[0].non_witness_utxo = Some(psbt.unsigned_tx.clone());
    let result = PartialTransaction::from_psbt(&wrong, &given);
    assert_eq!(result, Err(PsbtError::WrongPreviousTransaction(0)));
}

#[test]
fn a_previous_transaction_that_lies_is_refused() {
    use electrum_psbt_legacy::psbt::PsbtError;
    let record = &vectors()
        .into_iter()
        .find(|record| record["id"] == "ptx-002")
        .unwrap();
    let transaction = decode(record);
    let coin = transaction.inputs()[0].spend().script_pubkey().unwrap();
    let previous = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: Vec::new(),
        output: vec![
            TxOut {
                value: bitcoin::Amount::from_sat(5),
                script_pubkey: coin
            };
            2
        ],
    };
    // The same partial transaction, spending that output.
    let mut bytes = transaction.encode();
    let id: [u8; 32] = *previous.compute_txid().as_ref();
    bytes[13..45].copy_from_slice(&id);
    let transaction = PartialTransaction::decode(&bytes).unwrap();
    let previous = [previous];
    let given = ToPsbt {
        previous_transactions: &previous,
        ..ToPsbt::default()
    };
    let mismatch = PsbtError::AmountMismatch {
        input: 0,
        claimed: 11_244_944,
        actual: 5,
    };
    assert_eq!(transaction.to_psbt(&given), Err(mismatch));
    assert_eq!(
        Network::Testnet.to_string(),
        record["network"].as_str().unwrap()
    );
}
