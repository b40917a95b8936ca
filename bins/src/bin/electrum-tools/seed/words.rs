//! `electrum-tools seed words`.

use std::process::ExitCode;

use clap::Args;
use electrum_seed::{Language, OLD_WORDS, normalize};
use serde_json::json;

use crate::report::{Failure, Report};

/// The words of a list, all or those that begin with a prefix
#[derive(Debug, Args)]
pub(crate) struct Words {
    /// Beginning of a word; accents and capitals do not matter
    #[arg(default_value = "")]
    prefix: String,
    /// en, es, ja, pt or zh, or old for the list of Electrum 1.x
    #[arg(long, short, default_value = "en")]
    language: String,
}

impl Words {
    pub(super) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        let list = match self.language.as_str() {
            "old" => &OLD_WORDS,
            name => name
                .parse::<Language>()
                .map_err(|error| Failure::Usage(format!("{error}, or old")))?
                .words(),
        };
        let prefix = normalize(&self.prefix);
        let words: Vec<_> = list
            .words()
            .iter()
            .copied()
            .filter(|word| normalize(word).starts_with(prefix.as_str()))
            .collect();
        if words.is_empty() {
            let message = format!("no word of the list begins with '{}'", self.prefix);
            return Err(Failure::refused(message));
        }
        let report = Report {
            human: words.join("\n"),
            json: json!({"language": self.language, "words": words}),
        };
        report.print(as_json);
        Ok(ExitCode::SUCCESS)
    }
}
