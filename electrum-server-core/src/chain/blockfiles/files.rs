//! The files of a folder, opened when needed and kept open for a while.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// How many files are kept open. A program may often have 1024, and the sockets of clients need theirs.
const OPEN: usize = 64;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// `blk*.dat`: blocks, in the order in which they came.
    Blocks,
    /// `rev*.dat`: what the blocks of the file with the same number spend, in the order in which they were connected.
    Undo,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Blocks, Self::Undo];

    fn prefix(self) -> &'static str {
        match self {
            Self::Blocks => "blk",
            Self::Undo => "rev",
        }
    }

    /// The kind and number of a file, from its name.
    pub(super) fn parse(name: &str) -> Option<(Self, u32)> {
        let name = name.strip_suffix(".dat")?;
        let (kind, digits) = Self::ALL
            .into_iter()
            .find_map(|kind| Some((kind, name.strip_prefix(kind.prefix())?)))?;
        let is_number = digits.len() >= 5 && digits.bytes().all(|digit| digit.is_ascii_digit());
        Some((kind, digits.parse().ok().filter(|_| is_number)?))
    }
}

/// The folder, and its open files.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    /// The one used last at the end.
    open: Mutex<Vec<((Kind, u32), Arc<Handle>)>>,
}

impl Files {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            open: Mutex::default(),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path(&self, kind: Kind, number: u32) -> PathBuf {
        self.folder
            .join(format!("{}{number:05}.dat", kind.prefix()))
    }

    /// The open file, or the file opened; nothing when it is not there.
    pub(super) fn get(&self, kind: Kind, number: u32) -> io::Result<Option<Arc<Handle>>> {
        let id = (kind, number);
        {
            let mut open = self.open();
            if let Some(at) = open.iter().position(|(other, _)| *other == id) {
                let found = open.remove(at);
                let handle = Arc::clone(&found.1);
                open.push(found);
                return Ok(Some(handle));
            }
        }
        // Nobody waits while a slow disk looks the file up.
        let Some(handle) = self.open_anew(kind, number)? else {
            return Ok(None);
        };
        let handle = Arc::new(handle);
        let mut open = self.open();
        if open.len() >= OPEN {
            open.remove(0);
        }
        open.push((id, Arc::clone(&handle)));
        Ok(Some(handle))
    }

    /// Opens a file for the caller alone; nothing when it is not there.
    pub(super) fn open_anew(&self, kind: Kind, number: u32) -> io::Result<Option<Handle>> {
        match File::open(self.path(kind, number)) {
            Ok(file) => Ok(Some(Handle::new(file))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Closes a file that is not what it was.
    pub(super) fn close(&self, kind: Kind, number: u32) {
        self.open().retain(|(id, _)| *id != (kind, number));
    }

    fn open(&self) -> MutexGuard<'_, Vec<((Kind, u32), Arc<Handle>)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open file that several threads read at places of their own.
#[derive(Debug)]
pub(super) struct Handle {
    #[cfg(unix)]
    file: File,
    #[cfg(not(unix))]
    file: Mutex<File>,
}

impl Handle {
    #[cfg(unix)]
    fn new(file: File) -> Self {
        Self { file }
    }

    #[cfg(not(unix))]
    fn new(file: File) -> Self {
        let file = Mutex::new(file);
        Self { file }
    }

    #[cfg(unix)]
    fn read_some(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.file, buffer, offset)
    }

    #[cfg(not(unix))]
    fn read_some(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read(buffer)
    }

    /// Fills the buffer with the bytes from `offset` on, as far as there are any; returns how many there were.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
            match self.read_some(rest, at) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    pub(super) fn stamp(&self) -> io::Result<Stamp> {
        #[cfg(unix)]
        let metadata = self.file.metadata()?;
        #[cfg(not(unix))]
        let metadata = self
            .file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .metadata()?;
        Ok(Stamp::new(&metadata))
    }
}

/// What tells, without reading it, that a file is the one it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) len: u64,
    pub(super) modified: Option<SystemTime>,
    identity: (Option<SystemTime>, u64, u64),
}

impl Stamp {
    pub(super) fn new(metadata: &std::fs::Metadata) -> Self {
        #[cfg(unix)]
        let (device, inode) = {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let (device, inode) = (0, 0);
        Self {
            len: metadata.len(),
            modified: metadata.modified().ok(),
            identity: (metadata.created().ok(), device, inode),
        }
    }

    /// Whether it is the same file, changed or not.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}
