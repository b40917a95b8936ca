//! Where transactions stand.

use bitcoin::block::Header;
use bitcoin::{BlockHash, Txid};
use serde_json::value::RawValue;

use crate::json::{DecodeError, FromJson, Object, ToJson, bind, bool_at, optional, required};
use crate::jsonrpc::Params;
use crate::method::{Parameters, one_parameter};
use crate::version::ProtocolVersion;

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
