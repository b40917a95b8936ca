//! Making few files of many, in the background, after a bulk build.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Sync, SyncHandle};
use crate::store::{CommitError, Segments};

/// While there is too little space, how often it is looked whether to stop, and after how many of these looks the merge is
/// tried again.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);
const CHECKS: u32 = 150;

/// A thread that merges files.
#[derive(Debug)]
pub(super) struct Tidying {
    thread: JoinHandle<()>,
}

impl Tidying {
    pub(super) fn join(self) {
        // It has told what went wrong itself.
        let _ = self.thread.join();
    }
}

impl Sync {
    /// Begins to merge the files that a bulk build has left, if there are many: they are served meanwhile, and looked up
    /// in fewer places afterwards.
    pub(super) fn tidy(&mut self) {
        // Once is enough: it waits for space by itself, and what else makes it fail would do so again.
        if self.tidying.is_some() {
            return;
        }
        let Some(segments) = self.index.segments().filter(|all| all.is_scattered()) else {
            return;
        };
        let (segments, handle) = (segments.clone(), self.handle.clone());
        let work = move || tidy(&segments, &|| SyncHandle::is_stopped(&handle));
        let thread = thread::Builder::new().name("tidier".to_owned()).spawn(work);
        match thread {
            Ok(thread) => self.tidying = Some(Tidying { thread }),
            Err(error) => tracing::debug!("no thread to merge files on: {error}"),
        }
    }
}

/// Merges files; waits for space on the disk as long as there is too little.
fn tidy(segments: &Segments, stop: &dyn Fn() -> bool) {
    let mut told = false;
    loop {
        match segments.merge(true, stop) {
            Ok(()) => return,
            Err(error @ CommitError::NoSpace { .. }) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(
                        "the files of the index are merged when there is more space, and used as they are until then: {error}"
                    );
                }
                for _ in 0..CHECKS {
                    if stop() {
                        return;
                    }
                    thread::sleep(CHECK_INTERVAL);
                }
            }
            Err(error) => {
                tracing::warn!(
                    "cannot merge the files of the index; they are used as they are: {error}"
                );
                return;
            }
        }
    }
}
