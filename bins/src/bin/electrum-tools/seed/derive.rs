//! `electrum-tools seed derive`.

use std::process::ExitCode;

use bitcoin::bip32::DerivationPath;
use clap::Args;
use electrum_seed::{DeriveError, OldSeedError, Purpose, Seed, Wallet, bip39_languages};
use serde_json::Value;
use slip132::Kind;
use zeroize::Zeroizing;

use self::description::{Description, Printing, hex};
use super::{Phrase, phrase, suggest};
use crate::input::{self, Entry};
use crate::network::NetworkName;
use crate::report::{Failure, Report, warn};

mod account;
mod bip39;
mod description;
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
    /// Open the phrase as one of BIP39, at this path
    #[arg(long, value_name = "PATH", conflicts_with = "as_of")]
    bip39: Option<DerivationPath>,
    /// The script type of a BIP39 wallet [default: what the path is for by BIP44, 45, 48, 49 or 84]
    #[arg(long, requires = "bip39", value_parser = crate::xpub::kind)]
    xtype: Option<Kind>,
    /// Print the private keys too
    #[arg(long)]
    private: bool,
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
        let network = NetworkName::of_entry(entry, Some(self.network))?.unwrap_or(self.network);
        let passphrase = entry.text_field("passphrase").unwrap_or(passphrase);
        let multisig = entry.field("for_multisig").and_then(Value::as_bool);
        let multisig = multisig.unwrap_or(self.multisig);
        let printing = Printing {
            count: self.count,
            private: self.private,
            network: network.into(),
        };
        match &self.bip39 {
            Some(path) => {
                let place = bip39::Place {
                    path,
                    xtype: self.xtype,
                    multisig,
                };
                bip39::derive(phrase(entry), passphrase, &place, &printing)
            }
            None => self.derive_electrum(phrase(entry), passphrase, multisig, &printing),
        }
    }

    fn derive_electrum(
        &self,
        phrase: &str,
        passphrase: &str,
        multisig: bool,
        printing: &Printing,
    ) -> Result<Report, Failure> {
        let seed = Seed::parse(phrase).map_err(|error| {
            let hint = match bip39_languages(phrase).is_empty() {
                true => suggest::suggest(phrase),
                false => Some(
                    "it is a valid BIP39 phrase: --bip39 opens it at a path, m/84h/0h/0h for example"
                        .into(),
                ),
            };
            let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
            Failure::refused(format!("{error}{hint}"))
        })?;
        if !bip39_languages(phrase).is_empty() {
            warn("the phrase is valid in BIP39 too, and opens other wallets there (--bip39)");
        }
        let network = printing.network;
        let purpose = match multisig {
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
            Some(era) => era.wallet(&seed, network).map_err(refused)?,
            None => None,
        };
        let wallet = match earlier {
            Some(wallet) => wallet,
            None => seed.wallet(passphrase, network, purpose).map_err(refused)?,
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
            Wallet::Account(account) => account::describe(account, printing, &mut description),
            Wallet::TwoFactor(keys) => {
                two_factor::describe(keys, seed.can_have_passphrase(), printing, &mut description)
            }
            Wallet::Old(master) => old::describe(&seed, master, printing, &mut description),
            _ => return Err(Failure::refused("a wallet that this program does not know")),
        }
        .map_err(refused)?;
        Ok(description.into())
    }
}
