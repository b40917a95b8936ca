//! What begins a round: the node's next block, a client that cannot wait, an operator.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bitcoin::BlockHash;

use crate::chain::{ChainSource, NodeStatus, SourceError};

/// What is to be current after a [`refresh`](SyncHandle::refresh_scope).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshScope {
    /// Blocks and the mempool, read now: for a client that has just given the node a transaction.
    Everything,
    /// Blocks and the mempool, which is read as soon as that keeps within its share of the node's time.
    MempoolInTurn,
    /// Blocks, looked at now. The mempool is read when there are new ones.
    Blocks,
}

/// Somebody who wants a round.
#[derive(Debug)]
pub(super) struct Wake {
    scope: RefreshScope,
    /// Held while somebody waits for the end of the round: dropped when it has ended.
    _waiting: Option<SyncSender<()>>,
}

/// Reaches a running [`Sync`](super::Sync). Clones reach the same one.
#[derive(Clone)]
pub struct SyncHandle {
    sender: Sender<Wake>,
    stopped: Arc<AtomicBool>,
    status: Arc<Mutex<NodeStatus>>,
}

impl fmt::Debug for SyncHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncHandle")
            .field("stopped", &self.is_stopped())
            .finish_non_exhaustive()
    }
}

impl SyncHandle {
    /// Lets the writer look at the node now, and waits until everything that the node had when this was called is
    /// published, at most for `timeout`. Returns whether it looked; the node may have been away.
    pub fn refresh(&self, timeout: Duration) -> bool {
        self.refresh_scope(RefreshScope::Everything, timeout)
    }

    /// The same, for what `scope` says.
    pub fn refresh_scope(&self, scope: RefreshScope, timeout: Duration) -> bool {
        let (waiting, ended) = sync_channel(0);
        let wake = Wake {
            scope,
            _waiting: Some(waiting),
        };
        if self.is_stopped() || self.sender.send(wake).is_err() {
            return false;
        }
        // Nothing is ever sent: the end of the round drops the sender.
        ended.recv_timeout(timeout) == Err(RecvTimeoutError::Disconnected)
    }

    /// Lets the writer look at the node now.
    pub fn look(&self) {
        self.look_at(RefreshScope::Everything);
    }

    /// Lets the writer look at the node, without waiting for it.
    pub(super) fn look_at(&self, scope: RefreshScope) {
        let wake = Wake {
            scope,
            _waiting: None,
        };
        // A writer that has ended does not look.
        let _ = self.sender.send(wake);
    }

    /// Returns how the node is: why it cannot be followed, and since when.
    pub fn node_status(&self) -> NodeStatus {
        self.status().clone()
    }

    pub(super) fn note_failure(&self, error: &SourceError) {
        self.status().failed(error.clone(), Instant::now());
    }

    /// Notes that the node was followed; tells whether it could not be before.
    pub(super) fn note_success(&self) -> bool {
        self.status().recovered()
    }

    fn status(&self) -> MutexGuard<'_, NodeStatus> {
        // Nothing panics while it is held.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the writer as soon as it has finished what it is at.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.look();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct Wakes {
    receiver: Receiver<Wake>,
    /// Who was heard and is not served yet.
    heard: Vec<Wake>,
    stopped: Arc<AtomicBool>,
}

pub(super) fn channel() -> (SyncHandle, Wakes) {
    let (sender, receiver) = mpsc::channel();
    let stopped = Arc::new(AtomicBool::new(false));
    let handle = SyncHandle {
        sender,
        stopped: stopped.clone(),
        status: Arc::default(),
    };
    let wakes = Wakes {
        receiver,
        heard: Vec::new(),
        stopped,
    };
    (handle, wakes)
}

impl Wakes {
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether somebody wants the mempool to be read now; `in_turn` says whether it may be read for those who wait for
    /// its turn.
    pub(super) fn want_mempool(&mut self, in_turn: bool) -> bool {
        self.heard.extend(self.receiver.try_iter());
        self.heard.iter().any(|wake| match wake.scope {
            RefreshScope::Everything => true,
            RefreshScope::MempoolInTurn => in_turn,
            RefreshScope::Blocks => false,
        })
    }

    /// Takes everybody whom a round serves; `reads` says whether it reads the mempool.
    pub(super) fn take(&mut self, reads: bool) -> Vec<Wake> {
        self.heard.extend(self.receiver.try_iter());
        let served = |wake: &mut Wake| reads || wake.scope == RefreshScope::Blocks;
        self.heard.extract_if(.., served).collect()
    }

    /// Waits until `due`, or until somebody wants a round now. Those who wait for the mempool's turn are served from
    /// `turn` on.
    pub(super) fn wait(&mut self, due: Instant, turn: Instant) {
        let is_urgent = |wake: &Wake| wake.scope != RefreshScope::MempoolInTurn;
        while !self.is_stopped() && !self.heard.iter().any(is_urgent) {
            let until = match self.heard.is_empty() {
                true => due,
                false => due.min(turn),
            };
            let pause = until.saturating_duration_since(Instant::now());
            // The writer holds a handle itself, so the channel is never closed.
            match self.receiver.recv_timeout(pause) {
                Ok(wake) => self.heard.push(wake),
                Err(_) => return,
            }
        }
    }
}

/// Waits for the node's next block, on a thread of its own: to wait is all that it does there.
pub(super) struct Watcher {
    /// Taken by the thread when it begins.
    source: Option<Arc<dyn ChainSource>>,
    handle: SyncHandle,
    tip: Arc<OurTip>,
}

/// The block up to which the writer has come.
#[derive(Debug, Default)]
struct OurTip {
    hash: Mutex<Option<BlockHash>>,
    moved: Condvar,
}

/// How long the node is asked to wait. The node does not notice when whoever asked is gone: so long one of its threads is
/// taken after we have ended, and so long ours may outlive the writer.
const WAIT: Duration = Duration::from_secs(1);
/// The pause after the node did not answer, or told of a block that the writer did not find.
const PAUSE: Duration = Duration::from_millis(500);

impl Watcher {
    pub(super) fn new(source: Arc<dyn ChainSource>, handle: SyncHandle) -> Self {
        let tip = Arc::default();
        Self {
            source: Some(source),
            handle,
            tip,
        }
    }

    /// Takes note of where the writer is: the next block is one after this.
    ///
    /// The thread begins with the first call, when the writer is where the node is for the first time.
    pub(super) fn caught_up(&mut self, hash: BlockHash) {
        self.tip.set(hash);
        let Some(source) = self.source.take() else {
            return;
        };
        let (handle, tip) = (self.handle.clone(), self.tip.clone());
        let watch = move || watch(source.as_ref(), &handle, &tip, hash);
        if let Err(error) = thread::Builder::new()
            .name("tip-watcher".to_owned())
            .spawn(watch)
        {
            tracing::warn!(%error, "cannot wait for blocks, only look for them now and then");
        }
    }
}

fn watch(source: &dyn ChainSource, handle: &SyncHandle, ours: &OurTip, mut tip: BlockHash) {
    while !handle.is_stopped() {
        let begun = Instant::now();
        match source.wait_for_change(tip, WAIT) {
            Ok(true) => {
                handle.look_at(RefreshScope::Blocks);
                ours.wait_until_other_than(tip, PAUSE);
            }
            // A source that does not wait is not asked in a loop.
            Ok(false) if begun.elapsed() < PAUSE => thread::sleep(PAUSE),
            Ok(false) => {}
            Err(_) => thread::sleep(PAUSE),
        }
        tip = ours.get().unwrap_or(tip);
    }
}

impl OurTip {
    fn get(&self) -> Option<BlockHash> {
        *self.hash.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, hash: BlockHash) {
        *self.hash.lock().unwrap_or_else(PoisonError::into_inner) = Some(hash);
        self.moved.notify_all();
    }

    fn wait_until_other_than(&self, tip: BlockHash, timeout: Duration) {
        let hash = self.hash.lock().unwrap_or_else(PoisonError::into_inner);
        drop(
            self.moved
                .wait_timeout_while(hash, timeout, |hash| *hash == Some(tip)),
        );
    }
}
