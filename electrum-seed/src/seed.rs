//! A phrase with its type.

use alloc::string::String;
use alloc::vec::Vec;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::bip39::bip39_languages;
use crate::normalize::{normalize, split_words};
use crate::old::{OldSeed, is_old_seed_normalized};
use crate::version::{SeedType, VersionHash, VersionNumber};
use crate::wordlist::Language;

/// A seed phrase of a known type.
///
/// Cleared when it is dropped; has neither `Display` nor a `Debug` that prints it; compares in constant time.
pub struct Seed {
    /// As typed: the words of long two-factor seeds are split before they are normalized.
    phrase: Zeroizing<String>,
    normalized: Zeroizing<String>,
    kind: SeedType,
    num_words: usize,
}

impl Seed {
    /// Recognizes a phrase, or the hex digits of an old seed, in Electrum's order: old, standard, segwit, two-factor,
    /// two-factor segwit.
    ///
    /// There is no list of words and no rule on their number but that for two-factor seeds: any text whose hash begins with a
    /// registered number is a seed.
    ///
    /// # Errors
    ///
    /// [`NotASeed`], which says why.
    pub fn parse(phrase: &str) -> Result<Self, NotASeed> {
        let normalized = normalize(phrase);
        let kind = classify(&normalized, phrase)?;
        Ok(Self {
            phrase: Zeroizing::new(phrase.into()),
            normalized,
            kind,
            num_words: split_words(phrase).count(),
        })
    }

    /// Its type.
    pub fn seed_type(&self) -> SeedType {
        self.kind
    }

    /// How many words were typed, before normalization.
    pub fn num_words(&self) -> usize {
        self.num_words
    }

    /// The phrase as it was typed.
    pub fn phrase(&self) -> &str {
        &self.phrase
    }

    /// The phrase as it is hashed.
    pub fn normalized(&self) -> &str {
        &self.normalized
    }

    /// Whether Electrum lets a passphrase (its "seed extension") be added: not to old seeds, and not to two-factor seeds of
    /// other than 12 words.
    pub fn can_have_passphrase(&self) -> bool {
        match self.kind {
            SeedType::Old => false,
            SeedType::TwoFactor => self.num_words == 12,
            _ => true,
        }
    }

    /// The old seed that this is.
    ///
    /// `None` for the other types, and for hex digits with spaces between them, which Electrum recognizes and cannot open.
    pub fn to_old(&self) -> Option<OldSeed> {
        match self.kind {
            SeedType::Old => OldSeed::parse(&self.normalized).ok(),
            _ => None,
        }
    }
}

impl PartialEq for Seed {
    /// Whether both open the same wallets.
    fn eq(&self, other: &Self) -> bool {
        let same: bool = self
            .normalized
            .as_bytes()
            .ct_eq(other.normalized.as_bytes())
            .into();
        same && self.kind == other.kind
    }
}

impl Eq for Seed {}

impl core::fmt::Debug for Seed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Seed")
            .field("seed_type", &self.kind)
            .field("num_words", &self.num_words)
            .finish_non_exhaustive()
    }
}

/// Why a phrase is no Electrum seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotASeed {
    /// There are no words.
    #[error("the phrase is empty")]
    Empty,
    /// The version number is that of two-factor seeds, the number of words is not.
    #[error("two-factor seeds have 12 words, or 20 and more; the phrase has {words}")]
    TwoFactorWords {
        /// How many words there are.
        words: usize,
    },
    /// The version number is not registered.
    #[error("not an Electrum seed: {}", describe(*.number))]
    Version {
        /// The number; `None` where the hash begins with `a` to `f`.
        number: Option<VersionNumber>,
    },
}

fn describe(number: Option<VersionNumber>) -> String {
    match number {
        Some(number) => {
            alloc::format!("its version number {number} is none of 01, 100, 101 and 102")
        }
        None => "its hash begins with no version number".into(),
    }
}

/// Electrum's type of a phrase, or of the hex digits of an old seed. `None` where it is no seed; [`Seed::parse`] says why.
///
/// ```
/// use electrum_seed::{SeedType, seed_type};
///
/// assert_eq!(seed_type("x8"), Some(SeedType::Standard));
/// assert_eq!(seed_type("x9"), None);
/// ```
pub fn seed_type(phrase: &str) -> Option<SeedType> {
    classify(&normalize(phrase), phrase).ok()
}

fn classify(normalized: &str, phrase: &str) -> Result<SeedType, NotASeed> {
    if normalized.is_empty() {
        return Err(NotASeed::Empty);
    }
    if is_old_seed_normalized(normalized) {
        return Ok(SeedType::Old);
    }
    let hash = VersionHash::of_normalized(normalized);
    let Some(kind) = hash.registered() else {
        return Err(NotASeed::Version {
            number: hash.number(),
        });
    };
    // Counted late: few phrases come this far.
    let words = match kind {
        SeedType::TwoFactor => split_words(phrase).count(),
        _ => return Ok(kind),
    };
    if kind.allows_words(words) {
        Ok(kind)
    } else {
        Err(NotASeed::TwoFactorWords { words })
    }
}

/// Everything that can be said of a phrase without its keys. None of it is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Electrum's type, or why there is none.
    pub seed_type: Result<SeedType, NotASeed>,
    /// The version number, whatever the type: old seeds have one by accident.
    pub number: Option<VersionNumber>,
    /// How many words there are, before normalization.
    pub num_words: usize,
    /// The lists with which the phrase is a valid one of BIP39.
    pub bip39: Vec<Language>,
    /// Whether Electrum lets a passphrase be added.
    pub can_have_passphrase: bool,
}

impl Inspection {
    /// Whether the phrase is a seed of Electrum and a phrase of BIP39 at once: its words cannot tell which wallet it opens.
    pub fn is_ambiguous(&self) -> bool {
        self.seed_type.is_ok() && !self.bip39.is_empty()
    }

    /// Whether the phrase is valid in neither system.
    pub fn is_nothing(&self) -> bool {
        self.seed_type.is_err() && self.bip39.is_empty()
    }
}

/// Looks at a phrase with both systems and reports what holds.
///
/// ```
/// use electrum_seed::{SeedType, inspect};
///
/// let both = inspect("marble duck village valley elite convince slogan all bulk window deer crash");
/// assert_eq!(both.seed_type, Ok(SeedType::Standard));
/// assert!(both.is_ambiguous());
/// ```
pub fn inspect(phrase: &str) -> Inspection {
    let seed = Seed::parse(phrase);
    Inspection {
        number: VersionHash::new(phrase).number(),
        num_words: split_words(phrase).count(),
        bip39: bip39_languages(phrase),
        can_have_passphrase: seed.as_ref().is_ok_and(Seed::can_have_passphrase),
        seed_type: seed.map(|seed| seed.kind),
    }
}
