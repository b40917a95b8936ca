//! The bytes of every row format, against `golden.txt`, which `golden.py` wrote.

use std::sync::Arc;

use bitcoin::consensus::encode::deserialize;
use bitcoin::hex::FromHex;
use bitcoin::{Block, TxOut};

use super::{KEY, Rows, rows};
use crate::chain::BlockWithSpent;
use crate::index::{BlockRows, Index, RowKey};
use crate::store::{Batch, Durability, MemoryStore, Store, Table};

/// Reads the blocks and the rows of `golden.txt`.
fn golden() -> (Vec<BlockWithSpent>, Rows) {
    let (mut blocks, mut rows) = (Vec::<BlockWithSpent>::new(), Rows::new());
    for line in include_str!("golden.txt").lines() {
        let mut words = line.split(' ');
        let kind = words.next().unwrap();
        let mut bytes = words
            .clone()
            .filter(|word| *word != "-")
            .map(Vec::<u8>::from_hex);
        match kind {
            "block" => blocks.push(BlockWithSpent {
                block: deserialize::<Block>(&bytes.next().unwrap().unwrap()).unwrap(),
                spent: Vec::new(),
            }),
            "spent" => {
                let outputs = bytes.map(|output| deserialize::<TxOut>(&output.unwrap()).unwrap());
                let block = blocks.last_mut().unwrap();
                block.spent.push(outputs.collect());
            }
            "row" => {
                let name = words.next().unwrap();
                let table = Table::ALL.into_iter().find(|table| table.name() == name);
                let key = Vec::from_hex(words.next().unwrap()).unwrap();
                let value = Vec::from_hex(words.next().unwrap().trim_matches('-')).unwrap();
                rows.insert((table.unwrap(), key), value);
            }
            _ => assert_eq!(kind, "#", "{line}"),
        }
    }
    (blocks, rows)
}

/// Builds an index of some blocks in memory.
fn build(blocks: &[BlockWithSpent]) -> (Arc<MemoryStore>, Index) {
    let store = Arc::new(MemoryStore::new());
    let mut index = Index::open_with_key(store.clone(), blocks[0].block.block_hash(), KEY).unwrap();
    let derived: Vec<_> = blocks
        .iter()
        .map(|block| BlockRows::derive(&KEY, block).unwrap())
        .collect();
    index.apply(&derived, 2, Durability::Process).unwrap();
    (store, index)
}

#[test]
fn every_table_has_the_documented_bytes() {
    let (blocks, expected) = golden();
    let (store, _) = build(&blocks);
    let found = rows(store.snapshot().as_ref(), &Table::ALL);
    for table in Table::ALL {
        // These two are for an index of some wallets.
        let is_personal = [Table::Kept, Table::Wallets].contains(&table);
        let is_there = expected.keys().any(|(of, _)| *of == table);
        assert_ne!(is_there, is_personal, "{table}");
    }
    assert_eq!(found, expected);
}

#[test]
fn a_database_of_the_documented_bytes_can_be_read() {
    let (blocks, expected) = golden();
    let store = Arc::new(MemoryStore::new());
    let mut batch = Batch::default();
    for ((table, key), value) in &expected {
        batch.put(*table, key.as_slice(), value.as_slice());
    }
    store.commit(batch, Durability::Process).unwrap();
    // The key stands in the database; the one that a new database would get is not used.
    let other = RowKey::from_byte_array([0xee; 16]);
    let mut index =
        Index::open_with_key(store.clone(), blocks[0].block.block_hash(), other).unwrap();
    assert_eq!(index.key(), KEY);
    let tip = index.headers().tip().unwrap();
    assert_eq!(tip.hash, blocks[2].block.block_hash());
    index.undo_tip(None).unwrap();
    index.undo_tip(None).unwrap();
    index.undo_tip(None).unwrap();
    let left = rows(store.snapshot().as_ref(), &Table::ALL);
    assert!(left.keys().all(|(table, _)| *table == Table::Meta));
    assert_eq!(left.len(), 3);
}

/// Runs where the whole repository is: the page is no part of the package.
#[test]
fn the_page_on_the_format_shows_these_bytes() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/store-format.md");
    let Ok(page) = std::fs::read_to_string(page) else {
        return;
    };
    for line in include_str!("golden.txt").lines() {
        if let Some(row) = line.strip_prefix("row ") {
            assert!(page.contains(row), "{row}");
        }
    }
}
