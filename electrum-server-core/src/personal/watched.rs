//! What sessions know of the wallets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use electrum_protocol::ScriptHash;

/// What is done when a client asks for a script of no wallet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unwatched {
    /// It has no history.
    #[default]
    Empty,
    /// The request is refused.
    Reject,
    /// It is watched from then on; what was before is not looked for.
    Watch,
}

/// Some of the wallets, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WalletSet {
    /// All.
    #[default]
    All,
    /// Those with these names.
    Only(Vec<String>),
    /// Those with other names, also when they come later.
    Except(Vec<String>),
}

impl WalletSet {
    fn has_any(&self, wallets: &[Arc<str>]) -> bool {
        let is_in =
            |names: &[String], wallet: &Arc<str>| names.iter().any(|name| **name == **wallet);
        match self {
            Self::All => true,
            Self::Only(names) => wallets.iter().any(|wallet| is_in(names, wallet)),
            Self::Except(names) => wallets.iter().any(|wallet| !is_in(names, wallet)),
        }
    }
}

/// The scripts that are watched, and for which wallets.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// The names of the wallets; none for scripts that a client wanted to be watched.
    scripts: HashMap<[u8; 32], Arc<[Arc<str>]>>,
    /// Wallets that were not looked for up to the tip yet.
    pub(crate) scanning: HashSet<Arc<str>>,
}

/// What a session may say of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Everything.
    Known,
    /// Nothing yet: the wallet with this name is still being looked for.
    Scanning(String),
    /// Nothing: no wallet has it, or none of those that the session may see.
    Unknown,
}

impl Watched {
    pub(crate) fn insert(&mut self, script: [u8; 32], wallet: Option<&Arc<str>>) {
        let wallets = self.scripts.entry(script).or_insert_with(|| Arc::new([]));
        if let Some(wallet) = wallet
            && !wallets.contains(wallet)
        {
            *wallets = wallets.iter().chain([wallet]).cloned().collect();
        }
    }

    /// Returns how many scripts there are.
    pub fn len(&self) -> usize {
        self.scripts.len()
    }

    /// Returns whether there are no scripts.
    pub fn is_empty(&self) -> bool {
        self.scripts.is_empty()
    }

    /// Returns whether a script is watched.
    pub fn contains(&self, script_hash: &ScriptHash) -> bool {
        self.scripts.contains_key(&script_hash.to_byte_array())
    }

    pub(crate) fn standing(&self, script_hash: &ScriptHash, allowed: &WalletSet) -> Standing {
        match self.scripts.get(&script_hash.to_byte_array()) {
            None => Standing::Unknown,
            // Whoever asked for it first told nobody else.
            Some(wallets) if wallets.is_empty() => Standing::Known,
            Some(wallets) if !allowed.has_any(wallets) => Standing::Unknown,
            Some(wallets) => match wallets.first() {
                Some(name) if wallets.iter().all(|name| self.scanning.contains(name)) => {
                    Standing::Scanning(name.to_string())
                }
                _ => Standing::Known,
            },
        }
    }
}
