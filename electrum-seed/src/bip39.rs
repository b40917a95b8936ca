//! Whether a phrase is one of BIP39, in the lists that both systems have.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::normalize::{decompose, split_words};
use crate::wordlist::{Language, WordList};

/// What BIP39 says of a phrase, with one list of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bip39 {
    /// A word is not in the list.
    UnknownWord {
        /// Which word, counted from 1.
        place: usize,
    },
    /// All words are in the list; BIP39 phrases have 12, 15, 18, 21 or 24 words.
    WordCount {
        /// How many there are.
        words: usize,
    },
    /// All words are in the list; the checksum does not match.
    Checksum,
    /// A phrase of BIP39.
    Valid,
}

impl Bip39 {
    /// Checks a phrase as Electrum does: words are decomposed (NFKD) and otherwise compared as they are, capitals included.
    ///
    /// An empty phrase has a wrong number of words.
    pub fn check(phrase: &str, language: Language) -> Self {
        let list = language.words();
        let mut indexes = Zeroizing::new(Vec::with_capacity(phrase.len() / 2 + 1));
        for (word, place) in split_words(phrase).zip(1..) {
            let index = if word.is_ascii() {
                list.index(word)
            } else {
                list.index(&decompose(word))
            };
            match index {
                Some(index) => indexes.push(index as u16),
                None => return Self::UnknownWord { place },
            }
        }
        Self::check_indexes(&indexes, list)
    }

    /// Checks digits of the list's base, the most significant first.
    ///
    /// Takes lists of another length than 2048 as Electrum does: the number in the list's base, in as many bits as BIP39 means.
    pub(crate) fn check_indexes(indexes: &[u16], list: &WordList) -> Self {
        let words = indexes.len();
        if !matches!(words, 12 | 15 | 18 | 21 | 24) {
            return Self::WordCount { words };
        }
        let checksum_bits = words / 3;
        let entropy_bytes = checksum_bits * 4;
        // Big-endian, with room for the whole number: at most 33 bytes.
        let mut number = Zeroizing::new([0u8; 33]);
        for index in indexes {
            let mut carry = u32::from(*index);
            for byte in number.iter_mut().rev() {
                carry += u32::from(*byte) * list.len() as u32;
                *byte = carry as u8;
                carry >>= 8;
            }
        }
        let last = u32::from(number.last().copied().unwrap_or(0));
        let checksum = last & ((1 << checksum_bits) - 1);
        // Shift the checksum out.
        let mut high = 0;
        for byte in number.iter_mut() {
            let both = high << 8 | u32::from(*byte);
            high = u32::from(*byte);
            *byte = (both >> checksum_bits) as u8;
        }
        let entropy = number.get(33 - entropy_bytes..).unwrap_or_default();
        let mut hash = Sha256::digest(entropy);
        let expected = u32::from(hash.first().copied().unwrap_or(0)) >> (8 - checksum_bits);
        hash.as_mut_slice().zeroize();
        if checksum == expected {
            Self::Valid
        } else {
            Self::Checksum
        }
    }
}

/// The languages in which a phrase is one of BIP39; phrases may be valid in more than one list.
pub fn bip39_languages(phrase: &str) -> Vec<Language> {
    Language::ALL
        .iter()
        .copied()
        .filter(|language| language.is_bip39() && Bip39::check(phrase, *language) == Bip39::Valid)
        .collect()
}
