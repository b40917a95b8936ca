//! To PSBT and back, over the published partial transactions.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::secp256k1::{Message, Secp256k1};
use bitcoin::sighash::SighashCache;
use bitcoin::{Network, NetworkKind, Psbt, PublicKey, Transaction, TxOut, consensus};
use electrum_psbt_legacy::psbt::{FromPsbt, Lost, Place, ToPsbt};
use electrum_psbt_legacy::{Encoding, Input, PartialTransaction, SpendKind, TextForm, from_text};
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

/// The key that made a signature over an input.
fn signer_of(
    unsigned: &Transaction,
    index: usize,
    input: &Input,
    signature: &bitcoin::ecdsa::Signature,
) -> Option<PublicKey> {
    let spend = input.spend();
    let script_pubkey = spend.script_pubkey()?;
    let multisig = spend.multisig_script();
    let value = input.value().map(bitcoin::Amount::from_sat);
    let cache = &mut SighashCache::new(unsigned);
    let kind = signature.sighash_type;
    let digest: [u8; 32] = match spend.kind() {
        SpendKind::P2pkh | SpendKind::P2sh => {
            let script = multisig.unwrap_or(script_pubkey);
            *cache
                .legacy_signature_hash(index, &script, kind.to_u32())
                .unwrap()
                .as_ref()
        }
        SpendKind::P2wpkh | SpendKind::P2wpkhP2sh => {
            let script = spend.program().unwrap_or(&script_pubkey);
            *cache
                .p2wpkh_signature_hash(index, script, value?, kind)
                .unwrap()
                .as_ref()
        }
        _ => *cache
            .p2wsh_signature_hash(index, &multisig?, value?, kind)
            .unwrap()
            .as_ref(),
    };
    let secp = Secp256k1::verification_only();
    let message = Message::from_digest(digest);
    let mut low = signature.signature;
    low.normalize_s();
    let keys = spend
        .signers()
        .iter()
        .filter_map(|signer| signer.public_key);
    keys.into_iter()
        .find(|key| secp.verify_ecdsa(&message, &low, &key.inner).is_ok())
}

/// Signatures stand with the keys that made them, over the amounts and scripts that the PSBT carries.
#[test]
fn partial_signatures_verify() {
    let mut verified = 0;
    for record in vectors() {
        let transaction = decode(&record);
        let psbt = transaction.to_psbt(&ToPsbt::default()).unwrap().value;
        for (index, (map, input)) in psbt.inputs.iter().zip(transaction.inputs()).enumerate() {
            for (key, signature) in &map.partial_sigs {
                verified += 1;
                let signer = signer_of(&psbt.unsigned_tx, index, input, signature);
                assert_eq!(signer, Some(*key), "{}", record["id"]);
            }
        }
    }
    assert_eq!(verified, 16);
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
        for (index, input) in transaction.inputs().iter().enumerate() {
            for signature in signed.inputs()[index].spend().signatures().iter().flatten() {
                let signature = bitcoin::ecdsa::Signature::from_slice(signature).unwrap();
                match signer_of(&psbt.unsigned_tx, index, input, &signature) {
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
        claimed: 11_244_944,
        actual: 5,
    };
    assert_eq!(transaction.to_psbt(&given), Err(mismatch));
    assert_eq!(
        Network::Testnet.to_string(),
        record["network"].as_str().unwrap()
    );
}
