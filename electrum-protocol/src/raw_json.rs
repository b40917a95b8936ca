//! JSON that passes through unread.

use core::fmt;

use serde_json::value::RawValue;

/// A JSON value that is carried verbatim: nobody between the node and the client looks inside.
///
/// It never contains a line break, so it can stand in a message of one line.
#[derive(Clone)]
pub struct RawJson(Box<RawValue>);

/// Text that is not one JSON value.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON value: {error}")]
#[non_exhaustive]
pub struct ParseJsonError {
    /// Where the text stops to be JSON.
    pub error: serde_json::Error,
}

impl RawJson {
    /// Takes the text of one JSON value; line breaks between its tokens become spaces.
    ///
    /// # Errors
    ///
    /// When the text is not exactly one JSON value.
    pub fn parse(text: &str) -> Result<Self, ParseJsonError> {
        // A line break within a JSON string is always escaped, so these stand between tokens.
        let line = text.replace(['\n', '\r'], " ");
        RawValue::from_string(line)
            .map(Self)
            .map_err(|error| ParseJsonError { error })
    }

    /// Returns the JSON text.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    pub(crate) fn raw(&self) -> &RawValue {
        &self.0
    }

    pub(crate) fn from_raw(raw: &RawValue) -> Self {
        Self(raw.to_owned())
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({})", self.get())
    }
}

impl fmt::Display for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

/// Compares the text, not the meaning: `1` and `1.0` differ.
impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for RawJson {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_become_spaces() {
        let json = RawJson::parse("\n{\r\n \"a\\n\": [1,\n1e999] }\n").unwrap();
        assert_eq!(json.get(), "{   \"a\\n\": [1, 1e999] }");
    }

    #[test]
    fn only_one_value() {
        for text in ["", " ", "1 2", "{", "[1,]", "nul", "\"\n\x01\""] {
            assert!(RawJson::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn deep_nesting_is_no_recursion() {
        let depth = 1_000_000;
        let text = "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(RawJson::parse(&text).unwrap().get().len(), 2 * depth);
    }
}
