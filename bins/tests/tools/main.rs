//! `electrum-tools` answers every published record, and refuses what is wrong in words that help.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod behaviour;
mod errors;
mod secrets;
mod seeds;
mod transactions;
mod xpubs;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The records of a crate's test data; each file names the source of each record.
fn records(krate: &str, file: &str) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join(krate).join("tests/data").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn list(records: &Value, name: &str) -> Vec<Value> {
    records[name].as_array().unwrap().clone()
}

/// Runs the program to its end.
fn tools(arguments: &[&str], input: impl AsRef<[u8]>) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_electrum-tools"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = input.as_ref().to_vec();
    // Both ends at once: the answers may fill their pipe before all questions are written.
    let writer = std::thread::spawn(move || {
        // A program that reads nothing has closed its end already.
        let _ = pipe.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The one object that the program prints with `--json`.
fn answer(arguments: &[&str]) -> Value {
    let output = tools(&[&["--json"], arguments].concat(), "");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", text(&output.stderr)))
}

/// One object per line of input.
fn answers<'a>(arguments: &[&str], lines: impl IntoIterator<Item = &'a str>) -> Vec<Value> {
    let lines: Vec<&str> = lines.into_iter().collect();
    let output = tools(&[&["--json"], arguments].concat(), lines.join("\n") + "\n");
    let answers: Vec<Value> = text(&output.stdout)
        .split_terminator('\n')
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), lines.len(), "{}", text(&output.stderr));
    answers
}

/// The same for whole records, which are objects already.
fn answers_to_records(arguments: &[&str], records: &[Value]) -> Vec<Value> {
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    answers(arguments, lines.iter().map(String::as_str))
}

/// What the record has of these fields is what the answer has; of lists the first elements. Counts them.
///
/// A field is `name`, or `name=name in the record`.
fn agree(record: &Value, answer: &Value, fields: &[&str]) -> usize {
    let mut seen = 0;
    for field in fields {
        let (ours, theirs) = field.split_once('=').unwrap_or((field, field));
        let (found, expected) = (&answer[ours], &record[theirs]);
        if expected.is_null() {
            continue;
        }
        match (found.as_array(), expected.as_array()) {
            (Some(found), Some(expected)) => {
                assert_eq!(
                    found[..expected.len().min(found.len())],
                    **expected,
                    "{field}: {record}"
                );
            }
            _ => assert_eq!(found, expected, "{field} of {record}: {answer}"),
        }
        seen += 1;
    }
    seen
}
