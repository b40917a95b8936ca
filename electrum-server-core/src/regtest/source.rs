//! The node as a server sees it.

use std::ops::Range;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::consensus::encode::{deserialize, serialize};
use bitcoin::{Amount, BlockHash, OutPoint, Transaction, TxOut, Txid};
use electrum_protocol::RawJson;
use electrum_protocol::method::fee::{EstimateMode, FeePerKvb};
use electrum_protocol::method::mempool::MempoolFees;
use electrum_protocol::method::transaction::{MempoolVerdict, PackageError};

use super::mempool::Terms;
use super::node::{RegtestNode, State};
use super::policy::{MIN_RELAY_RATE, fee_at};
use super::reject::Reject;
use super::{PackageVerdict, json, package};
use crate::chain::{
    BlockId, BlockWithSpent, Broadcast, ChainSource, MempoolFingerprint, Node, NodeError,
    PackageOutcome, SourceError,
};

/// In satoshis per 1000 virtual bytes: more than this is taken for a mistake.
const MAX_FEE_RATE: Amount = Amount::from_sat(10_000_000);

/// Codes of Bitcoin Core's errors.
pub(super) mod code {
    /// What was asked for does not exist.
    pub(crate) const NOT_FOUND: i32 = -5;
    /// What was given does not decode.
    pub(crate) const DESERIALIZATION: i32 = -22;
    /// The inputs are missing, among other things.
    pub(crate) const VERIFY: i32 = -25;
    /// The rules say no.
    pub(crate) const REJECTED: i32 = -26;
    /// The chain has it already.
    pub(crate) const ALREADY_IN_CHAIN: i32 = -27;
}

impl State {
    fn best(&self) -> BlockId {
        BlockId {
            height: self.chain.height(),
            hash: self.chain.tip(),
        }
    }

    /// What `sendrawtransaction` refuses unless it is told otherwise, to save its users from mistakes.
    fn check_limits(
        &self,
        tx: &Transaction,
        max_rate: Amount,
        max_burn: Amount,
    ) -> Result<(), NodeError> {
        let refused = |message: &str| {
            Err(NodeError::Rpc {
                code: code::VERIFY,
                message: message.to_owned(),
            })
        };
        let is_burned = |output: &TxOut| {
            let script = &output.script_pubkey;
            (script.is_op_return() || script.len() > 10_000) && output.value > max_burn
        };
        if tx.output.iter().any(is_burned) {
            return refused(
                "Unspendable output exceeds maximum configured by user (maxburnamount)",
            );
        }
        // What is wrong with it otherwise is more interesting.
        match self.mempool.check(&self.chain, tx, Terms::Alone) {
            Ok(candidate)
                if max_rate > Amount::ZERO
                    && candidate.fee > fee_at(max_rate.to_sat(), candidate.vsize) =>
            {
                refused("Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)")
            }
            _ => Ok(()),
        }
    }

    /// A transaction of the mempool, or of that block.
    pub(super) fn find(
        &self,
        txid: &Txid,
        block: Option<&BlockHash>,
    ) -> Result<Transaction, NodeError> {
        let missing = |message: &str| NodeError::Rpc {
            code: code::NOT_FOUND,
            message: message.to_owned(),
        };
        let Some(hash) = block else {
            let waiting = self.mempool.waiting.get(txid).ok_or_else(|| {
                missing(
                    "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain \
                     transaction queries. Use gettransaction for wallet transactions.",
                )
            })?;
            return Ok(waiting.tx.clone());
        };
        let entry = self
            .chain
            .entry(hash)
            .ok_or_else(|| missing("Block hash not found"))?;
        let found = entry.transactions().find(|(_, other)| other == txid);
        found.map(|(tx, _)| tx.clone()).ok_or_else(|| {
            missing("No such transaction found in the provided block. Use gettransaction for wallet transactions.")
        })
    }
}

impl RegtestNode {
    /// Takes a transaction in its network encoding, as Bitcoin Core's `sendrawtransaction` does; `max_rate` per 1000
    /// virtual bytes (0: any), `max_burn` in outputs that nobody can spend.
    pub(super) fn send_raw_within(
        &self,
        raw_tx: &[u8],
        max_rate: Option<Amount>,
        max_burn: Option<Amount>,
    ) -> Result<Txid, NodeError> {
        let tx = decode(raw_tx)?;
        let txid = tx.compute_txid();
        self.change(|state, now| {
            let outputs = 0..tx.output.len() as u32;
            let mut outputs = outputs.map(|vout| OutPoint::new(txid, vout));
            if outputs.any(|outpoint| state.chain.coins.contains_key(&outpoint)) {
                return Err(NodeError::Rpc {
                    code: code::ALREADY_IN_CHAIN,
                    message: "Transaction outputs already in utxo set".to_owned(),
                });
            }
            // Whoever sends it again wants it to be there, and it is.
            if state.mempool.waiting.contains_key(&txid) {
                return Ok(txid);
            }
            state.check_limits(
                &tx,
                max_rate.unwrap_or(MAX_FEE_RATE),
                max_burn.unwrap_or(Amount::ZERO),
            )?;
            state.accept(&tx, Terms::Alone, now).map_err(refused)
        })
    }

    /// Takes a package in network encoding, as Bitcoin Core's `submitpackage` does.
    pub(super) fn send_package(&self, raw_txs: &[Vec<u8>]) -> Result<PackageVerdict, NodeError> {
        let txs: Result<Vec<Transaction>, NodeError> =
            raw_txs.iter().map(|raw_tx| decode(raw_tx)).collect();
        let txs = txs?;
        if txs.is_empty() || txs.len() > 25 {
            return Err(NodeError::Rpc {
                code: -8,
                message: "Array must contain between 1 and 25 transactions.".to_owned(),
            });
        }
        if !package::is_tree(&txs) {
            return Err(NodeError::Rpc {
                code: code::VERIFY,
                message: "package topology disallowed. not child-with-parents or parents depend on each other."
                    .to_owned(),
            });
        }
        self.submit_package_of(&txs).map_err(refused)
    }

    /// Takes a package into the mempool: parents first, their child last.
    ///
    /// # Errors
    ///
    /// The transactions are no package. What becomes of those that are is in the verdict.
    pub fn submit_package_of(&self, txs: &[Transaction]) -> Result<PackageVerdict, Reject> {
        self.change(|state, now| state.accept_package(txs, now))
    }
}

fn decode(raw_tx: &[u8]) -> Result<Transaction, NodeError> {
    deserialize(raw_tx).map_err(|_| NodeError::Rpc {
        code: code::DESERIALIZATION,
        message: "TX decode failed. Make sure the tx has at least one input.".to_owned(),
    })
}

fn refused(reject: Reject) -> NodeError {
    let code = match reject.reason.as_str() {
        "bad-txns-inputs-missingorspent" => code::VERIFY,
        _ => code::REJECTED,
    };
    NodeError::Rpc {
        code,
        message: reject.to_string(),
    }
}

impl ChainSource for RegtestNode {
    fn tip(&self) -> Result<BlockId, SourceError> {
        Ok(self.published(State::best))
    }

    fn headers(&self, start_height: u32, count: u32) -> Result<Vec<Header>, SourceError> {
        Ok(self.published(|state| {
            let chain = &state.chain;
            let end = start_height
                .saturating_add(count)
                .min(chain.height().saturating_add(1));
            (start_height..end)
                .filter_map(|height| chain.entry(&chain.active_hash(height)?))
                .map(|entry| entry.block.header)
                .collect()
        }))
    }

    fn block(&self, hash: &BlockHash) -> Result<BlockWithSpent, SourceError> {
        // A block that nobody connected spends nothing that is known.
        let found = self.read(|state| {
            let chain = &state.chain;
            Some((chain.entry(hash)?.clone(), chain.spent(hash)?.clone()))
        });
        let (entry, spent) = found.ok_or(SourceError::Missing { hash: *hash })?;
        let outputs = spent
            .iter()
            .map(|coins| coins.iter().map(|coin| coin.output.clone()).collect());
        Ok(BlockWithSpent {
            block: entry.block.clone(),
            spent: outputs.collect(),
        })
    }

    fn mempool_txids(&self) -> Result<Vec<Txid>, SourceError> {
        Ok(self.published(|state| state.mempool.waiting.keys().copied().collect()))
    }

    fn mempool_transactions(
        &self,
        txids: &[Txid],
    ) -> Result<Vec<Option<Transaction>>, SourceError> {
        Ok(self.published(|state| {
            let get = |txid| Some(state.mempool.waiting.get(txid)?.tx.clone());
            txids.iter().map(get).collect()
        }))
    }

    fn unspent_outputs(&self, outpoints: &[OutPoint]) -> Result<Vec<Option<TxOut>>, SourceError> {
        Ok(self.published(|state| {
            let get = |outpoint| Some(state.chain.coins.get(outpoint)?.output.clone());
            outpoints.iter().map(get).collect()
        }))
    }

    fn wait_for_change(
        &self,
        known_tip: BlockHash,
        timeout: Duration,
    ) -> Result<bool, SourceError> {
        Ok(self.wait(timeout, |state| state.chain.tip() != known_tip))
    }

    fn mempool_fingerprint(&self) -> Result<MempoolFingerprint, SourceError> {
        Ok(self.published(|state| MempoolFingerprint {
            count: state.mempool.waiting.len() as u64,
            vsize: state.mempool.vsize(),
            fees: Amount::from_sat(state.mempool.fees),
            // No two states have the same.
            usage: state.version,
        }))
    }
}

impl Broadcast for RegtestNode {
    fn broadcast(&self, raw_tx: &[u8]) -> Result<Txid, NodeError> {
        self.send_raw_within(raw_tx, None, None)
    }

    fn submit_package(&self, raw_txs: &[Vec<u8>]) -> Result<PackageOutcome, NodeError> {
        let verdict = self.send_package(raw_txs)?;
        let errors = verdict.transactions.iter().filter_map(|tx| {
            let error = tx.outcome.as_ref().err()?.to_string();
            Some(PackageError {
                txid: tx.txid,
                error,
            })
        });
        Ok(PackageOutcome {
            success: verdict.message == "success",
            errors: errors.collect(),
            json: raw_json(&verdict.to_json())?,
        })
    }
}

impl Node for RegtestNode {
    fn test_mempool_accept(&self, raw_txs: &[Vec<u8>]) -> Result<Vec<MempoolVerdict>, NodeError> {
        let decode = |raw_tx: &Vec<u8>| {
            deserialize(raw_tx).map_err(|_| NodeError::Rpc {
                code: code::DESERIALIZATION,
                message: "TX decode failed. Make sure the tx has at least one input.".to_owned(),
            })
        };
        let txs: Vec<Transaction> = raw_txs.iter().map(decode).collect::<Result<_, _>>()?;
        Ok(self.read(|state| {
            // Each may build on those before it.
            let mut mempool = state.mempool.clone();
            let verdict = |tx: &Transaction| {
                let reason = match mempool.check(&state.chain, tx, Terms::Alone) {
                    Ok(candidate) => {
                        mempool.add(candidate, 0, 0);
                        None
                    }
                    Err(reject) if reject.reason == "bad-txns-inputs-missingorspent" => {
                        Some("missing-inputs".to_owned())
                    }
                    Err(reject) => Some(reject.to_string()),
                };
                MempoolVerdict {
                    txid: tx.compute_txid(),
                    wtxid: tx.compute_wtxid(),
                    allowed: Some(reason.is_none()),
                    reason,
                }
            };
            txs.iter().map(verdict).collect()
        }))
    }

    /// There is no estimate, as on a regtest of Bitcoin Core where nothing has happened.
    fn estimate_fee(
        &self,
        _: u32,
        _: Option<EstimateMode>,
    ) -> Result<Option<FeePerKvb>, NodeError> {
        Ok(self.read(|state| state.fee_estimate).map(FeePerKvb))
    }

    fn relay_fee(&self) -> Result<FeePerKvb, NodeError> {
        Ok(FeePerKvb(Amount::from_sat(MIN_RELAY_RATE)))
    }

    fn mempool_fees(&self) -> Result<MempoolFees, NodeError> {
        let relay = FeePerKvb(Amount::from_sat(MIN_RELAY_RATE));
        let floor = self.read(|state| state.mempool.min_rate());
        Ok(MempoolFees {
            mempool_min_fee: FeePerKvb(Amount::from_sat(floor)),
            min_relay_tx_fee: relay,
            incremental_relay_fee: relay,
        })
    }

    fn raw_transaction(
        &self,
        txid: &Txid,
        block: Option<&BlockHash>,
    ) -> Result<Vec<u8>, NodeError> {
        self.read(|state| state.find(txid, block))
            .map(|tx| serialize(&tx))
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
        let described = self.read(|state| {
            let tx = state.find(txid, block)?;
            Ok::<_, NodeError>(json::placed_transaction(&state.chain, &tx, block))
        })?;
        let json = raw_json(&serde_json::Value::Object(described))?;
        match json.get().len() > max_bytes {
            true => Err(NodeError::TooLarge { max_bytes }),
            false => Ok(json),
        }
    }

    fn user_agent(&self) -> Result<String, NodeError> {
        Ok(concat!("/electrum-server-regtest:", env!("CARGO_PKG_VERSION"), "/").to_owned())
    }
}

fn raw_json(value: &serde_json::Value) -> Result<RawJson, NodeError> {
    RawJson::parse(&value.to_string())
        .map_err(|error| NodeError::Unavailable(SourceError::permanent(error)))
}
