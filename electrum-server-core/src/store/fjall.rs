//! The store on disk: one fjall database, one keyspace per table.

use std::fmt;
use std::io::ErrorKind;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::fjall::config::{
    BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry,
};
use ::fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use arc_swap::ArcSwapOption;

use super::{
    Batch, CommitError, Durability, OpenStoreError, ReadError, Snapshot, Space, Store, Table, Visit,
};

/// How much memory the database may use, and how much of the disk it must leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FjallOptions {
    /// For rows that are read often, in bytes.
    pub cache: u64,
    /// For rows that are not yet in their final place, in bytes, for each table.
    pub write_buffer: u64,
    /// Nothing is committed when less of the disk would be free, in bytes. The engine writes again and again what was
    /// committed, and stops for good when it finds no space for that, so this should be some times `write_buffer`.
    pub reserve: u64,
}

impl Default for FjallOptions {
    fn default() -> Self {
        Self {
            cache: 128 << 20,
            write_buffer: 64 << 20,
            reserve: 320 << 20,
        }
    }
}

/// The store on disk.
#[derive(Clone)]
pub struct FjallStore {
    shared: Arc<Shared>,
}

/// What a store has in common with its snapshots.
struct Shared {
    path: PathBuf,
    options: FjallOptions,
    space: Space,
    /// Nothing while it is opened again after a failure.
    engine: ArcSwapOption<Engine>,
    /// Whether a write has failed: the engine takes none any more then.
    has_failed: AtomicBool,
}

struct Engine {
    database: Database,
    tables: Tables,
}

/// How long, in milliseconds, a reader waits for the engine to be opened again, and opening for readers.
const READER_PATIENCE: u32 = 2_000;
const OPENER_PATIENCE: u32 = 10_000;

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
        check_folder(path)?;
        make_folder(path).map_err(|error| OpenStoreError::Unusable {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        begin_again(path);
        let engine = Engine::open(path, options)?;
        Ok(Self {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                options,
                space: Space::new(path, options.reserve),
                engine: ArcSwapOption::from_pointee(engine),
                has_failed: AtomicBool::new(false),
            }),
        })
    }

    /// Returns how many bytes the files take, by table.
    pub fn disk_space(&self) -> Vec<(Table, u64)> {
        let engine = self.shared.engine.load();
        let tables = engine.iter().flat_map(|engine| &engine.tables.0);
        Table::ALL
            .into_iter()
            .zip(tables.map(Keyspace::disk_space))
            .collect()
    }
}

impl Engine {
    fn open(path: &Path, options: FjallOptions) -> Result<Self, OpenStoreError> {
        let unusable = |error: ::fjall::Error| match error {
            ::fjall::Error::Locked => OpenStoreError::InUse {
                path: path.to_owned(),
            },
            error => OpenStoreError::Unusable {
                path: path.to_owned(),
                message: describe(&error),
            },
        };
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
        Ok(Self { database, tables })
    }
}

/// Makes the folder, for its owner only: an index may say which wallets somebody has. One that is there keeps its mode.
fn make_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
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

impl Shared {
    /// Notes that a write has failed.
    fn failed(&self, error: &::fjall::Error) -> CommitError {
        self.has_failed.store(true, Ordering::Relaxed);
        CommitError::failed(describe(error))
    }

    /// Lets `read` read from the engine; waits while it is opened again.
    fn read<T>(
        &self,
        table: Table,
        read: impl FnOnce(&Keyspace) -> Result<T, ::fjall::Error>,
    ) -> Result<T, ReadError> {
        for _ in 0..READER_PATIENCE {
            if let Some(engine) = self.engine.load().as_deref() {
                let Some(keyspace) = engine.tables.table(table) else {
                    break;
                };
                return read(keyspace).map_err(|error| ReadError::Engine {
                    table,
                    message: describe(&error),
                });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(closed(table))
    }

    /// Closes the engine when nobody reads any more.
    fn close(&self) -> Result<(), CommitError> {
        let Some(mut engine) = self.engine.swap(None) else {
            return Ok(());
        };
        for _ in 0..OPENER_PATIENCE {
            match Arc::try_unwrap(engine) {
                Ok(engine) => {
                    drop(engine);
                    return Ok(());
                }
                Err(again) => engine = again,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.engine.store(Some(engine));
        Err(CommitError::failed(
            "it cannot be opened again after a failed write, because it is being read",
        ))
    }
}

impl Store for FjallStore {
    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        let mode = match durability {
            Durability::Process => PersistMode::Buffer,
            Durability::Disk => PersistMode::SyncData,
        };
        // Once for the journal, once for the table.
        self.shared.space.check(2 * batch.size() as u64)?;
        let Some(engine) = self.shared.engine.load_full() else {
            return Err(CommitError::failed("it is closed after a failed write"));
        };
        let mut writes = engine.database.batch().durability(Some(mode));
        for (table, key, value) in batch.changes {
            let Some(keyspace) = engine.tables.table(table) else {
                continue;
            };
            match value {
                Some(value) => writes.insert(keyspace, key, value),
                None => writes.remove(keyspace, key),
            }
        }
        writes.commit().map_err(|error| self.shared.failed(&error))
    }

    fn persist(&self) -> Result<(), CommitError> {
        let Some(engine) = self.shared.engine.load_full() else {
            return Err(CommitError::failed("it is closed after a failed write"));
        };
        engine
            .database
            .persist(PersistMode::SyncAll)
            .map_err(|error| self.shared.failed(&error))
    }

    /// The engine refuses every write after one has failed, until it is opened anew. What it could not write it writes when
    /// it is closed, so nothing may be opened beside it.
    fn recover(&self) -> Result<(), CommitError> {
        let shared = &self.shared;
        // What is open can be read: it is closed only when it can be opened again.
        shared.space.check(0)?;
        if !shared.has_failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        shared.close()?;
        let engine = Engine::open(&shared.path, shared.options).map_err(CommitError::failed)?;
        shared.engine.store(Some(Arc::new(engine)));
        shared.has_failed.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        // Only who writes opens it again, and only who writes takes snapshots.
        let rows = self.shared.engine.load();
        Arc::new(FjallSnapshot {
            rows: rows.as_ref().map(|engine| engine.database.snapshot()),
            shared: self.shared.clone(),
        })
    }
}

/// What the engine says, without its own names where there is an error of the operating system.
fn describe(error: &::fjall::Error) -> String {
    match error {
        ::fjall::Error::Io(error) | ::fjall::Error::Storage(::fjall::LsmError::Io(error)) => {
            error.to_string()
        }
        ::fjall::Error::Poisoned => "an earlier write has failed".to_owned(),
        error => error.to_string(),
    }
}

/// The rows of a moment: a number that the engine gives to each batch, which it keeps when it is opened again.
struct FjallSnapshot {
    /// Nothing when the engine was closed.
    rows: Option<::fjall::Snapshot>,
    shared: Arc<Shared>,
}

impl fmt::Debug for FjallSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallSnapshot").finish_non_exhaustive()
    }
}

impl FjallSnapshot {
    fn rows(&self, table: Table) -> Result<&::fjall::Snapshot, ReadError> {
        self.rows.as_ref().ok_or_else(|| closed(table))
    }
}

impl Snapshot for FjallSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let rows = self.rows(table)?;
        let value = self
            .shared
            .read(table, |keyspace| rows.get(keyspace, key))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        table: Table,
        range: RangeInclusive<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), ReadError> {
        let rows = self.rows(table)?;
        self.shared.read(table, |keyspace| {
            for row in rows.range(keyspace, range) {
                let (key, value) = row.into_inner()?;
                if let ControlFlow::Break(()) = visit(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }
}

fn closed(table: Table) -> ReadError {
    ReadError::Engine {
        table,
        message: "it is opened again after a failed write".to_owned(),
    }
}
