//! What is said of a wallet: lines for people beside fields for machines.

use bitcoin::Network;
use serde_json::{Map, Value, json};

use crate::report::Report;

/// What a wallet is printed with.
pub(super) struct Printing {
    pub(super) count: u32,
    pub(super) private: bool,
    pub(super) network: Network,
}

/// Lines for people beside fields for machines.
#[derive(Default)]
pub(super) struct Description {
    lines: Vec<String>,
    fields: Map<String, Value>,
}

impl Description {
    /// Says it to both.
    pub(super) fn put(&mut self, name: &str, title: &str, value: impl Into<Value>) {
        let value = value.into();
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        self.lines.push(format!("{title}: {text}"));
        self.field(name, value);
    }

    /// Says it to machines; nothing is left out.
    pub(super) fn field(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        if !value.is_null() {
            self.fields.insert(name.to_owned(), value);
        }
    }

    /// Says a list to both, a line for each.
    pub(super) fn list(&mut self, name: &str, title: &str, values: Vec<String>) {
        let lines = values.iter().enumerate();
        self.lines
            .extend(lines.map(|(index, value)| format!("{title} {index}: {value}")));
        self.field(name, values);
    }
}

impl From<Description> for Report {
    fn from(description: Description) -> Self {
        Self {
            human: description.lines.join("\n"),
            json: json!(description.fields),
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bitcoin::hex::DisplayHex::to_lower_hex_string(bytes)
}
