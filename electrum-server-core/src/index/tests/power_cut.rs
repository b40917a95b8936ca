//! What a power cut leaves of an index whose rows are in two places: the engine, and the files that were built in bulk.
//!
//! The engine's journal reaches the disk up to some byte at or after its last sync. So after every write, every state is made
//! that a cut could leave then: the files of that moment, with the journal cut at each of these places. Each must open, hold
//! the rows of a chain and no others, and become the same as an index that was never cut when it goes on.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bitcoin::BlockHash;
use proptest::prelude::*;

use super::chain::{Chain, Plan, plan};
use super::crash::copy;
use super::undo::open;
use super::{KEY, rows};
use crate::chain::{BlockWithSpent, RawBlock};
use crate::index::{BlockRecords, BlockRows, Index, UndoError};
use crate::store::{
    Batch, CommitError, Durability, FjallOptions, FjallStore, LayeredStore, MemoryStore, Snapshot,
    Store, Table,
};

#[derive(Clone, Debug)]
enum Step {
    /// Blocks come in bulk, where that is possible.
    Bulk(Vec<Plan>),
    /// Blocks come one by one.
    Apply(Vec<Plan>),
    Undo(usize),
    Merge,
    Persist,
}

/// A state of the folder, and how much of the journal is on disk for sure.
struct Moment {
    folder: PathBuf,
    manifest: Vec<u8>,
    journal: Vec<u8>,
    synced: usize,
}

/// The engine, with a copy of the folder around every write.
#[derive(Debug)]
struct Watched {
    engine: FjallStore,
    folder: PathBuf,
    copies: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    synced: usize,
    /// Where batches end in the journal.
    ends: Vec<usize>,
    moments: Vec<Moment>,
}

impl std::fmt::Debug for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moment").finish_non_exhaustive()
    }
}

const JOURNAL: &str = "0.jnl";

/// The bytes of a journal without the zeros behind them.
fn journal(folder: &Path) -> Vec<u8> {
    let mut bytes = fs::read(folder.join(JOURNAL)).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0);
    bytes.truncate(used.map_or(0, |last| last + 1));
    bytes
}

impl Watched {
    fn note(&self) {
        let mut state = self.state.lock().unwrap();
        let folder = self.copies.join(state.moments.len().to_string());
        fs::create_dir_all(&folder).unwrap();
        for entry in fs::read_dir(&self.folder).unwrap() {
            let path = entry.unwrap().path();
            let to = folder.join(path.file_name().unwrap());
            match path.is_dir() {
                true => copy(&path, &to),
                // Zeros by the megabyte.
                false if path.ends_with(JOURNAL) => {}
                false => drop(fs::copy(path, to).unwrap()),
            }
        }
        let manifest = fs::read(self.folder.join("segments/manifest")).unwrap_or_default();
        let synced = state.synced;
        state.moments.push(Moment {
            folder,
            manifest,
            journal: journal(&self.folder),
            synced,
        });
    }

    fn wrote(&self, synced: bool) {
        let end = journal(&self.folder).len();
        let mut state = self.state.lock().unwrap();
        state.ends.push(end);
        if synced {
            state.synced = end;
        }
    }
}

impl Store for Watched {
    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        self.note();
        self.engine.commit(batch, durability)?;
        self.wrote(durability == Durability::Disk);
        self.note();
        Ok(())
    }

    fn persist(&self) -> Result<(), CommitError> {
        self.note();
        self.engine.persist()?;
        self.wrote(true);
        self.note();
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.engine.snapshot()
    }
}

fn options() -> FjallOptions {
    FjallOptions {
        reserve: 0,
        ..FjallOptions::default()
    }
}

fn over(engine: Arc<dyn Store>, folder: &Path) -> Arc<dyn Store> {
    let segments = folder.join("segments");
    Arc::new(LayeredStore::open_with_reserve(engine, &segments, 0).unwrap())
}

fn derive(block: &BlockWithSpent) -> BlockRows {
    BlockRows::derive(&KEY, block).unwrap()
}

fn build(index: &mut Index, blocks: &[BlockWithSpent]) {
    let Some(mut bulk) = index.begin_bulk().unwrap() else {
        return apply(index, blocks);
    };
    for block in blocks {
        let hash = block.block.block_hash();
        let records = BlockRecords::derive(&KEY, &hash, RawBlock::from(block)).unwrap();
        bulk.push(&records).unwrap();
    }
    index.seal(bulk, 2).unwrap();
    index.segments().unwrap().settle().unwrap();
}

fn apply(index: &mut Index, blocks: &[BlockWithSpent]) {
    for block in blocks {
        index
            .apply(&[derive(block)], 0, Durability::Process)
            .unwrap();
    }
}

fn content(store: &dyn Store) -> super::Rows {
    rows(store.snapshot().as_ref(), &Table::CONTENT)
}

/// The content of an index that has seen these blocks and nothing else.
fn expected_of(blocks: &[BlockWithSpent]) -> super::Rows {
    let store = Arc::new(MemoryStore::new());
    apply(&mut open(store.clone()), blocks);
    content(store.as_ref())
}

/// Every block that was ever there, by its hash, and the contents of indexes that end with a block, as far as they were needed.
#[derive(Default)]
struct Known {
    blocks: HashMap<BlockHash, BlockWithSpent>,
    contents: HashMap<Option<BlockHash>, super::Rows>,
}

impl Known {
    /// Whether a store holds what it should when its index ends so.
    fn is_content(&mut self, store: &dyn Store, index: &Index) -> bool {
        let headers = index.headers();
        let block = |height| self.blocks[&headers.hash(height).unwrap()].clone();
        let tip = headers.tip().map(|tip| tip.hash);
        let expected = self.contents.entry(tip);
        let expected = expected
            .or_insert_with(|| expected_of(&(0..headers.len()).map(block).collect::<Vec<_>>()));
        content(store) == *expected
    }
}

/// Opens what a cut has left, and goes on to the end of `chain`: in bulk, or block by block.
fn check(folder: &Path, chain: &Chain, known: &mut Known, in_bulk: bool) {
    let store = over(
        Arc::new(FjallStore::open(folder, options()).unwrap()),
        folder,
    );
    let mut index = open(store.clone());
    assert!(known.is_content(store.as_ref(), &index), "other rows");
    let is_ours = |index: &Index, height: usize| {
        let block = chain.blocks.get(height);
        block.is_some_and(|block| {
            index.headers().hash(height as u32) == Some(block.block.block_hash())
        })
    };
    while let Some(tip) = index.headers().tip() {
        if is_ours(&index, tip.height as usize) {
            break;
        }
        match index.undo_tip(None) {
            Err(UndoError::NoRecord { tip }) => {
                index
                    .undo_tip(Some(&derive(&known.blocks[&tip.hash])))
                    .unwrap();
            }
            undone => undone.unwrap(),
        }
    }
    let rest = &chain.blocks[index.headers().len() as usize..];
    match in_bulk {
        true if !rest.is_empty() => build(&mut index, rest),
        _ => apply(&mut index, rest),
    }
    assert_eq!(index.headers().len() as usize, chain.blocks.len());
    let is_whole = known.is_content(store.as_ref(), &index);
    assert!(is_whole, "other rows after going on");
}

fn survives(steps: Vec<Step>) -> usize {
    // Every opening waits for the disk several times, unless there is none.
    let temporary = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let temporary = temporary.unwrap();
    let folder = temporary.path().join("index");
    let engine = FjallStore::open(&folder, options()).unwrap();
    let watched = Arc::new(Watched {
        engine,
        folder: folder.clone(),
        copies: temporary.path().join("moments"),
        state: Mutex::default(),
    });
    let store = over(watched.clone(), &folder);
    let mut index = open(store.clone());
    let mut chain = Chain::new();
    let mut known = Known::default();
    build(&mut index, &chain.blocks);
    for step in steps {
        let first = chain.blocks.len();
        match step {
            Step::Bulk(plans) => {
                plans.iter().for_each(|plan| chain.mine(plan));
                build(&mut index, &chain.blocks[first..]);
            }
            Step::Apply(plans) => {
                plans.iter().for_each(|plan| chain.mine(plan));
                apply(&mut index, &chain.blocks[first..]);
            }
            Step::Undo(count) => {
                for _ in 0..count.min(first - 1) {
                    let stale = chain.blocks.pop().unwrap();
                    index.undo_tip(Some(&derive(&stale))).unwrap();
                }
            }
            Step::Merge => {
                let segments = store.segments().unwrap();
                segments.merge(true, &|| false).unwrap();
            }
            Step::Persist => index.persist().unwrap(),
        }
        let blocks = chain.blocks.iter();
        known
            .blocks
            .extend(blocks.map(|block| (block.block.block_hash(), block.clone())));
        watched.note();
    }
    assert!(known.is_content(store.as_ref(), &index));
    drop((index, store));

    let state = std::mem::take(&mut *watched.state.lock().unwrap());
    let mut seen = HashSet::new();
    for moment in &state.moments {
        let end = moment.journal.len();
        // At the end of each batch, and within the one that follows.
        let mut cuts: Vec<usize> = state.ends.iter().copied().filter(|at| *at <= end).collect();
        cuts.push(end);
        cuts.extend(
            cuts.clone()
                .windows(2)
                .map(|pair| pair[0].midpoint(pair[1])),
        );
        for cut in cuts {
            let state = (moment.manifest.clone(), moment.journal[..cut].to_vec());
            if cut < moment.synced || !seen.insert(state) {
                continue;
            }
            let left = temporary.path().join("left");
            copy(&moment.folder, &left);
            fs::write(left.join(JOURNAL), &moment.journal[..cut]).unwrap();
            check(&left, &chain, &mut known, seen.len() % 2 == 0);
            fs::remove_dir_all(&left).unwrap();
        }
    }
    seen.len()
}

fn plans(count: usize) -> impl Strategy<Value = Vec<Plan>> {
    prop::collection::vec(plan(), count)
}

/// Blocks on top of the files are undone, and then the files grow over the heights that these had.
#[test]
fn what_was_undone_does_not_come_back_beneath_files_that_were_built_afterwards() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut some = |count| {
        let plans = plans(count).new_tree(&mut runner).unwrap();
        proptest::strategy::ValueTree::current(&plans)
    };
    let count = survives(vec![
        Step::Bulk(some(4)),
        Step::Apply(some(5)),
        Step::Undo(5),
        Step::Bulk(some(7)),
        Step::Merge,
        Step::Apply(some(2)),
        // Into the files.
        Step::Undo(4),
        Step::Apply(some(2)),
    ]);
    assert!(count > 20, "only {count} states");
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1usize..6).prop_flat_map(plans).prop_map(Step::Bulk),
        3 => (1usize..4).prop_flat_map(plans).prop_map(Step::Apply),
        3 => (1usize..6).prop_map(Step::Undo),
        1 => Just(Step::Merge),
        1 => Just(Step::Persist),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20, ..ProptestConfig::with_cases(3) })]

    #[test]
    fn whatever_happened_before_the_cut(steps in prop::collection::vec(step(), 1..8)) {
        survives(steps);
    }
}
