//! `blockchain.outpoint.*`: what becomes of one output. From protocol 1.7 on.

use bitcoin::{OutPoint, ScriptBuf, Txid};
use serde_json::value::RawValue;

use super::Parameters;
use crate::json::{DecodeError, FromJson, Object, ToJson, bind, number, optional, required};
use crate::jsonrpc::Params;
use crate::status::Confirmation;
use crate::version::ProtocolVersion;

/// `blockchain.outpoint.subscribe`: what became of an output, and a notification whenever that changes.
///
/// The transaction need not exist yet. Params: `[tx_hash, txout_idx, spk_hint]`. Result: [`OutpointStatus`]. Params of
/// the notification: `[tx_hash, txout_idx, status]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The output.
    pub outpoint: OutPoint,
    /// The script that it pays to, which spares the server a search. Some servers demand it, and believe it.
    pub script_hint: Option<ScriptBuf>,
}

/// `blockchain.outpoint.get_status`: what became of an output.
///
/// Params: `[tx_hash, txout_idx, spk_hint]`. Result: [`OutpointStatus`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetStatus {
    /// The output.
    pub outpoint: OutPoint,
    /// The script that it pays to; see [`Subscribe::script_hint`].
    pub script_hint: Option<ScriptBuf>,
}

/// `blockchain.outpoint.unsubscribe`: ends the notifications.
///
/// Params: `[tx_hash, txout_idx]`. Result: whether there was a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The output.
    pub outpoint: OutPoint,
}

fn decode(params: Params<'_>) -> Result<(OutPoint, Option<ScriptBuf>), DecodeError> {
    let [tx_hash, txout_idx, spk_hint] = params.bind(["tx_hash", "txout_idx", "spk_hint"])?;
    let outpoint = OutPoint {
        txid: required(tx_hash, "tx_hash")?,
        vout: required(txout_idx, "txout_idx")?,
    };
    Ok((outpoint, optional(spk_hint, "spk_hint")?))
}

fn encode(
    outpoint: &OutPoint,
    script_hint: Option<&ScriptBuf>,
    version: ProtocolVersion,
    out: &mut Vec<u8>,
) {
    out.push(b'[');
    outpoint.txid.to_json(version, out);
    out.push(b',');
    outpoint.vout.to_json(version, out);
    if let Some(script_hint) = script_hint {
        out.push(b',');
        script_hint.to_json(version, out);
    }
    out.push(b']');
}

impl Parameters for Subscribe {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        decode(params).map(|(outpoint, script_hint)| Self {
            outpoint,
            script_hint,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        encode(&self.outpoint, self.script_hint.as_ref(), version, out);
    }
}

impl Parameters for GetStatus {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        decode(params).map(|(outpoint, script_hint)| Self {
            outpoint,
            script_hint,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        encode(&self.outpoint, self.script_hint.as_ref(), version, out);
    }
}

impl Parameters for Unsubscribe {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [tx_hash, txout_idx] = params.bind(["tx_hash", "txout_idx"])?;
        Ok(Self {
            outpoint: OutPoint {
                txid: required(tx_hash, "tx_hash")?,
                vout: required(txout_idx, "txout_idx")?,
            },
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        encode(&self.outpoint, None, version, out);
    }
}

/// What became of an output.
///
/// ```json
/// {}
/// {"funder_height": 2475}
/// {"funder_height": 2475, "spender_txhash": "00000000af0ab4f0…", "spender_height": 0}
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutpointStatus {
    /// There is no such output, or not yet.
    #[default]
    Missing,
    /// Nothing spends it.
    Unspent {
        /// Where the transaction stands that made it: `funder_height` on the wire, with 0 and -1 for the mempool.
        funder: Confirmation,
    },
    /// Something spends it.
    Spent {
        /// Where the transaction stands that made it.
        funder: Confirmation,
        /// The transaction that spends it.
        spender: Txid,
        /// Where that one stands: `spender_height` on the wire, with 0 and -1 for the mempool.
        spender_confirmation: Confirmation,
    },
}

impl ToJson for OutpointStatus {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        if let Self::Unspent { funder } | Self::Spent { funder, .. } = self {
            number(funder.wire_height(), object.key("funder_height"));
        }
        if let Self::Spent {
            spender,
            spender_confirmation,
            ..
        } = self
        {
            object.field("spender_txhash", spender, version);
            let height = spender_confirmation.wire_height();
            number(height, object.key("spender_height"));
        }
        object.end();
    }
}

impl FromJson for OutpointStatus {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let names = ["funder_height", "spender_txhash", "spender_height"];
        let [funder, spender, height] = bind(raw, names, false)?;
        let Some(funder) = optional(funder, "funder_height")? else {
            return Ok(Self::Missing);
        };
        Ok(match optional(spender, "spender_txhash")? {
            None => Self::Unspent { funder },
            Some(spender) => Self::Spent {
                funder,
                spender,
                spender_confirmation: required(height, "spender_height")?,
            },
        })
    }
}
