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
            Self::Time(time) => Day(*time).fmt(f),
        }
    }
}

/// The day (UTC) of a time in seconds since 1970, as YYYY-MM-DD.
pub(super) struct Day(pub(super) u32);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_leap = |year: u32| {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        };
        let (mut days, mut year, mut month) = (self.0 / (24 * 3600), 1970, 1);
        loop {
            let length = if is_leap(year) { 366 } else { 365 };
            if days < length {
                break;
            }
            days -= length;
            year += 1;
        }
        loop {
            let length = match month {
                2 if is_leap(year) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            if days < length {
                break;
            }
            days -= length;
            month += 1;
        }
        write!(f, "{year}-{month:02}-{:02}", days + 1)
    }
}

/// How far the time in a header may be from the true one, and more: two hours ahead, and behind by as much as the median
/// of eleven blocks.
const CLOCK_SLACK: u32 = 24 * 3600;

impl Birth {
    /// Returns the height from which on to look; nothing while the chain is not as long, or ends before that time.
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
                // From there on nothing would be found.
                (low < headers.len()).then_some(low)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_as_its_day() {
        // date --utc --date=@SECONDS +%F
        for (seconds, day) in [
            (0, "1970-01-01"),
            (1_622_419_200, "2021-05-31"),
            (1_709_164_799, "2024-02-28"),
            (1_709_164_800, "2024-02-29"),
            (1_924_992_000, "2031-01-01"),
            (4_102_444_800, "2100-01-01"),
            (u32::MAX, "2106-02-07"),
        ] {
            assert_eq!(Birth::Time(seconds).to_string(), day);
        }
    }
}
