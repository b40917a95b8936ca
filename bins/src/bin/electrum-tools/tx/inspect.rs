//! `electrum-tools tx inspect`.

use std::process::ExitCode;

use bitcoin::consensus;
use clap::Args;
use electrum_psbt_legacy::PartialTransaction;

use super::form::{Source, Transaction};
use super::summary;
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
            let readable = readable(transaction)?;
            let verdicts = readable.verify_signatures();
            let description = readable.describe(network.into());
            let mut json = serde_json::to_value(&description)
                .map_err(|error| Failure::refused(format!("cannot be printed: {error}")))?;
            // The object, whether it is looked for at the top or under its name in the records.
            let decoded = json.clone();
            if let Some(fields) = json.as_object_mut() {
                let is_psbt = matches!(transaction, Transaction::Psbt(_));
                fields.insert("psbt".into(), is_psbt.into());
                fields.insert("signature_verdicts".into(), summary::verdicts(&verdicts));
                fields.insert("decoded".into(), decoded);
            }
            let kind = summary::kind(transaction, &readable);
            Ok(Report {
                human: summary::summary(kind, &description, &verdicts),
                json,
            })
        })
    }
}

/// A PSBT as Electrum's format; of what that has no place for, at least the transaction.
fn readable(transaction: &Transaction) -> Result<PartialTransaction, Failure> {
    match (transaction.to_electrum(), transaction) {
        (Err(_), Transaction::Psbt(psbt)) => {
            PartialTransaction::decode(&consensus::serialize(&psbt.unsigned_tx))
                .map_err(|error| Failure::refused(error.to_string()))
        }
        (readable, _) => readable,
    }
}
