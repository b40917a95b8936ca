//! The files of a folder, opened when needed and kept open for a while.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::key::Key;
use crate::read_at::read_exact_at;

/// How many files are kept open. A program may often have 1024, and the sockets of clients need theirs.
const OPEN: usize = 64;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `blk*.dat`: blocks, in the order in which they came.
    Blocks,
    /// `rev*.dat`: what the blocks of the file with the same number spend, in the order in which they were connected.
    Undo,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Blocks => "blk",
            Self::Undo => "rev",
        }
    }
}

/// A file of a kind, with its number.
type Open = ((Kind, u32), Arc<File>);

/// The folder, and its open files.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    key: Key,
    /// The one used last at the end.
    open: Mutex<Vec<Open>>,
}

impl Files {
    pub(super) fn new(folder: &Path, key: Key) -> Self {
        Self {
            folder: folder.to_owned(),
            key,
            open: Mutex::default(),
        }
    }

    /// Returns the numbers of the block files that are there, lowest first.
    pub(super) fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| {
                let digits = name
                    .strip_prefix(Kind::Blocks.prefix())?
                    .strip_suffix(".dat")?;
                // `parse` would take a sign.
                let digits_only = digits.bytes().all(|digit| digit.is_ascii_digit());
                digits.parse().ok().filter(|_: &u32| digits_only)
            });
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Fills the buffer with what the bytes from `offset` on mean; false when there are not as many, or no such file.
    pub(super) fn read(
        &self,
        kind: Kind,
        number: u32,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<bool> {
        let Some(file) = self.file(kind, number)? else {
            return Ok(false);
        };
        match read_exact_at(&file, buffer, offset) {
            Ok(()) => {
                self.key.apply(buffer, offset);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The open file, or the file opened; nothing when it is not there.
    fn file(&self, kind: Kind, number: u32) -> io::Result<Option<Arc<File>>> {
        let id = (kind, number);
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = open.iter().position(|(other, _)| *other == id) {
                let found = open.remove(at);
                let file = Arc::clone(&found.1);
                open.push(found);
                return Ok(Some(file));
            }
        }
        // Nobody waits while a slow disk looks the file up.
        let path = self
            .folder
            .join(format!("{}{number:05}.dat", kind.prefix()));
        let file = match File::open(path) {
            Ok(file) => Arc::new(file),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= OPEN {
            open.remove(0);
        }
        open.push((id, Arc::clone(&file)));
        Ok(Some(file))
    }

    /// Closes all files: they may not be what they were.
    pub(super) fn close(&self) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
