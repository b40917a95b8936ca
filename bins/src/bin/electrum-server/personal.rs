//! What makes a server one of some wallets only.

use bitcoin::Network;
use electrum_server_core::personal::{Unwatched, Wallet, WalletSet};

use crate::cli::Options;
use crate::wallets::{self, UnwatchedPolicy, WalletEntry};

/// The wallets, and what is said about them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Personal {
    entries: Vec<WalletEntry>,
    pub(crate) unwatched: Unwatched,
    pub(crate) may_fetch: bool,
}

impl Personal {
    /// Collects the wallets of all options; nothing when there are none, and the whole chain is served.
    ///
    /// # Errors
    ///
    /// Says which wallet is wrong, and what would be right.
    pub(crate) fn of(
        options: &Options,
        network: Network,
        warnings: &mut Vec<String>,
    ) -> anyhow::Result<Option<Self>> {
        let mut entries = options.wallet.clone();
        if let Some(path) = &options.eps_config {
            let imported = wallets::from_eps(path)?;
            entries.extend(imported.wallets);
            warnings.extend(imported.remarks);
        }
        if let Some(path) = &options.bwt_env {
            let imported = wallets::from_bwt(path)?;
            entries.extend(imported.wallets);
            warnings.extend(imported.remarks);
        }
        if entries.is_empty() {
            return Ok(None);
        }
        for entry in &mut entries {
            entry.inherit(options.wallet_birth.as_deref(), options.gap_limit);
        }
        let personal = Self {
            entries,
            unwatched: options
                .unwatched
                .map_or_else(Unwatched::default, UnwatchedPolicy::into),
            may_fetch: options.fetch_pruned_blocks.unwrap_or(false),
        };
        personal.wallets(network)?;
        Ok(Some(personal))
    }

    /// Returns the wallets.
    ///
    /// # Errors
    ///
    /// See [`of`](Self::of).
    pub(crate) fn wallets(&self, network: Network) -> anyhow::Result<Vec<Wallet>> {
        wallets::wallets(&self.entries, network)
    }

    /// Returns the wallets that are shown wherever nothing else is said.
    pub(crate) fn shown_everywhere(&self) -> WalletSet {
        WalletSet::Except(self.names(|entry| !entry.listen.is_empty()))
    }

    /// Returns the addresses where some wallets are shown and no others.
    pub(crate) fn separate(&self) -> Vec<(String, WalletSet)> {
        let mut addresses: Vec<&String> = self
            .entries
            .iter()
            .flat_map(|entry| &entry.listen)
            .collect();
        addresses.sort();
        addresses.dedup();
        addresses
            .into_iter()
            .map(|address| {
                let there = self.names(|entry| entry.listen.contains(address));
                (address.clone(), WalletSet::Only(there))
            })
            .collect()
    }

    /// Whether wallets are shown in the same places as `other` says.
    pub(crate) fn is_shown_as(&self, other: &Self) -> bool {
        self.shown_everywhere() == other.shown_everywhere() && self.separate() == other.separate()
    }

    /// The names of some wallets, which say what is shown also after a reload.
    fn names(&self, is_meant: impl Fn(&WalletEntry) -> bool) -> Vec<String> {
        (0..)
            .zip(&self.entries)
            .filter(|(_, entry)| is_meant(entry))
            .map(|(number, entry)| entry.name_at(number))
            .collect()
    }
}
