//! Opening a database: it must be ours, of this chain, and whole.

use std::ops::ControlFlow;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize;
use bitcoin::hashes::Hash;

use super::{Index, RowKey};
use crate::chain::HeaderChain;
use crate::store::{Batch, CommitError, Durability, ReadError, Snapshot, Store, Table};

/// The version of the row formats that this code reads and writes.
const FORMAT: u32 = 2;

/// The rows of the table [`Table::Meta`].
const META_FORMAT: &[u8] = b"format";
const META_GENESIS: &[u8] = b"genesis";
pub(crate) const META_KEY: &[u8] = b"key";
/// There when the index has the transactions of some wallets only.
const META_SCOPE: &[u8] = b"scope";
/// Where the rows of the [segments](crate::store::Segments) end, when blocks of theirs were undone.
pub(crate) const META_SEGMENTS: &[u8] = b"segments";

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It was written by another version of this software.
    #[error(
        "the index has format {found}, this version reads format {FORMAT}: delete it, and it is built again"
    )]
    OtherFormat {
        /// The format that it has.
        found: u32,
    },
    /// It belongs to another chain.
    #[error(
        "the index is of the chain that begins with {found}, not of the one that begins with {expected}"
    )]
    OtherChain {
        /// The genesis block that it is for.
        found: BlockHash,
        /// The genesis block that was asked for.
        expected: BlockHash,
    },
    /// It has the transactions of some wallets only, and all were wanted; or the other way round.
    #[error(
        "the index has the transactions of {}: choose another folder, or delete it",
        if *personal { "some wallets only, not of the whole chain" } else { "the whole chain, not of some wallets only" }
    )]
    OtherScope {
        /// Whether it has those of some wallets only.
        personal: bool,
    },
    /// Rows do not belong together.
    #[error("the index is damaged, delete it and it is built again: {0}")]
    Damaged(ReadError),
    /// It could not be read.
    #[error(transparent)]
    Read(ReadError),
    /// It could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The operating system gave no random bytes for a new index.
    #[error("no random bytes: {message}")]
    NoRandomness {
        /// What the operating system says.
        message: String,
    },
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged { .. } => Self::Damaged(error),
            ReadError::Engine { .. } => Self::Read(error),
        }
    }
}

impl Index {
    /// Opens the index of the chain that begins with `genesis`, or begins one in an empty store.
    ///
    /// # Errors
    ///
    /// When the store holds something else, when its rows contradict each other, or when it cannot be read or written.
    pub fn open(store: Arc<dyn Store>, genesis: BlockHash) -> Result<Self, OpenError> {
        Self::open_with_key(store, genesis, random_key()?)
    }

    /// The same, with the key that a new index gets: databases with the same key can be compared.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    pub fn open_with_key(
        store: Arc<dyn Store>,
        genesis: BlockHash,
        new_key: RowKey,
    ) -> Result<Self, OpenError> {
        Self::open_scope(store, genesis, new_key, false)
    }

    /// Opens the index of some wallets, or begins one in an empty store. Only
    /// [`Sync::personal`](crate::sync::Sync::personal) writes into it.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    pub fn open_personal(store: Arc<dyn Store>, genesis: BlockHash) -> Result<Self, OpenError> {
        Self::open_scope(store, genesis, random_key()?, true)
    }

    /// The same, with the key that a new index gets.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    pub fn open_personal_with_key(
        store: Arc<dyn Store>,
        genesis: BlockHash,
        new_key: RowKey,
    ) -> Result<Self, OpenError> {
        Self::open_scope(store, genesis, new_key, true)
    }

    fn open_scope(
        store: Arc<dyn Store>,
        genesis: BlockHash,
        new_key: RowKey,
        personal: bool,
    ) -> Result<Self, OpenError> {
        let snapshot = store.snapshot();
        let Some(format) = snapshot.get(Table::Meta, META_FORMAT)? else {
            check_empty(snapshot.as_ref())?;
            let mut batch = Batch::default();
            batch.put(Table::Meta, META_FORMAT, FORMAT.to_be_bytes());
            batch.put(Table::Meta, META_GENESIS, genesis.to_byte_array());
            batch.put(Table::Meta, META_KEY, new_key.to_byte_array());
            if personal {
                batch.put(Table::Meta, META_SCOPE, []);
            }
            store.commit(batch, Durability::Disk)?;
            return Ok(Self {
                store,
                key: new_key,
                genesis,
                headers: HeaderChain::default(),
                trees: Arc::default(),
                personal,
            });
        };
        let found = u32::from_be_bytes(meta(&format)?);
        if found != FORMAT {
            return Err(OpenError::OtherFormat { found });
        }
        let found = snapshot.get(Table::Meta, META_GENESIS)?.unwrap_or_default();
        let found = BlockHash::from_byte_array(meta(&found)?);
        if found != genesis {
            return Err(OpenError::OtherChain {
                found,
                expected: genesis,
            });
        }
        let found = snapshot.get(Table::Meta, META_SCOPE)?.is_some();
        if found != personal {
            // Nothing was found out for the other scope: it was begun, and perhaps given headers.
            if !has_no_transactions(snapshot.as_ref())? {
                return Err(OpenError::OtherScope { personal: found });
            }
            let key = snapshot.get(Table::Meta, META_KEY)?.unwrap_or_default();
            let key = RowKey::from_byte_array(meta(&key)?);
            return Self::change_scope(store, genesis, key, personal);
        }
        let key = snapshot.get(Table::Meta, META_KEY)?.unwrap_or_default();
        let key = RowKey::from_byte_array(meta(&key)?);
        let headers = read_headers(snapshot.as_ref(), genesis)?;
        if !personal {
            check_numbers(snapshot.as_ref(), &headers)?;
        }
        Ok(Self {
            store,
            key,
            genesis,
            headers,
            trees: Arc::default(),
            personal,
        })
    }
}

impl Index {
    /// Makes the index writable again after a commit that failed, and reads from the store what is there: the newest blocks
    /// may be gone, or a block be there whose commit failed.
    ///
    /// # Errors
    ///
    /// When the store cannot be written yet, or cannot be used any more.
    pub(crate) fn recover(&mut self) -> Result<(), OpenError> {
        self.store.recover()?;
        let found = Self::open_scope(self.store.clone(), self.genesis, self.key, self.personal)?;
        self.key = found.key;
        self.headers = found.headers;
        Ok(())
    }

    /// Makes an index without transactions one of the other scope.
    fn change_scope(
        store: Arc<dyn Store>,
        genesis: BlockHash,
        key: RowKey,
        personal: bool,
    ) -> Result<Self, OpenError> {
        let mut batch = Batch::default();
        // Each is read anew: of the whole chain there are no headers without transactions.
        store
            .snapshot()
            .scan(Table::Headers, &[]..=&[0xff; 16], &mut |height, _| {
                batch.delete(Table::Headers, height);
                ControlFlow::Continue(())
            })?;
        match personal {
            true => batch.put(Table::Meta, META_SCOPE, []),
            false => batch.delete(Table::Meta, META_SCOPE),
        }
        store.commit(batch, Durability::Disk)?;
        Ok(Self {
            store,
            key,
            genesis,
            headers: HeaderChain::default(),
            trees: Arc::default(),
            personal,
        })
    }
}

/// Whether nothing is in the database but what says which one it is, and headers.
fn has_no_transactions(snapshot: &dyn Snapshot) -> Result<bool, ReadError> {
    let tables = Table::ALL
        .into_iter()
        .filter(|table| !matches!(table, Table::Meta | Table::Headers));
    for table in tables {
        if has_rows(snapshot, table)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has_rows(snapshot: &dyn Snapshot, table: Table) -> Result<bool, ReadError> {
    let mut found = false;
    snapshot.scan(table, &[]..=&[0xff; 64], &mut |_, _| {
        found = true;
        ControlFlow::Break(())
    })?;
    Ok(found)
}

fn random_key() -> Result<RowKey, OpenError> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| OpenError::NoRandomness {
        message: error.to_string(),
    })?;
    Ok(RowKey::from_byte_array(key))
}

/// A database without a format must be new: with a new key, the rows of an old one would be lost without a word.
fn check_empty(snapshot: &dyn Snapshot) -> Result<(), ReadError> {
    for table in Table::ALL {
        if has_rows(snapshot, table)? {
            let problem =
                format!("the row of the format is missing, but the table {table} has rows");
            return Err(ReadError::damaged(Table::Meta, problem));
        }
    }
    Ok(())
}

fn meta<const N: usize>(value: &[u8]) -> Result<[u8; N], ReadError> {
    value
        .try_into()
        .map_err(|_| ReadError::damaged(Table::Meta, "a row has the wrong length"))
}

fn read_headers(snapshot: &dyn Snapshot, genesis: BlockHash) -> Result<HeaderChain, ReadError> {
    let mut headers = HeaderChain::default();
    let mut problem = None;
    snapshot.scan(
        Table::Headers,
        &[0; 4]..=&[0xff; 4],
        &mut |key, value| match push(&mut headers, key, value) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                problem = Some(error);
                ControlFlow::Break(())
            }
        },
    )?;
    if let Some(problem) = problem {
        return Err(ReadError::damaged(Table::Headers, problem));
    }
    match headers.hash(0) {
        Some(hash) if hash != genesis => Err(ReadError::damaged(
            Table::Headers,
            "the first block is not the genesis block",
        )),
        Some(_) | None => Ok(headers),
    }
}

fn push(headers: &mut HeaderChain, key: &[u8], value: &[u8]) -> Result<(), String> {
    let height = key.try_into().map(u32::from_be_bytes).ok();
    if height != Some(headers.len()) {
        return Err(format!("the row of height {} is missing", headers.len()));
    }
    let wrong = || format!("the row of height {} cannot be decoded", headers.len());
    let (header, next_tx_num) = value.split_last_chunk().ok_or_else(wrong)?;
    let header: Header = deserialize(header).map_err(|_| wrong())?;
    headers
        .push(header, u32::from_be_bytes(*next_tx_num))
        .map_err(|error| error.to_string())
}

/// The last transaction of the tip must be there, and none after it.
fn check_numbers(snapshot: &dyn Snapshot, headers: &HeaderChain) -> Result<(), ReadError> {
    let next = headers.next_tx_num();
    let has = |tx_num: u32| {
        snapshot
            .get(Table::Txids, &tx_num.to_be_bytes())
            .map(|row| row.is_some())
    };
    if next.checked_sub(1).map_or(Ok(true), has)? && !has(next)? {
        return Ok(());
    }
    let problem = format!("it does not end with transaction {next} as the table headers does");
    Err(ReadError::damaged(Table::Txids, problem))
}
