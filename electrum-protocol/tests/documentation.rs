//! The tables of `docs/protocol.md` are those of the code.

#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::fmt::Write;
use std::path::Path;

use electrum_protocol::method::EXTENDED_PARAMETERS;
use electrum_protocol::{Method, ProtocolVersion};

/// The table of the methods that some version of the specification has.
fn methods() -> String {
    let mut table = "| method |".to_owned();
    for version in ProtocolVersion::SPOKEN {
        write!(table, " {version} |").unwrap();
    }
    table += "\n|---|";
    table += &":-:|".repeat(ProtocolVersion::SPOKEN.len());
    table += "\n";
    for method in Method::ALL.iter().filter(|method| !method.is_extension()) {
        write!(table, "| `{method}` |").unwrap();
        for version in ProtocolVersion::SPOKEN {
            table += match method.exists_in(version) {
                true => " x |",
                false => "  |",
            };
        }
        table += "\n";
    }
    table
}

/// The list of what no version of the specification has.
fn extensions() -> String {
    let extensions = Method::ALL.iter().filter(|method| method.is_extension());
    let names = extensions.map(|method| method.name());
    names
        .chain(EXTENDED_PARAMETERS)
        .map(|name| format!("- `{name}`\n"))
        .collect()
}

/// Set this to have the file changed in the place of a failure.
const UPDATE: &str = "UPDATE_DOCS";

#[test]
fn the_tables_of_the_documentation_are_those_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    // A package of this crate alone comes without the project's documents.
    let Ok(written) = std::fs::read_to_string(&path) else {
        return;
    };
    let mut expected = written.clone();
    for (name, text) in [("methods", methods()), ("extensions", extensions())] {
        let (begin, end) = (
            format!("<!-- {name} -->\n"),
            format!("<!-- end of {name} -->"),
        );
        let (before, rest) = expected.split_once(&begin).expect("the mark is there");
        let (_, after) = rest.split_once(&end).expect("the end mark is there");
        expected = format!("{before}{begin}\n{text}\n{end}{after}");
    }
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &expected).unwrap();
    } else {
        assert!(
            written == expected,
            "docs/protocol.md differs from the table of methods; set {UPDATE} to write it anew:\n{expected}"
        );
    }
}
