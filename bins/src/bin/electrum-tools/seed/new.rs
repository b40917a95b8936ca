//! `electrum-tools seed new`.

use std::process::ExitCode;

use bitcoin::hex::{DisplayHex, FromHex};
use clap::Args;
use electrum_seed::{GenerateError, Generated, Generator, Language, SeedType, decode_number};
use serde_json::json;
use zeroize::Zeroizing;

use crate::input;
use crate::report::{Failure, Report, warn};

/// A new seed phrase
#[derive(Debug, Args)]
pub(crate) struct New {
    /// standard, segwit, 2fa or 2fa_segwit
    #[arg(long = "type", value_name = "TYPE", default_value = "segwit")]
    seed_type: SeedType,
    /// en, es, ja, pt or zh
    #[arg(long, short, default_value = "en")]
    language: Language,
    /// Bits of entropy, rounded up to whole words
    #[arg(long, default_value_t = 132)]
    bits: u32,
    /// Entropy of your own in hex, instead of the operating system's; `-` asks for it. The phrase is as
    /// secret as these digits are
    #[arg(long, value_name = "HEX")]
    entropy: Option<String>,
}

impl New {
    pub(super) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        let generator = Generator::new(self.language, self.seed_type)
            .bits(self.bits)
            .map_err(refused)?;
        if self.bits < 128 {
            warn("fewer than 128 bits of entropy can be guessed");
        }
        let made = match self.entropy.as_deref() {
            Some(hex) => generator
                .generate(&own_entropy(hex, &generator)?)
                .map_err(refused)?,
            None => generator.generate_with(|bytes| {
                getrandom::fill(bytes).map_err(|error| {
                    Failure::refused(format!("the operating system has no randomness: {error}"))
                })
            })?,
        };
        self.report(&made, &generator).print(as_json);
        Ok(ExitCode::SUCCESS)
    }

    fn report(&self, made: &Generated, generator: &Generator) -> Report {
        let phrase = made.seed.phrase();
        let final_entropy = decode_number(phrase, self.language);
        Report {
            human: phrase.to_owned(),
            json: json!({
                "phrase": phrase,
                "seed_type": self.seed_type.as_str(),
                "language": self.language.code(),
                "num_words": made.seed.num_words(),
                "num_bits": generator.entropy_bits(),
                "nonce": made.tries,
                "final_entropy_hex": final_entropy.map(|number| number.to_lower_hex_string()),
            }),
        }
    }
}

/// Digits of the user, with zeros before them where they are fewer than the phrase holds.
fn own_entropy(hex: &str, generator: &Generator) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let asked = match hex {
        "-" => match input::ask("entropy in hex")? {
            Some(asked) => asked,
            None => Zeroizing::new(crate::report::read_input("-")?),
        },
        given => {
            warn(
                "entropy on the command line stays in the shell's history; `--entropy -` asks for it",
            );
            Zeroizing::new(given.to_owned())
        }
    };
    let digits = asked.trim();
    let digits = digits
        .strip_prefix("0x")
        .unwrap_or(digits)
        .trim_start_matches('0');
    let (length, bits) = (generator.entropy_len() * 2, generator.entropy_bits());
    let padded = Zeroizing::new(format!("{digits:0>length$}"));
    let bytes = Vec::from_hex(&padded)
        .map(Zeroizing::new)
        .map_err(|_| Failure::refused("the entropy is not in hex digits"))?;
    // Above whole bytes the first byte has room for more than counts.
    let spare = generator.entropy_len() as u32 * 8 - bits;
    let first = bytes.first().copied().unwrap_or(0);
    if bytes.len() > generator.entropy_len() || first.leading_zeros() < spare {
        let message =
            format!("the entropy is a number of more than {bits} bits; --bits takes more");
        return Err(Failure::refused(message));
    }
    Ok(bytes)
}

fn refused(error: GenerateError) -> Failure {
    Failure::refused(error.to_string())
}

impl From<GenerateError> for Failure {
    fn from(error: GenerateError) -> Self {
        refused(error)
    }
}
