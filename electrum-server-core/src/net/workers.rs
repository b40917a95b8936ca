//! The threads that sessions may block on.
//!
//! A block makes thousands of sessions want the store at the same moment, each for a few microseconds. So what is wanted
//! stands in a queue, and a thread that has come takes from it until nothing is left: handing each piece of work to a
//! thread of its own would take many times as long as the work.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use thiserror::Error;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::session::Place;

/// How many sessions may block at a time, by what they wait for.
///
/// Counted apart, so that a node that does not answer holds up only those who ask for the node.
#[derive(Debug)]
pub(super) struct Workers {
    store: Arc<Queue>,
    node: Arc<Queue>,
    broadcast: Arc<Queue>,
}

/// Work that was not done: it panicked, or the runtime shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the work was not done")]
pub(super) struct NotDone;

type Job = Box<dyn FnOnce() + Send>;

/// Work that waits, and the threads that do it.
struct Queue {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    threads: usize,
}

impl Workers {
    pub(super) fn new() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            store: Queue::new((2 * cores).max(4)),
            node: Queue::new(NODE_REQUESTS),
            broadcast: Queue::new(BROADCASTS),
        }
    }

    #[cfg(test)]
    /// Whether anything is done or waits.
    pub(super) fn is_busy(&self) -> bool {
        let queues = [&self.store, &self.node, &self.broadcast];
        queues.iter().any(|queue| queue.state().threads > 0)
    }

    /// Runs `work` where it may block, as soon as it is its turn. When nobody waits for it any more by then, it is not
    /// done.
    ///
    /// # Errors
    ///
    /// When `work` panics, or the runtime shuts down.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let queue = match place {
            Place::Reactor | Place::Store => &self.store,
            Place::Node => &self.node,
            Place::Broadcast => &self.broadcast,
        };
        let (done, result) = oneshot::channel();
        queue.push(Box::new(move || {
            if !done.is_closed() {
                // Whoever waited may be gone in the end.
                let _ = done.send(work());
            }
        }));
        result.await.map_err(|_| NotDone)
    }
}

impl Queue {
    fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            state: Mutex::default(),
        })
    }

    fn push(self: &Arc<Self>, job: Job) {
        let mut state = self.state();
        state.waiting.push_back(job);
        if state.threads < self.most {
            state.threads += 1;
            drop(state);
            self.start();
        }
    }

    /// Sends a thread that is counted already.
    fn start(self: &Arc<Self>) {
        let mut thread = Thread {
            queue: self.clone(),
            counts: true,
        };
        spawn_blocking(move || thread.work());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Queue")
            .field("most", &self.most)
            .field("waiting", &state.waiting.len())
            .field("threads", &state.threads)
            .finish()
    }
}

/// One that works; it counts until it has found the queue empty.
struct Thread {
    queue: Arc<Queue>,
    counts: bool,
}

impl Thread {
    fn work(&mut self) {
        loop {
            let mut state = self.queue.state();
            let Some(job) = state.waiting.pop_front() else {
                state.threads -= 1;
                self.counts = false;
                return;
            };
            drop(state);
            // When a piece of work fails, the others want to be done nonetheless. It owned all that it touched, and whoever
            // waits learns of it, since the sender of its result is gone.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if !self.counts {
            return;
        }
        // The runtime shuts down, and takes no more threads.
        let mut state = self.queue.state();
        state.threads -= 1;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
    }
}

/// How many questions of clients the node is asked at a time, and how many transactions it is given. Bitcoin Core handles
/// 16 requests at a time by default (`-rpcthreads`): some are left for the writer, and for whoever else asks the node.
const NODE_REQUESTS: usize = 8;
const BROADCASTS: usize = 4;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn everything_is_done_and_not_too_much_at_once() {
        let workers = Workers::new();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..500).map(|number: usize| {
            let (now, most) = (now.clone(), most.clone());
            workers.run(Place::Node, move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_micros(100));
                now.fetch_sub(1, Ordering::SeqCst);
                number
            })
        });
        let done: Vec<_> = join_all(jobs)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(done, (0..500).collect::<Vec<_>>());
        assert!((2..=NODE_REQUESTS).contains(&most.load(Ordering::SeqCst)));
        // They leave when nothing is left, a moment after the last answer.
        let left = async {
            while workers.node.state().threads > 0 {
                yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), left).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_that_fails_does_not_keep_others_waiting() {
        let workers = Workers::new();
        for _ in 0..3 {
            let jobs = (0..100).map(|number: usize| {
                workers.run(Place::Store, move || {
                    assert!(!number.is_multiple_of(7), "it fails");
                    number
                })
            });
            for (number, done) in join_all(jobs).await.into_iter().enumerate() {
                let expected = match number.is_multiple_of(7) {
                    true => Err(NotDone),
                    false => Ok(number),
                };
                assert_eq!(done, expected);
            }
        }
    }

    #[test]
    fn work_that_fails_while_the_runtime_shuts_down_is_given_up() {
        for _ in 0..200 {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let workers = Workers::new();
            let done = runtime.block_on(workers.run(Place::Store, || -> () { panic!("it fails") }));
            // The thread may still be on its way out.
            drop(runtime);
            assert_eq!(done, Err(NotDone));
            assert_eq!(workers.store.state().threads, 0);
        }
    }

    #[test]
    fn work_for_a_runtime_that_is_gone_is_given_up() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (workers, handle) = (Workers::new(), runtime.handle().clone());
        drop(runtime);
        let _inside = handle.enter();
        for _ in 0..2 {
            let done = workers.run(Place::Store, || ()).now_or_never();
            assert_eq!(done, Some(Err(NotDone)));
            assert_eq!(workers.store.state().threads, 0);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_nobody_waits_for_is_not_done() {
        let workers = Workers::new();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let block = || {
            let held = held.clone();
            workers.run(Place::Node, move || held.lock().unwrap().recv().is_err())
        };
        // A future that is not polled asks for nothing.
        let mut blocked: Vec<_> = (0..NODE_REQUESTS).map(|_| Box::pin(block())).collect();
        for job in &mut blocked {
            assert!(job.as_mut().now_or_never().is_none());
        }
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let mut late =
            Box::pin(workers.run(Place::Node, move || counted.fetch_add(1, Ordering::SeqCst)));
        assert!(late.as_mut().now_or_never().is_none());
        drop(late);
        drop(release);
        for job in blocked {
            assert_eq!(job.await, Ok(true));
        }
        assert_eq!(workers.run(Place::Node, || ()).await, Ok(()));
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }
}
