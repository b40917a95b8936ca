//! From a phrase to the bytes from which BIP32 keys are made.

use alloc::string::String;
use alloc::vec::Vec;

use sha2::Sha512;
use zeroize::Zeroizing;

use crate::normalize::{decompose, normalize, split_words};
use crate::seed::Seed;
use crate::version::SeedType;

/// Rounds of PBKDF2.
const ROUNDS: u32 = 2048;

/// Stretches a phrase, whether it is a seed or not: PBKDF2-HMAC-SHA512 of the normalized phrase, salted with "electrum" and
/// the normalized passphrase, 2048 rounds, 64 bytes.
///
/// Electrum normalizes the passphrase like the phrase, so neither capitals nor accents nor the number of spaces matter.
///
/// ```
/// let seed = electrum_seed::bip32_seed("foobar", "none");
/// assert_eq!(seed[..4], [0x74, 0x1b, 0x72, 0xfd]);
/// ```
pub fn bip32_seed(phrase: &str, passphrase: &str) -> Zeroizing<[u8; 64]> {
    of_normalized(&normalize(phrase), passphrase)
}

pub(crate) fn of_normalized(normalized: &str, passphrase: &str) -> Zeroizing<[u8; 64]> {
    stretch(normalized, "electrum", &normalize(passphrase))
}

/// Stretches a phrase as BIP39 does, whether it is valid or not: PBKDF2-HMAC-SHA512 of the words, salted with "mnemonic" and
/// the passphrase, 2048 rounds, 64 bytes. The same words open another wallet than as a seed of Electrum.
///
/// As in Electrum, white space between the words is collapsed, that of the passphrase is not (before 3.2.3 it was); then both
/// are decomposed (NFKD).
pub fn bip39_seed(phrase: &str, passphrase: &str) -> Zeroizing<[u8; 64]> {
    let mut words = Zeroizing::new(String::with_capacity(phrase.len()));
    for word in split_words(phrase) {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    stretch(&decompose(&words), "mnemonic", &decompose(passphrase))
}

fn stretch(password: &str, prefix: &str, passphrase: &str) -> Zeroizing<[u8; 64]> {
    let mut salt = Zeroizing::new(Vec::with_capacity(prefix.len() + passphrase.len()));
    salt.extend_from_slice(prefix.as_bytes());
    salt.extend_from_slice(passphrase.as_bytes());
    let mut seed = Zeroizing::new([0; 64]);
    pbkdf2::pbkdf2_hmac::<Sha512>(password.as_bytes(), &salt, ROUNDS, seed.as_mut());
    seed
}

impl Seed {
    /// Stretches the phrase: [`bip32_seed`].
    ///
    /// # Errors
    ///
    /// [`NoBip32Seed`] for old seeds, and for two-factor seeds of 20 words and more, which are stretched in two halves.
    pub fn bip32_seed(&self, passphrase: &str) -> Result<Zeroizing<[u8; 64]>, NoBip32Seed> {
        let kind = self.seed_type();
        if kind == SeedType::Old || (kind == SeedType::TwoFactor && self.num_words() != 12) {
            return Err(NoBip32Seed {
                seed_type: kind,
                num_words: self.num_words(),
            });
        }
        Ok(of_normalized(self.normalized(), passphrase))
    }
}

/// Not one BIP32 tree hangs on this seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no single BIP32 seed belongs to a seed of type {seed_type} with {num_words} words")]
pub struct NoBip32Seed {
    /// The type.
    pub seed_type: SeedType,
    /// How many words it has.
    pub num_words: usize,
}
