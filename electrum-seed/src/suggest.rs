//! Help with typing: words that begin as typed, and words that were perhaps meant.

use alloc::vec::Vec;

use unicode_normalization::char::canonical_combining_class;
use zeroize::Zeroizing;

use crate::normalize::normalize;
use crate::wordlist::WordList;

/// Longer than any word; what is longer is not compared.
const MOST_CHARS: usize = 32;

impl WordList {
    /// The words that begin with some letters, in the order of the list; all of them where there are none.
    ///
    /// Capitals and accents do not matter, as they do not when the phrase is hashed. Words are given as in the list.
    ///
    /// ```
    /// # #[cfg(feature = "spanish")] {
    /// let words: Vec<_> = electrum_seed::Language::Spanish.words().starting_with("Ábac").collect();
    /// assert_eq!(words, ["a\u{301}baco"]);
    /// # }
    /// ```
    pub fn starting_with(&self, prefix: &str) -> impl Iterator<Item = &'static str> {
        let prefix = normalize(prefix);
        self.words().iter().copied().filter(move |word| {
            let mut letters = letters(word);
            prefix.chars().all(|c| letters.next() == Some(c))
        })
    }

    /// The words that differ least from a mistyped one, in the order of the list; none where all differ much.
    ///
    /// The least number of letters to insert, remove, replace, or swap with the next is what counts: one at most in words of
    /// up to four letters, two in longer ones. Capitals and accents do not matter, so the only nearest word of a word of the
    /// list is itself. Not in constant time.
    ///
    /// ```
    /// # #[cfg(feature = "english")] {
    /// let english = electrum_seed::Language::English.words();
    /// assert_eq!(english.nearest("abondon"), ["abandon"]);
    /// assert_eq!(english.nearest("abadnon"), ["abandon"]);
    /// assert!(english.nearest("xyzxyzxyz").is_empty());
    /// # }
    /// ```
    pub fn nearest(&self, word: &str) -> Vec<&'static str> {
        let normalized = normalize(word);
        let typed: Zeroizing<Vec<char>> =
            Zeroizing::new(normalized.chars().take(MOST_CHARS + 1).collect());
        let mut most = match typed.len() {
            0 => return Vec::new(),
            length if length > MOST_CHARS => return Vec::new(),
            1..=4 => 1,
            _ => 2,
        };
        let mut nearest = Vec::new();
        for word in self.words().iter().copied() {
            if letters(word).count().abs_diff(typed.len()) > most {
                continue;
            }
            let distance = distance(&typed, letters(word));
            if distance < most {
                nearest.clear();
                most = distance;
            }
            if distance == most {
                nearest.push(word);
            }
        }
        nearest
    }
}

/// The letters of a word of a list as they are hashed: the lists are in lower case and decomposed already.
fn letters(word: &str) -> impl Iterator<Item = char> {
    word.chars().filter(|c| canonical_combining_class(*c) == 0)
}

/// How many letters must be inserted, removed, replaced or swapped with their neighbour (optimal string alignment).
fn distance(one: &[char], other: impl Iterator<Item = char>) -> usize {
    let get = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    // The rows of the table for the two letters before.
    let (mut before_last, mut last) = (Vec::new(), (0..=one.len()).collect::<Vec<usize>>());
    let mut previous = None;
    for (at, c) in other.enumerate() {
        let mut left = at + 1;
        let mut left_char = None;
        let mut row = Vec::with_capacity(last.len());
        row.push(left);
        for (column, mine) in one.iter().enumerate() {
            let replaced = get(&last, column) + usize::from(*mine != c);
            let mut best = replaced.min(left + 1).min(get(&last, column + 1) + 1);
            if column > 0 && previous == Some(*mine) && left_char == Some(c) {
                best = best.min(get(&before_last, column - 1) + 1);
            }
            row.push(best);
            left = best;
            left_char = Some(*mine);
        }
        before_last = core::mem::replace(&mut last, row);
        previous = Some(c);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::distance;

    fn between(one: &str, other: &str) -> usize {
        let one: alloc::vec::Vec<char> = one.chars().collect();
        distance(&one, other.chars())
    }

    #[test]
    fn letters_are_those_of_the_hash() {
        for language in crate::Language::ALL {
            for word in language.words().words() {
                let letters: alloc::string::String = super::letters(word).collect();
                assert_eq!(*crate::normalize(word), letters);
            }
        }
    }

    #[test]
    fn counts_single_mistakes() {
        assert_eq!(between("", ""), 0);
        assert_eq!(between("abc", ""), 3);
        assert_eq!(between("", "abc"), 3);
        assert_eq!(between("abandon", "abandon"), 0);
        assert_eq!(between("abondon", "abandon"), 1);
        assert_eq!(between("abadnon", "abandon"), 1);
        assert_eq!(between("abndon", "abandon"), 1);
        assert_eq!(between("abbandon", "abandon"), 1);
        assert_eq!(between("kitten", "sitting"), 3);
        // Swapped letters are not touched again.
        assert_eq!(between("ca", "abc"), 3);
    }
}
