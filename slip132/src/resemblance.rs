//! What unknown version bytes look like.

use core::fmt;

use crate::registry::{Row, readings};

/// What version bytes look like that are not those of the network asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resemblance {
    /// The version of another network of the registry; the first row where several share it.
    Registered {
        /// The row.
        row: &'static Row,
        /// Whether it is the version of private keys.
        private: bool,
    },
    /// Electrum 2.8 to 2.9 wrote segwit keys on testnet as the version of tpub or tprv and one.
    Electrum28 {
        /// Whether it is the version of private keys.
        private: bool,
    },
    /// Electrum 3.1.0 to 3.1.2 wrote Upub with two bytes exchanged.
    Electrum31,
    /// Nothing known.
    Nothing,
}

impl Resemblance {
    /// What a version looks like: the first four bytes of a key as a big-endian number.
    #[must_use]
    pub fn of(version: u32) -> Self {
        match version {
            0x0435_87d0 | 0x0488_b21f => Self::Electrum28 { private: false },
            0x0435_8395 | 0x0488_ade5 => Self::Electrum28 { private: true },
            0x0242_85ef => Self::Electrum31,
            _ => readings(version)
                .next()
                .map_or(Self::Nothing, |(row, private)| Self::Registered {
                    row,
                    private,
                }),
        }
    }
}

impl fmt::Display for Resemblance {
    /// A clause that follows the version, or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = |private| if private { "private" } else { "public" };
        match self {
            Self::Registered { row, private } => write!(
                f,
                "; they are those of a {} key of {} ({})",
                noun(*private),
                row.network,
                row.script
            ),
            Self::Electrum28 { private } => write!(
                f,
                "; Electrum 2.8 and 2.9 wrote them for a {} segwit key",
                noun(*private)
            ),
            Self::Electrum31 => {
                f.write_str("; Electrum 3.1.0 to 3.1.2 wrote them for Upub (p2wsh-p2sh on testnet)")
            }
            Self::Nothing => Ok(()),
        }
    }
}
