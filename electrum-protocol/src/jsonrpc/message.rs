//! One line of text cut into messages, and a message cut into its parts.

use core::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What a line contains.
#[derive(Clone, Debug)]
pub enum Incoming<'a> {
    /// One message, or a JSON value that ought to have been one.
    Single(&'a RawValue),
    /// A batch, not empty.
    Batch(Vec<&'a RawValue>),
}

/// A line that contains no message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not UTF-8, therefore not JSON.
    #[error("messages must be encoded in UTF-8")]
    NotUtf8(#[from] core::str::Utf8Error),
    /// Not JSON.
    #[error("invalid JSON: {0}")]
    NotJson(serde_json::Error),
    /// A batch without messages.
    #[error("batch is empty")]
    EmptyBatch,
    /// A batch of more messages than allowed.
    #[error("batch too large (over {max} messages)")]
    BatchTooLarge {
        /// How many are allowed.
        max: usize,
    },
}

impl From<serde_json::Error> for ParseError {
    fn from(error: serde_json::Error) -> Self {
        Self::NotJson(error)
    }
}

impl<'a> Incoming<'a> {
    /// Cuts a line into its messages, at most `max_batch` of them.
    ///
    /// # Errors
    ///
    /// When the line is not JSON, or an unacceptable batch.
    pub fn parse(line: &'a [u8], max_batch: usize) -> Result<Self, ParseError> {
        let raw: &RawValue = serde_json::from_str(core::str::from_utf8(line)?)?;
        if !raw.get().starts_with('[') {
            return Ok(Self::Single(raw));
        }
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        match deserializer.deserialize_seq(Batch { max: max_batch })? {
            None => Err(ParseError::BatchTooLarge { max: max_batch }),
            Some(messages) if messages.is_empty() => Err(ParseError::EmptyBatch),
            Some(messages) => Ok(Self::Batch(messages)),
        }
    }
}

struct Batch {
    max: usize,
}

impl<'de> Visitor<'de> for Batch {
    /// Nothing when there are too many.
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut messages = Vec::new();
        while messages.len() < self.max {
            match seq.next_element()? {
                Some(message) => messages.push(message),
                None => return Ok(Some(messages)),
            }
        }
        let mut more = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok((!more).then_some(messages))
    }
}

/// The known parts of a message, as the JSON text that was there.
///
/// Unknown keys are ignored; of a key that occurs twice the last counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message<'a> {
    /// `jsonrpc`
    pub jsonrpc: Option<&'a RawValue>,
    /// `id`
    pub id: Option<&'a RawValue>,
    /// `method`
    pub method: Option<&'a RawValue>,
    /// `params`
    pub params: Option<&'a RawValue>,
    /// `result`
    pub result: Option<&'a RawValue>,
    /// `error`
    pub error: Option<&'a RawValue>,
}

impl<'a> Message<'a> {
    /// Cuts a message into its parts; nothing when it is not an object.
    pub fn from_raw(raw: &'a RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }
}

impl<'de> Deserialize<'de> for Message<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Parts)
    }
}

struct Parts;

impl<'de> Visitor<'de> for Parts {
    type Value = Message<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON-RPC message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut message = Message::default();
        while let Some(key) = map.next_key()? {
            let slot = match key {
                Key::JsonRpc => &mut message.jsonrpc,
                Key::Id => &mut message.id,
                Key::Method => &mut message.method,
                Key::Params => &mut message.params,
                Key::Result => &mut message.result,
                Key::Error => &mut message.error,
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *slot = Some(map.next_value()?);
        }
        Ok(message)
    }
}

enum Key {
    JsonRpc,
    Id,
    Method,
    Params,
    Result,
    Error,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyText)
    }
}

struct KeyText;

impl Visitor<'_> for KeyText {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(match key {
            "jsonrpc" => Key::JsonRpc,
            "id" => Key::Id,
            "method" => Key::Method,
            "params" => Key::Params,
            "result" => Key::Result,
            "error" => Key::Error,
            _ => Key::Other,
        })
    }
}
