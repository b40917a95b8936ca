//! A wallet as it stands in a configuration.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use electrum_server_core::personal::Unwatched;
use serde::{Deserialize, Deserializer};

/// A wallet of the configuration: one `[[wallet]]`, or one `--wallet`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WalletEntry {
    /// What it is called in the log.
    pub(crate) name: Option<String>,
    /// Descriptors, extended keys, `M key key ...`, old master public keys, addresses, scripts.
    #[serde(
        alias = "key",
        alias = "descriptor",
        alias = "descriptors",
        alias = "address",
        alias = "addresses",
        deserialize_with = "one_or_more"
    )]
    pub(crate) keys: Vec<String>,
    /// When its first coin can have come: a height, or a date.
    pub(crate) birth: Option<BirthEntry>,
    /// How many unused scripts are watched.
    pub(crate) gap_limit: Option<u32>,
    /// Addresses to listen on, where this wallet is shown and no other; it is shown nowhere else then.
    #[serde(deserialize_with = "one_or_more")]
    pub(crate) listen: Vec<String>,
    /// Where it stands, for errors: a file and a line, an option, a variable.
    #[serde(skip)]
    pub(crate) origin: Option<String>,
}

impl WalletEntry {
    /// Returns the name of the wallet at a place in the list.
    pub(crate) fn name_at(&self, number: usize) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| format!("wallet {}", number + 1))
    }

    /// Fills in what is said for all wallets.
    pub(crate) fn inherit(&mut self, birth: Option<&str>, gap_limit: Option<u32>) {
        if self.birth.is_none() {
            self.birth = birth.map(|birth| BirthEntry::Text(birth.to_owned()));
        }
        self.gap_limit = self.gap_limit.or(gap_limit);
    }
}

/// The keys may be private ones by mistake.
impl fmt::Debug for WalletEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalletEntry")
            .field("name", &self.name)
            .field("birth", &self.birth)
            .finish_non_exhaustive()
    }
}

/// `NAME=KEYS` or `KEYS`. Whether the keys are any is found out later, where no error repeats them.
impl FromStr for WalletEntry {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        // A key is longer: names are shown.
        let is_name = |name: &str| {
            (1..=40).contains(&name.chars().count())
                && name
                    .chars()
                    .all(|c| c.is_alphanumeric() || " -_.".contains(c))
        };
        // The checksum of a descriptor has no `=`, but base64 and others may come to mean something one day.
        let (name, keys) = match text.split_once('=') {
            Some((name, keys)) if is_name(name) => (Some(name.trim().to_owned()), keys),
            _ => (None, text),
        };
        Ok(Self {
            name,
            keys: vec![keys.trim().to_owned()],
            ..Self::default()
        })
    }
}

/// A height, or a date as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BirthEntry {
    /// A height; from 500,000,000 on seconds since 1970, as in lock times.
    Number(u32),
    /// `YYYY-MM-DD`, or a number.
    Text(String),
}

impl<'de> Deserialize<'de> for BirthEntry {
    /// Takes a number, a text, and a date as TOML has it, without quotation marks.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        let number = value.as_integer().map(u32::try_from);
        match (value, number) {
            (_, Some(Ok(number))) => Ok(Self::Number(number)),
            (toml::Value::String(text), _) => Ok(Self::Text(text)),
            (toml::Value::Datetime(time), _) if time.date.is_some() => {
                // The day is enough: a day more is looked through in any case.
                let date = time.date.map(|date| date.to_string());
                Ok(Self::Text(date.unwrap_or_default()))
            }
            _ => Err(serde::de::Error::custom(
                "a birth is a height, such as 700000, or a date, such as 2021-05-31",
            )),
        }
    }
}

/// Reads a birth as the text that the command line would have.
pub(crate) fn birth_text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Some(match BirthEntry::deserialize(from)? {
        BirthEntry::Number(number) => number.to_string(),
        BirthEntry::Text(text) => text,
    }))
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text or a list of texts")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(one) => vec![one],
        OneOrMore::More(more) => more,
    })
}

/// What is done when a client asks for a script of no wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum UnwatchedPolicy {
    /// It is told that the script was never used
    Empty,
    /// It is refused
    Reject,
    /// The script is watched from then on
    Watch,
}

impl From<UnwatchedPolicy> for Unwatched {
    fn from(policy: UnwatchedPolicy) -> Self {
        match policy {
            UnwatchedPolicy::Empty => Self::Empty,
            UnwatchedPolicy::Reject => Self::Reject,
            UnwatchedPolicy::Watch => Self::Watch,
        }
    }
}
