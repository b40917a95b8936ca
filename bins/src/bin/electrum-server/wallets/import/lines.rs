//! The text of a file that another program reads, and errors that name its lines.

use std::fmt;
use std::path::Path;

use anyhow::{Context, anyhow};

/// Reads a file as text: UTF-8, with or without a byte order mark.
///
/// # Errors
///
/// The file cannot be read, or has bytes that are no text.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(anyhow!(
            "{} is written in UTF-16: save it as UTF-8",
            path.display()
        ));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        anyhow!(
            "{}, line {line}: a character is not UTF-8: save the file as UTF-8",
            path.display()
        )
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned())
}

/// Returns the lines of a text with their numbers. Lines end with LF, CR LF or CR.
pub(super) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(
        text.lines()
            .flat_map(|line| line.trim_end_matches('\r').split('\r')),
    )
}

/// What is wrong with a line.
#[derive(Debug)]
pub(super) struct WrongLine {
    pub(super) line: usize,
    pub(super) problem: String,
}

impl WrongLine {
    pub(super) fn new(line: usize, problem: impl Into<String>) -> Self {
        Self {
            line,
            problem: problem.into(),
        }
    }
}

impl fmt::Display for WrongLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for WrongLine {}
