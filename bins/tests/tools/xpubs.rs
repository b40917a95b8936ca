//! Extended keys.

use serde_json::Value;

use crate::{agree, answer, answers, answers_to_records, list, records};

const FIELDS: &[&str] = &[
    "network",
    "payload_hex",
    "version",
    "xtype",
    "private",
    "depth",
    "parent_fingerprint",
    "child_number",
    "chaincode",
    "pubkey",
    "fingerprint",
    "converted",
    "converted_other_network",
    "descriptors",
    "addresses_0_0_to_2",
    "addresses_1_0",
];

fn field<'a>(record: &'a Value, name: &str) -> &'a str {
    record[name].as_str().unwrap()
}

#[test]
fn keys_say_what_they_are() {
    let keys = list(&records("slip132", "slip132.json"), "vectors");
    let found = answers_to_records(&["xpub", "inspect", "-", "--private"], &keys);
    let mut seen = 0;
    for (record, found) in keys.iter().zip(found) {
        seen += agree(record, &found, FIELDS);
    }
    assert!(seen > 250, "{seen}");
    let found = answers(
        &["xpub", "inspect", "-"],
        keys.iter().map(|key| field(key, "key")),
    );
    for (record, found) in keys.iter().zip(found) {
        agree(record, &found, FIELDS);
    }
}

#[test]
fn keys_are_converted() {
    for record in list(&records("slip132", "slip132.json"), "vectors") {
        let Some(forms) = record["converted"].as_object() else {
            continue;
        };
        for (kind, form) in forms {
            let convert = |options: &[&str]| {
                let command = ["xpub", "convert", kind, field(&record, "key")];
                answer(&[&command, options].concat())["key"].clone()
            };
            assert_eq!(convert(&[]), form["pub"]);
            let by_prefix = &field(form, "pub")[..4];
            let converted = answer(&["xpub", "convert", by_prefix, field(&record, "key")]);
            assert_eq!(converted["key"], form["pub"]);
            if !form["prv"].is_null() {
                assert_eq!(convert(&["--private"]), form["prv"]);
            }
        }
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let keys = list(&records("slip132", "slip132.json"), "invalid_keys");
    for (record, found) in keys
        .iter()
        .zip(answers_to_records(&["xpub", "inspect", "-"], &keys))
    {
        assert_eq!(found["error"]["kind"], "refused", "{record}: {found}");
    }
    let accepted = |record: &&Value| record["electrum_4_8_1_BIP32Node_from_xkey"] == "accepted";
    for record in keys.iter().filter(accepted) {
        let key = field(record, "key");
        let refused = answer(&["xpub", "inspect", key]);
        assert!(
            field(&refused["error"], "message").ends_with("--lenient"),
            "{refused}"
        );
        assert_eq!(answer(&["xpub", "inspect", "--lenient", key])["depth"], 0);
    }
    let litecoin = "Ltub2SSUS19CirucWFod2ZsYA2J4v4U76YiCXHdcQttnoiy5aGanFHCPDBX7utfG6f95u1cUbZJNafmvzNCzZZJTw1EmyFoL8u1gJbGM8ipu491";
    let found = answer(&["xpub", "inspect", litecoin]);
    let message = field(&found["error"], "message");
    assert!(message.ends_with("try --network 'Litecoin'"), "{message}");
    let found = answer(&["xpub", "inspect", litecoin, "--network", "litecoin"]);
    assert_eq!(found["network"], "Litecoin");
}

#[test]
fn wallets_have_descriptors_and_addresses() {
    for record in list(&records("slip132", "slip132.json"), "multisig_descriptors") {
        let is_private = field(&record, "descriptor_external").contains("tprv");
        let keys = record["master_keys"].as_array().unwrap().iter();
        let keys = keys.map(|key| {
            let private = key["xprv"].as_str().filter(|_| is_private);
            private.unwrap_or_else(|| field(key, "xpub"))
        });
        let mut arguments = vec!["xpub", "descriptor", "--private"];
        arguments.extend(keys);
        if let Some((needed, _)) = field(&record, "wallet_type").split_once("of") {
            arguments.extend(["--threshold", needed]);
        }
        let found = answer(&arguments);
        assert_eq!(
            agree(&record, &found, &["first_receiving", "first_change"]),
            2
        );
        let body =
            |record: &Value, name: &str| field(record, name).split('#').next().unwrap().to_owned();
        for name in ["descriptor_external", "descriptor_change"] {
            assert_eq!(body(&found, name), body(&record, name));
            // And back.
            let keys = answer(&["xpub", "descriptor", "--private", field(&found, name)]);
            assert_eq!(keys["keys"], found["keys"]);
        }
    }
}

#[test]
fn cosigners_have_addresses_together() {
    for record in list(&records("electrum-seed", "seeds.json"), "multisig_wallets") {
        let keys = record["cosigners"].as_array().unwrap().iter();
        let needed = record["m"].to_string();
        let mut arguments = vec!["xpub", "descriptor", "-m", &needed];
        arguments.extend(keys.map(|key| field(key, "xpub")));
        let found = answer(&arguments);
        assert_eq!(agree(&record, &found, &["receiving", "change"]), 2);
    }
}
