//! What changes, as a stream.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use ::tokio::sync::mpsc;
use futures_core::Stream;

use super::connection::Command;
use crate::method::Request;
use crate::notification::Notification;
use crate::subscription::Topic;

/// How something stands, again and again: a [`Stream`] that ends with the connection.
///
/// Whoever reads late gets the last of several news only; what lies between is of the past. The server is told when
/// nobody listens any more, if the protocol has a way to say so.
pub struct Subscription<T> {
    first: T,
    update: fn(Notification) -> Option<T>,
    guard: Guard,
}

impl<T> Subscription<T> {
    pub(super) fn new(first: T, update: fn(Notification) -> Option<T>, guard: Guard) -> Self {
        Self {
            first,
            update,
            guard,
        }
    }

    /// Returns how things stood when the server answered.
    pub fn first(&self) -> &T {
        &self.first
    }

    /// Waits for the next change; nothing when the connection has ended. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<T> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Option<T>> {
        let mut news = self.guard.feed.lock();
        // Of the same topic, and yet of another kind: not for us.
        if let Some(update) = news.latest.take().and_then(self.update) {
            return Poll::Ready(Some(update));
        }
        if news.ended {
            return Poll::Ready(None);
        }
        news.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<T: Unpin> Stream for Subscription<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll(context)
    }
}

impl<T: fmt::Debug> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", &self.guard.feed.topic)
            .field("first", &self.first)
            .finish_non_exhaustive()
    }
}

/// What connects one subscription with the connection: room for the last news.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) topic: Topic,
    news: Mutex<News>,
}

#[derive(Debug, Default)]
struct News {
    latest: Option<Notification>,
    waker: Option<Waker>,
    ended: bool,
}

impl Feed {
    pub(super) fn new(topic: Topic) -> Arc<Self> {
        let news = Mutex::default();
        Arc::new(Self { topic, news })
    }

    /// Tells the news.
    pub(super) fn tell(&self, notification: Notification) {
        self.change(|news| news.latest = Some(notification));
    }

    /// Forgets news that an answer has overtaken.
    pub(super) fn forget(&self) {
        self.lock().latest = None;
    }

    /// Tells that there will be no more.
    pub(super) fn end(&self) {
        self.change(|news| news.ended = true);
    }

    fn change(&self, change: impl FnOnce(&mut News)) {
        let mut news = self.lock();
        change(&mut news);
        let waker = news.waker.take();
        drop(news);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        // Each change is whole.
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a subscription back when it is dropped.
pub(super) struct Guard {
    feed: Arc<Feed>,
    ending: Option<Request>,
    commands: mpsc::UnboundedSender<Command>,
}

impl Guard {
    pub(super) fn new(
        feed: Arc<Feed>,
        ending: Option<Request>,
        commands: mpsc::UnboundedSender<Command>,
    ) -> Self {
        Self {
            feed,
            ending,
            commands,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let command = Command::Unsubscribe(self.feed.clone(), self.ending.take());
        let _ = self.commands.send(command);
    }
}
