//! Partial transactions.

use serde_json::{Value, json};

use crate::{agree, answer, answers, answers_to_records, list, records, text, tools};

fn partial(name: &str) -> Vec<Value> {
    list(&records("electrum-psbt-legacy", "partial_tx.json"), name)
}

fn field<'a>(record: &'a Value, name: &str) -> &'a str {
    record[name].as_str().unwrap()
}

#[test]
fn transactions_are_described() {
    let transactions = partial("vectors");
    let found = answers_to_records(&["tx", "inspect", "-"], &transactions);
    for (record, found) in transactions.iter().zip(found) {
        assert_eq!(found["decoded"], record["decoded"], "{}", record["id"]);
        let names = record["decoded"].as_object().unwrap().keys();
        for name in names {
            assert_eq!(found[name], record["decoded"][name]);
        }
    }
    for record in transactions.iter().step_by(7) {
        let network = field(record, "network");
        let found = answer(&["tx", "inspect", "--network", network, field(record, "hex")]);
        assert_eq!(found["decoded"], record["decoded"]);
    }
}

#[test]
fn every_form_is_read() {
    let record = &partial("vectors")[0];
    let (hex, expected) = (field(record, "hex"), &record["decoded"]);
    let folder = tempfile::tempdir().unwrap();
    let check = |input: &[u8]| {
        let output = tools(&["--json", "tx", "inspect"], input);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(&found["decoded"], expected);
        let file = folder.path().join("transaction");
        std::fs::write(&file, input).unwrap();
        assert_eq!(
            &answer(&["tx", "inspect", file.to_str().unwrap()])["decoded"],
            expected
        );
    };
    let bytes: Vec<u8> = bitcoin::hex::FromHex::from_hex(hex).unwrap();
    check(hex.as_bytes());
    check(&bytes);
    check(hex.to_uppercase().as_bytes());
    // As mail programs break lines.
    let (head, tail) = hex.split_at(76);
    check(format!("{head}\n{tail}\n").as_bytes());
    let base43 = answer(&["tx", "encode-base43", hex]);
    check(field(&base43, "base43").as_bytes());
    let wrapper = json!({"hex": hex, "complete": false, "final": true});
    check(wrapper.to_string().as_bytes());
    check(serde_json::to_string_pretty(&wrapper).unwrap().as_bytes());
    for wrapper in partial("json_wrapper") {
        let wrapper = wrapper["text"]
            .as_str()
            .map_or_else(|| wrapper["object"].to_string(), str::to_owned);
        assert!(answer(&["tx", "inspect", &wrapper])["inputs"].is_array());
    }
}

#[test]
fn transactions_go_to_psbt_and_back() {
    let transactions = partial("vectors");
    let psbts = answers_to_records(&["tx", "to-psbt", "-"], &transactions);
    let mut whole = 0;
    for (record, psbt) in transactions.iter().zip(psbts) {
        let mut arguments = vec!["tx", "from-psbt", "--network", field(record, "network")];
        if field(record, "format") != "3.2" {
            arguments.push("--bare");
        }
        arguments.push(field(&psbt, "psbt"));
        let back = answer(&arguments);
        assert!(psbt["losses"].is_array());
        match back["error"]["message"].as_str() {
            None => {
                assert_eq!(back["hex"], record["hex"], "{}", record["id"]);
                whole += 1;
            }
            Some(error) => assert!(error.contains("lacks the amount"), "{error}"),
        }
        if let Some(other) = record["equivalent_psbt"].as_str() {
            let network = field(record, "network");
            let found = answer(&["tx", "from-psbt", "--network", network, other]);
            assert_eq!(found["hex"], record["hex"]);
        }
    }
    assert!(whole >= transactions.len() - 2, "{whole}");
}

#[test]
fn signed_transactions_are_finalized() {
    let mut signed = partial("vectors");
    signed.retain(|record| record["final_tx_hex"].is_string());
    let found = answers(
        &["tx", "finalize", "-"],
        signed.iter().map(|record| field(record, "final_tx_hex")),
    );
    for (record, found) in signed.iter().zip(found) {
        assert_eq!(agree(record, &found, &["final_tx_hex", "final_txid"]), 2);
    }
    let unsigned = answer(&["tx", "finalize", field(&signed[0], "hex")]);
    let message = field(&unsigned["error"], "message");
    assert!(
        message.contains("input 0 has 0 of 1 signatures; `tx inspect`"),
        "{message}"
    );
}

#[test]
fn a_spoilt_line_spoils_no_other() {
    let hex = field(&partial("vectors")[0], "hex").to_owned();
    let input = [hex.as_bytes(), b"\n\xff\n01\n", hex.as_bytes()].concat();
    let output = tools(&["--json", "tx", "inspect"], input);
    let lines = text(&output.stdout).lines();
    let refused: Vec<bool> = lines.map(|line| line.starts_with("{\"error\"")).collect();
    assert_eq!(refused, [false, true, true, false]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn wrong_signatures_are_pointed_out() {
    let mut signed = partial("vectors");
    signed.retain(|record| record["final_tx_hex"].is_string());
    // The first output's amount, which every signature is over, with one bit changed.
    let (hex, outputs) = (
        field(&signed[0], "final_tx_hex"),
        &signed[0]["decoded"]["outputs"],
    );
    let script = field(&outputs[0], "script_pubkey");
    let amount = hex.find(script).unwrap() - 18;
    let other = if &hex[amount..=amount] == "0" {
        "1"
    } else {
        "0"
    };
    let mut changed = hex.to_owned();
    changed.replace_range(amount..=amount, other);
    assert!(text(&tools(&["tx", "finalize", hex], "").stderr).is_empty());
    let warned = tools(&["tx", "finalize", &changed], "");
    assert!(
        text(&warned.stderr).contains("the network will refuse"),
        "{warned:?}"
    );
    let found = answer(&["tx", "inspect", &changed]);
    assert_eq!(found["signature_verdicts"], json!([["invalid"]]));
}

#[test]
fn what_electrum_refuses_is_refused() {
    let wrong = partial("negative");
    for (record, found) in wrong
        .iter()
        .zip(answers_to_records(&["tx", "inspect", "-"], &wrong))
    {
        if field(record, "electrum_3_3_8").starts_with("parsed") {
            assert_eq!(found["inputs"][0]["type"], "unknown");
        } else {
            assert_eq!(found["error"]["kind"], "refused", "{record}");
        }
    }
}

#[test]
fn base43_is_decoded() {
    let base43 = records("electrum-psbt-legacy", "base43.json");
    let texts = list(&base43, "vectors");
    let found = answers(
        &["tx", "decode-base43", "-"],
        texts.iter().map(|record| field(record, "base43")),
    );
    for (record, found) in texts.iter().zip(found) {
        assert_eq!(agree(record, &found, &["hex", "bytes"]), 2);
        let again = answer(&["tx", "encode-base43", field(record, "hex")]);
        assert_eq!(agree(record, &again, &["base43", "chars"]), 2);
    }
    for record in list(&base43, "invalid") {
        let found = answer(&["tx", "decode-base43", field(&record, "input")]);
        assert_eq!(found["error"]["kind"], "refused", "{record}");
    }
}

#[test]
fn people_are_told_who_has_signed() {
    let record = &partial("vectors")[0];
    let output = tools(&["tx", "inspect", field(record, "hex")], "");
    let said = text(&output.stdout);
    assert!(
        said.starts_with("partial transaction of Electrum 3.2 to 3.3, 0 of 1 signatures"),
        "{said}"
    );
    assert!(said.contains("/0/0, not signed"), "{said}");
    let signed = partial("vectors");
    let signed = signed
        .iter()
        .find(|record| record["decoded"]["signature_count"][0] == 1)
        .unwrap();
    let found = answer(&["tx", "inspect", field(signed, "hex")]);
    assert!(
        found["signature_verdicts"].to_string().contains("of key"),
        "{found}"
    );
    let output = tools(&["tx", "inspect", field(signed, "hex")], "");
    assert!(text(&output.stdout).contains(", signed"));
}
