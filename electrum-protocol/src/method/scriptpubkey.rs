//! `blockchain.scriptpubkey.*`: what happened to an output script, named by itself. From protocol 1.7 on.
//!
//! Clients that name their parameters call the script `scriptpubkey`, or `spk` as ElectrumX does.
//! Notifications name the script by its hash, which is shorter: see [`Notification`](crate::Notification).

use bitcoin::ScriptBuf;
use serde_json::value::RawValue;

use super::Parameters;
use super::scripthash::{HeightRange, HistoryEntry, Unspent};
use crate::json::{DecodeError, FromJson, Object, ToJson, bind, required};
use crate::jsonrpc::Params;
use crate::method::one_parameter;
use crate::version::ProtocolVersion;

one_parameter! {
    /// `blockchain.scriptpubkey.get_balance`: how much the script holds.
    ///
    /// Params: `[scriptpubkey]`. Result: [`Balance`](super::scripthash::Balance).
    GetBalance {
        /// The script.
        script: ScriptBuf as "scriptpubkey" or "spk"
    }

    /// `blockchain.scriptpubkey.get_mempool`: the unconfirmed part of the history.
    ///
    /// Params: `[scriptpubkey]`. Result: [`History`].
    GetMempool {
        /// The script.
        script: ScriptBuf as "scriptpubkey" or "spk"
    }

    /// `blockchain.scriptpubkey.listunspent`: the outputs of the script that nothing spends.
    ///
    /// Params: `[scriptpubkey]`. Result: [`Unspents`].
    ListUnspent {
        /// The script.
        script: ScriptBuf as "scriptpubkey" or "spk"
    }

    /// `blockchain.scriptpubkey.subscribe`: the status now, and a notification whenever it changes.
    ///
    /// Params: `[scriptpubkey]`. Result: the [`Status`](crate::Status), `null` without a history. Params of the
    /// notification: `[scripthash, status]`.
    Subscribe {
        /// The script.
        script: ScriptBuf as "scriptpubkey" or "spk"
    }

    /// `blockchain.scriptpubkey.unsubscribe`: ends the notifications.
    ///
    /// Params: `[scriptpubkey]`. Result: whether there was a subscription.
    Unsubscribe {
        /// The script.
        script: ScriptBuf as "scriptpubkey" or "spk"
    }
}

/// `blockchain.scriptpubkey.get_history`: every transaction that touches the script.
///
/// Params: `[scriptpubkey]`, and as an extension `[scriptpubkey, from_height = 0, to_height = -1]`. Result: [`History`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetHistory {
    /// The script.
    pub script: ScriptBuf,
    /// Which part of the history is wanted.
    pub heights: HeightRange,
}

impl Parameters for GetHistory {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [script, from, to, spk] =
            params.bind(["scriptpubkey", "from_height", "to_height", "spk"])?;
        Ok(Self {
            script: required(script.or(spk), "scriptpubkey")?,
            heights: HeightRange::decode(from, to)?,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        out.push(b'[');
        self.script.to_json(version, out);
        self.heights.encode(out);
        out.push(b']');
    }
}

/// A list of transactions: `{"history": […]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History(pub Vec<HistoryEntry>);

impl ToJson for History {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        Object::begin(out).field("history", &self.0, version).end();
    }
}

impl FromJson for History {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [history] = bind(raw, ["history"], false)?;
        required(history, "history").map(Self)
    }
}

/// A list of unspent outputs: `{"utxos": […]}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unspents(pub Vec<Unspent>);

impl ToJson for Unspents {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        Object::begin(out).field("utxos", &self.0, version).end();
    }
}

impl FromJson for Unspents {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [utxos] = bind(raw, ["utxos"], false)?;
        required(utxos, "utxos").map(Self)
    }
}
