//! One script: what was told of it, and its history.

use std::collections::BTreeSet;

use bitcoin::ScriptBuf;

use super::error::HistoryFault;
use crate::{Confirmation, HistoryEntry, Status, status};

/// A script that is watched.
#[derive(Clone, Debug)]
pub(super) struct Watched<K> {
    pub(super) script: ScriptBuf,
    /// Which keychains it is of, and its index there; mostly one.
    pub(super) owners: Vec<(K, u32)>,
    /// What the server said last; nothing before it said anything.
    pub(super) told: Option<Option<Status>>,
    pub(super) history: Vec<HistoryEntry>,
    /// The status of the history: what was told for it, or what was computed.
    pub(super) status: Option<Status>,
    /// The status of the history in the canonical order, once it was asked for.
    canonical: Option<Option<Status>>,
    /// Whether another status was told while the history was under way.
    pub(super) told_again: bool,
    /// How many histories in a row did not match.
    pub(super) mismatches: u32,
}

impl<K> Watched<K> {
    pub(super) fn new(script: ScriptBuf, owner: (K, u32)) -> Self {
        Self {
            script,
            owners: vec![owner],
            told: None,
            history: Vec::new(),
            status: None,
            canonical: None,
            told_again: false,
            mismatches: 0,
        }
    }

    /// Takes the status that the server tells.
    pub(super) fn tell(&mut self, told: Option<Status>) {
        self.told = Some(told);
        self.compare();
    }

    /// Takes another history.
    pub(super) fn replace(&mut self, mut history: Vec<HistoryEntry>) {
        history.shrink_to_fit();
        self.status = status::status(&history);
        self.canonical = None;
        self.history = history;
        self.compare();
    }

    /// Whether the history is what the server said last.
    pub(super) fn is_settled(&self) -> bool {
        self.told == Some(self.status)
    }

    /// A history that has the status that was told in the canonical order alone is put into that order.
    ///
    /// The two statuses of a history are computed once: a status that is told costs a comparison.
    fn compare(&mut self) {
        let Some(told) = self.told else {
            return;
        };
        if self.status != told && self.canonical_status() == told {
            self.history.sort_by(status::mempool_order);
            self.status = told;
        }
        if self.status == told {
            self.mismatches = 0;
        }
    }

    fn canonical_status(&mut self) -> Option<Status> {
        *self.canonical.get_or_insert_with(|| {
            let in_order = |a, b| status::mempool_order(a, b).is_le();
            if self.history.is_sorted_by(in_order) {
                return self.status;
            }
            let mut canonical = self.history.clone();
            canonical.sort_by(status::mempool_order);
            status::status(&canonical)
        })
    }
}

/// Checks what every history must be: no transaction twice, those of blocks first and in chain order.
pub(super) fn check(history: &[HistoryEntry]) -> Result<(), HistoryFault> {
    let mut seen = BTreeSet::new();
    let mut highest = Some(0);
    for HistoryEntry {
        txid, confirmation, ..
    } in history
    {
        if !seen.insert(txid) {
            return Err(HistoryFault::Duplicate { txid: *txid });
        }
        // Nothing is the mempool, above which nothing more is in a block.
        let disorder = match (confirmation, highest) {
            (Confirmation::Block(height), Some(highest)) => *height < highest,
            (Confirmation::Block(_), None) => true,
            (Confirmation::Mempool { .. }, _) => false,
        };
        if disorder {
            return Err(HistoryFault::Disorder { txid: *txid });
        }
        highest = match confirmation {
            Confirmation::Block(height) => Some(*height),
            Confirmation::Mempool { .. } => None,
        };
    }
    Ok(())
}
