//! What one side sends unasked: a server to those who subscribed, either side to hide how much it says.

use bitcoin::{OutPoint, Txid};
use serde_json::value::RawValue;

use crate::json::{DecodeError, FromJson, ToJson, array, bind, number, optional, required};
use crate::method::Method;
use crate::method::headers::TipResponse;
use crate::method::outpoint::OutpointStatus;
use crate::method::server::Padding;
use crate::method::transaction::TransactionHeight;
use crate::script_hash::ScriptHash;
use crate::status::Status;
use crate::version::ProtocolVersion;

/// A notification, closed for the same reason as [`Request`](crate::Request).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// `blockchain.headers.subscribe`: the chain has a new tip. Params: `[tip]`.
    Headers(TipResponse),
    /// `blockchain.numblocks.subscribe`: the chain has a new tip. Params: `[height]`; in protocol 0.10 the height alone.
    Numblocks(u32),
    /// `blockchain.scripthash.subscribe`, from protocol 1.7 on `blockchain.scriptpubkey.subscribe`: the status of a
    /// script changed. Params: `[scripthash, status]`, the hash in both cases.
    ScriptHash {
        /// The script.
        script_hash: ScriptHash,
        /// Its status now; nothing when its history became empty.
        status: Option<Status>,
    },
    /// `blockchain.address.subscribe`: the status of an address changed. Params: `[address, status]`.
    Address {
        /// The address, as it was subscribed to.
        address: String,
        /// Its status now; nothing when its history became empty.
        status: Option<Status>,
    },
    /// `blockchain.outpoint.subscribe`: something became of an output. Params: `[tx_hash, txout_idx, status]`.
    Outpoint {
        /// The output.
        outpoint: OutPoint,
        /// What became of it.
        status: OutpointStatus,
    },
    /// `blockchain.transaction.subscribe`, an extension: a transaction stands elsewhere. Params: `[tx_hash, height]`.
    Transaction {
        /// The transaction.
        txid: Txid,
        /// Where it stands now.
        height: TransactionHeight,
    },
    /// `server.ping`, from protocol 1.7 on and in both directions: nothing at all, at some length. Params: `[data]`.
    Ping {
        /// How many characters of data; what they say means nothing.
        data_len: u32,
    },
}

impl Notification {
    /// Returns the method under whose name it is sent in a session of `version`.
    pub fn method(&self, version: ProtocolVersion) -> Method {
        match self {
            Self::Headers(_) => Method::HeadersSubscribe,
            Self::Numblocks(_) => Method::NumblocksSubscribe,
            Self::ScriptHash { .. } if version < ProtocolVersion::V1_7 => {
                Method::ScripthashSubscribe
            }
            Self::ScriptHash { .. } => Method::ScriptpubkeySubscribe,
            Self::Address { .. } => Method::AddressSubscribe,
            Self::Outpoint { .. } => Method::OutpointSubscribe,
            Self::Transaction { .. } => Method::TransactionSubscribe,
            Self::Ping { .. } => Method::ServerPing,
        }
    }

    /// Appends the whole message, without a line end.
    pub fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.extend_from_slice(match version < ProtocolVersion::V1_0 {
            true => b"{\"id\":null,\"method\":\"",
            false => b"{\"jsonrpc\":\"2.0\",\"method\":\"",
        });
        out.extend_from_slice(self.method(version).name().as_bytes());
        out.extend_from_slice(b"\",\"params\":");
        let params: &[&dyn ToJson] = match self {
            Self::Headers(tip) => &[tip],
            Self::Numblocks(height) if version < ProtocolVersion::V1_0 => {
                number(*height, out);
                out.push(b'}');
                return;
            }
            Self::Numblocks(height) => &[height],
            Self::ScriptHash {
                script_hash,
                status,
            } => &[script_hash, status],
            Self::Address { address, status } => &[address, status],
            Self::Outpoint { outpoint, status } => &[&outpoint.txid, &outpoint.vout, status],
            Self::Transaction { txid, height } => &[txid, height],
            Self::Ping { data_len } => &[&Padding(*data_len)],
        };
        array(params, out, |param, out| param.to_json(version, out));
        out.push(b'}');
    }

    /// Reads the params of a notification; nothing when the method does not notify.
    pub(crate) fn from_raw(method: &str, params: &RawValue) -> Option<Result<Self, DecodeError>> {
        let decoded = match Method::from_name(method)? {
            Method::HeadersSubscribe => headers(params),
            Method::NumblocksSubscribe => numblocks(params),
            Method::ScripthashSubscribe | Method::ScriptpubkeySubscribe => script_hash(params),
            Method::AddressSubscribe => address(params),
            Method::OutpointSubscribe => outpoint(params),
            Method::TransactionSubscribe => transaction(params),
            Method::ServerPing => ping(params),
            _ => return None,
        };
        Some(decoded.map_err(|error| error.within("params")))
    }
}

fn headers(params: &RawValue) -> Result<Notification, DecodeError> {
    let [tip] = bind(params, ["tip"], true)?;
    required(tip, "tip").map(Notification::Headers)
}

fn numblocks(params: &RawValue) -> Result<Notification, DecodeError> {
    let height = match u32::from_json(params) {
        Ok(height) => height,
        Err(_) => {
            let [height] = bind(params, ["height"], true)?;
            required(height, "height")?
        }
    };
    Ok(Notification::Numblocks(height))
}

fn script_hash(params: &RawValue) -> Result<Notification, DecodeError> {
    let [script_hash, status] = bind(params, ["scripthash", "status"], true)?;
    Ok(Notification::ScriptHash {
        script_hash: required(script_hash, "scripthash")?,
        status: required(status, "status")?,
    })
}

fn address(params: &RawValue) -> Result<Notification, DecodeError> {
    let [address, status] = bind(params, ["address", "status"], true)?;
    Ok(Notification::Address {
        address: required(address, "address")?,
        status: required(status, "status")?,
    })
}

fn outpoint(params: &RawValue) -> Result<Notification, DecodeError> {
    let [txid, vout, status] = bind(params, ["tx_hash", "txout_idx", "status"], true)?;
    Ok(Notification::Outpoint {
        outpoint: OutPoint {
            txid: required(txid, "tx_hash")?,
            vout: required(vout, "txout_idx")?,
        },
        status: required(status, "status")?,
    })
}

fn transaction(params: &RawValue) -> Result<Notification, DecodeError> {
    let [txid, height] = bind(params, ["tx_hash", "height"], true)?;
    Ok(Notification::Transaction {
        txid: required(txid, "tx_hash")?,
        height: required(height, "height")?,
    })
}

fn ping(params: &RawValue) -> Result<Notification, DecodeError> {
    let [data] = bind(params, ["data"], true)?;
    let data_len = optional(data, "data")?.map_or(0, |Padding(data_len)| data_len);
    Ok(Notification::Ping { data_len })
}
