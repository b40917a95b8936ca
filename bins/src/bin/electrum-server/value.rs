//! Types of option values that need their own reading or their own care in printing.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bitcoin::Network;
use serde::{Deserialize, Deserializer};

/// A network, by any of the names that nodes and servers give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct NetworkName(pub(crate) Network);

impl FromStr for NetworkName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "bitcoin" | "main" | "mainnet" => Ok(Self(Network::Bitcoin)),
            "testnet" | "testnet3" | "test" => Ok(Self(Network::Testnet)),
            "testnet4" => Ok(Self(Network::Testnet4)),
            "signet" => Ok(Self(Network::Signet)),
            "regtest" => Ok(Self(Network::Regtest)),
            _ => Err(format!(
                "unknown network `{name}`; known are bitcoin, testnet, testnet4, signet, regtest"
            )),
        }
    }
}

impl TryFrom<String> for NetworkName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

/// A span of time, written with its unit: `500ms`, `10s`, `2m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Interval(pub(crate) Duration);

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
        let millis = units.iter().find_map(|(unit, millis)| {
            let count: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
            count.checked_mul(*millis)
        });
        match millis {
            Some(millis) if millis > 0 => Ok(Self(Duration::from_millis(millis))),
            _ => Err(format!("`{text}` is not a time such as 500ms, 10s or 2m")),
        }
    }
}

impl TryFrom<String> for Interval {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A text that is never printed: `Debug` hides it, and reading one cannot fail with an error that
/// would repeat it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The user and the password of `USER:PASSWORD`; the password may contain colons.
    pub(crate) fn user_and_password(&self) -> Option<(&str, &str)> {
        self.0.split_once(':')
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Serde's own message about a wrong type quotes the value.
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(text)),
            _ => Err(serde::de::Error::custom(
                "expected a text in quotation marks",
            )),
        }
    }
}

/// Reads a list of texts, or one text as a list of one.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text or a list of texts")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let parse = |text: &str| text.parse::<Interval>().map(|interval| interval.0);
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "10", "s", "0s", "-1s", "99999999999999999999h"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_have_several_names() {
        let check = |name: &str, expected| assert_eq!(name.parse(), Ok(NetworkName(expected)));
        check("main", Network::Bitcoin);
        check("testnet3", Network::Testnet);
        check("testnet4", Network::Testnet4);
        assert!(
            "Regtest"
                .parse::<NetworkName>()
                .unwrap_err()
                .contains("`Regtest`")
        );
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret: Secret = "alice:hunter2:x".parse().unwrap();
        assert_eq!(secret.user_and_password(), Some(("alice", "hunter2:x")));
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
