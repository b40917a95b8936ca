//! The threads that sessions may block on.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};

use crate::session::Place;

/// How many sessions may block at a time, by what they wait for.
///
/// Counted apart, so that a node that does not answer holds up only those who ask for the node.
#[derive(Debug)]
pub(super) struct Workers {
    store: Arc<Semaphore>,
    node: Arc<Semaphore>,
}

impl Workers {
    pub(super) fn new() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            store: Arc::new(Semaphore::new((2 * cores).max(4))),
            node: Arc::new(Semaphore::new(NODE_REQUESTS)),
        }
    }

    /// Runs `work` where it may block, as soon as it is its turn.
    ///
    /// # Errors
    ///
    /// When `work` panics, or the runtime shuts down.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let queue = match place {
            Place::Reactor | Place::Store => &self.store,
            Place::Node => &self.node,
        };
        // Never closed; were it, working without a permit is better than not working.
        let permit = queue.clone().acquire_owned().await.ok();
        spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        })
        .await
    }
}

/// As many requests as Bitcoin Core handles at a time by default.
const NODE_REQUESTS: usize = 16;
