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
    exhausted: bool,
}

impl core::fmt::Debug for Keychain {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Keychain")
            .field("gap", &self.gap)
            .field("watched", &self.watched.len())
            .finish_non_exhaustive()
    }
}

impl Keychain {
    pub(super) fn new(source: Box<dyn Scripts + Send + Sync>, gap: u32) -> Self {
        Self {
            source,
            gap,
            watched: Vec::new(),
            exhausted: false,
        }
    }

    /// How many scripts have to be watched when none is used.
    pub(super) fn unused_count(&self) -> u32 {
        self.gap
    }

    /// How many scripts have to be watched when that of an index is used.
    pub(super) fn count_beyond(&self, index: u32) -> u32 {
        index.saturating_add(1).saturating_add(self.gap)
    }

    /// Derives the next script and its index, until so many are watched.
    pub(super) fn derive(&mut self, count: u32) -> Option<(u32, ScriptBuf)> {
        let index = u32::try_from(self.watched.len()).ok()?;
        if self.exhausted || index >= count {
            return None;
        }
        let script = self.source.script(index);
        self.exhausted = script.is_none();
        let script = script?;
        self.watched.push(ScriptHash::from_script(&script));
        Some((index, script))
    }
}
