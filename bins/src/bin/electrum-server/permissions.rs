//! Files that are for their owner only.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::Mode;

/// What group and others may do with a file.
const NOT_OWNER: u32 = 0o077;

/// The file mode creation mask that the process was started with.
static INHERITED: OnceLock<Mode> = OnceLock::new();

/// Makes every file and folder that is created from now on one for its owner only, as Bitcoin Core does.
pub(crate) fn create_private() {
    let inherited = rustix::process::umask(Mode::from_raw_mode(NOT_OWNER));
    // It is called once, at the start.
    let _ = INHERITED.set(inherited);
}

/// Lets others use what was created, as far as whoever started the process lets them.
///
/// # Errors
///
/// When the mode cannot be changed.
pub(crate) fn share(path: &Path) -> io::Result<()> {
    let inherited = INHERITED.get().copied().unwrap_or(Mode::RWXG | Mode::RWXO);
    fs::set_permissions(
        path,
        Permissions::from_mode(0o777 & !inherited.as_raw_mode()),
    )
}

/// Takes from group and others what they may do with a folder and everything in it. Returns how many files and folders
/// that has changed. What symbolic links in it lead to stays as it is.
///
/// # Errors
///
/// When something cannot be read or changed.
pub(crate) fn make_private(folder: &Path) -> io::Result<usize> {
    let mut changed = usize::from(restrict(folder, &fs::metadata(folder)?)?);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        if found.is_dir() {
            changed += make_private(&entry.path())?;
        } else if !found.is_symlink() {
            changed += usize::from(restrict(&entry.path(), &found)?);
        }
    }
    Ok(changed)
}

fn restrict(path: &Path, found: &fs::Metadata) -> io::Result<bool> {
    let mode = found.permissions().mode();
    let is_open = mode & NOT_OWNER != 0;
    if is_open {
        fs::set_permissions(path, Permissions::from_mode(mode & !NOT_OWNER))?;
    }
    Ok(is_open)
}
