//! Files of our own that are replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner only (mode 0600).
    Owner,
    /// All users (mode 0644, less what the umask takes away).
    Everybody,
}

/// Replaces a file, or makes it: whoever is cut off leaves the file of before or the new one, and nothing in between.
///
/// The content is written to a file beside it (`NAME.new`) and synced before it takes the name, and the folder is synced
/// after that: when this returns, the new content survives a power cut. From its first byte on the file is readable for
/// those of `access` only.
///
/// # Errors
///
/// The file cannot be written; then the file of before is unchanged.
pub fn replace(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    let new = new_name(path);
    // Left by a run that was cut off, perhaps with other permissions.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        let mode = match access {
            Access::Owner => 0o600,
            Access::Everybody => 0o644,
        };
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    }
    #[cfg(not(unix))]
    let _ = access;
    let mut file = options.open(&new)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // The disk may be full: nothing is left of the attempt.
        let _ = fs::remove_file(&new);
    }
    written?;
    sync_folder_of(path)
}

/// Where the content of a file is until it is complete.
pub fn new_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Without this a new name may be gone after a power cut.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder_of(path))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Keeps other processes that call this from going on until the result is dropped.
#[cfg(feature = "net")]
pub(crate) fn lock_folder_of(path: &Path) -> io::Result<Option<File>> {
    if !cfg!(unix) {
        return Ok(None);
    }
    let folder = File::open(folder_of(path))?;
    match folder.lock() {
        Ok(()) => Ok(Some(folder)),
        // Some network file systems have no locks.
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whatever_was_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(new_name(&path), "half").unwrap();
        replace(&path, b"one", Access::Owner).unwrap();
        replace(&path, b"two", Access::Owner).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(!new_name(&path).exists());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    /// A folder in its place: the new content cannot take the name.
    #[test]
    fn nothing_is_left_of_an_attempt_that_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("of somebody"), "").unwrap();
        replace(&path, b"one", Access::Owner).unwrap_err();
        assert!(path.join("of somebody").exists());
        assert!(!new_name(&path).exists());
    }
}
