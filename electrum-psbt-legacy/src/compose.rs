//! Writes an input from what is known of it: the way back from [`Spend`] to scriptSig and witness.

use alloc::vec::Vec;

use bitcoin::{ScriptBuf, Witness};

use crate::script::{multisig, push};
use crate::spend::{NO_SIGNATURE, Spend, SpendKind};

/// scriptSig and witness items of an input that lacks signatures; nothing where the kind has no such form.
pub(crate) fn partial(spend: &Spend) -> Option<(ScriptBuf, Vec<Vec<u8>>)> {
    let slots = || {
        let item = |slot: &Option<Vec<u8>>| slot.clone().unwrap_or_else(|| NO_SIGNATURE.to_vec());
        spend.signatures.iter().map(item)
    };
    let keys: Vec<_> = spend
        .signers
        .iter()
        .map(|signer| signer.key.to_bytes())
        .collect();
    Some(match spend.kind {
        SpendKind::Address => {
            let mut script = alloc::vec![0xff, 0];
            push(&mut script, keys.first()?);
            (ScriptBuf::from_bytes(script), Vec::new())
        }
        kind => arrange(kind, slots().collect(), &keys, spend)?,
    })
}

/// scriptSig and witness of an input that has its signatures, as the network takes them.
pub(crate) fn complete(spend: &Spend) -> Option<(ScriptBuf, Witness)> {
    let signatures: Vec<_> = spend
        .signatures
        .iter()
        .flatten()
        .take(spend.required)
        .cloned()
        .collect();
    let keys: Option<Vec<_>> = spend
        .signers
        .iter()
        .map(|signer| Some(signer.public_key?.to_bytes()))
        .collect();
    let (script_sig, items) = arrange(spend.kind, signatures, &keys?, spend)?;
    Some((script_sig, Witness::from_slice(&items)))
}

fn arrange(
    kind: SpendKind,
    signatures: Vec<Vec<u8>>,
    keys: &[Vec<u8>],
    spend: &Spend,
) -> Option<(ScriptBuf, Vec<Vec<u8>>)> {
    let mut items = Vec::new();
    if kind.is_multisig() {
        items.push(Vec::new());
    }
    items.extend(signatures);
    match kind {
        SpendKind::P2pkh | SpendKind::P2wpkh | SpendKind::P2wpkhP2sh => {
            items.push(keys.first()?.clone());
        }
        SpendKind::P2sh | SpendKind::P2wsh | SpendKind::P2wshP2sh => {
            items.push(multisig(spend.required, keys));
        }
        SpendKind::P2pk => {}
        _ => return None,
    }
    if kind.is_segwit() {
        return Some((spend.nested_script_sig().unwrap_or_default(), items));
    }
    let mut script = Vec::new();
    items.iter().for_each(|item| push(&mut script, item));
    Some((ScriptBuf::from_bytes(script), Vec::new()))
}
