//! The threads that sessions may block on.
//!
//! A block makes thousands of sessions want the store at the same moment, each for a few microseconds. So what is wanted
//! stands in queues, and a thread that has come takes from them until nothing is left: handing each piece of work to a
//! thread of its own would take many times as long as the work.
//!
//! Each subnet has a queue, and their turns go round: however much the clients of one want, it stands behind the first
//! wish of another. What takes long has threads of its own, fewer than there are cores, so that what is short is not kept
//! waiting by it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, available_parallelism};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;
use tracing::warn;

use crate::session::Place;
use crate::subnet::Subnet;

/// How many sessions may block at a time, by what they wait for.
///
/// Counted apart, so that a node that does not answer holds up only those who ask for the node.
#[derive(Debug)]
pub(super) struct Workers {
    store: Arc<Queue>,
    long: Arc<Queue>,
    node: Arc<Queue>,
    broadcast: Arc<Queue>,
}

/// Work that was not done: it panicked, or the server has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the work was not done")]
pub(super) struct NotDone;

type Job = Box<dyn FnOnce() + Send>;

/// Work that waits, and the threads that do it.
struct Queue {
    name: &'static str,
    most: usize,
    state: Mutex<State>,
    /// Told when there is work for a thread that has none.
    wanted: Condvar,
}

#[derive(Default)]
struct State {
    waiting: HashMap<Option<Subnet>, VecDeque<Job>>,
    /// Whose turn it is, once for each that has work here.
    turns: VecDeque<Option<Subnet>>,
    threads: usize,
    /// The threads that wait for work, and those of them that were told that there is some.
    idle: usize,
    told: usize,
    /// Whether a thread was refused by the system, and that was logged.
    has_warned: bool,
    is_closed: bool,
}

impl Workers {
    #[cfg(test)]
    /// Whether anything is done or waits.
    pub(super) fn is_busy(&self) -> bool {
        let queues = [&self.store, &self.long, &self.node, &self.broadcast];
        queues.iter().any(|queue| {
            let state = queue.state();
            state.threads > state.idle || !state.turns.is_empty()
        })
    }

    /// Starts one thread for each kind of work. The others come when there is work for them.
    ///
    /// # Errors
    ///
    /// When the system has no thread to give.
    pub(super) fn new() -> io::Result<Self> {
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(Self {
            store: Queue::start("store", (2 * cores).max(4))?,
            long: Queue::start("long", (cores / 2).max(1))?,
            node: Queue::start("node", NODE_REQUESTS)?,
            broadcast: Queue::start("broadcast", BROADCASTS)?,
        })
    }

    /// Runs `work` for a client of a subnet, where it may block, as soon as it is its turn. When nobody waits for it any
    /// more by then, it is not done.
    ///
    /// # Errors
    ///
    /// When `work` panics, or the server has stopped.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        place: Place,
        subnet: Option<Subnet>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let queue = match place {
            Place::Reactor | Place::Store => &self.store,
            Place::Long => &self.long,
            Place::Node => &self.node,
            Place::Broadcast => &self.broadcast,
        };
        let (done, result) = oneshot::channel();
        let job = Box::new(move || {
            if !done.is_closed() {
                // Whoever waited may be gone in the end.
                let _ = done.send(work());
            }
        });
        queue.push(subnet, job);
        result.await.map_err(|_| NotDone)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for queue in [&self.store, &self.long, &self.node, &self.broadcast] {
            queue.close();
        }
    }
}

impl Queue {
    fn start(name: &'static str, most: usize) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            name,
            most,
            state: Mutex::default(),
            wanted: Condvar::new(),
        });
        queue.state().threads += 1;
        queue.spawn().map(|()| queue)
    }

    fn push(self: &Arc<Self>, subnet: Option<Subnet>, job: Job) {
        let mut state = self.state();
        if state.is_closed {
            return;
        }
        state.push(subnet, job);
        if state.idle > 0 {
            state.idle -= 1;
            state.told += 1;
            drop(state);
            return self.wanted.notify_one();
        }
        if state.threads < self.most {
            state.threads += 1;
            drop(state);
            self.grow();
        }
    }

    /// Sends another thread that is counted already. When the system has none, those that are there do the work.
    fn grow(self: &Arc<Self>) {
        if let Err(error) = self.spawn()
            && !std::mem::replace(&mut self.state().has_warned, true)
        {
            warn!(
                "the system refuses another thread, requests will wait longer: {error} (this is said once)"
            );
        }
    }

    /// Starts a thread that is counted already.
    fn spawn(self: &Arc<Self>) -> io::Result<()> {
        let queue = self.clone();
        let thread = Builder::new().name(self.name.to_owned());
        let spawned = thread.spawn(move || queue.work());
        if spawned.is_err() {
            self.state().threads -= 1;
        }
        spawned.map(drop)
    }

    /// Works until nothing is wanted for a while; the last thread stays.
    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some(job) = state.pop() {
                drop(state);
                // When a piece of work fails, the others want to be done nonetheless. It owned all that it touched, and
                // whoever waits learns of it, since the sender of its result is gone.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.state();
                continue;
            }
            if state.is_closed {
                break;
            }
            state.idle += 1;
            let waited = self.wanted.wait_timeout(state, IDLE);
            let (mut woken, time) = waited.unwrap_or_else(PoisonError::into_inner);
            match woken.told {
                0 => woken.idle -= 1,
                _ => woken.told -= 1,
            }
            state = woken;
            if time.timed_out() && state.turns.is_empty() && state.threads > 1 {
                break;
            }
        }
        state.threads -= 1;
    }

    /// Gives up what waits, and lets the threads go.
    fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.turns.clear();
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.wanted.notify_all();
        drop(waiting);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, subnet: Option<Subnet>, job: Job) {
        let jobs = self.waiting.entry(subnet).or_default();
        if jobs.is_empty() {
            self.turns.push_back(subnet);
        }
        jobs.push_back(job);
    }

    /// Takes the oldest work of the subnet whose turn it is.
    fn pop(&mut self) -> Option<Job> {
        let subnet = self.turns.pop_front()?;
        let jobs = self.waiting.get_mut(&subnet)?;
        let job = jobs.pop_front();
        match jobs.is_empty() {
            true => drop(self.waiting.remove(&subnet)),
            false => self.turns.push_back(subnet),
        }
        job
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let waiting: usize = state.waiting.values().map(VecDeque::len).sum();
        f.debug_struct("Queue")
            .field("name", &self.name)
            .field("most", &self.most)
            .field("waiting", &waiting)
            .field("threads", &state.threads)
            .finish_non_exhaustive()
    }
}

/// How many questions of clients the node is asked at a time, and how many transactions it is given. Bitcoin Core handles
/// 16 requests at a time by default (`-rpcthreads`): some are left for the writer, and for whoever else asks the node.
const NODE_REQUESTS: usize = 8;
const BROADCASTS: usize = 4;

/// How long a thread waits for work before it goes.
const IDLE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn everything_is_done_and_not_too_much_at_once() {
        let workers = Workers::new().unwrap();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..500).map(|number: usize| {
            let (now, most) = (now.clone(), most.clone());
            workers.run(Place::Node, None, move || {
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
        let threads = workers.node.state().threads;
        assert!((1..=NODE_REQUESTS).contains(&threads), "{threads}");
        assert_eq!(workers.node.state().waiting.len(), 0);
        // They leave with the server.
        let node = workers.node.clone();
        drop(workers);
        let begun = std::time::Instant::now();
        while node.state().threads > 0 {
            assert!(begun.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_that_fails_does_not_keep_others_waiting() {
        let workers = Workers::new().unwrap();
        for _ in 0..3 {
            let jobs = (0..100).map(|number: usize| {
                workers.run(Place::Store, None, move || {
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

    #[tokio::test]
    async fn work_that_waits_when_the_server_stops_is_given_up() {
        let mut workers = Workers::new().unwrap();
        workers.long = Queue::start("long", 1).unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let begun = workers.run(Place::Long, None, move || {
            tell.send(()).unwrap();
            held.recv().is_err()
        });
        let mut begun = Box::pin(begun);
        assert!(begun.as_mut().now_or_never().is_none());
        told.recv().unwrap();
        let mut waiting = Box::pin(workers.run(Place::Long, None, || ()));
        assert!(waiting.as_mut().now_or_never().is_none());
        workers.long.close();
        assert_eq!(waiting.await, Err(NotDone));
        drop(release);
        assert_eq!(begun.await, Ok(true));
        let late = workers.run(Place::Long, None, || ());
        assert_eq!(late.now_or_never(), Some(Err(NotDone)));
    }

    /// However much one subnet wants, the first wish of another is behind no more than one of each.
    #[test]
    fn turns_go_round() {
        let subnet = |number: u8| Some(Subnet::of([10, 0, number, 1].into(), 24));
        let done = Arc::new(Mutex::new(Vec::new()));
        let mut state = State::default();
        let wishes = [(1, 100), (2, 3), (3, 1), (1, 1)];
        for (number, count) in wishes {
            for _ in 0..count {
                let done = done.clone();
                let job = Box::new(move || done.lock().unwrap().push(number));
                state.push(subnet(number), job);
            }
        }
        for _ in 0..4 {
            state.pop().unwrap()();
        }
        let late = done.clone();
        state.push(None, Box::new(move || late.lock().unwrap().push(0)));
        while let Some(job) = state.pop() {
            job();
        }
        let done = done.lock().unwrap();
        assert_eq!(done[..9], [1, 2, 3, 1, 2, 1, 0, 2, 1]);
        assert_eq!(done.len(), 106);
        assert!(state.waiting.is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_nobody_waits_for_is_not_done() {
        let workers = Workers::new().unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let block = || {
            let held = held.clone();
            workers.run(Place::Node, None, move || {
                held.lock().unwrap().recv().is_err()
            })
        };
        // A future that is not polled asks for nothing.
        let mut blocked: Vec<_> = (0..NODE_REQUESTS).map(|_| Box::pin(block())).collect();
        for job in &mut blocked {
            assert!(job.as_mut().now_or_never().is_none());
        }
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let mut late = Box::pin(workers.run(Place::Node, None, move || {
            counted.fetch_add(1, Ordering::SeqCst)
        }));
        assert!(late.as_mut().now_or_never().is_none());
        drop(late);
        drop(release);
        for job in blocked {
            assert_eq!(job.await, Ok(true));
        }
        assert_eq!(workers.run(Place::Node, None, || ()).await, Ok(()));
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }
}
