//! `blockchain.transaction.*`: transactions sent, fetched and proven.

use bitcoin::block::Header;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{BlockHash, Txid, Wtxid};
use serde_json::value::RawValue;

use super::{Parameters, one_parameter};
use crate::json::{
    DecodeError, FromJson, Hex, Object, ToJson, array, bind, bool_at, number, optional, required,
    text,
};
use crate::jsonrpc::Params;
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

/// `blockchain.transaction.get`: a transaction by its hash.
///
/// Params: `[tx_hash]`, from protocol 1.2 on `[tx_hash, verbose = false]`; before 1.1 a height may follow, which means
/// nothing. Result: [`GetResponse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Get {
    /// The transaction hash.
    pub txid: Txid,
    /// Whether to return the node's description instead of the bytes.
    pub verbose: bool,
}

impl Parameters for Get {
    fn decode(params: Params<'_>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let [tx_hash, verbose] = params.bind(["tx_hash", "verbose"])?;
        let verbose = verbose.filter(|_| version >= ProtocolVersion::V1_2);
        Ok(Self {
            txid: required(tx_hash, "tx_hash")?,
            verbose: bool_at(verbose, "verbose")?,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.push(b'[');
        self.txid.to_json(version, out);
        if self.verbose && version >= ProtocolVersion::V1_2 {
            out.extend_from_slice(b",true");
        }
        out.push(b']');
    }
}

/// The result of `blockchain.transaction.get`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GetResponse {
    /// The serialized transaction; hexadecimal text on the wire.
    Raw(Vec<u8>),
    /// What the node says about it, an object whose shape is the node's affair.
    Verbose(RawJson),
}

impl ToJson for GetResponse {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        match self {
            Self::Raw(bytes) => bytes.as_slice().to_json(version, out),
            Self::Verbose(json) => json.to_json(version, out),
        }
    }
}

impl FromJson for GetResponse {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        if raw.get().starts_with('{') {
            Ok(Self::Verbose(RawJson::from_raw(raw)))
        } else {
            Hex::from_json(raw).map(|hex| Self::Raw(hex.0))
        }
    }
}

/// `blockchain.transaction.get_merkle`: the proof that a transaction is in a block.
///
/// Params: `[tx_hash, height]`. Result: [`MerkleResponse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetMerkle {
    /// The transaction hash.
    pub txid: Txid,
    /// The height of the block that contains it. That it may be left out is an extension.
    pub height: Option<u32>,
}

impl Parameters for GetMerkle {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [tx_hash, height] = params.bind(["tx_hash", "height"])?;
        Ok(Self {
            txid: required(tx_hash, "tx_hash")?,
            height: optional(height, "height")?,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.push(b'[');
        self.txid.to_json(version, out);
        if let Some(height) = self.height {
            out.push(b',');
            number(height, out);
        }
        out.push(b']');
    }
}

/// The result of `blockchain.transaction.get_merkle`.
///
/// ```json
/// {"merkle": ["713d6c7e6ce7bbea…", "03dbaec78d4a52fb…"], "block_height": 450538, "pos": 710}
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleResponse {
    /// The height of the block.
    pub block_height: u32,
    /// The hashes to combine with, from the leaf up; see [`merkle::verify`](crate::merkle::verify).
    pub merkle: Vec<sha256d::Hash>,
    /// The index of the transaction in the block.
    pub pos: u32,
}

impl ToJson for MerkleResponse {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        Object::begin(out)
            .field("merkle", &self.merkle, version)
            .field("block_height", &self.block_height, version)
            .field("pos", &self.pos, version)
            .end();
    }
}

impl FromJson for MerkleResponse {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [merkle, block_height, pos] = bind(raw, ["merkle", "block_height", "pos"], false)?;
        Ok(Self {
            block_height: required(block_height, "block_height")?,
            merkle: required(merkle, "merkle")?,
            pos: required(pos, "pos")?,
        })
    }
}

/// `blockchain.transaction.id_from_pos`: which transaction is at a place in a block. From protocol 1.4 on.
///
/// Params: `[height, tx_pos, merkle = false]`. Result: [`IdFromPosResponse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdFromPos {
    /// The height of the block.
    pub height: u32,
    /// The index of the transaction in the block.
    pub tx_pos: u32,
    /// Whether the proof is wanted too.
    pub merkle: bool,
}

impl Parameters for IdFromPos {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [height, tx_pos, merkle] = params.bind(["height", "tx_pos", "merkle"])?;
        Ok(Self {
            height: required(height, "height")?,
            tx_pos: required(tx_pos, "tx_pos")?,
            merkle: bool_at(merkle, "merkle")?,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.push(b'[');
        self.height.to_json(version, out);
        out.push(b',');
        self.tx_pos.to_json(version, out);
        if self.merkle {
            out.extend_from_slice(b",true");
        }
        out.push(b']');
    }
}

/// The result of `blockchain.transaction.id_from_pos`: the hash alone, or with its proof.
///
/// ```json
/// "fc12dfcb4723715a456c6984e298e00c479706067da81be969e8085544b0ba08"
/// {"tx_hash": "fc12dfcb4723715a…", "merkle": ["928c4275dfd6270349e76aa5a49b355e…"]}
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdFromPosResponse {
    /// The transaction hash.
    pub txid: Txid,
    /// Present exactly when the proof was asked for.
    pub merkle: Option<Vec<sha256d::Hash>>,
}

impl ToJson for IdFromPosResponse {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        match &self.merkle {
            None => self.txid.to_json(version, out),
            Some(merkle) => Object::begin(out)
                .field("tx_hash", &self.txid, version)
                .field("merkle", merkle, version)
                .end(),
        }
    }
}

impl FromJson for IdFromPosResponse {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        if raw.get().starts_with('"') {
            return Ok(Self {
                txid: Txid::from_json(raw)?,
                merkle: None,
            });
        }
        let [tx_hash, merkle] = bind(raw, ["tx_hash", "merkle"], false)?;
        Ok(Self {
            txid: required(tx_hash, "tx_hash")?,
            merkle: Some(required(merkle, "merkle")?),
        })
    }
}

one_parameter! {
    /// `blockchain.transaction.get_height`: where a transaction stands. An extension.
    ///
    /// Params: `[tx_hash]`. Result: [`TransactionHeight`].
    #[derive(Copy)]
    GetHeight {
        /// The transaction hash.
        txid: Txid as "tx_hash"
    }

    /// `blockchain.transaction.subscribe`: where a transaction stands, and a notification whenever that changes. An
    /// extension.
    ///
    /// Params: `[tx_hash]`. Result: [`TransactionHeight`]. Params of the notification: `[tx_hash, height]`.
    #[derive(Copy)]
    Subscribe {
        /// The transaction hash.
        txid: Txid as "tx_hash"
    }

    /// `blockchain.transaction.unsubscribe`: ends the notifications. An extension.
    ///
    /// Params: `[tx_hash]`. Result: whether there was a subscription.
    #[derive(Copy)]
    Unsubscribe {
        /// The transaction hash.
        txid: Txid as "tx_hash"
    }
}

/// Where a transaction stands; on the wire `null`, 0 or the height of its block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionHeight {
    /// The server does not know it.
    #[default]
    Unknown,
    /// In the mempool.
    Mempool,
    /// In the block at a height.
    Block(u32),
}

impl ToJson for TransactionHeight {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let height = match self {
            Self::Unknown => None,
            Self::Mempool => Some(0),
            Self::Block(height) => Some(*height),
        };
        height.to_json(version, out);
    }
}

/// Reads -1, which some servers send for a transaction with unconfirmed parents, as the mempool.
impl FromJson for TransactionHeight {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        Ok(match raw.get() {
            "null" => Self::Unknown,
            "0" | "-1" => Self::Mempool,
            _ => Self::Block(u32::from_json(raw)?),
        })
    }
}

/// `blockchain.transaction.get_confirmed_blockhash`: which block contains a transaction. An extension.
///
/// Params: `[tx_hash, include_header = false]`. Result: [`ConfirmedBlockhash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetConfirmedBlockhash {
    /// The transaction hash.
    pub txid: Txid,
    /// Whether the header is wanted too.
    pub include_header: bool,
}

impl Parameters for GetConfirmedBlockhash {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [tx_hash, include_header] = params.bind(["tx_hash", "include_header"])?;
        Ok(Self {
            txid: required(tx_hash, "tx_hash")?,
            include_header: bool_at(include_header, "include_header")?,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.push(b'[');
        self.txid.to_json(version, out);
        if self.include_header {
            out.extend_from_slice(b",true");
        }
        out.push(b']');
    }
}

/// The result of `blockchain.transaction.get_confirmed_blockhash`.
///
/// ```json
/// {"block_hash": "000000000000000002fcd8ae…", "block_height": 450538, "block_header": "0000002029…"}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfirmedBlockhash {
    /// The hash of the block.
    pub block_hash: BlockHash,
    /// Its height.
    pub block_height: u32,
    /// Its header; present exactly when it was asked for.
    pub block_header: Option<Header>,
}

impl ToJson for ConfirmedBlockhash {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        object.field("block_hash", &self.block_hash, version).field(
            "block_height",
            &self.block_height,
            version,
        );
        if let Some(header) = &self.block_header {
            object.field("block_header", header, version);
        }
        object.end();
    }
}

impl FromJson for ConfirmedBlockhash {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let names = ["block_hash", "block_height", "block_header"];
        let [hash, height, header] = bind(raw, names, false)?;
        Ok(Self {
            block_hash: required(hash, "block_hash")?,
            block_height: required(height, "block_height")?,
            block_header: optional(header, "block_header")?,
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
