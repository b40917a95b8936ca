//! What is secret is not printed.
#![cfg(all(feature = "english", feature = "keys"))]
#![allow(clippy::unwrap_used, reason = "tests")]

use electrum_seed::bitcoin::Network;
use electrum_seed::{
    Chain, Generator, Language, OldMasterPublicKey, OldSeed, Purpose, Seed, SeedType, VersionHash,
    Wallet, inspect, version_number,
};

const SEEDS: [&str; 5] = [
    "powerful random nobody notice nothing important anyway look away hidden message over",
    "ostrich security deer aunt climb inner alpha arm mutual marble solid task",
    "wild father tree among universe such mobile favorite target dynamic credit identify",
    "science dawn member doll dutch real can brick knife deny drive list",
    "universe topic remind silver february ranch shine worth innocent cattle enhance wise",
];

/// What must not be seen of a phrase: its words.
fn assert_hides(printed: &str, phrase: &str) {
    for word in phrase.split(' ') {
        let seen = printed.split(|c: char| !c.is_alphanumeric() && c != '_');
        assert!(!seen.into_iter().any(|part| part == word), "{printed}");
    }
}

#[test]
fn debug_output_has_no_secrets() {
    for phrase in SEEDS {
        let seed = Seed::parse(phrase).unwrap();
        let wallet = seed.wallet("", Network::Bitcoin, Purpose::Wallet).unwrap();
        let hash = VersionHash::new(phrase);
        let hex: String = hash.as_bytes().iter().map(|b| format!("{b:02x}")).collect();
        let mut secrets = vec![hex.get(..32).unwrap().to_owned()];
        match &wallet {
            Wallet::Old(key) => {
                secrets.push(seed.to_old().unwrap().to_hex().to_owned());
                secrets.push(key.secret().display_secret().to_string());
                secrets.push(key.private_key(Chain::Receive, 0).unwrap().to_wif());
            }
            Wallet::Account(account) => {
                secrets.push(account.to_slip132_private().to_string());
                secrets.push(account.xpriv().to_string());
                secrets.push(account.xpriv().private_key.display_secret().to_string());
            }
            Wallet::TwoFactor(keys) => {
                secrets.push(keys.first().to_slip132_private().to_string());
                secrets.push(keys.second().to_slip132_private().to_string());
            }
            other => panic!("{other:?}"),
        }
        for printed in [
            format!("{seed:?} {seed:#?}"),
            format!("{wallet:?} {wallet:#?}"),
            format!("{hash:?}"),
            format!("{:?}", seed.to_old()),
            format!("{:?}", inspect(phrase)),
            format!("{:?}", version_number(phrase)),
        ] {
            assert_hides(&printed, phrase);
            for secret in &secrets {
                assert!(!printed.contains(secret.as_str()), "{printed}");
            }
        }
    }
}

#[test]
fn new_phrases_are_not_printed() {
    let generator = Generator::new(Language::English, SeedType::Standard);
    let generated = generator
        .generate(&vec![0x5a; generator.entropy_len()])
        .unwrap();
    assert_hides(&format!("{generated:?}"), generated.seed.phrase());
}

#[test]
fn errors_have_no_secrets() {
    let phrase =
        "wild father tree among universe such mobile favorite target dynamic credit credit";
    let error = Seed::parse(phrase).unwrap_err();
    assert_hides(&format!("{error} {error:?}"), phrase);
    let error = OldSeed::parse(phrase).unwrap_err();
    assert_hides(&format!("{error:?}"), phrase);
    assert_eq!(
        error.to_string(),
        "word 7 is not in the list of words of old seeds"
    );
    let error = phrase.parse::<OldMasterPublicKey>().unwrap_err();
    assert_hides(&format!("{error} {error:?}"), phrase);
    for phrase in SEEDS {
        let seed = Seed::parse(phrase).unwrap();
        for (passphrase, purpose) in [("hunter2", Purpose::Wallet), ("", Purpose::Cosigner)] {
            if let Err(error) = seed.wallet(passphrase, Network::Bitcoin, purpose) {
                let printed = format!("{error} {error:?}");
                assert_hides(&printed, phrase);
                assert!(!printed.contains("hunter2"), "{printed}");
            }
        }
    }
}
