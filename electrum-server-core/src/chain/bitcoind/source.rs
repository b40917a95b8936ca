//! The node as chain source.

use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::hex::FromHex;
use bitcoin::{BlockHash, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::parse::{self, Btc, ParseError};
use super::rpc::{self, CallError, ErrorReply, malformed};
use super::{Bitcoind, Shared};
use crate::chain::{
    BlockId, BlockWithSpent, ChainSource, MempoolFingerprint, RawBlock, SourceError,
};

/// How many headers one batch of calls asks for when there is no REST.
const HEADERS_PER_BATCH: u32 = 500;
/// How many transactions one batch asks for: 250 of the largest that are relayed are 200 MB of hexadecimal digits.
const TRANSACTIONS_PER_BATCH: usize = 250;
/// How many outputs one batch asks for.
const OUTPUTS_PER_BATCH: usize = 1000;
/// The longest that the node is asked to wait for a block.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(60);
/// How often a node that cannot tell us of a new block is asked.
const POLL: Duration = Duration::from_secs(1);

#[deny(clippy::missing_trait_methods)]
impl ChainSource for Bitcoind {
    fn tip(&self) -> Result<BlockId, SourceError> {
        let info = self.shared.blockchain_info()?;
        Ok(BlockId {
            height: info.blocks,
            hash: info.best_block_hash,
        })
    }

    fn headers(&self, start_height: u32, count: u32) -> Result<Vec<Header>, SourceError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        if self.uses_rest()
            && let Some(headers) = self.shared.rest.headers(start_height, count)?
        {
            return Ok(headers);
        }
        self.shared.headers_by_rpc(start_height, count)
    }

    fn block(&self, hash: &BlockHash) -> Result<BlockWithSpent, SourceError> {
        if self.uses_rest()
            && let Some(block) = self.shared.rest.block(hash)?
        {
            return Ok(block);
        }
        let block = self.shared.block_by_rpc(hash)?;
        // REST did not have what RPC has: the node was started again, without it.
        if self.shared.use_rest.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                "the node's REST interface is gone (-rest=1): blocks come over RPC, slowly"
            );
        }
        Ok(block)
    }

    fn raw_block(&self, hash: &BlockHash) -> Result<RawBlock, SourceError> {
        if self.uses_rest()
            && let Some(block) = self.shared.rest.raw_block(hash)?
        {
            return Ok(block);
        }
        Ok(RawBlock::from(&self.block(hash)?))
    }

    fn block_bytes(&self, hash: &BlockHash) -> Result<Vec<u8>, SourceError> {
        if self.uses_rest()
            && let Some(block) = self.shared.rest.block_bytes(hash)?
        {
            return Ok(block);
        }
        let raw: String = self.shared.get_block(hash, 0)?;
        Vec::from_hex(&raw).map_err(|error| malformed("getblock", error))
    }

    fn headers_with_counts(
        &self,
        start_height: u32,
        count: u32,
    ) -> Result<Vec<(Header, u32)>, SourceError> {
        #[derive(Deserialize)]
        struct Count {
            #[serde(rename = "nTx")]
            transactions: u32,
        }
        let headers = self.headers(start_height, count)?;
        let params = headers
            .iter()
            .map(|header| vec![json!(header.block_hash())]);
        let method = "getblockheader";
        let counts = self
            .shared
            .ask_many::<Count>(method, params, rpc::NOT_FOUND)?;
        headers
            .into_iter()
            .zip(counts)
            .map(|(header, count)| match count {
                Some(count) if count.transactions > 0 => Ok((header, count.transactions)),
                _ => Err(SourceError::transient(format_args!(
                    "the node does not have block {} yet",
                    header.block_hash()
                ))),
            })
            .collect()
    }

    fn filtered(
        &self,
        scripts: &[ScriptBuf],
        heights: RangeInclusive<u32>,
    ) -> Result<Option<Vec<BlockHash>>, SourceError> {
        self.shared.scan_filters(scripts, heights)
    }

    fn request_block(&self, hash: &BlockHash, attempt: usize) -> Result<bool, SourceError> {
        self.shared.request_block(hash, attempt)
    }

    fn mempool_txids(&self) -> Result<Vec<Txid>, SourceError> {
        self.shared.ask("getrawmempool", &[])
    }

    fn mempool_transactions(
        &self,
        txids: &[Txid],
    ) -> Result<Vec<Option<Transaction>>, SourceError> {
        let method = "getrawtransaction";
        let read = |(txid, hex): (&Txid, Option<String>)| {
            let Some(hex) = hex else { return Ok(None) };
            let tx = decode_hex(method, &hex, parse::parse_transaction)?;
            match tx.compute_txid() == *txid {
                true => Ok(Some(tx)),
                false => Err(malformed(
                    method,
                    format_args!("asked for {txid}, got another"),
                )),
            }
        };
        let mut transactions = Vec::with_capacity(txids.len());
        for chunk in txids.chunks(TRANSACTIONS_PER_BATCH) {
            let params = chunk.iter().map(|txid| vec![json!(txid)]);
            let found = self.shared.ask_many(method, params, rpc::NOT_FOUND)?;
            for answer in chunk.iter().zip(found).map(read) {
                transactions.push(answer?);
            }
        }
        Ok(transactions)
    }

    fn unspent_outputs(&self, outpoints: &[OutPoint]) -> Result<Vec<Option<TxOut>>, SourceError> {
        let method = "gettxout";
        let include_mempool = false;
        let mut outputs = Vec::with_capacity(outpoints.len());
        for chunk in outpoints.chunks(OUTPUTS_PER_BATCH) {
            let params = chunk.iter().map(|outpoint| {
                vec![
                    json!(outpoint.txid),
                    json!(outpoint.vout),
                    json!(include_mempool),
                ]
            });
            // An output that is not there is `null`, not an error.
            let found = self
                .shared
                .ask_many::<Option<Output>>(method, params, rpc::NOT_FOUND)?;
            for output in found {
                outputs.push(
                    output
                        .flatten()
                        .map(|output| output.read(method))
                        .transpose()?,
                );
            }
        }
        Ok(outputs)
    }

    fn wait_for_change(
        &self,
        known_tip: BlockHash,
        timeout: Duration,
    ) -> Result<bool, SourceError> {
        self.shared.wait_for_change(known_tip, timeout)
    }

    fn mempool_fingerprint(&self) -> Result<MempoolFingerprint, SourceError> {
        /// The part of `getmempoolinfo` that is used.
        #[derive(Deserialize)]
        struct MempoolState {
            size: u64,
            bytes: u64,
            #[serde(default)]
            usage: u64,
            /// Since Bitcoin Core 0.22.
            #[serde(default)]
            total_fee: Option<Btc>,
        }
        let state: MempoolState = self.shared.ask("getmempoolinfo", &[])?;
        Ok(MempoolFingerprint {
            count: state.size,
            vsize: state.bytes,
            fees: state.total_fee.map_or(bitcoin::Amount::ZERO, |fee| fee.0),
            usage: state.usage,
        })
    }
}

/// An output as `gettxout` and `getblock` show it.
#[derive(Deserialize)]
struct Output {
    value: Btc,
    #[serde(rename = "scriptPubKey")]
    script: Script,
}

#[derive(Deserialize)]
struct Script {
    hex: String,
}

impl Output {
    fn read(self, method: &str) -> Result<TxOut, SourceError> {
        let script = Vec::from_hex(&self.script.hex).map_err(|error| malformed(method, error))?;
        Ok(TxOut {
            value: self.value.0,
            script_pubkey: ScriptBuf::from_bytes(script),
        })
    }
}

impl Shared {
    /// Calls a method that the node has no reason to refuse.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &[Value],
    ) -> Result<T, SourceError> {
        self.rpc
            .call(method, params)
            .map_err(|error| error.into_source(method))
    }

    /// Calls a method many times; a refusal with code `absent` is no failure but the answer `None`.
    fn ask_many<T: DeserializeOwned>(
        &self,
        method: &str,
        params: impl IntoIterator<Item = Vec<Value>>,
        absent: i32,
    ) -> Result<Vec<Option<T>>, SourceError> {
        let answer = |answer: Result<T, ErrorReply>| match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.code == absent => Ok(None),
            Err(error) => Err(rpc::refused(method, &error)),
        };
        let answers = self.rpc.batch(method, params)?;
        answers.into_iter().map(answer).collect()
    }

    fn headers_by_rpc(&self, start_height: u32, count: u32) -> Result<Vec<Header>, SourceError> {
        // A height above the tip is refused as an invalid parameter.
        const OUT_OF_RANGE: i32 = -8;
        let count = count.min(HEADERS_PER_BATCH);
        let heights = start_height..start_height.saturating_add(count);
        let hashes = self.ask_many::<BlockHash>(
            "getblockhash",
            heights.map(|height| vec![json!(height)]),
            OUT_OF_RANGE,
        )?;
        let verbose = false;
        let method = "getblockheader";
        // The first one that is absent ends the list.
        let params = hashes
            .into_iter()
            .map_while(|hash| Some(vec![json!(hash?), json!(verbose)]));
        let headers = self.ask_many::<String>(method, params, rpc::NOT_FOUND)?;
        let decode = |hex: String| -> Result<Header, SourceError> {
            let headers = decode_hex(method, &hex, parse::parse_headers)?;
            match headers.as_slice() {
                [header] => Ok(*header),
                _ => Err(malformed(method, "not one header")),
            }
        };
        headers
            .into_iter()
            .map_while(|hex| hex.map(decode))
            .collect()
    }

    fn block_by_rpc(&self, hash: &BlockHash) -> Result<BlockWithSpent, SourceError> {
        let method = "getblock";
        let raw: String = self.get_block(hash, 0)?;
        let block = decode_hex(method, &raw, |bytes| parse::parse_block(hash, bytes))?;
        drop(raw);
        let verbose: VerboseBlock = self.get_block(hash, 3)?;
        let spent = verbose
            .tx
            .into_iter()
            .map(|tx| tx.spent(method))
            .collect::<Result<Vec<_>, _>>()?;
        parse::check_spent(&block, &spent).map_err(|error| malformed(method, error))?;
        Ok(BlockWithSpent { block, spent })
    }

    fn get_block<T: DeserializeOwned>(
        &self,
        hash: &BlockHash,
        verbosity: u8,
    ) -> Result<T, SourceError> {
        let method = "getblock";
        self.rpc
            .call(method, &[json!(hash), json!(verbosity)])
            .map_err(|error| match error {
                // -5: never heard of it; -1: not on disk, or pruned.
                CallError::Refused(ErrorReply {
                    code: rpc::NOT_FOUND | rpc::MISC_ERROR,
                    ..
                }) => SourceError::Missing { hash: *hash },
                error => error.into_source(method),
            })
    }

    fn wait_for_change(
        &self,
        known_tip: BlockHash,
        timeout: Duration,
    ) -> Result<bool, SourceError> {
        #[derive(Deserialize)]
        struct Tip {
            hash: BlockHash,
        }
        // 0 would be no limit at all.
        let milliseconds = |timeout: Duration| {
            u32::try_from(timeout.min(MAX_WAIT).as_millis())
                .unwrap_or(u32::MAX)
                .max(1)
        };
        let method = "waitfornewblock";
        let params = [json!(milliseconds(timeout)), json!(known_tip)];
        match self.waiting.call::<Tip>(method, &params) {
            Ok(tip) => return Ok(tip.hash != known_tip),
            // Before Bitcoin Core 30 it takes no tip: help comes as an error for too many parameters.
            Err(CallError::Refused(ErrorReply {
                code: rpc::MISC_ERROR,
                ..
            })) => {}
            Err(CallError::Refused(ErrorReply {
                code: rpc::METHOD_NOT_FOUND,
                ..
            })) => {}
            Err(error) => return Err(error.into_source(method)),
        }
        let timeout = timeout.min(POLL);
        if self.best_block()? != known_tip {
            return Ok(true);
        }
        // A block that comes in between is seen at the next turn.
        match self
            .waiting
            .call::<Tip>(method, &[json!(milliseconds(timeout))])
        {
            Ok(tip) => Ok(tip.hash != known_tip),
            Err(CallError::Refused(_)) => {
                std::thread::sleep(timeout);
                Ok(self.best_block()? != known_tip)
            }
            Err(CallError::Source(error)) => Err(error),
        }
    }

    fn best_block(&self) -> Result<BlockHash, SourceError> {
        let method = "getbestblockhash";
        self.waiting
            .call(method, &[])
            .map_err(|error| error.into_source(method))
    }
}

/// The part of `getblock` with verbosity 3 that is used (Bitcoin Core 23 and later).
#[derive(Deserialize)]
struct VerboseBlock {
    tx: Vec<VerboseTransaction>,
}

#[derive(Deserialize)]
struct VerboseTransaction {
    vin: Vec<VerboseInput>,
}

#[derive(Deserialize)]
struct VerboseInput {
    #[serde(default)]
    coinbase: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    prevout: Option<Output>,
}

impl VerboseTransaction {
    fn spent(self, method: &str) -> Result<Vec<TxOut>, SourceError> {
        let spends = self
            .vin
            .into_iter()
            .filter(|input| input.coinbase.is_none());
        spends
            .map(|input| match input.prevout {
                Some(output) => output.read(method),
                None => Err(SourceError::permanent(
                    "the node does not tell which outputs a block spends: Bitcoin Core 23 or later is needed",
                )),
            })
            .collect()
    }
}

fn decode_hex<T>(
    method: &str,
    hex: &str,
    parse: impl FnOnce(&[u8]) -> Result<T, ParseError>,
) -> Result<T, SourceError> {
    let bytes = Vec::from_hex(hex).map_err(|error| malformed(method, error))?;
    parse(&bytes).map_err(|error| malformed(method, error))
}
