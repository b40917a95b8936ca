//! Reaching the wallets of a running writer.

use std::ops::RangeInclusive;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use electrum_protocol::ScriptHash;

use crate::personal::{Wallet, Watched};
use crate::sync::{RefreshScope, SyncHandle};

/// Reaches the wallets of a running [`Sync`] from sessions and programs. Clones reach the same ones.
#[derive(Clone, Debug)]
pub struct PersonalHandle {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) watched: ArcSwap<Watched>,
    pub(super) unseen: Mutex<Vec<RangeInclusive<u32>>>,
    pub(super) wishes: Sender<Wish>,
    pub(super) sync: SyncHandle,
}

/// What somebody wants of the writer.
#[derive(Debug)]
pub(super) enum Wish {
    /// A script, from the block at a height on.
    Watch(ScriptHash, u32),
    Wallets(Vec<Wallet>),
}

impl PersonalHandle {
    /// Returns the scripts that are watched.
    pub fn watched(&self) -> Arc<Watched> {
        self.shared.watched.load_full()
    }

    /// Returns the heights of blocks that could not be looked at, because the node has pruned them, lowest first.
    pub fn unseen(&self) -> Vec<RangeInclusive<u32>> {
        let unseen = self.shared.unseen.lock();
        unseen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins to watch a script from the block at a height on. What was before is not looked for.
    pub fn watch(&self, script_hash: ScriptHash, height: u32) {
        self.wish(Wish::Watch(script_hash, height));
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
