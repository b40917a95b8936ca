//! The node as what clients want from it.

use std::collections::BTreeMap;
use std::ops::Range;

use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::{BlockHash, Txid, Wtxid};
use electrum_protocol::RawJson;
use electrum_protocol::method::fee::{EstimateMode, FeePerKvb};
use electrum_protocol::method::mempool::MempoolFees;
use electrum_protocol::method::transaction::{MempoolVerdict, PackageError};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Bitcoind;
use super::parse::Btc;
use super::rpc::{CallError, malformed};
use crate::chain::{Broadcast, Node, NodeError, PackageOutcome, SourceError, txid_of};

impl Broadcast for Bitcoind {
    fn broadcast(&self, raw_tx: &[u8]) -> Result<Txid, NodeError> {
        let method = "sendrawtransaction";
        let hex = raw_tx.to_lower_hex_string();
        let txid = self.shared.rpc.call(method, &[json!(hex)])?;
        same_transaction(method, raw_tx, &txid).map_err(NodeError::Unavailable)?;
        Ok(txid)
    }

    fn submit_package(&self, raw_txs: &[Vec<u8>]) -> Result<PackageOutcome, NodeError> {
        let method = "submitpackage";
        let hex: Vec<String> = raw_txs.iter().map(|tx| tx.to_lower_hex_string()).collect();
        let result: Box<RawValue> = self.shared.rpc.call(method, &[json!(hex)])?;
        let json = raw_json(method, &result)?;
        package_outcome(json).map_err(NodeError::Unavailable)
    }
}

impl Node for Bitcoind {
    fn test_mempool_accept(&self, raw_txs: &[Vec<u8>]) -> Result<Vec<MempoolVerdict>, NodeError> {
        let hex: Vec<String> = raw_txs.iter().map(|tx| tx.to_lower_hex_string()).collect();
        let method = "testmempoolaccept";
        let verdicts: Vec<Verdict> = self.shared.rpc.call(method, &[json!(hex)])?;
        verdicts_on(raw_txs, verdicts).map_err(NodeError::Unavailable)
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

    fn block_part(
        &self,
        block: &BlockHash,
        range: Range<u32>,
    ) -> Result<Option<Vec<u8>>, NodeError> {
        match self.uses_rest() {
            true => self
                .shared
                .rest
                .block_part(block, range)
                .map_err(NodeError::Unavailable),
            false => Ok(None),
        }
    }

    fn raw_transaction(
        &self,
        txid: &Txid,
        block: Option<&BlockHash>,
    ) -> Result<Vec<u8>, NodeError> {
        let method = "getrawtransaction";
        let hex: String = self.shared.rpc.call(method, &lookup(txid, false, block))?;
        let raw_tx = Vec::from_hex(&hex)
            .map_err(|error| NodeError::Unavailable(malformed(method, error)))?;
        same_transaction(method, &raw_tx, txid).map_err(NodeError::Unavailable)?;
        Ok(raw_tx)
    }

    fn verbose_transaction(
        &self,
        txid: &Txid,
        block: Option<&BlockHash>,
        max_bytes: usize,
    ) -> Result<RawJson, NodeError> {
        let method = "getrawtransaction";
        let params = lookup(txid, true, block);
        let result: Option<Box<RawValue>> =
            self.shared.rpc.call_within(method, &params, max_bytes)?;
        match result {
            Some(result) if result.get().len() <= max_bytes => raw_json(method, &result),
            _ => Err(NodeError::TooLarge { max_bytes }),
        }
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
}

/// Takes a result as it came.
fn raw_json(method: &str, result: &RawValue) -> Result<RawJson, NodeError> {
    RawJson::parse(result.get()).map_err(|error| NodeError::Unavailable(malformed(method, error)))
}

/// Checks that a transaction and a txid of the node belong together.
fn same_transaction(method: &str, raw_tx: &[u8], txid: &Txid) -> Result<(), SourceError> {
    // Nobody's transaction is named in the log.
    match txid_of(raw_tx) {
        Some(own) if own == *txid => Ok(()),
        Some(_) => Err(malformed(method, "another transaction")),
        None => Err(malformed(method, "bytes that are no transaction")),
    }
}

/// Checks that there is one verdict for each transaction.
fn verdicts_on(
    raw_txs: &[Vec<u8>],
    verdicts: Vec<Verdict>,
) -> Result<Vec<MempoolVerdict>, SourceError> {
    let method = "testmempoolaccept";
    let (count, expected) = (verdicts.len(), raw_txs.len());
    if count != expected {
        let why = format_args!("{count} verdicts, not {expected}");
        return Err(malformed(method, why));
    }
    let check = |(verdict, raw_tx): (Verdict, &Vec<u8>)| {
        same_transaction(method, raw_tx, &verdict.txid)?;
        Ok(MempoolVerdict::from(verdict))
    };
    verdicts.into_iter().zip(raw_txs).map(check).collect()
}

/// Reads what matters to those who do not want the whole answer to `submitpackage`.
///
/// # Errors
///
/// The JSON is not a result of `submitpackage`.
pub fn package_outcome(json: RawJson) -> Result<PackageOutcome, SourceError> {
    #[derive(Deserialize)]
    struct Package {
        package_msg: String,
        /// By witness transaction hash.
        #[serde(rename = "tx-results", default)]
        results: BTreeMap<String, Transaction>,
    }
    #[derive(Deserialize)]
    struct Transaction {
        txid: Txid,
        #[serde(default)]
        error: Option<String>,
    }
    let package: Package =
        serde_json::from_str(json.get()).map_err(|error| malformed("submitpackage", error))?;
    let refused = |tx: Transaction| {
        Some(PackageError {
            txid: tx.txid,
            error: tx.error?,
        })
    };
    Ok(PackageOutcome {
        success: package.package_msg == "success",
        errors: package.results.into_values().filter_map(refused).collect(),
        json,
    })
}

/// One element of what `testmempoolaccept` answers.
#[derive(Deserialize)]
struct Verdict {
    txid: Txid,
    wtxid: Wtxid,
    #[serde(default)]
    allowed: Option<bool>,
    /// Concerns all transactions together.
    #[serde(rename = "package-error", default)]
    package_error: Option<String>,
    #[serde(rename = "reject-reason", default)]
    reject_reason: Option<String>,
    /// The reason, and more; since Bitcoin Core 29.
    #[serde(rename = "reject-details", default)]
    reject_details: Option<String>,
}

impl From<Verdict> for MempoolVerdict {
    fn from(verdict: Verdict) -> Self {
        let own = verdict.reject_details.or(verdict.reject_reason);
        Self {
            txid: verdict.txid,
            wtxid: verdict.wtxid,
            allowed: verdict.allowed,
            reason: verdict.package_error.or(own),
        }
    }
}

fn lookup(txid: &Txid, verbose: bool, block: Option<&BlockHash>) -> Vec<Value> {
    let mut params = vec![json!(txid), json!(verbose)];
    params.extend(block.map(|hash| json!(hash)));
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape that the help of `submitpackage` describes.
    #[test]
    fn a_package_that_failed_says_which_transactions_and_why() {
        let (good, bad) = ("11".repeat(32), "22".repeat(32));
        let json = format!(
            r#"{{"package_msg": "transaction failed", "tx-results": {{
                "{good}": {{"txid": "{good}", "vsize": 100, "fees": {{"base": 0.00001}}}},
                "{bad}": {{"txid": "{bad}", "error": "bad-txns-inputs-missingorspent"}}
            }}, "replaced-transactions": []}}"#
        );
        let outcome = package_outcome(RawJson::parse(&json).unwrap()).unwrap();
        assert!(!outcome.success);
        let error = "bad-txns-inputs-missingorspent".to_owned();
        assert_eq!(
            outcome.errors,
            [PackageError {
                txid: bad.parse().unwrap(),
                error
            }]
        );
    }

    /// The shapes that the help of `testmempoolaccept` describes.
    #[test]
    fn verdicts_give_the_most_telling_reason() {
        let id = "11".repeat(32);
        let json = format!(
            r#"[{{"txid": "{id}", "wtxid": "{id}", "allowed": true, "vsize": 100}},
                {{"txid": "{id}", "wtxid": "{id}", "allowed": false, "reject-reason": "a"}},
                {{"txid": "{id}", "wtxid": "{id}", "allowed": false, "reject-reason": "a", "reject-details": "a, b"}},
                {{"txid": "{id}", "wtxid": "{id}", "package-error": "package-too-many"}}]"#
        );
        let verdicts: Vec<Verdict> = serde_json::from_str(&json).unwrap();
        let told: Vec<_> = verdicts
            .into_iter()
            .map(MempoolVerdict::from)
            .map(|verdict| (verdict.allowed, verdict.reason))
            .collect();
        let reason = |text: &str| Some(text.to_owned());
        let expected = [
            (Some(true), None),
            (Some(false), reason("a")),
            (Some(false), reason("a, b")),
            (None, reason("package-too-many")),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn answers_belong_to_their_transactions() {
        let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin);
        let raw_tx = bitcoin::consensus::serialize(&genesis.txdata[0]);
        let txid = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";
        let own: Txid = txid.parse().unwrap();
        let other: Txid = "11".repeat(32).parse().unwrap();
        assert_eq!(same_transaction("x", &raw_tx, &own), Ok(()));
        assert!(same_transaction("x", &raw_tx, &other).is_err());
        assert!(same_transaction("x", &raw_tx[1..], &own).is_err());
        let verdicts = |txids: &[Txid]| {
            let verdict = |txid: &Txid| format!(r#"{{"txid": "{txid}", "wtxid": "{txid}"}}"#);
            let verdicts: Vec<String> = txids.iter().map(verdict).collect();
            serde_json::from_str(&format!("[{}]", verdicts.join(","))).unwrap()
        };
        let raw_txs = [raw_tx];
        assert!(verdicts_on(&raw_txs, verdicts(&[own])).is_ok());
        for wrong in [&[][..], &[other], &[own, own]] {
            assert!(verdicts_on(&raw_txs, verdicts(wrong)).is_err(), "{wrong:?}");
        }
    }
}
