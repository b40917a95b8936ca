//! What is in a folder, by table.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes that the folder's files take on the disk.
pub(crate) fn size(folder: &Path) -> io::Result<u64> {
    Ok(split(folder)?.values().sum())
}

/// The same by what the files are: the table whose pieces they are, or the folder that they are in.
pub(crate) fn split(folder: &Path) -> io::Result<BTreeMap<String, u64>> {
    let mut sizes = BTreeMap::new();
    walk(folder, "", &mut sizes)?;
    Ok(sizes)
}

fn walk(folder: &Path, name: &str, sizes: &mut BTreeMap<String, u64>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let own = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            let inner = match name {
                // The folder of the network says nothing.
                "" if own == "regtest" => String::new(),
                "" => own,
                _ => name.to_owned(),
            };
            walk(&entry.path(), &inner, sizes)?;
            continue;
        }
        // Pieces of a table are named by it: `history-3-0`.
        let table = own.split(['-', '.']).next().unwrap_or_default();
        let table = match name {
            "segments" => table.to_owned(),
            "" => "other".to_owned(),
            _ => name.to_owned(),
        };
        *sizes.entry(table).or_default() += entry.metadata()?.blocks() * 512;
    }
    Ok(())
}
