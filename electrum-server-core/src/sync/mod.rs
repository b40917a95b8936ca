//! The one writer: follows the node, and publishes a view after every change.
//!
//! [`Sync::run`] takes over a thread. In rounds it asks the node for its tip, undoes what is not in the node's chain any
//! more, applies what is new, fetches the mempool at that tip, and publishes all of it as one [`View`]: nobody ever sees
//! blocks without the mempool that belongs to them. A second thread waits for the node's next block, so that a round
//! begins as soon as there is one. [`SyncHandle`] begins one from outside.
//!
//! A node that is away is waited for, and so is a store that cannot be written. What was published stays published meanwhile.

mod blocks;
mod bulk;
mod personal;
mod round;
mod storage;
#[cfg(test)]
mod tests;
mod tidy;
mod wake;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::chain::{ChainSource, MempoolFingerprint, OutageLog, RawError, SourceError};
use crate::index::{ApplyError, Index, RetainError, RowsError, UndoError};
use crate::mempool::Mempool;
use crate::notify::{Published, Update};
use crate::store::{CommitError, ReadError};
use crate::view::View;
use personal::Personal;
pub use personal::PersonalHandle;
use round::{Outcome, Reading};
use storage::StoreFailure;
use tidy::Tidying;
pub use wake::{RefreshScope, SyncHandle};
use wake::{Wakes, Watcher};

/// How the node is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncOptions {
    /// How many threads fetch blocks when there are many; at least 1.
    pub threads: usize,
    /// Between two looks at whether the mempool has changed. When reading it takes long, the pause is longer, so that the
    /// node spends no more than a tenth of its time on it.
    pub mempool_interval: Duration,
    /// After so long the mempool is read even if it seems unchanged, and the node is asked for its tip even if it has not
    /// announced one.
    pub full_interval: Duration,
    /// Whether unconfirmed transactions are left out.
    pub ignore_mempool: bool,
    /// How many bytes of memory the rows of a long catch-up may take before they are written.
    pub build_memory: usize,
    /// How many blocks are undone at most when the node's chain has less work than ours: enough for an operator who
    /// invalidates a block, too few for a node that builds its chain anew, or that is another one. Beyond it the node is
    /// waited for.
    pub max_step_back: u32,
}

/// The default of [`SyncOptions::max_step_back`].
const MAX_STEP_BACK: u32 = 6;

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism()
                .map_or(2, |cores| cores.get().clamp(2, 8)),
            mempool_interval: Duration::from_millis(500),
            full_interval: Duration::from_secs(10),
            ignore_mempool: false,
            build_memory: 512 << 20,
            max_step_back: MAX_STEP_BACK,
        }
    }
}

/// What whoever runs a [`Sync`] is told.
#[derive(Debug)]
#[non_exhaustive]
pub enum SyncEvent<'a> {
    /// Blocks up to `height` are in the index, of a chain that has `target`.
    Progress {
        /// The height of the newest block in the index.
        height: u32,
        /// The height of the node's tip.
        target: u32,
    },
    /// The first view is published: from here on there is something to serve.
    Ready(&'a Arc<Published>),
    /// A newer view is published.
    Update(Update),
    /// The node cannot be followed: it does not answer, or not as it should. It is asked again and again. Told when the
    /// reason is another than the last one that was told; [`SyncHandle::node_status`] has the reason at any time.
    Away(&'a SourceError),
    /// The node can be followed again, after it was told that it could not.
    Back,
    /// The index cannot be written, for a reason that was not told since it last could. What is known is served, and it is
    /// tried again and again.
    StoreFailed(&'a CommitError),
    /// The index can be written again, and is where the node is.
    StoreBack,
}

/// Why a [`Sync`] ended before it was told to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The node cannot be used, and that will not change by itself.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A block of the node makes no sense.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The bytes of a block of the node make no sense.
    #[error(transparent)]
    Raw(#[from] RawError),
    /// The index could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A block could not be applied.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A block could not be undone.
    #[error(transparent)]
    Undo(#[from] UndoError),
    /// What belongs to no wallet any more could not be deleted.
    #[error(transparent)]
    Retain(#[from] RetainError),
    /// The index could not be written to disk.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// The one writer of an index.
pub struct Sync {
    index: Index,
    source: Arc<dyn ChainSource>,
    options: SyncOptions,
    mempool: Mempool,
    /// What the mempool's summary was before it was last read.
    fingerprint: Option<MempoolFingerprint>,
    /// How long reading the mempool took when this was done last.
    reading_took: Duration,
    published: Option<Arc<Published>>,
    sequence: u64,
    /// What happened since the last view.
    changes: round::Changes,
    wakes: Wakes,
    handle: SyncHandle,
    tidying: Option<Tidying>,
    store_failure: StoreFailure,
    /// When only some wallets are followed.
    personal: Option<Personal>,
}

impl fmt::Debug for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sync")
            .field("index", &self.index)
            .field("options", &self.options)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

/// The pause before a node that is away is asked again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// The mempool is read for no more than this part of the time.
const MEMPOOL_SHARE: u32 = 10;

impl Sync {
    /// Prepares to bring `index` to where `source` is, and to keep it there.
    pub fn new(index: Index, source: Arc<dyn ChainSource>, options: SyncOptions) -> Self {
        let (handle, wakes) = wake::channel();
        Self {
            index,
            source,
            options,
            mempool: Mempool::new(),
            fingerprint: None,
            reading_took: Duration::ZERO,
            published: None,
            sequence: 0,
            changes: round::Changes::default(),
            wakes,
            handle,
            tidying: None,
            store_failure: StoreFailure::default(),
            personal: None,
        }
    }

    /// Returns the way to reach this writer while it runs.
    pub fn handle(&self) -> SyncHandle {
        self.handle.clone()
    }

    /// Follows the node until [`SyncHandle::stop`]; then everything that was indexed is on disk.
    ///
    /// # Errors
    ///
    /// When the database cannot be read; when the node is found unusable before there was anything to serve. After that, an
    /// unusable node is told as [`SyncEvent::Away`], and asked again. A database that cannot be written is told as
    /// [`SyncEvent::StoreFailed`], and tried again.
    pub fn run(mut self, on_event: &mut dyn FnMut(SyncEvent<'_>)) -> Result<(), SyncError> {
        let mut watcher = Watcher::new(self.source.clone(), self.handle.clone());
        let result = self.follow(Some(&mut watcher), on_event);
        self.finish(result)
    }

    /// Brings the index to the node's tip, and ends there, without looking at the mempool. Everything that was indexed is
    /// on disk then.
    ///
    /// # Errors
    ///
    /// See [`run`](Self::run).
    pub fn run_once(mut self, on_event: &mut dyn FnMut(SyncEvent<'_>)) -> Result<(), SyncError> {
        self.options.ignore_mempool = true;
        let result = self.follow(None, on_event);
        self.finish(result)
    }

    fn finish(mut self, result: Result<(), SyncError>) -> Result<(), SyncError> {
        // Whoever waits for a round, or holds a handle, sees that there are no more.
        self.handle.stop();
        if let Some(tidying) = self.tidying.take() {
            tidying.join();
        }
        let persisted = self.index.persist();
        result?;
        match persisted {
            // That was told, and whoever says stop does not want to wait for it.
            Err(error) if self.store_failure.is_some() => {
                tracing::warn!("stopped while the index could not be written: {error}");
                Ok(())
            }
            persisted => Ok(persisted?),
        }
    }

    /// Goes round after round; only until the first that succeeds when there is no `watcher`.
    fn follow(
        &mut self,
        mut watcher: Option<&mut Watcher>,
        on_event: &mut dyn FnMut(SyncEvent<'_>),
    ) -> Result<(), SyncError> {
        let mut reasons = OutageLog::default();
        let mut retry = RETRY.0;
        let mut full = None;
        // When the mempool is looked at next, and from when on that keeps within its share of the time.
        let mut due = Instant::now();
        let mut turn = due;
        while !self.wakes.is_stopped() {
            let started = Instant::now();
            let reads = started >= due || self.wakes.want_mempool(started >= turn);
            let reading = match reads {
                false => Reading::WithBlocks,
                true if full.is_none_or(|last| {
                    started.duration_since(last) >= self.options.full_interval
                }) =>
                {
                    Reading::Always
                }
                true => Reading::IfChanged,
            };
            // Whoever asked before the round began is answered when it has ended, however it ended.
            let waiting = self.wakes.take(reads);
            match self.attempt(reading, on_event) {
                Ok(outcome) => {
                    if self.handle.note_success() && reasons.end() {
                        on_event(SyncEvent::Back);
                    }
                    retry = RETRY.0;
                    let Some(watcher) = watcher.as_deref_mut() else {
                        return Ok(());
                    };
                    if outcome == Outcome::Stopped {
                        return Ok(());
                    }
                    if outcome == Outcome::Read {
                        full = Some(started);
                    }
                    if let Some(tip) = self.index.headers().tip() {
                        watcher.caught_up(tip.hash);
                    }
                    self.tidy();
                    let now = Instant::now();
                    if outcome == Outcome::Read {
                        turn = now + self.share();
                    }
                    if self.has_more() {
                        due = now;
                    } else if outcome != Outcome::Followed {
                        due = now + self.pause(outcome);
                    }
                }
                Err(error) if self.note_store_failure(&error, on_event) => {
                    drop(self.wakes.take(true));
                    due = Instant::now() + retry;
                    turn = due;
                    retry = (retry * 2).min(RETRY.1);
                }
                Err(error) => {
                    let error = self.may_pass(error)?;
                    let now = Instant::now();
                    self.handle.note_failure(&error);
                    if reasons.is_news(&error, now) {
                        on_event(SyncEvent::Away(&error));
                    }
                    // Who waits for the mempool's turn need not wait for a node that is away.
                    drop(self.wakes.take(true));
                    due = now + retry;
                    turn = due;
                    retry = (retry * 2).min(RETRY.1);
                }
            }
            // Everything that the round has brought has been told by now.
            drop(waiting);
            self.wakes.wait(due, turn);
        }
        Ok(())
    }

    /// Returns what is wrong with the node, if it is the node and may pass: then it is waited for.
    ///
    /// What is served was right when the node said so, and stays so: once there is anything to serve, nothing that a node
    /// says ends the writer.
    fn may_pass(&self, error: SyncError) -> Result<SourceError, SyncError> {
        match error {
            SyncError::Source(error) if error.is_transient() || self.published.is_some() => {
                Ok(error)
            }
            // A block that nobody can have mined: another answer may be right.
            SyncError::Rows(error) => Ok(SourceError::transient(error)),
            SyncError::Raw(error) => Ok(SourceError::transient(error)),
            error => Err(error),
        }
    }

    /// Returns how long to wait after the mempool was looked at.
    fn pause(&self, outcome: Outcome) -> Duration {
        let interval = match (self.options.ignore_mempool, outcome) {
            (true, _) => self.options.full_interval,
            (false, Outcome::Read) => self.options.mempool_interval.max(self.share()),
            (false, _) => self.options.mempool_interval,
        };
        interval.min(self.options.full_interval)
    }

    /// Returns how long the mempool is not read after it was, so that reading it keeps within its share of the time.
    fn share(&self) -> Duration {
        let pause = self.reading_took.saturating_mul(MEMPOOL_SHARE - 1);
        pause.min(self.options.full_interval)
    }

    /// Publishes what is in the index and the mempool, if that is news.
    fn publish(&mut self, on_event: &mut dyn FnMut(SyncEvent<'_>)) {
        let changes = std::mem::take(&mut self.changes);
        let sequence = self.sequence + 1;
        let Some(published) = &self.published else {
            let view = View::new(&self.index, self.mempool.clone(), sequence);
            let Some(view) = view else { return };
            self.sequence = sequence;
            let published = self.published.insert(Arc::new(Published::new(view)));
            on_event(SyncEvent::Ready(published));
            return;
        };
        if changes.is_empty() {
            return;
        }
        let view = match changes.has_blocks() {
            true => View::new(&self.index, self.mempool.clone(), sequence),
            false => Some(
                published
                    .view()
                    .with_mempool(self.mempool.clone(), sequence),
            ),
        };
        // A chain that has begun does not become empty: the genesis block is never undone.
        let Some(view) = view else { return };
        self.sequence = sequence;
        let touched = changes.touched();
        published.publish(view, &touched);
        on_event(SyncEvent::Update(Update { sequence, touched }));
    }
}
