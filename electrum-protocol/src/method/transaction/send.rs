//! Transactions for the node: to send, or to judge.

use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Txid, Wtxid};
use serde_json::value::RawValue;

use crate::json::{
    DecodeError, FromJson, Hex, Object, ToJson, array, bind, bool_at, optional, required, text,
};
use crate::jsonrpc::Params;
use crate::method::Parameters;
use crate::raw_json::RawJson;
use crate::version::ProtocolVersion;

/// `blockchain.transaction.broadcast`: hands a transaction to the network.
///
/// Params: `[raw_tx]`, hexadecimal text; protocol 0.10 has that text alone as well. Result: [`BroadcastResponse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// The serialized transaction. Not looked into here: the node judges it.
    pub raw_tx: Vec<u8>,
}

impl Parameters for Broadcast {
    fn decode(params: Params<'_>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let raw_tx = match params.bare() {
            Some(raw_tx) if version < ProtocolVersion::V1_0 => Some(raw_tx),
            _ => {
                let [raw_tx] = params.bind(["raw_tx"])?;
                raw_tx
            }
        };
        Ok(Self {
            raw_tx: required::<Hex>(raw_tx, "raw_tx")?.0,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        array([self.raw_tx.as_slice()], out, |raw_tx, out| {
            raw_tx.to_json(version, out)
        });
    }
}

/// The result of `blockchain.transaction.broadcast`.
///
/// ```json
/// "a76242fce5753b4212f903ff33ac6fe66f2780f34bdb4b33b175a7815a11a98e"
/// "258: txn-mempool-conflict"
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BroadcastResponse {
    /// The node took it; the transaction hash.
    Accepted(Txid),
    /// The node refused, in its own words. Before protocol 1.1 only; later that is an error.
    Rejected(String),
}

impl ToJson for BroadcastResponse {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        match self {
            Self::Accepted(txid) => txid.to_json(version, out),
            Self::Rejected(message) => message.to_json(version, out),
        }
    }
}

impl FromJson for BroadcastResponse {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        match (Txid::from_json(raw), text(raw)) {
            (Ok(txid), _) => Ok(Self::Accepted(txid)),
            (Err(_), Some(message)) => Ok(Self::Rejected(message.into_owned())),
            (Err(error), None) => Err(error),
        }
    }
}

/// `blockchain.transaction.broadcast_package`: hands over transactions that only make sense together.
///
/// From protocol 1.6 on. Params: `[raw_txs, verbose = false]`, a list of hexadecimal texts, parents first. Result:
/// [`BroadcastPackageResponse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroadcastPackage {
    /// The serialized transactions, parents before children.
    pub raw_txs: Vec<Vec<u8>>,
    /// Whether to return the node's own answer.
    pub verbose: bool,
}

impl Parameters for BroadcastPackage {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [raw_txs, verbose] = params.bind(["raw_txs", "verbose"])?;
        let raw_txs: Vec<Hex> = required(raw_txs, "raw_txs")?;
        Ok(Self {
            raw_txs: raw_txs.into_iter().map(|raw_tx| raw_tx.0).collect(),
            verbose: bool_at(verbose, "verbose")?,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.push(b'[');
        array(&self.raw_txs, out, |raw_tx, out| {
            raw_tx.as_slice().to_json(version, out)
        });
        if self.verbose {
            out.extend_from_slice(b",true");
        }
        out.push(b']');
    }
}

/// The result of `blockchain.transaction.broadcast_package`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BroadcastPackageResponse {
    /// What became of it, in short.
    ///
    /// ```json
    /// {"success": false, "errors": [{"txid": "ec6f295c…", "error": "bad-txns-inputs-missingorspent"}]}
    /// ```
    Summary {
        /// Whether the whole package is in the mempool now.
        success: bool,
        /// The transactions that were refused; absent on the wire when empty.
        errors: Vec<PackageError>,
    },
    /// What the node answered to `submitpackage`: an object without the key `success`.
    Verbose(RawJson),
}

/// A transaction of a package that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageError {
    /// Which one.
    pub txid: Txid,
    /// The node's words.
    pub error: String,
}

impl ToJson for BroadcastPackageResponse {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        match self {
            Self::Summary { success, errors } => {
                let mut object = Object::begin(out);
                object.field("success", success, version);
                if !errors.is_empty() {
                    object.field("errors", errors, version);
                }
                object.end();
            }
            Self::Verbose(json) => json.to_json(version, out),
        }
    }
}

impl FromJson for BroadcastPackageResponse {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [success, errors] = bind(raw, ["success", "errors"], false)?;
        if success.is_none() {
            return Ok(Self::Verbose(RawJson::from_raw(raw)));
        }
        Ok(Self::Summary {
            success: required(success, "success")?,
            errors: errors.map_or(Ok(Vec::new()), |errors| required(Some(errors), "errors"))?,
        })
    }
}

impl ToJson for PackageError {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        Object::begin(out)
            .field("txid", &self.txid, version)
            .field("error", &self.error, version)
            .end();
    }
}

impl FromJson for PackageError {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [txid, error] = bind(raw, ["txid", "error"], false)?;
        Ok(Self {
            txid: required(txid, "txid")?,
            error: required(error, "error")?,
        })
    }
}

/// `blockchain.transaction.testmempoolaccept`: whether the node would take transactions. From protocol 1.7 on.
///
/// Params: `[raw_txs]`, a list of hexadecimal texts, parents first. Result: a list of [`MempoolVerdict`]s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestMempoolAccept {
    /// The serialized transactions, parents before children.
    pub raw_txs: Vec<Vec<u8>>,
}

impl Parameters for TestMempoolAccept {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [raw_txs] = params.bind(["raw_txs"])?;
        let raw_txs: Vec<Hex> = required(raw_txs, "raw_txs")?;
        Ok(Self {
            raw_txs: raw_txs.into_iter().map(|raw_tx| raw_tx.0).collect(),
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        array([&self.raw_txs], out, |raw_txs, out| {
            array(raw_txs, out, |raw_tx, out| {
                raw_tx.as_slice().to_json(version, out)
            });
        });
    }
}

/// What the node thinks of one transaction.
///
/// ```json
/// {"txid": "ec6f295c…", "wtxid": "0d5d3f2a…", "allowed": false, "reason": "min relay fee not met"}
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MempoolVerdict {
    /// The transaction hash.
    pub txid: Txid,
    /// The same with the witnesses.
    pub wtxid: Wtxid,
    /// Whether it would be taken; absent when the node did not come to look at it.
    pub allowed: Option<bool>,
    /// Why it would not; the node's words.
    pub reason: Option<String>,
}

impl ToJson for MempoolVerdict {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        object
            .field("txid", &self.txid, version)
            .field("wtxid", &self.wtxid, version);
        if let Some(allowed) = &self.allowed {
            object.field("allowed", allowed, version);
        }
        if let Some(reason) = &self.reason {
            object.field("reason", reason, version);
        }
        object.end();
    }
}

impl FromJson for MempoolVerdict {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let names = ["txid", "wtxid", "allowed", "reason"];
        let [txid, wtxid, allowed, reason] = bind(raw, names, false)?;
        let wtxid: sha256d::Hash = required(wtxid, "wtxid")?;
        Ok(Self {
            txid: required(txid, "txid")?,
            wtxid: Wtxid::from_byte_array(wtxid.to_byte_array()),
            allowed: optional(allowed, "allowed")?,
            reason: optional(reason, "reason")?,
        })
    }
}
