//! Where a key comes from, and whether it can.

use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::str::FromStr;

use crate::{DescriptorError, ExtendedKey, Kind, OriginError};

/// Where a key comes from: the master key's fingerprint and the steps from it (BIP 380).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// First four bytes of the HASH160 of the master public key.
    pub fingerprint: [u8; 4],
    /// The steps; hardened from 2^31 on.
    pub path: Vec<u32>,
}

impl Origin {
    /// Whether a key can come from here, as far as the key itself says: its depth is the number of steps,
    /// its child number the last of them, and the master key is itself or its parent where it is that near.
    ///
    /// # Errors
    ///
    /// [`OriginError`] names what contradicts.
    pub fn check(&self, key: &ExtendedKey) -> Result<(), OriginError> {
        let steps = self.path.len();
        if steps != usize::from(key.depth()) {
            let depth = key.depth();
            return Err(OriginError::Depth { depth, steps });
        }
        let last = self.path.last().copied().unwrap_or_default();
        if last != key.child_number() {
            return Err(OriginError::ChildNumber {
                key: key.child_number(),
                path: last,
            });
        }
        let expected = match key.depth() {
            0 => key.fingerprint(),
            1 => key.parent_fingerprint(),
            _ => return Ok(()),
        };
        if expected != self.fingerprint {
            return Err(OriginError::Fingerprint {
                expected,
                found: self.fingerprint,
            });
        }
        Ok(())
    }
}

impl Kind {
    /// What keys at a path are for by the standards of paths: BIP 44 and 45, 49, 84, and 48 with its
    /// script types 1 and 2. None where no standard says.
    #[must_use]
    pub fn from_path(path: &[u32]) -> Option<Self> {
        const SCRIPT_1: u32 = HARDENED + 1;
        const SCRIPT_2: u32 = HARDENED + 2;
        match (path.first()?.checked_sub(HARDENED)?, path.get(3)) {
            (44 | 45, _) => Some(Self::Standard),
            (49, _) => Some(Self::P2wpkhInP2sh),
            (84, _) => Some(Self::P2wpkh),
            (48, Some(&SCRIPT_1)) => Some(Self::P2wshInP2sh),
            (48, Some(&SCRIPT_2)) => Some(Self::P2wsh),
            _ => None,
        }
    }
}

const HARDENED: u32 = 1 << 31;

impl fmt::Display for Origin {
    /// `[d34db33f/84h/0h/0h]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        self.fingerprint
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        for step in &self.path {
            let mark = if step & HARDENED == 0 { "" } else { "h" };
            write!(f, "/{}{mark}", step & !HARDENED)?;
        }
        f.write_char(']')
    }
}

impl FromStr for Origin {
    type Err = DescriptorError;

    /// Reads `d34db33f/84h/0'/0`, with or without brackets.
    fn from_str(text: &str) -> Result<Self, DescriptorError> {
        let text = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
            .unwrap_or(text);
        let mut parts = text.split('/');
        let digits = parts.next().unwrap_or_default();
        if digits.len() != 8 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(DescriptorError::Origin);
        }
        let fingerprint = u32::from_str_radix(digits, 16).map_err(|_| DescriptorError::Origin)?;
        let path = parts
            .map(step)
            .collect::<Option<_>>()
            .ok_or(DescriptorError::Origin)?;
        Ok(Self {
            fingerprint: fingerprint.to_be_bytes(),
            path,
        })
    }
}

fn step(text: &str) -> Option<u32> {
    let number = text.strip_suffix(['h', 'H', '\'']);
    let digits = number.unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u32 = digits.parse().ok().filter(|value| *value < HARDENED)?;
    Some(if number.is_some() {
        value | HARDENED
    } else {
        value
    })
}
