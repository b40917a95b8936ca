//! News that waits to be read.

use std::collections::{HashMap, VecDeque};

use crate::notification::Notification;
use crate::subscription::Topic;

/// What is new, the oldest topic first, and of each topic the last.
#[derive(Debug, Default)]
pub(crate) struct News {
    order: VecDeque<Topic>,
    latest: HashMap<Topic, Notification>,
}

impl News {
    pub(crate) fn push(&mut self, topic: Topic, notification: Notification) {
        if self.latest.insert(topic.clone(), notification).is_none() {
            self.order.push_back(topic);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Notification> {
        let topic = self.order.pop_front()?;
        self.latest.remove(&topic)
    }

    pub(crate) fn forget(&mut self, topic: &Topic) {
        if self.latest.remove(topic).is_some() {
            self.order.retain(|other| other != topic);
        }
    }
}
