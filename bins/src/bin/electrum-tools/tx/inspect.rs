//! `electrum-tools tx inspect`.

use std::process::ExitCode;

use bitcoin::{Network, consensus};
use clap::Args;
use electrum_psbt_legacy::{Description, PartialTransaction};
use serde_json::{Value, json};

use super::form::{Source, Transaction};
use crate::network::NetworkName;
use crate::report::{Failure, Report};

/// What a partial transaction says: inputs, keys, signatures, what is missing
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    source: Source,
    /// The network of the addresses [default: what the keys in it say, else mainnet]
    #[arg(long)]
    network: Option<NetworkName>,
}

impl Inspect {
    pub(super) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        self.source.each(as_json, |transaction, entry| {
            let named = NetworkName::of_entry(entry, self.network)?;
            let network = named.unwrap_or_else(|| transaction.guess_network());
            let description = describe(transaction, network.into())?;
            let mut json = serde_json::to_value(&description)
                .map_err(|error| Failure::refused(format!("cannot be printed: {error}")))?;
            // The object, whether it is looked for at the top or under its name in the records.
            let decoded = json.clone();
            if let Some(fields) = json.as_object_mut() {
                fields.insert(
                    "psbt".into(),
                    json!(matches!(transaction, Transaction::Psbt(_))),
                );
                fields.insert("decoded".into(), decoded);
            }
            Ok(Report {
                human: summary(transaction, &description),
                json,
            })
        })
    }
}

fn describe(transaction: &Transaction, network: Network) -> Result<Description, Failure> {
    let Transaction::Psbt(psbt) = transaction else {
        return Ok(transaction.to_electrum()?.describe(network));
    };
    match transaction.to_electrum() {
        Ok(transaction) => Ok(transaction.describe(network)),
        // Of what Electrum's format has no place for, at least the transaction.
        Err(_) => PartialTransaction::decode(&consensus::serialize(&psbt.unsigned_tx))
            .map(|transaction| transaction.describe(network))
            .map_err(|error| Failure::refused(error.to_string())),
    }
}

fn summary(transaction: &Transaction, description: &Description) -> String {
    let (present, required) = description.signature_count;
    let kind = match (transaction, description.header) {
        (Transaction::Psbt(_), _) => "PSBT",
        (_, Some(_)) => "partial transaction of Electrum 3.2 to 3.3",
        (_, None) if description.complete => "transaction",
        _ => "partial transaction of Electrum 2.0 to 3.1",
    };
    let state = match description.complete {
        true => "complete".to_owned(),
        false => format!("{present} of {required} signatures"),
    };
    let txid = description
        .txid
        .as_deref()
        .unwrap_or("known when it is signed");
    let mut lines = vec![format!("{kind}, {state}"), format!("txid: {txid}")];
    for (number, input) in description.inputs.iter().enumerate() {
        let address = input.address.as_deref().unwrap_or("unknown address");
        let value = input.value.flatten();
        let value = value.map_or_else(String::new, |value| format!(", {value} sat"));
        lines.push(format!(
            "input {number}: {}:{} {} {address}{value}",
            input.prevout_txid, input.prevout_n, input.kind
        ));
        for (place, key) in input.x_pubkeys.iter().enumerate() {
            let name = key.xpub.as_deref().or(key.mpk.as_deref());
            let name = name.or(key.pubkey.as_deref()).unwrap_or(&key.x_pubkey);
            let path = key
                .path
                .map_or_else(String::new, |[change, index]| format!("/{change}/{index}"));
            // One place per key; in a complete multisig input only those that signed have one.
            let signed = match input.signatures.get(place) {
                Some(Some(_)) if input.signatures.len() == input.x_pubkeys.len() => " signed",
                Some(None) => " not signed",
                _ => "",
            };
            lines.push(format!("  {name}{path}{signed}"));
        }
    }
    for (number, output) in description.outputs.iter().enumerate() {
        let to = output.address.as_deref().unwrap_or(&output.script_pubkey);
        lines.push(format!("output {number}: {to}, {} sat", output.value));
    }
    lines.join("\n")
}

/// Losses of a conversion as JSON.
pub(super) fn losses(losses: &[electrum_psbt_legacy::psbt::Loss]) -> Value {
    let loss = |loss: &electrum_psbt_legacy::psbt::Loss| json!({"place": loss.place.to_string(), "lost": loss.lost.as_str()});
    losses.iter().map(loss).collect()
}
