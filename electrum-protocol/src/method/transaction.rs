//! `blockchain.transaction.*`: transactions sent, fetched, proven and followed.

mod place;
mod send;

use bitcoin::Txid;
use bitcoin::hashes::sha256d;
use serde_json::value::RawValue;

use super::Parameters;
use crate::json::{
    DecodeError, FromJson, Hex, Object, ToJson, bind, bool_at, number, optional, required,
};
use crate::jsonrpc::Params;
use crate::raw_json::RawJson;
use crate::version::ProtocolVersion;

pub use place::{
    ConfirmedBlockhash, GetConfirmedBlockhash, GetHeight, Subscribe, TransactionHeight, Unsubscribe,
};
pub use send::{
    Broadcast, BroadcastPackage, BroadcastPackageResponse, BroadcastResponse, MempoolVerdict,
    PackageError, TestMempoolAccept,
};

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
