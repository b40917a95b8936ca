//! What a phrase that is none may have been meant to be.

use std::collections::HashMap;
use std::sync::LazyLock;

use electrum_seed::{Bip39, Language, OLD_WORDS, WordList, normalize, seed_type, split_words};
use zeroize::Zeroizing;

/// Words that are tried in place of a mistyped one.
const CANDIDATES: usize = 5;

/// A clause about the first word that no list has, or about their number.
///
/// Any text can be a seed of Electrum, so nothing is wrong with unknown words as such; this is for phrases that are no seed.
pub(super) fn suggest(phrase: &str) -> Option<String> {
    let words: Vec<&str> = split_words(phrase).collect();
    if words.is_empty() {
        return None;
    }
    // The list that knows most of the words; the first of several.
    let known = |list: &Searchable| words.iter().filter(|word| list.knows(word)).count();
    let (list, count) = LISTS
        .iter()
        .map(|list| (list, known(list)))
        .reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    if count * 2 < words.len() {
        return Some(
            "most of its words are in no list of Electrum's; is it a phrase at all?".into(),
        );
    }
    let mut unknown = words.iter().zip(1..).filter(|(word, _)| !list.knows(word));
    let Some((word, place)) = unknown.next() else {
        return Some(match words.len() {
            12 | 13 | 24 | 25 => {
                "all words are in the list; one may be another word of it, or their order may be wrong".into()
            }
            count => format!(
                "all words are in the list, but there are {count}: phrases have 12, older and Portuguese ones 13"
            ),
        });
    };
    let others = unknown.count();
    let close = list.closest(word);
    let fitting = close.iter().find(|candidate| {
        others == 0 && {
            let mut corrected: Vec<&str> = words.clone();
            if let Some(slot) = corrected.get_mut(place - 1) {
                *slot = candidate;
            }
            is_phrase(&Zeroizing::new(corrected.join(" ")))
        }
    });
    let mean = match (fitting, close.first()) {
        (Some(word), _) => format!("; did you mean '{word}'? With it, the phrase is valid"),
        (None, Some(word)) => format!("; did you mean '{word}'?"),
        (None, None) => String::new(),
    };
    Some(format!("word {place} '{word}' is not in the list{mean}"))
}

fn is_phrase(phrase: &str) -> bool {
    let bip39 = |language: &Language| {
        language.is_bip39() && Bip39::check(phrase, *language) == Bip39::Valid
    };
    seed_type(phrase).is_some() || Language::ALL.iter().any(bip39)
}

/// A list whose words are found without their accents.
struct Searchable {
    words: HashMap<String, &'static str>,
}

/// All lists, made searchable when the first phrase is in doubt.
static LISTS: LazyLock<Vec<Searchable>> = LazyLock::new(|| {
    let lists = Language::ALL.iter().map(|language| language.words());
    let searchable = |list: &'static WordList| Searchable {
        words: list
            .words()
            .iter()
            .map(|word| (normalize(word).to_string(), *word))
            .collect(),
    };
    lists.chain([&OLD_WORDS]).map(searchable).collect()
});

impl Searchable {
    /// Whether a word is in the list, accents and capitals aside.
    fn knows(&self, word: &str) -> bool {
        self.words.contains_key(normalize(word).as_str())
    }

    /// Words that differ little from this one, the closest first.
    fn closest(&self, word: &str) -> Vec<&'static str> {
        let word = normalize(word);
        // Two letters may be wrong in words that are long enough.
        let most = (word.chars().count() / 3).clamp(1, 2);
        let mut close: Vec<_> = self
            .words
            .iter()
            .map(|(known, original)| (strsim::damerau_levenshtein(known, &word), *original))
            .filter(|(distance, _)| *distance <= most)
            .collect();
        close.sort();
        close.truncate(CANDIDATES);
        close.into_iter().map(|(_, word)| word).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_word_is_named() {
        let check =
            |phrase: &str, expected: &str| assert_eq!(suggest(phrase).as_deref(), Some(expected));
        check(
            "wild father tree among universe such moblie favorite target dynamic credit identify",
            "word 7 'moblie' is not in the list; did you mean 'mobile'? With it, the phrase is valid",
        );
        check(
            "cell dumb heartbeat north boom tease ship baby bright kingdom rare badword",
            "word 12 'badword' is not in the list",
        );
        check(
            "abandon abandon abandon abandon abandon abandon abondon abandon abandon abandon abandon abandon",
            "word 7 'abondon' is not in the list; did you mean 'abandon'?",
        );
        check(
            "x9",
            "most of its words are in no list of Electrum's; is it a phrase at all?",
        );
        assert_eq!(suggest(" "), None);
    }
}
