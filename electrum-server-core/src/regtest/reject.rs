//! Why a block or a transaction is refused, in Bitcoin Core's own words.

use std::fmt;

/// A refusal: the short reason that Bitcoin Core gives, and sometimes more words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Reject {
    /// The reason, such as `bad-txns-in-belowout`.
    pub reason: String,
    /// More about it, such as `value in (1.00) < value out (2.00)`; often empty.
    pub details: String,
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.details.is_empty() {
            true => f.write_str(&self.reason),
            false => write!(f, "{}, {}", self.reason, self.details),
        }
    }
}

impl Reject {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            details: String::new(),
        }
    }

    pub(super) fn with(reason: impl Into<String>, details: impl fmt::Display) -> Self {
        Self {
            reason: reason.into(),
            details: details.to_string(),
        }
    }

    /// A refusal with this reason.
    pub(super) fn err<T>(reason: &str) -> Result<T, Self> {
        Err(Self::new(reason))
    }
}

/// Refuses with `reason` unless `good`.
pub(super) fn ensure(good: bool, reason: &str) -> Result<(), Reject> {
    match good {
        true => Ok(()),
        false => Reject::err(reason),
    }
}
