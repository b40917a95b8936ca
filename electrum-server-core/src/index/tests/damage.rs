//! Databases with a row too few or too short.

use std::fmt::Debug;
use std::sync::Arc;

use bitcoin::Network;
use bitcoin::constants::genesis_block;

use super::chain::{Chain, SCRIPTS, script};
use super::oracle::script_hash;
use super::undo::{chain, derive, open};
use super::{KEY, Rows, rows};
use crate::index::{Index, OpenError, RowKey};
use crate::mempool::Mempool;
use crate::store::{Batch, Durability, MemoryStore, ReadError, Store, Table};
use crate::view::{QueryError, View};

const HEIGHT: u32 = 9;

fn whole() -> (Chain, Rows) {
    let chain = chain(HEIGHT);
    let store = Arc::new(MemoryStore::new());
    let blocks = derive(&KEY, &chain);
    let mut index = open(store.clone());
    index.apply(&blocks, HEIGHT, Durability::Process).unwrap();
    (chain, rows(store.snapshot().as_ref(), &Table::ALL))
}

fn store_of(rows: &Rows) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let mut batch = Batch::default();
    for ((table, key), value) in rows {
        batch.put(*table, key.as_slice(), value.as_slice());
    }
    store.commit(batch, Durability::Process).unwrap();
    store
}

fn open_rows(rows: &Rows) -> Result<Index, OpenError> {
    // The key of a new database: a damaged one must not get it.
    let other = RowKey::from_byte_array([0xcc; 16]);
    Index::open_with_key(
        store_of(rows),
        genesis_block(Network::Regtest).block_hash(),
        other,
    )
}

/// Asks everything; an answer is text, or the error.
fn ask(index: &Index, chain: &Chain) -> Vec<Result<String, QueryError>> {
    fn text<T: Debug>(answer: Result<T, QueryError>) -> Result<String, QueryError> {
        answer.map(|answer| format!("{answer:?}"))
    }
    let view = View::new(index, Mempool::new(), 0).unwrap();
    let mut answers = Vec::new();
    for number in 0..SCRIPTS {
        let hash = script_hash(&script(number));
        answers.push(text(view.history(&hash, None)));
        answers.push(text(view.status(&hash, None)));
        answers.push(text(view.balance(&hash, None)));
        answers.push(text(view.unspent(&hash, None)));
    }
    for (height, block) in (0..).zip(&chain.blocks) {
        for (pos, tx) in (0..).zip(&block.block.txdata) {
            let txid = tx.compute_txid();
            answers.push(text(view.position(&txid)));
            answers.push(text(view.txid_at(height, pos)));
            answers.push(text(view.merkle_branch(&txid, height)));
            answers.push(text(view.merkle_branch_at(height, pos)));
        }
    }
    answers
}

/// Every way to have one row of a table missing, shorter, or longer by a byte.
fn damaged(whole: &Rows, table: Table) -> Vec<(String, Rows)> {
    let mut all = Vec::new();
    for ((of, key), value) in whole {
        if *of != table {
            continue;
        }
        let at = (*of, key.clone());
        let mut rows = whole.clone();
        rows.remove(&at);
        all.push((format!("{table} {key:?} deleted"), rows));
        for len in 0..value.len() {
            let mut rows = whole.clone();
            rows.insert(at.clone(), value[..len].to_vec());
            all.push((format!("{table} {key:?} cut to {len}"), rows));
        }
        let mut rows = whole.clone();
        rows.insert(at, [value.as_slice(), &[0]].concat());
        all.push((format!("{table} {key:?} longer"), rows));
    }
    all
}

#[test]
fn no_row_of_headers_or_meta_can_be_damaged_unnoticed() {
    let (_, whole) = whole();
    for table in [Table::Headers, Table::Meta] {
        for (what, rows) in damaged(&whole, table) {
            let error = open_rows(&rows).expect_err(&what);
            assert!(matches!(error, OpenError::Damaged(_)), "{what}: {error}");
            let text = error.to_string();
            assert!(text.contains(table.name()), "{what}: {text}");
            assert!(text.contains("delete it"), "{what}: {text}");
        }
    }
}

#[test]
fn a_damaged_row_of_txids_is_an_error_where_it_is_needed() {
    let (chain, whole) = whole();
    let answers = ask(&open_rows(&whole).unwrap(), &chain);
    assert!(answers.iter().all(Result::is_ok));
    for (what, rows) in damaged(&whole, Table::Txids) {
        let index = match open_rows(&rows) {
            Ok(index) => index,
            Err(error) => {
                assert!(error.to_string().contains("txids"), "{what}: {error}");
                continue;
            }
        };
        let mut errors = 0;
        for (found, expected) in ask(&index, &chain).iter().zip(&answers) {
            match found {
                Ok(found) => assert_eq!(Ok(found), expected.as_ref().map_err(drop), "{what}"),
                Err(QueryError::Read(ReadError::Damaged { table, .. })) => {
                    assert_eq!(*table, Table::Txids, "{what}");
                    errors += 1;
                }
                Err(error) => panic!("{what}: {error}"),
            }
        }
        assert!(errors >= 3, "{what}");
    }
}

/// What is missing in these tables nobody can know, but nothing panics, and errors name the table.
#[test]
fn damage_in_the_other_tables_does_no_harm() {
    let (chain, whole) = whole();
    for table in [Table::TxNums, Table::History, Table::Undo] {
        for (what, rows) in damaged(&whole, table) {
            let mut index = open_rows(&rows).expect(&what);
            for error in ask(&index, &chain).into_iter().filter_map(Result::err) {
                assert!(error.to_string().contains(table.name()), "{what}: {error}");
            }
            for _ in 0..=HEIGHT {
                let tip = index.headers().tip();
                if let Err(error) = index.undo_tip(None) {
                    assert_eq!(table, Table::Undo, "{what}: {error}");
                    assert_eq!(index.headers().tip(), tip);
                }
            }
        }
    }
}

#[test]
fn no_room_is_made_on_the_word_of_a_row() {
    let (chain, mut rows) = whole();
    // The newest block claims billions of transactions, and the last of them is there.
    let last: u32 = 3_000_000_000;
    let header = rows.get_mut(&(Table::Headers, HEIGHT.to_be_bytes().to_vec()));
    let number = header.unwrap().last_chunk_mut().unwrap();
    *number = (last + 1).to_be_bytes();
    let (_, row) = rows
        .iter()
        .rfind(|((table, _), _)| *table == Table::Txids)
        .unwrap();
    let row = row.clone();
    rows.insert((Table::Txids, last.to_be_bytes().to_vec()), row);
    let mut index = open_rows(&rows).unwrap();
    let errors = ask(&index, &chain).into_iter().filter_map(Result::err);
    assert!(errors.count() > 0);
    let error = index.undo_tip(None).unwrap_err();
    assert!(error.to_string().contains("txids"), "{error}");
    assert_eq!(index.headers().tip().unwrap().height, HEIGHT);
}

#[test]
fn two_txids_that_begin_alike_are_told_apart() {
    let (chain, mut rows) = whole();
    let intact = ask(&open_rows(&rows).unwrap(), &chain);
    // Every transaction looks like every other by the first bytes of its txid.
    let keys: Vec<Vec<u8>> = rows
        .keys()
        .filter(|(table, _)| *table == Table::TxNums)
        .map(|(_, key)| key.clone())
        .collect();
    for first in &keys {
        for second in &keys {
            let key = [&first[..8], &second[8..]].concat();
            rows.insert((Table::TxNums, key), vec![]);
        }
    }
    let found = ask(&open_rows(&rows).unwrap(), &chain);
    let plain = |answers: Vec<Result<String, QueryError>>| -> Vec<String> {
        answers.into_iter().map(Result::unwrap).collect()
    };
    assert_eq!(plain(found), plain(intact));
}

#[test]
fn keys_of_another_length_do_no_harm() {
    let (chain, whole) = whole();
    for table in [Table::Headers, Table::History, Table::TxNums] {
        let (_, key) = whole.keys().rfind(|(of, _)| *of == table).unwrap();
        for key in [&key[..key.len() - 1], &[key.as_slice(), &[0]].concat()] {
            let mut rows = whole.clone();
            let value = rows[&(
                table,
                whole
                    .keys()
                    .rfind(|(of, _)| *of == table)
                    .unwrap()
                    .1
                    .clone(),
            )]
                .clone();
            rows.insert((table, key.to_vec()), value);
            let errors = match open_rows(&rows) {
                Err(error) => vec![error.to_string()],
                Ok(index) => ask(&index, &chain)
                    .into_iter()
                    .filter_map(|answer| answer.err().map(|error| error.to_string()))
                    .collect(),
            };
            // A key that sorts before or behind those that are asked for is never seen.
            for error in errors {
                assert!(error.contains(table.name()), "{error}");
            }
        }
    }
}

#[test]
fn an_index_of_another_chain_or_format_is_refused() {
    let (_, whole) = whole();
    let other = genesis_block(Network::Signet).block_hash();
    let error = Index::open(store_of(&whole), other).unwrap_err();
    let ours = genesis_block(Network::Regtest).block_hash();
    assert!(
        matches!(error, OpenError::OtherChain { found, expected } if found == ours && expected == other)
    );
    for format in [0u32, 1, 3, u32::MAX] {
        let mut rows = whole.clone();
        rows.insert(
            (Table::Meta, b"format".to_vec()),
            format.to_be_bytes().to_vec(),
        );
        let error = open_rows(&rows).unwrap_err();
        assert!(matches!(error, OpenError::OtherFormat { found } if found == format));
    }
}

#[test]
fn new_indexes_have_keys_of_their_own() {
    let genesis = genesis_block(Network::Regtest).block_hash();
    let store = Arc::new(MemoryStore::new());
    let first = Index::open(store.clone(), genesis).unwrap().key();
    assert_eq!(
        Index::open(store, genesis).unwrap().key(),
        first,
        "it is kept"
    );
    let second = Index::open(Arc::new(MemoryStore::new()), genesis).unwrap();
    assert_ne!(second.key(), first);
    assert_eq!(format!("{first:?}"), "RowKey(..)", "logs do not tell it");
}
