//! New phrases.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use hmac::Mac;
use zeroize::{Zeroize, Zeroizing};

use crate::bip39::Bip39;
use crate::normalize::{is_cjk, normalize, split_words};
use crate::old::is_old_seed_normalized;
use crate::seed::Seed;
use crate::version::{SeedType, VersionHash, keyed};
use crate::wordlist::{Language, WordList};

/// log2(1626).
const BITS_PER_WORD_1626: f64 = 10.667_111_542_075_027;
/// 2^(11 - log2(1626)) = 2048/1626, as a fraction of 2^52.
const THRESHOLD_1626: u64 = 0x14_270b_a692_bc6c;

/// What a new phrase shall be.
///
/// ```
/// # #[cfg(feature = "english")] {
/// use electrum_seed::{Generator, Language, SeedType};
///
/// let generator = Generator::new(Language::English, SeedType::Segwit);
/// // Take them from the operating system, for example with the crate getrandom.
/// let mut entropy = vec![0x5a; generator.entropy_len()];
/// let generated = generator.generate(&entropy)?;
/// assert_eq!(generated.seed.seed_type(), SeedType::Segwit);
/// assert_eq!(generated.seed.num_words(), 12);
/// # }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Generator {
    language: Language,
    kind: SeedType,
    words: u32,
}

/// A new phrase, and what it took.
#[derive(Debug)]
pub struct Generated {
    /// The phrase.
    pub seed: Seed,
    /// How many numbers were tried, this one included.
    pub tries: u64,
}

impl Generator {
    /// With 132 bits of entropy, Electrum's default since 2.7: 12 words, or 13 in Portuguese.
    pub fn new(language: Language, kind: SeedType) -> Self {
        Self {
            language,
            kind,
            words: words_for(language.words(), 132),
        }
    }

    /// With at least so many bits of entropy, rounded up to whole words.
    ///
    /// # Errors
    ///
    /// [`GenerateError::Bits`] outside of 1 to 1024. Fewer than 128 are not safe.
    pub fn bits(self, bits: u32) -> Result<Self, GenerateError> {
        if !(1..=1024).contains(&bits) {
            return Err(GenerateError::Bits { bits });
        }
        let words = words_for(self.language.words(), bits);
        Ok(Self { words, ..self })
    }

    /// How many bits of entropy go in: as many as the words hold.
    pub fn entropy_bits(&self) -> u32 {
        match self.language.words().len() {
            2048 => self.words * 11,
            _ => (f64::from(self.words) * BITS_PER_WORD_1626) as u32,
        }
    }

    /// How many bytes hold that.
    pub fn entropy_len(&self) -> usize {
        self.entropy_bits().div_ceil(8) as usize
    }

    /// Makes the phrase that Electrum makes of the same entropy.
    ///
    /// The entropy is a number, big-endian, of [`entropy_len`](Self::entropy_len) uniformly random bytes, of which the
    /// [`entropy_bits`](Self::entropy_bits) lowest bits count. Numbers from the next on are written with the words of the list
    /// (the least significant first) until a phrase has the version number of the type, is no old seed, and is not valid in
    /// BIP39 with the same list: 256 tries on average for standard seeds, 4096 for the others
    /// ([`SeedType::expected_tries`]), one HMAC-SHA512 computation each.
    ///
    /// # Errors
    ///
    /// - [`GenerateError::Length`] where the entropy has another length;
    /// - [`GenerateError::TooSmall`] where the number is too small to fill the phrase, once in about 2000 draws: draw again,
    ///   as Electrum does;
    /// - [`GenerateError::Old`] for old seeds, which are no longer made;
    /// - [`GenerateError::TwoFactorWords`] where two-factor seeds cannot have that many words.
    pub fn generate(&self, entropy: &[u8]) -> Result<Generated, GenerateError> {
        let number = self.kind.number().ok_or(GenerateError::Old)?;
        if entropy.len() != self.entropy_len() {
            return Err(GenerateError::Length {
                expected: self.entropy_len(),
                found: entropy.len(),
            });
        }
        let mut start = Zeroizing::new(entropy.to_vec());
        if let Some(first) = start.first_mut() {
            *first &= 0xff >> (self.entropy_len() as u32 * 8 - self.entropy_bits());
        }
        if !self.is_large_enough(&start) {
            return Err(GenerateError::TooSmall);
        }
        let mut candidate = Candidate::new(self.language.words(), &start);
        let mac = keyed();
        for tries in 1.. {
            candidate.increment();
            let words = candidate.digits.len();
            if !self.kind.allows_words(words) {
                return Err(match self.kind.allows_words(self.words as usize) {
                    true if words < self.words as usize => GenerateError::TooSmall,
                    _ => GenerateError::TwoFactorWords { words },
                });
            }
            let normalized = candidate.normalized();
            let hash = VersionHash::finish(mac.clone().chain_update(normalized.as_str()));
            if hash.number() != Some(number)
                || is_old_seed_normalized(&normalized)
                || candidate.is_bip39()
            {
                continue;
            }
            if let Ok(seed) = Seed::parse(&candidate.phrase())
                && seed.seed_type() == self.kind
            {
                return Ok(Generated { seed, tries });
            }
        }
        unreachable!("the numbers do not end")
    }

    /// Makes a phrase, drawing entropy as often as needed.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate), except for its `TooSmall`; and what `fill` fails with.
    pub fn generate_with<E: From<GenerateError>>(
        &self,
        mut fill: impl FnMut(&mut [u8]) -> Result<(), E>,
    ) -> Result<Generated, E> {
        let mut entropy = Zeroizing::new(vec![0; self.entropy_len()]);
        loop {
            fill(&mut entropy)?;
            match self.generate(&entropy) {
                Err(GenerateError::TooSmall) => {}
                other => return other.map_err(E::from),
            }
        }
    }

    /// Whether a number fills the words: not below two to the power of the bits without those of one word.
    fn is_large_enough(&self, number: &[u8]) -> bool {
        let bits = self.entropy_bits();
        let threshold = match self.language.words().len() {
            2048 => power_of_two(1 << 52, bits - 11, number.len()),
            _ => power_of_two(THRESHOLD_1626, bits.saturating_sub(11), number.len()),
        };
        // Both are big-endian and of one length.
        number >= threshold.as_slice()
    }
}

/// `mantissa * 2^(exponent - 52)`, rounded up, big-endian.
fn power_of_two(mantissa: u64, exponent: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for bit in 0..53 {
        if mantissa >> bit & 1 == 0 {
            continue;
        }
        let Some(place) = (exponent + bit).checked_sub(52) else {
            continue;
        };
        if let Some(byte) = bytes.iter_mut().rev().nth(place as usize / 8) {
            *byte |= 1 << (place % 8);
        }
    }
    bytes
}

fn words_for(list: &WordList, bits: u32) -> u32 {
    if list.len() == 2048 {
        return bits.div_ceil(11);
    }
    let words = f64::from(bits) / BITS_PER_WORD_1626;
    let whole = words as u32;
    if f64::from(whole) < words {
        whole + 1
    } else {
        whole
    }
}

/// Why no phrase is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// Old seeds are no longer made.
    #[error("old seeds are no longer made; choose another type")]
    Old,
    /// The number of bits is out of range.
    #[error("{bits} bits of entropy are out of range; expected 1 to 1024, for safety 128 or more")]
    Bits {
        /// How many were asked for.
        bits: u32,
    },
    /// The entropy has another length than asked for.
    #[error("expected {expected} bytes of entropy, found {found}")]
    Length {
        /// [`Generator::entropy_len`].
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The number would not fill the phrase.
    #[error("the entropy is too small a number to fill the phrase; draw again")]
    TooSmall,
    /// Two-factor seeds have 12 words, or 20 and more.
    #[error(
        "two-factor seeds have 12 words, or 20 and more; with this language and entropy there are {words}"
    )]
    TwoFactorWords {
        /// How many words the phrase has.
        words: usize,
    },
}

/// A number in the base of a list, the least significant digit first.
struct Candidate {
    list: &'static WordList,
    digits: Zeroizing<Vec<u16>>,
    /// All words but the first, normalized: they hardly ever change.
    tail: Zeroizing<String>,
}

impl Candidate {
    fn new(list: &'static WordList, number: &[u8]) -> Self {
        let mut candidate = Self {
            list,
            digits: to_digits(list, number),
            tail: Zeroizing::default(),
        };
        candidate.update_tail();
        candidate
    }

    fn increment(&mut self) {
        let base = self.list.len() as u16;
        for (at, digit) in self.digits.iter_mut().enumerate() {
            *digit += 1;
            if *digit < base {
                if at > 0 {
                    self.update_tail();
                }
                return;
            }
            *digit = 0;
        }
        self.digits.push(1);
        self.update_tail();
    }

    fn update_tail(&mut self) {
        let tail = self.join(1);
        self.tail = normalize(&tail);
    }

    /// Words joined by spaces, from a place on.
    fn join(&self, from: usize) -> Zeroizing<String> {
        // No word has more than 30 bytes.
        let mut phrase = Zeroizing::new(String::with_capacity(self.digits.len() * 31));
        for word in self.words().skip(from) {
            if !phrase.is_empty() {
                phrase.push(' ');
            }
            phrase.push_str(word);
        }
        phrase
    }

    fn words(&self) -> impl Iterator<Item = &'static str> {
        self.digits
            .iter()
            .map(|digit| self.list.word(usize::from(*digit)).unwrap_or_default())
    }

    fn phrase(&self) -> Zeroizing<String> {
        self.join(0)
    }

    /// The phrase, normalized: the first word and the rest are normalized apart, which no rule but that on spaces sees.
    fn normalized(&self) -> Zeroizing<String> {
        let mut phrase = normalize(self.words().next().unwrap_or_default());
        let mut whole = Zeroizing::new(String::with_capacity(phrase.len() + 1 + self.tail.len()));
        whole.push_str(&phrase);
        let glued = phrase.chars().next_back().is_some_and(is_cjk)
            && self.tail.chars().next().is_some_and(is_cjk);
        if !glued && !self.tail.is_empty() {
            whole.push(' ');
        }
        whole.push_str(&self.tail);
        phrase.zeroize();
        whole
    }

    /// Whether BIP39 takes the words, in their order, for a phrase of its own.
    fn is_bip39(&self) -> bool {
        Bip39::check_indexes(&self.digits, self.list) == Bip39::Valid
    }
}

/// Long division, digit by digit.
fn to_digits(list: &WordList, number: &[u8]) -> Zeroizing<Vec<u16>> {
    let base = list.len() as u32;
    let mut rest = Zeroizing::new(number.to_vec());
    // A digit holds more than ten bits; one more for a carry.
    let mut digits = Zeroizing::new(Vec::with_capacity(number.len() * 8 / 10 + 2));
    while rest.iter().any(|byte| *byte != 0) {
        let mut remainder = 0;
        for byte in rest.iter_mut() {
            let value = remainder << 8 | u32::from(*byte);
            *byte = (value / base) as u8;
            remainder = value % base;
        }
        digits.push(remainder as u16);
    }
    digits
}

/// Writes a number, big-endian, with the words of a list, the least significant first; zero is the empty phrase.
pub fn encode_number(number: &[u8], language: Language) -> Zeroizing<String> {
    let list = language.words();
    let digits = to_digits(list, number);
    let candidate = Candidate {
        list,
        digits,
        tail: Zeroizing::default(),
    };
    candidate.phrase()
}

/// The number, big-endian without leading zeros, that the words of a phrase stand for.
///
/// `None` where a word is not in the list, written exactly so.
pub fn decode_number(phrase: &str, language: Language) -> Option<Zeroizing<Vec<u8>>> {
    let list = language.words();
    let mut number: Zeroizing<Vec<u8>> = Zeroizing::new(vec![0; phrase.len() * 11 / 8 + 2]);
    for word in split_words(phrase).rev() {
        let mut carry = list.index(word)? as u32;
        for byte in number.iter_mut().rev() {
            carry += u32::from(*byte) * list.len() as u32;
            *byte = carry as u8;
            carry >>= 8;
        }
    }
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    Some(Zeroizing::new(
        number.get(zeros..).unwrap_or_default().to_vec(),
    ))
}

#[cfg(all(test, feature = "all-languages"))]
mod tests {
    use super::*;

    /// What `int(pow(2, num_bits - math.log(1626, 2)))` is in Python, below which Electrum draws again, without so many
    /// bytes of zeros at its end.
    const LEAST_1626: [(u32, u128, usize); 3] = [
        (128, 0x0028_4e17_4d25_78d8_0000_0000_0000_0000, 0),
        (138, 0xa138_5d34_95e3_6000_0000_0000_0000_0000, 0),
        (266, 0xa138_5d34_95e3_6000_0000_0000_0000_0000, 16),
    ];

    fn big_endian(generator: &Generator, number: u128, zeros: usize) -> Vec<u8> {
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.resize(16 + zeros, 0);
        let mut whole = vec![0; generator.entropy_len() - bytes.len()];
        whole.extend(bytes);
        whole
    }

    #[test]
    fn numbers_that_electrum_draws_again_are_too_small() {
        for (bits, least, zeros) in LEAST_1626 {
            let generator = Generator::new(Language::Portuguese, SeedType::Standard)
                .bits(bits)
                .unwrap();
            assert_eq!(generator.entropy_bits(), bits);
            let number = big_endian(&generator, least, zeros);
            assert!(generator.generate(&number).is_ok(), "{bits}");
            let below = big_endian(&generator, least - 1, zeros);
            let error = generator.generate(&below).unwrap_err();
            assert_eq!(error, GenerateError::TooSmall, "{bits}");
        }
    }

    /// Between what is large enough and what fills all words there is a gap, for two-factor seeds no phrase lies there.
    #[test]
    fn a_two_factor_seed_that_is_a_word_short_is_drawn_again() {
        let generator = Generator::new(Language::Portuguese, SeedType::TwoFactor)
            .bits(128)
            .unwrap();
        let (_, least, zeros) = LEAST_1626[0];
        let number = big_endian(&generator, least, zeros);
        assert_eq!(to_digits(Language::Portuguese.words(), &number).len(), 11);
        let error = generator.generate(&number).unwrap_err();
        assert_eq!(error, GenerateError::TooSmall);
        // With 132 bits there are 13 words, which no drawing changes.
        let generator = Generator::new(Language::Portuguese, SeedType::TwoFactor);
        let error = generator
            .generate(&vec![0xff; generator.entropy_len()])
            .unwrap_err();
        assert_eq!(error, GenerateError::TwoFactorWords { words: 13 });
    }
}
