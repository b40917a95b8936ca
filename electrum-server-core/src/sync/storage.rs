//! A store that cannot be written, as on a full disk: what is known is served, and it is tried again.

use super::round::{Outcome, Reading};
use super::{Sync, SyncError, SyncEvent};
use crate::index::{ApplyError, OpenError, RetainError, UndoError};
use crate::store::CommitError;

/// How many reasons are remembered so that each is told once.
const MAX_REASONS: usize = 16;

/// Why the store could not be written since it last could; empty when it can.
#[derive(Debug, Default)]
pub(super) struct StoreFailure {
    reasons: Vec<CommitError>,
}

impl StoreFailure {
    pub(super) fn is_some(&self) -> bool {
        !self.reasons.is_empty()
    }
}

impl SyncError {
    /// Why the store could not be written, if that is what went wrong.
    fn of_commit(&self) -> Option<&CommitError> {
        match self {
            Self::Commit(error)
            | Self::Apply(ApplyError::Commit(error))
            | Self::Undo(UndoError::Commit(error))
            | Self::Retain(RetainError::Commit(error)) => Some(error),
            _ => None,
        }
    }

    /// Returns whether the store could not be written.
    pub(super) fn is_of_store(&self) -> bool {
        self.of_commit().is_some()
    }
}

impl Sync {
    /// Goes a round; makes the store writable first if it has failed.
    pub(super) fn attempt(
        &mut self,
        reading: Reading,
        on_event: &mut dyn FnMut(SyncEvent<'_>),
    ) -> Result<Outcome, SyncError> {
        if self.store_failure.is_some() {
            self.recover_store(on_event)?;
        }
        let outcome = self.round(reading, on_event)?;
        if self.store_failure.is_some() && outcome != Outcome::Stopped {
            self.store_failure = StoreFailure::default();
            on_event(SyncEvent::StoreBack);
        }
        Ok(outcome)
    }

    /// Tells of a store that could not be written, each reason once; false when the error is another.
    pub(super) fn note_store_failure(
        &mut self,
        error: &SyncError,
        on_event: &mut dyn FnMut(SyncEvent<'_>),
    ) -> bool {
        let Some(error) = error.of_commit() else {
            return false;
        };
        let reasons = &mut self.store_failure.reasons;
        if !reasons.iter().any(|known| known.is_like(error)) {
            if reasons.len() < MAX_REASONS {
                reasons.push(error.clone());
            }
            on_event(SyncEvent::StoreFailed(error));
        }
        true
    }

    fn recover_store(&mut self, on_event: &mut dyn FnMut(SyncEvent<'_>)) -> Result<(), SyncError> {
        let before = self.index.headers().tip();
        self.index.recover().map_err(|error| match error {
            OpenError::Commit(error) => error,
            // Whatever it is: what was published can still be read, and nothing is to be deleted.
            error => CommitError::failed(error),
        })?;
        let tip = self.index.headers().tip();
        if let Some(personal) = &mut self.personal {
            personal.read_again();
        }
        let shown = self
            .published
            .as_ref()
            .map(|all| all.view().headers().tip());
        if self.personal.is_none() && shown == Some(tip) {
            // The store keeps what snapshots need that it gave out itself, so nobody should stay with an older one.
            self.changes.note_headers();
            self.publish(on_event);
        } else if before != tip {
            self.changes.note_everything();
        }
        Ok(())
    }
}
