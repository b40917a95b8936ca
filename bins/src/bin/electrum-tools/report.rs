//! What the program says in the end: for people, or as JSON for machines.

use std::borrow::Cow;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use serde_json::{Value, json};

/// A result, in both forms.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) human: String,
    pub(crate) json: Value,
}

impl Report {
    pub(crate) fn print(&self, as_json: bool) {
        say(match as_json {
            true => format!("{}\n", self.json),
            false => format!("{}\n", visible(&self.human)),
        });
    }
}

/// Why standard output could not be written, once it could not.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// Writes to standard output. Whether that worked is asked in the end, by [`is_written`].
pub(crate) fn say(text: impl AsRef<[u8]>) {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_ref()).and_then(|()| out.flush());
    match written {
        // Whoever reads has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            // The first reason is the one that counts.
            let _ = UNWRITTEN.set(error);
        }
        Ok(()) | Err(_) => {}
    }
}

/// Whether everything that was said was written; complains if not.
pub(crate) fn is_written() -> bool {
    let Some(error) = UNWRITTEN.get() else {
        return true;
    };
    let _ = writeln!(
        io::stderr(),
        "error: cannot write to standard output: {error}"
    );
    false
}

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The answer is no: the input is not what it should be, or the server refused.
    Refused { message: String, code: Option<i32> },
    /// The program was called in a wrong way.
    Usage(String),
    /// The server cannot be reached, or does not speak as it should.
    Network(String),
}

impl Failure {
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Refused {
            message: message.into(),
            code: None,
        }
    }

    /// Says it: on standard error, or as JSON where the result would have been.
    ///
    /// `line` is the number of the input's line where there are several.
    pub(crate) fn print(&self, as_json: bool, line: Option<usize>) {
        let (kind, message, code) = match self {
            Self::Refused { message, code } => ("refused", message, *code),
            Self::Usage(message) => ("usage", message, None),
            Self::Network(message) => ("network", message, None),
        };
        if as_json {
            let mut error = json!({"kind": kind, "message": message});
            if let Some(fields) = error.as_object_mut() {
                let code = code.map(|code| ("code".to_owned(), code.into()));
                let line = line.map(|line| ("line".to_owned(), line.into()));
                fields.extend(code.into_iter().chain(line));
            }
            say(format!("{}\n", json!({"error": error})));
        } else {
            let line = line.map_or_else(String::new, |line| format!("line {line}: "));
            let _ = writeln!(
                io::stderr().lock(),
                "electrum-tools: {line}{}",
                visible(message)
            );
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused { .. } => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::Network(_) => ExitCode::from(3),
        }
    }
}

/// Shows what would command a terminal: what servers say is text of strangers. Lines stay lines.
fn visible(text: &str) -> Cow<'_, str> {
    let commands = |character: char| character.is_control() && !"\n\t".contains(character);
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match commands(character) {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// Something that the user should know, beside the result.
pub(crate) fn warn(message: &str) {
    let _ = writeln!(io::stderr().lock(), "electrum-tools: warning: {message}");
}

/// All of standard input, or of a file.
pub(crate) fn read_input(file: &str) -> Result<String, Failure> {
    let text = match file {
        "-" => io::read_to_string(io::stdin().lock()),
        file => std::fs::read_to_string(file),
    };
    let name = if file == "-" { "standard input" } else { file };
    text.map_err(|error| Failure::refused(format!("cannot read {name}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_takes_no_orders_from_servers() {
        let check = |text: &str, expected: &str| assert_eq!(visible(text), expected);
        check("two\n\tlines of ünïcode", "two\n\tlines of ünïcode");
        check("\u{1b}[2J\rgone\u{9b}", "\\u{1b}[2J\\rgone\\u{9b}");
    }
}
