//! What both stores promise, and what only the one on disk can get wrong.

use std::ops::ControlFlow;

use super::{Batch, Durability, MemoryStore, Snapshot, Store, Table};

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn scan(snapshot: &dyn Snapshot, table: Table, first: &[u8], last: &[u8]) -> Rows {
    let mut rows = Rows::new();
    snapshot
        .scan(table, first..=last, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

fn keys(snapshot: &dyn Snapshot, first: &[u8], last: &[u8]) -> Vec<Vec<u8>> {
    let rows = scan(snapshot, Table::History, first, last);
    rows.into_iter().map(|(key, _)| key).collect()
}

fn put(store: &dyn Store, keys: &[&[u8]]) {
    let mut batch = Batch::default();
    for key in keys {
        batch.put(Table::History, *key, [key, *key].concat());
    }
    store.commit(batch, Durability::Process).unwrap();
}

fn keeps_its_promises(store: &dyn Store) {
    // Sorted as bytes; both ends of a range belong to it; a range that ends before it begins is empty.
    put(store, &[b"b", b"a", b"aa", b"\xff", b"b\0"]);
    let first = store.snapshot();
    let first = first.as_ref();
    let all: [&[u8]; 5] = [b"a", b"aa", b"b", b"b\0", b"\xff"];
    assert_eq!(keys(first, b"", b"\xff"), all);
    assert_eq!(keys(first, b"aa", b"b"), all[1..3]);
    assert_eq!(keys(first, b"c", b"d"), [b""; 0]);
    assert_eq!(keys(first, b"b", b"a"), [b""; 0]);
    assert_eq!(first.get(Table::History, b"aa").unwrap().unwrap(), b"aaaa");
    assert_eq!(first.get(Table::History, b"ab").unwrap(), None);
    let mut seen = 0;
    let mut visit = |_: &[u8], _: &[u8]| {
        seen += 1;
        ControlFlow::Break(())
    };
    first
        .scan(Table::History, &b"a"[..]..=b"b", &mut visit)
        .unwrap();
    assert_eq!(seen, 1);

    // Tables do not mix; of several changes to one key the last counts, in whatever order of kinds.
    let mut batch = Batch::default();
    assert!(batch.is_empty());
    for table in Table::ALL {
        batch.put(table, b"k", table.name());
    }
    batch.put(Table::Undo, b"gone", b"1");
    batch.delete(Table::Undo, b"gone");
    batch.delete(Table::Undo, b"back");
    batch.put(Table::Undo, b"back", b"1");
    batch.put(Table::Undo, b"back", b"22");
    batch.delete(Table::Undo, b"never there");
    assert_eq!(batch.size(), 47 + 6 + 5 + 4 + 4 + 5 + 6 + 11);
    store.commit(batch, Durability::Disk).unwrap();
    store.commit(Batch::default(), Durability::Disk).unwrap();
    store.persist().unwrap();
    let second = store.snapshot();
    let second = second.as_ref();
    for table in Table::ALL {
        let value = second.get(table, b"k").unwrap().unwrap();
        assert_eq!(value, table.name().as_bytes());
    }
    let undo = scan(second, Table::Undo, b"", b"\xff");
    assert_eq!(undo[0], (b"back".to_vec(), b"22".to_vec()));
    assert_eq!(undo.len(), 2);

    // The first snapshot has seen nothing of that.
    assert_eq!(keys(first, b"", b"\xff"), all);
    let mut batch = Batch::default();
    batch.delete(Table::History, b"a");
    store.commit(batch, Durability::Process).unwrap();
    assert!(first.get(Table::History, b"a").unwrap().is_some());
    assert!(
        store
            .snapshot()
            .get(Table::History, b"a")
            .unwrap()
            .is_none()
    );
}

#[test]
fn the_store_in_memory_keeps_its_promises() {
    keeps_its_promises(&MemoryStore::new());
}

#[cfg(feature = "fjall")]
mod disk {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use super::super::{FjallOptions, FjallStore, OpenStoreError};
    use super::*;

    fn open(folder: &Path) -> Result<FjallStore, OpenStoreError> {
        FjallStore::open(folder, FjallOptions::default())
    }

    #[test]
    fn the_store_on_disk_keeps_its_promises() {
        let folder = tempfile::tempdir().unwrap();
        keeps_its_promises(&open(folder.path()).unwrap());
        let again = open(folder.path()).unwrap();
        assert_eq!(keys(again.snapshot().as_ref(), b"", b"\xff").len(), 5);
        let undo = scan(again.snapshot().as_ref(), Table::Undo, b"", b"\xff");
        assert_eq!(undo.len(), 2, "the last change counts after a restart too");
    }

    #[test]
    fn a_folder_is_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path()).unwrap();
        assert!(
            matches!(open(folder.path()), Err(OpenStoreError::InUse { path }) if path == folder.path())
        );
        // A snapshot still reads, so the folder is not free.
        let snapshot: Arc<dyn Snapshot> = first.snapshot();
        drop(first);
        assert!(matches!(
            open(folder.path()),
            Err(OpenStoreError::InUse { .. })
        ));
        drop(snapshot);
        open(folder.path()).unwrap();
    }

    #[test]
    fn what_is_no_database_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("not/there/yet");
        open(&missing).unwrap();

        let home = folder.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("CURRENT"), "MANIFEST-000004").unwrap();
        let error = open(&home).unwrap_err().to_string();
        assert!(
            error.contains("CURRENT") && error.contains("home"),
            "{error}"
        );
        assert_eq!(fs::read_dir(&home).unwrap().count(), 1);

        let file = folder.path().join("file");
        fs::write(&file, "text").unwrap();
        assert!(matches!(open(&file), Err(OpenStoreError::Unusable { .. })));

        let stranger = folder.path().join("stranger");
        fs::create_dir(&stranger).unwrap();
        fs::write(stranger.join("version"), "1.2.3").unwrap();
        assert!(matches!(
            open(&stranger),
            Err(OpenStoreError::Unusable { .. })
        ));
    }

    #[test]
    fn a_process_that_was_killed_while_it_made_the_database_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().join("whole");
        drop(open(&whole).unwrap());
        // The marker is made last: it may be missing, or empty.
        for marker in [None, Some("")] {
            let half = folder.path().join(format!("half-{}", marker.is_some()));
            fs::create_dir_all(half.join("keyspaces")).unwrap();
            for name in ["lock", "0.jnl"] {
                fs::copy(whole.join(name), half.join(name)).unwrap();
            }
            if let Some(marker) = marker {
                fs::write(half.join("version"), marker).unwrap();
            }
            let store = open(&half).unwrap();
            let mut batch = Batch::default();
            batch.put(Table::Meta, b"k", b"v");
            store.commit(batch, Durability::Disk).unwrap();
            drop(store);
            let row = open(&half).unwrap().snapshot().get(Table::Meta, b"k");
            assert_eq!(row.unwrap().as_deref(), Some(&b"v"[..]));
        }
    }

    /// All files below a folder.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files.extend(self::files(&path)),
                false => files.push(path),
            }
        }
        files
    }

    /// Returns how many rows there are, or what the engine says instead.
    fn count(folder: &Path) -> Result<usize, String> {
        let store = open(folder).map_err(|error| error.to_string())?;
        let mut count = 0;
        let (first, last) = (&[][..], &[0xff; 8][..]);
        let mut visit = |_: &[u8], _: &[u8]| {
            count += 1;
            ControlFlow::Continue(())
        };
        let scanned = store
            .snapshot()
            .scan(Table::History, first..=last, &mut visit);
        scanned.map_err(|error| error.to_string()).map(|()| count)
    }

    /// Every batch of 20 rows is there or not, whatever happens to a file; and nothing panics.
    #[test]
    fn damaged_files_are_errors_or_lose_whole_batches() {
        let folder = tempfile::tempdir().unwrap();
        let origin = folder.path().join("origin");
        let store = open(&origin).unwrap();
        for round in 0u16..50 {
            let keys: Vec<[u8; 2]> = (0..20).map(|n| (round * 20 + n).to_be_bytes()).collect();
            put(&store, &keys.iter().map(|key| &key[..]).collect::<Vec<_>>());
        }
        drop(store);
        assert_eq!(count(&origin), Ok(1000));
        let history = Path::new("keyspaces/4");
        let mut damaged = 0;
        for path in files(&origin) {
            let name = path.strip_prefix(&origin).unwrap();
            // The other tables' files are like these.
            if name.starts_with("keyspaces")
                && !name.starts_with(history)
                && !name.starts_with("keyspaces/0/tables")
            {
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            let used = bytes
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |last| last + 1);
            let mut flipped = bytes.clone();
            flipped
                .iter_mut()
                .skip(used / 2)
                .take(1)
                .for_each(|byte| *byte ^= 0x55);
            for damage in [Some(&bytes[..used / 2]), Some(&flipped), None] {
                damaged += 1;
                let copy = folder.path().join(damaged.to_string());
                for from in files(&origin) {
                    let to = copy.join(from.strip_prefix(&origin).unwrap());
                    fs::create_dir_all(to.parent().unwrap()).unwrap();
                    fs::copy(from, to).unwrap();
                }
                match damage {
                    Some(damage) => fs::write(copy.join(name), damage).unwrap(),
                    None => fs::remove_file(copy.join(name)).unwrap(),
                }
                match count(&copy) {
                    Ok(rows) => assert_eq!(rows % 20, 0, "{}", name.display()),
                    Err(error) => assert!(
                        error.contains("database") || error.contains("table"),
                        "{error}"
                    ),
                }
            }
        }
        assert!(damaged > 15);
    }
}
