//! Electrum's published vectors; each record names its source.
#![cfg(feature = "all-languages")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use electrum_seed::{
    Bip39, GenerateError, Generator, Language, Seed, SeedType, VersionHash, decode_number,
    encode_number, inspect, is_cjk, is_old_seed, normalize, seed_type,
};
use serde_json::Value;

fn load(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn seeds() -> Value {
    load(include_str!("data/seeds.json"))
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field} in {record}"))
}

fn list<'a>(file: &'a Value, name: &str) -> &'a Vec<Value> {
    let list = file[name].as_array().unwrap();
    assert!(!list.is_empty());
    list
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn texts_are_normalized() {
    let file = load(include_str!("data/normalization.json"));
    for record in list(&file, "vectors") {
        let normalized = normalize(text(record, "input"));
        assert_eq!(*normalized, text(record, "output"), "{record}");
        assert_eq!(normalize(&normalized), normalized, "{record}");
    }
    for record in list(&file, "is_cjk_edges") {
        let c = u32::from_str_radix(text(record, "codepoint"), 16).unwrap();
        if let Some(c) = char::from_u32(c) {
            assert_eq!(Some(is_cjk(c)), record["is_CJK"].as_bool(), "{record}");
        }
    }
}

#[test]
fn seeds_are_recognized() {
    for record in list(&seeds(), "vectors") {
        let phrase = text(record, "phrase");
        assert_eq!(*normalize(phrase), text(record, "normalized"), "{record}");
        let hash = hex(VersionHash::new(phrase).as_bytes());
        assert_eq!(hash, text(record, "seed_version_hmac_sha512"), "{record}");
        let kind = seed_type(phrase).map_or("", SeedType::as_str);
        assert_eq!(kind, text(record, "seed_type"), "{record}");
        let inspection = inspect(phrase);
        assert_eq!(
            Some(inspection.num_words as u64),
            record["num_words"].as_u64(),
            "{record}"
        );
        if let Some(expected) = record["can_have_passphrase"].as_bool() {
            assert_eq!(inspection.can_have_passphrase, expected, "{record}");
        }
    }
    for record in list(&seeds(), "can_seed_have_passphrase") {
        let seed = Seed::parse(text(record, "phrase")).unwrap();
        assert_eq!(
            Some(seed.can_have_passphrase()),
            record["expect"].as_bool(),
            "{record}"
        );
    }
}

#[test]
fn phrases_of_two_systems_are_reported() {
    let file = load(include_str!("data/bip39_vs_electrum.json"));
    for record in list(&file, "vectors") {
        let phrase = text(record, "phrase");
        let kind = seed_type(phrase).map_or("", SeedType::as_str);
        assert_eq!(kind, text(record, "electrum_type"), "{record}");
        let english = Bip39::check(phrase, Language::English);
        assert_eq!(
            Some(english == Bip39::Valid),
            record["bip39_checksum_valid"].as_bool(),
            "{record}"
        );
        let known = !matches!(english, Bip39::UnknownWord { .. });
        assert_eq!(
            Some(known),
            record["bip39_wordlist_valid"].as_bool(),
            "{record}"
        );
        assert_eq!(
            Some(inspect(phrase).is_ambiguous()),
            record["ambiguous"].as_bool(),
            "{record}"
        );
    }
}

#[test]
fn old_seeds_are_recognized() {
    let file = load(include_str!("data/old_seeds.json"));
    for record in list(&file, "vectors") {
        assert_eq!(
            seed_type(text(record, "input")),
            Some(SeedType::Old),
            "{record}"
        );
    }
    for record in list(&file, "detection") {
        let input = text(record, "input");
        assert_eq!(
            Some(is_old_seed(input)),
            record["is_old_seed"].as_bool(),
            "{record}"
        );
        assert_eq!(
            seed_type(input).map_or("", SeedType::as_str),
            text(record, "calc_seed_type"),
            "{record}"
        );
    }
}

#[test]
fn numbers_are_written_in_words() {
    for record in list(&seeds(), "mnemonic_encode") {
        let language: Language = text(record, "language").parse().unwrap();
        let number = big_endian(text(record, "int"));
        let words = encode_number(&number, language);
        assert_eq!(*words, text(record, "words"), "{record}");
        assert_eq!(
            *decode_number(&words, language).unwrap(),
            number,
            "{record}"
        );
    }
}

/// The bytes of a number in hex, without leading zeros.
fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16).unwrap()).collect();
    let bytes = digits.chunks(2).map(|two| (two[0] * 16 + two[1]) as u8);
    bytes.skip_while(|byte| *byte == 0).collect()
}

#[test]
fn phrases_stand_for_the_numbers_that_they_were_made_of() {
    let mut found = 0;
    for record in list(&seeds(), "vectors") {
        let (start, last) = (&record["start_entropy_hex"], &record["final_entropy_hex"]);
        let start = match &record["generated_from_start_entropy"] {
            Value::String(decimal) => Some(big_endian(decimal)),
            _ => start.as_str().map(from_hex),
        };
        let last = match &record["entropy_int"] {
            Value::String(decimal) => Some(big_endian(decimal)),
            _ => last.as_str().map(from_hex),
        };
        if start.is_none() && last.is_none() {
            continue;
        }
        found += 1;
        let language: Language = text(record, "language").parse().unwrap();
        let phrase = text(record, "phrase");
        if let Some(last) = last {
            assert_eq!(*decode_number(phrase, language).unwrap(), last, "{record}");
            assert_eq!(
                normalize(&encode_number(&last, language)),
                normalize(phrase)
            );
        }
        if let Some(start) = start {
            let kind: SeedType = text(record, "seed_type").parse().unwrap();
            let generator = Generator::new(language, kind)
                .bits(start.len() as u32 * 8 - start[0].leading_zeros())
                .unwrap();
            let mut entropy = vec![0; generator.entropy_len() - start.len()];
            entropy.extend(start);
            let generated = generator.generate(&entropy).unwrap();
            assert_eq!(generated.seed.phrase(), phrase, "{record}");
        }
    }
    assert!(found > 10, "{found}");
}

/// The bytes of a decimal number, without leading zeros.
fn big_endian(decimal: &str) -> Vec<u8> {
    let mut bytes = vec![0u8; decimal.len()];
    for digit in decimal.bytes() {
        let mut carry = u32::from(digit - b'0');
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 10;
            *byte = carry as u8;
            carry >>= 8;
        }
    }
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

#[test]
fn phrases_are_generated_as_electrum_does() {
    for record in list(&seeds(), "generation") {
        let language: Language = text(record, "language").parse().unwrap();
        let kind: SeedType = text(record, "seed_type").parse().unwrap();
        let generator = Generator::new(language, kind);
        assert_eq!(
            Some(u64::from(generator.entropy_bits())),
            record["num_bits"].as_u64(),
            "{record}"
        );
        let number = big_endian(text(record, "start_entropy"));
        let mut entropy = vec![0; generator.entropy_len() - number.len()];
        entropy.extend(number);
        let result = generator.generate(&entropy);
        if record["error"].is_string() {
            assert!(
                matches!(result, Err(GenerateError::TwoFactorWords { .. })),
                "{record}"
            );
            continue;
        }
        let generated = result.unwrap();
        assert_eq!(generated.seed.phrase(), text(record, "phrase"), "{record}");
        assert_eq!(Some(generated.tries), record["nonce"].as_u64(), "{record}");
    }
}
