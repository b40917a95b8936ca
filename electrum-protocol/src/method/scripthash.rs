//! `blockchain.scripthash.*`: what happened to an output script.
//!
//! Every method here takes one parameter, the script hash; only `get_history` knows more.

use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, SignedAmount, Txid};
use serde_json::value::RawValue;

use super::{Parameters, one_parameter};
use crate::json::{
    DecodeError, FromJson, Object, ToJson, bind, number, optional, required, unexpected, whole,
};
use crate::jsonrpc::Params;
use crate::script_hash::ScriptHash;
use crate::status::Confirmation;
use crate::version::ProtocolVersion;

one_parameter! {
    /// `blockchain.scripthash.get_balance`: how much the script holds.
    ///
    /// Params: `[scripthash]`. Result: [`Balance`].
    #[derive(Copy)]
    GetBalance {
        /// The script.
        script_hash: ScriptHash as "scripthash"
    }

    /// `blockchain.scripthash.get_mempool`: the unconfirmed part of the history.
    ///
    /// Params: `[scripthash]`. Result: a list of [`HistoryEntry`]s.
    #[derive(Copy)]
    GetMempool {
        /// The script.
        script_hash: ScriptHash as "scripthash"
    }

    /// `blockchain.scripthash.listunspent`: the outputs of the script that nothing spends.
    ///
    /// Params: `[scripthash]`. Result: a list of [`Unspent`]s.
    #[derive(Copy)]
    ListUnspent {
        /// The script.
        script_hash: ScriptHash as "scripthash"
    }

    /// `blockchain.scripthash.subscribe`: the status now, and a notification whenever it changes.
    ///
    /// Params: `[scripthash]`. Result: the [`Status`](crate::Status), `null` without a history. Params of the
    /// notification: `[scripthash, status]`.
    #[derive(Copy)]
    Subscribe {
        /// The script.
        script_hash: ScriptHash as "scripthash"
    }

    /// `blockchain.scripthash.unsubscribe`: ends the notifications.
    ///
    /// New in protocol 1.4.2, understood in 1.4 as well. Params: `[scripthash]`. Result: whether there was a
    /// subscription.
    #[derive(Copy)]
    Unsubscribe {
        /// The script.
        script_hash: ScriptHash as "scripthash"
    }

    /// `blockchain.scripthash.get_status`: the status, without a subscription. An extension.
    ///
    /// Params: `[scripthash]`. Result: the [`Status`](crate::Status), `null` without a history.
    #[derive(Copy)]
    GetStatus {
        /// The script.
        script_hash: ScriptHash as "scripthash"
    }

    /// `blockchain.scripthash.get_first_use`: the oldest transaction that touches the script. An extension.
    ///
    /// Params: `[scripthash]`. Result: [`FirstUse`], `null` without a history.
    #[derive(Copy)]
    GetFirstUse {
        /// The script.
        script_hash: ScriptHash as "scripthash"
    }
}

/// `blockchain.scripthash.get_history`: every transaction that touches the script.
///
/// Params: `[scripthash]`, and as an extension `[scripthash, from_height = 0, to_height = -1]`. Result: a list of
/// [`HistoryEntry`]s in the order that its status is computed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetHistory {
    /// The script.
    pub script_hash: ScriptHash,
    /// Which part of the history is wanted.
    pub heights: HeightRange,
}

impl GetHistory {
    /// Asks for the whole history.
    pub const fn whole(script_hash: ScriptHash) -> Self {
        Self {
            script_hash,
            heights: HeightRange::ALL,
        }
    }
}

impl Parameters for GetHistory {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [script_hash, from, to] = params.bind(["scripthash", "from_height", "to_height"])?;
        Ok(Self {
            script_hash: required(script_hash, "scripthash")?,
            heights: HeightRange::decode(from, to)?,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.push(b'[');
        self.script_hash.to_json(version, out);
        self.heights.encode(out);
        out.push(b']');
    }
}

/// A part of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeightRange {
    /// The lowest height that is wanted.
    pub from: u32,
    /// The lowest height that is no longer wanted; nothing, or -1 on the wire, for everything up to the tip and the
    /// mempool as well.
    pub to: Option<u32>,
}

impl HeightRange {
    /// The whole history.
    pub const ALL: Self = Self { from: 0, to: None };

    pub(crate) fn decode(
        from: Option<&RawValue>,
        to: Option<&RawValue>,
    ) -> Result<Self, DecodeError> {
        Ok(Self {
            from: optional(from, "from_height")?.unwrap_or(0),
            to: optional(to.filter(|to| whole(to) != Some(-1)), "to_height")?,
        })
    }

    /// Appends the parameters that differ from their default, with the commas before them.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        if self == Self::ALL {
            return;
        }
        out.push(b',');
        number(self.from, out);
        if let Some(to) = self.to {
            out.push(b',');
            number(to, out);
        }
    }
}

/// The oldest transaction of a script.
///
/// ```json
/// {"block_hash": "000000000000016d…", "block_height": 200004, "height": 200004, "tx_hash": "acc3758bd2a26f86…"}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstUse {
    /// The transaction.
    pub txid: Txid,
    /// Height and hash of its block; on the wire 0 and 64 zeros while it is in the mempool.
    pub block: Option<(u32, BlockHash)>,
}

impl ToJson for FirstUse {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let (height, hash) = self.block.unwrap_or_else(|| (0, BlockHash::all_zeros()));
        Object::begin(out)
            .field("block_hash", &hash, version)
            .field("block_height", &height, version)
            .field("height", &height, version)
            .field("tx_hash", &self.txid, version)
            .end();
    }
}

impl FromJson for FirstUse {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [hash, height, txid] = bind(raw, ["block_hash", "height", "tx_hash"], false)?;
        let hash: BlockHash = required(hash, "block_hash")?;
        let height = required(height, "height")?;
        Ok(Self {
            txid: required(txid, "tx_hash")?,
            block: (hash != BlockHash::all_zeros()).then_some((height, hash)),
        })
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
        whole(raw)
            .and_then(|height| height.try_into().ok())
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
