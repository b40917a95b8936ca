//! What a client wants to be told about, and what it was told last.
//!
//! Changes are remembered as marks, not as messages, so however slowly a client reads, they cost no more than its
//! subscriptions.

mod others;
mod watch;

use electrum_protocol::method::headers::{Tip, TipResponse};
use electrum_protocol::{Notification, ScriptHash, Status};

pub(super) use others::{Others, Output};
use watch::Watch;

use super::limits::Limits;
use super::quota::Quota;
use super::reply::MethodError;
use crate::notify::Touched;

/// The subscriptions of one session.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// The tip that was sent last, and in which forms.
    tip: Option<Tip>,
    headers: Option<Form>,
    numblocks: bool,
    /// The status of each script that was sent last.
    scripts: Watch<ScriptHash, Option<Status>>,
    /// What few clients subscribe to.
    others: Option<Box<Others>>,
    quota: Quota,
    /// How many of them are counted there.
    counted: usize,
}

/// How a client wants headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    raw: bool,
}

impl Subscriptions {
    /// Subscribes to headers in one form or the other; `tip` is what the client is told now.
    pub(super) fn subscribe_headers(&mut self, tip: Tip, raw: bool) {
        self.headers = Some(Form { raw });
        self.tip = Some(tip);
    }

    /// Subscribes to the number of blocks; `tip` is what the client is told now.
    pub(super) fn subscribe_numblocks(&mut self, tip: Tip) {
        self.numblocks = true;
        self.tip = Some(tip);
    }

    /// Ends the subscription to headers; returns whether there was one.
    pub(super) fn unsubscribe_headers(&mut self) -> bool {
        self.headers.take().is_some()
    }

    /// Records `tip` as sent. Returns what is to be said, if the client wants to be told and does not know it yet.
    pub(super) fn news_of(&mut self, tip: Tip) -> impl Iterator<Item = Notification> + use<> {
        let known = self.tip == Some(tip);
        if self.tip.is_some() {
            self.tip = Some(tip);
        }
        let headers = self
            .headers
            .map(|form| Notification::Headers(TipResponse::new(tip, form.raw)));
        let numblocks = self
            .numblocks
            .then_some(Notification::Numblocks(tip.height));
        headers.into_iter().chain(numblocks).filter(move |_| !known)
    }

    /// Returns the number of all subscriptions but that to headers.
    fn len(&self) -> usize {
        let others = self.others.as_ref().map_or(0, |others| others.len());
        self.scripts.len().saturating_add(others)
    }

    /// Checks that there may be one more, unless it is there already.
    pub(super) fn admit(&self, is_there: bool, limits: &Limits) -> Result<(), MethodError> {
        let max = limits.max_subscriptions;
        match self.len() < max {
            _ if is_there => Ok(()),
            true => self.quota.admit(limits),
            false => Err(MethodError::TooManySubscriptions { max }),
        }
    }

    /// Says where subscriptions are counted with those of others. Must be called before there are any.
    pub(super) fn count_in(&mut self, quota: Quota) {
        self.quota = quota;
    }

    /// Counts with those of others what has come and gone since this was called last.
    pub(super) fn settle(&mut self) {
        let now = self.len();
        let before = std::mem::replace(&mut self.counted, now);
        match now.checked_sub(before) {
            Some(more) => self.quota.take(more),
            None => self.quota.give_back(before - now),
        }
    }

    /// Whether a script is subscribed to.
    pub(super) fn has_script(&self, script_hash: &ScriptHash) -> bool {
        self.scripts.contains(script_hash)
    }

    /// Subscribes to a script; `status` is what the client is told now.
    pub(super) fn subscribe(&mut self, script_hash: ScriptHash, status: Option<Status>) {
        let is_news = self.is_news(&script_hash, status);
        if let Some(others) = &mut self.others {
            if is_news {
                others.owe(&script_hash, None, status);
            }
            others.name_by_hash(&script_hash);
        }
        self.scripts.insert(script_hash, status);
    }

    /// Ends a subscription; returns whether there was one. No version that has this has subscriptions by address.
    pub(super) fn unsubscribe(&mut self, script_hash: &ScriptHash) -> bool {
        self.scripts.remove(script_hash)
    }

    /// Whether a script is subscribed to, and another status was sent last.
    fn is_news(&self, script_hash: &ScriptHash, status: Option<Status>) -> bool {
        let last = self.scripts.last(script_hash);
        last.is_some_and(|last| *last != status)
    }

    /// Takes what is to be said of scripts that were subscribed to again, by another name, before their change was told.
    pub(super) fn take_owed(&mut self) -> Vec<Notification> {
        let others = self.others.as_mut();
        others.map_or_else(Vec::new, |others| others.take_owed())
    }

    /// Subscribes to the script of an address; `status` is what the client is told now.
    pub(super) fn subscribe_address(
        &mut self,
        address: String,
        script_hash: ScriptHash,
        status: Option<Status>,
    ) {
        let by_hash = self.scripts.contains(&script_hash);
        let is_news = self.is_news(&script_hash, status);
        let others = self.others();
        others.add_address(address.clone(), script_hash, by_hash);
        if is_news {
            others.owe(&script_hash, Some(&address), status);
        }
        self.scripts.insert(script_hash, status);
    }

    /// Returns the rarer subscriptions, to add to them.
    pub(super) fn others(&mut self) -> &mut Others {
        self.others.get_or_insert_default()
    }

    /// Returns the rarer subscriptions, if there are any.
    pub(super) fn existing_others(&mut self) -> Option<&mut Others> {
        self.others.as_deref_mut()
    }

    /// Marks the subscriptions that an update touched.
    pub(super) fn touch(&mut self, touched: &Touched) {
        match touched {
            Touched::Everything => self.touch_all(),
            Touched::Scripts(touched) => {
                self.scripts.mark_these(touched);
                if let Some(others) = &mut self.others {
                    others.touch(touched);
                }
            }
        }
    }

    /// Marks every subscription.
    pub(super) fn touch_all(&mut self) {
        self.scripts.mark_all();
        if let Some(others) = &mut self.others {
            others.touch_all();
        }
    }

    /// Returns whether any script is marked.
    pub(super) fn has_marks(&self) -> bool {
        self.scripts.has_marks()
    }

    /// Returns how many scripts are marked.
    pub(super) fn marks(&self) -> usize {
        self.scripts.marks()
    }

    /// Takes up to `count` marks of scripts away and returns the scripts.
    pub(super) fn take_marks(&mut self, count: usize) -> Vec<ScriptHash> {
        self.scripts.take_marks(count)
    }

    /// Records `status` as sent. Returns what is to be said, if it differs from the one that was sent last: the same
    /// under each name that the script was subscribed to by.
    pub(super) fn news_of_script(
        &mut self,
        script_hash: ScriptHash,
        status: Option<Status>,
    ) -> Vec<Notification> {
        if !self.scripts.is_change(&script_hash, status) {
            return Vec::new();
        }
        let names = self
            .others
            .as_ref()
            .and_then(|others| others.names(&script_hash));
        let by_hash = Notification::ScriptHash {
            script_hash,
            status,
        };
        match names {
            None => vec![by_hash],
            Some(names) => {
                let addresses = names.addresses.iter().cloned();
                let by_address = addresses.map(|address| Notification::Address { address, status });
                names
                    .by_hash
                    .then_some(by_hash)
                    .into_iter()
                    .chain(by_address)
                    .collect()
            }
        }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.quota.give_back(self.counted);
    }
}
