//! A node that says what a test told it to say.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use bitcoin::{Amount, BlockHash, Transaction, Txid, consensus};
use electrum_protocol::method::mempool::MempoolFees;
use electrum_protocol::method::transaction::MempoolVerdict;
use electrum_protocol::{EstimateMode, FeePerKvb, RawJson};

use crate::chain::{Broadcast, Node, NodeError, PackageOutcome, SourceError};

/// Where the node has a transaction: in a block, or in its mempool.
type Place = Option<BlockHash>;

#[derive(Default)]
pub(crate) struct TestNode {
    pub(crate) away: AtomicBool,
    /// How many milliseconds it thinks before it answers.
    pub(crate) thinks: AtomicU64,
    /// How many milliseconds it has thought.
    pub(crate) thought: AtomicU64,
    /// How many bytes it adds to what it tells about a transaction.
    pub(crate) padding: AtomicU64,
    /// Whether it has pruned its blocks.
    pub(crate) pruned: AtomicBool,
    /// While this is set, what it tells about transactions does not come.
    stuck: Mutex<bool>,
    moves: Condvar,
    transactions: Mutex<HashMap<(Txid, Place), Vec<u8>>>,
    /// What it says to the next broadcast.
    broadcast: Mutex<Option<Result<Txid, NodeError>>>,
    package: Mutex<Option<Result<PackageOutcome, NodeError>>>,
    /// Every question, in order.
    asked: Mutex<Vec<String>>,
}

impl TestNode {
    /// Lets it have a transaction, in a block or in its mempool.
    pub(crate) fn knows(&self, tx: &Transaction, block: Option<BlockHash>) {
        let raw_tx = consensus::serialize(tx);
        self.transactions
            .lock()
            .unwrap()
            .insert((tx.compute_txid(), block), raw_tx);
    }

    /// Every question so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn answers_broadcast(&self, answer: Result<Txid, NodeError>) {
        *self.broadcast.lock().unwrap() = Some(answer);
    }

    pub(crate) fn answers_package(&self, answer: Result<PackageOutcome, NodeError>) {
        *self.package.lock().unwrap() = Some(answer);
    }

    /// Lets what it tells about transactions wait, or come.
    pub(crate) fn is_stuck(&self, stuck: bool) {
        *self.stuck.lock().unwrap() = stuck;
        self.moves.notify_all();
    }

    /// Takes the time that an answer takes.
    pub(crate) fn think(&self) {
        let thinks = self.thinks.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(thinks));
        self.thought.fetch_add(thinks, Ordering::Relaxed);
    }

    fn ask(&self, question: String) -> Result<(), NodeError> {
        self.asked.lock().unwrap().push(question);
        self.think();
        if self.away.load(Ordering::Relaxed) {
            let error = SourceError::transient("cannot read /home/satoshi/.bitcoin/.cookie");
            return Err(NodeError::Unavailable(error));
        }
        Ok(())
    }

    fn find(&self, txid: &Txid, block: Option<&BlockHash>) -> Result<Vec<u8>, NodeError> {
        if block.is_some() && self.pruned.load(Ordering::Relaxed) {
            return Err(NodeError::Rpc {
                code: -1,
                message: "Block not available".to_owned(),
            });
        }
        let transactions = self.transactions.lock().unwrap();
        transactions
            .get(&(*txid, block.copied()))
            .cloned()
            .ok_or_else(|| NodeError::Rpc {
                code: -5,
                message: "No such mempool transaction. Use -txindex or provide a block hash"
                    .to_owned(),
            })
    }
}

impl Broadcast for TestNode {
    fn broadcast(&self, raw_tx: &[u8]) -> Result<Txid, NodeError> {
        self.ask(format!("broadcast {} bytes", raw_tx.len()))?;
        self.broadcast.lock().unwrap().take().unwrap()
    }

    fn submit_package(&self, raw_txs: &[Vec<u8>]) -> Result<PackageOutcome, NodeError> {
        self.ask(format!("package of {}", raw_txs.len()))?;
        self.package.lock().unwrap().take().unwrap()
    }
}

impl Node for TestNode {
    /// Takes what is not empty.
    fn test_mempool_accept(&self, raw_txs: &[Vec<u8>]) -> Result<Vec<MempoolVerdict>, NodeError> {
        self.ask(format!("test {}", raw_txs.len()))?;
        let verdict = |raw_tx: &Vec<u8>| {
            let tx: Transaction = consensus::deserialize(raw_tx).map_err(|_| NodeError::Rpc {
                code: -22,
                message: "TX decode failed".to_owned(),
            })?;
            Ok(MempoolVerdict {
                txid: tx.compute_txid(),
                wtxid: tx.compute_wtxid(),
                allowed: Some(true),
                reason: None,
            })
        };
        raw_txs.iter().map(verdict).collect()
    }

    /// Estimates one satoshi per target, and nothing for more than 100 blocks.
    fn estimate_fee(
        &self,
        blocks: u32,
        mode: Option<EstimateMode>,
    ) -> Result<Option<FeePerKvb>, NodeError> {
        self.ask(format!("estimate {blocks} {mode:?}"))?;
        Ok((blocks <= 100).then(|| FeePerKvb(Amount::from_sat(blocks.into()))))
    }

    fn relay_fee(&self) -> Result<FeePerKvb, NodeError> {
        self.ask("relay fee".to_owned())?;
        Ok(FeePerKvb(Amount::from_sat(100)))
    }

    fn mempool_fees(&self) -> Result<MempoolFees, NodeError> {
        self.ask("mempool".to_owned())?;
        Ok(MempoolFees {
            mempool_min_fee: FeePerKvb(Amount::from_sat(300)),
            min_relay_tx_fee: FeePerKvb(Amount::from_sat(200)),
            incremental_relay_fee: FeePerKvb(Amount::from_sat(100)),
        })
    }

    fn raw_transaction(
        &self,
        txid: &Txid,
        block: Option<&BlockHash>,
    ) -> Result<Vec<u8>, NodeError> {
        self.ask(format!("raw {txid} {block:?}"))?;
        self.find(txid, block)
    }

    fn block_part(&self, _: &BlockHash, _: Range<u32>) -> Result<Option<Vec<u8>>, NodeError> {
        Ok(None)
    }

    fn verbose_transaction(
        &self,
        txid: &Txid,
        block: Option<&BlockHash>,
        max_bytes: usize,
    ) -> Result<RawJson, NodeError> {
        self.ask(format!("verbose {txid} {block:?}"))?;
        let stuck = self.stuck.lock().unwrap();
        drop(self.moves.wait_while(stuck, |stuck| *stuck).unwrap());
        let raw_tx = self.find(txid, block)?;
        let padding = " ".repeat(self.padding.load(Ordering::Relaxed) as usize);
        let json = format!("{{\"size\": {}{padding}}}", raw_tx.len());
        let json = RawJson::parse(&json).unwrap();
        match json.get().len() > max_bytes {
            true => Err(NodeError::TooLarge { max_bytes }),
            false => Ok(json),
        }
    }

    fn user_agent(&self) -> Result<String, NodeError> {
        self.ask("user agent".to_owned())?;
        Ok("/Satoshi:31.99.0/".to_owned())
    }
}
