//! The server inside somebody else's program, with that program's own storage and its own source of blocks.
//!
//! ```sh
//! cargo run -p electrum-examples --example embed_own_parts
//! ```

#![allow(clippy::print_stdout, reason = "it is what the example does")]

use std::collections::{BTreeMap, HashMap};
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bitcoin::block::Header;
use bitcoin::constants::genesis_block;
use bitcoin::{Amount, Block, BlockHash, Network, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use electrum_protocol::ScriptHash;
use electrum_server_core::chain::{
    BlockId, BlockWithSpent, ChainSource, MempoolFingerprint, SourceError,
};
use electrum_server_core::index::Index;
use electrum_server_core::regtest::RegtestNode;
use electrum_server_core::store::{
    Batch, CommitError, Durability, ReadError, Snapshot, Store, Table, Visit,
};
use electrum_server_core::sync::{Sync, SyncEvent, SyncOptions};

/// Rows in a map of the standard library; a program would use the database that it has already.
#[derive(Debug, Default)]
struct OwnStore(Mutex<Arc<Rows>>);

#[derive(Clone, Debug, Default)]
struct Rows(BTreeMap<(Table, Vec<u8>), Vec<u8>>);

impl Store for OwnStore {
    fn commit(&self, batch: Batch, _: Durability) -> Result<(), CommitError> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Snapshots keep the rows of before.
        let rows = Arc::make_mut(&mut current);
        for (table, key, value) in batch.into_changes() {
            match value {
                Some(value) => rows.0.insert((table, key), value),
                None => rows.0.remove(&(table, key)),
            };
        }
        Ok(())
    }

    fn persist(&self) -> Result<(), CommitError> {
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Snapshot for Rows {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.0.get(&(table, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        table: Table,
        range: RangeInclusive<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), ReadError> {
        let (first, last) = (
            (table, range.start().to_vec()),
            (table, range.end().to_vec()),
        );
        if first > last {
            return Ok(());
        }
        for ((_, key), value) in self.0.range(first..=last) {
            if let ControlFlow::Break(()) = visit(key, value) {
                break;
            }
        }
        Ok(())
    }
}

/// Blocks that the program has from wherever it has them; it knows of no mempool.
#[derive(Default)]
struct OwnSource {
    blocks: Vec<Block>,
    heights: HashMap<BlockHash, usize>,
    /// Every output there ever was: enough to say what a block spends.
    outputs: HashMap<OutPoint, TxOut>,
}

impl OwnSource {
    fn push(&mut self, block: Block) {
        for tx in &block.txdata {
            let txid = tx.compute_txid();
            let outputs = (0..).zip(&tx.output);
            self.outputs
                .extend(outputs.map(|(vout, output)| (OutPoint::new(txid, vout), output.clone())));
        }
        self.heights.insert(block.block_hash(), self.blocks.len());
        self.blocks.push(block);
    }
}

impl ChainSource for OwnSource {
    fn tip(&self) -> Result<BlockId, SourceError> {
        let block = self.blocks.last();
        let block = block.ok_or_else(|| SourceError::transient("there is no block yet"))?;
        Ok(BlockId {
            height: self.blocks.len() as u32 - 1,
            hash: block.block_hash(),
        })
    }

    fn headers(&self, start_height: u32, count: u32) -> Result<Vec<Header>, SourceError> {
        let blocks = self.blocks.iter().skip(start_height as usize);
        Ok(blocks
            .take(count as usize)
            .map(|block| block.header)
            .collect())
    }

    fn block(&self, hash: &BlockHash) -> Result<BlockWithSpent, SourceError> {
        let missing = || SourceError::Missing { hash: *hash };
        let height = self.heights.get(hash).ok_or_else(missing)?;
        let block = self.blocks.get(*height).ok_or_else(missing)?;
        let spent = block.txdata.iter().map(|tx| {
            let inputs = tx.input.iter().filter(|_| !tx.is_coinbase());
            inputs
                .map(|input| self.outputs.get(&input.previous_output).cloned())
                .collect()
        });
        Ok(BlockWithSpent {
            block: block.clone(),
            spent: spent.collect::<Option<_>>().ok_or_else(missing)?,
        })
    }

    fn mempool_txids(&self) -> Result<Vec<Txid>, SourceError> {
        Ok(Vec::new())
    }

    fn mempool_transactions(
        &self,
        txids: &[Txid],
    ) -> Result<Vec<Option<Transaction>>, SourceError> {
        Ok(vec![None; txids.len()])
    }

    fn unspent_outputs(&self, outpoints: &[OutPoint]) -> Result<Vec<Option<TxOut>>, SourceError> {
        // Only asked on behalf of the mempool.
        Ok(vec![None; outpoints.len()])
    }

    fn wait_for_change(&self, known: BlockHash, timeout: Duration) -> Result<bool, SourceError> {
        std::thread::sleep(timeout.min(Duration::from_millis(100)));
        Ok(self.tip()?.hash != known)
    }

    fn mempool_fingerprint(&self) -> Result<MempoolFingerprint, SourceError> {
        Ok(MempoolFingerprint {
            count: 0,
            vsize: 0,
            fees: Amount::ZERO,
            usage: 0,
        })
    }
}

/// Runs the example; tests do, too.
pub fn main() -> Result<()> {
    // Some blocks to index: a payment among them.
    let node = RegtestNode::default();
    let script = ScriptBuf::new_p2wsh(&ScriptBuf::from_bytes(vec![0x51]).wscript_hash());
    node.fund(&script, Amount::from_sat(70_000))?;
    node.mine_to_faucet(1);
    let mut source = OwnSource::default();
    source.push(genesis_block(Network::Regtest));
    for height in 1..=node.height() {
        let hash = node.block_hash(height).context("the node has it")?;
        source.push(node.get_block(&hash).context("the node has it")?);
    }

    let genesis = genesis_block(Network::Regtest).block_hash();
    let index = Index::open(Arc::new(OwnStore::default()), genesis)?;
    let sync = Sync::new(index, Arc::new(source), SyncOptions::default());
    let mut view = None;
    sync.run_once(&mut |event| {
        if let SyncEvent::Ready(published) = event {
            view = Some(published.view());
        }
    })?;
    // Serving it over TCP is in `embed_server.rs`; a program may as well ask by itself.
    let view = view.context("indexing has ended without a view")?;
    let balance = view.balance(&ScriptHash::from_script(&script), None)?;
    println!(
        "{} blocks, {} on the script",
        view.height() + 1,
        balance.confirmed
    );
    anyhow::ensure!(
        balance.confirmed == Amount::from_sat(70_000),
        "another balance"
    );
    Ok(())
}
