//! One round: blocks, then the mempool that belongs to them, then the view.

use std::collections::HashSet;
use std::time::Instant;

use bitcoin::BlockHash;
use electrum_protocol::ScriptHash;

use super::blocks;
use super::{Sync, SyncError, SyncEvent};
use crate::chain::{Plan, SourceError, has_as_much_work, plan};
use crate::index::{BlockRows, UNDO_DEPTH, UndoError};
use crate::mempool::{self, Fetched};
use crate::notify::Touched;
use crate::store::Durability;

/// When a round reads the mempool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// When there are new blocks, since a view has the mempool that belongs to its tip.
    WithBlocks,
    /// When its summary is another than before.
    IfChanged,
    /// In any case.
    Always,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There were no blocks, and the mempool was not looked at.
    Followed,
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

impl Sync {
    /// Brings index and mempool to where the node is, and publishes them.
    pub(super) fn round(
        &mut self,
        reading: Reading,
        on_event: &mut dyn FnMut(SyncEvent<'_>),
    ) -> Result<Outcome, SyncError> {
        for _ in 0..ATTEMPTS {
            if !self.catch_up(on_event)? {
                return Ok(Outcome::Stopped);
            }
            match self.read_mempool(reading)? {
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
                self.check_step_back(&plan, fork)?;
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

    /// Checks that blocks are undone for a chain that is worth it, and that this is possible, before the first one is.
    ///
    /// A node that was started with `-reindex`, on another folder or with another chain of the same network is waited for:
    /// what is in the index took hours, and such a node is set right, or catches up by itself.
    fn check_step_back(&self, plan: &Plan, fork: u32) -> Result<(), SyncError> {
        let (source, headers) = (self.source.as_ref(), self.index.headers());
        let Some(tip) = headers.tip() else {
            return Ok(());
        };
        let depth = tip.height.saturating_sub(fork);
        let allowed = self.options.max_step_back.min(UNDO_DEPTH);
        if depth > allowed && !has_as_much_work(source, headers, plan)? {
            let target = plan.target;
            let message = match fork == target.height {
                true => format!("the node is {depth} blocks behind: it is at {target}"),
                false => format!(
                    "the node has another chain, with less work than the index has: it is at {target} and shares \
                     blocks with the index up to height {fork}"
                ),
            };
            return Err(SourceError::transient(format_args!(
                "{message}; the index stays at {tip} until the node has as much work. Is it catching up, or is it \
                 another node?"
            ))
            .into());
        }
        if depth > 0
            && self.personal.is_none()
            && let Some(height) = self.index.first_without_record(fork + 1)?
            && let Some(hash) = headers.hash(height)
        {
            source.block(&hash).map_err(|error| match error {
                SourceError::Missing { .. } => SourceError::permanent(format_args!(
                    "the node has another chain above height {fork}, and does not have block {hash} of the chain that is \
                     indexed, which is needed to follow: check that it is the node that the index was made with. The \
                     index stays as it is; to index the node's chain, name another folder"
                )),
                error => error,
            })?;
        }
        Ok(())
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
                let stale = self.source.block(&tip.hash)?;
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
    fn explain_missing(&self, plan: &Plan, hash: BlockHash) -> Result<(), SyncError> {
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
                "the node does not have block {hash} at height {height} of its own chain: a node that has not pruned \
                 the blocks from there on is needed (set prune=0 and start it once with -reindex)"
            );
            return Err(SourceError::permanent(message).into());
        }
        // The next plan knows the new chain.
        Ok(())
    }

    /// Reads the mempool of our tip; nothing when the node has another tip.
    fn read_mempool(&mut self, reading: Reading) -> Result<Option<Outcome>, SyncError> {
        let Some(tip) = self.index.headers().tip() else {
            return Err(SourceError::transient("the node has no blocks").into());
        };
        if self.options.ignore_mempool {
            return Ok(Some(Outcome::Unchanged));
        }
        // Nothing is published before the mempool was read once.
        let is_news = self.changes.has_blocks() || self.published.is_none();
        if reading == Reading::WithBlocks && !is_news {
            return Ok(Some(Outcome::Followed));
        }
        let began = Instant::now();
        let read = self.read_mempool_at(tip.hash, reading);
        self.reading_took = began.elapsed();
        read
    }

    fn read_mempool_at(
        &mut self,
        tip: BlockHash,
        reading: Reading,
    ) -> Result<Option<Outcome>, SyncError> {
        let source = self.source.as_ref();
        let fingerprint = source.mempool_fingerprint()?;
        if reading != Reading::Always
            && !self.changes.has_blocks()
            && self.fingerprint == Some(fingerprint)
        {
            return Ok(Some(Outcome::Unchanged));
        }
        if self.personal.is_some() {
            return self.read_own_mempool(tip);
        }
        let wakes = &self.wakes;
        match mempool::fetch(source, &self.mempool, tip, &|| wakes.is_stopped())? {
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
