//! Targets for `electrum-seed`: whatever a user may type, and numbers as words.

use electrum_seed::{
    Bip39, Language, OldMasterPublicKey, OldSeed, Seed, SeedType, decode_number, encode_number,
    inspect, is_old_seed, normalize, same_words, seed_type, split_words,
};

/// A text is normalized once and for all, recognized alike by every function, and completed and corrected.
pub fn phrase(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    let normalized = normalize(text);
    assert_eq!(normalize(&normalized), normalized);
    assert!(!normalized.contains("  ") && normalized.trim() == *normalized);
    assert!(same_words(text, text));

    let inspection = inspect(text);
    assert_eq!(inspection.seed_type.ok(), seed_type(text));
    assert_eq!(
        inspection.seed_type == Ok(SeedType::Old),
        is_old_seed(text),
        "{text:?}"
    );
    match Seed::parse(text) {
        Ok(seed) => {
            assert_eq!(inspection.seed_type, Ok(seed.seed_type()));
            assert_eq!(seed.num_words(), inspection.num_words);
            assert!(!format!("{seed:?}").contains(seed.normalized()) || text.len() < 16);
        }
        Err(error) => assert_eq!(inspection.seed_type, Err(error)),
    }
    for language in Language::ALL {
        let valid = Bip39::check(text, *language) == Bip39::Valid;
        assert_eq!(
            valid && language.is_bip39(),
            inspection.bip39.contains(language)
        );
        if let Some(number) = decode_number(text, *language) {
            let words = encode_number(&number, *language);
            assert_eq!(
                *decode_number(&words, *language).expect("just written"),
                *number
            );
        }
        if let Some(word) = split_words(text).next() {
            let list = language.words();
            assert!(list.nearest(word).iter().all(|near| list.contains(near)));
            assert!(list.starting_with(word).all(|found| list.contains(found)));
        }
    }
}

/// Old seeds and old master public keys are read or refused, and written as they were read.
pub fn old(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    match OldSeed::parse(text) {
        Ok(seed) => {
            assert!(seed.to_hex().bytes().all(|digit| digit.is_ascii_hexdigit()));
            if let Some(words) = seed.to_words()
                && seed.is_regular()
            {
                assert!(OldSeed::parse(&words).expect("just written") == seed);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let _ = OldSeed::from_hex_as_typed(text);
    if let Ok(key) = text.parse::<OldMasterPublicKey>() {
        assert_eq!(key.to_string(), text.to_ascii_lowercase());
    }
    if let Some(bytes) = data.first_chunk()
        && let Ok(key) = OldMasterPublicKey::from_byte_array(*bytes)
    {
        assert_eq!(key.to_byte_array(), *bytes);
    }
}

/// Numbers survive being written as words, in every language.
pub fn number(data: &[u8]) {
    let plain: Vec<u8> = data.iter().copied().skip_while(|byte| *byte == 0).collect();
    for language in Language::ALL {
        let words = encode_number(data, *language);
        assert_eq!(*decode_number(&words, *language).expect("words"), plain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each body over inputs that reach deep, whole and cut short at every byte.
    #[test]
    fn bodies_run_on_stable() {
        let inputs = [
            "marble duck village valley elite convince slogan all bulk window deer crash",
            "powerful random nobody notice nothing important anyway look away hidden message over",
            "なのか ひろい しなん まなぶ つぶす さがす おしゃれ",
            "acb740e454c3134901d7c8f16497cc1c",
            "weary weapon unseen abondon",
            "x8",
        ];
        for input in inputs {
            for end in 0..=input.len() {
                let data = &input.as_bytes()[..end];
                for body in [phrase, old, number] {
                    body(data);
                }
            }
        }
    }
}
