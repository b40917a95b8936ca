//! Threads, which the system may refuse.

use std::io;
use std::sync::mpsc::channel;
use std::thread::{self, Builder, JoinHandle, available_parallelism};

use anyhow::Context;
use tokio::sync::oneshot;

/// The threads that the program starts with, besides one for each core: its runtime's, the index's, the writer's, those
/// that sessions block on.
const NEEDED: usize = 16;

/// Checks that the system gives the program the threads that it starts with: the libraries that it is built on have no
/// answer to a refusal.
///
/// # Errors
///
/// When it does not.
pub(crate) fn check() -> anyhow::Result<()> {
    let needed = NEEDED + available_parallelism().map_or(1, usize::from);
    start(needed).with_context(|| {
        format!(
            "the system refuses some of the {needed} threads that the server starts with; raise the limits of processes \
             and of memory (`ulimit -u`, `ulimit -v`, TasksMax of a systemd unit)"
        )
    })
}

/// Starts so many threads at once, and ends them.
fn start(count: usize) -> io::Result<()> {
    let mut threads: Vec<JoinHandle<()>> = Vec::with_capacity(count);
    let (end, ends): (Vec<_>, Vec<_>) = (0..count).map(|_| channel::<()>()).unzip();
    let mut result = Ok(());
    for ended in ends {
        // Each waits until its sender is gone.
        match Builder::new().spawn(move || while ended.recv().is_ok() {}) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    drop(end);
    for thread in threads {
        // They do nothing that could fail.
        let _: thread::Result<()> = thread.join();
    }
    result
}

/// Works on a thread of its own, where waiting for files and the node is allowed.
///
/// # Errors
///
/// When the system refuses the thread, or the work panics.
pub(crate) async fn apart<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (done, result) = oneshot::channel();
    Builder::new().name(name.to_owned()).spawn(move || {
        // Whoever waited may be gone.
        let _ = done.send(work());
    })?;
    result
        .await
        .map_err(|_| io::Error::other(format!("the thread \"{name}\" has panicked")))
}
