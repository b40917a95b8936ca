//! What few clients subscribe to: addresses, outpoints, transactions.

use std::collections::{HashMap, HashSet};

use bitcoin::{BlockHash, OutPoint, Txid};
use electrum_protocol::Confirmation;
use electrum_protocol::method::outpoint::OutpointStatus;
use electrum_protocol::method::transaction::TransactionHeight;
use electrum_protocol::{Notification, ScriptHash, Status};

use super::watch::Watch;

/// The rarer subscriptions of one session.
#[derive(Debug, Default)]
pub(crate) struct Others {
    /// The scripts that were subscribed to by address.
    names: HashMap<ScriptHash, Names>,
    addresses: usize,
    /// What is to be said of scripts under the names that were not asked for when their change was seen.
    owed: Vec<Notification>,
    outpoints: Watch<OutPoint, WatchedOutpoint>,
    transactions: Watch<Txid, WatchedTransaction>,
}

/// What is known of an outpoint that is watched, and what was said of it last.
#[derive(Debug)]
struct WatchedOutpoint {
    output: Output,
    told: Told,
}

/// The status of an outpoint in little space: few that are watched are spent.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Missing,
    Unspent(Confirmation),
    Spent(Box<(Confirmation, Txid, Confirmation)>),
}

/// What was said of a transaction last, and at which tip it was looked for in blocks.
#[derive(Debug)]
struct WatchedTransaction {
    height: TransactionHeight,
    looked_at: BlockHash,
}

impl From<OutpointStatus> for Told {
    fn from(status: OutpointStatus) -> Self {
        match status {
            OutpointStatus::Missing => Self::Missing,
            OutpointStatus::Unspent { funder } => Self::Unspent(funder),
            OutpointStatus::Spent {
                funder,
                spender,
                spender_confirmation,
            } => Self::Spent(Box::new((funder, spender, spender_confirmation))),
        }
    }
}

impl From<&Told> for OutpointStatus {
    fn from(told: &Told) -> Self {
        match told {
            Told::Missing => Self::Missing,
            Told::Unspent(funder) => Self::Unspent { funder: *funder },
            Told::Spent(spent) => {
                let (funder, spender, spender_confirmation) = **spent;
                Self::Spent {
                    funder,
                    spender,
                    spender_confirmation,
                }
            }
        }
    }
}

/// The names that a script was subscribed to by.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// As the client wrote them. A script has one address, but there may be two ways to write that.
    pub(super) addresses: Vec<String>,
    /// Whether the script was subscribed to by its hash as well.
    pub(super) by_hash: bool,
}

/// What is known of an output that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// It pays to this script, so whatever becomes of it touches that.
    Of(ScriptHash),
    /// Nobody has seen it, or nobody can spend it. Its transaction was last looked for in blocks at this tip.
    LookedForAt(BlockHash),
}

impl Others {
    pub(super) fn len(&self) -> usize {
        // Those of addresses count as scripts once; what is more is other ways to write them.
        self.addresses - self.names.len() + self.outpoints.len() + self.transactions.len()
    }

    pub(super) fn names(&self, script_hash: &ScriptHash) -> Option<&Names> {
        self.names.get(script_hash)
    }

    /// Takes note that a script has another status now, of which the client hears under one name: under the others it
    /// is to hear of it too. `address` is that name; none is the hash.
    pub(super) fn owe(
        &mut self,
        script_hash: &ScriptHash,
        address: Option<&str>,
        status: Option<Status>,
    ) {
        let Some(names) = self.names.get(script_hash) else {
            return;
        };
        let by_hash = names.by_hash && address.is_some();
        self.owed
            .extend(by_hash.then_some(Notification::ScriptHash {
                script_hash: *script_hash,
                status,
            }));
        let others = names.addresses.iter().cloned();
        let others = others.filter(|name| Some(name.as_str()) != address);
        self.owed
            .extend(others.map(|address| Notification::Address { address, status }));
    }

    /// Takes what is to be said; see [`owe`](Self::owe).
    pub(super) fn take_owed(&mut self) -> Vec<Notification> {
        std::mem::take(&mut self.owed)
    }

    pub(super) fn name_by_hash(&mut self, script_hash: &ScriptHash) {
        if let Some(names) = self.names.get_mut(script_hash) {
            names.by_hash = true;
        }
    }

    pub(super) fn add_address(&mut self, address: String, script_hash: ScriptHash, by_hash: bool) {
        let names = self.names.entry(script_hash).or_insert_with(|| Names {
            addresses: Vec::with_capacity(1),
            by_hash,
        });
        if !names.addresses.contains(&address) {
            names.addresses.push(address);
            self.addresses += 1;
        }
    }

    /// Whether an outpoint is subscribed to.
    pub(crate) fn has_outpoint(&self, outpoint: &OutPoint) -> bool {
        self.outpoints.contains(outpoint)
    }

    /// Subscribes to an outpoint; `status` is what the client is told now.
    pub(crate) fn subscribe_outpoint(
        &mut self,
        outpoint: OutPoint,
        output: Output,
        status: OutpointStatus,
    ) {
        let told = status.into();
        self.outpoints
            .insert(outpoint, WatchedOutpoint { output, told });
    }

    /// Ends a subscription; returns whether there was one.
    pub(crate) fn unsubscribe_outpoint(&mut self, outpoint: &OutPoint) -> bool {
        self.outpoints.remove(outpoint)
    }

    /// Whether a transaction is subscribed to.
    pub(crate) fn has_transaction(&self, txid: &Txid) -> bool {
        self.transactions.contains(txid)
    }

    /// Subscribes to a transaction; `height` is what the client is told now, at the tip `tip`.
    pub(crate) fn subscribe_transaction(
        &mut self,
        txid: Txid,
        height: TransactionHeight,
        tip: BlockHash,
    ) {
        let looked_at = tip;
        self.transactions
            .insert(txid, WatchedTransaction { height, looked_at });
    }

    /// Ends a subscription; returns whether there was one.
    pub(crate) fn unsubscribe_transaction(&mut self, txid: &Txid) -> bool {
        self.transactions.remove(txid)
    }

    pub(super) fn touch(&mut self, touched: &HashSet<ScriptHash>) {
        self.outpoints
            .mark_where(|_, watched| match &watched.output {
                Output::Of(script_hash) => touched.contains(script_hash),
                Output::LookedForAt(_) => true,
            });
        // What is in a block stays there, unless blocks are undone.
        self.transactions
            .mark_where(|_, watched| !matches!(watched.height, TransactionHeight::Block(_)));
    }

    pub(super) fn touch_all(&mut self) {
        self.outpoints.mark_all();
        self.transactions.mark_all();
    }

    /// Returns whether anything here is marked.
    pub(crate) fn has_marks(&self) -> bool {
        self.outpoints.has_marks() || self.transactions.has_marks()
    }

    /// Takes up to `count` marks of outpoints away and returns those: what is known of each, and what was said of it
    /// last.
    pub(crate) fn take_outpoints(
        &mut self,
        count: usize,
    ) -> Vec<(OutPoint, Output, OutpointStatus)> {
        let marked = self.outpoints.take_marks(count).into_iter();
        marked
            .filter_map(|outpoint| {
                let watched = self.outpoints.last(&outpoint)?;
                Some((outpoint, watched.output, (&watched.told).into()))
            })
            .collect()
    }

    /// Whether the script of any watched outpoint is not known.
    pub(crate) fn looks_for_outputs(&self) -> bool {
        self.outpoints.has_marks()
            && self
                .outpoints
                .values()
                .any(|watched| matches!(watched.output, Output::LookedForAt(_)))
    }

    /// Records `status` as sent. Returns whether it differs from the one that was sent last.
    pub(crate) fn is_outpoint_change(
        &mut self,
        outpoint: OutPoint,
        output: Output,
        status: OutpointStatus,
    ) -> bool {
        let Some(watched) = self.outpoints.last_mut(&outpoint) else {
            return false;
        };
        watched.output = output;
        let told = status.into();
        std::mem::replace(&mut watched.told, told) != status.into()
    }

    /// Takes up to `count` marks of transactions away and returns those: what was said of each last, and whether that
    /// was at the tip `tip`.
    pub(crate) fn take_transactions(
        &mut self,
        count: usize,
        tip: BlockHash,
    ) -> Vec<(Txid, TransactionHeight, bool)> {
        let marked = self.transactions.take_marks(count).into_iter();
        marked
            .filter_map(|txid| {
                let watched = self.transactions.last(&txid)?;
                Some((txid, watched.height, watched.looked_at == tip))
            })
            .collect()
    }

    /// Records `height` as sent, at the tip `tip`. Returns whether it differs from the one that was sent last.
    pub(crate) fn is_transaction_change(
        &mut self,
        txid: Txid,
        height: TransactionHeight,
        tip: BlockHash,
    ) -> bool {
        let Some(watched) = self.transactions.last_mut(&txid) else {
            return false;
        };
        watched.looked_at = tip;
        std::mem::replace(&mut watched.height, height) != height
    }
}

#[cfg(test)]
mod tests {
    use electrum_protocol::Status;

    use super::*;

    /// What `docs/operating.md` says that a subscription takes at most: a table of the standard library that has just grown
    /// has sixteen places for seven entries, with a byte more for each place.
    #[test]
    fn a_subscription_takes_no_more_than_the_documents_say() {
        fn most<T>() -> usize {
            (size_of::<T>() + 1) * 16 / 7
        }
        assert!(most::<(ScriptHash, Option<Status>)>() <= 160);
        assert!(most::<(OutPoint, WatchedOutpoint)>() <= 225);
        assert!(most::<(Txid, WatchedTransaction)>() <= 180);
        let spent = size_of::<(Confirmation, Txid, Confirmation)>();
        assert!(spent + 16 <= 80, "{spent}");
    }
}
