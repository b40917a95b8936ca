//! The store on disk: one fjall database, one keyspace per table.

use std::fmt;
use std::io::ErrorKind;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::Path;
use std::sync::Arc;

use ::fjall::config::{
    BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry,
};
use ::fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use super::{
    Batch, CommitError, Durability, OpenStoreError, ReadError, Snapshot, Store, Table, Visit,
};

/// How much memory the database may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FjallOptions {
    /// For rows that are read often, in bytes.
    pub cache: u64,
    /// For rows that are not yet in their final place, in bytes, for each table.
    pub write_buffer: u64,
}

impl Default for FjallOptions {
    fn default() -> Self {
        Self {
            cache: 128 << 20,
            write_buffer: 64 << 20,
        }
    }
}

/// The store on disk.
#[derive(Clone)]
pub struct FjallStore {
    database: Database,
    tables: Arc<Tables>,
}

impl fmt::Debug for FjallStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallStore").finish_non_exhaustive()
    }
}

impl FjallStore {
    /// Opens the database in a folder, or makes one. It stays locked until the store and its snapshots are dropped.
    ///
    /// # Errors
    ///
    /// When another process has it open, when it cannot be read or written, or when it is damaged.
    pub fn open(path: &Path, options: FjallOptions) -> Result<Self, OpenStoreError> {
        let unusable = |error: ::fjall::Error| match error {
            ::fjall::Error::Locked => OpenStoreError::InUse {
                path: path.to_owned(),
            },
            error => OpenStoreError::Unusable {
                path: path.to_owned(),
                message: error.to_string(),
            },
        };
        check_folder(path)?;
        begin_again(path);
        let database = Database::builder(path)
            .cache_size(options.cache)
            .max_journaling_size((4 * options.write_buffer).max(512 << 20))
            .open()
            .map_err(unusable)?;
        let mut tables = Vec::with_capacity(Table::ALL.len());
        for table in Table::ALL {
            let keyspace = database
                .keyspace(table.name(), || keyspace_options(table, options))
                .map_err(unusable)?;
            tables.push(keyspace);
        }
        let wrong = || OpenStoreError::Unusable {
            path: path.to_owned(),
            message: "a table is missing".to_owned(),
        };
        let tables = Tables(tables.try_into().map_err(|_| wrong())?);
        Ok(Self {
            database,
            tables: Arc::new(tables),
        })
    }

    /// Returns how many bytes the files take, by table.
    pub fn disk_space(&self) -> Vec<(Table, u64)> {
        Table::ALL
            .into_iter()
            .zip(self.tables.0.iter().map(Keyspace::disk_space))
            .collect()
    }
}

/// Refuses a folder that holds something else: the engine would put its files among what is there.
fn check_folder(path: &Path) -> Result<(), OpenStoreError> {
    let unusable = |message: String| OpenStoreError::Unusable {
        path: path.to_owned(),
        message,
    };
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(error.to_string())),
    };
    let (mut stranger, mut database) = (None, false);
    for entry in entries {
        let name = entry
            .map_err(|error| unusable(error.to_string()))?
            .file_name();
        let name = name.to_string_lossy();
        // A folder that is a file system of its own has one that is not ours.
        let ours = ["lock", "keyspaces", "lost+found"].contains(&&*name)
            || name.ends_with(".jnl")
            || name.starts_with('.');
        if name == "version" {
            database = true;
        } else if !ours {
            stranger = Some(name.into_owned());
        }
    }
    match stranger {
        Some(name) if !database => Err(unusable(format!(
            "the folder holds {name:?} and no database: choose an empty one"
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Takes away what a process has left that was killed while it made the database: the engine's first journal without its
/// marker, which is written last. There is nothing in it, but the engine does not open such a folder any more.
fn begin_again(path: &Path) {
    let marker = path.join("version");
    // It has its content as soon as anything else is written.
    let is_made = std::fs::metadata(&marker).is_ok_and(|marker| marker.len() > 0);
    let journal = path.join("0.jnl");
    if is_made || !journal.exists() {
        return;
    }
    // Whoever makes it just now has the lock.
    let lock = std::fs::File::options().write(true).open(path.join("lock"));
    if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
        // What cannot be deleted shows as the engine's error.
        let _ = std::fs::remove_file(journal);
        let _ = std::fs::remove_file(marker);
    }
}

/// Chooses how a table is laid out.
///
/// Rows of hashes do not compress; the values of the history and the headers do a little. Only the history is asked for
/// scripts that were never used, so only there a filter saves reads. Blocks are small, because reads are for a few
/// neighbouring rows at a random place.
fn keyspace_options(table: Table, options: FjallOptions) -> KeyspaceCreateOptions {
    let compression = match table {
        Table::Txids | Table::TxNums | Table::Kept => CompressionType::None,
        Table::Headers | Table::History | Table::Undo | Table::Meta | Table::Wallets => {
            CompressionType::Lz4
        }
    };
    let filter = match table {
        Table::Headers
        | Table::Txids
        | Table::Meta
        | Table::Undo
        | Table::Kept
        | Table::Wallets => FilterPolicy::disabled(),
        Table::TxNums | Table::History => FilterPolicy::all(FilterPolicyEntry::Bloom(
            BloomConstructionPolicy::BitsPerKey(10.0),
        )),
    };
    KeyspaceCreateOptions::default()
        .data_block_compression_policy(CompressionPolicy::all(compression))
        .data_block_size_policy(BlockSizePolicy::all(4 << 10))
        .filter_policy(filter)
        .max_memtable_size(options.write_buffer)
}

struct Tables([Keyspace; Table::ALL.len()]);

impl Tables {
    fn table(&self, table: Table) -> Option<&Keyspace> {
        self.0.get(table as usize)
    }
}

impl Store for FjallStore {
    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        let mode = match durability {
            Durability::Process => PersistMode::Buffer,
            Durability::Disk => PersistMode::SyncData,
        };
        let mut writes = self.database.batch().durability(Some(mode));
        for (table, key, value) in batch.changes {
            let Some(keyspace) = self.tables.table(table) else {
                continue;
            };
            match value {
                Some(value) => writes.insert(keyspace, key, value),
                None => writes.remove(keyspace, key),
            }
        }
        writes.commit().map_err(commit_error)
    }

    fn persist(&self) -> Result<(), CommitError> {
        self.database
            .persist(PersistMode::SyncAll)
            .map_err(commit_error)
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(FjallSnapshot {
            rows: self.database.snapshot(),
            tables: self.tables.clone(),
        })
    }
}

fn commit_error(error: ::fjall::Error) -> CommitError {
    CommitError {
        message: error.to_string(),
    }
}

struct FjallSnapshot {
    rows: ::fjall::Snapshot,
    tables: Arc<Tables>,
}

impl fmt::Debug for FjallSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallSnapshot").finish_non_exhaustive()
    }
}

impl Snapshot for FjallSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(keyspace) = self.tables.table(table) else {
            return Ok(None);
        };
        let value = self
            .rows
            .get(keyspace, key)
            .map_err(|error| read_error(table, &error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        table: Table,
        range: RangeInclusive<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), ReadError> {
        let Some(keyspace) = self.tables.table(table) else {
            return Ok(());
        };
        for row in self.rows.range(keyspace, range) {
            let (key, value) = row
                .into_inner()
                .map_err(|error| read_error(table, &error))?;
            if let ControlFlow::Break(()) = visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }
}

fn read_error(table: Table, error: &::fjall::Error) -> ReadError {
    ReadError::Engine {
        table,
        message: error.to_string(),
    }
}
