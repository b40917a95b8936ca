//! Reaching the wallets of a running writer.

use std::ops::RangeInclusive;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use electrum_protocol::ScriptHash;

use super::unseen::merge;
use crate::personal::{Audience, Wallet, WalletSet, Watched};
use crate::sync::{RefreshScope, SyncHandle};

/// Reaches the wallets of a running [`Sync`] from sessions and programs. Clones reach the same ones.
#[derive(Clone, Debug)]
pub struct PersonalHandle {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) watched: ArcSwap<Watched>,
    /// Those of each keychain, with the name of its wallet.
    pub(super) unseen: Mutex<Vec<(String, Vec<RangeInclusive<u32>>)>>,
    pub(super) wishes: Sender<Wish>,
    pub(super) sync: SyncHandle,
}

/// What somebody wants of the writer.
#[derive(Debug)]
pub(super) enum Wish {
    /// A script, from the block at a height on, for the clients that are shown some wallets.
    Watch(ScriptHash, u32, Audience),
    Wallets(Vec<Wallet>),
}

impl PersonalHandle {
    /// Returns the scripts that are watched.
    pub fn watched(&self) -> Arc<Watched> {
        self.shared.watched.load_full()
    }

    /// Returns the heights of blocks that could not be looked at, because the node has pruned them, lowest first.
    pub fn unseen(&self) -> Vec<RangeInclusive<u32>> {
        self.unseen_by(&WalletSet::All)
    }

    /// The same, as far as it concerns the wallets of `allowed`.
    pub fn unseen_by(&self, allowed: &WalletSet) -> Vec<RangeInclusive<u32>> {
        let unseen = self.shared.unseen.lock();
        let unseen = unseen.unwrap_or_else(PoisonError::into_inner);
        let shown = unseen.iter().filter(|(name, _)| allowed.contains(name));
        let mut ranges = shown.flat_map(|(_, ranges)| ranges).cloned().collect();
        merge(&mut ranges);
        ranges
    }

    /// Begins to watch a script from the block at a height on. What was before is not looked for.
    ///
    /// It is shown where nothing else is said; see [`watch_for`](Self::watch_for).
    pub fn watch(&self, script_hash: ScriptHash, height: u32) {
        self.watch_for(&WalletSet::All, script_hash, height);
    }

    /// The same, for those clients only that are shown the wallets of `allowed`. All clients for which wallets are left
    /// out ([`WalletSet::Except`]) count as one kind with those that see all.
    pub fn watch_for(&self, allowed: &WalletSet, script_hash: ScriptHash, height: u32) {
        self.wish(Wish::Watch(script_hash, height, allowed.audience()));
    }

    /// Watches these wallets in the place of those before. What is new is looked for while the others are served; what
    /// is gone is forgotten.
    pub fn set_wallets(&self, wallets: Vec<Wallet>) {
        self.wish(Wish::Wallets(wallets));
    }

    fn wish(&self, wish: Wish) {
        // A writer that has ended has no use for it.
        let _ = self.shared.wishes.send(wish);
        self.shared.sync.look_at(RefreshScope::MempoolInTurn);
    }
}
