//! The seed version system: a hash of the phrase says what it is for.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

use crate::normalize::normalize;

/// HMAC-SHA512, keyed "Seed version", of a normalized phrase; its leading hex digits are the version number.
///
/// The whole hash identifies the phrase, so it is a secret as much as the phrase is: it is cleared when it is dropped, it
/// compares in constant time, and `Debug` prints the version's digits only.
#[derive(Clone)]
pub struct VersionHash([u8; 64]);

impl VersionHash {
    /// Normalizes a phrase and hashes it.
    pub fn new(phrase: &str) -> Self {
        Self::of_normalized(&normalize(phrase))
    }

    pub(crate) fn of_normalized(normalized: &str) -> Self {
        Self::finish(keyed().chain_update(normalized))
    }

    pub(crate) fn finish(mac: Hmac<Sha512>) -> Self {
        Self(mac.finalize().into_bytes().into())
    }

    /// The 64 bytes, as the hash function gives them.
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }

    /// The version number, by the rule of Electrum's documentation: see [`VersionNumber`].
    ///
    /// `None` where the rule says nothing: the first digit is `a` to `f`.
    pub fn number(&self) -> Option<VersionNumber> {
        let digits = match self.digit(0) {
            first @ 0..=9 => first + 2,
            _ => return None,
        };
        let value = (0..digits).fold(0, |value, at| value << 4 | u64::from(self.digit(at)));
        Some(VersionNumber { value, digits })
    }

    /// What Electrum registered for the leading digits, whatever the number of words.
    pub fn registered(&self) -> Option<SeedType> {
        match self.number()? {
            VersionNumber::STANDARD => Some(SeedType::Standard),
            VersionNumber::SEGWIT => Some(SeedType::Segwit),
            VersionNumber::TWO_FACTOR => Some(SeedType::TwoFactor),
            VersionNumber::TWO_FACTOR_SEGWIT => Some(SeedType::TwoFactorSegwit),
            _ => None,
        }
    }

    /// A hex digit, counted from the left.
    fn digit(&self, at: u8) -> u8 {
        let byte = self.0.get(usize::from(at / 2)).copied().unwrap_or(0);
        if at.is_multiple_of(2) {
            byte >> 4
        } else {
            byte & 15
        }
    }
}

impl ConstantTimeEq for VersionHash {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for VersionHash {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for VersionHash {}

impl Drop for VersionHash {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for VersionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionHash")
            .field("number", &self.number())
            .finish_non_exhaustive()
    }
}

/// The hash function with its key.
pub(crate) fn keyed() -> Hmac<Sha512> {
    Hmac::new_from_slice(b"Seed version").expect("HMAC takes keys of any length")
}

/// The leading hex digits of a [`VersionHash`].
///
/// The first digit tells how many belong to the number: 0 means two digits, 1 means three, and so on to 9 and eleven; a first
/// digit of `a` to `f` is not defined (Electrum's documentation, "Seed version system"). Displayed with all its digits.
///
/// ```
/// use electrum_seed::{VersionNumber, version_number};
///
/// let number = version_number("wild father tree among universe such mobile favorite target dynamic credit identify");
/// assert_eq!(number, Some(VersionNumber::SEGWIT));
/// assert_eq!(number.unwrap().to_string(), "100");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionNumber {
    value: u64,
    digits: u8,
}

impl VersionNumber {
    /// `01`
    pub const STANDARD: Self = Self::new(0x01, 2);
    /// `100`
    pub const SEGWIT: Self = Self::new(0x100, 3);
    /// `101`
    pub const TWO_FACTOR: Self = Self::new(0x101, 3);
    /// `102`
    pub const TWO_FACTOR_SEGWIT: Self = Self::new(0x102, 3);

    const fn new(value: u64, digits: u8) -> Self {
        Self { value, digits }
    }

    /// The number, without its leading zero.
    pub fn value(self) -> u64 {
        self.value
    }

    /// How many hex digits it has: 2 to 11.
    pub fn digits(self) -> u8 {
        self.digits
    }
}

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:0width$x}",
            self.value,
            width = usize::from(self.digits)
        )
    }
}

/// The version number of a phrase: [`VersionHash::number`].
pub fn version_number(phrase: &str) -> Option<VersionNumber> {
    VersionHash::new(phrase).number()
}

/// What a seed is for, as Electrum tells seeds apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SeedType {
    /// Before Electrum 2.0: 12 or 24 words of a list of 1626, or 32 or 64 hex digits. P2PKH with uncompressed keys, not BIP32.
    Old,
    /// `01`, since 2.0: P2PKH, or P2SH in a multisig wallet.
    Standard,
    /// `100`, since 3.0: P2WPKH, or P2WSH in a multisig wallet.
    Segwit,
    /// `101`, since 2.0: two of the three keys of a TrustedCoin wallet, P2SH.
    TwoFactor,
    /// `102`, since 3.3: two of the three keys of a TrustedCoin wallet, P2WSH.
    TwoFactorSegwit,
}

impl SeedType {
    /// Every type, in the order in which Electrum tries them.
    pub const ALL: [Self; 5] = [
        Self::Old,
        Self::Standard,
        Self::Segwit,
        Self::TwoFactor,
        Self::TwoFactorSegwit,
    ];

    /// Electrum's name: `old`, `standard`, `segwit`, `2fa` or `2fa_segwit`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::Standard => "standard",
            Self::Segwit => "segwit",
            Self::TwoFactor => "2fa",
            Self::TwoFactorSegwit => "2fa_segwit",
        }
    }

    /// The version number that marks the type; old seeds have none.
    pub fn number(self) -> Option<VersionNumber> {
        match self {
            Self::Old => None,
            Self::Standard => Some(VersionNumber::STANDARD),
            Self::Segwit => Some(VersionNumber::SEGWIT),
            Self::TwoFactor => Some(VersionNumber::TWO_FACTOR),
            Self::TwoFactorSegwit => Some(VersionNumber::TWO_FACTOR_SEGWIT),
        }
    }

    /// How many phrases must be hashed, on average, until one is of this type: 256, or 4096. `None` for old seeds, which no
    /// hash marks.
    pub fn expected_tries(self) -> Option<u32> {
        self.number().map(|number| 1 << (4 * number.digits()))
    }

    /// Whether a two-factor seed may have this number of words; other types may have any.
    ///
    /// Only 12, and 20 or more: the derivation changed in Electrum 2.7, and the number of words is what tells the two apart.
    /// Electrum checks it since 4.0.8.
    pub fn allows_words(self, num_words: usize) -> bool {
        self != Self::TwoFactor || num_words == 12 || num_words >= 20
    }
}

impl fmt::Display for SeedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SeedType {
    type Err = UnknownSeedType;

    fn from_str(name: &str) -> Result<Self, UnknownSeedType> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| UnknownSeedType(name.into()))
    }
}

/// No type of seed has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown type of seed `{0}`; expected old, standard, segwit, 2fa or 2fa_segwit")]
pub struct UnknownSeedType(pub String);

/// Two phrases compared in constant time, as Electrum compares them when it asks to repeat one: white space is collapsed,
/// nothing else is changed.
///
/// ```
/// assert!(electrum_seed::same_words("wild  father", " wild father\n"));
/// assert!(!electrum_seed::same_words("wild father", "Wild father"));
/// ```
pub fn same_words(one: &str, other: &str) -> bool {
    let joined = |phrase: &str| {
        let mut joined = Zeroizing::new(String::with_capacity(phrase.len() + 1));
        for word in crate::normalize::split_words(phrase) {
            joined.push_str(word);
            joined.push(' ');
        }
        joined
    };
    joined(one)
        .as_bytes()
        .ct_eq(joined(other).as_bytes())
        .into()
}
