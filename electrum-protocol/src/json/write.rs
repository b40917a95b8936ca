//! Typed values appended to a byte buffer as JSON text.

use std::io::Write;

use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Amount, BlockHash, ScriptBuf, SignedAmount, Txid, Wtxid};

use crate::hex;
use crate::raw_json::RawJson;
use crate::script_hash::ScriptHash;
use crate::status::Status;
use crate::version::ProtocolVersion;

/// A value with one shape on the wire for each protocol version.
pub(crate) trait ToJson {
    /// Appends the value as the clients of `version` expect it.
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>);
}

/// An object being written.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Writes a key that needs no escaping, and returns the buffer for its value.
    pub(crate) fn key(&mut self, name: &'static str) -> &mut Vec<u8> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// Writes a key and its value.
    pub(crate) fn field(
        &mut self,
        name: &'static str,
        value: &impl ToJson,
        version: ProtocolVersion,
    ) -> &mut Self {
        value.to_json(version, self.key(name));
        self
    }

    pub(crate) fn end(&mut self) {
        self.out.push(b'}');
    }
}

/// Writes an array, one element per item.
pub(crate) fn array<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

/// Writes a quoted and escaped string.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing to memory does not fail");
}

/// Writes a whole number.
pub(crate) fn number(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes anything that prints as a JSON number.
pub(crate) fn decimal(value: impl core::fmt::Display, out: &mut Vec<u8>) {
    write!(out, "{value}").expect("writing to memory does not fail");
}

fn quoted_hex(bytes: impl IntoIterator<Item = u8, IntoIter: ExactSizeIterator>, out: &mut Vec<u8>) {
    out.push(b'"');
    hex::encode(bytes, out);
    out.push(b'"');
}

impl<T: ToJson> ToJson for Vec<T> {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        array(self, out, |item, out| item.to_json(version, out));
    }
}

impl<T: ToJson> ToJson for Option<T> {
    /// Writes nothing as `null`.
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.to_json(version, out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl ToJson for () {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        out.extend_from_slice(b"null");
    }
}

impl ToJson for bool {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl ToJson for u16 {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        number(*self, out);
    }
}

impl ToJson for u32 {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        number(*self, out);
    }
}

impl ToJson for u64 {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        number(*self, out);
    }
}

impl ToJson for String {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        string(self, out);
    }
}

/// Satoshis.
impl ToJson for Amount {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        number(self.to_sat(), out);
    }
}

/// Satoshis.
impl ToJson for SignedAmount {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        number(self.to_sat(), out);
    }
}

impl ToJson for sha256d::Hash {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        quoted_hex(self.to_byte_array().into_iter().rev(), out);
    }
}

impl ToJson for Txid {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        self.to_raw_hash().to_json(version, out);
    }
}

impl ToJson for Wtxid {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        self.to_raw_hash().to_json(version, out);
    }
}

impl ToJson for BlockHash {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        self.to_raw_hash().to_json(version, out);
    }
}

impl ToJson for ScriptHash {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        quoted_hex(self.to_byte_array().into_iter().rev(), out);
    }
}

impl ToJson for Status {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        quoted_hex(self.to_byte_array(), out);
    }
}

/// The 80 bytes as hexadecimal text.
impl ToJson for Header {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        quoted_hex(encode::serialize(self), out);
    }
}

/// Bytes as hexadecimal text.
impl ToJson for [u8] {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        quoted_hex(self.iter().copied(), out);
    }
}

impl ToJson for ScriptBuf {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        self.as_bytes().to_json(version, out);
    }
}

impl ToJson for RawJson {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        out.extend_from_slice(self.get().as_bytes());
    }
}

impl ToJson for ProtocolVersion {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        // Digits and dots need no escaping.
        write!(out, "\"{self}\"").expect("writing to memory does not fail");
    }
}
