//! Views that show some wallets only: what touches none of their scripts is not there.
//!
//! A server of some wallets may show different ones on different listeners. The sessions of each get such a view, so none
//! of their answers and notifications can depend on a wallet that is not shown: neither that of a method which somebody
//! adds later.

use std::fmt;
use std::sync::Arc;

use bitcoin::{OutPoint, Txid};
use electrum_protocol::ScriptHash;
use tracing::error;

use super::View;
use crate::index::Scope;
use crate::mempool::{Entry, Mempool};
use crate::personal::{WalletSet, Watched};

/// The wallets that a view shows.
#[derive(Debug)]
pub(super) struct Shown {
    watched: Arc<Watched>,
    allowed: Arc<WalletSet>,
}

impl View {
    /// Returns the same view, in which there is nothing but what touches the wallets of `allowed`, and what the clients
    /// that are shown these wanted to be watched.
    #[must_use]
    pub(crate) fn shown_to(&self, watched: Arc<Watched>, allowed: Arc<WalletSet>) -> Self {
        let shown = Shown { watched, allowed };
        Self(self.0.clone(), Some(Arc::new(shown)))
    }

    pub(super) fn scope(&self) -> Option<Scope<'_>> {
        self.1.as_deref().map(|shown| Scope {
            watched: &shown.watched,
            allowed: &shown.allowed,
            headers: &self.0.headers,
        })
    }

    /// Returns a number that grows with the node's chain and mempool, and does not depend on wallets: what the node says
    /// of these is remembered by it.
    pub(crate) fn node_sequence(&self) -> u64 {
        match self.0.personal {
            // Of the mempool only the part of the wallets is followed.
            true => self.height().into(),
            false => self.sequence(),
        }
    }

    /// Returns whether an unconfirmed transaction pays to a script, or spends an output of it that is known.
    fn touches(&self, entry: &Entry, script_hash: &ScriptHash) -> bool {
        let pays = |entry: &Entry| entry.funded.iter().any(|(_, of, _)| of == script_hash);
        let spent = entry.spent.iter().filter(|(_, of, _)| of == script_hash);
        pays(entry)
            || spent
                .into_iter()
                .any(|(coin, ..)| self.has_coin(coin, script_hash))
    }

    /// Returns whether an output, which pays to a script, is in what is known of the script: it is not when it was made in
    /// a block that was not looked at.
    fn has_coin(&self, outpoint: &OutPoint, script_hash: &ScriptHash) -> bool {
        if self.0.mempool.get(&outpoint.txid).is_some() {
            return true;
        }
        let found = self.reader().is_in_history(script_hash, &outpoint.txid);
        found.unwrap_or_else(|error| {
            error!(%error, "cannot tell to which wallets an unconfirmed transaction belongs");
            false
        })
    }
}

/// The mempool, as far as a [`View`] shows it.
#[derive(Clone, Copy)]
pub struct Unconfirmed<'a> {
    view: &'a View,
    mempool: &'a Mempool,
}

impl<'a> Unconfirmed<'a> {
    pub(super) fn of(view: &'a View) -> Self {
        Self {
            view,
            mempool: &view.0.mempool,
        }
    }

    /// Returns the number of transactions.
    pub fn len(&self) -> usize {
        match &self.view.1 {
            None => self.mempool.len(),
            Some(_) => self.entries().count(),
        }
    }

    /// Whether there are no transactions.
    pub fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }

    /// Returns all transactions, in no particular order.
    pub fn entries(&self) -> impl Iterator<Item = &'a Arc<Entry>> + use<'a> {
        let this = *self;
        this.mempool
            .entries()
            .filter(move |entry| this.shows(entry))
    }

    /// Returns a transaction.
    pub fn get(&self, txid: &Txid) -> Option<&'a Arc<Entry>> {
        self.mempool.get(txid).filter(|entry| self.shows(entry))
    }

    /// Returns the transactions that fund a script or spend from it, each once, in no order that means anything.
    pub fn entries_of(
        &self,
        script_hash: &ScriptHash,
    ) -> impl Iterator<Item = &'a Arc<Entry>> + use<'a> {
        let (this, script_hash) = (*self, *script_hash);
        let shown = this.shows_script(&script_hash);
        let entries = shown.then(|| this.mempool.entries_of(&script_hash));
        entries
            .into_iter()
            .flatten()
            .filter(move |entry| this.view.1.is_none() || this.view.touches(entry, &script_hash))
    }

    /// Returns the transaction that spends an output, be that confirmed or not.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        let spender = self.mempool.spender(outpoint)?;
        self.get(&spender).map(|entry| entry.txid)
    }

    /// Returns all of it, whatever is shown.
    #[cfg(test)]
    pub(crate) fn whole(&self) -> &'a Mempool {
        self.mempool
    }

    fn shows(&self, entry: &Entry) -> bool {
        let mut scripts = entry.script_hashes();
        self.view.1.is_none()
            || scripts.any(|script| self.shows_script(&script) && self.view.touches(entry, &script))
    }

    fn shows_script(&self, script_hash: &ScriptHash) -> bool {
        let prefix = || self.view.0.key.prefix(script_hash);
        self.view
            .scope()
            .is_none_or(|scope| scope.watched.extent(&prefix(), scope.allowed).is_some())
    }
}

impl fmt::Debug for Unconfirmed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unconfirmed")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
