//! Everything that is told, as one stream.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use ::tokio::sync::mpsc;
use futures_core::Stream;

use super::connection::Command;
use crate::net;
use crate::notification::Notification;
use crate::subscription::Topic;

/// What a server tells about everything that was subscribed to by hand: a [`Stream`] that ends with the connection.
///
/// Of several news about one thing the last is told.
pub struct News {
    feed: Arc<Everything>,
    /// The connection lasts as long as somebody listens.
    _commands: mpsc::UnboundedSender<Command>,
}

impl News {
    pub(super) fn new(feed: Arc<Everything>, commands: mpsc::UnboundedSender<Command>) -> Self {
        Self {
            feed,
            _commands: commands,
        }
    }

    /// Waits for the next news; nothing when the connection has ended. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Notification> {
        poll_fn(|context| self.feed.poll(context)).await
    }

    /// Returns news that came already, without waiting.
    pub fn try_next(&mut self) -> Option<Notification> {
        self.feed.with(|state| state.news.pop())
    }
}

impl Stream for News {
    type Item = Notification;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Notification>> {
        self.feed.poll(context)
    }
}

impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("News").finish_non_exhaustive()
    }
}

/// What connects a stream of news with the connection.
#[derive(Debug, Default)]
pub(super) struct Everything(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    news: net::News,
    waker: Option<Waker>,
    ended: bool,
}

impl Everything {
    /// Tells the news.
    pub(super) fn tell(&self, topic: Topic, notification: Notification) {
        self.change(|state| state.news.push(topic, notification));
    }

    /// Forgets news that an answer has overtaken.
    pub(super) fn forget(&self, topic: &Topic) {
        self.with(|state| state.news.forget(topic));
    }

    /// Tells that there will be no more.
    pub(super) fn end(&self) {
        self.change(|state| state.ended = true);
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Option<Notification>> {
        self.with(|state| match state.news.pop() {
            Some(news) => Poll::Ready(Some(news)),
            None if state.ended => Poll::Ready(None),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        })
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let waker = self.with(|state| {
            change(state);
            state.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // Each change is whole.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
