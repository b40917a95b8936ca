//! The node as what clients want from it.

use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::{BlockHash, Txid};
use electrum_protocol::RawJson;
use electrum_protocol::method::fee::{EstimateMode, FeePerKvb};
use electrum_protocol::method::mempool::MempoolFees;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Bitcoind;
use super::parse::Btc;
use super::rpc::{CallError, malformed};
use crate::chain::{Node, NodeError};

impl Node for Bitcoind {
    fn broadcast(&self, raw_tx: &[u8]) -> Result<Txid, NodeError> {
        let hex = raw_tx.to_lower_hex_string();
        Ok(self.shared.rpc.call("sendrawtransaction", &[json!(hex)])?)
    }

    fn submit_package(&self, raw_txs: &[Vec<u8>]) -> Result<RawJson, NodeError> {
        let hex: Vec<String> = raw_txs.iter().map(|tx| tx.to_lower_hex_string()).collect();
        self.pass_through("submitpackage", &[json!(hex)])
    }

    fn estimate_fee(
        &self,
        blocks: u32,
        mode: Option<EstimateMode>,
    ) -> Result<Option<FeePerKvb>, NodeError> {
        /// Without an estimate there is no rate, but a list of errors.
        #[derive(Deserialize)]
        struct Estimate {
            #[serde(default)]
            feerate: Option<Btc>,
        }
        let mut params = vec![json!(blocks)];
        params.extend(mode.map(|mode| json!(mode.as_str())));
        let estimate: Estimate = self.shared.rpc.call("estimatesmartfee", &params)?;
        Ok(estimate.feerate.map(|rate| FeePerKvb(rate.0)))
    }

    fn relay_fee(&self) -> Result<FeePerKvb, NodeError> {
        Ok(self.network()?.relayfee.into())
    }

    fn mempool_fees(&self) -> Result<MempoolFees, NodeError> {
        #[derive(Deserialize)]
        struct Fees {
            mempoolminfee: Btc,
            minrelaytxfee: Btc,
            /// Since Bitcoin Core 24; before, what `getnetworkinfo` says.
            #[serde(default)]
            incrementalrelayfee: Option<Btc>,
        }
        let fees: Fees = self.shared.rpc.call("getmempoolinfo", &[])?;
        let incremental = match fees.incrementalrelayfee {
            Some(fee) => fee,
            None => self.network()?.incrementalfee,
        };
        Ok(MempoolFees {
            mempool_min_fee: fees.mempoolminfee.into(),
            min_relay_tx_fee: fees.minrelaytxfee.into(),
            incremental_relay_fee: incremental.into(),
        })
    }

    fn raw_transaction(
        &self,
        txid: &Txid,
        block: Option<&BlockHash>,
    ) -> Result<Vec<u8>, NodeError> {
        let method = "getrawtransaction";
        let hex: String = self.shared.rpc.call(method, &lookup(txid, false, block))?;
        Vec::from_hex(&hex).map_err(|error| NodeError::Unavailable(malformed(method, error)))
    }

    fn verbose_transaction(
        &self,
        txid: &Txid,
        block: Option<&BlockHash>,
    ) -> Result<RawJson, NodeError> {
        self.pass_through("getrawtransaction", &lookup(txid, true, block))
    }

    fn user_agent(&self) -> Result<String, NodeError> {
        Ok(self.network()?.subversion)
    }
}

/// The part of `getnetworkinfo` that is used.
#[derive(Deserialize)]
struct NetworkState {
    subversion: String,
    relayfee: Btc,
    incrementalfee: Btc,
}

impl From<Btc> for FeePerKvb {
    fn from(rate: Btc) -> Self {
        Self(rate.0)
    }
}

impl Bitcoind {
    fn network(&self) -> Result<NetworkState, CallError> {
        self.shared.rpc.call("getnetworkinfo", &[])
    }

    /// Calls a method and returns its result as it came.
    fn pass_through(&self, method: &str, params: &[Value]) -> Result<RawJson, NodeError> {
        let result: Box<RawValue> = self.shared.rpc.call(method, params)?;
        RawJson::parse(result.get())
            .map_err(|error| NodeError::Unavailable(malformed(method, error)))
    }
}

fn lookup(txid: &Txid, verbose: bool, block: Option<&BlockHash>) -> Vec<Value> {
    let mut params = vec![json!(txid), json!(verbose)];
    params.extend(block.map(|hash| json!(hash)));
    params
}
