//! Rows that were built in bulk: immutable files, sorted once, beneath the [store](super::Store) that takes what changes.
//!
//! A bulk build collects the rows of many blocks in memory (a [`Run`]), sorts them, and writes them once, as files that
//! are never changed. When there are many of these, neighbours are merged into one. The manifest names the files that
//! count; it is replaced only after everything that it names is on disk, so that a crash at any moment leaves either the
//! state before or the one after. The format is in `docs/store-format.md`.

mod flat;
mod layered;
mod manifest;
mod merge;
mod piece;
mod piece_writer;
mod run;

use std::fmt;
use std::fs;
use std::hash::Hasher;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use siphasher::sip::SipHasher24;

use self::flat::{Append, Flat};
use self::manifest::Manifest;
use self::piece::{GROUP_BITS, GROUPS, Kind, Piece, key_bits};
use super::{CommitError, OpenStoreError, Space};
use crate::index::PREFIX_LEN;
pub use layered::LayeredStore;
pub(crate) use layered::{decode_end, encode_end};
pub(crate) use run::{Records, Run};

/// A header, and the number of the first transaction after its block.
pub(crate) const HEADER_ROW: usize = 84;
/// A txid, and where the transaction ends in its block.
pub(crate) const TX_ROW: usize = 36;

/// The txid in a row.
pub(super) fn txid_of(row: &[u8; TX_ROW]) -> [u8; 32] {
    let mut txid = [0; 32];
    txid.copy_from_slice(row.split_at(32).0);
    txid
}

/// Where rows end: at the first block, and the first transaction, that they do not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct End {
    /// The number of blocks.
    pub height: u32,
    /// The number of transactions.
    pub tx_num: u32,
}

/// A checksum against accidents.
fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(bytes);
    hasher.finish()
}

fn name(kind: Kind, group: u8, id: u32) -> String {
    format!("{}-{group:x}-{id}", kind.name())
}

/// The files of a moment.
#[derive(Clone, Debug)]
struct State {
    end: End,
    headers: Flat<HEADER_ROW>,
    txids: Flat<TX_ROW>,
    /// By kind and group; each in chain order.
    pieces: Vec<Vec<Arc<Piece>>>,
}

impl State {
    /// Opens a folder as its manifest says, and deletes what a crash or a failure left half done.
    fn open(folder: &Path) -> io::Result<(Self, Manifest)> {
        let manifest = Manifest::read(folder)?.unwrap_or_default();
        let mut state = Self {
            end: manifest.end,
            headers: Flat::open(&folder.join("headers"), manifest.end.height)?,
            txids: Flat::open(&folder.join("txids"), manifest.end.tx_num)?,
            pieces: vec![Vec::new(); Kind::ALL.len() * usize::from(GROUPS)],
        };
        let mut known = vec![
            "manifest".to_owned(),
            "headers".to_owned(),
            "txids".to_owned(),
        ];
        for (kind, group, id) in &manifest.pieces {
            let name = name(*kind, *group, *id);
            let piece = Piece::open(&folder.join(&name))?;
            if (piece.footer.kind, piece.footer.group) != (*kind, *group) {
                return Err(piece.damaged());
            }
            known.push(name);
            if let Some(pieces) = state.pieces_mut(*kind, *group) {
                pieces.push(Arc::new(piece));
            }
        }
        for pieces in &state.pieces {
            let mut next = 0;
            for piece in pieces {
                if piece.footer.first_tx != next || piece.footer.end_tx < next {
                    return Err(piece.damaged());
                }
                next = piece.footer.end_tx;
            }
            if next != state.end.tx_num {
                let problem = "the manifest does not name all pieces";
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
        }
        // Nothing goes before it is sure that this manifest stays.
        sync_folder(folder)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !known
                .iter()
                .any(|known| *known.as_str() == *entry.file_name())
            {
                fs::remove_file(entry.path())?;
            }
        }
        Ok((state, manifest))
    }

    fn pieces(&self, kind: Kind, group: u8) -> &[Arc<Piece>] {
        let at = kind as usize * usize::from(GROUPS) + usize::from(group);
        self.pieces.get(at).map_or(&[], Vec::as_slice)
    }

    fn pieces_mut(&mut self, kind: Kind, group: u8) -> Option<&mut Vec<Arc<Piece>>> {
        let at = kind as usize * usize::from(GROUPS) + usize::from(group);
        self.pieces.get_mut(at)
    }

    /// Shows `visit` what transactions did with a script, in chain order, until it breaks off.
    fn script(
        &self,
        prefix: &[u8; PREFIX_LEN],
        visit: &mut dyn FnMut(u32, &[u8]) -> ControlFlow<()>,
    ) -> io::Result<()> {
        for piece in self.pieces(Kind::History, group_of(key_bits(prefix))) {
            if piece.script(prefix, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Returns the numbers of the transactions whose txid may begin so, in no order.
    fn candidates(&self, prefix: u64) -> io::Result<Vec<u32>> {
        let mut found = Vec::new();
        for piece in self.pieces(Kind::TxNums, group_of(prefix)) {
            found.extend(piece.candidates(prefix)?);
        }
        Ok(found)
    }
}

fn group_of(key: u64) -> u8 {
    (key >> (64 - u32::from(GROUP_BITS))) as u8
}

/// The folder of files that were built in bulk.
pub struct Segments {
    folder: PathBuf,
    state: ArcSwap<State>,
    manifest: Mutex<Manifest>,
    /// Makes the newest files survive a power cut, while they are read already.
    sealing: Mutex<Option<JoinHandle<io::Result<()>>>>,
    /// Whether something could not be written: what is read may not be what is on disk.
    has_failed: AtomicBool,
    space: Space,
}

/// How many bytes of the disk are left free: somewhat more than Bitcoin Core leaves, so that it does not have to stop.
const RESERVE: u64 = 64 << 20;
/// A run is not begun with less room for it.
const SMALLEST_RUN: u64 = 4 << 20;

impl fmt::Debug for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segments")
            .field("folder", &self.folder)
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}

impl Segments {
    /// Opens a folder, or begins one. What a crash left half done is deleted.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read or written, or when a file is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self, OpenStoreError> {
        Self::open_with_reserve(folder, RESERVE)
    }

    /// The same, with the number of bytes of the disk that are left free: a build that would take more waits.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    pub fn open_with_reserve(folder: &Path, reserve: u64) -> Result<Self, OpenStoreError> {
        let made = make_folder(folder);
        let (state, manifest) =
            made.and_then(|()| State::open(folder))
                .map_err(|error| OpenStoreError::Unusable {
                    path: folder.to_owned(),
                    message: error.to_string(),
                })?;
        Ok(Self {
            folder: folder.to_owned(),
            state: ArcSwap::from_pointee(state),
            manifest: Mutex::new(manifest),
            sealing: Mutex::new(None),
            has_failed: AtomicBool::new(false),
            space: Space::new(folder, reserve),
        })
    }

    /// Goes back to what is on disk, after something could not be written: what was sealed and had not reached the disk is
    /// gone, with all files that do not count.
    pub(crate) fn recover(&self) -> Result<(), CommitError> {
        if !self.has_failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut manifest = lock(&self.manifest);
        // How it ended does not matter any more.
        let _ = self.settle();
        let (state, found) = State::open(&self.folder).map_err(|error| self.failed(&error))?;
        *manifest = found;
        self.state.store(Arc::new(state));
        self.has_failed.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Returns how many bytes a run may have.
    ///
    /// # Errors
    ///
    /// [`CommitError::NoSpace`] when that is not worth a run.
    pub(crate) fn room(&self) -> Result<u64, CommitError> {
        self.space.check(SMALLEST_RUN)?;
        Ok(self.space.room())
    }

    /// Returns where the rows end.
    pub fn end(&self) -> End {
        self.state.load().end
    }

    /// Returns the secret key of the database that the rows belong to; nothing while there are none.
    fn key(&self) -> Option<[u8; 16]> {
        (self.end() != End::default()).then(|| lock(&self.manifest).key)
    }

    /// Returns how many bytes the files take, by what they hold.
    pub fn disk_space(&self) -> Vec<(&'static str, u64)> {
        let state = self.state.load();
        let sum = |kind: Kind| {
            let pieces = (0..GROUPS).flat_map(|group| state.pieces(kind, group));
            pieces.map(|piece| piece.size()).sum()
        };
        vec![
            (
                "headers",
                u64::from(state.headers.len()) * HEADER_ROW as u64,
            ),
            ("txids", u64::from(state.txids.len()) * TX_ROW as u64),
            ("tx_nums", sum(Kind::TxNums)),
            ("history", sum(Kind::History)),
        ]
    }

    /// Begins to collect what follows. There must be one run at a time.
    pub(crate) fn begin(&self) -> Run {
        let state = self.state.load();
        Run::new(
            state.end,
            Append::new(&state.headers),
            Append::new(&state.txids),
        )
    }

    /// Sorts and writes what was collected. It can be read when this returns, and survives a power cut after
    /// [`settle`](Self::settle).
    pub(crate) fn seal(
        self: &Arc<Self>,
        mut run: Run,
        key: [u8; 16],
        threads: usize,
    ) -> Result<(), CommitError> {
        self.settle()?;
        if run.is_empty() {
            return Ok(());
        }
        self.write(&mut run, threads)
            .and_then(|pieces| self.install(run, pieces, key))
            .map_err(|error| self.failed(&error))
    }

    fn write(&self, run: &mut Run, threads: usize) -> io::Result<Vec<Piece>> {
        if run.first != self.end() {
            return Err(io::Error::other(
                "the run does not begin where the files end",
            ));
        }
        let id = {
            let mut manifest = lock(&self.manifest);
            manifest.next_id += 1;
            manifest.next_id - 1
        };
        run.write(&self.folder, id, threads)
    }

    fn install(self: &Arc<Self>, run: Run, pieces: Vec<Piece>, key: [u8; 16]) -> io::Result<()> {
        let mut manifest = lock(&self.manifest);
        let mut state = State::clone(&self.state.load());
        state.end = run.end;
        state.headers = run.headers.finish()?;
        state.txids = run.txids.finish()?;
        let mut unsynced = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let piece = Arc::new(piece);
            unsynced.push(piece.clone());
            if let Some(pieces) = state.pieces_mut(piece.footer.kind, piece.footer.group) {
                pieces.push(piece);
            }
        }
        manifest.key = key;
        manifest.end = state.end;
        manifest.pieces = named(&state);
        let (headers, txids) = (state.headers.clone(), state.txids.clone());
        self.state.store(Arc::new(state));
        let (folder, manifest) = (self.folder.clone(), manifest.clone());
        let seal = Arc::new(move || {
            headers.sync()?;
            txids.sync()?;
            for piece in &unsynced {
                piece.sync()?;
            }
            manifest.write(&folder)
        });
        let sealing = {
            let seal = seal.clone();
            std::thread::Builder::new()
                .name("sealer".to_owned())
                .spawn(move || seal())
        };
        match sealing {
            Ok(sealing) => *lock(&self.sealing) = Some(sealing),
            // The system refuses another thread: it takes longer.
            Err(_) => seal()?,
        }
        Ok(())
    }

    /// Waits until everything that was sealed survives a power cut.
    pub(crate) fn settle(&self) -> Result<(), CommitError> {
        let sealing = lock(&self.sealing).take();
        let Some(sealing) = sealing else {
            // Nothing may be built on what is not on disk, however often it is tried.
            return match self.has_failed.load(Ordering::Relaxed) {
                true => Err(CommitError::failed("an earlier write has failed")),
                false => Ok(()),
            };
        };
        sealing
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread has panicked")))
            .map_err(|error| self.failed(&error))
    }

    /// Notes that something could not be written.
    pub(crate) fn failed(&self, error: &io::Error) -> CommitError {
        self.has_failed.store(true, Ordering::Relaxed);
        self.describe(error)
    }

    fn describe(&self, error: &io::Error) -> CommitError {
        CommitError::failed(format_args!("{}: {error}", self.folder.display()))
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        // Whoever opens the folder next must find what was read here.
        let _ = self.settle();
    }
}

/// Makes the folder, for its owner only, so that it is there after a power cut.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)?;
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
        Some(_) | None => sync_folder(Path::new(".")),
    }
}

/// Makes the names in a folder survive a power cut.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// The pieces by the numbers in their names.
fn named(state: &State) -> Vec<(Kind, u8, u32)> {
    let pieces = state.pieces.iter().flatten();
    pieces
        .filter_map(|piece| {
            let name = piece.path().file_name()?.to_str()?;
            let id = name.rsplit('-').next()?.parse().ok()?;
            Some((piece.footer.kind, piece.footer.group, id))
        })
        .collect()
}

/// Writes bytes as a file with a footer that fits, opens it, and reads all of it in every way; returns how many rows there
/// were.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz_piece(bytes: &[u8], path: &Path) -> io::Result<usize> {
    let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let ([kind, bits], bytes) = bytes.split_first_chunk().ok_or_else(short)?;
    let kind = match kind % 2 {
        0 => Kind::History,
        _ => Kind::TxNums,
    };
    let footer = piece::Footer {
        kind,
        group: bits >> 4,
        bits: 4 + bits % 4,
        first_tx: 0,
        end_tx: 1000,
        rows: 10,
        directory: 0,
    };
    let directory = ((1usize << footer.bits) + 1) * piece::OFFSET_LEN;
    let body = bytes.len().checked_sub(directory).ok_or_else(short)?;
    let footer = piece::Footer {
        directory: body as u64,
        ..footer
    };
    fs::write(path, [bytes, footer.encode().as_slice()].concat())?;
    let piece = Piece::open(path)?;
    let mut rows = 0;
    let mut buffer = Vec::new();
    for bucket in 0..piece.buckets() {
        let prefix = bucket << (60 - u32::from(footer.bits)) | u64::from(footer.group) << 60;
        match kind {
            Kind::TxNums => rows += piece.candidates(prefix).map_or(0, |found| found.len()),
            Kind::History => {
                let mut found = Vec::new();
                if piece.bucket(bucket, &mut buffer).is_ok() {
                    let _ = piece.scripts(bucket, &buffer, |prefix, _| {
                        found.push(prefix);
                        Ok(ControlFlow::Continue(()))
                    });
                }
                for prefix in found {
                    let _ = piece.script(&prefix, &mut |_, _| {
                        rows += 1;
                        ControlFlow::Continue(())
                    });
                }
            }
        }
    }
    Ok(rows)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
