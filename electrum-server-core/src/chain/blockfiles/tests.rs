//! Block files as a node leaves them, made up here: keys, tails, other orders, stale blocks, a writer at work.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use bitcoin::consensus::serialize;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{BlockHash, Network, TxOut};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::chain::BlockWithSpent;
use crate::index::tests::chain::{Chain, plan};

const KEY: [u8; 8] = [0xa5, 1, 2, 3, 0, 0xff, 7, 0x80];

/// A number as Bitcoin Core's `WriteVarInt` writes it.
fn var_int(mut number: u64) -> Vec<u8> {
    let mut bytes = vec![(number & 0x7f) as u8];
    while number > 0x7f {
        number = (number >> 7) - 1;
        bytes.push((number & 0x7f) as u8 | 0x80);
    }
    bytes.reverse();
    bytes
}

/// A value as Bitcoin Core's `CompressAmount` makes it smaller.
fn compress_amount(mut sat: u64) -> u64 {
    if sat == 0 {
        return 0;
    }
    let mut zeros = 0;
    while sat.is_multiple_of(10) && zeros < 9 {
        sat /= 10;
        zeros += 1;
    }
    match zeros {
        9 => 1 + (sat - 1) * 10 + 9,
        _ => 1 + (sat / 10 * 9 + sat % 10 - 1) * 10 + zeros,
    }
}

fn undo(spent: &[Vec<TxOut>]) -> Vec<u8> {
    let compact = |count: usize| serialize(&bitcoin::VarInt::from(count));
    let mut bytes = compact(spent.len() - 1);
    for spent in &spent[1..] {
        bytes.extend(compact(spent.len()));
        for output in spent {
            // Height 300, no coinbase, and the number that nobody reads.
            bytes.extend(var_int(600));
            bytes.extend(var_int(0));
            bytes.extend(var_int(compress_amount(output.value.to_sat())));
            bytes.extend(var_int(output.script_pubkey.len() as u64 + 6));
            bytes.extend(output.script_pubkey.as_bytes());
        }
    }
    bytes
}

fn magic() -> [u8; 4] {
    Network::Regtest.magic().to_bytes()
}

fn block_record(block: &BlockWithSpent) -> Vec<u8> {
    let bytes = serialize(&block.block);
    [&magic()[..], &(bytes.len() as u32).to_le_bytes(), &bytes].concat()
}

fn undo_record(block: &BlockWithSpent) -> Vec<u8> {
    let bytes = undo(&block.spent);
    let parent = block.block.header.prev_blockhash;
    let check = sha256d::Hash::hash(&[parent.as_byte_array().as_slice(), &bytes].concat());
    let size = (bytes.len() as u32).to_le_bytes();
    [&magic()[..], &size, &bytes, check.as_byte_array()].concat()
}

/// Appends to a file, combined with the key.
fn append(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    let at = fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let mut bytes = bytes.to_vec();
    Key::new(KEY).apply(&mut bytes, at);
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(&bytes).unwrap();
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("xor.dat"), KEY).unwrap();
    folder
}

/// Some blocks that spend a lot.
fn chain(blocks: usize) -> Chain {
    let mut runner = TestRunner::deterministic();
    let mut chain = Chain::new();
    for _ in 0..blocks {
        let plan = plan().new_tree(&mut runner).unwrap().current();
        chain.mine(&plan);
    }
    chain
}

fn hash(block: &BlockWithSpent) -> BlockHash {
    block.block.block_hash()
}

/// What the files say of a block is what it is.
fn check(files: &BlockFiles, block: &BlockWithSpent) {
    let found = files.block(&hash(block)).unwrap().expect("it is there");
    assert_eq!(found.block, serialize(&block.block));
    let expected = RawSpent::Decoded(block.spent.clone()).scripts().unwrap();
    assert_eq!(found.spent.scripts().unwrap(), expected);
    let part = files.part(&hash(block), 4..36).unwrap().unwrap();
    assert_eq!(part, block.block.header.prev_blockhash.as_byte_array());
    let len = found.block.len() as u32;
    assert!(files.part(&hash(block), 80..len).unwrap().is_some());
    assert!(files.part(&hash(block), 80..len + 1).unwrap().is_none());
}

fn open(folder: &Path) -> BlockFiles {
    let files = BlockFiles::open(folder, Network::Regtest).unwrap();
    files.refresh(&|| false).unwrap();
    files
}

#[test]
fn blocks_are_found_in_any_order_among_stale_ones_before_any_tail() {
    let chain = chain(40);
    let folder = folder();
    let path = folder.path();
    // A fork that was connected for a while, and one that never was.
    let mut fork = Chain::new();
    fork.blocks.clone_from(&chain.blocks[..20].to_vec());
    let mut runner = TestRunner::deterministic();
    let (connected, ignored) = {
        let plans: Vec<_> = (0..9)
            .map(|_| plan().new_tree(&mut runner).unwrap().current())
            .collect();
        fork.mine(&plans[7]);
        fork.mine(&plans[8]);
        (fork.blocks[20].clone(), fork.blocks[21].clone())
    };
    assert_ne!(hash(&connected), hash(&chain.blocks[20]));
    // Files 0 and 3, as on a node that pruned others; blocks out of order.
    for (file, blocks) in [(0, 0..25), (3, 25..41)] {
        let name = format!("blk{file:05}.dat");
        let mut order: Vec<usize> = blocks.clone().collect();
        order[1..].reverse();
        for (count, at) in order.into_iter().enumerate() {
            if file == 0 && count == 7 {
                append(path, &name, &block_record(&ignored));
                append(path, &name, &block_record(&connected));
            }
            append(path, &name, &block_record(&chain.blocks[at]));
        }
        // Zeros to come, as the node allocates them; in the second file the rest of something.
        let tail = if file == 0 {
            vec![0; 5000]
        } else {
            vec![9; 77]
        };
        append(path, &name, &tail);
        let name = format!("rev{file:05}.dat");
        for at in blocks.filter(|at| *at > 0) {
            if at == 20 {
                append(path, &name, &undo_record(&connected));
            }
            append(path, &name, &undo_record(&chain.blocks[at]));
        }
        append(path, &name, &[0; 100]);
    }
    let files = open(path);
    assert_eq!(files.len(), 43);
    for (height, block) in chain.blocks.iter().enumerate() {
        if height != 20 {
            check(&files, block);
        }
    }
    // The records of two blocks with the same parent cannot be told apart.
    for block in [&chain.blocks[20], &connected] {
        assert!(files.block(&hash(block)).unwrap().is_none());
        assert!(files.part(&hash(block), 0..80).unwrap().is_some());
    }
    // It has no undo record: the node may know what it spends.
    assert!(files.block(&hash(&ignored)).unwrap().is_none());
    assert!(files.block(&BlockHash::all_zeros()).unwrap().is_none());
}

#[test]
fn what_a_node_writes_meanwhile_is_found() {
    let chain = chain(12);
    let folder = folder();
    let path = folder.path();
    append(path, "blk00000.dat", &block_record(&chain.blocks[0]));
    let files = open(path);
    for (at, block) in chain.blocks.iter().enumerate().skip(1) {
        // Two files may grow by turns.
        let file = if at < 4 { 0 } else { at % 2 };
        assert!(files.block(&hash(block)).unwrap().is_none());
        let record = block_record(block);
        let (first, second) = record.split_at(record.len() / 2);
        append(path, &format!("blk{file:05}.dat"), first);
        assert!(files.block(&hash(block)).unwrap().is_none());
        append(path, &format!("blk{file:05}.dat"), second);
        // The block is there before what it spends.
        assert!(files.block(&hash(block)).unwrap().is_none());
        assert!(files.part(&hash(block), 0..80).unwrap().is_some());
        append(path, &format!("rev{file:05}.dat"), &undo_record(block));
        check(&files, block);
    }
    assert_eq!(files.len(), 13);
}

#[test]
fn files_that_are_not_what_they_were_are_read_again() {
    let (first, folder) = (chain(6), folder());
    let path = folder.path();
    let write = |blocks: &[BlockWithSpent]| {
        for name in ["blk00000.dat", "rev00000.dat"] {
            let _ = fs::remove_file(path.join(name));
        }
        for block in blocks {
            append(path, "blk00000.dat", &block_record(block));
            if block.block.header.prev_blockhash != BlockHash::all_zeros() {
                append(path, "rev00000.dat", &undo_record(block));
            }
        }
    };
    write(&first.blocks);
    let files = open(path);
    check(&files, &first.blocks[3]);
    // A node that was reindexed has other things in the same places.
    let mut other = first.blocks.clone();
    other[1..].reverse();
    write(&other);
    for block in &first.blocks {
        // The first time shows that something is wrong, the second finds it.
        let _ = files.block(&hash(block)).unwrap();
        check(&files, block);
    }
}

#[test]
fn damage_is_no_block_and_no_panic() {
    let (chain, folder) = (chain(3), folder());
    let path = folder.path();
    for block in &chain.blocks {
        append(path, "blk00000.dat", &block_record(block));
    }
    for block in &chain.blocks[1..] {
        append(path, "rev00000.dat", &undo_record(block));
    }
    let block = &chain.blocks[2];
    for name in ["blk00000.dat", "rev00000.dat"] {
        let intact = fs::read(path.join(name)).unwrap();
        for at in 0..intact.len() {
            let mut damaged = intact.clone();
            damaged[at] ^= 0x10;
            fs::write(path.join(name), damaged).unwrap();
            let Ok(files) = BlockFiles::open(path, Network::Regtest) else {
                continue;
            };
            files.refresh(&|| false).unwrap();
            if let Some(found) = files.block(&hash(block)).unwrap()
                && name == "rev00000.dat"
            {
                assert_eq!(found.block, serialize(&block.block));
                let expected = RawSpent::Decoded(block.spent.clone()).scripts().unwrap();
                assert_eq!(found.spent.scripts().unwrap(), expected, "byte {at}");
            }
        }
        fs::write(path.join(name), intact).unwrap();
    }
    check(&open(path), block);
}

#[test]
fn other_folders_are_refused() {
    let empty = tempfile::tempdir().unwrap();
    let open = |path: &Path, network| BlockFiles::open(path, network).unwrap_err();
    let missing = empty.path().join("missing");
    assert!(matches!(
        open(&missing, Network::Regtest),
        OpenBlockFilesError::Unreadable { .. }
    ));
    assert!(matches!(
        open(empty.path(), Network::Regtest),
        OpenBlockFilesError::Empty { .. }
    ));
    let regtest = folder();
    let genesis = block_record(&Chain::new().blocks[0]);
    append(regtest.path(), "blk00000.dat", &genesis);
    let error = open(regtest.path(), Network::Bitcoin);
    assert!(matches!(error, OpenBlockFilesError::OtherNetwork { .. }));
    assert!(error.to_string().contains("bitcoin"), "{error}");
    fs::write(regtest.path().join("xor.dat"), [1, 2, 3]).unwrap();
    assert!(matches!(
        open(regtest.path(), Network::Regtest),
        OpenBlockFilesError::Unreadable { .. }
    ));
}

/// The pairs in Bitcoin Core's `compress_tests.cpp`.
#[test]
fn amounts_are_those_of_bitcoin_core() {
    const COIN: u64 = 100_000_000;
    for (sat, compressed) in [
        (0, 0),
        (1, 1),
        (COIN / 100, 7),
        (COIN, 9),
        (50 * COIN, 0x32),
        (21_000_000 * COIN, 0x0140_6f40),
    ] {
        assert_eq!(compress_amount(sat), compressed);
        assert_eq!(undo::decompress_amount(compressed), Some(sat));
    }
}

proptest! {
    #[test]
    fn every_amount_comes_back(sat in 0..=21_000_000u64 * 100_000_000) {
        prop_assert_eq!(undo::decompress_amount(compress_amount(sat)), Some(sat));
    }

    #[test]
    fn no_undo_bytes_panic(bytes: Vec<u8>) {
        let _ = for_each_spent(&bytes, |_| {});
    }
}
