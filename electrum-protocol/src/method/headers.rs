//! `blockchain.headers.*`: the tip of the chain.

use bitcoin::block::Header;
use serde_json::value::RawValue;

use super::Parameters;
use super::block::DeserializedHeader;
use crate::json::{DecodeError, FromJson, Object, ToJson, array, bind, optional, required};
use crate::jsonrpc::Params;
use crate::version::ProtocolVersion;

/// `blockchain.headers.subscribe`: the tip now, and a notification for each new tip.
///
/// Params: none, but in protocol 1.2 `[raw = false]` and in 1.3 `[raw = true]`. Result and only parameter of the
/// notification: [`TipResponse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Whether headers come as bytes, as they always do from protocol 1.4 on, and never before 1.2.
    pub raw: bool,
}

impl Subscribe {
    /// Asks for headers as bytes.
    pub const RAW: Self = Self { raw: true };

    /// What a session of `version` gets that does not say what it wants.
    fn default_in(version: ProtocolVersion) -> Self {
        let raw = version >= ProtocolVersion::V1_3;
        Self { raw }
    }
}

/// Whether a session of `version` may say what it wants.
fn may_choose(version: ProtocolVersion) -> bool {
    (ProtocolVersion::V1_2..ProtocolVersion::V1_4).contains(&version)
}

impl Parameters for Subscribe {
    fn decode(params: Params<'_>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let [raw] = params.bind(["raw"])?;
        let raw = optional(raw.filter(|_| may_choose(version)), "raw")?;
        Ok(raw.map_or_else(|| Self::default_in(version), |raw| Self { raw }))
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let said = may_choose(version) && *self != Self::default_in(version);
        array(said.then_some(self.raw), out, |raw, out| {
            raw.to_json(version, out)
        });
    }
}

/// `blockchain.headers.get_tip`: the tip, without a subscription. An extension.
///
/// Params: none. Result: [`Tip`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GetTip;

/// `blockchain.headers.unsubscribe`: ends the notifications. An extension.
///
/// Params: none. Result: whether there was a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsubscribe;

/// The newest block of the active chain.
///
/// ```json
/// {"hex": "0000002029…", "height": 520481}
/// ```
///
/// The two keys are the only ones: wallets refuse an object with more. After a reorganisation the height may be equal
/// to or lower than the one before; intermediate heights may be skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// How many blocks lie below it.
    pub height: u32,
    /// Its header; 80 bytes in hexadecimal text on the wire.
    pub header: Header,
}

impl ToJson for Tip {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        Object::begin(out)
            .field("hex", &self.header, version)
            .field("height", &self.height, version)
            .end();
    }
}

impl FromJson for Tip {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [header, height] = bind(raw, ["hex", "height"], false)?;
        Ok(Self {
            height: required(height, "height")?,
            header: required(header, "hex")?,
        })
    }
}

/// A tip in the form that was subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TipResponse {
    /// The header as bytes.
    Raw(Tip),
    /// The header taken apart, as [`DeserializedHeader`] has it.
    Deserialized(Tip),
}

impl TipResponse {
    /// Puts a tip into the form that a subscription asked for.
    pub const fn new(tip: Tip, raw: bool) -> Self {
        match raw {
            true => Self::Raw(tip),
            false => Self::Deserialized(tip),
        }
    }

    /// Returns the tip.
    pub const fn tip(&self) -> Tip {
        match self {
            Self::Raw(tip) | Self::Deserialized(tip) => *tip,
        }
    }
}

impl ToJson for TipResponse {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        match self {
            Self::Raw(tip) => tip.to_json(version, out),
            Self::Deserialized(tip) => DeserializedHeader(*tip).to_json(version, out),
        }
    }
}

/// Takes either form at any version: which one it is cannot be mistaken.
impl FromJson for TipResponse {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let [height] = bind(raw, ["block_height"], false)?;
        match height {
            Some(_) => DeserializedHeader::from_json(raw).map(|tip| Self::Deserialized(tip.0)),
            None => Tip::from_json(raw).map(Self::Raw),
        }
    }
}
