//! What makes a server one of some wallets only.

use anyhow::bail;
use bitcoin::Network;
use electrum_server_core::personal::{Birth, LOOK_AHEAD, Unwatched, Wallet, WalletSet};

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
    /// Says which wallet is wrong, and what would be right. What is said of wallets where there are none is an error as
    /// well: the whole chain was not meant.
    pub(crate) fn of(options: &Options, network: Network) -> anyhow::Result<Option<Self>> {
        let mut entries = options.wallet.clone();
        let about_wallets = [
            ("wallet-birth", options.wallet_birth.is_some()),
            ("gap-limit", options.gap_limit.is_some()),
            ("unwatched", options.unwatched.is_some()),
            (
                "fetch-pruned-blocks",
                options.fetch_pruned_blocks == Some(true),
            ),
        ];
        if entries.is_empty() {
            return match about_wallets.iter().find(|(_, given)| *given) {
                Some((name, _)) => bail!(
                    "--{name} is about wallets, and there are none: add --wallet, --eps-config or --bwt-env, or remove \
                     --{name} to serve the whole chain"
                ),
                None => Ok(None),
            };
        }
        if options.dev == Some(true) {
            bail!(
                "--dev serves its own chain to everybody and knows no wallets: remove them, or --dev"
            );
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

    /// Says what has changed since `before` of where wallets are shown; nothing when nothing has.
    pub(crate) fn change_of_places(&self, before: &Self) -> Option<String> {
        if self.shown_everywhere() == before.shown_everywhere()
            && self.separate() == before.separate()
        {
            return None;
        }
        let numbered = |personal: &Self| -> Vec<(String, WalletEntry)> {
            let entries = (0..).zip(personal.entries.clone());
            entries
                .map(|(number, entry)| (entry.name_at(number), entry))
                .filter(|(_, entry)| !entry.listen.is_empty())
                .collect()
        };
        let (now, then) = (numbered(self), numbered(before));
        let renamed = now.iter().find_map(|(name, entry)| {
            let (old, _) = then.iter().find(|(old, other)| {
                old != name && other.keys == entry.keys && other.listen == entry.listen
            })?;
            Some(format!(
                "wallet \"{old}\" has `listen`, and is called \"{name}\" now"
            ))
        });
        let moved = || {
            let differs = |(name, entry): &&(String, WalletEntry),
                           others: &[(String, WalletEntry)]| {
                !others
                    .iter()
                    .any(|(other, known)| other == name && known.listen == entry.listen)
            };
            let changed = now.iter().find(|wallet| differs(wallet, &then));
            let changed = changed.or_else(|| then.iter().find(|wallet| differs(wallet, &now)));
            changed.map(|(name, _)| format!("`listen` of wallet \"{name}\" has changed"))
        };
        Some(
            renamed
                .or_else(moved)
                .unwrap_or_else(|| "`listen` has changed".to_owned()),
        )
    }

    /// Returns a line for each wallet: its name, the ends of its key, its birth, how many scripts are looked for, and where
    /// it is shown.
    pub(crate) fn announcements(&self, network: Network) -> Vec<String> {
        let wallets = self.wallets(network).unwrap_or_default();
        let lines = self.entries.iter().zip(wallets).map(|(entry, wallet)| {
            let from = match wallet.birth {
                Birth::Height(0) => "the whole chain".to_owned(),
                Birth::Height(height) => format!("from height {height} on"),
                time @ Birth::Time(_) => format!("from {time} on"),
            };
            let single = wallet.keychains.iter().filter(|chain| chain.script(1).is_none());
            let single = single.count();
            let sequences = wallet.keychains.len() - single;
            let each = u64::from(wallet.gap_limit.max(LOOK_AHEAD));
            let scripts = single as u64 + sequences as u64 * each;
            let first = match sequences {
                0 => "",
                _ => " at first, more as they get used",
            };
            let plural = if scripts == 1 { "" } else { "s" };
            let places = match entry.listen.as_slice() {
                [] => "wherever nothing else is said".to_owned(),
                addresses => format!("on {} only", addresses.join(", ")),
            };
            format!(
                "serving wallet \"{}\" and nothing else of the chain: {}; {from}; {scripts} script{plural}{first}; shown {places}",
                wallet.name,
                wallets::describe(entry)
            )
        });
        lines.collect()
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
