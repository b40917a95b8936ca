//! What is told when a view takes the place of another.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use electrum_protocol::ScriptHash;

use crate::answers::Answers;
use crate::view::View;

/// The newest view, and answers that were computed from it. Readers take it without waiting, whatever the writer does.
pub struct Published {
    view: ArcSwap<View>,
    answers: Answers,
}

/// How many bytes of memory are for answers that several clients may want, if nothing else is said.
pub const ANSWER_MEMORY: usize = 64 << 20;

impl Published {
    /// Publishes a first view.
    pub fn new(view: View) -> Self {
        Self::with_answer_memory(view, ANSWER_MEMORY)
    }

    /// The same, with so many bytes of memory for answers that several clients may want.
    pub fn with_answer_memory(view: View, bytes: usize) -> Self {
        Self {
            answers: Answers::new(view.sequence(), bytes),
            view: ArcSwap::from_pointee(view),
        }
    }

    /// Returns the newest view.
    pub fn view(&self) -> View {
        View::clone(&self.view.load())
    }

    /// Publishes a view in the place of the one before. `touched` are the scripts that it may have changed.
    pub fn publish(&self, view: View, touched: &Touched) {
        self.answers.advance(view.sequence(), touched);
        self.view.store(Arc::new(view));
    }

    /// Returns the answers that were computed from views.
    pub(crate) fn answers(&self) -> &Answers {
        &self.answers
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Published").field(&self.view()).finish()
    }
}

/// Says that a newer view has been published.
///
/// The view itself is not in here: whoever is told takes the newest there is, and a message that waits keeps no old view
/// alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The sequence number of the view.
    pub sequence: u64,
    /// The scripts that may have another status than in the view before.
    pub touched: Touched,
}

/// Scripts whose histories may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// These, and no others.
    Scripts(HashSet<ScriptHash>),
    /// Any: blocks were undone.
    Everything,
}
