//! Things that are watched, what was said of each last, and which may have changed since.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Things that are watched.
#[derive(Debug)]
pub(super) struct Watch<K, V> {
    /// What was said last.
    sent: HashMap<K, V>,
    marks: Marks<K>,
}

/// Things of which something else may be said now.
#[derive(Debug)]
enum Marks<K> {
    Some(HashSet<K>),
    All,
}

impl<K, V> Default for Watch<K, V> {
    fn default() -> Self {
        Self {
            sent: HashMap::new(),
            marks: Marks::Some(HashSet::new()),
        }
    }
}

impl<K: Copy + Eq + Hash, V> Watch<K, V> {
    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.sent.contains_key(key)
    }

    /// Returns what was said last.
    pub(super) fn last(&self, key: &K) -> Option<&V> {
        self.sent.get(key)
    }

    /// Returns what was said last, to change it.
    pub(super) fn last_mut(&mut self, key: &K) -> Option<&mut V> {
        self.sent.get_mut(key)
    }

    /// Returns what was said last of everything.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.sent.values()
    }

    /// Begins to watch; `value` is what is said now.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.sent.insert(key, value);
        self.unmark(&key);
    }

    /// Watches no longer; returns whether it was watched.
    pub(super) fn remove(&mut self, key: &K) -> bool {
        self.unmark(key);
        self.sent.remove(key).is_some()
    }

    fn unmark(&mut self, key: &K) {
        if let Marks::Some(marked) = &mut self.marks {
            marked.remove(key);
        }
    }

    /// Marks those of `keys` that are watched.
    pub(super) fn mark_these(&mut self, keys: &HashSet<K>) {
        let Marks::Some(marked) = &mut self.marks else {
            return;
        };
        // Blocks touch thousands of scripts, most clients watch a few; but not all.
        if keys.len() < self.sent.len() {
            marked.extend(keys.iter().filter(|key| self.sent.contains_key(key)));
        } else {
            marked.extend(self.sent.keys().filter(|key| keys.contains(key)));
        }
    }

    /// Marks those that a test picks by what was said last.
    pub(super) fn mark_where(&mut self, test: impl Fn(&K, &V) -> bool) {
        if let Marks::Some(marked) = &mut self.marks {
            let picked = self.sent.iter().filter(|(key, value)| test(key, value));
            marked.extend(picked.map(|(key, _)| *key));
        }
    }

    /// Marks everything.
    pub(super) fn mark_all(&mut self) {
        if !self.sent.is_empty() {
            self.marks = Marks::All;
        }
    }

    /// Returns whether anything is marked.
    pub(super) fn has_marks(&self) -> bool {
        match &self.marks {
            Marks::Some(marked) => !marked.is_empty(),
            Marks::All => !self.sent.is_empty(),
        }
    }

    /// Returns how many are marked.
    pub(super) fn marks(&self) -> usize {
        match &self.marks {
            Marks::Some(marked) => marked.len(),
            Marks::All => self.sent.len(),
        }
    }

    /// Takes up to `count` marks away and returns what was marked.
    pub(super) fn take_marks(&mut self, count: usize) -> Vec<K> {
        if let Marks::All = self.marks {
            self.marks = Marks::Some(self.sent.keys().copied().collect());
        }
        let Marks::Some(marked) = &mut self.marks else {
            return Vec::new();
        };
        if marked.len() <= count {
            return marked.drain().collect();
        }
        let taken: Vec<_> = marked.iter().take(count).copied().collect();
        for key in &taken {
            marked.remove(key);
        }
        taken
    }
}

impl<K: Copy + Eq + Hash, V: PartialEq> Watch<K, V> {
    /// Records `value` as said. Returns whether it differs from what was said last.
    pub(super) fn is_change(&mut self, key: &K, value: V) -> bool {
        match self.sent.get_mut(key) {
            Some(sent) if *sent != value => {
                *sent = value;
                true
            }
            Some(_) | None => false,
        }
    }
}
