//! Making few files of many, in the background, after a bulk build.

use std::thread::{self, JoinHandle};

use super::{Sync, SyncHandle};

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
        // Once is enough: if it fails, it would fail again.
        if self.tidying.is_some() {
            return;
        }
        let Some(segments) = self.index.segments().filter(|all| all.is_scattered()) else {
            return;
        };
        let (segments, handle) = (segments.clone(), self.handle.clone());
        let work = move || {
            if let Err(error) = segments.merge(true, &|| SyncHandle::is_stopped(&handle)) {
                tracing::warn!(
                    "cannot merge the files of the index; they are used as they are: {error}"
                );
            }
        };
        let thread = thread::Builder::new().name("tidier".to_owned()).spawn(work);
        match thread {
            Ok(thread) => self.tidying = Some(Tidying { thread }),
            Err(error) => tracing::debug!("no thread to merge files on: {error}"),
        }
    }
}
