//! What owners write, right and wrong. Keys and addresses are those of BIP 84 and BIP 32, and of SLIP-132.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// BIP 84, "Account 0".
const ZPUB: &str = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs";
/// The same as SLIP-132's xpub.
const XPUB: &str = "xpub6CatWdiZiodmUeTDp8LT5or8nmbKNcuyvz7WyksVFkKB4RHwCD3XyuvPEbvqAQY3rAPshWcMLoP2fMFMKHPJ4ZeZXYVUhLv1VMrjPC7PW6V";
/// BIP 32's first private master key.
const XPRV: &str = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi";

fn read(keys: &str) -> anyhow::Result<Vec<Wallet>> {
    wallets(&[keys.parse().unwrap()], Network::Bitcoin)
}

/// The first script of each keychain as an address.
fn first(keys: &str) -> Vec<String> {
    let wallets = read(keys).unwrap();
    let scripts = wallets[0]
        .keychains
        .iter()
        .map(|keychain| keychain.script(0).unwrap());
    scripts
        .map(|script| {
            bitcoin::Address::from_script(&script, Network::Bitcoin)
                .unwrap()
                .to_string()
        })
        .collect()
}

#[test]
fn a_zpub_is_the_wallet_of_bip_84() {
    let addresses = [
        "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",
        "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el",
    ];
    assert_eq!(first(ZPUB), addresses);
    assert_eq!(first(&format!("savings={ZPUB}")), addresses);
    assert_eq!(first(&format!("wpkh({XPUB}/<0;1>/*)")), addresses);
    assert_eq!(read(&format!("savings={ZPUB}")).unwrap()[0].name, "savings");
    assert_eq!(read(ZPUB).unwrap()[0].name, "wallet 1");
}

#[test]
fn a_taproot_descriptor_is_the_wallet_of_bip_86() {
    let xpub = "xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ";
    let addresses = [
        "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
        "bc1p3qkhfews2uk44qtvauqyr2ttdsw7svhkl9nkm9s9c3x4ax5h60wqwruhk7",
    ];
    assert_eq!(first(&format!("tr({xpub}/<0;1>/*)")), addresses);
    assert_eq!(
        first(&format!("tr([73c5da0a/86'/0'/0']{xpub}/0/*)")),
        addresses[..1]
    );
}

#[test]
fn single_scripts_and_old_keys_are_watched() {
    let address = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu";
    assert_eq!(first(address), [address]);
    assert_eq!(first(&format!("addr({address})")), [address]);
    assert_eq!(
        first("0014c0cebcd6c3d3ca8c75dc5ec62ebe55330ef910e2"),
        [address]
    );
    assert_eq!(
        first(&format!("{address} 1FJEEB8ihPMbzs2SkLmr37dHyRFzakqUmo")).len(),
        2
    );
    // The wallet of "powerful random nobody notice nothing important anyway look away hidden message over".
    let old = "e9d4b7866dd1e91c862aebf62a49548c7dbf7bcc6e4b7b8c9da820c7737968df9c09d5a3e271dc814a29981f81b3faaf2737b551ef5dcc6189cf0f8252c442b3";
    assert_eq!(
        first(old),
        [
            "1FJEEB8ihPMbzs2SkLmr37dHyRFzakqUmo",
            "1KRW8pH6HFHZh889VDq6fEKvmrsmApwNfe"
        ]
    );
}

#[test]
fn private_keys_are_refused_and_never_repeated() {
    let wif = "5KYZdUEo39z3FPrtuX2QbbwGnNP5zTd7yyr2SC1j299sBCnWjss";
    for keys in [
        XPRV.to_owned(),
        format!("savings={XPRV}"),
        format!("wpkh({XPRV}/<0;1>/*)"),
        format!("2 {XPUB} {XPRV}"),
        wif.to_owned(),
        format!("pkh({wif})"),
        format!("{XPUB}{XPRV}"),
        format!("A{XPRV}"),
        format!("{XPRV}="),
        // With a mistake in it, it is as secret.
        wif.replace('Y', "Z"),
        format!("{}x", &wif[..50]),
    ] {
        let error = format!("{:#}", read(&keys).unwrap_err());
        assert!(error.contains("private key"), "{error}");
        assert!(
            !error.contains(&XPRV[20..60]) && !error.contains(&wif[5..20]),
            "{error}"
        );
        let entry: WalletEntry = keys.parse().unwrap();
        assert!(!format!("{entry:?}").contains("prv9s"), "{entry:?}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let tpub = "tpubD6NzVbkrYhZ4XgiXtGrdW5XDAPFCL9h7we1vwNCpn8tGbBcgfVYjXyhWo4E1xkh56hjod1RhGjxbaTLV3X4FyWuejifB9jusQ46QzG87VKp";
    for (keys, part) in [
        (format!("pkh({tpub}/0/*)"), "the server is on mainnet"),
        (tpub.to_owned(), "the server is on mainnet"),
        (format!("wpkh({XPUB}/0/*)#aaaaaaaa"), "checksum"),
        (format!("wpkh({XPUB}/0'/*)"), "private keys"),
        (format!("{}x", &ZPUB[..110]), "zpub6rFR7"),
        (
            "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx".to_owned(),
            "another network",
        ),
        ("hello".to_owned(), "known are output descriptors"),
        (format!("3 {XPUB} {XPUB}"), ""),
        (String::new(), "empty"),
    ] {
        let error = format!("{:#}", read(&keys).unwrap_err());
        assert!(
            error.contains("wallet 1") && error.contains(part),
            "{keys}: {error}"
        );
    }
}

#[test]
fn the_same_wallet_twice_is_refused() {
    let entries =
        [format!("a={ZPUB}"), format!("b=wpkh({XPUB}/<0;1>/*)")].map(|keys| keys.parse().unwrap());
    let error = wallets(&entries, Network::Bitcoin).unwrap_err().to_string();
    assert!(error.contains("\"a\" and \"b\""), "{error}");
    let entries = [format!("a={ZPUB}"), format!("a={XPUB}")].map(|keys| keys.parse().unwrap());
    let error = wallets(&entries, Network::Bitcoin).unwrap_err().to_string();
    assert!(error.contains("two wallets are called \"a\""), "{error}");
}

#[test]
fn the_words_of_a_seed_are_refused_and_never_repeated() {
    let seed =
        "powerful random nobody notice nothing important anyway look away hidden message over";
    let error = format!("{:#}", read(seed).unwrap_err());
    assert!(error.contains("a seed"), "{error}");
    assert!(!error.contains("powerful"), "{error}");
}

/// Parts of what people write.
fn part() -> impl Strategy<Value = String> {
    let known = [
        XPUB,
        ZPUB,
        "wpkh(",
        "sh(",
        "wsh(",
        "tr(",
        "multi(2,",
        "sortedmulti(1,",
        ")",
        ",",
        "/",
        "/0",
        "/*",
        "/<0;1>/*",
        "/<0;1;2>/*",
        "0'",
        "[73c5da0a/84'/0'/0']",
        "#",
        "addr(",
        "raw(",
        "2 ",
        "0 ",
        " ",
        "=",
        "name=",
        "00",
        "0014",
        "{",
        "1FJEEB8ihPMbzs2SkLmr37dHyRFzakqUmo",
        "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu",
        "99999999999999999999 ",
    ];
    prop_oneof![
        4 => proptest::sample::select(known.map(str::to_owned).to_vec()),
        1 => ".{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_keys_are_a_wallet_or_an_error(parts in vec(part(), 0..8)) {
        match read(&parts.concat()) {
            Ok(wallets) => {
                for keychain in wallets.iter().flat_map(|wallet| &wallet.keychains) {
                    let _ = (keychain.script(0), keychain.script(u32::MAX));
                }
            }
            Err(error) => assert!(format!("{error:#}").contains("wallet"), "{error:#}"),
        }
    }

    #[test]
    fn no_error_shows_a_private_key(before in vec(part(), 0..3), after in vec(part(), 0..3), place in 4usize..111) {
        let mut key = XPRV.to_owned();
        key.replace_range(place..=place, "7");
        let keys = [before.concat(), key, after.concat()].concat();
        if let Err(error) = read(&keys) {
            let error = format!("{error:#}\n{error:?}");
            assert!(!error.contains(&XPRV[20..40]) && !error.contains(&XPRV[70..90]), "{error}");
        }
    }
}
