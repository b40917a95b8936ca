//! Where rows are kept.
//!
//! A [`Store`] takes atomic batches and gives out [`Snapshot`]s, which later batches do not change. What the rows mean
//! is the affair of the [index](crate::index); their formats are in `docs/store-format.md`. There are two
//! implementations: [`FjallStore`] on disk, and [`MemoryStore`], its twin for tests and short lives.

#[cfg(feature = "fjall")]
mod fjall;
mod memory;
mod segments;
mod space;

use std::fmt;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "fjall")]
pub use self::fjall::{FjallOptions, FjallStore};
pub use memory::MemoryStore;
#[cfg(feature = "fuzzing")]
pub(crate) use segments::fuzz_piece;
pub use segments::{End, LayeredStore, Segments};
pub(crate) use segments::{HEADER_ROW, Records, Run, TX_ROW, decode_end, encode_end};
pub(crate) use space::Space;
pub use space::{disk_usage, free_space};

/// One sorted table of rows. Keys sort as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// The chain: one row per block.
    Headers,
    /// Transaction number to txid, and to where the transaction ends in its block.
    Txids,
    /// Txid to transaction number.
    TxNums,
    /// Script to what transactions did with it.
    History,
    /// Which history rows the newest blocks made.
    Undo,
    /// What the database is.
    Meta,
    /// In the index of some wallets: the transactions themselves, and what proves them.
    Kept,
    /// In the index of some wallets: how far their scripts were looked for.
    Wallets,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 8] = [
        Self::Headers,
        Self::Txids,
        Self::TxNums,
        Self::History,
        Self::Undo,
        Self::Meta,
        Self::Kept,
        Self::Wallets,
    ];

    /// The tables whose rows follow from the chain alone (and from the database's secret key): they are the same however
    /// the database was built.
    pub const CONTENT: [Self; 4] = [Self::Headers, Self::Txids, Self::TxNums, Self::History];

    /// Returns the name of the table on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Txids => "txids",
            Self::TxNums => "tx_nums",
            Self::History => "history",
            Self::Undo => "undo",
            Self::Meta => "meta",
            Self::Kept => "kept",
            Self::Wallets => "wallets",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Changes that happen together or not at all. Of several changes to one key the last counts.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    changes: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
    size: usize,
}

impl Batch {
    /// Puts a row, in the place of one with the same key.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        let (key, value) = (key.into(), value.into());
        self.size += key.len() + value.len();
        self.changes.push((table, key, Some(value)));
    }

    /// Deletes a row, if there is one.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        let key = key.into();
        self.size += key.len();
        self.changes.push((table, key, None));
    }

    /// Returns the changes, in order: table, key, and the value, or none where the row is deleted.
    pub fn into_changes(self) -> impl Iterator<Item = (Table, Vec<u8>, Option<Vec<u8>>)> {
        self.changes.into_iter()
    }

    /// Returns the number of bytes in the keys and values.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// What a committed batch survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process. After a power cut the newest batches may be gone, whole and newest first.
    Process,
    /// A power cut as well.
    Disk,
}

/// A database of sorted tables.
pub trait Store: fmt::Debug + Send + Sync {
    /// Makes all changes of a batch.
    ///
    /// # Errors
    ///
    /// When the batch could not be written; none of it is there then, or all of it.
    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError>;

    /// Makes everything that was committed survive a power cut.
    ///
    /// # Errors
    ///
    /// When it could not be written.
    fn persist(&self) -> Result<(), CommitError>;

    /// Makes the store writable again after [`commit`](Self::commit) or [`persist`](Self::persist) has failed. Everything
    /// that was committed before is there; a batch whose commit failed is there, or is not. The rows must be read again.
    /// Snapshots from before remain valid. Does little when nothing has failed.
    ///
    /// # Errors
    ///
    /// When the store cannot be written yet. It is to be tried again later.
    fn recover(&self) -> Result<(), CommitError> {
        Ok(())
    }

    /// Returns the rows of now.
    fn snapshot(&self) -> Arc<dyn Snapshot>;

    /// Returns the files that a bulk build may add to, if this store has any.
    fn segments(&self) -> Option<&Arc<Segments>> {
        None
    }
}

/// The rows of a moment.
pub trait Snapshot: fmt::Debug + Send + Sync {
    /// Returns the value of a row.
    ///
    /// # Errors
    ///
    /// When the row could not be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;

    /// Shows `visit` the rows with keys in `range`, in the order of their keys, until it breaks off. A range that ends
    /// before it begins has none.
    ///
    /// # Errors
    ///
    /// When a row could not be read.
    fn scan(
        &self,
        table: Table,
        range: RangeInclusive<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), ReadError>;

    /// Returns the txid in a row of [`Table::Txids`]: as from [`get`](Self::get), but cheaper where that is possible,
    /// because most questions are about txids.
    ///
    /// # Errors
    ///
    /// When the row could not be read, or has another length.
    fn txid(&self, tx_num: u32) -> Result<Option<[u8; 32]>, ReadError> {
        let row = self.get(Table::Txids, &tx_num.to_be_bytes())?;
        row.map(|row| {
            let row: [u8; TX_ROW] = row
                .try_into()
                .map_err(|_| ReadError::damaged(Table::Txids, "a row has the wrong length"))?;
            Ok(segments::txid_of(&row))
        })
        .transpose()
    }
}

/// What a scan calls with the key and the value of each row.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// A database that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenStoreError {
    /// Another process has it open.
    #[error("the database in {} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("cannot open the database in {}: {message}", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the engine says.
        message: String,
    },
}

/// A batch that could not be written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// There is too little space on the disk. Nothing was written.
    #[error(
        "too little space on the disk of {}: {} MiB are free, {} MiB are needed",
        path.display(), free >> 20, needed.div_ceil(1 << 20)
    )]
    NoSpace {
        /// The folder that was to be written to.
        path: PathBuf,
        /// How many bytes are free.
        free: u64,
        /// How many bytes must be free.
        needed: u64,
    },
    /// The batch could not be written. [`Store::recover`] decides whether it is there.
    #[error("cannot write to the database: {message}")]
    Failed {
        /// What the engine says.
        message: String,
    },
}

impl CommitError {
    pub(crate) fn failed(message: impl ToString) -> Self {
        Self::Failed {
            message: message.to_string(),
        }
    }

    /// Returns whether it is the same reason as another, whatever the figures in it.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::NoSpace { path: a, .. }, Self::NoSpace { path: b, .. }) => a == b,
            (Self::Failed { message: a }, Self::Failed { message: b }) => a == b,
            (Self::NoSpace { .. } | Self::Failed { .. }, _) => false,
        }
    }
}

/// A row that could not be read, or that is not what it should be.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The engine failed.
    #[error("cannot read from the table {table}: {message}")]
    Engine {
        /// The table.
        table: Table,
        /// What the engine says.
        message: String,
    },
    /// A row has another length or content than its table's rows have, or is missing where another row refers to it.
    #[error("the table {table} is damaged: {problem}")]
    Damaged {
        /// The table.
        table: Table,
        /// What is wrong.
        problem: String,
    },
}

impl ReadError {
    pub(crate) fn damaged(table: Table, problem: impl Into<String>) -> Self {
        Self::Damaged {
            table,
            problem: problem.into(),
        }
    }
}

#[cfg(test)]
mod tests;
