//! What a crash leaves of the database on disk.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::KEY;
use super::rows;
use super::undo::{chain, derive, open};
use crate::index::Index;
use crate::store::{Durability, FjallOptions, FjallStore, MemoryStore, Store, Table};

fn open_store(folder: &Path) -> Arc<dyn Store> {
    Arc::new(FjallStore::open(folder, FjallOptions::default()).unwrap())
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(fs::copy(path, to).unwrap()),
        }
    }
}

/// Checks that a database holds the chain up to its tip, and nothing else; returns the height.
fn whole(index: &Index, store: &dyn Store) -> Option<u32> {
    let height = index.headers().tip().map(|tip| tip.height);
    let fresh = Arc::new(MemoryStore::new());
    let blocks = derive(&KEY, &chain(12));
    let blocks = &blocks[..height.map_or(0, |height| height as usize + 1)];
    open(fresh.clone())
        .apply(blocks, 12, Durability::Process)
        .unwrap();
    assert_eq!(
        rows(store.snapshot().as_ref(), &Table::CONTENT),
        rows(fresh.snapshot().as_ref(), &Table::CONTENT),
        "at height {height:?}"
    );
    height
}

/// A program that ends without a word has lost nothing; when its newest bytes are missing as well, as after a power cut,
/// whole batches are gone, the newest first, and what is left can be opened and grows on.
#[test]
fn a_crash_leaves_whole_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path().join("origin");
    let blocks = derive(&KEY, &chain(12));
    let store = open_store(&origin);
    let mut index = open(store.clone());
    for batch in blocks.chunks(3) {
        index.apply(batch, 12, Durability::Process).unwrap();
    }
    for _ in 0..2 {
        index.undo_tip(None).unwrap();
    }
    // The store is open still: nothing was said to it about the end.
    let crashed = folder.path().join("crashed");
    copy(&origin, &crashed);
    drop((index, store));

    let journal = fs::read(crashed.join("0.jnl")).unwrap();
    let end = journal.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut heights = Vec::new();
    for cut in (0..=16u32).rev() {
        let copied = folder.path().join(cut.to_string());
        copy(&crashed, &copied);
        let left = end * cut as usize / 16;
        fs::write(copied.join("0.jnl"), &journal[..left]).unwrap();
        let store = open_store(&copied);
        let mut index = open(store.clone());
        let height = whole(&index, store.as_ref());
        heights.push(height);
        let next = height.map_or(0, |height| height as usize + 1);
        index
            .apply(&blocks[next..], 12, Durability::Process)
            .unwrap();
        assert_eq!(whole(&index, store.as_ref()), Some(12));
    }
    assert_eq!(heights[0], Some(10), "nothing is lost without a power cut");
    assert_eq!(heights[16], None);
    heights.dedup();
    assert!(heights.len() > 4, "{heights:?}");
}
