//! `electrum-tools seed-version`.

use std::process::ExitCode;

use clap::Args;
use electrum_seed::{Bip39, Inspection, Language, inspect};
use serde_json::{Value, json};

use super::{Phrase, opens, phrase, suggest};
use crate::report::{Failure, Report};

/// What a phrase is: its type and version number, what it opens, whether it is one of BIP39 too
#[derive(Debug, Args)]
pub(crate) struct Version {
    #[command(flatten)]
    phrase: Phrase,
}

impl Version {
    pub(crate) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        self.phrase.each(as_json, |entry| {
            let phrase = phrase(entry);
            let found = inspect(phrase);
            Ok(Report {
                // What people are told takes longer to find.
                human: match as_json {
                    true => String::new(),
                    false => describe(phrase, &found),
                },
                json: to_json(phrase, &found),
            })
        })
    }
}

/// What holds of a phrase, with the names of the published records.
pub(super) fn to_json(phrase: &str, found: &Inspection) -> Value {
    let codes: Vec<_> = found.bip39.iter().map(|language| language.code()).collect();
    let is_listed = |language: &Language| {
        let checked = Bip39::check(phrase, *language);
        language.is_bip39() && !matches!(checked, Bip39::UnknownWord { .. })
    };
    let seed_type = found.seed_type.ok();
    let is_key = phrase.trim().parse::<slip132::ExtendedKey>().is_ok();
    json!({
        "extended_key": is_key,
        // Electrum's own way to say that it is none.
        "seed_type": seed_type.map_or("", |kind| kind.as_str()),
        "version_number": found.number.map(|number| number.to_string()),
        "num_words": found.num_words,
        "opens": seed_type.map(opens),
        "can_have_passphrase": found.can_have_passphrase,
        "ambiguous": found.is_ambiguous(),
        "bip39_checksum_valid": !found.bip39.is_empty(),
        "bip39_wordlist_valid": Language::ALL.iter().any(is_listed),
        "bip39_languages": codes,
    })
}

fn describe(phrase: &str, found: &Inspection) -> String {
    let languages: Vec<_> = found.bip39.iter().map(|found| found.to_string()).collect();
    let languages = languages.join(", ");
    let words = match found.num_words {
        1 => "1 word".to_owned(),
        count => format!("{count} words"),
    };
    let mut lines = Vec::new();
    match found.seed_type {
        Ok(kind) => {
            let number = kind.number();
            let number =
                number.map_or_else(String::new, |number| format!("version number {number}, "));
            lines.push(format!("{kind} ({number}{words})"));
            lines.push(format!("Opens {}.", opens(kind)));
            lines.push(match found.can_have_passphrase {
                true => "A passphrase can be added.".into(),
                false => "No passphrase can be added.".into(),
            });
        }
        Err(reason) => {
            let reason = reason.to_string();
            let reason = reason.trim_start_matches("not an Electrum seed: ");
            lines.push(format!("not an Electrum seed ({words}): {reason}"));
        }
    }
    lines.push(match (found.seed_type.is_ok(), found.bip39.is_empty()) {
        (true, false) => format!(
            "Ambiguous: it is a valid BIP39 phrase too ({languages}), and the same words open other wallets \
             there. Only the wallet that made it knows which one is meant."
        ),
        (false, false) => format!("A valid BIP39 phrase ({languages}); Electrum opens it when BIP39 is chosen."),
        (_, true) => "Not a valid BIP39 phrase.".into(),
    });
    if phrase.trim().parse::<slip132::ExtendedKey>().is_ok() {
        lines.push(
            "It is an extended key, which Electrum looks for first; see `xpub inspect`.".into(),
        );
    } else if found.is_nothing() {
        lines.extend(suggest::suggest(phrase));
    }
    lines.join("\n")
}
