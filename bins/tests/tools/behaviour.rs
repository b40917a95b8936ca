//! Exit statuses, many lines, errors that help, and the pages made from the definitions.

use serde_json::Value;

use crate::{answer, text, tools};

#[test]
fn exit_statuses_say_what_happened() {
    let check = |arguments: &[&str], input: &str, expected: i32| {
        let output = tools(arguments, input);
        assert_eq!(
            output.status.code(),
            Some(expected),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    };
    check(&["seed-version", "x8"], "", 0);
    // What a phrase is can always be said; whether it is a seed is a question of its own.
    check(&["seed-version", "x9"], "", 0);
    check(&["seed", "check", "x8"], "", 0);
    check(&["seed", "check", "x9"], "", 1);
    check(&["seed", "check", "-"], "x8\nx9\nx8\n", 1);
    check(&["seed", "check", "--type", "segwit", "x8"], "", 1);
    check(&["seed", "check", "--type", "taproot", "x8"], "", 2);
    check(&["seed", "derive", "x9"], "", 1);
    check(&["seed", "derive", "--ask-passphrase", "-"], "", 2);
    check(&["seed", "words", "--language", "tlh"], "", 2);
    check(&["seed", "new", "--type", "old"], "", 1);
    check(&["seed", "new", "--bits", "0"], "", 1);
    check(&["seed", "new", "--entropy", "xyz"], "", 1);
    check(&["xpub", "inspect", "xpub"], "", 1);
    check(&["xpub", "convert", "p2tr", "xpub"], "", 2);
    check(&["tx", "inspect", "no-such-file.txn"], "", 1);
    check(&["tx", "inspect", "00"], "", 1);
    check(&["address", "nowhere"], "", 1);
    check(&["ping", "127.0.0.1:1", "--timeout", "1"], "", 3);
}

#[test]
fn every_line_has_its_answer() {
    let output = tools(&["--json", "seed", "check", "-"], b"x8\nx9\n\n\xff\n9dk");
    assert_eq!(output.status.code(), Some(1));
    let lines = text(&output.stdout).lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(
        (&lines[0]["seed_type"], &lines[4]["seed_type"]),
        (&"standard".into(), &"segwit".into())
    );
    for (index, line) in lines[1..4].iter().enumerate() {
        assert_eq!(line["error"]["line"], index + 2);
    }
    let output = tools(&["seed", "check", "-"], "x8\nx9\n");
    assert!(text(&output.stdout).starts_with("valid: standard."));
    assert!(text(&output.stderr).starts_with("electrum-tools: line 2: not an Electrum seed"));
}

#[test]
fn errors_say_what_to_do_next() {
    let check = |arguments: &[&str], expected: &str| {
        let found = answer(arguments);
        let message = found["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    };
    let phrase =
        "wild father tree among universe such moblie favorite target dynamic credit identify";
    check(
        &["seed", "check", phrase],
        "word 7 'moblie' is not in the list; did you mean 'mobile'? With it, the phrase is valid",
    );
    check(&["seed", "derive", phrase], "did you mean 'mobile'?");
    let bip39 = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    check(&["seed", "check", bip39], "--bip39");
    assert_eq!(answer(&["seed", "check", "--bip39", bip39])["valid"], true);
    let zpub = "Zpub6ymNkfdyhypEoqQNNGAUz9gXeiWJsW8AWx8Aa6PnDdeL76UC9b1UPGmEvwWzzkVVghVQuDBry7CK7wCBBdysRQgFFmdDSqi5kWoZ3A4cBuA";
    check(&["xpub", "descriptor", zpub], "--threshold");
    let origin = format!("[b2e35a7d/2h]{zpub}");
    check(&["xpub", "descriptor", &origin, "-m1"], "the path ends in");
    check(
        &["tx", "inspect", "missing.txn"],
        "if it is a file, there is none of this name",
    );
    let transaction = format!("0100000001{}0000000000000000000000000000", "11".repeat(32));
    check(
        &["tx", "from-psbt", &transaction],
        "`tx to-psbt` goes the other way",
    );
}

#[test]
fn addresses_and_scripts_are_the_same() {
    let address = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
    let found = answer(&["address", address]);
    assert_eq!(found["type"], "p2pkh");
    let script = found["script_pubkey"].as_str().unwrap();
    assert_eq!(answer(&["address", script])["address"], address);
    assert_eq!(
        answer(&["scripthash", address])["script_hash"],
        found["script_hash"]
    );
    let line = format!("{{\"address\": \"{address}\", \"network\": \"testnet\"}}\n");
    let refused = tools(&["--json", "address", "-"], line);
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn pages_are_made_of_the_definitions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = tools(&["completions", shell], "");
        assert!(text(&output.stdout).contains("decode-base43"), "{shell}");
    }
    let page = tools(&["man"], "");
    assert!(text(&page.stdout).contains("Exit status"));
    let folder = tempfile::tempdir().unwrap();
    let written = tools(&["man", folder.path().to_str().unwrap()], "");
    assert!(written.status.success());
    let page = folder.path().join("electrum-tools-seed-derive.1");
    assert!(
        std::fs::read_to_string(page)
            .unwrap()
            .contains("ask\\-passphrase")
    );
}

#[test]
fn garbage_is_answered_line_by_line() {
    // Bytes of a linear congruential generator, and what looks like the beginning of something good.
    let mut state = 1_u32;
    let mut garbage = Vec::new();
    let beginnings = [
        "",
        "{",
        "xpub",
        "EPTF",
        "psbt",
        "01000000",
        "wpkh(",
        "[d34db33f/0h]",
        "{\"hex\":",
        "\"",
        "bc1",
    ];
    for line in 0..300 {
        garbage.extend(beginnings[line % beginnings.len()].bytes());
        for _ in 0..line % 70 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let byte = match line % 3 {
                // Letters and digits reach deeper.
                0 => b"0123456789ABCDEFabcdefxyz,/*()#' "[(state >> 24) as usize % 33],
                _ => (state >> 24) as u8,
            };
            garbage.push(if byte == b'\n' { b' ' } else { byte });
        }
        garbage.push(b'.');
        garbage.push(b'\n');
    }
    for command in [
        &["seed-version"][..],
        &["seed", "check"],
        &["seed", "derive", "-n1"],
        &["seed", "normalize"],
        &["xpub", "inspect"],
        &["xpub", "convert", "p2wpkh"],
        &["xpub", "descriptor"],
        &["tx", "decode-base43"],
        &["tx", "encode-base43"],
        &["address"],
        &["scripthash"],
    ] {
        let output = tools(&[&["--json"], command, &["-"][..]].concat(), &garbage);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{command:?}");
        let answers = output.stdout.split(|byte| *byte == b'\n').count() - 1;
        assert_eq!(answers, 300, "{command:?}: {}", text(&output.stderr));
    }
    for command in ["inspect", "to-psbt", "from-psbt", "finalize"] {
        let output = tools(&["--json", "tx", command, "-"], &garbage);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(!text(&output.stdout).is_empty());
    }
}

/// Output that cannot be written is no success; output that nobody reads is nobody's business.
#[test]
fn output_that_is_lost_is_an_error() {
    let run = |arguments: &[&str], stdout: std::process::Stdio| {
        let child = std::process::Command::new(env!("CARGO_BIN_EXE_electrum-tools"))
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .stdout(stdout)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let complaint = text(&output.stderr).to_owned();
        assert!(
            !complaint.contains("panicked"),
            "{arguments:?}: {complaint}"
        );
        (output.status.code(), complaint)
    };
    for arguments in [
        &["seed-version", "x8"][..],
        &["--json", "seed-version", "x8"],
        &["seed", "words", "--language", "english"],
        &["seed", "new"],
        &["scripthash", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"],
        &["--json", "scripthash", "nonsense"],
        &["completions", "bash"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let (status, complaint) = run(arguments, full.unwrap().into());
        assert_eq!(status, Some(1), "{arguments:?}");
        assert!(
            complaint.contains("cannot write to standard output"),
            "{complaint}"
        );
        // A pipe whose other end is gone.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (status, complaint) = run(arguments, writer.into());
        let expected = i32::from(arguments.contains(&"nonsense"));
        assert_eq!(status, Some(expected), "{arguments:?}");
        assert!(!complaint.contains("cannot write"), "{complaint}");
    }
}
