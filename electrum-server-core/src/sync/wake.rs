//! What begins a round: the node's next block, a client that cannot wait, an operator.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bitcoin::BlockHash;

use crate::chain::ChainSource;

/// Somebody who waits for the end of a round: dropped when it has ended.
pub(super) type Waiting = SyncSender<()>;

/// Reaches a running [`Sync`](super::Sync). Clones reach the same one.
#[derive(Clone)]
pub struct SyncHandle {
    sender: Sender<Option<Waiting>>,
    stopped: Arc<AtomicBool>,
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
        let (waiting, ended) = sync_channel(0);
        if self.is_stopped() || self.sender.send(Some(waiting)).is_err() {
            return false;
        }
        // Nothing is ever sent: the end of the round drops the sender.
        ended.recv_timeout(timeout) == Err(RecvTimeoutError::Disconnected)
    }

    /// Lets the writer look at the node now.
    pub fn look(&self) {
        // A writer that has ended does not look.
        let _ = self.sender.send(None);
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
    receiver: Receiver<Option<Waiting>>,
    /// Who was heard while waiting for anybody.
    heard: Vec<Waiting>,
    stopped: Arc<AtomicBool>,
}

pub(super) fn channel() -> (SyncHandle, Wakes) {
    let (sender, receiver) = mpsc::channel();
    let stopped = Arc::new(AtomicBool::new(false));
    let handle = SyncHandle {
        sender,
        stopped: stopped.clone(),
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

    /// Takes everybody who waits for a round.
    pub(super) fn take(&mut self) -> Vec<Waiting> {
        let mut waiting = std::mem::take(&mut self.heard);
        waiting.extend(self.receiver.try_iter().flatten());
        waiting
    }

    /// Waits until somebody wants a round, at most for `timeout`.
    pub(super) fn wait(&mut self, timeout: Duration) {
        if self.is_stopped() {
            return;
        }
        // The writer holds a handle itself, so the channel is never closed.
        if let Ok(wake) = self.receiver.recv_timeout(timeout) {
            self.heard.extend(wake);
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

/// How long the node is asked to wait: so long the thread may outlive the writer.
const WAIT: Duration = Duration::from_secs(20);
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
                handle.look();
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
