//! The program's own transcripts say something about everything, and nothing that cannot be understood.

use std::collections::BTreeSet;
use std::path::Path;

use electrum_protocol::method::EXTENDED_PARAMETERS;
use electrum_protocol::{Method, ProtocolVersion};
use serde_json::Value;

use super::transcript::{Answer, Check, Level, Step, Transcript};
use super::{OWN, facts, matcher, parse, proofs};

fn own() -> Vec<Transcript> {
    let read =
        |(name, text): &(&str, &str)| parse(name, text).map_err(|error| format!("{error:?}"));
    OWN.iter().map(read).collect::<Result<_, _>>().unwrap()
}

fn checks(transcripts: &[Transcript]) -> impl Iterator<Item = (&Transcript, &Check)> {
    transcripts.iter().flat_map(|transcript| {
        transcript
            .checks
            .iter()
            .map(move |check| (transcript, check))
    })
}

/// Every method at every version that has it: at least one request that is right, and one that is wrong.
#[test]
fn every_method_is_checked_at_every_version() {
    let transcripts = own();
    let mut missing = Vec::new();
    for method in Method::ALL {
        for version in ProtocolVersion::SPOKEN {
            if !method.exists_in(version) {
                continue;
            }
            for refusal in [false, true] {
                let covered = checks(&transcripts).any(|(_, check)| {
                    check.method == method.name()
                        && check.versions.contain(version)
                        && !check.is_about_notifications()
                        && check.is_about_refusal() == refusal
                        && (check.extension.is_some() == method.is_extension())
                });
                // Before 1.1 a refused transaction is a result.
                if !covered {
                    missing.push(format!("{version} {method}, refusal: {refusal}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn what_a_version_does_not_have_is_refused_there() {
    let transcripts = own();
    for method in Method::ALL {
        for version in ProtocolVersion::SPOKEN {
            let denied = checks(&transcripts).any(|(transcript, check)| {
                transcript.name == "other_versions"
                    && check.method == method.name()
                    && check.versions.contain(version)
            });
            assert_eq!(denied, !method.exists_in(version), "{version} {method}");
            // Whatever else is said about a method is said of versions that have it.
            let others = checks(&transcripts).any(|(transcript, check)| {
                transcript.name != "other_versions"
                    && check.method == method.name()
                    && check.versions.contain(version)
            });
            assert_eq!(others, method.exists_in(version), "{version} {method}");
        }
    }
}

#[test]
fn extensions_are_marked_and_known() {
    let transcripts = own();
    let known: BTreeSet<&str> = Method::ALL
        .iter()
        .filter(|method| method.is_extension())
        .map(|method| method.name())
        .chain(EXTENDED_PARAMETERS)
        .collect();
    let marked: BTreeSet<&str> = checks(&transcripts)
        .filter_map(|(_, check)| check.extension.as_deref())
        .collect();
    assert_eq!(known, marked);
}

/// Names in a text that stand for values: `$name` or `$name.part`.
fn names(text: &str) -> Vec<String> {
    let name = |piece: &str| {
        let end = piece.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        piece[..end.unwrap_or(piece.len())].to_owned()
    };
    text.split('$').skip(1).map(name).collect()
}

fn walk(pattern: &Value, texts: &mut Vec<String>) {
    match pattern {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| walk(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| walk(value, texts)),
        _ => {}
    }
}

/// A name that nothing stands for would leave a check out for ever, a misspelt shape would fail it.
#[test]
fn names_shapes_and_tests_are_known() {
    for (transcript, check) in checks(&own()) {
        let place = format!("{}:{}", transcript.name, check.line);
        let mut known: BTreeSet<String> = BTreeSet::new();
        let is_known = |known: &BTreeSet<String>, text: &str| {
            for name in names(text) {
                assert!(
                    known.contains(&name) || facts::names().any(|fact| fact == name),
                    "{place}: ${name}"
                );
            }
        };
        for step in &check.steps {
            match step {
                Step::Say(line) => is_known(&known, line),
                Step::Expect(_, Answer::Close) => {}
                Step::Expect(_, Answer::Line(pattern)) | Step::Notification(_, pattern) => {
                    let mut texts = Vec::new();
                    walk(pattern, &mut texts);
                    for text in texts {
                        let (name, shape) =
                            match text.strip_prefix('$').and_then(|t| t.split_once('=')) {
                                Some((name, shape)) => (Some(name), shape),
                                None => (None, text.as_str()),
                            };
                        assert!(matcher::is_understood(shape), "{place}: {shape}");
                        is_known(&known, shape);
                        known.extend(name.map(str::to_owned));
                    }
                    known.insert("result".into());
                }
                Step::Test(_, words) => {
                    let (name, args) = words.split_first().expect("a test has a name");
                    let test = (name.as_str(), args.len());
                    assert!(proofs::TESTS.contains(&test), "{place}: {test:?}");
                    args.iter().for_each(|arg| is_known(&known, arg));
                }
            }
        }
    }
}

#[test]
fn every_check_expects_something() {
    for (transcript, check) in checks(&own()) {
        let expects = check.steps.iter().any(|step| !matches!(step, Step::Say(_)));
        assert!(expects, "{}:{}", transcript.name, check.line);
        assert!(!check.method.is_empty() && !check.title.is_empty());
        // Nobody is forced to have what is no part of the specification.
        let forced = check.extension.is_none() && transcript.name == "other_versions";
        assert!(!forced || check.level == Level::May);
    }
}

#[test]
fn every_file_is_part_of_the_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into()
        })
        .collect();
    let played: BTreeSet<String> = OWN.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, played);
}

#[test]
fn the_format_is_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md");
    let text = std::fs::read_to_string(path).unwrap();
    for (test, _) in proofs::TESTS {
        assert!(text.contains(&format!("`{test} ")), "{test}");
    }
    for fact in facts::names() {
        assert!(text.contains(&format!("`${fact}")), "{fact}");
    }
}
