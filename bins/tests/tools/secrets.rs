//! Where secrets may be seen.

use crate::{answer, text, tools};

const PHRASE: &str =
    "wild father tree among universe such mobile favorite target dynamic credit identify";
const XPRV: &str = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPHF6XHZFLgGZwNL8cXqQYqxZ6Lmn5mQ9kVqHTCpzJeJ";

#[test]
fn secrets_on_the_command_line_are_warned_of() {
    let warned = |arguments: &[&str], input: &str| {
        let output = tools(arguments, input);
        let said = text(&output.stderr).contains("warning:");
        assert!(
            !text(&output.stderr).contains("wild father"),
            "{arguments:?}"
        );
        said
    };
    for command in [
        &["seed-version"][..],
        &["seed", "check"],
        &["seed", "derive"],
        &["seed", "normalize"],
    ] {
        assert!(warned(&[command, &[PHRASE]].concat(), ""), "{command:?}");
        assert!(!warned(&[command, &["-"]].concat(), PHRASE), "{command:?}");
        // Without a terminal there is nobody to ask: standard input is read.
        assert!(!warned(command, PHRASE), "{command:?}");
    }
    assert!(warned(
        &["seed", "derive", "-", "--passphrase", "x"],
        PHRASE
    ));
    assert!(warned(
        &[
            "seed",
            "new",
            "--entropy",
            "7fffffffffffffffffffffffffffffff0"
        ],
        ""
    ));
    assert!(warned(&["xpub", "inspect", XPRV], ""));
    assert!(!warned(&["xpub", "inspect", "-"], XPRV));
    assert!(!warned(&["xpub", "inspect", "xpub"], ""));
}

#[test]
fn private_keys_are_printed_when_asked_for_only() {
    for arguments in [
        &["seed", "derive", PHRASE][..],
        &["--json", "seed", "derive", PHRASE],
    ] {
        let public = tools(arguments, "");
        let private = tools(&[arguments, &["--private"]].concat(), "");
        let secrets = ["zprv", "aac2a6302e48577a"];
        assert!(
            secrets
                .iter()
                .all(|secret| !text(&public.stdout).contains(secret))
        );
        assert!(
            secrets
                .iter()
                .all(|secret| text(&private.stdout).contains(secret))
        );
    }
    let old =
        "powerful random nobody notice nothing important anyway look away hidden message over";
    let found = answer(&["seed", "derive", "-n1", old]);
    assert!(found["stretched_secexp"].is_null() && found["hex_seed"].is_null());
    assert_eq!(found["receiving"][0], "1FJEEB8ihPMbzs2SkLmr37dHyRFzakqUmo");
}

#[test]
fn refusals_do_not_repeat_private_keys() {
    let output = tools(&["xpub", "inspect", XPRV], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(!text(&output.stderr).contains(XPRV.get(20..40).unwrap()));
}
