//! What a client wants to be told about, and what it was told last.
//!
//! Changes are remembered as marks, not as messages, so however slowly a client reads, they cost no more than its
//! subscriptions.

use std::collections::{HashMap, HashSet};

use electrum_protocol::method::headers::Tip;
use electrum_protocol::{ScriptHash, Status};

use super::limits::Limits;
use super::quota::Quota;
use super::reply::MethodError;
use crate::notify::Touched;

/// The subscriptions of one session.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// The tip that was sent last, when headers are subscribed to.
    headers: Option<Tip>,
    /// The status of each script that was sent last.
    scripts: HashMap<ScriptHash, Option<Status>>,
    marks: Marks,
    quota: Quota,
}

/// Subscriptions whose status may differ from the one that was sent last.
#[derive(Debug)]
enum Marks {
    Some(HashSet<ScriptHash>),
    All,
}

impl Default for Marks {
    fn default() -> Self {
        Self::Some(HashSet::new())
    }
}

impl Subscriptions {
    /// Subscribes to headers; `tip` is what the client is told now.
    pub(super) fn subscribe_headers(&mut self, tip: Tip) {
        self.headers = Some(tip);
    }

    /// Records `tip` as sent. Returns whether the client wants to be told and does not know it yet.
    pub(super) fn is_news(&mut self, tip: &Tip) -> bool {
        match &mut self.headers {
            Some(sent) if sent != tip => {
                *sent = *tip;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Counts subscriptions where those of others are counted. Must be called before there are any.
    pub(super) fn count_in(&mut self, quota: Quota) {
        self.quota = quota;
    }

    /// Checks that one more script may be subscribed to.
    pub(super) fn admit(
        &self,
        script_hash: &ScriptHash,
        limits: &Limits,
    ) -> Result<(), MethodError> {
        if self.scripts.contains_key(script_hash) {
            return Ok(());
        }
        let max = limits.max_subscriptions;
        if self.scripts.len() >= max {
            return Err(MethodError::TooManySubscriptions { max });
        }
        self.quota.admit(limits)
    }

    /// Subscribes to a script; `status` is what the client is told now.
    pub(super) fn subscribe(&mut self, script_hash: ScriptHash, status: Option<Status>) {
        if self.scripts.insert(script_hash, status).is_none() {
            self.quota.take(1);
        }
        if let Marks::Some(marked) = &mut self.marks {
            marked.remove(&script_hash);
        }
    }

    /// Ends a subscription; returns whether there was one.
    pub(super) fn unsubscribe(&mut self, script_hash: &ScriptHash) -> bool {
        if let Marks::Some(marked) = &mut self.marks {
            marked.remove(script_hash);
        }
        let was_there = self.scripts.remove(script_hash).is_some();
        if was_there {
            self.quota.give_back(1);
        }
        was_there
    }

    /// Marks the subscriptions that an update touched.
    pub(super) fn touch(&mut self, touched: &Touched) {
        match (touched, &mut self.marks) {
            (Touched::Everything, _) => self.touch_all(),
            (Touched::Scripts(_), Marks::All) => {}
            (Touched::Scripts(touched), Marks::Some(marked)) => {
                // Blocks touch thousands of scripts, most clients subscribe to a few; but not all.
                if touched.len() < self.scripts.len() {
                    marked.extend(
                        touched
                            .iter()
                            .filter(|hash| self.scripts.contains_key(hash)),
                    );
                } else {
                    marked.extend(self.scripts.keys().filter(|hash| touched.contains(hash)));
                }
            }
        }
    }

    /// Marks every subscription.
    pub(super) fn touch_all(&mut self) {
        if !self.scripts.is_empty() {
            self.marks = Marks::All;
        }
    }

    /// Returns whether any subscription is marked.
    pub(super) fn has_marks(&self) -> bool {
        match &self.marks {
            Marks::Some(marked) => !marked.is_empty(),
            Marks::All => !self.scripts.is_empty(),
        }
    }

    /// Takes up to `count` marks away and returns the scripts.
    pub(super) fn take_marks(&mut self, count: usize) -> Vec<ScriptHash> {
        if let Marks::All = self.marks {
            self.marks = Marks::Some(self.scripts.keys().copied().collect());
        }
        let Marks::Some(marked) = &mut self.marks else {
            return Vec::new();
        };
        if marked.len() <= count {
            return marked.drain().collect();
        }
        let taken: Vec<_> = marked.iter().take(count).copied().collect();
        for script_hash in &taken {
            marked.remove(script_hash);
        }
        taken
    }

    /// Records `status` as sent. Returns whether it differs from the one that was sent last.
    pub(super) fn is_change(&mut self, script_hash: &ScriptHash, status: Option<Status>) -> bool {
        match self.scripts.get_mut(script_hash) {
            Some(sent) if *sent != status => {
                *sent = status;
                true
            }
            Some(_) | None => false,
        }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.quota.give_back(self.scripts.len());
    }
}
