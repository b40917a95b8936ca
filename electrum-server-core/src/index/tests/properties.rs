//! Random chains with reorganizations: the database and the views against the plain blocks, after every step.

use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::constants::genesis_block;
use bitcoin::{Network, Transaction, TxOut};
use proptest::prelude::*;

use super::chain::{Chain, Payment, Plan, SCRIPTS, payment, plan, script};
use super::check::check;
use super::{KEY, rows};
use crate::chain::RawBlock;
use crate::index::{BlockRecords, BlockRows, Index, UNDO_DEPTH, UndoError};
use crate::mempool::{Delta, Entry, Mempool};
use crate::store::{Batch, Durability, LayeredStore, MemoryStore, Store, Table};
use crate::view::View;

/// One thing that happens to a database.
#[derive(Clone, Debug)]
enum Step {
    /// Blocks come, in one batch, while the chain is known to be `ahead` blocks longer.
    Apply { plans: Vec<Plan>, ahead: u32 },
    /// Blocks go. `stale`: with their rows derived anew.
    Undo { blocks: u32, stale: bool },
    /// All undo rows get lost.
    Forget,
    /// The program starts again.
    Reopen,
    /// Blocks come in bulk, in runs of so many; if that is possible, which it is before any came otherwise.
    Bulk { plans: Vec<Plan>, run: usize },
    /// Files become fewer: down to one of each kind, or only where there are many.
    Merge { all: bool },
}

/// How a block can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    /// From its undo row.
    Row,
    /// With its rows derived anew.
    Nothing,
    /// It is in files that were built in bulk.
    Files,
}

fn step() -> impl Strategy<Value = Step> {
    let ahead = prop_oneof![3 => Just(0), 1 => 0..2 * UNDO_DEPTH];
    prop_oneof![
        6 => (prop::collection::vec(plan(), 1..6), ahead)
            .prop_map(|(plans, ahead)| Step::Apply { plans, ahead }),
        4 => (1u32..6, any::<bool>()).prop_map(|(blocks, stale)| Step::Undo { blocks, stale }),
        1 => Just(Step::Forget),
        1 => Just(Step::Reopen),
    ]
}

/// Steps of a database that can be built in bulk.
fn layered_step() -> impl Strategy<Value = Step> {
    let bulk = (prop::collection::vec(plan(), 1..10), 1usize..10);
    prop_oneof![
        4 => bulk.prop_map(|(plans, run)| Step::Bulk { plans, run }),
        2 => any::<bool>().prop_map(|all| Step::Merge { all }),
        5 => step(),
    ]
}

/// A view, and what it was made of.
struct Old {
    view: View,
    chain: Chain,
    unconfirmed: Vec<(Transaction, Vec<TxOut>)>,
}

/// A database and the chain that it should hold.
struct World<'a> {
    open: &'a dyn Fn() -> Arc<dyn Store>,
    store: Arc<dyn Store>,
    index: Index,
    chain: Chain,
    /// By height.
    recorded: Vec<Record>,
    old: Vec<Old>,
    sequence: u64,
}

fn derive(chain: &Chain, from: usize) -> Vec<BlockRows> {
    let blocks = chain.blocks.iter().skip(from);
    blocks
        .map(|block| BlockRows::derive(&KEY, block).unwrap())
        .collect()
}

fn open_index(store: Arc<dyn Store>) -> Index {
    let genesis = genesis_block(Network::Regtest).block_hash();
    Index::open_with_key(store, genesis, KEY).unwrap()
}

impl<'a> World<'a> {
    fn new(open: &'a dyn Fn() -> Arc<dyn Store>) -> Self {
        let store = open();
        let chain = Chain::new();
        let mut index = open_index(store.clone());
        if store.segments().is_some() {
            let mut world = Self {
                open,
                store,
                index,
                chain,
                recorded: Vec::new(),
                old: Vec::new(),
                sequence: 0,
            };
            world.bulk_from(0, 1);
            return world;
        }
        let touched = index
            .apply(&derive(&chain, 0), 0, Durability::Process)
            .unwrap();
        assert!(touched.is_empty(), "the genesis block has no history");
        Self {
            open,
            store,
            index,
            chain,
            recorded: vec![Record::Row],
            old: Vec::new(),
            sequence: 0,
        }
    }

    fn step(self, step: Step) -> Self {
        match step {
            Step::Apply { plans, ahead } => self.apply(&plans, ahead),
            Step::Undo { blocks, stale } => self.undo(blocks, stale),
            Step::Forget => self.forget(),
            Step::Reopen => self.reopen(),
            Step::Bulk { plans, run } => self.bulk(&plans, run),
            Step::Merge { all } => {
                if let Some(segments) = self.store.segments() {
                    segments.merge(all, &|| false).unwrap();
                }
                self
            }
        }
    }

    fn apply(mut self, plans: &[Plan], ahead: u32) -> Self {
        let first = self.chain.blocks.len();
        let mut expected = BTreeSet::new();
        for plan in plans {
            let oracle = self.chain.oracle();
            self.chain.mine(plan);
            expected.extend(oracle.touched(&self.chain.blocks.last().unwrap().block));
        }
        let target = self.chain.height() + ahead;
        let blocks = derive(&self.chain, first);
        let touched = self
            .index
            .apply(&blocks, target, Durability::Process)
            .unwrap();
        assert_eq!(touched.into_iter().collect::<BTreeSet<_>>(), expected);
        for height in first..self.chain.blocks.len() {
            let height = u32::try_from(height).unwrap();
            self.recorded.push(match height + UNDO_DEPTH > target {
                true => Record::Row,
                false => Record::Nothing,
            });
        }
        self
    }

    fn bulk(mut self, plans: &[Plan], run: usize) -> Self {
        let only_bulk = self.recorded.iter().all(|record| *record == Record::Files);
        let possible = self.index.begin_bulk().unwrap().is_some();
        assert!(!possible || only_bulk);
        if !possible {
            return self.apply(plans, 0);
        }
        let first = self.chain.blocks.len();
        for plan in plans {
            self.chain.mine(plan);
        }
        self.bulk_from(first, run);
        self
    }

    fn bulk_from(&mut self, first: usize, run: usize) {
        for blocks in self.chain.blocks[first..].chunks(run) {
            let mut bulk = self.index.begin_bulk().unwrap().unwrap();
            for block in blocks {
                let hash = block.block.block_hash();
                let records = BlockRecords::derive(&KEY, &hash, RawBlock::from(block)).unwrap();
                bulk.push(&records).unwrap();
                self.recorded.push(Record::Files);
            }
            self.index.seal(bulk, 2).unwrap();
        }
    }

    fn undo(mut self, blocks: u32, stale: bool) -> Self {
        for _ in 0..blocks.min(self.chain.height()) {
            let block = self.chain.blocks.pop().unwrap();
            let rows = BlockRows::derive(&KEY, &block).unwrap();
            let recorded = self.recorded.pop().unwrap();
            if !stale && recorded != Record::Nothing {
                self.index.undo_tip(None).unwrap();
                continue;
            }
            if recorded == Record::Nothing {
                let refused = self.index.undo_tip(None).unwrap_err();
                assert!(matches!(refused, UndoError::NoRecord { .. }), "{refused}");
            }
            self.index.undo_tip(Some(&rows)).unwrap();
        }
        self
    }

    fn forget(mut self) -> Self {
        let mut batch = Batch::default();
        for (table, key) in rows(self.store.snapshot().as_ref(), &[Table::Undo]).into_keys() {
            batch.delete(table, key);
        }
        self.store.commit(batch, Durability::Process).unwrap();
        for record in &mut self.recorded {
            if *record == Record::Row {
                *record = Record::Nothing;
            }
        }
        self
    }

    fn reopen(self) -> Self {
        let Self {
            open,
            store,
            index,
            chain,
            recorded,
            sequence,
            old,
        } = self;
        // Snapshots keep the database open.
        drop((index, store, old));
        let store = open();
        Self {
            open,
            index: open_index(store.clone()),
            store,
            chain,
            recorded,
            old: Vec::new(),
            sequence,
        }
    }

    /// Everything that must hold after every step.
    fn inspect(&mut self, payments: &[Payment]) {
        let fresh = Arc::new(MemoryStore::new());
        open_index(fresh.clone())
            .apply(&derive(&self.chain, 0), u32::MAX, Durability::Process)
            .unwrap();
        assert_eq!(
            rows(self.store.snapshot().as_ref(), &Table::CONTENT),
            rows(fresh.snapshot().as_ref(), &Table::CONTENT),
            "the content is that of a new database"
        );
        let undo = rows(self.store.snapshot().as_ref(), &[Table::Undo]);
        let rows_kept = |record: &&Record| **record == Record::Row;
        let recorded = self.recorded.iter().filter(rows_kept).count();
        assert_eq!(undo.len(), recorded);

        let unconfirmed = self.chain.unconfirmed(payments);
        let mut mempool = Mempool::new();
        let added = unconfirmed
            .iter()
            .map(|(tx, spent)| Entry::new(tx.clone(), spent).unwrap())
            .collect();
        mempool.apply(Delta {
            added,
            removed: vec![],
            ..Delta::default()
        });
        self.sequence += 1;
        let view = View::new(&self.index, mempool, self.sequence).unwrap();
        assert_eq!(view.sequence(), self.sequence);
        if self.old.len() == 3 {
            self.old.remove(0);
        }
        self.old.push(Old {
            view,
            chain: self.chain.clone(),
            unconfirmed,
        });
        let scripts: Vec<_> = (0..SCRIPTS).map(script).collect();
        for old in &self.old {
            check(&old.view, &old.chain, &old.unconfirmed, &scripts);
        }
    }
}

/// A history of a database, with a mempool for each moment.
fn life(step: impl Strategy<Value = Step>) -> impl Strategy<Value = Vec<(Step, Vec<Payment>)>> {
    let mempool = prop::collection::vec(payment(), 0..6);
    prop::collection::vec((step, mempool), 1..14)
}

fn live(open: &dyn Fn() -> Arc<dyn Store>, life: Vec<(Step, Vec<Payment>)>) {
    let mut world = World::new(open);
    world.inspect(&[]);
    for (step, payments) in life {
        world = world.step(step);
        world.inspect(&payments);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_answer_in_memory_is_that_of_the_plain_blocks(life in life(step())) {
        let store = Arc::new(MemoryStore::new());
        live(&|| store.clone(), life);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_answer_from_files_is_that_of_the_plain_blocks(life in life(layered_step())) {
        let folder = tempfile::tempdir().unwrap();
        let top = Arc::new(MemoryStore::new());
        let open = || -> Arc<dyn Store> {
            Arc::new(LayeredStore::open(top.clone(), folder.path()).unwrap())
        };
        live(&open, life);
    }
}

#[cfg(feature = "fjall")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_answer_on_disk_is_that_of_the_plain_blocks(life in life(step())) {
        use crate::store::{FjallOptions, FjallStore};
        let folder = tempfile::tempdir().unwrap();
        let open = || -> Arc<dyn Store> {
            Arc::new(FjallStore::open(folder.path(), FjallOptions::default()).unwrap())
        };
        live(&open, life);
    }
}
