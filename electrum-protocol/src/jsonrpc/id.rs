//! The ids by which replies find their requests.

use core::fmt;

use serde_json::value::RawValue;

/// The id of a request, kept as the text that the client wrote: it is echoed byte for byte.
///
/// A number of any size, a string with whatever escapes, or `null`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Id(Box<str>);

impl Id {
    /// Takes the id of a message; nothing unless it is a string, a number or `null`.
    pub fn from_raw(raw: &RawValue) -> Option<Self> {
        match raw.get().as_bytes().first()? {
            b'"' | b'-' | b'0'..=b'9' | b'n' => Some(Self(raw.get().into())),
            _ => None,
        }
    }

    /// The id of a reply to something whose id could not be read.
    pub fn null() -> Self {
        Self("null".into())
    }

    /// Returns the JSON text.
    pub fn get(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.0)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
