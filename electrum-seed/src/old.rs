//! Seeds from before Electrum 2.0: words of a list of 1626, or their hex digits.

use alloc::string::String;
use core::fmt::Write as _;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::normalize::normalize;
use crate::wordlist::OLD_WORDS;

/// How often a hash is taken of an old seed until it is a key.
pub const STRETCH_ROUNDS: u32 = 100_000;

/// Words in the list.
const N: u64 = 1626;

/// A seed from before Electrum 2.0, as the hex digits from which its key is made.
///
/// Cleared when it is dropped; has no `Display`, and `Debug` prints none of it; compares in constant time.
pub struct OldSeed {
    digits: Zeroizing<String>,
}

impl OldSeed {
    /// Reads words or hex digits, normalized first, as far as Electrum itself would open a wallet from them: any number of
    /// words of the list, three for every eight digits (one or two words over are ignored), or any even number of hex digits.
    ///
    /// Whether Electrum would *recognize* them is another question: [`is_old_seed`].
    ///
    /// # Errors
    ///
    /// - [`OldSeedError::UnknownWord`] where a word is not in the list and the text is not hex;
    /// - [`OldSeedError::Empty`] where there are fewer than three words;
    /// - [`OldSeedError::SpacedHex`] where hex digits have spaces between them: Electrum recognizes such a seed when it has
    ///   16 or 32 bytes, and then fails to open it.
    pub fn parse(text: &str) -> Result<Self, OldSeedError> {
        let normalized = normalize(text);
        if let Some(length) = hex_length(&normalized)
            && length > 0
        {
            if normalized.contains(' ') {
                return Err(OldSeedError::SpacedHex);
            }
            return Ok(Self { digits: normalized });
        }
        let digits = decode(normalized.split(' ').filter(|word| !word.is_empty()))?;
        if digits.is_empty() {
            return Err(OldSeedError::Empty);
        }
        Ok(Self { digits })
    }

    /// Reads hex digits as Electrum up to 2.9 did: as they are typed, so that capitals open another wallet than small letters.
    ///
    /// # Errors
    ///
    /// [`OldSeedError::NotHex`] where the text is not an even number of hex digits, without spaces.
    pub fn from_hex_as_typed(hex: &str) -> Result<Self, OldSeedError> {
        match hex_length(hex) {
            Some(1..) if !hex.contains(' ') => Ok(Self {
                digits: Zeroizing::new(hex.into()),
            }),
            _ => Err(OldSeedError::NotHex),
        }
    }

    /// The hex digits.
    ///
    /// Eight for every three words, or nine where the words stand for more than 32 bits.
    pub fn to_hex(&self) -> &str {
        &self.digits
    }

    /// The words that stand for the digits.
    ///
    /// `None` where there are none: the number of digits is not a multiple of eight.
    pub fn to_words(&self) -> Option<Zeroizing<String>> {
        encode(&self.digits)
    }

    /// Whether every version of Electrum makes the same key of it.
    ///
    /// Words may stand for an odd number of digits (three words hold a little more than 32 bits). Electrum refuses those since
    /// 4.6.1 (July 2025); all before made a key of them.
    pub fn is_regular(&self) -> bool {
        self.digits.len().is_multiple_of(2)
    }

    /// The stretched seed: 32 bytes, big-endian, the private master key.
    ///
    /// 100,000 rounds of SHA-256, each over the hash so far and the digits in ASCII: tens of milliseconds.
    ///
    /// # Errors
    ///
    /// [`OldSeedError::OddDigits`] where [`is_regular`](Self::is_regular) says no.
    pub fn stretch(&self) -> Result<Zeroizing<[u8; 32]>, OldSeedError> {
        if !self.is_regular() {
            return Err(OldSeedError::OddDigits {
                digits: self.digits.len(),
            });
        }
        Ok(self.stretch_as_before_4_6_1())
    }

    /// The same, also for an odd number of digits: what all versions before 4.6.1 made of it.
    pub fn stretch_as_before_4_6_1(&self) -> Zeroizing<[u8; 32]> {
        let seed = self.digits.as_bytes();
        let mut hash = Sha256::new()
            .chain_update(seed)
            .chain_update(seed)
            .finalize();
        for _ in 1..STRETCH_ROUNDS {
            hash = Sha256::new()
                .chain_update(hash)
                .chain_update(seed)
                .finalize();
        }
        let mut stretched = Zeroizing::new([0; 32]);
        stretched.copy_from_slice(&hash);
        hash.as_mut_slice().zeroize();
        stretched
    }
}

impl PartialEq for OldSeed {
    fn eq(&self, other: &Self) -> bool {
        self.digits.as_bytes().ct_eq(other.digits.as_bytes()).into()
    }
}

impl Eq for OldSeed {}

impl core::fmt::Debug for OldSeed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OldSeed")
            .field("digits", &self.digits.len())
            .finish_non_exhaustive()
    }
}

/// Why a text gives no key as an old seed. Says nothing of the seed but places and numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OldSeedError {
    /// A word is not in the list; the place counts from 1.
    #[error("word {place} is not in the list of words of old seeds")]
    UnknownWord {
        /// Which word, counted from 1.
        place: usize,
    },
    /// Fewer than three words.
    #[error("an old seed has words, three for every eight hex digits")]
    Empty,
    /// Hex digits with spaces between the bytes.
    #[error("the hex digits of an old seed must be written without spaces")]
    SpacedHex,
    /// No even number of hex digits.
    #[error("not an even number of hex digits")]
    NotHex,
    /// An odd number of digits, of which Electrum 4.6.1 and later make no key.
    #[error(
        "the words stand for {digits} hex digits, an odd number: only Electrum before 4.6.1 opened such a seed"
    )]
    OddDigits {
        /// How many.
        digits: usize,
    },
}

/// Whether Electrum takes a text for a seed from before 2.0: 12 or 24 words that are all in the list, or 16 or 32 bytes in
/// hex, after normalization.
///
/// There is no checksum, and old seeds win over all other types; some BIP39 phrases are old seeds too.
pub fn is_old_seed(text: &str) -> bool {
    is_old_seed_normalized(&normalize(text))
}

pub(crate) fn is_old_seed_normalized(normalized: &str) -> bool {
    if matches!(hex_length(normalized), Some(16 | 32)) {
        return true;
    }
    // Words have single spaces between them.
    let spaces = normalized.bytes().filter(|byte| *byte == b' ').count();
    matches!(spaces, 11 | 23) && normalized.split(' ').all(|word| OLD_WORDS.contains(word))
}

/// How many bytes a text is in hex: spaces may stand between bytes. `None` where it is not hex.
fn hex_length(text: &str) -> Option<usize> {
    let mut length = 0;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b' ' {
            continue;
        }
        if !byte.is_ascii_hexdigit() || !bytes.next()?.is_ascii_hexdigit() {
            return None;
        }
        length += 1;
    }
    Some(length)
}

fn decode<'a>(
    words: impl Iterator<Item = &'a str> + Clone,
) -> Result<Zeroizing<String>, OldSeedError> {
    let count = words.clone().count();
    let mut digits = Zeroizing::new(String::with_capacity(count / 3 * 9));
    let mut indexes = words.zip(1..).map(|(word, place)| {
        OLD_WORDS
            .index(word)
            .map(|index| index as u64)
            .ok_or(OldSeedError::UnknownWord { place })
    });
    for _ in 0..count / 3 {
        let mut next = || indexes.next().unwrap_or(Err(OldSeedError::Empty));
        let (first, second, third) = (next()?, next()?, next()?);
        let value = first + N * ((second + N - first) % N) + N * N * ((third + N - second) % N);
        // Wider than eight digits where the value exceeds 32 bits; never cut.
        write!(digits, "{value:08x}").expect("writing to a string cannot fail");
    }
    Ok(digits)
}

fn encode(digits: &str) -> Option<Zeroizing<String>> {
    if digits.is_empty() || !digits.len().is_multiple_of(8) {
        return None;
    }
    // No word has more than 12 letters.
    let mut words = Zeroizing::new(String::with_capacity(digits.len() / 8 * 3 * 13));
    let mut rest = digits;
    while let Some((eight, tail)) = rest.split_at_checked(8) {
        let value = u64::from_str_radix(eight, 16).ok()?;
        let first = value % N;
        let second = (value / N + first) % N;
        let third = (value / N / N + second) % N;
        for index in [first, second, third] {
            if !words.is_empty() {
                words.push(' ');
            }
            words.push_str(OLD_WORDS.word(index as usize)?);
        }
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    Some(words)
}
