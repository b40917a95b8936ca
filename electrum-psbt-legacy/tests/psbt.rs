//! To PSBT and back, over the published partial transactions.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::{Network, NetworkKind, Psbt, Transaction, TxOut, consensus};
use electrum_psbt_legacy::psbt::{FromPsbt, Lost, Place, ToPsbt};
use electrum_psbt_legacy::{PartialTransaction, SpendKind, TextForm, Verdict, from_text};
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

#[test]
fn there_and_back_is_the_same() {
    let mut same = 0;
    for record in vectors() {
        let transaction = decode(&record);
        let psbt = transaction.to_psbt(&ToPsbt::default()).unwrap().value;
        // What is written is read, by the library too.
        let psbt = Psbt::deserialize(&psbt.serialize()).unwrap();
        same += 1;
        let back = PartialTransaction::from_psbt(&psbt, &way_back(&record, &transaction)).unwrap();
        assert_eq!(back.value, transaction, "{}", record["id"]);
        assert_eq!(back.losses, [], "{}", record["id"]);
    }
    assert_eq!(same, 52);
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

/// Signatures stand with the keys that made them, over the amounts and scripts that the format carries.
#[test]
fn partial_signatures_verify() {
    let mut verified = 0;
    for record in vectors() {
        let transaction = decode(&record);
        for (input, verdicts) in transaction
            .inputs()
            .iter()
            .zip(transaction.verify_signatures())
        {
            let signatures = input.spend().signatures();
            assert_eq!(verdicts.len(), signatures.len());
            for (slot, (verdict, signature)) in verdicts.into_iter().zip(signatures).enumerate() {
                let expected = match signature {
                    Some(_) => Verdict::Signer(slot),
                    None => Verdict::Missing,
                };
                verified += usize::from(signature.is_some());
                assert_eq!(verdict, expected, "{}", record["id"]);
            }
        }
        let psbt = transaction.to_psbt(&ToPsbt::default()).unwrap().value;
        let present: usize = psbt.inputs.iter().map(|map| map.partial_sigs.len()).sum();
        assert_eq!(present, transaction.signature_count().0);
    }
    assert_eq!(verified, 16);
}

/// The signature of one key in the place of another, and one over another transaction.
#[test]
fn wrong_signatures_are_told() {
    let records = vectors();
    let record = records
        .iter()
        .find(|record| record["id"] == "ptx-046")
        .unwrap();
    let transaction = decode(record);
    assert_eq!(
        transaction.verify_signatures(),
        [[Verdict::Missing, Verdict::Missing, Verdict::Signer(2)]]
    );
    let mut psbt = transaction.to_psbt(&ToPsbt::default()).unwrap().value;
    let sigs = &mut psbt.inputs[0].partial_sigs;
    let (_, signature) = sigs.pop_first().unwrap();
    let first = transaction.inputs()[0].spend().signers()[0]
        .public_key
        .unwrap();
    sigs.insert(first, signature);
    let given = way_back(record, &transaction);
    let moved = PartialTransaction::from_psbt(&psbt, &given).unwrap().value;
    assert_eq!(
        moved.verify_signatures(),
        [[Verdict::Signer(2), Verdict::Missing, Verdict::Missing]]
    );
    psbt.unsigned_tx.output[0].value = bitcoin::Amount::ZERO;
    let changed = PartialTransaction::from_psbt(&psbt, &given).unwrap().value;
    assert_eq!(changed.verify_signatures()[0][0], Verdict::Invalid);
}

/// The verdicts of a final transaction whose amounts stand in a partial one: with the witnesses of the first behind the
/// amounts of the second.
fn signatures_over_coins(
    signed: &PartialTransaction,
    partial: &PartialTransaction,
) -> Vec<Vec<Verdict>> {
    let mut bytes = b"EPTF\xff\0".to_vec();
    let witnesses: usize = signed
        .inputs()
        .iter()
        .map(|input| input.witness().items.len())
        .sum();
    if witnesses == 0 {
        return signed.verify_signatures();
    }
    // Only the part before the witnesses is taken as it is written.
    let whole = signed.finalize().unwrap();
    let (version, rest) = (
        whole.version.0.to_le_bytes(),
        consensus::serialize(&whole.input),
    );
    bytes.extend(version);
    bytes.extend([0, 1]);
    bytes.extend(rest);
    bytes.extend(consensus::serialize(&whole.output));
    for (input, from) in whole.input.iter().zip(partial.inputs()) {
        if let Some(value) = from.value().filter(|_| !input.witness.is_empty()) {
            bytes.extend([0xfe, 0xff, 0xff, 0xff, 0xff]);
            bytes.extend(value.to_sat().to_le_bytes());
            bytes.extend([0, 0]);
        }
        bytes.extend(consensus::serialize(&input.witness));
    }
    bytes.extend(whole.lock_time.to_consensus_u32().to_le_bytes());
    PartialTransaction::decode(&bytes)
        .unwrap()
        .verify_signatures()
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
        let mut missing = 0;
        // Amounts stand in the partial transaction, signatures in the final one.
        let verdicts = signatures_over_coins(&signed, &transaction);
        for (index, (input, verdicts)) in signed.inputs().iter().zip(verdicts).enumerate() {
            let keys = transaction.inputs()[index].spend().signers();
            for (signature, verdict) in input.spend().signatures().iter().flatten().zip(verdicts) {
                let signature = bitcoin::ecdsa::Signature::from_slice(signature).unwrap();
                let key = match verdict {
                    Verdict::Signer(key) => keys.get(key).and_then(|signer| signer.public_key),
                    _ => None,
                };
                match key {
                    Some(key) => drop(psbt.inputs[index].partial_sigs.insert(key, signature)),
                    None => missing += 1,
                }
            }
        }
        // Where only an address was written, the keys are not known.
        if missing > 0 {
            assert!(
                transaction
                    .inputs()
                    .iter()
                    .any(|input| input.spend().kind() == SpendKind::Address)
            );
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
    assert!(completed >= 38, "{completed}");
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
        claimed: bitcoin::Amount::from_sat(11_244_944),
        actual: bitcoin::Amount::from_sat(5),
    };
    assert_eq!(transaction.to_psbt(&given), Err(mismatch));
    assert_eq!(
        Network::Testnet.to_string(),
        record["network"].as_str().unwrap()
    );
}

/// P2WPKH whose amount is not written, which no Electrum wrote: its keys must not make P2PKH of it.
#[test]
fn keys_alone_tell_no_kind() {
    use electrum_psbt_legacy::psbt::PsbtError;
    let records = vectors();
    let record = records
        .iter()
        .find(|record| record["id"] == "ptx-002")
        .unwrap();
    let hex = record["hex"]
        .as_str()
        .unwrap()
        .replace("feffffffff9095ab00000000000000", "");
    let transaction = PartialTransaction::decode(&Vec::from_hex(&hex).unwrap()).unwrap();
    assert_eq!(transaction.inputs()[0].value(), None);
    assert_eq!(transaction.inputs()[0].spend().kind(), SpendKind::P2wpkh);
    for omit_extended_keys in [false, true] {
        let given = ToPsbt {
            omit_extended_keys,
            ..ToPsbt::default()
        };
        let psbt = transaction.to_psbt(&given).unwrap().value;
        let result = PartialTransaction::from_psbt(&psbt, &way_back(record, &transaction));
        assert_eq!(result, Err(PsbtError::MissingUtxo(0)));
    }
}
