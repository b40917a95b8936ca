//! `electrum-tools xpub convert`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use slip132::{Kind, Network};

use super::{Reading, kind, network};
use crate::report::{Failure, Report, warn};

/// The same key with the version bytes of another script type
#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// standard (xpub), p2wpkh-p2sh (ypub), p2wpkh (zpub), p2wsh-p2sh (Ypub) or p2wsh (Zpub)
    #[arg(value_parser = kind)]
    xtype: Kind,
    /// The key; `-` reads one per line
    key: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Give the key another network's version bytes: for those who know that it is meant for both
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    to_network: Option<Network>,
    /// Keep a private key private; without it, its public key is printed
    #[arg(long)]
    private: bool,
}

impl Convert {
    pub(super) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        super::each(self.key.as_deref(), as_json, |entry| {
            let mut key = self
                .reading
                .read(entry.main(&["key", "xpub", "xprv"]), entry)?;
            if key.is_private() && !self.private {
                warn(
                    "the public key of a private one is printed; --private prints the private one",
                );
                key = key.to_public();
            }
            let key = match self.to_network {
                Some(network) => key.with_network(network),
                None => Ok(key),
            };
            let key = key
                .and_then(|key| key.with_kind(self.xtype))
                .map_err(|error| Failure::refused(error.to_string()))?;
            Ok(Report {
                human: key.encode(),
                json: json!({
                    "key": key.encode(),
                    "network": key.network().name(),
                    "xtype": key.kind().xtype(),
                    "private": key.is_private(),
                }),
            })
        })
    }
}
