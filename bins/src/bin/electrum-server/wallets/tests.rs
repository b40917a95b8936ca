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
        (format!("{}x", &ZPUB[..110]), "zpub6rFR"),
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

/// The same key with the version bytes of another kind and network.
fn converted(kind: slip132::Kind, network: slip132::Network) -> String {
    let key = slip132::ExtendedKey::parse(ZPUB).unwrap();
    let key = key
        .with_kind(kind)
        .and_then(|key| key.with_network(network));
    key.unwrap().encode()
}

#[test]
fn keys_in_a_wrong_place_are_named_with_what_to_write_instead() {
    use slip132::Kind::{P2wpkh, P2wsh, Standard};
    use slip132::Network::{Litecoin, Mainnet, Testnet};
    let [vpub, big_vpub, tpub] = [P2wpkh, P2wsh, Standard].map(|kind| converted(kind, Testnet));
    let big_zpub = converted(P2wsh, Mainnet);
    let other = "tpubD6NzVbkrYhZ4XgiXtGrdW5XDAPFCL9h7we1vwNCpn8tGbBcgfVYjXyhWo4E1xkh56hjod1RhGjxbaTLV3X4FyWuejifB9jusQ46QzG87VKp";
    let ltub = converted(Standard, Litecoin);
    let on = |network, keys: &str| {
        let entry = keys.parse().unwrap();
        format!("{:#}", wallets(&[entry], network).unwrap_err())
    };
    let (main, test) = (Network::Bitcoin, Network::Regtest);
    for (network, keys, parts) in [
        (
            test,
            big_vpub.clone(),
            vec![
                "a Vpub (P2WSH of several signers)",
                "`2 KEY KEY KEY`",
                "begins with vpub",
            ],
        ),
        (
            main,
            big_zpub.clone(),
            vec!["a Zpub (P2WSH of several signers)", "begins with zpub"],
        ),
        (
            test,
            format!("2 {vpub}"),
            vec![
                "signer 1",
                "a vpub (P2WPKH of one signer)",
                "begins with Vpub",
                "its key alone",
            ],
        ),
        (
            test,
            format!("2 {big_vpub}"),
            vec!["2 of 1", "the keys of all of them"],
        ),
        (
            test,
            format!("wpkh({vpub})"),
            vec![
                "a vpub (P2WPKH of one signer)",
                "only tpub",
                "the vpub alone",
                "electrum-tools xpub convert standard",
            ],
        ),
        (
            main,
            format!("wpkh({ZPUB}/<0;1>/*)"),
            vec!["a zpub", "only xpub", "the zpub alone"],
        ),
        (
            main,
            format!("wsh(sortedmulti(1,{big_zpub}/0/*,{XPUB}/0/*))"),
            vec!["a Zpub", "`M Zpub... Zpub...`"],
        ),
        (
            test,
            format!("2of3 {big_vpub} {big_vpub} {big_vpub}"),
            vec!["`2 KEY KEY KEY`"],
        ),
        (
            test,
            format!("2-of-3 {big_vpub} {big_vpub} {big_vpub}"),
            vec!["`2 KEY KEY KEY`"],
        ),
        (
            test,
            format!("2 of 3 {big_vpub} {big_vpub} {big_vpub}"),
            vec!["`2 KEY KEY KEY`"],
        ),
        (
            main,
            format!("{ZPUB} {XPUB}"),
            vec!["there are 2 keys", "`2 KEY KEY KEY`", "--wallet"],
        ),
        (
            main,
            vpub.clone(),
            vec![
                "a vpub (P2WPKH of one signer) of a test network",
                "the server is on mainnet",
                "--network testnet4",
                "begins with zpub",
            ],
        ),
        (
            main,
            format!("pkh({tpub}/0/*)"),
            vec!["a tpub", "the server is on mainnet", "--network"],
        ),
        (
            test,
            ZPUB.to_owned(),
            vec![
                "a zpub (P2WPKH of one signer) of mainnet",
                "--network bitcoin",
                "begins with vpub",
            ],
        ),
        (
            test,
            format!("2 {big_vpub} {big_vpub}"),
            vec!["signer 2", "signer 1 again"],
        ),
        (
            test,
            format!("2 {big_vpub} {other}"),
            vec!["signer 2", "a tpub", "a Vpub", "of one kind"],
        ),
        (
            test,
            format!("3 {tpub} {other}"),
            vec!["3 of 2", "from 1 to 2"],
        ),
        (test, format!("0 {tpub} {other}"), vec!["0 of 2"]),
        (
            test,
            format!("2 {tpub} nonsense"),
            vec!["signer 2", "extended public key"],
        ),
        (
            main,
            format!("{}x", &ZPUB[..110]),
            vec!["begins with zpub6rFR", "checksum"],
        ),
        (main, ltub.clone(), vec!["nothing that can be watched"]),
        (
            main,
            format!("wpkh({ltub}/0/*)"),
            vec!["no extended public key of Bitcoin"],
        ),
        (
            main,
            "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3".into(),
            vec!["`1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3`", "mistyped"],
        ),
        (
            main,
            "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx".into(),
            vec!["another network", "--network testnet or testnet4 or signet"],
        ),
    ] {
        let error = on(network, &keys);
        for part in parts {
            assert!(error.contains(part), "{keys}: {part}: {error}");
        }
        // What is shown of a key is too little for anybody else; and no key that nobody typed.
        for key in keys
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| word.len() > 100)
        {
            assert!(!error.contains(&key[8..20]), "{keys}: {error}");
        }
    }
}

#[test]
fn descriptors_that_cannot_be_derived_are_refused_in_our_words() {
    for (keys, part) in [
        (format!("wpkh({XPUB}/0/*)#aaaaaaaa"), "checksum"),
        (
            "addr(bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu)#aaaaaaaa".to_owned(),
            "checksum",
        ),
        (format!("wpkh({XPUB}/0'/*)"), "hardened"),
        (format!("wpkh({XPUB}/0/*h)"), "hardened"),
        (format!("wpkh({XPUB}/0/*"), "brackets"),
        (
            format!("wsh(sortedmulty(2,{XPUB}/0/*))"),
            "did you mean sortedmulti()?",
        ),
        (format!("wphk({XPUB}/0/*)"), "did you mean wpkh()?"),
        (format!("rawtr({XPUB}/0/*)"), "rawtr() is not supported"),
        (
            format!("tr(musig({XPUB}/0/*,{XPUB}/1/*))"),
            "musig() is not supported",
        ),
        (
            format!("wsh(multi(3,{XPUB}/0/*,{XPUB}/1/*))"),
            "between 1 and the number of keys",
        ),
        (
            format!("sortedmulti(1,{XPUB}/0/*,{XPUB}/1/*,{XPUB}/2/*,{XPUB}/3/*)"),
            "at most 3 keys",
        ),
        (
            format!("sortedmulti(3,{XPUB}/0/*,{XPUB}/1/*)"),
            "between 1 and the number of keys",
        ),
        (format!("sortedmulti(1,{XPUB}/0'/*)"), "hardened"),
        (format!("combo({XPUB}/0'/*)"), "hardened"),
        (
            format!("wsh(sortedmulti(1,{XPUB}/<0;1>/*,{XPUB}/<2;3;4>/*))"),
            "numbers of paths",
        ),
        (format!("wsh(pk({XPUB}/0/*),1)"), ""),
        (
            "wpkh(hello)".to_owned(),
            "no output descriptor that can be derived",
        ),
        ("wpkh()".to_owned(), ""),
        (
            format!("wsh(and_v(pk({XPUB}/0/*),pk({XPUB}/1/*)))"),
            "not sound",
        ),
    ] {
        let error = format!("{:#}", read(&keys).unwrap_err());
        assert!(error.contains(part), "{keys}: {error}");
        for raw in [
            "unexpected",
            "unrecognized",
            "«",
            "Error",
            "parse",
            XPUB,
            "magic",
        ] {
            assert!(!error.contains(raw), "{keys}: {error}");
        }
    }
}

/// The scripts of `combo(xpub/0/*)`, from BIP 44, 49 and 84's own descriptors, and from the public key.
#[test]
fn combo_has_all_kinds_of_addresses() {
    let keychains = read(&format!("combo({XPUB}/0/*)"))
        .unwrap()
        .remove(0)
        .keychains;
    let scripts: Vec<_> = keychains
        .iter()
        .map(|keychain| keychain.script(3).unwrap())
        .collect();
    // BIP 84: the key of m/84'/0'/0'/0/0 is 0330d54f...; here the others of the same key.
    let wpkh = read(&format!("wpkh({XPUB}/0/*)")).unwrap()[0].keychains[0]
        .script(3)
        .unwrap();
    let pkh = read(&format!("pkh({XPUB}/0/*)")).unwrap()[0].keychains[0]
        .script(3)
        .unwrap();
    assert_eq!(scripts.len(), 4);
    assert!(scripts[0].is_p2pk());
    assert_eq!(
        scripts[0]
            .p2pk_public_key()
            .unwrap()
            .p2wpkh_script_code()
            .unwrap()
            .len(),
        25
    );
    assert_eq!(scripts[1], pkh);
    assert_eq!(scripts[2], wpkh);
    assert_eq!(scripts[3], wpkh.to_p2sh());
    let key = "0330d54fd0dd420a6e5f8d3624f5f3482cae350f79d5f0753bf5beef9c2d91af3c";
    let single = read(&format!("combo({key})")).unwrap().remove(0).keychains;
    assert_eq!(
        single[2].script(0).unwrap().to_hex_string(),
        // BIP 84's first receiving address.
        "0014c0cebcd6c3d3ca8c75dc5ec62ebe55330ef910e2"
    );
    assert_eq!(
        single[0].script(0).unwrap().to_hex_string(),
        format!("21{key}ac")
    );
    assert_eq!(single[0].script(1), None);
}

#[test]
fn a_bare_multisig_is_its_script_with_the_keys_sorted() {
    let keychains = read(&format!("sortedmulti(1,{XPUB}/0/*,{XPUB}/1/*)"))
        .unwrap()
        .remove(0)
        .keychains;
    // BIP 84's first receiving and first change key.
    let (receive, change) = (
        "0330d54fd0dd420a6e5f8d3624f5f3482cae350f79d5f0753bf5beef9c2d91af3c",
        "03025324888e429ab8e3dbaf1f7802648b9cd01e9b418485c5fa4c1b9b5700e1a6",
    );
    assert_eq!(
        keychains[0].script(0).unwrap().to_hex_string(),
        format!("5121{change}21{receive}52ae")
    );
    let both = read(&format!("sortedmulti(1,{XPUB}/<0;1>/*,{XPUB}/<2;3>/*)")).unwrap();
    assert_eq!(both[0].keychains.len(), 2);
    let [a, b] = [0, 1].map(|at| both[0].keychains[at].script(0).unwrap());
    assert_ne!(a, b);
}

#[test]
fn scripts_that_never_have_a_history_are_refused() {
    for keys in [
        "raw(6a0464656164)",
        "6a0464656164",
        "raw(6a)",
        "6A",
        "raw(6a04646561)",
    ] {
        let error = format!("{:#}", read(keys).unwrap_err());
        assert!(
            error.contains("OP_RETURN") && error.contains("no history"),
            "{keys}: {error}"
        );
    }
    // Keys and hashes that are taken for scripts would be watched in vain, and one of them may be secret.
    for length in [64, 66, 130, 40] {
        let hex = format!(
            "{}{}",
            if length == 130 { "04" } else { "02" },
            "ab".repeat((length - 2) / 2)
        );
        let error = format!("{:#}", read(&hex).unwrap_err());
        assert!(
            error.contains(&format!("{length} hexadecimal digits")),
            "{error}"
        );
        assert!(!error.contains("abab"), "{error}");
    }
}

#[test]
fn the_log_shows_of_a_wallet_what_only_its_owner_knows_again() {
    let address = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu";
    for (keys, expected) in [
        (ZPUB.to_owned(), "zpub6rFR...GutZYs"),
        (format!("wpkh({XPUB}/0/*)"), "wpkh() of xpub6Cat...7PW6V"),
        (format!("2 {XPUB} {XPUB} {XPUB}"), "2 of 3, xpub6Cat"),
        (address.to_owned(), "1 address or script"),
        (format!("{address} {address}"), "2 addresses or scripts"),
        (format!("addr({address})"), "1 address or script"),
        (
            "0014c0cebcd6c3d3ca8c75dc5ec62ebe55330ef910e2".to_owned(),
            "1 address or script",
        ),
        ("e9".repeat(64), "an old master public key"),
        (
            "wpkh(0330d54fd0dd420a6e5f8d3624f5f3482cae350f79d5f0753bf5beef9c2d91af3c)".to_owned(),
            "wpkh()",
        ),
    ] {
        let said = describe(&keys.parse().unwrap());
        assert!(
            said.contains(&expected[..expected.len().min(12)]),
            "{keys}: {said}"
        );
        assert!(
            said.len() < 60 && !said.contains("bc1q") && !said.contains("0330d54f"),
            "{said}"
        );
    }
}

#[test]
fn errors_of_wallets_say_where_they_stand() {
    let mut entry: WalletEntry = "a=hello".parse().unwrap();
    entry.origin = Some("config.ini, line 7".to_owned());
    let error = format!("{:#}", wallets(&[entry], Network::Bitcoin).unwrap_err());
    assert!(
        error.starts_with("config.ini, line 7: wallet \"a\": "),
        "{error}"
    );
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
