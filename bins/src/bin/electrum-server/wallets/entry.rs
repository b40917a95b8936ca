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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum BirthEntry {
    /// A height; from 500,000,000 on seconds since 1970, as in lock times.
    Number(u32),
    /// `YYYY-MM-DD`, or a number.
    Text(String),
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
