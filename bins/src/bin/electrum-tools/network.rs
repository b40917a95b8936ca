//! The networks by the names that Electrum gives them.

use bitcoin::Network;
use clap::ValueEnum;

use crate::input::Entry;
use crate::report::Failure;

/// A network of Bitcoin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NetworkName {
    #[value(alias = "bitcoin", alias = "main")]
    Mainnet,
    #[value(alias = "test", alias = "testnet3")]
    Testnet,
    Testnet4,
    Signet,
    Regtest,
}

impl NetworkName {
    /// The `network` field of the input, or the option.
    pub(crate) fn of_entry(
        entry: &Entry<'_>,
        option: Option<Self>,
    ) -> Result<Option<Self>, Failure> {
        match entry.text_field("network") {
            None => Ok(option),
            Some(name) => Self::from_str(name, true).map(Some).map_err(|_| {
                Failure::refused(format!(
                    "unknown network `{name}`; expected mainnet, testnet, testnet4, signet or regtest"
                ))
            }),
        }
    }
}

impl From<NetworkName> for Network {
    fn from(name: NetworkName) -> Self {
        match name {
            NetworkName::Mainnet => Self::Bitcoin,
            NetworkName::Testnet => Self::Testnet,
            NetworkName::Testnet4 => Self::Testnet4,
            NetworkName::Signet => Self::Signet,
            NetworkName::Regtest => Self::Regtest,
        }
    }
}
