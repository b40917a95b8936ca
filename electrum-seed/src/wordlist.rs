//! The word lists.

use core::fmt;
use core::str::FromStr;

use alloc::string::String;

/// A list of words whose places are digits.
pub struct WordList {
    name: &'static str,
    words: &'static [&'static str],
    /// Open addressing over the hashes of the words: one more than the place, 0 where empty.
    table: &'static [u16; SLOTS],
}

const SLOTS: usize = 4096;

impl WordList {
    /// How many words there are: 2048 or 1626.
    #[expect(clippy::len_without_is_empty, reason = "no list is empty")]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// The words in their order, decomposed (NFKD), in lower case.
    pub fn words(&self) -> &'static [&'static str] {
        self.words
    }

    /// The word at a place.
    pub fn word(&self, index: usize) -> Option<&'static str> {
        self.words.get(index).copied()
    }

    /// The place of a word, which must be written exactly as in the list. Not in constant time.
    pub fn index(&self, word: &str) -> Option<usize> {
        let mut slot = hash(word.as_bytes());
        loop {
            let place = match self.table.get(slot).copied() {
                None | Some(0) => return None,
                Some(place) => usize::from(place) - 1,
            };
            if self.word(place) == Some(word) {
                return Some(place);
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// Whether a word is in the list, written exactly so.
    pub fn contains(&self, word: &str) -> bool {
        self.index(word).is_some()
    }
}

impl fmt::Debug for WordList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WordList({}, {} words)", self.name, self.len())
    }
}

/// The languages in which Electrum generates phrases; each list needs the feature of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Language {
    /// 2048 words, those of BIP39.
    #[cfg(feature = "english")]
    English,
    /// 2048 words, those of BIP39.
    #[cfg(feature = "spanish")]
    Spanish,
    /// 2048 words, those of BIP39.
    #[cfg(feature = "japanese")]
    Japanese,
    /// 1626 words, those of Monero, not of BIP39.
    #[cfg(feature = "portuguese")]
    Portuguese,
    /// 2048 characters, those of BIP39 (simplified).
    #[cfg(feature = "chinese")]
    Chinese,
}

impl Language {
    /// Every language whose feature is on.
    pub const ALL: &'static [Self] = &[
        #[cfg(feature = "english")]
        Self::English,
        #[cfg(feature = "spanish")]
        Self::Spanish,
        #[cfg(feature = "japanese")]
        Self::Japanese,
        #[cfg(feature = "portuguese")]
        Self::Portuguese,
        #[cfg(feature = "chinese")]
        Self::Chinese,
    ];

    /// Its words.
    pub fn words(self) -> &'static WordList {
        match self {
            #[cfg(feature = "english")]
            Self::English => &ENGLISH,
            #[cfg(feature = "spanish")]
            Self::Spanish => &SPANISH,
            #[cfg(feature = "japanese")]
            Self::Japanese => &JAPANESE,
            #[cfg(feature = "portuguese")]
            Self::Portuguese => &PORTUGUESE,
            #[cfg(feature = "chinese")]
            Self::Chinese => &CHINESE,
        }
    }

    /// The two letters of ISO 639-1: `en`, `es`, `ja`, `pt` or `zh`.
    pub fn code(self) -> &'static str {
        match self {
            #[cfg(feature = "english")]
            Self::English => "en",
            #[cfg(feature = "spanish")]
            Self::Spanish => "es",
            #[cfg(feature = "japanese")]
            Self::Japanese => "ja",
            #[cfg(feature = "portuguese")]
            Self::Portuguese => "pt",
            #[cfg(feature = "chinese")]
            Self::Chinese => "zh",
        }
    }

    /// Whether BIP39 has the same list, so that a phrase can be valid in both systems.
    pub fn is_bip39(self) -> bool {
        self.words().len() == 2048
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().name)
    }
}

impl FromStr for Language {
    type Err = UnknownLanguage;

    /// From a code (`es`, `es_ES`), or a name (`Spanish`, `spanish`).
    fn from_str(text: &str) -> Result<Self, UnknownLanguage> {
        let code = text.split(['_', '-']).next().unwrap_or(text);
        Self::ALL
            .iter()
            .copied()
            .find(|language| {
                language.words().name.eq_ignore_ascii_case(text)
                    || language.code().eq_ignore_ascii_case(code)
            })
            .ok_or_else(|| UnknownLanguage(text.into()))
    }
}

/// There is no list for this language, or its feature is off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no word list for the language `{0}`; expected one of en, es, ja, pt and zh")]
pub struct UnknownLanguage(pub String);

macro_rules! list {
    ($(#[$attribute:meta])* $vis:vis $name:ident, $display:literal, $file:literal, $count:literal) => {
        $(#[$attribute])*
        $vis static $name: WordList = {
            static WORDS: [&str; $count] = split(include_str!(concat!("wordlists/", $file, ".txt")));
            static TABLE: [u16; SLOTS] = table(&WORDS);
            WordList { name: $display, words: &WORDS, table: &TABLE }
        };
    };
}

list!(
    #[cfg(feature = "english")]
    ENGLISH,
    "English",
    "english",
    2048
);
list!(
    #[cfg(feature = "spanish")]
    SPANISH,
    "Spanish",
    "spanish",
    2048
);
list!(
    #[cfg(feature = "japanese")]
    JAPANESE,
    "Japanese",
    "japanese",
    2048
);
list!(
    #[cfg(feature = "portuguese")]
    PORTUGUESE,
    "Portuguese",
    "portuguese",
    1626
);
list!(
    #[cfg(feature = "chinese")]
    CHINESE,
    "Chinese",
    "chinese",
    2048
);
list!(
    /// The 1626 words of the seeds before Electrum 2.0, in their order.
    pub OLD_WORDS, "old", "old", 1626
);

/// The lines of a text, at compile time.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
#[allow(long_running_const_eval)]
const fn split<const N: usize>(text: &'static str) -> [&'static str; N] {
    let mut words = [""; N];
    let mut rest = text.as_bytes();
    let mut at = 0;
    while at < N {
        let mut end = 0;
        while rest[end] != b'\n' {
            end += 1;
        }
        let (word, tail) = rest.split_at(end);
        words[at] = match core::str::from_utf8(word) {
            Ok(word) => word,
            Err(_) => panic!("lines end between characters"),
        };
        rest = tail.split_at(1).1;
        at += 1;
    }
    assert!(rest.is_empty(), "the count is that of the file");
    words
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
#[allow(long_running_const_eval)]
const fn table(words: &[&str]) -> [u16; SLOTS] {
    let mut table = [0; SLOTS];
    let mut at = 0;
    while at < words.len() {
        let mut slot = hash(words[at].as_bytes());
        while table[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        at += 1;
        table[slot] = at as u16;
    }
    table
}

/// FNV-1a, folded to a slot.
#[expect(clippy::indexing_slicing, reason = "below the length")]
const fn hash(word: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < word.len() {
        hash = (hash ^ word[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ hash >> 15) as usize % SLOTS
}
