//! How much room there is on the disk, and how much of it is left alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::CommitError;

/// Returns how many bytes can still be written to the file system that a folder is on, by a user who is not root.
///
/// # Errors
///
/// When the operating system does not say.
pub fn free_space(folder: &Path) -> io::Result<u64> {
    #[cfg(unix)]
    {
        let found = rustix::fs::statvfs(folder)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Returns how many bytes of disk the files in a folder take, those in its folders included. Files that vanish meanwhile
/// are not counted.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn disk_usage(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0u64;
    let mut folders = vec![folder.to_owned()];
    let mut first = true;
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if first => return Err(error),
            Err(_) => continue,
            Ok(entries) => entries,
        };
        first = false;
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) => bytes = bytes.saturating_add(allocated(&found)),
                Err(_) => {}
            }
        }
    }
    Ok(bytes)
}

/// What a file takes: the engine's journal has holes.
fn allocated(file: &fs::Metadata) -> u64 {
    #[cfg(unix)]
    {
        std::os::unix::fs::MetadataExt::blocks(file).saturating_mul(512)
    }
    #[cfg(not(unix))]
    {
        file.len()
    }
}

/// A folder that is written to, and how much of the disk must stay free.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    folder: PathBuf,
    reserve: u64,
}

impl Space {
    pub(crate) fn new(folder: &Path, reserve: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            reserve,
        }
    }

    /// Returns how many bytes can be written. Where the operating system does not say, as many as anybody wants: then the
    /// write itself finds out.
    pub(crate) fn room(&self) -> u64 {
        free_space(&self.folder).map_or(u64::MAX, |free| free.saturating_sub(self.reserve))
    }

    /// Finds out whether so many bytes can be written.
    ///
    /// # Errors
    ///
    /// [`CommitError::NoSpace`] when they cannot.
    pub(crate) fn check(&self, bytes: u64) -> Result<(), CommitError> {
        let Ok(free) = free_space(&self.folder) else {
            return Ok(());
        };
        let needed = self.reserve.saturating_add(bytes);
        match free >= needed {
            true => Ok(()),
            false => Err(CommitError::NoSpace {
                path: self.folder.clone(),
                free,
                needed,
            }),
        }
    }
}
