//! Wallets as their owner describes them.

use std::fmt;

use super::{GAP_LIMIT, Keychain};
use crate::chain::HeaderChain;

/// When the first coin of a wallet can have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birth {
    /// In the block at this height, or later.
    Height(u32),
    /// At this time, in seconds since 1970, or later.
    Time(u32),
}

impl fmt::Display for Birth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Height(height) => write!(f, "height {height}"),
            Self::Time(time) => write!(f, "time {time}"),
        }
    }
}

/// How far the time in a header may be from the true one, and more: two hours ahead, and behind by as much as the median
/// of eleven blocks.
const CLOCK_SLACK: u32 = 24 * 3600;

impl Birth {
    /// Returns the height from which on to look; nothing while the chain is not as long.
    pub(crate) fn height(self, headers: &HeaderChain) -> Option<u32> {
        match self {
            Self::Height(height) => (height < headers.len()).then_some(height),
            Self::Time(time) => {
                let time = time.saturating_sub(CLOCK_SLACK);
                // Times go up and down a little; the slack is more.
                let (mut low, mut high) = (0, headers.len());
                while low < high {
                    let middle = low + (high - low) / 2;
                    match headers.header(middle) {
                        Some(header) if header.time < time => low = middle + 1,
                        _ => high = middle,
                    }
                }
                Some(low)
            }
        }
    }
}

/// A wallet to be watched.
#[derive(Clone, Debug)]
pub struct Wallet {
    /// What its owner calls it.
    pub name: String,
    /// Its scripts.
    pub keychains: Vec<Keychain>,
    /// When its first coin can have come.
    pub birth: Birth,
    /// How many scripts of each keychain are watched beyond the last used one, at least.
    pub gap_limit: u32,
}

impl Wallet {
    /// Takes keychains; looks for them in the whole chain.
    pub fn new(name: impl Into<String>, keychains: Vec<Keychain>) -> Self {
        Self {
            name: name.into(),
            keychains,
            birth: Birth::Height(0),
            gap_limit: GAP_LIMIT,
        }
    }
}
