//! Large answers on their way to clients: one copy for all who wait for the same, made once.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use super::Question;
use crate::metrics::Metrics;
use crate::room::Room;

/// An answer that is sent to some clients. There is room for it for as long as one of them has not read it.
pub(crate) struct SharedAnswer {
    bytes: Arc<[u8]>,
    metrics: Arc<Metrics>,
    _room: Room,
}

impl SharedAnswer {
    /// Takes an answer and the room that was taken for it, of which it keeps as much as it needs.
    pub(crate) fn new(bytes: Arc<[u8]>, mut room: Room, metrics: Arc<Metrics>) -> Arc<Self> {
        room.shrink_to(bytes.len());
        metrics.buffered.fetch_add(bytes.len(), Ordering::Relaxed);
        Arc::new(Self {
            bytes,
            metrics,
            _room: room,
        })
    }
}

impl AsRef<[u8]> for SharedAnswer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for SharedAnswer {
    fn drop(&mut self) {
        let buffered = &self.metrics.buffered;
        buffered.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

impl fmt::Debug for SharedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedAnswer")
            .field(&self.bytes.len())
            .finish()
    }
}

/// The answers that are on their way, those that are being made, and who waits for them.
#[derive(Debug, Default)]
pub(crate) struct Sharing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// With the number of the view that each was computed from.
    answers: HashMap<Question, (u64, Weak<SharedAnswer>)>,
    begun: HashSet<Question>,
    waiting: HashMap<Question, Vec<(u64, Waker)>>,
    count: u64,
}

/// The right to make an answer, which one has at a time. Those who wait for the answer look again when this is dropped.
#[derive(Debug)]
pub(crate) struct Making {
    sharing: Arc<Sharing>,
    question: Question,
}

/// Ready when an answer is there, or is not being made any more.
#[derive(Debug)]
pub(crate) struct News {
    sharing: Arc<Sharing>,
    question: Question,
    number: Option<u64>,
}

impl Sharing {
    /// Returns the answer to a question in the view with this number, if it is on its way to anybody.
    pub(super) fn answer(&self, question: &Question, sequence: u64) -> Option<Arc<SharedAnswer>> {
        let state = self.state();
        let (of, answer) = state.answers.get(question)?;
        (*of <= sequence).then(|| answer.upgrade()).flatten()
    }

    pub(super) fn insert(&self, question: Question, sequence: u64, answer: &Arc<SharedAnswer>) {
        let mut state = self.state();
        state
            .answers
            .retain(|_, (_, answer)| answer.strong_count() > 0);
        let entry = (sequence, Arc::downgrade(answer));
        state.answers.insert(question, entry);
        state.wake(&question);
    }

    /// Begins to make an answer, unless somebody else is at it.
    pub(super) fn begin(self: &Arc<Self>, question: Question) -> Option<Making> {
        let is_first = self.state().begun.insert(question);
        is_first.then(|| Making {
            sharing: self.clone(),
            question,
        })
    }

    pub(super) fn news(self: &Arc<Self>, question: Question) -> News {
        News {
            sharing: self.clone(),
            question,
            number: None,
        }
    }

    /// Forgets the answers to these questions.
    pub(super) fn forget(&self, questions: impl Iterator<Item = Question>) {
        let mut state = self.state();
        if !state.answers.is_empty() {
            questions.for_each(|question| drop(state.answers.remove(&question)));
        }
    }

    pub(super) fn forget_all(&self) {
        self.state().answers.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&mut self, question: &Question) {
        let waiting = self.waiting.remove(question).unwrap_or_default();
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        let mut state = self.sharing.state();
        state.begun.remove(&self.question);
        state.wake(&self.question);
    }
}

impl Future for News {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.sharing.state();
        let Some(number) = this.number else {
            let answer = state.answers.get(&this.question);
            if answer.is_some_and(|(_, answer)| answer.strong_count() > 0) {
                return Poll::Ready(());
            }
            state.count += 1;
            let number = state.count;
            this.number = Some(number);
            let waiting = state.waiting.entry(this.question).or_default();
            waiting.push((number, cx.waker().clone()));
            return Poll::Pending;
        };
        let waiting = state.waiting.get_mut(&this.question);
        let mut waiting = waiting.into_iter().flatten();
        match waiting.find(|(other, _)| *other == number) {
            Some((_, waker)) => {
                waker.clone_from(cx.waker());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for News {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut state = self.sharing.state();
        if let Some(waiting) = state.waiting.get_mut(&self.question) {
            waiting.retain(|(other, _)| *other != number);
            if waiting.is_empty() {
                state.waiting.remove(&self.question);
            }
        }
    }
}
