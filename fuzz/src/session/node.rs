//! A node that has the transactions of a world, and may be away.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use electrum_protocol::method::mempool::MempoolFees;
use electrum_protocol::method::transaction::MempoolVerdict;
use electrum_protocol::{EstimateMode, FeePerKvb, RawJson};
use electrum_server_core::bitcoin::{Amount, BlockHash, Transaction, Txid, consensus};
use electrum_server_core::chain::{Broadcast, Node, NodeError, PackageOutcome, SourceError};

/// Transactions in blocks, stale ones too, and in the mempool.
type Transactions = HashMap<(Txid, Option<BlockHash>), Vec<u8>>;

/// The node.
#[derive(Default)]
pub(super) struct FuzzNode {
    pub(super) is_away: AtomicBool,
    transactions: Mutex<Transactions>,
}

impl FuzzNode {
    /// Lets it have a transaction, in a block or in its mempool.
    pub(super) fn knows(&self, tx: &Transaction, block: Option<BlockHash>) {
        self.with(|all| all.insert((tx.compute_txid(), block), consensus::serialize(tx)));
    }

    /// Takes a transaction from its mempool.
    pub(super) fn forgets(&self, txid: &Txid) {
        self.with(|all| all.remove(&(*txid, None)));
    }

    fn with<T>(&self, act: impl FnOnce(&mut Transactions) -> T) -> T {
        let mut transactions = self
            .transactions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        act(&mut transactions)
    }

    fn is_there(&self) -> Result<(), NodeError> {
        match self.is_away.load(Ordering::Relaxed) {
            true => Err(NodeError::Unavailable(SourceError::transient("away"))),
            false => Ok(()),
        }
    }
}

fn refuse(code: i32, message: &str) -> NodeError {
    NodeError::Rpc {
        code,
        message: message.to_owned(),
    }
}

fn read(raw_tx: &[u8]) -> Result<Transaction, NodeError> {
    consensus::deserialize(raw_tx).map_err(|_| refuse(-22, "TX decode failed"))
}

impl Broadcast for FuzzNode {
    /// Takes what can be read, and forgets it.
    fn broadcast(&self, raw_tx: &[u8]) -> Result<Txid, NodeError> {
        self.is_there()?;
        read(raw_tx).map(|tx| tx.compute_txid())
    }

    fn submit_package(&self, raw_txs: &[Vec<u8>]) -> Result<PackageOutcome, NodeError> {
        self.is_there()?;
        for raw_tx in raw_txs {
            read(raw_tx)?;
        }
        Ok(PackageOutcome {
            success: true,
            errors: Vec::new(),
            json: RawJson::parse("{\"package_msg\":\"success\"}").expect("JSON"),
        })
    }
}

impl Node for FuzzNode {
    fn test_mempool_accept(&self, raw_txs: &[Vec<u8>]) -> Result<Vec<MempoolVerdict>, NodeError> {
        self.is_there()?;
        let verdict = |raw_tx: &Vec<u8>| {
            let tx = read(raw_tx)?;
            Ok(MempoolVerdict {
                txid: tx.compute_txid(),
                wtxid: tx.compute_wtxid(),
                allowed: Some(true),
                reason: None,
            })
        };
        raw_txs.iter().map(verdict).collect()
    }

    fn estimate_fee(
        &self,
        blocks: u32,
        _mode: Option<EstimateMode>,
    ) -> Result<Option<FeePerKvb>, NodeError> {
        self.is_there()?;
        Ok((blocks <= 100).then(|| FeePerKvb(Amount::from_sat(blocks.into()))))
    }

    fn relay_fee(&self) -> Result<FeePerKvb, NodeError> {
        self.is_there()?;
        Ok(FeePerKvb(Amount::from_sat(100)))
    }

    fn mempool_fees(&self) -> Result<MempoolFees, NodeError> {
        self.is_there()?;
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
        self.is_there()?;
        self.with(|all| all.get(&(*txid, block.copied())).cloned())
            .ok_or_else(|| refuse(-5, "No such mempool transaction"))
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
        let raw_tx = self.raw_transaction(txid, block)?;
        let json = RawJson::parse(&format!("{{\"size\":{}}}", raw_tx.len())).expect("JSON");
        match json.get().len() > max_bytes {
            true => Err(NodeError::TooLarge { max_bytes }),
            false => Ok(json),
        }
    }

    fn user_agent(&self) -> Result<String, NodeError> {
        self.is_there()?;
        Ok("/Satoshi:31.99.0/".to_owned())
    }
}
