//! How much a server may make a wallet hold.

/// How much there may be of what a server sends, and with it how much memory it can take.
///
/// [`max_memory`](Self::max_memory) says how much that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many scripts of a keychain are watched; the default is 100,000.
    pub scripts: usize,
    /// How many entries all histories have together; the default is a million. There are not more transactions.
    pub entries: usize,
    /// How many bytes all transactions have together; the default is 256 MiB.
    pub transaction_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            scripts: 100_000,
            entries: 1_000_000,
            transaction_bytes: 256 << 20,
        }
    }
}

/// The most that a script takes, in bytes.
const SCRIPT_MEMORY: usize = 2048;

/// The most that an entry of a history takes, in bytes, with its transaction but for what that consists of.
const ENTRY_MEMORY: usize = 2048;

/// The most bytes of memory for a byte of a transaction: an empty element of a witness is one byte, and five in memory.
const TRANSACTION_MEMORY: usize = 5;

/// The most that is there from the beginning, in bytes.
const BASE_MEMORY: usize = 16 * 1024;

impl Limits {
    /// Returns the most memory, in bytes, that a [`ScriptSync`](super::ScriptSync) with so many keychains holds, whatever
    /// its server sends:
    ///
    /// ```text
    /// 16384 + 2048 * keychains * scripts + 2048 * entries + 5 * transaction_bytes
    /// ```
    ///
    /// It is what is requested from the allocator between two calls of its methods; one that takes an answer needs room for
    /// a few copies of that answer while it runs. Up to 500 bytes for each script and the name of its keychain are in it,
    /// and nothing of what the keychain's [`Scripts`](super::Scripts) own.
    pub const fn max_memory(&self, keychains: usize) -> usize {
        let scripts = keychains.saturating_mul(self.scripts);
        let transactions = self.transaction_bytes.saturating_mul(TRANSACTION_MEMORY);
        BASE_MEMORY
            .saturating_add(scripts.saturating_mul(SCRIPT_MEMORY))
            .saturating_add(self.entries.saturating_mul(ENTRY_MEMORY))
            .saturating_add(transactions)
    }
}
