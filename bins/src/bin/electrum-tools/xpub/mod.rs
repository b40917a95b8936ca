//! `electrum-tools xpub`, and what its commands share.

mod convert;
mod descriptor;
mod inspect;
mod old;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use slip132::registry::REGISTRY;
use slip132::{ExtendedKey, Kind, Network, Rules};

use crate::input::{self, BlankLines, Entry};
use crate::report::{Failure, Report, warn};

/// Extended keys (xpub, ypub, zpub, ...): inspect, convert, describe
#[derive(Debug, Subcommand)]
pub(crate) enum Xpub {
    Inspect(inspect::Inspect),
    Convert(convert::Convert),
    Descriptor(descriptor::Describe),
}

impl Xpub {
    pub(crate) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        match self {
            Self::Inspect(command) => command.run(as_json),
            Self::Convert(command) => command.run(as_json),
            Self::Descriptor(command) => command.run(as_json),
        }
    }
}

/// Answers a key of the command line, every line of standard input, or what is asked for.
fn each(
    key: Option<&str>,
    as_json: bool,
    mut answer: impl FnMut(&Entry<'_>) -> Result<Report, Failure>,
) -> Result<ExitCode, Failure> {
    let Some(key) = key else {
        return match input::ask("extended key")? {
            Some(key) => {
                answer(&Entry::plain(&key))?.print(as_json);
                Ok(ExitCode::SUCCESS)
            }
            None => input::each("-", as_json, BlankLines::Skip, answer),
        };
    };
    if is_private(key) {
        warn_of_private();
    }
    input::each(key, as_json, BlankLines::Skip, answer)
}

fn warn_of_private() {
    warn(
        "a private key on the command line stays in the shell's history, and other programs can see it; \
         give `-` to read it from standard input",
    );
}

fn is_private(text: &str) -> bool {
    text.get(1..4) == Some("prv") || text.contains("]xprv") || text.contains("]tprv")
}

/// Networks of SLIP-132 by name; capitals do not matter.
fn network(name: &str) -> Result<Network, String> {
    let all = || Network::ALL.iter().copied();
    Network::from_name(name)
        .or_else(|| all().find(|network| network.name().eq_ignore_ascii_case(name)))
        .ok_or_else(|| {
            let names: Vec<_> = all().map(Network::name).collect();
            format!("expected one of {}", names.join(", "))
        })
}

/// Electrum's name of a script type, or how its keys begin.
pub(crate) fn kind(name: &str) -> Result<Kind, String> {
    let by_prefix = || {
        let mut rows = REGISTRY.iter().filter(|row| is_bitcoin(row.network));
        Some(rows.find(|row| row.prefixes.contains(&name))?.kind)
    };
    Kind::from_xtype(name).or_else(by_prefix).ok_or_else(|| {
        let names = Kind::ALL.map(Kind::xtype);
        format!(
            "expected one of {}, or xpub, ypub, zpub, ...",
            names.join(", ")
        )
    })
}

fn is_bitcoin(network: Network) -> bool {
    matches!(network, Network::Mainnet | Network::Testnet)
}

/// How keys are read.
#[derive(Debug, Args)]
struct Reading {
    /// Only keys of this network; other coins of SLIP-132 must be named
    #[arg(long, value_parser = network)]
    network: Option<Network>,
    /// Accept what Electrum's parser accepts and BIP32 does not: a master key with a parent or child number, and a wrong
    /// byte before a private key
    #[arg(long)]
    lenient: bool,
}

impl Reading {
    /// Reads a key of the input's network, else the option's, else Bitcoin's.
    fn read(&self, text: &str, entry: &Entry<'_>) -> Result<ExtendedKey, Failure> {
        let rules = match self.lenient {
            true => Rules::Electrum,
            false => Rules::Bip32,
        };
        read_key(text, entry, self.network, rules)
    }
}

/// Reads a key of the input's network, else the option's, else Bitcoin's.
fn read_key(
    text: &str,
    entry: &Entry<'_>,
    option: Option<Network>,
    rules: Rules,
) -> Result<ExtendedKey, Failure> {
    let named = entry.text_field("network").map(network).transpose();
    let named = named.map_err(|error| Failure::refused(format!("unknown network; {error}")))?;
    let networks = match named.or(option) {
        Some(network) => vec![network],
        None => vec![Network::Mainnet, Network::Testnet],
    };
    ExtendedKey::parse_with(text.trim(), &networks, rules)
        .map_err(|error| Failure::refused(explain(error, option)))
}

/// The error, and what to do about it.
fn explain(error: slip132::ParseError, option: Option<Network>) -> String {
    use slip132::{ParseError, Resemblance};
    match &error {
        ParseError::Version {
            resemblance: Resemblance::Registered { row, .. },
            ..
        } => match option {
            None => format!("{error}; try --network '{}'", row.network),
            Some(_) => format!("{error}; leave --network out, or name theirs"),
        },
        ParseError::MasterWithParent(_)
        | ParseError::MasterWithChildNumber(_)
        | ParseError::PrivateKeyPrefix(_) => {
            format!("{error}; Electrum's parser does not look at it, nor does --lenient")
        }
        _ => error.to_string(),
    }
}
