//! What is told when a view takes the place of another.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use electrum_protocol::ScriptHash;

use crate::answers::Answers;
use crate::view::View;

/// The newest view, and answers that were computed from it. Readers take it without waiting, whatever the writer does.
pub struct Published {
    view: ArcSwap<View>,
    answers: Answers,
    /// Answers of listeners that show some wallets: they are not those of others.
    apart: Mutex<Vec<Arc<Answers>>>,
    answer_memory: usize,
}

/// A listener that shows some wallets has this part of the memory for answers, besides what there is for all.
const APART: usize = 8;

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
            apart: Mutex::default(),
            answer_memory: bytes,
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
        for answers in self.apart().iter() {
            answers.advance(view.sequence(), touched);
        }
        self.view.store(Arc::new(view));
    }

    /// Returns the answers that were computed from views.
    pub(crate) fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Makes room for the answers that are computed from what views show of some wallets.
    pub(crate) fn answers_apart(&self) -> Arc<Answers> {
        let mut apart = self.apart();
        // A view that is published meanwhile is waited for in `publish`.
        let answers = Answers::new(self.view.load().sequence(), self.answer_memory / APART);
        let answers = Arc::new(answers);
        apart.push(answers.clone());
        answers
    }

    fn apart(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Answers>>> {
        // Nothing panics while it is held.
        self.apart.lock().unwrap_or_else(PoisonError::into_inner)
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
