//! What is said of a transaction to people, and of its signatures to all.

use electrum_psbt_legacy::psbt::Loss;
use electrum_psbt_legacy::{Description, Encoding, InputDescription, PartialTransaction, Verdict};
use serde_json::{Value, json};

use super::form::Transaction;

/// What it is and who wrote it.
pub(super) fn kind(transaction: &Transaction, readable: &PartialTransaction) -> &'static str {
    match (transaction, readable.encoding()) {
        (Transaction::Psbt(_), _) => "PSBT",
        (_, Encoding::Headed) => "partial transaction of Electrum 3.2 to 3.3",
        (_, Encoding::ElectronCash) => "partial transaction of Electron Cash",
        _ if readable.is_complete() => "transaction",
        _ => "partial transaction of Electrum 2.0 to 3.1",
    }
}

pub(super) fn summary(kind: &str, description: &Description, verdicts: &[Vec<Verdict>]) -> String {
    let (present, required) = description.signature_count;
    let state = match description.complete {
        true => "complete".to_owned(),
        false => format!("{present} of {required} signatures"),
    };
    let txid = description.txid.as_deref();
    let txid = txid.unwrap_or("known when it is signed");
    let mut lines = vec![format!("{kind}, {state}"), format!("txid: {txid}")];
    let mut verdicts = verdicts.iter();
    for (number, input) in description.inputs.iter().enumerate() {
        let verdicts = verdicts.next().map_or(&[][..], Vec::as_slice);
        describe_input(number, input, verdicts, &mut lines);
    }
    for (number, output) in description.outputs.iter().enumerate() {
        let to = output.address.as_deref().unwrap_or(&output.script_pubkey);
        lines.push(format!("output {number}: {to}, {} sat", output.value));
    }
    lines.join("\n")
}

fn describe_input(
    number: usize,
    input: &InputDescription,
    verdicts: &[Verdict],
    lines: &mut Vec<String>,
) {
    let address = input.address.as_deref().unwrap_or("unknown address");
    let value = input.value.flatten();
    let value = value.map_or_else(String::new, |value| format!(", {value} sat"));
    lines.push(format!(
        "input {number}: {}:{} {} {address}{value}",
        input.prevout_txid, input.prevout_n, input.kind
    ));
    let a_place_each = input.signatures.len() == input.x_pubkeys.len();
    for (place, key) in input.x_pubkeys.iter().enumerate() {
        let name = key.xpub.as_deref().or(key.mpk.as_deref());
        let name = name.or(key.pubkey.as_deref()).unwrap_or(&key.x_pubkey);
        let path = key.path;
        let path = path.map_or_else(String::new, |[change, index]| format!("/{change}/{index}"));
        let has_signed = verdicts.contains(&Verdict::Signer(place));
        let state = match input.signatures.get(place) {
            _ if has_signed => ", signed",
            // In a complete multisig input only those that signed have a place.
            _ if !a_place_each => "",
            Some(None) => ", not signed",
            Some(Some(_)) => match verdicts.get(place) {
                Some(Verdict::Unknown) => ", signed (not verified)",
                _ => ", with a signature that is not its own",
            },
            None => "",
        };
        lines.push(format!("  {name}{path}{state}"));
    }
    if verdicts.contains(&Verdict::Invalid) {
        lines.push("  a signature is wrong: the network would refuse it".into());
    }
}

/// What can be said of the signatures, input by input.
pub(super) fn verdicts(verdicts: &[Vec<Verdict>]) -> Value {
    let verdict = |verdict: &Verdict| match verdict {
        Verdict::Missing => json!("missing"),
        Verdict::Signer(key) => json!(format!("of key {key}")),
        Verdict::Invalid => json!("invalid"),
        _ => json!("not verified"),
    };
    let input = |verdicts: &Vec<Verdict>| verdicts.iter().map(verdict).collect::<Vec<_>>();
    verdicts.iter().map(input).collect()
}

/// What a conversion has lost.
pub(super) fn losses(losses: &[Loss]) -> Value {
    let loss = |loss: &Loss| json!({"place": loss.place.to_string(), "lost": loss.lost.as_str()});
    losses.iter().map(loss).collect()
}
