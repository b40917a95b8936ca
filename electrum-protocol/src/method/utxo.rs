//! `blockchain.utxo.*`: an output that nothing spends.

use bitcoin::{Amount, Txid};
use serde_json::value::RawValue;

use super::Parameters;
use crate::json::{DecodeError, FromJson, Object, ToJson, bind, optional, required};
use crate::jsonrpc::Params;
use crate::script_hash::ScriptHash;
use crate::version::ProtocolVersion;

/// `blockchain.utxo.get_address`: the address that an output pays to. Gone in protocol 1.1.
///
/// Params: `[tx_hash, index]`. Result: the address, `null` when there is no such output, or when it pays to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetAddress {
    /// The transaction.
    pub txid: Txid,
    /// Which of its outputs.
    pub vout: u32,
}

/// `blockchain.utxo.get_info`: what an output holds. An extension.
///
/// Params: `[tx_hash, out_n]`. Result: [`Info`], `null` when there is no such output, or something spends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetInfo {
    /// The transaction.
    pub txid: Txid,
    /// Which of its outputs.
    pub vout: u32,
}

fn encode(txid: Txid, vout: u32, version: ProtocolVersion, out: &mut Vec<u8>) {
    out.push(b'[');
    txid.to_json(version, out);
    out.push(b',');
    vout.to_json(version, out);
    out.push(b']');
}

impl Parameters for GetAddress {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [tx_hash, index] = params.bind(["tx_hash", "index"])?;
        Ok(Self {
            txid: required(tx_hash, "tx_hash")?,
            vout: required(index, "index")?,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        encode(self.txid, self.vout, version, out);
    }
}

impl Parameters for GetInfo {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [tx_hash, out_n] = params.bind(["tx_hash", "out_n"])?;
        Ok(Self {
            txid: required(tx_hash, "tx_hash")?,
            vout: required(out_n, "out_n")?,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        encode(self.txid, self.vout, version, out);
    }
}

/// The result of `blockchain.utxo.get_info`.
///
/// ```json
/// {"confirmed_height": 437146, "scripthash": "8b01df4e368ea28f…", "value": 45318048}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// The height of its block; absent on the wire while it is in the mempool.
    pub confirmed_height: Option<u32>,
    /// The script that it pays to.
    pub script_hash: ScriptHash,
    /// How much it holds, in satoshis on the wire.
    pub value: Amount,
}

impl ToJson for Info {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        if let Some(height) = &self.confirmed_height {
            object.field("confirmed_height", height, version);
        }
        object
            .field("scripthash", &self.script_hash, version)
            .field("value", &self.value, version)
            .end();
    }
}

impl FromJson for Info {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let names = ["confirmed_height", "scripthash", "value"];
        let [height, script_hash, value] = bind(raw, names, false)?;
        Ok(Self {
            confirmed_height: optional(height, "confirmed_height")?,
            script_hash: required(script_hash, "scripthash")?,
            value: required(value, "value")?,
        })
    }
}
