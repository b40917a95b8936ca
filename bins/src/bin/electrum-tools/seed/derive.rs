//! `electrum-tools seed derive`.

use std::process::ExitCode;

use bitcoin::Network;
use clap::Args;
use electrum_seed::{DeriveError, OldSeedError, Purpose, Seed, Wallet};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{Phrase, phrase, suggest};
use crate::input::{self, Entry};
use crate::network::NetworkName;
use crate::report::{Failure, Report, warn};

mod account;
mod era;
mod old;
mod two_factor;

/// The keys and first addresses of the wallet that Electrum opens from a seed
#[derive(Debug, Args)]
pub(crate) struct Derive {
    #[command(flatten)]
    phrase: Phrase,
    /// The passphrase that extends the seed ("extension words")
    #[arg(long, value_name = "TEXT", conflicts_with = "ask_passphrase")]
    passphrase: Option<String>,
    /// Ask for the passphrase without showing it
    #[arg(long)]
    ask_passphrase: bool,
    #[arg(long, default_value = "mainnet")]
    network: NetworkName,
    /// The key for a multisig wallet, which has no addresses alone
    #[arg(long, visible_alias = "for-multisig")]
    multisig: bool,
    /// How many addresses to receive and for change
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=10_000))]
    count: u32,
    /// The keys that Electrum made of the words up to this version, where they were others
    #[arg(long, value_name = "VERSION")]
    as_of: Option<era::Era>,
    /// Print the private keys too
    #[arg(long)]
    private: bool,
}

/// What a wallet is printed with.
struct Printing {
    count: u32,
    private: bool,
    network: Network,
}

/// Lines for people beside fields for machines.
#[derive(Default)]
struct Description {
    lines: Vec<String>,
    fields: Map<String, Value>,
}

impl Derive {
    pub(super) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        if self.passphrase.is_some() {
            warn(
                "a passphrase on the command line stays in the shell's history; --ask-passphrase asks for it",
            );
        }
        let passphrase = match self.ask_passphrase {
            true => input::ask("passphrase")?.ok_or_else(|| {
                Failure::Usage("--ask-passphrase needs a terminal to ask at".into())
            })?,
            false => Zeroizing::new(self.passphrase.clone().unwrap_or_default()),
        };
        self.phrase
            .each(as_json, |entry| self.derive(entry, &passphrase))
    }

    fn derive(&self, entry: &Entry<'_>, passphrase: &str) -> Result<Report, Failure> {
        let phrase = phrase(entry);
        let seed = Seed::parse(phrase).map_err(|error| {
            let hint =
                suggest::suggest(phrase).map_or_else(String::new, |hint| format!("; {hint}"));
            Failure::refused(format!("{error}{hint}"))
        })?;
        let network = NetworkName::of_entry(entry, Some(self.network))?.unwrap_or(self.network);
        let passphrase = entry.text_field("passphrase").unwrap_or(passphrase);
        let multisig = entry.field("for_multisig").and_then(Value::as_bool);
        let purpose = match multisig.unwrap_or(self.multisig) {
            true => Purpose::Cosigner,
            false => Purpose::Wallet,
        };
        let refused = |error: DeriveError| {
            let hint = match error {
                DeriveError::Old(OldSeedError::OddDigits { .. }) => "; --as-of 4.6.0 opens it",
                _ => "",
            };
            Failure::refused(format!("{error}{hint}"))
        };
        let earlier = match self.as_of {
            Some(era) => era.wallet(&seed, network.into()).map_err(refused)?,
            None => None,
        };
        let wallet = match earlier {
            Some(wallet) => wallet,
            None => seed
                .wallet(passphrase, network.into(), purpose)
                .map_err(refused)?,
        };
        let printing = Printing {
            count: self.count,
            private: self.private,
            network: network.into(),
        };
        let mut description = Description::default();
        description.put("seed_type", "type", seed.seed_type().as_str());
        description.field("num_words", seed.num_words());
        description.field("normalized", printing.private.then(|| seed.normalized()));
        if self.private
            && let Ok(bytes) = seed.bip32_seed(passphrase)
        {
            description.put("bip32_seed", "BIP32 seed", hex(&*bytes));
        }
        match &wallet {
            Wallet::Account(account) => account::describe(account, &printing, &mut description),
            Wallet::TwoFactor(keys) => two_factor::describe(
                keys,
                seed.can_have_passphrase(),
                &printing,
                &mut description,
            ),
            Wallet::Old(master) => old::describe(&seed, master, &printing, &mut description),
            _ => return Err(Failure::refused("a wallet that this program does not know")),
        }
        .map_err(refused)?;
        Ok(description.into())
    }
}

impl Description {
    /// Says it to both.
    fn put(&mut self, name: &str, title: &str, value: impl Into<Value>) {
        let value = value.into();
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        self.lines.push(format!("{title}: {text}"));
        self.field(name, value);
    }

    /// Says it to machines; nothing is left out.
    fn field(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        if !value.is_null() {
            self.fields.insert(name.to_owned(), value);
        }
    }

    /// Says a list to both, a line for each.
    fn list(&mut self, name: &str, title: &str, values: Vec<String>) {
        let lines = values.iter().enumerate();
        self.lines
            .extend(lines.map(|(index, value)| format!("{title} {index}: {value}")));
        self.field(name, values);
    }
}

impl From<Description> for Report {
    fn from(description: Description) -> Self {
        Self {
            human: description.lines.join("\n"),
            json: json!(description.fields),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bitcoin::hex::DisplayHex::to_lower_hex_string(bytes)
}
