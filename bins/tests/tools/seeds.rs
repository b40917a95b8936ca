//! Seeds.

use serde_json::Value;

use crate::{agree, answer, answers, answers_to_records, list, records};

const ACCOUNT: &[&str] = &[
    "seed_type",
    "num_words",
    "normalized",
    "bip32_seed",
    "root_fingerprint",
    "derivation",
    "xtype",
    "xprv",
    "xpub",
    "receiving",
    "change",
    "receiving_pubkeys",
    "change_pubkeys",
];
const TWO_FACTOR: &[&str] = &[
    "xprv1",
    "xpub1",
    "xprv2",
    "xpub2",
    "xpub3",
    "long_user_id",
    "short_user_id",
    "billing_addresses_segwit",
    "billing_addresses_legacy",
];
const OLD: &[&str] = &[
    "num_words",
    "hex_seed",
    "stretched_secexp",
    "mpk",
    "root_fingerprint_psbt",
    "root_fingerprint=root_fingerprint_psbt",
    "receiving",
    "change",
    "receiving_pubkeys",
    "change_pubkeys",
];

fn field<'a>(record: &'a Value, name: &str) -> &'a str {
    record[name].as_str().unwrap()
}

#[test]
fn phrases_have_their_types() {
    let seeds = list(&records("electrum-seed", "seeds.json"), "vectors");
    let fields = ["seed_type", "num_words", "can_have_passphrase"];
    for (record, answer) in seeds
        .iter()
        .zip(answers_to_records(&["seed-version", "-"], &seeds))
    {
        assert!(agree(record, &answer, &fields) >= 2);
    }
    let phrases = answers(
        &["seed-version", "-"],
        seeds.iter().map(|seed| field(seed, "phrase")),
    );
    for (record, answer) in seeds.iter().zip(phrases) {
        agree(record, &answer, &fields);
    }
}

#[test]
fn both_systems_are_asked() {
    let phrases = list(
        &records("electrum-seed", "bip39_vs_electrum.json"),
        "vectors",
    );
    let fields = [
        "seed_type=electrum_type",
        "bip39_checksum_valid",
        "bip39_wordlist_valid",
        "ambiguous",
    ];
    for (record, found) in phrases
        .iter()
        .zip(answers_to_records(&["seed-version", "-"], &phrases))
    {
        assert_eq!(agree(record, &found, &fields), 4);
    }
    // Line breaks inside an argument are white space.
    for record in phrases
        .iter()
        .filter(|record| field(record, "phrase").contains('\n'))
    {
        agree(
            record,
            &answer(&["seed-version", field(record, "phrase")]),
            &fields,
        );
    }
}

#[test]
fn texts_are_normalized() {
    let texts = list(&records("electrum-seed", "normalization.json"), "vectors");
    for (record, found) in texts
        .iter()
        .zip(answers_to_records(&["seed", "normalize", "-"], &texts))
    {
        assert_eq!(found["output"], record["output"], "{record}");
    }
    for record in &texts {
        let found = answer(&["seed", "normalize", "--", field(record, "input")]);
        assert_eq!(found["output"], record["output"], "{record}");
    }
    let one_line = |record: &&Value| !field(record, "input").contains('\n');
    let texts: Vec<&Value> = texts.iter().filter(one_line).collect();
    let found = answers(
        &["seed", "normalize", "-"],
        texts.iter().map(|text| field(text, "input")),
    );
    for (record, found) in texts.iter().zip(found) {
        assert_eq!(found["output"], record["output"], "{record}");
    }
}

#[test]
fn seeds_have_their_keys_and_addresses() {
    let seeds = list(&records("electrum-seed", "seeds.json"), "vectors");
    let found = answers_to_records(&["seed", "derive", "-", "--private"], &seeds);
    let mut seen = 0;
    for (record, found) in seeds.iter().zip(found) {
        if record["seed_type"] == "" {
            assert_eq!(found["error"]["kind"], "refused", "{record}");
            continue;
        }
        seen += agree(record, &found, ACCOUNT) + agree(record, &found, TWO_FACTOR);
    }
    assert!(seen > 1000, "{seen}");
}

#[test]
fn options_say_what_fields_say() {
    let seeds = list(&records("electrum-seed", "seeds.json"), "vectors");
    let special = |seed: &&Value| {
        let network = seed["network"] == "testnet";
        let passphrase = !field(seed, "passphrase").is_empty();
        (network || passphrase || seed["for_multisig"] == true) && seed["seed_type"] != ""
    };
    // Each combination once or twice is enough, a process each.
    for record in seeds.iter().filter(special).step_by(4) {
        let mut arguments = vec!["seed", "derive", "--private", "-n6"];
        arguments.extend(["--network", field(record, "network")]);
        let passphrase = format!("--passphrase={}", field(record, "passphrase"));
        arguments.push(&passphrase);
        if record["for_multisig"] == true {
            arguments.push("--multisig");
        }
        arguments.push(field(record, "phrase"));
        assert!(agree(record, &answer(&arguments), ACCOUNT) > 5);
    }
}

#[test]
fn old_seeds_have_their_keys_and_addresses() {
    let old = records("electrum-seed", "old_seeds.json");
    let seeds = list(&old, "vectors");
    for (record, found) in seeds.iter().zip(answers_to_records(
        &["seed", "derive", "-", "--private"],
        &seeds,
    )) {
        assert_eq!(agree(record, &found, OLD), 10);
    }
    let texts = list(&old, "detection");
    for (record, found) in texts
        .iter()
        .zip(answers_to_records(&["seed-version", "-"], &texts))
    {
        assert_eq!(agree(record, &found, &["seed_type=calc_seed_type"]), 1);
    }
    for record in list(&old, "mpk_vectors") {
        let found = answer(&["xpub", "inspect", field(&record, "mpk")]);
        assert!(agree(&record, &found, &["mpk", "receiving"]) > 0);
    }
}

#[test]
fn phrases_of_bip39_are_opened_at_a_path() {
    let bip39 = records("electrum-seed", "bip39_vs_electrum.json");
    for record in list(&bip39, "bip39_derivations") {
        let network = field(&record, "network");
        let passphrase = format!("--passphrase={}", field(&record, "passphrase"));
        let path = field(&record, "derivation");
        let phrase = field(&record, "phrase");
        let options = [
            "--private",
            "--network",
            network,
            &passphrase,
            "--bip39",
            path,
        ];
        let found = answer(&[&["seed", "derive"], &options[..], &[phrase]].concat());
        let fields = ["xtype", "xprv", "xpub", "bip39_seed=root_seed"];
        assert_eq!(agree(&record, &found, &fields), 4);
        assert_eq!(found["receiving"][0], record["first_receiving"]);
    }
    for record in list(&bip39, "bip39_seeds") {
        let passphrase = format!("--passphrase={}", field(&record, "passphrase"));
        let phrase = field(&record, "phrase");
        let found = answer(&[
            "seed",
            "derive",
            "--private",
            "--bip39=m/84h/0h/0h",
            &passphrase,
            phrase,
        ]);
        assert_eq!(agree(&record, &found, &["bip39_seed"]), 1);
        assert_eq!(found["bip39_checksum_valid"], true);
    }
}

#[test]
fn earlier_versions_made_other_keys() {
    for record in list(
        &records("electrum-seed", "old_seeds.json"),
        "historic_divergences",
    ) {
        let input = field(&record, "input");
        let open = |version: &str| answer(&["seed", "derive", "--as-of", version, input]);
        if record["hex_seed"].is_string() {
            let refused = answer(&["seed", "derive", input]);
            let message = field(&refused["error"], "message");
            assert!(message.ends_with("--as-of 4.6.0 opens it"), "{message}");
            assert_eq!(open("4.6.0")["mpk"], record["mpk"]);
            assert_eq!(open("4.6.0")["receiving"][0], record["first_receiving"]);
        } else {
            let (then, now) = (&record["electrum_2_9_3"], &record["electrum_3_0_and_later"]);
            assert_eq!(open("2.9")["mpk"], then["mpk"]);
            assert_eq!(open("4.6.0")["mpk"], now["mpk"]);
            assert_eq!(answer(&["seed", "derive", input])["mpk"], now["mpk"]);
        }
    }
}

#[test]
fn phrases_are_made_of_entropy() {
    for record in list(&records("electrum-seed", "seeds.json"), "generation") {
        let bits = record["num_bits"].to_string();
        let made = answer(&[
            "seed",
            "new",
            "--type",
            field(&record, "seed_type"),
            "--language",
            field(&record, "language"),
            "--bits",
            &bits,
            "--entropy",
            field(&record, "start_entropy_hex"),
        ]);
        assert_eq!(
            made["error"].is_null(),
            record["error"].is_null(),
            "{record}: {made}"
        );
        if record["error"].is_null() {
            let fields = ["phrase", "nonce", "num_words", "num_bits", "seed_type"];
            assert_eq!(agree(&record, &made, &fields), 5);
        }
    }
}

#[test]
fn new_phrases_are_seeds() {
    for (kind, language) in [
        ("segwit", "en"),
        ("standard", "ja"),
        ("2fa", "es"),
        ("2fa_segwit", "zh"),
    ] {
        let made = answer(&["seed", "new", "--type", kind, "--language", language]);
        let phrase = field(&made, "phrase");
        assert_eq!(
            answer(&["seed", "check", "--type", kind, phrase])["valid"],
            true,
            "{phrase}"
        );
    }
    let first = answer(&["seed", "new"]);
    assert_ne!(first["phrase"], answer(&["seed", "new"])["phrase"]);
}

#[test]
fn words_are_completed() {
    let words =
        |arguments: &[&str]| answer(&[&["seed", "words"], arguments].concat())["words"].clone();
    assert_eq!(words(&["ABAN"]), serde_json::json!(["abandon"]));
    assert_eq!(
        words(&["--language", "old"]).as_array().unwrap().len(),
        1626
    );
    assert_eq!(words(&["Á", "--language", "es"])[0], "a\u{301}baco");
    let none = answer(&["seed", "words", "qq"]);
    assert_eq!(
        none["error"]["message"],
        "no word of the list begins with 'qq'"
    );
}
