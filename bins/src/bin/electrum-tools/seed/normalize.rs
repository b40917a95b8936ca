//! `electrum-tools seed normalize`.

use std::process::ExitCode;

use clap::Args;
use electrum_seed::normalize;
use serde_json::json;

use super::{Phrase, phrase};
use crate::report::{Failure, Report};

/// A phrase or passphrase in the form that Electrum hashes
#[derive(Debug, Args)]
pub(crate) struct Normalize {
    #[command(flatten)]
    phrase: Phrase,
}

impl Normalize {
    pub(super) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        self.phrase.each(as_json, |entry| {
            let output = normalize(phrase(entry));
            Ok(Report {
                human: output.to_string(),
                json: json!({"output": *output}),
            })
        })
    }
}
