//! JSON text read into typed values, with errors that name the field.
//!
//! A composite value is first cut into the raw texts of its parts, then each part is read by its type. Nothing here
//! recurses on the input: skipping over nested values is a loop in `serde_json`.

use core::fmt;
use core::marker::PhantomData;
use std::borrow::Cow;

use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Amount, BlockHash, ScriptBuf, SignedAmount, Txid};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::hex;
use crate::raw_json::RawJson;
use crate::script_hash::ScriptHash;
use crate::status::Status;
use crate::version::ProtocolVersion;

/// A parameter or a field of a result that is not what the protocol says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A value that must be there is not.
    #[error("{name}: missing")]
    Missing {
        /// The name of the parameter, or the path to the field.
        name: String,
    },
    /// A value has the wrong type or is out of range.
    #[error("{name}: expected {expected}, found {found}")]
    Unexpected {
        /// The name of the parameter, or the path to the field.
        name: String,
        /// What would have been right.
        expected: &'static str,
        /// The JSON that was there, cut when it is long.
        found: String,
    },
}

impl DecodeError {
    pub(crate) fn missing(name: &str) -> Self {
        Self::Missing {
            name: name.to_owned(),
        }
    }

    /// Puts the name of the enclosing field before the path.
    pub(crate) fn within(mut self, outer: &str) -> Self {
        let (Self::Missing { name } | Self::Unexpected { name, .. }) = &mut self;
        *name = if name.is_empty() {
            outer.to_owned()
        } else {
            format!("{outer}.{name}")
        };
        self
    }
}

/// A value that is read from JSON text.
pub(crate) trait FromJson: Sized {
    /// Reads the value.
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError>;
}

/// Reads a value that must be there.
pub(crate) fn required<T: FromJson>(slot: Option<&RawValue>, name: &str) -> Result<T, DecodeError> {
    let raw = slot.ok_or_else(|| DecodeError::missing(name))?;
    T::from_json(raw).map_err(|error| error.within(name))
}

/// Reads a value that may be absent or `null`.
pub(crate) fn optional<T: FromJson>(
    slot: Option<&RawValue>,
    name: &str,
) -> Result<Option<T>, DecodeError> {
    match slot {
        Some(raw) if !is_null(raw) => T::from_json(raw)
            .map(Some)
            .map_err(|error| error.within(name)),
        _ => Ok(None),
    }
}

/// Reads a flag that is off when absent.
pub(crate) fn bool_at(slot: Option<&RawValue>, name: &str) -> Result<bool, DecodeError> {
    Ok(optional(slot, name)?.unwrap_or(false))
}

/// Tells whether a value is `null`.
pub(crate) fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// Makes the error for a value that is not what was expected; the caller adds the name.
pub(crate) fn unexpected(expected: &'static str, raw: &RawValue) -> DecodeError {
    DecodeError::Unexpected {
        name: String::new(),
        expected,
        found: excerpt(raw.get()),
    }
}

/// Cuts text so that it can stand in a message.
pub(crate) fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 40;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Reads a string, borrowed when it contains no escapes.
pub(crate) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Cuts an object, or an array where `positional` allows it, into the named parts; what has no name is ignored.
pub(crate) fn bind<'a, const N: usize>(
    raw: &'a RawValue,
    names: [&'static str; N],
    positional: bool,
) -> Result<[Option<&'a RawValue>; N], DecodeError> {
    let expected = if positional {
        "an array or an object"
    } else {
        "an object"
    };
    let opening = raw.get().as_bytes().first();
    if opening != Some(&b'{') && !(positional && opening == Some(&b'[')) {
        return Err(unexpected(expected, raw));
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    deserializer
        .deserialize_any(Parts { names })
        .map_err(|_| unexpected(expected, raw))
}

struct Parts<const N: usize> {
    names: [&'static str; N],
}

impl<'de, const N: usize> Visitor<'de> for Parts<N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut slots = [None; N];
        for slot in &mut slots {
            *slot = seq.next_element()?;
            if slot.is_none() {
                return Ok(slots);
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(slots)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut slots = [None; N];
        while let Some(index) = map.next_key_seed(Key { names: &self.names })? {
            match index.and_then(|index| slots.get_mut(index)) {
                Some(slot) => *slot = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(slots)
    }
}

/// Finds a key among the known names, without keeping its text.
struct Key<'n> {
    names: &'n [&'static str],
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.names.iter().position(|name| *name == key))
    }
}

/// Each element is read where it is found: a list of the texts of all would take eight times the room of the shortest.
impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        deserializer
            .deserialize_seq(Elements(PhantomData))
            .unwrap_or_else(|_| Err(unexpected("an array", raw)))
    }
}

struct Elements<T>(PhantomData<T>);

impl<'de, T: FromJson> Visitor<'de> for Elements<T> {
    type Value = Result<Vec<T>, DecodeError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            match T::from_json(element) {
                Ok(element) => elements.push(element),
                Err(error) => {
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Err(error.within(&format!("[{}]", elements.len()))));
                }
            }
        }
        Ok(Ok(elements))
    }
}

/// Reads `null` as nothing.
impl<T: FromJson> FromJson for Option<T> {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        if is_null(raw) {
            Ok(None)
        } else {
            T::from_json(raw).map(Some)
        }
    }
}

/// Reads anything: a reply without content is not worth a failure.
impl FromJson for () {
    fn from_json(_: &RawValue) -> Result<Self, DecodeError> {
        Ok(())
    }
}

/// Reads a whole number, also one that is written with a fraction of zeros or an exponent: to JSON, `6` and `6.0` are the
/// same number, and some languages always write the second.
pub(crate) fn whole(raw: &RawValue) -> Option<i128> {
    let text = raw.get();
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    // Anything but a number is not taken apart: `1` and `"1"` differ.
    if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return None;
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    if digits == 0 {
        return Some(0);
    }
    let places = exponent
        .parse::<i32>()
        .ok()?
        .checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let factor = 10_i128.checked_pow(places.unsigned_abs())?;
    match places >= 0 {
        true => digits.checked_mul(factor),
        false => (digits % factor == 0).then_some(digits / factor),
    }
}

/// Reads a whole number of any type.
fn integer<T: TryFrom<i128>>(raw: &RawValue, expected: &'static str) -> Result<T, DecodeError> {
    whole(raw)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| unexpected(expected, raw))
}

/// Besides `true` and `false` also 1 and 0, which Python's and JavaScript's servers take, and old clients send.
impl FromJson for bool {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        match raw.get() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => match whole(raw) {
                Some(1) => Ok(true),
                Some(0) => Ok(false),
                _ => Err(unexpected("true or false", raw)),
            },
        }
    }
}

impl FromJson for u16 {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        integer(raw, "an integer from 0 to 65535")
    }
}

impl FromJson for u32 {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        integer(raw, "an integer from 0 to 4294967295")
    }
}

impl FromJson for u64 {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        integer(raw, "an integer from 0 to 18446744073709551615")
    }
}

/// Some servers have `null` for a text that is empty.
impl FromJson for String {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        if is_null(raw) {
            return Ok(Self::new());
        }
        text(raw)
            .map(Cow::into_owned)
            .ok_or_else(|| unexpected("a string", raw))
    }
}

/// Satoshis.
impl FromJson for Amount {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        integer(raw, "a number of satoshis").map(Self::from_sat)
    }
}

/// Satoshis.
impl FromJson for SignedAmount {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        integer(raw, "a signed number of satoshis").map(Self::from_sat)
    }
}

fn hash_bytes(raw: &RawValue, expected: &'static str) -> Result<[u8; 32], DecodeError> {
    text(raw)
        .and_then(|text| hex::decode_array(&text))
        .ok_or_else(|| unexpected(expected, raw))
}

fn reversed(mut bytes: [u8; 32]) -> [u8; 32] {
    bytes.reverse();
    bytes
}

impl FromJson for sha256d::Hash {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let bytes = hash_bytes(raw, "a hash of 64 hexadecimal digits")?;
        Ok(Self::from_byte_array(reversed(bytes)))
    }
}

impl FromJson for Txid {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let bytes = hash_bytes(raw, "a transaction hash of 64 hexadecimal digits")?;
        Ok(Self::from_byte_array(reversed(bytes)))
    }
}

impl FromJson for BlockHash {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let bytes = hash_bytes(raw, "a block hash of 64 hexadecimal digits")?;
        Ok(Self::from_byte_array(reversed(bytes)))
    }
}

impl FromJson for ScriptHash {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let bytes = hash_bytes(raw, "a script hash of 64 hexadecimal digits")?;
        Ok(Self::from_byte_array(reversed(bytes)))
    }
}

impl FromJson for Status {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        hash_bytes(raw, "a status of 64 hexadecimal digits").map(Self::from_byte_array)
    }
}

/// The 80 bytes as hexadecimal text.
impl FromJson for Header {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        text(raw)
            .and_then(|text| hex::decode_array::<80>(&text))
            .and_then(|bytes| encode::deserialize(&bytes).ok())
            .ok_or_else(|| unexpected("a block header of 160 hexadecimal digits", raw))
    }
}

/// Bytes as hexadecimal text. Not a `Vec<u8>`, which would read an array of numbers.
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl FromJson for Hex {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        text(raw)
            .and_then(|text| hex::decode(&text))
            .map(Self)
            .ok_or_else(|| unexpected("hexadecimal text", raw))
    }
}

impl FromJson for ScriptBuf {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        Hex::from_json(raw).map(|hex| Self::from_bytes(hex.0))
    }
}

impl FromJson for RawJson {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        Ok(Self::from_raw(raw))
    }
}

/// Text such as `"1.4"`; a bare number such as `1.4` is understood too.
impl FromJson for ProtocolVersion {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        text(raw)
            .unwrap_or_else(|| Cow::Borrowed(raw.get()))
            .parse()
            .map_err(|_| unexpected("a protocol version such as \"1.4\"", raw))
    }
}
