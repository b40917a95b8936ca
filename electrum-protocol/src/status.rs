//! Status hashes: one hash over the whole history of a script.
//!
//! The status is the SHA-256 of the text `txid:height:` for each transaction that touches the script. Confirmed
//! transactions come in chain order, then those of the mempool in the order of [`mempool_order`].
//!
//! Specification: "Status" in the protocol basics.

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;
use std::io::Write;

use bitcoin::Txid;
use bitcoin::hashes::{Hash, HashEngine, sha256};

use crate::hex;
use crate::method::scripthash::HistoryEntry;

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Confirmation {
    /// In the block of this height. On the wire the height.
    ///
    /// The wire has no way to say "in the genesis block": its transaction is in no history.
    Block(u32),
    /// In no block yet. On the wire 0, or -1 when it spends an output of another unconfirmed transaction.
    Mempool {
        /// Whether any input spends an output of a transaction that is itself unconfirmed.
        unconfirmed_parents: bool,
    },
}

impl Confirmation {
    /// Returns the number that the wire has for it: the height, 0 or -1.
    pub fn wire_height(self) -> i64 {
        match self {
            Self::Block(height) => i64::from(height),
            Self::Mempool {
                unconfirmed_parents: false,
            } => 0,
            Self::Mempool {
                unconfirmed_parents: true,
            } => -1,
        }
    }

    /// Reads the number of the wire; nothing below -1 or above `u32::MAX` means anything.
    pub fn from_wire_height(height: i64) -> Option<Self> {
        match height {
            -1 => Some(Self::Mempool {
                unconfirmed_parents: true,
            }),
            0 => Some(Self::Mempool {
                unconfirmed_parents: false,
            }),
            _ => u32::try_from(height).ok().map(Self::Block),
        }
    }
}

/// The status of a script: 32 bytes, in hexadecimal text *not* reversed.
///
/// A script without history has none (`null` on the wire, `None` here).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status([u8; 32]);

impl Status {
    /// Takes the 32 bytes of the SHA-256.
    pub const fn from_byte_array(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes of the SHA-256.
    pub const fn to_byte_array(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Status({self})")
    }
}

/// Text that is not a status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a status of 64 hexadecimal digits")]
#[non_exhaustive]
pub struct ParseStatusError {
    /// The offending text.
    pub text: String,
}

impl FromStr for Status {
    type Err = ParseStatusError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex::decode_array(text)
            .map(Self)
            .ok_or_else(|| ParseStatusError {
                text: text.to_owned(),
            })
    }
}

/// Computes a status one history entry at a time.
#[derive(Clone, Default)]
pub struct StatusHasher {
    engine: sha256::HashEngine,
}

impl StatusHasher {
    /// Starts with an empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next transaction: confirmed ones in chain order, then the mempool's in [`mempool_order`].
    pub fn push(&mut self, txid: &Txid, confirmation: Confirmation) {
        // 64 digits, up to 10 digits of height or "-1", two colons.
        let mut entry = Vec::with_capacity(76);
        hex::encode(txid.to_byte_array().into_iter().rev(), &mut entry);
        write!(entry, ":{}:", confirmation.wire_height()).expect("writing to memory does not fail");
        self.engine.input(&entry);
    }

    /// Returns the status, or nothing when no transaction was added.
    pub fn finish(self) -> Option<Status> {
        let empty = self.engine.n_bytes_hashed() == 0;
        let hash = sha256::Hash::from_engine(self.engine);
        (!empty).then(|| Status(hash.to_byte_array()))
    }
}

impl fmt::Debug for StatusHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusHasher")
            .field("bytes_hashed", &self.engine.n_bytes_hashed())
            .finish_non_exhaustive()
    }
}

/// Computes the status of a history that is already in order.
pub fn status(history: &[HistoryEntry]) -> Option<Status> {
    let mut hasher = StatusHasher::new();
    for entry in history {
        hasher.push(&entry.txid, entry.confirmation);
    }
    hasher.finish()
}

/// Tells whether a history is the one that a server has told the status of; nothing for a script without history.
///
/// The order is that of the history as it came, and where that does not match, the canonical one. Before protocol 1.6
/// the order in the mempool was each server's own; wallets hash the answer of `get_history` as it is, so a server that
/// uses one order for both is understood. A server that uses two is, when the status has the canonical one.
///
/// A history that does not match is no lie yet: it may have changed between the two, and then another status follows.
pub fn matches(history: &[HistoryEntry], told: Option<Status>) -> bool {
    if status(history) == told {
        return true;
    }
    let mut canonical = history.to_vec();
    canonical.sort_by(mempool_order);
    canonical != history && status(&canonical) == told
}

/// Compares two mempool entries in the order that protocol 1.6 prescribes for histories and statuses.
///
/// First those of height 0 (all parents confirmed), then those of height -1; within each, by transaction hash *as
/// displayed*. That is not the order of [`Txid`], which compares the bytes as they are hashed. Confirmed entries sort
/// before all others by height alone, so a stable sort keeps the order within each block.
pub fn mempool_order(a: &HistoryEntry, b: &HistoryEntry) -> Ordering {
    let rank = |entry: &HistoryEntry| match entry.confirmation {
        Confirmation::Block(height) => (0, height),
        Confirmation::Mempool {
            unconfirmed_parents,
        } => (1, u32::from(unconfirmed_parents)),
    };
    rank(a).cmp(&rank(b)).then_with(|| match a.confirmation {
        Confirmation::Block(_) => Ordering::Equal,
        Confirmation::Mempool { .. } => displayed_order(&a.txid, &b.txid),
    })
}

/// Compares two transaction hashes as their hexadecimal texts compare.
pub fn displayed_order(a: &Txid, b: &Txid) -> Ordering {
    a.to_byte_array()
        .iter()
        .rev()
        .cmp(b.to_byte_array().iter().rev())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::Amount;

    const HASHES: [(&str, i64); 6] = [
        (
            "a6c9c361bd0bc536d6a22648efbf8f9b200e425ef6c3a7a9669dc444c532a347",
            2472,
        ),
        (
            "9c42f84b2fcdaff676ba25d9d4941741cc0d1a01cce0c23fdc4c0b2afa38431c",
            2473,
        ),
        (
            "770f2d4371b3fabb902dd9a103e2dd005fcd3971181078fca4a2a1d6ff127b30",
            2473,
        ),
        (
            "80b19848aed792565ab7c5a79b7c2a00fbf985741579396ebe0ab6098e607311",
            0,
        ),
        (
            "e02a1dadfa83b996b24175df807b271ea5d02937ef5b35c195fac1e1bdc3198f",
            0,
        ),
        (
            "bb4c8ab438c13b89ca80d1d5bee25b0b6b7f55673f4d801998ba97db161d9e85",
            -1,
        ),
    ];

    fn example() -> Vec<HistoryEntry> {
        let entry = |(txid, height): (&str, i64)| HistoryEntry {
            txid: txid.parse().unwrap(),
            confirmation: Confirmation::from_wire_height(height).unwrap(),
            fee: (height <= 0).then_some(Amount::from_sat(200)),
        };
        HASHES.map(entry).to_vec()
    }

    /// The example of "Status" in the protocol basics.
    #[test]
    fn specification_example() {
        let expected = "78e96c6562cafa71c115503b9411fdfdc595a45031e2ab76ff75162fe1b0590d";
        let status = status(&example()).unwrap();
        assert_eq!(status.to_string(), expected);
        assert_eq!(expected.parse(), Ok(status));
        assert_eq!(Status::from_byte_array(status.to_byte_array()), status);
    }

    #[test]
    fn no_history_has_no_status() {
        assert_eq!(status(&[]), None);
    }

    #[test]
    fn a_told_status_matches_in_two_orders() {
        let canonical = example();
        let told = status(&canonical);
        assert!(matches(&canonical, told));
        assert!(matches(&[], None));
        assert!(!matches(&[], told));
        assert!(!matches(&canonical, None));
        assert!(!matches(&canonical[..5], told));
        // A server with an order of its own, for both or for the history alone.
        let mut own = canonical.clone();
        own.swap(3, 5);
        assert!(matches(&own, status(&own)));
        assert!(matches(&own, told));
        // The order within a block is never another.
        own.swap(1, 2);
        assert!(!matches(&own, told));
    }

    /// Sorting any arrangement of the mempool part yields the order of the example.
    #[test]
    fn mempool_order_is_that_of_the_example() {
        let expected = example();
        for [a, b, c] in [
            [3, 4, 5],
            [3, 5, 4],
            [4, 3, 5],
            [4, 5, 3],
            [5, 3, 4],
            [5, 4, 3],
        ] {
            let mut history = expected.clone();
            history[3..].copy_from_slice(&[expected[a], expected[b], expected[c]]);
            history.sort_by(mempool_order);
            assert_eq!(history, expected);
        }
    }

    /// The order of `Txid` itself is another: the last byte as displayed decides.
    #[test]
    fn order_is_as_displayed() {
        let hash = |first: &str, last: &str| format!("{first}{}{last}", "0".repeat(60));
        let low: Txid = hash("01", "ff").parse().unwrap();
        let high: Txid = hash("02", "00").parse().unwrap();
        assert_eq!(displayed_order(&low, &high), Ordering::Less);
        assert_eq!(low.cmp(&high), Ordering::Greater);
        assert!(low.to_string() < high.to_string());
        let entry = |txid, unconfirmed_parents| HistoryEntry {
            txid,
            confirmation: Confirmation::Mempool {
                unconfirmed_parents,
            },
            fee: None,
        };
        assert_eq!(
            mempool_order(&entry(low, false), &entry(high, false)),
            Ordering::Less
        );
        assert_eq!(
            mempool_order(&entry(low, true), &entry(high, false)),
            Ordering::Greater
        );
    }

    #[test]
    fn heights_of_the_wire() {
        for height in [-1, 0, 1, 2472, i64::from(u32::MAX)] {
            let confirmation = Confirmation::from_wire_height(height).unwrap();
            assert_eq!(confirmation.wire_height(), height);
        }
        for height in [i64::MIN, -2, 1 << 32, i64::MAX] {
            assert_eq!(Confirmation::from_wire_height(height), None);
        }
    }
}
