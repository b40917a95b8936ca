//! `blockchain.headers.*`: the tip of the chain.

use bitcoin::block::Header;
use serde_json::value::RawValue;

use crate::json::{DecodeError, FromJson, Object, ToJson, bind, required};
use crate::version::ProtocolVersion;

/// `blockchain.headers.subscribe`: the tip now, and a notification for each new tip.
///
/// Params: none. Result and only parameter of the notification: [`Tip`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscribe;

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
