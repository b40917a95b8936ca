//! `electrum-tools tx finalize`.

use std::process::ExitCode;

use bitcoin::consensus;
use clap::Args;
use electrum_psbt_legacy::{FinalizeError, PartialTransaction, Verdict};
use serde_json::json;

use super::form::{Form, Source};
use crate::report::{Failure, Report, warn};

/// The transaction that can be broadcast, of a partial one with all its signatures
#[derive(Debug, Args)]
pub(crate) struct Finalize {
    #[command(flatten)]
    source: Source,
}

impl Finalize {
    pub(super) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        self.source.each(as_json, |transaction, _| {
            let transaction = transaction.to_electrum()?;
            if let Some(input) = with_wrong_signature(&transaction) {
                warn(&format!(
                    "a signature of input {input} is none of its keys': the network will refuse the transaction"
                ));
            }
            let finalized = transaction.finalize().map_err(|error| {
                let hint = match error {
                    FinalizeError::MissingSignatures { .. } => {
                        "; `tx inspect` says which keys have not signed, `tx to-psbt` hands it to other signers"
                    }
                    _ => "",
                };
                Failure::refused(format!("{error}{hint}"))
            })?;
            let hex = Form::Hex.write(&consensus::serialize(&finalized));
            let txid = finalized.compute_txid().to_string();
            Ok(Report {
                json: json!({"final_tx_hex": hex, "final_txid": txid}),
                human: hex,
            })
        })
    }
}

fn with_wrong_signature(transaction: &PartialTransaction) -> Option<usize> {
    let verdicts = transaction.verify_signatures();
    verdicts
        .iter()
        .position(|verdicts| verdicts.contains(&Verdict::Invalid))
}
