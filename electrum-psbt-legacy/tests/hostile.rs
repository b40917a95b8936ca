//! Bytes that claim more than they hold.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bitcoin::hex::FromHex;
use bitcoin::{Network, Psbt};
use electrum_psbt_legacy::psbt::{FromPsbt, ToPsbt};
use electrum_psbt_legacy::{DecodeError, MAX_KEYS, MAX_LEN, PartialTransaction};

fn transaction(inputs: &[u8], count: u32, outputs: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0];
    match count {
        0..=0xfc => bytes.push(count.to_le_bytes()[0]),
        0xfd..=0xffff => bytes.extend([0xfd, count.to_le_bytes()[0], count.to_le_bytes()[1]]),
        _ => {
            bytes.push(0xfe);
            bytes.extend(count.to_le_bytes());
        }
    }
    bytes.extend(inputs);
    bytes.extend(outputs);
    bytes.extend([0; 4]);
    bytes
}

/// An input that spends some output, with this scriptSig.
fn input(number: u32, script_sig: &[u8]) -> Vec<u8> {
    let mut bytes = vec![7; 32];
    bytes.extend(number.to_le_bytes());
    bytes.push(script_sig.len().try_into().unwrap());
    bytes.extend(script_sig);
    bytes.extend([0xff; 4]);
    bytes
}

#[test]
fn counts_are_held_against_what_follows() {
    let huge = [
        "02000000feffffffff",
        "02000000ffffffffffffffffff",
        "020000000001ffffffffffffffffff",
        "0200000001ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff00000000ffffffffffffffffff",
    ];
    for hex in huge {
        for tail in [0, 100] {
            let mut bytes = Vec::from_hex(hex).unwrap();
            bytes.extend(vec![1; tail]);
            let error = PartialTransaction::decode(&bytes).unwrap_err();
            assert!(
                matches!(
                    error,
                    DecodeError::Truncated { .. }
                        | DecodeError::CountTooLarge { .. }
                        | DecodeError::UnknownSegwitFlag(_)
                ),
                "{hex} {error}"
            );
        }
    }
    let error = DecodeError::TooLong {
        len: MAX_LEN + 1,
        max: MAX_LEN,
    };
    assert_eq!(
        PartialTransaction::decode(&vec![0; MAX_LEN + 1]),
        Err(error)
    );
    let long_form = Vec::from_hex("02000000fd0100").unwrap();
    let error = DecodeError::NotMinimal {
        field: "number of inputs",
        offset: 4,
    };
    assert_eq!(PartialTransaction::decode(&long_form), Err(error));
}

#[test]
fn as_many_inputs_as_fit() {
    let count = 90_000;
    let inputs: Vec<u8> = (0..count).flat_map(|number| input(number, &[])).collect();
    let bytes = transaction(&inputs, count, &[0]);
    let transaction = PartialTransaction::decode(&bytes).unwrap();
    assert_eq!(transaction.encode(), bytes);
    assert_eq!(
        transaction.describe(Network::Bitcoin).inputs.len(),
        transaction.inputs().len()
    );
    let converted = transaction.to_psbt(&ToPsbt::default()).unwrap();
    assert_eq!(converted.losses.len(), 90_000);
    let psbt = Psbt::deserialize(&converted.value.serialize()).unwrap();
    assert!(PartialTransaction::from_psbt(&psbt, &FromPsbt::default()).is_err());
}

#[test]
fn keys_are_counted() {
    let count = u32::try_from(MAX_KEYS + 1).unwrap();
    let mut script_sig = vec![1, 0xff, 33];
    let generator = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    script_sig.extend(Vec::from_hex(generator).unwrap());
    let inputs: Vec<u8> = (0..count)
        .flat_map(|number| input(number, &script_sig))
        .collect();
    let too_many = transaction(&inputs, count, &[0]);
    assert_eq!(
        PartialTransaction::decode(&too_many),
        Err(DecodeError::TooManyKeys(MAX_KEYS))
    );
}

/// A scriptSig of nothing but empty pushes would make a long list of its elements.
#[test]
fn long_scripts_are_not_taken_apart() {
    let mut one = vec![7; 32];
    one.extend([0; 4]);
    one.push(0xfe);
    one.extend(3_000_000u32.to_le_bytes());
    one.extend(vec![0; 3_000_000]);
    one.extend([0xff; 4]);
    let bytes = transaction(&one, 1, &[0]);
    let transaction = PartialTransaction::decode(&bytes).unwrap();
    assert_eq!(transaction.inputs()[0].spend().kind().as_str(), "unknown");
    assert!(!transaction.is_complete());
    assert_eq!(transaction.encode(), bytes);
}
