//! One round: blocks, then the mempool that belongs to them, then the view.

use std::collections::HashSet;

use electrum_protocol::ScriptHash;

use super::blocks;
use super::{Sync, SyncError, SyncEvent};
use crate::chain::{Plan, SourceError, plan};
use crate::index::{BlockRows, UNDO_DEPTH, UndoError};
use crate::mempool::{self, Fetched};
use crate::notify::Touched;
use crate::store::Durability;

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There was nothing to read.
    Unchanged,
    /// Blocks or the mempool were read, and what was news is published.
    Read,
    /// Somebody wants us to stop.
    Stopped,
}

/// What happened since the last view.
#[derive(Debug, Default)]
pub(super) struct Changes {
    undone: bool,
    applied: bool,
    touched: HashSet<ScriptHash>,
    mempool: bool,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        !self.has_blocks() && !self.mempool
    }

    /// Blocks came in bulk: too many to say what they touch.
    pub(super) fn note_bulk(&mut self, is_published: bool) {
        self.applied = true;
        self.undone |= is_published;
    }

    /// Headers came of blocks that were not looked at yet.
    pub(super) fn note_headers(&mut self) {
        self.applied = true;
    }

    /// Scripts have another history.
    pub(super) fn note_scripts(&mut self, touched: HashSet<ScriptHash>) {
        if !touched.is_empty() {
            self.applied = true;
            self.touched.extend(touched);
        }
    }

    /// Nobody knows which scripts have another history.
    pub(super) fn note_everything(&mut self) {
        self.undone = true;
    }

    pub(super) fn note_mempool(&mut self, touched: HashSet<ScriptHash>) {
        self.mempool = true;
        self.touched.extend(touched);
    }

    pub(super) fn has_blocks(&self) -> bool {
        self.undone || self.applied
    }

    pub(super) fn touched(self) -> Touched {
        match self.undone {
            true => Touched::Everything,
            false => Touched::Scripts(self.touched),
        }
    }
}

/// How often a tip that moves away while the mempool is read is followed within one round.
const ATTEMPTS: usize = 10;
/// A node whose tip is an ancestor of ours has lost blocks, or was told to forget them. So many are undone at once; when
/// it lacks more, it is building its chain anew, and is waited for.
const MAX_STEP_BACK: u32 = 100;

impl Sync {
    /// Brings index and mempool to where the node is, and publishes them. `full` reads the mempool even if it seems
    /// unchanged.
    pub(super) fn round(
        &mut self,
        full: bool,
        on_event: &mut dyn FnMut(SyncEvent<'_>),
    ) -> Result<Outcome, SyncError> {
        for _ in 0..ATTEMPTS {
            if !self.catch_up(on_event)? {
                return Ok(Outcome::Stopped);
            }
            match self.read_mempool(full)? {
                Some(Outcome::Stopped) => return Ok(Outcome::Stopped),
                Some(outcome) => {
                    let outcome = match self.changes.is_empty() {
                        true => outcome,
                        false => Outcome::Read,
                    };
                    self.publish(on_event);
                    return Ok(outcome);
                }
                None => {}
            }
        }
        Err(
            SourceError::transient("the node's tip moves faster than its mempool can be read")
                .into(),
        )
    }

    /// Follows the node's chain to its tip; false when stopped on the way.
    fn catch_up(&mut self, on_event: &mut dyn FnMut(SyncEvent<'_>)) -> Result<bool, SyncError> {
        let mut first = true;
        loop {
            if self.wakes.is_stopped() {
                return Ok(false);
            }
            let plan = plan(self.source.as_ref(), self.index.headers())?;
            let ours = self.index.headers().tip().map(|tip| tip.height);
            if plan.is_empty(ours) {
                if self.personal.is_some() && !self.look_around(on_event)? {
                    continue;
                }
                return Ok(true);
            }
            if let (Some(fork), Some(ours)) = (plan.fork, ours) {
                let behind = ours.saturating_sub(plan.target.height);
                if fork == plan.target.height && behind > MAX_STEP_BACK {
                    let message = format_args!(
                        "the node is {behind} blocks behind: it is at {}",
                        plan.target
                    );
                    return Err(SourceError::transient(message).into());
                }
                for _ in fork..ours {
                    if self.wakes.is_stopped() {
                        return Ok(false);
                    }
                    self.undo_tip()?;
                }
            }
            if self.personal.is_some() {
                self.connect_headers(&plan, on_event)?;
                continue;
            }
            match self.build(&plan, on_event) {
                Ok(true) => {}
                Ok(false) => self.apply(&plan, on_event, &mut first)?,
                Err(SyncError::Source(SourceError::Missing { hash })) => {
                    self.explain_missing(&plan, hash)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn undo_tip(&mut self) -> Result<(), SyncError> {
        let Some(tip) = self.index.headers().tip() else {
            return Ok(());
        };
        tracing::info!(height = tip.height, hash = %tip.hash, "undoing a block that is not in the node's chain");
        if self.personal.is_some() {
            self.changes.undone = true;
            return self.undo_personal_tip();
        }
        match self.index.undo_tip(None) {
            Err(UndoError::NoRecord { tip }) => {
                let stale = self.source.block(&tip.hash).map_err(|error| match error {
                    SourceError::Missing { .. } => SourceError::permanent(format_args!(
                        "{tip} must be undone, but neither the index nor the node knows any more what was in it: \
                         delete the index, and it is built again"
                    )),
                    error => error,
                })?;
                let rows = BlockRows::derive(&self.index.key(), &stale)?;
                self.index.undo_tip(Some(&rows))?;
            }
            result => result?,
        }
        self.changes.undone = true;
        Ok(())
    }

    fn apply(
        &mut self,
        plan: &Plan,
        on_event: &mut dyn FnMut(SyncEvent<'_>),
        first: &mut bool,
    ) -> Result<(), SyncError> {
        let target = plan.target.height;
        let Self {
            index,
            source,
            changes,
            wakes,
            published,
            options,
            ..
        } = self;
        if std::mem::take(first) {
            let height = index.headers().len().saturating_sub(1);
            on_event(SyncEvent::Progress { height, target });
        }
        let key = index.key();
        let mut commit = |rows: &[BlockRows]| -> Result<(), SyncError> {
            let touched = index.apply(rows, target, Durability::Process)?;
            changes.applied = true;
            // Before there is a view nobody has subscribed to anything.
            if published.is_some() {
                changes.touched.extend(touched);
            }
            let height = index.headers().len().saturating_sub(1);
            on_event(SyncEvent::Progress { height, target });
            Ok(())
        };
        let fetched = blocks::fetch(
            source.as_ref(),
            &key,
            &plan.connect,
            options.threads,
            &|| wakes.is_stopped(),
            &mut commit,
        );
        match fetched {
            Err(SyncError::Source(SourceError::Missing { hash })) => {
                self.explain_missing(plan, hash)
            }
            other => other,
        }
    }

    /// Tells a block that was reorganized away meanwhile from one that the node does not have any more.
    fn explain_missing(&self, plan: &Plan, hash: bitcoin::BlockHash) -> Result<(), SyncError> {
        let position = plan
            .connect
            .iter()
            .position(|header| header.block_hash() == hash);
        let above_fork = position
            .and_then(|position| u32::try_from(position).ok())
            .unwrap_or(0);
        let height = plan
            .fork
            .map_or(0, |fork| fork.saturating_add(1))
            .saturating_add(above_fork);
        let now = self.source.headers(height, 1)?;
        if now
            .first()
            .is_some_and(|header| header.block_hash() == hash)
        {
            let message = format_args!(
                "the node does not have block {hash} at height {height} of its own chain: \
                 a node that has not pruned its blocks is needed"
            );
            return Err(SourceError::permanent(message).into());
        }
        // The next plan knows the new chain.
        Ok(())
    }

    /// Reads the mempool of our tip; nothing when the node has another tip.
    fn read_mempool(&mut self, full: bool) -> Result<Option<Outcome>, SyncError> {
        let Some(tip) = self.index.headers().tip() else {
            return Err(SourceError::transient("the node has no blocks").into());
        };
        if self.options.ignore_mempool {
            return Ok(Some(Outcome::Unchanged));
        }
        let source = self.source.as_ref();
        let fingerprint = source.mempool_fingerprint()?;
        if !full && !self.changes.has_blocks() && self.fingerprint == Some(fingerprint) {
            return Ok(Some(Outcome::Unchanged));
        }
        if self.personal.is_some() {
            return self.read_own_mempool(tip.hash);
        }
        let wakes = &self.wakes;
        match mempool::fetch(source, &self.mempool, tip.hash, &|| wakes.is_stopped())? {
            Fetched::Moved => Ok(None),
            Fetched::Interrupted => Ok(Some(Outcome::Stopped)),
            Fetched::Delta(delta) => {
                self.fingerprint = Some(fingerprint);
                if !delta.is_empty() {
                    let touched = self.mempool.apply(delta);
                    self.changes.touched.extend(touched);
                    self.changes.mempool = true;
                }
                Ok(Some(Outcome::Read))
            }
        }
    }
}

// The index can undo by itself what is undone at once.
const _: () = assert!(MAX_STEP_BACK <= UNDO_DEPTH);
