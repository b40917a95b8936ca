//! What holds for any input.
#![cfg(feature = "all-languages")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use electrum_seed::{
    Bip39, Generator, Language, OldSeed, Seed, SeedType, VersionHash, decode_number, encode_number,
    inspect, is_cjk, is_old_seed, is_whitespace, normalize, same_words, seed_type, split_words,
    version_number,
};
use proptest::prelude::*;

/// Any text, often with what normalization treats specially.
fn text() -> impl Strategy<Value = String> {
    let special = proptest::sample::select(vec![
        ' ',
        '\t',
        '\u{1c}',
        '\u{85}',
        '\u{a0}',
        '\u{3000}',
        '\u{301}',
        '\u{345}',
        '\u{3099}',
        'Σ',
        'σ',
        'ς',
        'İ',
        'ẞ',
        'ﬁ',
        'か',
        'が',
        '中',
        '한',
        'Ａ',
        '１',
        '\u{a8}',
        '\u{2b820}',
        'ß',
        'é',
        'A',
    ]);
    let c = prop_oneof![special, any::<char>(), proptest::char::range('a', 'z')];
    proptest::collection::vec(c, 0..60).prop_map(String::from_iter)
}

fn language() -> impl Strategy<Value = Language> {
    proptest::sample::select(Language::ALL)
}

proptest! {
    #[test]
    fn normalization_is_idempotent(text in text()) {
        let once = normalize(&text);
        prop_assert_eq!(&normalize(&once), &once);
    }

    #[test]
    fn normalized_texts_have_single_spaces_and_no_capitals(text in text()) {
        let normalized = normalize(&text);
        let spaces = normalized.chars().filter(|c| is_whitespace(*c));
        prop_assert!(spaces.clone().all(|c| c == ' '));
        prop_assert!(!normalized.starts_with(' ') && !normalized.ends_with(' '));
        prop_assert!(!normalized.contains("  "));
        let chars: Vec<char> = normalized.chars().collect();
        for three in chars.windows(3) {
            if let [before, ' ', after] = three {
                prop_assert!(!(is_cjk(*before) && is_cjk(*after)));
            }
        }
    }

    #[test]
    fn white_space_and_capitals_do_not_matter(words in proptest::collection::vec("[a-z]{1,8}", 0..30)) {
        let typed = words.join("\t \u{3000}").to_uppercase();
        let plain = words.join(" ");
        prop_assert_eq!(&*normalize(&typed), &plain);
        prop_assert_eq!(seed_type(&typed), seed_type(&plain));
        prop_assert!(same_words(&typed.to_lowercase(), &plain));
        prop_assert_eq!(split_words(&typed).count(), words.len());
    }

    #[test]
    fn any_text_is_inspected(text in text(), language in language()) {
        let inspection = inspect(&text);
        prop_assert_eq!(inspection.seed_type.ok(), seed_type(&text));
        prop_assert_eq!(inspection.number, version_number(&text));
        prop_assert_eq!(inspection.seed_type == Ok(SeedType::Old), is_old_seed(&text));
        for language in Language::ALL {
            let _ = Bip39::check(&text, *language);
            let _ = decode_number(&text, *language);
        }
        if let Some(word) = split_words(&text).next() {
            let _ = language.words().nearest(word);
            let _ = language.words().starting_with(word).count();
        }
        if let Ok(seed) = OldSeed::parse(&text) {
            let _ = seed.to_words();
        }
        let _ = OldSeed::from_hex_as_typed(&text);
        if let Err(error) = Seed::parse(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn version_numbers_are_the_leading_digits(text in text()) {
        let hash = VersionHash::new(&text);
        let hex: String = hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        match hash.number() {
            Some(number) => {
                prop_assert!(hex.starts_with(&number.to_string()));
                let first = hex.chars().next().and_then(|c| c.to_digit(10)).unwrap();
                prop_assert_eq!(number.to_string().len() as u32, first + 2);
                prop_assert_eq!(u32::from(number.digits()), first + 2);
            }
            None => prop_assert!(hex.starts_with(|c: char| c.is_ascii_lowercase())),
        }
    }

    #[test]
    fn numbers_survive_their_words(number in proptest::collection::vec(any::<u8>(), 0..40), language in language()) {
        let words = encode_number(&number, language);
        let plain: Vec<u8> = number.into_iter().skip_while(|byte| *byte == 0).collect();
        prop_assert_eq!(&*decode_number(&words, language).unwrap(), &plain);
    }

    #[test]
    fn old_seeds_survive_their_words(hex in "([0-9a-f]{32}|[0-9a-f]{64})") {
        let seed = OldSeed::parse(&hex).unwrap();
        let words = seed.to_words().unwrap();
        prop_assert!(is_old_seed(&words) && is_old_seed(&hex));
        prop_assert!(OldSeed::parse(&words).unwrap() == seed);
        prop_assert_eq!(seed.to_hex(), hex);
    }

    #[test]
    fn words_are_found_by_their_letters(language in language(), at in 0..1626usize, keep in 1..8usize) {
        let list = language.words();
        let word = list.word(at).unwrap();
        prop_assert_eq!(list.index(word), Some(at));
        let prefix: String = word.chars().take(keep).collect();
        prop_assert!(list.starting_with(&prefix).any(|found| found == word));
        prop_assert!(list.nearest(word).contains(&word));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn generated_phrases_are_seeds(entropy in any::<[u8; 17]>(), language in language()) {
        let generator = Generator::new(language, SeedType::Standard);
        let entropy = entropy.get(..generator.entropy_len()).map_or_else(
            || [entropy.as_slice(), &[7]].concat(),
            <[u8]>::to_vec,
        );
        let Ok(generated) = generator.generate(&entropy) else {
            return Ok(());
        };
        prop_assert_eq!(generated.seed.seed_type(), SeedType::Standard);
        let phrase = generated.seed.phrase();
        prop_assert_eq!(seed_type(phrase), Some(SeedType::Standard));
        prop_assert!(!is_old_seed(phrase));
        prop_assert!(Bip39::check(phrase, language) != Bip39::Valid);
        let words = generated.seed.num_words();
        // Not all numbers that Electrum takes for large enough fill the last of 13 words.
        prop_assert!(words == 12 || (words == 13 && language == Language::Portuguese));
    }
}
