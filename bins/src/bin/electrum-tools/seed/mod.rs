//! `electrum-tools seed`, and what its commands share.

mod check;
mod derive;
mod new;
mod normalize;
mod suggest;
mod version;
mod words;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use electrum_seed::SeedType;
use zeroize::Zeroizing;

pub(crate) use self::version::Version;
use crate::input::{self, BlankLines, Entry};
use crate::report::{Failure, Report, warn};

/// Seeds of Electrum: make, check and open them
#[derive(Debug, Subcommand)]
pub(crate) enum Seed {
    New(new::New),
    Check(check::Check),
    Derive(derive::Derive),
    Words(words::Words),
    Normalize(normalize::Normalize),
}

impl Seed {
    pub(crate) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        match self {
            Self::New(command) => command.run(as_json),
            Self::Check(command) => command.run(as_json),
            Self::Derive(command) => command.run(as_json),
            Self::Words(command) => command.run(as_json),
            Self::Normalize(command) => command.run(as_json),
        }
    }
}

/// A phrase, or where to get it.
#[derive(Debug, Args)]
struct Phrase {
    /// The words, or the hex digits of an old seed. `-` reads one phrase per line from standard input;
    /// without any, the phrase is asked for and not shown
    #[arg(value_name = "PHRASE")]
    words: Vec<String>,
}

impl Phrase {
    fn each(
        &self,
        as_json: bool,
        answer: impl FnMut(&Entry<'_>) -> Result<Report, Failure>,
    ) -> Result<ExitCode, Failure> {
        let given = match self.words.as_slice() {
            [] => match input::ask("phrase")? {
                Some(phrase) => {
                    // What was typed is a phrase, even a lonely dash.
                    let mut answer = answer;
                    answer(&Entry::plain(&phrase))?.print(as_json);
                    return Ok(ExitCode::SUCCESS);
                }
                None => Zeroizing::new("-".to_owned()),
            },
            words => Zeroizing::new(words.join(" ")),
        };
        if *given != "-" {
            warn(
                "a phrase on the command line stays in the shell's history, and other programs can see \
                 it; give `-` to read it from standard input, or nothing to be asked for it",
            );
        }
        input::each(&given, as_json, BlankLines::Keep, answer)
    }
}

/// The phrase of an input.
fn phrase<'a>(entry: &'a Entry<'_>) -> &'a str {
    entry.main(&["phrase", "input", "words"])
}

/// The wallet that Electrum opens from a seed, in words.
fn opens(kind: SeedType) -> &'static str {
    match kind {
        SeedType::Old => "a wallet of Electrum 1.x: P2PKH of uncompressed keys (1...), not BIP32",
        SeedType::Standard => {
            "a standard wallet: P2PKH (1...) at m/, or a key of a P2SH multisig wallet"
        }
        SeedType::Segwit => {
            "a segwit wallet: P2WPKH (bc1q...) at m/0', or a key of a P2WSH multisig wallet at m/1'"
        }
        SeedType::TwoFactor => "a two-factor wallet with TrustedCoin: 2 of 3 keys, P2SH (3...)",
        SeedType::TwoFactorSegwit => {
            "a two-factor wallet with TrustedCoin: 2 of 3 keys, P2WSH (bc1q...)"
        }
        _ => "a wallet",
    }
}
