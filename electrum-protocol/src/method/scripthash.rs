//! `blockchain.scripthash.*`: what happened to an output script.
//!
//! Every method here takes one parameter, the script hash.

use bitcoin::{Amount, SignedAmount, Txid};
use serde_json::value::RawValue;

use super::Parameters;
use crate::json::{
    DecodeError, FromJson, Object, ToJson, array, bind, number, optional, required, unexpected,
};
use crate::jsonrpc::Params;
use crate::script_hash::ScriptHash;
use crate::status::Confirmation;
use crate::version::ProtocolVersion;

/// `blockchain.scripthash.get_balance`: how much the script holds.
///
/// Params: `[scripthash]`. Result: [`Balance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetBalance {
    /// The script.
    pub script_hash: ScriptHash,
}

/// `blockchain.scripthash.get_history`: every transaction that touches the script.
///
/// Params: `[scripthash]`. Result: a list of [`HistoryEntry`]s in the order that its status is computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetHistory {
    /// The script.
    pub script_hash: ScriptHash,
}

/// `blockchain.scripthash.get_mempool`: the unconfirmed part of the history.
///
/// Params: `[scripthash]`. Result: a list of [`HistoryEntry`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetMempool {
    /// The script.
    pub script_hash: ScriptHash,
}

/// `blockchain.scripthash.listunspent`: the outputs of the script that nothing spends.
///
/// Params: `[scripthash]`. Result: a list of [`Unspent`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListUnspent {
    /// The script.
    pub script_hash: ScriptHash,
}

/// `blockchain.scripthash.subscribe`: the status now, and a notification whenever it changes.
///
/// Params: `[scripthash]`. Result: the [`Status`](crate::Status), `null` without a history. Params of the
/// notification: `[scripthash, status]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The script.
    pub script_hash: ScriptHash,
}

/// `blockchain.scripthash.unsubscribe`: ends the notifications.
///
/// New in protocol 1.4.2, understood before as well. Params: `[scripthash]`. Result: whether there was a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The script.
    pub script_hash: ScriptHash,
}

fn decode_one(params: Params<'_>) -> Result<ScriptHash, DecodeError> {
    let [script_hash] = params.bind(["scripthash"])?;
    required(script_hash, "scripthash")
}

fn encode_one(script_hash: ScriptHash, version: ProtocolVersion, out: &mut Vec<u8>) {
    array([script_hash], out, |script_hash, out| {
        script_hash.to_json(version, out)
    });
}

impl Parameters for GetBalance {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        decode_one(params).map(|script_hash| Self { script_hash })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        encode_one(self.script_hash, version, out);
    }
}

impl Parameters for GetHistory {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        decode_one(params).map(|script_hash| Self { script_hash })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        encode_one(self.script_hash, version, out);
    }
}

impl Parameters for GetMempool {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        decode_one(params).map(|script_hash| Self { script_hash })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        encode_one(self.script_hash, version, out);
    }
}

impl Parameters for ListUnspent {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        decode_one(params).map(|script_hash| Self { script_hash })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        encode_one(self.script_hash, version, out);
    }
}

impl Parameters for Subscribe {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        decode_one(params).map(|script_hash| Self { script_hash })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        encode_one(self.script_hash, version, out);
    }
}

impl Parameters for Unsubscribe {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        decode_one(params).map(|script_hash| Self { script_hash })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        encode_one(self.script_hash, version, out);
    }
}

/// The result of `blockchain.scripthash.get_balance`, in satoshis on the wire.
///
/// ```json
/// {"confirmed": 103873966, "unconfirmed": 236844}
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// What blocks have given and not taken, whatever the mempool does.
    pub confirmed: Amount,
    /// What the mempool would add to that, or take away.
    pub unconfirmed: SignedAmount,
}

impl ToJson for Balance {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        Object::begin(out)
            .field("confirmed", &self.confirmed, version)
            .field("unconfirmed", &self.unconfirmed, version)
            .end();
    }
}

impl FromJson for Balance {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [confirmed, unconfirmed] = bind(raw, ["confirmed", "unconfirmed"], false)?;
        Ok(Self {
            confirmed: required(confirmed, "confirmed")?,
            unconfirmed: required(unconfirmed, "unconfirmed")?,
        })
    }
}

/// A transaction in the history of a script.
///
/// ```json
/// {"height": 200004, "tx_hash": "acc3758bd2a26f86…"}
/// {"fee": 24310, "height": 0, "tx_hash": "9fbed79a1e970343…"}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The transaction hash.
    pub txid: Txid,
    /// Where it stands: `height` on the wire, with 0 and -1 for the mempool.
    pub confirmation: Confirmation,
    /// What it pays, in satoshis; on the wire for mempool transactions only, and there wallets require it.
    pub fee: Option<Amount>,
}

impl ToJson for HistoryEntry {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        if let (Confirmation::Mempool { .. }, Some(fee)) = (self.confirmation, &self.fee) {
            object.field("fee", fee, version);
        }
        number(self.confirmation.wire_height(), object.key("height"));
        object.field("tx_hash", &self.txid, version).end();
    }
}

impl FromJson for HistoryEntry {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [fee, height, tx_hash] = bind(raw, ["fee", "height", "tx_hash"], false)?;
        let confirmation = required(height, "height")?;
        Ok(Self {
            txid: required(tx_hash, "tx_hash")?,
            confirmation,
            fee: match confirmation {
                Confirmation::Block(_) => None,
                Confirmation::Mempool { .. } => optional(fee, "fee")?,
            },
        })
    }
}

impl FromJson for Confirmation {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        raw.get()
            .parse()
            .ok()
            .and_then(Self::from_wire_height)
            .ok_or_else(|| unexpected("a height from -1 to 4294967295", raw))
    }
}

/// An output that nothing spends, neither a block nor the mempool.
///
/// ```json
/// {"height": 437146, "tx_hash": "f3e1bf48975b8d60…", "tx_pos": 0, "value": 45318048}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unspent {
    /// The transaction that made it.
    pub txid: Txid,
    /// Which of its outputs; `tx_pos` on the wire.
    pub vout: u32,
    /// How much it holds, in satoshis on the wire.
    pub value: Amount,
    /// The height of its block, or 0 while it is in the mempool (never -1).
    pub height: u32,
}

impl ToJson for Unspent {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        Object::begin(out)
            .field("height", &self.height, version)
            .field("tx_hash", &self.txid, version)
            .field("tx_pos", &self.vout, version)
            .field("value", &self.value, version)
            .end();
    }
}

impl FromJson for Unspent {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [height, tx_hash, tx_pos, value] =
            bind(raw, ["height", "tx_hash", "tx_pos", "value"], false)?;
        Ok(Self {
            txid: required(tx_hash, "tx_hash")?,
            vout: required(tx_pos, "tx_pos")?,
            value: required(value, "value")?,
            height: required(height, "height")?,
        })
    }
}
