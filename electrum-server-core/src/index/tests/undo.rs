//! How deep blocks can be undone, and what is refused.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network};
use electrum_protocol::ScriptHash;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::chain::{Chain, plan};
use super::{KEY, Rows, rows};
use crate::chain::PushError;
use crate::index::{ApplyError, BlockRows, Index, OpenError, RowKey, UNDO_DEPTH, UndoError};
use crate::mempool::Mempool;
use crate::store::{
    Batch, CommitError, Durability, MemoryStore, ReadError, Snapshot, Store, Table, Visit,
};
use crate::view::{QueryError, View};

/// A chain up to a height, always the same.
pub(super) fn chain(height: u32) -> Chain {
    let mut runner = TestRunner::deterministic();
    let mut chain = Chain::new();
    let plans = prop::collection::vec(plan(), height as usize);
    for plan in plans.new_tree(&mut runner).unwrap().current() {
        chain.mine(&plan);
    }
    chain
}

pub(super) fn derive(key: &RowKey, chain: &Chain) -> Vec<BlockRows> {
    let blocks = chain.blocks.iter();
    blocks
        .map(|block| BlockRows::derive(key, block).unwrap())
        .collect()
}

pub(super) fn open(store: Arc<dyn Store>) -> Index {
    Index::open_with_key(store, genesis_block(Network::Regtest).block_hash(), KEY).unwrap()
}

fn all(store: &dyn Store) -> Rows {
    rows(store.snapshot().as_ref(), &Table::ALL)
}

fn recorded(store: &dyn Store) -> Vec<u32> {
    rows(store.snapshot().as_ref(), &[Table::Undo])
        .into_keys()
        .map(|(_, key)| u32::from_be_bytes(key.try_into().unwrap()))
        .collect()
}

/// Applies the blocks in batches of a size, with what the chain's length is known to be.
fn build(store: &Arc<dyn Store>, blocks: &[BlockRows], size: usize, target: u32) -> Index {
    let mut index = open(store.clone());
    for batch in blocks.chunks(size) {
        index.apply(batch, target, Durability::Process).unwrap();
    }
    index
}

fn the_newest_blocks_are_recorded(stores: &dyn Fn() -> Arc<dyn Store>) {
    let tip = UNDO_DEPTH + 7;
    let blocks = derive(&KEY, &chain(tip));
    // A target of 0 is one that falls behind: then records are made that the same batch deletes again.
    for (size, target) in [(1, tip), (1, 0), (1000, tip), (1000, 0), (13, 0)] {
        let store = stores();
        let mut index = build(&store, &blocks, size, target);
        let newest: Vec<u32> = (tip + 1 - UNDO_DEPTH..=tip).collect();
        assert_eq!(recorded(store.as_ref()), newest, "in batches of {size}");
        for _ in 0..UNDO_DEPTH {
            index.undo_tip(None).unwrap();
        }
        let refused = index.undo_tip(None).unwrap_err();
        assert!(matches!(refused, UndoError::NoRecord { tip } if tip.height == 7));
        index.undo_tip(Some(&blocks[7])).unwrap();
        assert_eq!(index.headers().tip().unwrap().height, 6);
    }
}

#[test]
fn the_newest_blocks_are_recorded_in_memory() {
    the_newest_blocks_are_recorded(&|| Arc::new(MemoryStore::new()));
}

#[cfg(feature = "fjall")]
#[test]
fn the_newest_blocks_are_recorded_on_disk() {
    use crate::store::{FjallOptions, FjallStore};
    let folder = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    the_newest_blocks_are_recorded(&|| {
        count.set(count.get() + 1);
        let folder = folder.path().join(count.get().to_string());
        Arc::new(FjallStore::open(&folder, FjallOptions::default()).unwrap())
    });
}

#[test]
fn blocks_far_below_the_target_leave_no_record() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let blocks = derive(&KEY, &chain(5));
    build(&store, &blocks, 2, UNDO_DEPTH + 3);
    assert_eq!(recorded(store.as_ref()), [4, 5]);
}

#[test]
fn what_does_not_belong_is_refused_and_changes_nothing() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let chain = chain(6);
    let blocks = derive(&KEY, &chain);
    let mut index = build(&store, &blocks[..4], 4, 3);
    let before = all(store.as_ref());
    let tip = index.headers().tip();

    let gap = index.apply(&blocks[5..], 6, Durability::Process);
    assert!(matches!(
        gap.unwrap_err(),
        ApplyError::NotLinked(PushError::NotLinked { height: 3, .. })
    ));
    // A good block before the bad one does not slip in.
    let again = [blocks[4].clone(), blocks[4].clone()];
    assert!(index.apply(&again, 6, Durability::Process).is_err());

    let foreign = derive(&RowKey::from_byte_array([9; 16]), &chain);
    let refused = index.apply(&foreign[4..], 6, Durability::Process);
    assert!(matches!(refused.unwrap_err(), ApplyError::OtherKey { .. }));
    for wrong in [&blocks[2], &blocks[4], &foreign[3]] {
        let refused = index.undo_tip(Some(wrong)).unwrap_err();
        assert!(matches!(refused, UndoError::OtherBlock { .. }), "{refused}");
    }
    assert_eq!(all(store.as_ref()), before);
    assert_eq!(index.headers().tip(), tip);
    index.apply(&blocks[4..], 6, Durability::Process).unwrap();
}

#[test]
fn an_index_begins_with_its_genesis_block() {
    let blocks = derive(&KEY, &chain(1));
    let store = Arc::new(MemoryStore::new());
    let mut index = Index::open_with_key(store, BlockHash::from_byte_array([7; 32]), KEY).unwrap();
    let refused = index.apply(&blocks, 1, Durability::Process).unwrap_err();
    assert!(matches!(refused, ApplyError::OtherGenesis { .. }));
    assert!(index.headers().is_empty());
    assert!(matches!(index.undo_tip(None), Err(UndoError::Empty)));
}

#[test]
fn blocks_without_what_they_spend_have_no_rows() {
    for block in &chain(12).blocks {
        let mut lists = block.clone();
        lists.spent.pop();
        assert!(BlockRows::derive(&KEY, &lists).is_err());
        let mut coinbase = block.clone();
        coinbase.spent[0].push(block.block.txdata[0].output[0].clone());
        let genesis = block.block.header.prev_blockhash == BlockHash::all_zeros();
        assert_eq!(BlockRows::derive(&KEY, &coinbase).is_err(), !genesis);
        let mut inputs = block.clone();
        if let Some(spent) = inputs.spent.iter_mut().find(|spent| !spent.is_empty()) {
            spent.pop();
            let error = BlockRows::derive(&KEY, &inputs).unwrap_err();
            assert_eq!(error.hash, block.block.block_hash());
        }
    }
}

/// A store that can be told to fail.
#[derive(Debug, Default)]
struct Failing {
    store: MemoryStore,
    broken: AtomicBool,
}

#[derive(Debug)]
struct Unreadable;

impl Store for Failing {
    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        match self.broken.load(Ordering::Relaxed) {
            true => Err(CommitError::failed("no space")),
            false => self.store.commit(batch, durability),
        }
    }

    fn persist(&self) -> Result<(), CommitError> {
        self.commit(Batch::default(), Durability::Disk)
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        match self.broken.load(Ordering::Relaxed) {
            true => Arc::new(Unreadable),
            false => self.store.snapshot(),
        }
    }
}

impl Snapshot for Unreadable {
    fn get(&self, table: Table, _: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let message = "no disk".to_owned();
        Err(ReadError::Engine { table, message })
    }

    fn scan(
        &self,
        table: Table,
        _: RangeInclusive<&[u8]>,
        _: &mut Visit<'_>,
    ) -> Result<(), ReadError> {
        self.get(table, &[]).map(drop)
    }
}

#[test]
fn a_store_that_fails_leaves_the_index_as_it_was() {
    let store = Arc::new(Failing::default());
    let chain = chain(4);
    let blocks = derive(&KEY, &chain);
    let mut index = open(store.clone());
    index.apply(&blocks[..4], 4, Durability::Process).unwrap();
    let before = all(store.as_ref());

    store.broken.store(true, Ordering::Relaxed);
    let refused = index.apply(&blocks[4..], 4, Durability::Process);
    assert!(matches!(refused, Err(ApplyError::Commit(_))));
    assert!(matches!(index.undo_tip(None), Err(UndoError::Read(_))));
    assert!(index.persist().is_err());
    let genesis = genesis_block(Network::Regtest).block_hash();
    assert!(matches!(
        Index::open(store.clone(), genesis),
        Err(OpenError::Read(_))
    ));
    let view = View::new(&index, Mempool::new(), 0).unwrap();
    let txid = chain.blocks[2].block.txdata[0].compute_txid();
    let hash = ScriptHash::from_byte_array([0; 32]);
    for error in [
        view.history(&hash, None).err(),
        view.status(&hash, None).err(),
        view.balance(&hash, None).err(),
        view.unspent(&hash, None).err(),
        view.position(&txid).err(),
        view.txid_at(2, 0).err(),
        view.merkle_branch(&txid, 2).err(),
        view.merkle_branch_at(2, 0).err(),
    ] {
        let error = error.expect("nothing can be read");
        assert!(matches!(error, QueryError::Read(_)), "{error}");
    }

    store.broken.store(false, Ordering::Relaxed);
    assert_eq!(all(store.as_ref()), before);
    assert_eq!(index.headers().tip().unwrap().height, 3);
    index.apply(&blocks[4..], 4, Durability::Process).unwrap();
    index.undo_tip(None).unwrap();
    assert_eq!(all(store.as_ref()), before);
}
