//! What was learned from the node of single transactions, so that it is not asked again in vain.

use std::fmt;

use bitcoin::Txid;
use quick_cache::sync::Cache;

/// Transactions of which something is remembered, the latest ones.
pub(super) struct Lookups {
    /// Those whose verbose answer was larger than what is sent.
    too_large: Cache<Txid, ()>,
    /// Those that the node has and the view does not, although it was made current.
    foreign: Cache<Txid, ()>,
}

/// How many are remembered of each kind; one takes some 100 bytes.
const REMEMBERED: usize = 4096;

impl Default for Lookups {
    fn default() -> Self {
        Self {
            too_large: Cache::new(REMEMBERED),
            foreign: Cache::new(REMEMBERED),
        }
    }
}

impl Lookups {
    /// Whether the verbose answer for a transaction was too large.
    pub(super) fn is_too_large(&self, txid: &Txid) -> bool {
        self.too_large.get(txid).is_some()
    }

    pub(super) fn note_too_large(&self, txid: Txid) {
        self.too_large.insert(txid, ());
    }

    /// Whether a current view did not have a transaction that the node had: making it current again would not help.
    pub(super) fn is_foreign(&self, txid: &Txid) -> bool {
        self.foreign.get(txid).is_some()
    }

    pub(super) fn note_foreign(&self, txid: Txid) {
        self.foreign.insert(txid, ());
    }
}

impl fmt::Debug for Lookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups")
            .field("too_large", &self.too_large.len())
            .field("foreign", &self.foreign.len())
            .finish()
    }
}

/// The least number of bytes of the verbose answer for a transaction of so many bytes.
///
/// Each byte stands in it as two hexadecimal digits in `hex`, and again in the field that it is part of, in which scripts
/// and witnesses are hexadecimal as well, and everything else takes more room than in the transaction. A sixteenth is
/// taken off for the lengths that are not told.
pub(crate) fn least_verbose(transaction: usize) -> usize {
    let all = transaction.saturating_mul(4);
    all.saturating_sub(transaction / 16 + 200)
}
