//! The index: which transactions touch which script, kept in a [`Store`].
//!
//! [`BlockRows::derive`] turns a block into rows and needs nothing but the block; it may run on any thread. The one
//! [`Index`] applies them in chain order and undoes them in reverse. A [view](crate::view) answers from it.
//!
//! Rows are only ever added: what an output is worth stands in the row of the transaction that made it, and that it is
//! spent stands in the row of the transaction that spends it. So there is no table of unspent outputs to keep up to
//! date, and nothing is looked up while a block is indexed. The formats are in `docs/store-format.md`.

mod bulk;
mod open;
mod personal;
mod reader;
mod rows;
mod scope;
mod spender;
mod writer;

use std::sync::Arc;

use bitcoin::BlockHash;

use crate::chain::HeaderChain;
use crate::store::{Segments, Snapshot, Store};
use crate::view::Trees;

pub(crate) use bulk::{BlockRecords, Bulk};
pub use open::OpenError;
pub(crate) use open::{META_KEY, META_SEGMENTS};
pub use personal::RetainError;
pub(crate) use personal::{Admitted, Coins, Found, look_for};
pub(crate) use reader::Reader;
pub use rows::{BlockRows, RowKey, RowsError};
pub(crate) use rows::{Delta, PREFIX_LEN};
pub(crate) use scope::Scope;
pub use writer::{ApplyError, UndoError};

/// How many blocks can be undone from the database alone.
///
/// The deepest reorganization that Bitcoin has seen undid 53 blocks (in 2010), and nodes count on no more than 100: so
/// long a coinbase cannot be spent.
pub const UNDO_DEPTH: u32 = 200;

/// The index of one chain. There is one per database, and it is the only one that writes.
#[derive(Debug)]
pub struct Index {
    store: Arc<dyn Store>,
    key: RowKey,
    genesis: BlockHash,
    headers: HeaderChain,
    trees: Arc<Trees>,
    /// Whether it has the transactions of some wallets only.
    personal: bool,
}

impl Index {
    /// Returns the key with which rows for this index are derived.
    pub fn key(&self) -> RowKey {
        self.key
    }

    /// Returns the indexed chain.
    pub fn headers(&self) -> &HeaderChain {
        &self.headers
    }

    /// Returns the files that were built in bulk, if the store has any.
    pub(crate) fn segments(&self) -> Option<&Arc<Segments>> {
        self.store.segments()
    }

    /// Returns the trees of the blocks of which proofs were wanted; views share them.
    pub(crate) fn trees(&self) -> &Arc<Trees> {
        &self.trees
    }

    /// Returns whether it has the transactions of some wallets only.
    pub fn is_personal(&self) -> bool {
        self.personal
    }

    /// Returns the rows as they are now.
    pub fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.store.snapshot()
    }
}

#[cfg(test)]
pub(crate) mod tests;
