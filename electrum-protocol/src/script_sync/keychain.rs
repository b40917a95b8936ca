//! Scripts by their index, and how far they are looked for.

use bitcoin::ScriptBuf;

use crate::ScriptHash;

/// Where the scripts of a keychain come from: a function of the index, or a list.
pub trait Scripts {
    /// Returns the script of an index; nothing from the first index on that has none. Always the same.
    fn script(&self, index: u32) -> Option<ScriptBuf>;
}

impl<F: Fn(u32) -> Option<ScriptBuf>> Scripts for F {
    fn script(&self, index: u32) -> Option<ScriptBuf> {
        self(index)
    }
}

impl Scripts for Vec<ScriptBuf> {
    fn script(&self, index: u32) -> Option<ScriptBuf> {
        self.get(index as usize).cloned()
    }
}

/// A keychain and what is known of it.
pub(super) struct Keychain {
    source: Box<dyn Scripts + Send + Sync>,
    gap: u32,
    /// The hashes of the scripts that are watched, by index.
    pub(super) watched: Vec<ScriptHash>,
    /// The highest index that was ever used.
    pub(super) used: Option<u32>,
    exhausted: bool,
}

impl core::fmt::Debug for Keychain {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Keychain")
            .field("gap", &self.gap)
            .field("watched", &self.watched.len())
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

impl Keychain {
    pub(super) fn new(source: Box<dyn Scripts + Send + Sync>, gap: u32) -> Self {
        Self {
            source,
            gap,
            watched: Vec::new(),
            used: None,
            exhausted: false,
        }
    }

    /// The index after the highest that was ever used.
    pub(super) fn next(&self) -> u32 {
        self.used.map_or(0, |used| used.saturating_add(1))
    }

    /// Derives the next script that has to be watched for the gap, if there is one, and its index.
    pub(super) fn derive(&mut self) -> Option<(u32, ScriptBuf)> {
        let index = u32::try_from(self.watched.len()).ok()?;
        if self.exhausted || index >= self.next().saturating_add(self.gap) {
            return None;
        }
        let script = self.source.script(index);
        self.exhausted = script.is_none();
        let script = script?;
        self.watched.push(ScriptHash::from_script(&script));
        Some((index, script))
    }

    /// Notes that an index was used.
    pub(super) fn use_index(&mut self, index: u32) {
        self.used = self.used.max(Some(index));
    }
}
