//! Keys and addresses of the published vectors; each record names its source.
#![cfg(all(feature = "all-languages", feature = "keys"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use electrum_seed::bitcoin::bip32::{DerivationPath, Xpub};
use electrum_seed::bitcoin::secp256k1::{Secp256k1, SecretKey};
use electrum_seed::bitcoin::{Address, Network, base58};
use electrum_seed::{
    Account, Chain, Multisig, OldMasterKey, OldMasterPublicKey, OldSeed, OldSeedError, Purpose,
    ScriptKind, Seed, SeedType, TwoFactor, Wallet, bip32_seed, bip39_seed,
};
use serde_json::Value;

fn load(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn seeds() -> Value {
    load(include_str!("data/seeds.json"))
}

fn old_seeds() -> Value {
    load(include_str!("data/old_seeds.json"))
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field} in {record}"))
}

fn list<'a>(record: &'a Value, field: &str) -> &'a Vec<Value> {
    let list = record[field].as_array();
    let list = list.unwrap_or_else(|| panic!("{field} in {record}"));
    assert!(!list.is_empty(), "{field} in {record}");
    list
}

fn network(record: &Value) -> Network {
    match text(record, "network") {
        "mainnet" => Network::Bitcoin,
        "testnet" => Network::Testnet,
        other => panic!("{other}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn script(xtype: &str, multisig: bool) -> ScriptKind {
    match (xtype, multisig) {
        ("standard", false) => ScriptKind::P2pkh,
        ("standard", true) => ScriptKind::P2sh,
        ("p2wpkh", _) => ScriptKind::P2wpkh,
        ("p2wsh", _) => ScriptKind::P2wsh,
        ("p2wpkh-p2sh", _) => ScriptKind::P2shP2wpkh,
        ("p2wsh-p2sh", _) => ScriptKind::P2shP2wsh,
        other => panic!("{other:?}"),
    }
}

/// Compares what a function gives for 0, 1 and so on with a list, which may be absent.
fn compare(record: &Value, field: &str, found: impl Fn(u32) -> String) {
    for (index, expected) in record[field].as_array().into_iter().flatten().enumerate() {
        let expected = expected.as_str().unwrap();
        assert_eq!(found(index as u32), expected, "{field} {index} of {record}");
    }
}

/// Compares with a text, which may be absent.
fn compare_text(record: &Value, field: &str, found: impl Fn() -> String) {
    if let Some(expected) = record[field].as_str() {
        assert_eq!(found(), expected, "{field} of {record}");
    }
}

fn check_account(record: &Value, account: &Account) {
    assert_eq!(account.to_slip132(), text(record, "xpub"), "{record}");
    assert_eq!(
        *account.to_slip132_private(),
        text(record, "xprv"),
        "{record}"
    );
    assert_eq!(
        account.script().xtype(),
        text(record, "xtype"),
        "xtype of {record}"
    );
    let derivation: DerivationPath = text(record, "derivation").parse().unwrap();
    assert_eq!(*account.derivation(), derivation, "{record}");
    compare_text(record, "root_fingerprint", || {
        account.root_fingerprint().to_string()
    });
    let key = |chain, index| account.public_key(chain, index).unwrap().to_string();
    compare(record, "receiving_pubkeys", |at| key(Chain::Receive, at));
    compare(record, "change_pubkeys", |at| key(Chain::Change, at));
    let address = |chain, index| {
        let address = account.address(chain, index).unwrap();
        address.map_or_else(String::new, |address| address.to_string())
    };
    compare(record, "receiving", |at| address(Chain::Receive, at));
    compare(record, "change", |at| address(Chain::Change, at));
    let private = |chain| {
        let key = account.private_key(chain, 0).unwrap();
        let public = account.public_key(chain, 0).unwrap();
        let secp = Secp256k1::new();
        assert_eq!(key.public_key(&secp).inner, public.0);
        key.to_wif()
    };
    compare_text(record, "receiving_wif0", || private(Chain::Receive));
    compare_text(record, "change_wif0", || private(Chain::Change));
    if let (Some(source), Some(index)) = (
        record["source_address"].as_str(),
        record["source_address_index"].as_u64(),
    ) {
        assert_eq!(address(Chain::Receive, index as u32), source, "{record}");
    }
    // Despite its name, the address of a child that no wallet of Electrum uses.
    compare_text(record, "address_of_account_key_itself", || {
        let secp = Secp256k1::new();
        let path: DerivationPath = "0h/0".parse().unwrap();
        let child = account.xpriv().derive_priv(&secp, &path).unwrap();
        let key = Xpub::from_priv(&secp, &child).to_pub();
        match account.script() {
            ScriptKind::P2pkh => Address::p2pkh(key, account.network()),
            _ => Address::p2wpkh(&key, account.network()),
        }
        .to_string()
    });
}

fn check_two_factor(record: &Value, keys: &TwoFactor) {
    for (account, number) in [(keys.first(), 1), (keys.second(), 2)] {
        let field = |name: &str| text(record, &format!("{name}{number}"));
        assert_eq!(account.to_slip132(), field("xpub"), "{record}");
        assert_eq!(*account.to_slip132_private(), field("xprv"), "{record}");
    }
    assert_eq!(keys.third_to_slip132(), text(record, "xpub3"), "{record}");
    assert_eq!(
        hex(&keys.long_id()),
        text(record, "long_user_id"),
        "{record}"
    );
    assert_eq!(keys.short_id(), text(record, "short_user_id"), "{record}");
    assert_eq!(keys.script().xtype(), text(record, "xtype"), "{record}");
    let address = |chain, index| keys.address(chain, index).unwrap().to_string();
    compare(record, "receiving", |at| address(Chain::Receive, at));
    compare(record, "change", |at| address(Chain::Change, at));
    let billing = |index, segwit| keys.billing_address(index, segwit).unwrap().to_string();
    compare(record, "billing_addresses_segwit", |at| billing(at, true));
    compare(record, "billing_addresses_legacy", |at| billing(at, false));
    compare_text(record, "root_fingerprint", || {
        keys.first().root_fingerprint().to_string()
    });
}

#[test]
fn seeds_open_their_wallets() {
    let file = seeds();
    let mut opened = 0;
    for record in list(&file, "vectors") {
        let Ok(seed) = Seed::parse(text(record, "phrase")) else {
            assert_eq!(text(record, "seed_type"), "", "{record}");
            continue;
        };
        let passphrase = text(record, "passphrase");
        if record["bip32_seed"].is_string() {
            let stretched = seed.bip32_seed(passphrase).unwrap();
            assert_eq!(hex(&*stretched), text(record, "bip32_seed"), "{record}");
            let root = Account::new(
                &stretched,
                &DerivationPath::master(),
                ScriptKind::P2pkh,
                network(record),
            );
            assert_eq!(
                *root.unwrap().to_slip132_private(),
                text(record, "root_xprv_standard"),
                "{record}"
            );
        } else {
            assert!(seed.bip32_seed("").is_err(), "{record}");
        }
        // Another library stretches all words of a long two-factor seed, which Electrum splits.
        compare_text(record, "bip_utils_seed", || {
            hex(&*bip32_seed(seed.phrase(), passphrase))
        });
        for half in ["half1", "half2"] {
            compare_text(record, &format!("bip32_seed_{half}"), || {
                hex(&*bip32_seed(text(record, half), ""))
            });
        }
        let purpose = match record["for_multisig"].as_bool() {
            Some(true) => Purpose::Cosigner,
            _ => Purpose::Wallet,
        };
        let wallet = seed.wallet(passphrase, network(record), purpose).unwrap();
        opened += 1;
        match wallet {
            Wallet::Account(account) => check_account(record, &account),
            Wallet::TwoFactor(keys) => {
                check_two_factor(record, &keys);
                if matches!(seed.num_words(), 24 | 25) && seed.seed_type() == SeedType::TwoFactor {
                    let before = seed.two_factor_before_2_7(network(record)).unwrap();
                    check_two_factor(record, &before);
                } else {
                    assert!(seed.two_factor_before_2_7(network(record)).is_err());
                }
            }
            Wallet::Old(_) => assert_eq!(text(record, "seed_type"), "old", "{record}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(opened > 80, "{opened}");
}

#[test]
fn texts_are_stretched() {
    let file = seeds();
    for record in list(&file, "mnemonic_to_seed_basic") {
        let found = bip32_seed(text(record, "phrase"), text(record, "passphrase"));
        assert_eq!(hex(&*found), text(record, "bip32_seed"), "{record}");
    }
    for record in list(&file, "generation") {
        if let Some(expected) = record["bip32_seed"].as_str() {
            assert_eq!(hex(&*bip32_seed(text(record, "phrase"), "")), expected);
        }
    }
}

#[test]
fn phrases_of_bip39_open_other_wallets() {
    let file = load(include_str!("data/bip39_vs_electrum.json"));
    for record in list(&file, "vectors") {
        let phrase = text(record, "phrase");
        compare_text(record, "bip39_seed", || hex(&*bip39_seed(phrase, "")));
        compare_text(record, "electrum_bip32_seed", || {
            hex(&*bip32_seed(phrase, ""))
        });
    }
    for record in list(&file, "bip39_seeds") {
        let found = bip39_seed(text(record, "phrase"), text(record, "passphrase"));
        assert_eq!(hex(&*found), text(record, "bip39_seed"), "{record}");
    }
    for record in list(&file, "bip39_derivations") {
        let seed = bip39_seed(text(record, "phrase"), text(record, "passphrase"));
        assert_eq!(hex(&*seed), text(record, "root_seed"), "{record}");
        let path: DerivationPath = text(record, "derivation").parse().unwrap();
        let script = script(text(record, "xtype"), false);
        let account = Account::new(&seed, &path, script, network(record)).unwrap();
        check_account(record, &account);
        let first = account.address(Chain::Receive, 0).unwrap().unwrap();
        assert_eq!(
            first.to_string(),
            text(record, "first_receiving"),
            "{record}"
        );
    }
}

/// An extended public key whatever its version bytes.
fn plain(slip132: &str) -> Xpub {
    let mut data = base58::decode_check(slip132).unwrap();
    let main = "xyYzZ".contains(&slip132[..1]);
    let version: u32 = if main { 0x0488_b21e } else { 0x0435_87cf };
    data[..4].copy_from_slice(&version.to_be_bytes());
    Xpub::decode(&data).unwrap()
}

#[test]
fn multisig_wallets_have_their_addresses() {
    for record in list(&seeds(), "multisig_wallets") {
        let network = network(record);
        let script = script(text(record, "xtype"), true);
        let mut keys = Vec::new();
        for cosigner in list(record, "cosigners") {
            let key = plain(text(cosigner, "xpub"));
            if let Some(phrase) = cosigner["seed"].as_str().filter(|seed| !seed.is_empty()) {
                let seed = Seed::parse(phrase).unwrap();
                let passphrase = cosigner["passphrase"].as_str().unwrap_or_default();
                let wallet = seed.wallet(passphrase, network, Purpose::Cosigner).unwrap();
                let Wallet::Account(account) = wallet else {
                    panic!("{cosigner}");
                };
                assert_eq!(account.to_slip132(), text(cosigner, "xpub"), "{record}");
                assert_eq!(*account.xpub(), key, "{record}");
                compare_text(cosigner, "root_fingerprint", || {
                    account.root_fingerprint().to_string()
                });
            }
            keys.push(key);
        }
        assert_eq!(Some(keys.len() as u64), record["n"].as_u64());
        let required = record["m"].as_u64().unwrap() as usize;
        let wallet = Multisig::new(required, keys, script).unwrap();
        let address = |chain, index| wallet.address(chain, index, network).unwrap().to_string();
        compare(record, "receiving", |at| address(Chain::Receive, at));
        compare(record, "change", |at| address(Chain::Change, at));
    }
}

fn check_old(record: &Value, key: &OldMasterKey) {
    compare_text(record, "stretched_secexp", || {
        hex(&key.secret().secret_bytes())
    });
    assert_eq!(key.public().to_string(), text(record, "mpk"), "{record}");
    compare_text(record, "root_fingerprint_psbt", || {
        key.public().fingerprint().to_string()
    });
    let address = |chain, index| key.address(chain, index).unwrap().to_string();
    compare(record, "receiving", |at| address(Chain::Receive, at));
    compare(record, "change", |at| address(Chain::Change, at));
    compare_text(record, "first_receiving", || address(Chain::Receive, 0));
    let public = |chain, index| key.public().public_key(chain, index).unwrap().to_string();
    compare(record, "receiving_pubkeys", |at| public(Chain::Receive, at));
    compare(record, "change_pubkeys", |at| public(Chain::Change, at));
    let at = |field: &str, found: &dyn Fn(Chain, u32) -> String| {
        for (place, expected) in record[field].as_object().into_iter().flatten() {
            let (chain, index) = place.split_once('/').unwrap();
            let chain = if chain == "0" {
                Chain::Receive
            } else {
                Chain::Change
            };
            let found = found(chain, index.parse().unwrap());
            assert_eq!(
                found,
                expected.as_str().unwrap(),
                "{field} {place} of {record}"
            );
        }
    };
    let private = |chain, index| key.private_key(chain, index).unwrap();
    at("sequence_offsets", &|chain, index| {
        hex(&key.public().offset(chain, index))
    });
    at("privkeys_hex", &|chain, index| {
        hex(&private(chain, index).inner.secret_bytes())
    });
    at("wif", &|chain, index| private(chain, index).to_wif());
}

#[test]
fn old_seeds_open_their_wallets() {
    for record in list(&old_seeds(), "vectors") {
        let seed = Seed::parse(text(record, "input")).unwrap();
        assert_eq!(
            Some(seed.num_words() as u64),
            record["num_words"].as_u64(),
            "{record}"
        );
        let old = seed.to_old().unwrap();
        assert_eq!(old.to_hex(), text(record, "hex_seed"), "{record}");
        compare_text(record, "words", || {
            old.to_words()
                .map_or_else(String::new, |words| words.to_string())
        });
        let wallet = seed.wallet("", network(record), Purpose::Wallet).unwrap();
        let Wallet::Old(key) = wallet else {
            panic!("{record}");
        };
        check_old(record, &key);
    }
}

#[test]
fn old_seeds_are_opened_as_far_as_electrum_does() {
    for record in list(&old_seeds(), "detection") {
        let parsed = OldSeed::parse(text(record, "input"));
        if record["add_seed_error"].is_string() {
            assert!(parsed.is_err(), "{record}");
            continue;
        }
        let seed = parsed.unwrap();
        assert_eq!(seed.to_hex(), text(record, "hex_seed_used"), "{record}");
        check_old(record, &OldMasterKey::new(&seed, Network::Bitcoin).unwrap());
    }
    for record in list(&old_seeds(), "codec_edge_cases") {
        if let Some(words) = record["words"].as_str() {
            let expected = text(record, "mn_decode");
            match OldSeed::parse(words) {
                Ok(seed) => assert_eq!(seed.to_hex(), expected, "{record}"),
                Err(error) => {
                    assert_eq!(error, OldSeedError::Empty);
                    assert_eq!(expected, "", "{record}");
                }
            }
        } else {
            let seed = OldSeed::parse(text(record, "hex")).unwrap();
            let words: Vec<&str> = list(record, "mn_encode")
                .iter()
                .map(|word| word.as_str().unwrap())
                .collect();
            assert_eq!(*seed.to_words().unwrap(), words.join(" "), "{record}");
        }
    }
}

#[test]
fn versions_of_electrum_differ_on_some_old_seeds() {
    for record in list(&old_seeds(), "historic_divergences") {
        let input = text(record, "input");
        let seed = OldSeed::parse(input).unwrap();
        if record["mpk"].is_string() {
            assert_eq!(seed.to_hex(), text(record, "hex_seed"));
            let digits = seed.to_hex().len();
            assert_eq!(
                seed.stretch().err(),
                Some(OldSeedError::OddDigits { digits })
            );
            check_old(
                record,
                &OldMasterKey::as_before_4_6_1(&seed, Network::Bitcoin).unwrap(),
            );
            continue;
        }
        let key = OldMasterKey::new(&seed, Network::Bitcoin).unwrap();
        check_old(&record["electrum_3_0_and_later"], &key);
        let typed = OldSeed::from_hex_as_typed(input).unwrap();
        let key = OldMasterKey::new(&typed, Network::Bitcoin).unwrap();
        check_old(&record["electrum_2_9_3"], &key);
    }
}

#[test]
fn old_public_master_keys_have_their_addresses() {
    for record in list(&old_seeds(), "mpk_vectors") {
        let key: OldMasterPublicKey = text(record, "mpk").parse().unwrap();
        assert_eq!(key.to_string(), text(record, "mpk"));
        compare(record, "receiving", |at| {
            key.address(Chain::Receive, at, Network::Bitcoin)
                .unwrap()
                .to_string()
        });
        if let Some(index) = record["index"].as_u64() {
            assert_eq!(record["for_change"].as_u64(), Some(1));
            let index = index as u32;
            assert_eq!(
                key.public_key(Chain::Change, index).unwrap().to_string(),
                text(record, "pubkey")
            );
            let address = key.address(Chain::Change, index, Network::Bitcoin);
            assert_eq!(address.unwrap().to_string(), text(record, "address"));
        }
        if let Some(secret) = record["stretched_secexp"].as_str() {
            let secret: SecretKey = secret.parse().unwrap();
            let key = OldMasterKey::from_secret(secret, Network::Bitcoin);
            assert_eq!(key.public().to_string(), text(record, "mpk"));
            compare(record, "receiving_wif", |at| {
                key.private_key(Chain::Receive, at).unwrap().to_wif()
            });
        }
    }
}
