//! `electrum-tools seed check`.

use std::process::ExitCode;

use clap::Args;
use electrum_seed::{SeedType, inspect};
use serde_json::json;

use super::{Phrase, opens, phrase, suggest, version};
use crate::report::{Failure, Report};

/// Whether a phrase is a seed, and what may be mistyped where it is none (exit status 1)
#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    phrase: Phrase,
    /// Demand this type: old, standard, segwit, 2fa or 2fa_segwit
    #[arg(long = "type", value_name = "TYPE")]
    seed_type: Option<SeedType>,
    /// Accept phrases of BIP39 too
    #[arg(long, conflicts_with = "seed_type")]
    bip39: bool,
}

impl Check {
    pub(super) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        self.phrase.each(as_json, |entry| self.check(phrase(entry)))
    }

    fn check(&self, phrase: &str) -> Result<Report, Failure> {
        let found = inspect(phrase);
        let mut json = version::to_json(phrase, &found);
        if let Some(fields) = json.as_object_mut() {
            fields.insert("valid".into(), json!(true));
        }
        let human = match found.seed_type {
            Ok(kind) if self.seed_type.is_none_or(|wanted| wanted == kind) => {
                let both = if found.is_ambiguous() {
                    " Valid in BIP39 too."
                } else {
                    ""
                };
                format!("valid: {kind}. Opens {}.{both}", opens(kind))
            }
            Ok(kind) => {
                let wanted = self
                    .seed_type
                    .map_or_else(String::new, |wanted| wanted.to_string());
                return Err(Failure::refused(format!(
                    "a seed of type {kind}, not {wanted}"
                )));
            }
            Err(_) if self.bip39 && !found.bip39.is_empty() => "valid: a phrase of BIP39.".into(),
            Err(reason) => {
                let hint = match found.bip39.is_empty() {
                    true => suggest::suggest(phrase),
                    false => Some("it is a valid BIP39 phrase (--bip39 accepts those)".into()),
                };
                let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
                return Err(Failure::refused(format!("{reason}{hint}")));
            }
        };
        Ok(Report { human, json })
    }
}
