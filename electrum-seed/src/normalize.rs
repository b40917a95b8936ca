//! Electrum's normalization of phrases and of the words that extend them.

use alloc::string::String;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;
use zeroize::Zeroizing;

/// Brings a phrase, or the passphrase that extends it, into the form that Electrum hashes.
///
/// In this order: compatibility decomposition (NFKD), lower case, removal of combining marks (canonical combining class not
/// 0), white space collapsed to single spaces and trimmed, and removal of the spaces between two CJK characters. Equal to
/// `normalize_text` of Electrum 2.0 to 4.8; idempotent.
///
/// The text may be a secret, so the result is cleared when it is dropped.
///
/// ```
/// assert_eq!(*electrum_seed::normalize("  Él  Niño "), "el nino");
/// assert_eq!(*electrum_seed::normalize("なのか　ひろい"), "なのかひろい");
/// ```
pub fn normalize(text: &str) -> Zeroizing<String> {
    if text.is_ascii() {
        normalize_ascii(text)
    } else {
        normalize_unicode(text)
    }
}

/// The same for ASCII, where only white space and capitals matter.
fn normalize_ascii(text: &str) -> Zeroizing<String> {
    let mut normalized = Zeroizing::new(String::with_capacity(text.len()));
    let mut space = false;
    for byte in text.bytes() {
        if matches!(byte, b' ' | b'\t'..=b'\r' | 0x1c..=0x1f) {
            space = !normalized.is_empty();
            continue;
        }
        if space {
            normalized.push(' ');
            space = false;
        }
        normalized.push(char::from(byte.to_ascii_lowercase()));
    }
    normalized
}

fn normalize_unicode(text: &str) -> Zeroizing<String> {
    // Room for all that can come out: a buffer that grows leaves copies behind.
    let decomposed = decompose(text);
    // The lower case of a text, not of each character: a final sigma differs.
    let lower = Zeroizing::new(decomposed.to_lowercase());
    let plain = collect(lower.chars().filter(|c| canonical_combining_class(*c) == 0));
    let mut normalized = Zeroizing::new(String::with_capacity(plain.len()));
    let mut last: Option<char> = None;
    for word in plain.split(is_whitespace).filter(|word| !word.is_empty()) {
        if let Some(before) = last {
            let glued = is_cjk(before) && word.chars().next().is_some_and(is_cjk);
            if !glued {
                normalized.push(' ');
            }
        }
        normalized.push_str(word);
        last = word.chars().next_back();
    }
    normalized
}

/// NFKD.
pub(crate) fn decompose(text: &str) -> Zeroizing<String> {
    collect(text.nfkd())
}

/// Collects into a buffer of the exact size.
fn collect(chars: impl Iterator<Item = char> + Clone) -> Zeroizing<String> {
    let size = chars.clone().map(char::len_utf8).sum();
    let mut text = Zeroizing::new(String::with_capacity(size));
    text.extend(chars);
    text
}

/// The words of a phrase as it was typed, before normalization, as Electrum counts them.
///
/// Normalization glues Chinese and Japanese words together; the rules about numbers of words (two-factor seeds) mean these.
pub fn split_words(phrase: &str) -> impl DoubleEndedIterator<Item = &str> + Clone {
    phrase.split(is_whitespace).filter(|word| !word.is_empty())
}

/// Whether Electrum takes a character as white space: that is Unicode's, and U+001C to U+001F.
pub fn is_whitespace(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Whether a character is in one of the blocks between which Electrum removes spaces.
///
/// The 29 intervals are Electrum's; characters that came later (CJK Extension E, U+2B820, and so on) are not in them.
pub fn is_cjk(c: char) -> bool {
    c >= '\u{1100}'
        && CJK
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&u32::from(c)))
}

/// First and last code point of every interval.
const CJK: [(u32, u32); 29] = [
    (0x4e00, 0x9fff),
    (0x3400, 0x4dbf),
    (0x20000, 0x2a6df),
    (0x2a700, 0x2b73f),
    (0x2b740, 0x2b81f),
    (0xf900, 0xfaff),
    (0x2f800, 0x2fa1d),
    (0x3190, 0x319f),
    (0x2e80, 0x2eff),
    (0x2f00, 0x2fdf),
    (0x31c0, 0x31ef),
    (0x2ff0, 0x2fff),
    (0xe0100, 0xe01ef),
    (0x3100, 0x312f),
    (0x31a0, 0x31bf),
    (0xff00, 0xffef),
    (0x3040, 0x309f),
    (0x30a0, 0x30ff),
    (0x31f0, 0x31ff),
    (0x1b000, 0x1b0ff),
    (0xac00, 0xd7af),
    (0x1100, 0x11ff),
    (0xa960, 0xa97f),
    (0xd7b0, 0xd7ff),
    (0x3130, 0x318f),
    (0xa4d0, 0xa4ff),
    (0x16f00, 0x16f9f),
    (0xa000, 0xa48f),
    (0xa490, 0xa4cf),
];
