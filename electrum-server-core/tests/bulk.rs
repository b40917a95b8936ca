//! However an index is built, it has the same content: from files, over REST and RPC, with any number of threads, in any
//! memory, after any interruption.

#![allow(clippy::unwrap_used)]

mod common;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bitcoin::constants::genesis_block;
use bitcoin::{Amount, Network, ScriptBuf};
use common::{Coin, RegtestNode, Script, spend};
use electrum_server_core::chain::bitcoind::{Auth, Bitcoind, Config, cookie_path, network_dir};
use electrum_server_core::chain::blockfiles::{BlockFiles, FilesFirst};
use electrum_server_core::chain::{BlockWithSpent, ChainSource, SourceError};
use electrum_server_core::index::{Index, RowKey};
use electrum_server_core::store::{LayeredStore, MemoryStore, Store, Table};
use electrum_server_core::sync::{Sync, SyncEvent, SyncOptions};

const KEY: RowKey = RowKey::from_byte_array([0x5a; 16]);
const FEE: Amount = Amount::from_sat(1000);

/// A chain that is worth a bulk build, with a stale block in it: each block spends the coins of an older one in several
/// ways, some of them in the block that makes them.
fn busy_chain(node: &RegtestNode) {
    let (miner, alice) = (Script::new(0), Script::new(1));
    node.mine(110, &miner);
    for height in 1..=450 {
        if height == 200 {
            node.mine(1, &alice);
            let tip = node.rpc("getbestblockhash", &[]);
            node.rpc("invalidateblock", &[tip]);
        }
        let coin = node.coinbase(height, &miner);
        let part = (coin.value - FEE) / 3;
        // Some scripts are used by many, most by one.
        let other = Script::new(2 + height % 40);
        let data = ScriptBuf::new_op_return([7; 40]);
        let parent = spend(
            &[coin],
            &[
                (alice.output_script(), part),
                (data, Amount::ZERO),
                (other.output_script(), part),
                (miner.output_script(), part),
            ],
        );
        let coins = [Coin::of(&parent, 3, &miner), Coin::of(&parent, 0, &alice)];
        let child = spend(&coins, &[(alice.output_script(), part)]);
        node.mine_exactly(&[parent, child], &miner);
    }
}

/// Every row of the content of a store.
fn content(store: &dyn Store) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let snapshot = store.snapshot();
    let mut rows = Vec::new();
    for table in Table::CONTENT {
        let all = [].as_slice()..=[0xff; 64].as_slice();
        let push = &mut |key: &[u8], value: &[u8]| {
            rows.push((table, key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        };
        snapshot.scan(table, all, push).unwrap();
    }
    rows
}

/// Builds an index up to the tip; stops when it reports a height that `stop_at` names, and goes on with the same files.
fn build(
    source: &Arc<dyn ChainSource>,
    store: &dyn Fn() -> Arc<dyn Store>,
    threads: usize,
    build_memory: usize,
    stop_at: &[u32],
) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let genesis = genesis_block(Network::Regtest).block_hash();
    let mut stops = stop_at.iter();
    loop {
        let store = store();
        let index = Index::open_with_key(store.clone(), genesis, KEY).unwrap();
        let options = SyncOptions {
            threads,
            build_memory,
            ..SyncOptions::default()
        };
        let sync = Sync::new(index, source.clone(), options);
        let handle = sync.handle();
        let stop_at = stops.next();
        sync.run_once(&mut |event| {
            if let (SyncEvent::Progress { height, .. }, Some(stop_at)) = (event, stop_at)
                && height >= *stop_at
            {
                handle.stop();
            }
        })
        .unwrap();
        if stop_at.is_none() {
            return content(store.as_ref());
        }
    }
}

fn layered(top: &Arc<MemoryStore>, folder: &Path) -> Arc<dyn Store> {
    Arc::new(LayeredStore::open(top.clone(), folder).unwrap())
}

/// A source without anything but decoded blocks: what somebody's own may be.
struct Plain(Bitcoind);

impl ChainSource for Plain {
    fn tip(&self) -> Result<electrum_server_core::chain::BlockId, SourceError> {
        self.0.tip()
    }
    fn headers(
        &self,
        start_height: u32,
        count: u32,
    ) -> Result<Vec<bitcoin::block::Header>, SourceError> {
        self.0.headers(start_height, count)
    }
    fn block(&self, hash: &bitcoin::BlockHash) -> Result<BlockWithSpent, SourceError> {
        self.0.block(hash)
    }
    fn mempool_txids(&self) -> Result<Vec<bitcoin::Txid>, SourceError> {
        self.0.mempool_txids()
    }
    fn mempool_transactions(
        &self,
        txids: &[bitcoin::Txid],
    ) -> Result<Vec<Option<bitcoin::Transaction>>, SourceError> {
        self.0.mempool_transactions(txids)
    }
    fn unspent_outputs(
        &self,
        outpoints: &[bitcoin::OutPoint],
    ) -> Result<Vec<Option<bitcoin::TxOut>>, SourceError> {
        self.0.unspent_outputs(outpoints)
    }
    fn wait_for_change(
        &self,
        known_tip: bitcoin::BlockHash,
        timeout: std::time::Duration,
    ) -> Result<bool, SourceError> {
        self.0.wait_for_change(known_tip, timeout)
    }
    fn mempool_fingerprint(
        &self,
    ) -> Result<electrum_server_core::chain::MempoolFingerprint, SourceError> {
        self.0.mempool_fingerprint()
    }
}

#[test]
fn however_it_is_built_the_content_is_the_same() {
    let node = RegtestNode::start();
    busy_chain(&node);
    let config = Config {
        network: Network::Regtest,
        address: node.rpc_address(),
        auth: Auth::Cookie(cookie_path(node.daemon_dir(), Network::Regtest)),
        timeout: Config::DEFAULT_TIMEOUT,
    };
    let bitcoind = Bitcoind::connect(&config).unwrap();
    let blocks = network_dir(node.daemon_dir(), Network::Regtest).join("blocks");
    let files = Arc::new(BlockFiles::open(&blocks, Network::Regtest).unwrap());
    files.refresh(&|| false).unwrap();
    assert_eq!(files.len(), 562, "with the stale one");

    let rest: Arc<dyn ChainSource> = Arc::new(bitcoind.clone());
    let plain: Arc<dyn ChainSource> = Arc::new(Plain(bitcoind.clone()));
    let from_files: Arc<dyn ChainSource> =
        Arc::new(FilesFirst::new(files.clone(), Arc::new(bitcoind.clone())));

    // One block after the other into a plain store: what the other ways are measured by.
    let memory = Arc::new(MemoryStore::new());
    let expected = build(&rest, &|| memory.clone(), 2, usize::MAX, &[]);
    assert!(expected.len() > 560 + 2 * 1500);

    let sources = [("rest", &rest), ("plain", &plain), ("files", &from_files)];
    for (name, source) in sources {
        for (threads, memory, stop_at) in [
            (1, usize::MAX, &[][..]),
            (2, 1 << 20, &[]),
            (4, 64 << 10, &[]),
            (2, usize::MAX, &[50, 100, 101, 300]),
            (3, 1, &[]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let top = Arc::new(MemoryStore::new());
            let store = || layered(&top, folder.path());
            let found = build(source, &store, threads, memory, stop_at);
            assert!(
                found == expected,
                "{name}, {threads} threads, {memory} bytes, interrupted at {stop_at:?}"
            );
        }
    }

    // The files have every block of the chain but the stale one and its sibling, and their parts are what they say.
    let mut there = 0;
    for header in bitcoind.headers(0, 2000).unwrap() {
        let hash = header.block_hash();
        let raw = files.block(&hash).unwrap();
        let part = files.part(&hash, 0..80).unwrap().unwrap();
        assert_eq!(part, bitcoin::consensus::serialize(&header));
        there += usize::from(raw.is_some());
    }
    assert_eq!(there, 560);
}
