//! Targets for `electrum-psbt-legacy`: every decoder, and the way to PSBT and back.

use electrum_psbt_legacy::bitcoin::{Network, Psbt, consensus, secp256k1::Secp256k1};
use electrum_psbt_legacy::psbt::{FromPsbt, PsbtError, ToPsbt};
use electrum_psbt_legacy::{
    Encoding, ExtendedKey, PartialTransaction, TextForm, base43, base64, from_text,
};

/// Transactions: what is read is written, described and, if complete, final.
pub fn transaction(data: &[u8]) {
    let transaction = match PartialTransaction::decode(data) {
        Ok(transaction) => transaction,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(transaction.encode(), data);
    let described = transaction.describe(Network::Testnet);
    assert_eq!(described.inputs.len(), transaction.inputs().len());
    assert_eq!(described.signature_count, transaction.signature_count());
    for (input, verdicts) in transaction
        .inputs()
        .iter()
        .zip(transaction.verify_signatures())
    {
        assert_eq!(input.spend().signatures().len(), verdicts.len());
    }
    let Ok(finalized) = transaction.finalize() else {
        return;
    };
    assert!(transaction.is_complete());
    // Without inputs the network cannot tell a transaction from one with witnesses.
    if !finalized.input.is_empty() {
        let again = PartialTransaction::decode(&consensus::serialize(&finalized));
        let again = again.expect("a transaction of the network is read");
        assert_eq!(again.txid(), transaction.txid());
    }
}

/// Extended keys: what is read is written, and derivation ends.
pub fn key(data: &[u8]) {
    let Ok(key) = ExtendedKey::from_bytes(data) else {
        return;
    };
    assert_eq!(key.to_bytes(), data);
    let secp = Secp256k1::verification_only();
    if let Ok(None) = key.public_key(&secp) {
        assert!(key.script_pubkey().is_some());
    }
}

/// Texts of every form.
pub fn text(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let Ok((form, bytes)) = from_text(text) else {
        return;
    };
    let text: String = text.split_whitespace().collect();
    match form {
        TextForm::Base43 => assert_eq!(base43::encode(&bytes), text),
        TextForm::Base64 => assert_eq!(base64::encode(&bytes), text),
        _ => {}
    }
    assert_eq!(base43::decode(&base43::encode(data)).as_deref(), Ok(data));
}

/// PSBTs of anybody: what becomes of one is read again.
pub fn psbt(data: &[u8]) {
    let Ok(psbt) = Psbt::deserialize(data) else {
        return;
    };
    for encoding in [Encoding::Bare, Encoding::Headed] {
        let given = FromPsbt {
            encoding,
            ..FromPsbt::default()
        };
        let Ok(converted) = PartialTransaction::from_psbt(&psbt, &given) else {
            continue;
        };
        assert_eq!(converted.value.outputs(), psbt.unsigned_tx.output);
        there_and_back(&converted.value, &given);
    }
}

/// To PSBT and back: the second time nothing changes any more.
pub fn round_trip(data: &[u8]) {
    let Ok(transaction) = PartialTransaction::decode(data) else {
        return;
    };
    let encoding = transaction.encoding();
    let given = FromPsbt {
        encoding,
        ..FromPsbt::default()
    };
    if let Some(back) = there_and_back(&transaction, &given) {
        assert_eq!(there_and_back(&back, &given), Some(back));
    }
}

fn there_and_back(
    transaction: &PartialTransaction,
    given: &FromPsbt<'_>,
) -> Option<PartialTransaction> {
    let psbt = match transaction.to_psbt(&ToPsbt::default()) {
        Ok(converted) => converted.value,
        // Nothing was given that could contradict.
        Err(error) => {
            assert_eq!(error, PsbtError::ElectronCash);
            return None;
        }
    };
    let psbt = Psbt::deserialize(&psbt.serialize()).expect("what is written is read");
    let back = PartialTransaction::from_psbt(&psbt, given).ok()?.value;
    assert_eq!(back.outputs(), transaction.outputs());
    for (left, right) in back.inputs().iter().zip(transaction.inputs()) {
        let scripts = left
            .spend()
            .script_pubkey()
            .zip(right.spend().script_pubkey());
        assert!(scripts.is_none_or(|(left, right)| left == right));
    }
    Some(back)
}

#[cfg(test)]
mod tests {
    use electrum_psbt_legacy::bitcoin::hex::FromHex;

    use super::*;

    /// Each body over a P2WPKH input of 3.3 and a P2PKH input of 2.5, whole, cut short and changed at every byte.
    #[test]
    fn bodies_run_on_stable() {
        let messages = [
            "45505446ff000100000000010115a847356cbb44be67f345965bb3f2589e2fec1c9a0ada21fd28225dcc602e8f0100000000fdffffff02f6fd1200000000001600149c756aa33f4f89418b33872a973274b5445c727b80969800000000001600140f9de573bc679d040e763d13f0250bd03e625f6ffeffffffff9095ab000000000000000201ff53ff045f1cf6014af5fa07800000002fa3f450ba41799b9b62642979505817783a9b6c656dc11cd0bb4fa362096808026adc616c25a4d0a877d1741eb1db9cef65c15118bd7d5f31bf65f319edda81840100c8000f391400",
            "01000000012a5c9a94fcde98f5581cd00162c60a13936ceb75389ea65bf38633b424eb4031000000005701ff4c53ff0488b21e03ef2afea18000000089689bff23e1e7fb2f161daa37270a97a3d8c2e537584b2d304ecb47b86d21fc021b010d3bd425f8cf2e04824bfdf1f1f5ff1d51fadd9a41f9e3fb8dd3403b1bfe00000000ffffffff0140420f00000000001976a914230ac37834073a42146f11ef8414ae929feaafc388ac00000000",
        ];
        for message in messages {
            let message = Vec::from_hex(message).expect("hex");
            let transaction = PartialTransaction::decode(&message).expect("published");
            let psbt = transaction
                .to_psbt(&ToPsbt::default())
                .expect("nothing given")
                .value;
            let whole = psbt.serialize();
            let text = base43::encode(&message).into_bytes();
            for start in [message, whole, text] {
                for at in 0..start.len() {
                    let mut changed = start.clone();
                    changed[at] ^= 1 << (at % 8);
                    for data in [&start[..at], &start[at..], &changed] {
                        for body in [self::transaction, key, self::text, self::psbt, round_trip] {
                            body(data);
                        }
                    }
                }
            }
        }
    }
}
