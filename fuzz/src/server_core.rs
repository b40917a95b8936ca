//! Decoders of `electrum-server-core`: what a node says and its files hold, what a proxy says, what our own files hold.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use electrum_protocol::ScriptHash;
use electrum_server_core::bitcoin::consensus::{deserialize, serialize};
use electrum_server_core::bitcoin::{Block, Network, Transaction, constants};
use electrum_server_core::chain::BlockWithSpent;
use electrum_server_core::chain::bitcoind;
use electrum_server_core::chain::blockfiles::{BlockFiles, for_each_spent};
use electrum_server_core::fuzzing;
use electrum_server_core::index::{BlockRows, Index, RowKey};
use electrum_server_core::mempool::Mempool;
use electrum_server_core::store::{Batch, Durability, MemoryStore, Store, Table};
use electrum_server_core::view::View;

/// Undo data: any bytes are refused, or show as many outputs as they have room for.
pub fn undo(data: &[u8]) {
    let mut count = 0;
    let mut last = None;
    let result = for_each_spent(data, |output| {
        let place = (output.transaction, output.input);
        assert!(last.is_none_or(|last| last < place), "in order");
        last = Some(place);
        count += 1;
    });
    if result.is_ok() {
        // The shortest has a height, a number that nobody reads or not, a value, and a form without a script.
        assert!(count <= data.len());
    }
}

/// What a node sends as bytes: any are refused, or are what is written again.
pub fn rest(data: &[u8]) {
    let hash = data.get(..80).and_then(|header| deserialize(header).ok());
    let hash = hash.map(|header: electrum_server_core::bitcoin::block::Header| header.block_hash());
    if let Some(hash) = hash
        && let Ok(block) = bitcoind::parse_block(&hash, data)
    {
        assert_eq!(serialize(&block), data);
    }
    if let Ok(headers) = bitcoind::parse_headers(data) {
        let written: Vec<u8> = headers.iter().flat_map(serialize).collect();
        assert_eq!(written, data);
    }
    if let Ok(tx) = bitcoind::parse_transaction(data) {
        assert_eq!(serialize(&tx), data);
    }
    if let Ok(spent) = bitcoind::parse_spent_outputs(data) {
        assert!(spent.len() <= data.len());
    }
    if let Ok(hash) = bitcoind::parse_block_hash(data) {
        assert_eq!(serialize(&hash), data);
    }
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(amount) = bitcoind::parse_btc(text)
    {
        assert!(amount.to_sat() <= 2_100_000_000_000_000);
    }
}

/// Blocks and transactions as they are read in bulk: the same as the library reads, wherever that reads anything.
pub fn block(data: &[u8]) {
    let txids = fuzzing::block(data);
    if let Ok(block) = deserialize::<Block>(data) {
        let expected: Vec<_> = block.txdata.iter().map(Transaction::compute_txid).collect();
        // A block that the library writes in another way than it stood there, nobody makes.
        if serialize(&block) == data {
            assert_eq!(txids, Some(expected));
        }
    }
    let txid = fuzzing::transaction(data);
    if let Ok(tx) = deserialize::<Transaction>(data)
        && serialize(&tx) == data
    {
        assert_eq!(txid, Some(tx.compute_txid()));
    }
}

/// The first words of a proxy: any bytes are refused, or are a header that they begin with, whatever follows.
pub fn proxy(data: &[u8]) {
    let Some((origin, length)) = fuzzing::proxy_header(data) else {
        return;
    };
    let header = data.get(..length).expect("it is part of the bytes");
    assert_eq!(fuzzing::proxy_header(header), Some((origin, length)));
    let longer = [header, b"{\"id\":0}\n"].concat();
    assert_eq!(fuzzing::proxy_header(&longer), Some((origin, length)));
}

/// A folder that is used again and again.
fn folder(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let name = format!("electrum-fuzz-{}", std::process::id());
        std::env::temp_dir().join(name)
    });
    let folder = folder.join(name);
    fs::create_dir_all(&folder).expect("a folder for temporary files");
    folder
}

/// A node's block files: whatever is in them, blocks are found or not, and what is found is the block.
pub fn block_files(data: &[u8]) {
    let Some((key, data)) = data.split_first() else {
        return;
    };
    let folder = folder("blocks");
    let genesis = constants::genesis_block(Network::Regtest);
    let raw = serialize(&genesis);
    // A good record first; what comes then may be anything, and begins like one at times.
    let mut file = Network::Regtest.magic().to_bytes().to_vec();
    file.extend((raw.len() as u32).to_le_bytes());
    file.extend(&raw);
    if key & 1 == 0 {
        file.extend(Network::Regtest.magic().to_bytes());
    }
    file.extend(data);
    fs::write(folder.join("blk00000.dat"), &file).expect("it can be written");
    fs::write(folder.join("rev00000.dat"), data).expect("it can be written");
    let files = BlockFiles::open(&folder, Network::Regtest).expect("there are files");
    let _ = files.refresh(&|| false);
    let hash = genesis.block_hash();
    if let Ok(Some(found)) = files.bytes(&hash) {
        assert_eq!(found, raw);
    }
    let _ = files.block(&hash);
    let _ = files.part(&hash, 80..90);
    if let Some(header) = data.get(4..84)
        && let Ok(header) = deserialize::<electrum_server_core::bitcoin::block::Header>(header)
    {
        let _ = files.block(&header.block_hash());
        let _ = files.bytes(&header.block_hash());
    }
}

/// Files of rows that were built in bulk.
pub fn piece(data: &[u8]) {
    let path = folder("pieces").join("piece");
    if let Ok(rows) = fuzzing::piece(data, &path) {
        assert!(rows <= data.len());
    }
}

/// A database in which some rows are others: it does not open, or whoever reads it gets an answer or an error.
pub fn rows(mut data: &[u8]) {
    let genesis = constants::genesis_block(Network::Regtest);
    let hash = genesis.block_hash();
    let script = genesis.txdata.first().and_then(|tx| tx.output.first());
    let script = script.map(|output| ScriptHash::from_script(&output.script_pubkey));
    let txid = genesis.txdata.first().map(Transaction::compute_txid);
    let store = Arc::new(MemoryStore::default());
    let key = RowKey::from_byte_array([7; 16]);
    let mut index = Index::open_with_key(store.clone(), hash, key).expect("an empty store opens");
    let block = BlockWithSpent {
        block: genesis,
        spent: vec![Vec::new()],
    };
    let rows = BlockRows::derive(&key, &block).expect("it spends nothing");
    index
        .apply(&[rows], 0, Durability::Process)
        .expect("it is the first");
    let mut damage = Batch::default();
    while let Some(([table, row, at, byte], rest)) = data.split_first_chunk() {
        data = rest;
        let tables = Table::ALL;
        let Some(table) = tables.get(usize::from(*table) % tables.len()).copied() else {
            break;
        };
        let mut number = usize::from(*row % 4);
        let mut chosen = None;
        let scanned = store
            .snapshot()
            .scan(table, &[]..=&[0xff; 64], &mut |key, value| {
                chosen = Some((key.to_vec(), value.to_vec()));
                number = number.wrapping_sub(1);
                match number {
                    usize::MAX => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            });
        scanned.expect("it is in memory");
        let (mut key, mut value) = chosen.unwrap_or_default();
        match row / 4 % 4 {
            0 => {
                let len = key.len().max(1);
                if let Some(place) = key.get_mut(usize::from(*at) % len) {
                    *place = *byte;
                }
                damage.put(table, key, value);
            }
            1 => {
                let len = value.len().max(1);
                if let Some(place) = value.get_mut(usize::from(*at) % len) {
                    *place = *byte;
                }
                damage.put(table, key, value);
            }
            2 => {
                value.resize(usize::from(*at), *byte);
                damage.put(table, key, value);
            }
            _ => damage.delete(table, key),
        }
    }
    store
        .commit(damage, Durability::Process)
        .expect("it is in memory");
    let Ok(mut index) = Index::open(store, hash) else {
        return;
    };
    if let Some(view) = View::new(&index, Mempool::new(), 1) {
        let (Some(script), Some(txid)) = (script, txid) else {
            return;
        };
        let _ = view.history(&script, None);
        let _ = view.status(&script, None);
        let _ = view.unspent(&script, None);
        let _ = view.balance(&script, None);
        let _ = view.first_use(&script);
        let _ = view.transaction_height(&txid);
        let _ = view.position(&txid);
        let _ = view.txid_at(0, 0);
        let _ = view.checkpoint_proof(0, 0);
    }
    let _ = index.undo_tip(None);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

        #[test]
        fn any_bytes(data in vec(any::<u8>(), 0..400)) {
            for body in [super::undo, super::rest, super::block, super::proxy, super::rows] {
                body(&data);
            }
            for body in [super::block_files, super::piece] {
                body(&data);
            }
        }

        /// With a known beginning the decoders get further.
        #[test]
        fn proxies(tail in vec(any::<u8>(), 0..60), family in 0u8..0x40) {
            let begin = [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x21, family, 0, 36], &tail].concat();
            super::proxy(&begin);
            let line = String::from_utf8_lossy(&tail).into_owned();
            super::proxy(format!("PROXY TCP4 1.2.3.4 {line} 5 6\r\n").as_bytes());
        }
    }

    #[test]
    fn a_few_inputs() {
        for data in [&[][..], &[0], &[1, 1, 0, 0, 6], &[1, 0xfd, 1], &[0xff; 40]] {
            super::undo(data);
        }
        let genesis = super::constants::genesis_block(super::Network::Regtest);
        let genesis = super::serialize(&genesis);
        for body in [super::rest, super::block, super::block_files] {
            body(&genesis);
        }
        super::proxy(b"PROXY TCP4 198.51.100.1 203.0.113.7 35646 50001\r\n{");
    }
}
