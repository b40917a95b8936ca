//! Parameters, by position or by name, and what they mean.

use bitcoin::consensus::encode::{Decodable, deserialize};
use bitcoin::hex::FromHex;
use bitcoin::{Address, Amount, BlockHash, Network, ScriptBuf, Txid};
use serde_json::Value;

use super::ControlError;

/// The parameters of one call, in the order of the method's table.
#[derive(Debug)]
pub(super) struct Arguments {
    names: &'static [&'static str],
    values: Vec<Value>,
}

impl Arguments {
    pub(super) fn new(
        names: &'static [&'static str],
        params: &Value,
    ) -> Result<Self, ControlError> {
        let wrong = |message: String| ControlError::new(ControlError::PARAMETER, message);
        let values = match params {
            Value::Null => Vec::new(),
            Value::Array(values) if values.len() > names.len() => {
                let (most, given) = (names.len(), values.len());
                return Err(wrong(format!("at most {most} parameters, not {given}")));
            }
            Value::Array(values) => values.clone(),
            Value::Object(by_name) => {
                if let Some(name) = by_name.keys().find(|name| !names.contains(&name.as_str())) {
                    return Err(wrong(format!("Unknown named parameter {name}")));
                }
                let value = |name: &&str| by_name.get(*name).cloned().unwrap_or_default();
                names.iter().map(value).collect()
            }
            _ => return Err(wrong("Params must be an array or object".to_owned())),
        };
        Ok(Self { names, values })
    }

    /// The parameter at this place, unless it is absent.
    pub(super) fn get(&self, index: usize) -> Option<&Value> {
        self.values.get(index).filter(|value| !value.is_null())
    }

    fn name(&self, index: usize) -> &'static str {
        self.names.get(index).copied().unwrap_or("parameter")
    }

    fn need(&self, index: usize) -> Result<&Value, ControlError> {
        let missing = || {
            let message = format!("{} is missing", self.name(index));
            ControlError::new(ControlError::PARAMETER, message)
        };
        self.get(index).ok_or_else(missing)
    }

    fn wrong(&self, index: usize, what: &str) -> ControlError {
        let message = format!("{} must be {what}", self.name(index));
        ControlError::new(ControlError::TYPE, message)
    }

    pub(super) fn text(&self, index: usize) -> Result<&str, ControlError> {
        let value = self.need(index)?;
        value.as_str().ok_or_else(|| self.wrong(index, "a string"))
    }

    /// A whole number; command lines may have sent it as text.
    pub(super) fn number(&self, index: usize) -> Result<u64, ControlError> {
        let value = self.need(index)?;
        let text = value.as_str().and_then(|text| text.parse().ok());
        value
            .as_u64()
            .or(text)
            .ok_or_else(|| self.wrong(index, "a whole number"))
    }

    /// The same; absent stands for `default`.
    pub(super) fn number_or(&self, index: usize, default: u64) -> Result<u64, ControlError> {
        match self.get(index) {
            Some(_) => self.number(index),
            None => Ok(default),
        }
    }

    /// A list; command lines may have sent it as text.
    pub(super) fn list(&self, index: usize) -> Result<Vec<Value>, ControlError> {
        let list = match self.need(index)? {
            Value::String(text) => serde_json::from_str(text).ok(),
            other => other.as_array().cloned(),
        };
        list.ok_or_else(|| self.wrong(index, "a list"))
    }

    pub(super) fn number32(&self, index: usize) -> Result<u32, ControlError> {
        u32::try_from(self.number(index)?).map_err(|_| self.wrong(index, "less than 4294967296"))
    }

    /// A switch: true, false, or a number as older scripts have it.
    pub(super) fn level(&self, index: usize, default: u64) -> Result<u64, ControlError> {
        match self.get(index) {
            None => Ok(default),
            Some(Value::Bool(on)) => Ok(u64::from(*on)),
            Some(Value::String(text)) if text == "true" || text == "false" => {
                Ok(u64::from(text == "true"))
            }
            Some(_) => self.number(index),
        }
    }

    pub(super) fn amount(&self, index: usize) -> Result<Amount, ControlError> {
        let value = self.need(index)?;
        // Eight decimals are all that an amount has; the nearest binary fraction prints as what was meant.
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => format!("{:.8}", number.as_f64().unwrap_or(f64::NAN)),
            _ => {
                return Err(ControlError::new(
                    ControlError::TYPE,
                    "Amount is not a number or string",
                ));
            }
        };
        Amount::from_str_in(&text, bitcoin::Denomination::Bitcoin)
            .map_err(|_| ControlError::new(ControlError::TYPE, "Invalid amount"))
    }

    pub(super) fn address(&self, index: usize) -> Result<ScriptBuf, ControlError> {
        address(self.text(index)?)
            .ok_or_else(|| ControlError::new(-5, "Invalid address: not one of regtest"))
    }

    pub(super) fn txid(&self, index: usize) -> Result<Txid, ControlError> {
        let text = self.text(index)?;
        text.parse().map_err(|_| self.not_a_hash(index, text))
    }

    pub(super) fn block_hash(&self, index: usize) -> Result<BlockHash, ControlError> {
        let text = self.text(index)?;
        text.parse().map_err(|_| self.not_a_hash(index, text))
    }

    fn not_a_hash(&self, index: usize, text: &str) -> ControlError {
        let (name, length) = (self.name(index), text.len());
        let message = match length {
            64 => format!("{name} must be hexadecimal string (not '{text}')"),
            _ => format!("{name} must be of length 64 (not {length}, for '{text}')"),
        };
        ControlError::new(ControlError::PARAMETER, message)
    }

    /// A value in the encoding of the network, in hexadecimal.
    pub(super) fn decoded<T: Decodable>(
        &self,
        index: usize,
        complaint: &str,
    ) -> Result<T, ControlError> {
        let bytes = Vec::from_hex(self.text(index)?).ok();
        bytes
            .and_then(|bytes| deserialize(&bytes).ok())
            .ok_or_else(|| ControlError::new(-22, complaint))
    }

    pub(super) fn bytes(&self, index: usize) -> Result<Vec<u8>, ControlError> {
        Vec::from_hex(self.text(index)?).map_err(|_| {
            ControlError::new(
                -22,
                "TX decode failed. Make sure the tx has at least one input.",
            )
        })
    }

    /// A list of texts; command lines may have sent it as text.
    pub(super) fn texts(&self, index: usize) -> Result<Vec<String>, ControlError> {
        let value = self.need(index)?;
        let list = match value {
            Value::String(text) => serde_json::from_str(text).ok(),
            other => serde_json::from_value(other.clone()).ok(),
        };
        list.ok_or_else(|| self.wrong(index, "a list of strings"))
    }
}

/// The script of an address of regtest.
pub(super) fn address(text: &str) -> Option<ScriptBuf> {
    let address: Address<_> = text.parse().ok()?;
    Some(
        address
            .require_network(Network::Regtest)
            .ok()?
            .script_pubkey(),
    )
}
