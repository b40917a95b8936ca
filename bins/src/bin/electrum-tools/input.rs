//! Where the inputs of a command come from: the command line, standard input line by line, or a hidden prompt.

use std::io::{self, BufRead, IsTerminal, Read};
use std::process::ExitCode;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::report::{Failure, Report};

/// Bytes of a line at most: a transaction of the largest size in hex, and room to spare.
const MAX_LINE: u64 = 16 << 20;

/// What to do with lines that are empty or white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlankLines {
    /// They separate.
    Skip,
    /// They are inputs like all others, so that every line has its answer.
    Keep,
}

/// Answers one input of the command line, or every line of standard input for `-`.
pub(crate) fn each(
    given: &str,
    as_json: bool,
    blank: BlankLines,
    mut answer: impl FnMut(&Entry<'_>) -> Result<Report, Failure>,
) -> Result<ExitCode, Failure> {
    if given != "-" {
        answer(&Entry::plain(given))?.print(as_json);
        return Ok(ExitCode::SUCCESS);
    }
    each_line_of(&mut io::stdin().lock(), as_json, blank, answer)
}

/// Answers every line of a text.
pub(crate) fn each_line_of(
    input: &mut impl BufRead,
    as_json: bool,
    blank: BlankLines,
    mut answer: impl FnMut(&Entry<'_>) -> Result<Report, Failure>,
) -> Result<ExitCode, Failure> {
    each_line(input, blank, |number, line| {
        let answered = line.and_then(|line| answer(&Entry::read(line)));
        match &answered {
            Ok(report) => report.print(as_json),
            Err(failure) => failure.print(as_json, Some(number)),
        }
        answered.is_ok()
    })
}

/// Hands over the lines with their numbers; the exit code says whether all were good.
fn each_line(
    input: &mut impl BufRead,
    blank: BlankLines,
    mut take: impl FnMut(usize, Result<&str, Failure>) -> bool,
) -> Result<ExitCode, Failure> {
    let unreadable =
        |error: io::Error| Failure::refused(format!("cannot read standard input: {error}"));
    let mut all_good = true;
    for number in 1.. {
        let mut bytes = Zeroizing::new(Vec::new());
        let count = input
            .by_ref()
            .take(MAX_LINE)
            .read_until(b'\n', &mut bytes)
            .map_err(unreadable)?;
        if count == 0 {
            break;
        }
        if bytes.last() != Some(&b'\n') && count as u64 == MAX_LINE {
            let message = format!("line {number} has more than {MAX_LINE} bytes");
            return Err(Failure::refused(message));
        }
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line =
            std::str::from_utf8(line).map_err(|_| Failure::refused("the line is not valid UTF-8"));
        let is_blank = line.as_ref().is_ok_and(|line| line.trim().is_empty());
        if !(is_blank && blank == BlankLines::Skip) {
            all_good &= take(number, line);
        }
    }
    Ok(match all_good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// One input: a text, or a JSON object that also says what the options say otherwise.
///
/// Lines are erased when they are answered; the texts inside of objects are not.
pub(crate) struct Entry<'a> {
    text: &'a str,
    fields: Map<String, Value>,
}

impl<'a> Entry<'a> {
    /// The text as it is.
    pub(crate) fn plain(text: &'a str) -> Self {
        let fields = Map::new();
        Self { text, fields }
    }

    /// A line, which may be an object.
    pub(crate) fn read(text: &'a str) -> Self {
        let fields = match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text).unwrap_or_default(),
            false => Map::new(),
        };
        Self { text, fields }
    }

    /// The field of the first of these names that there is, or the text.
    pub(crate) fn main(&self, names: &[&str]) -> &str {
        names
            .iter()
            .find_map(|name| self.text_field(name))
            .unwrap_or(self.text)
    }

    /// A field that is a text.
    pub(crate) fn text_field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }

    /// A field of any type.
    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }
}

/// Asks for a secret without showing it; reads standard input where nobody sits before it.
pub(crate) fn ask(what: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    rpassword::prompt_password(format!("{what} (hidden): "))
        .map(|text| Some(Zeroizing::new(text)))
        .map_err(|error| Failure::refused(format!("cannot ask for the {what}: {error}")))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        /// Every line has its place, and says as an entry what it says as text or in a field.
        #[test]
        fn any_bytes_are_lines(bytes in vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'{')], 0..100), object in "\\{(\"text\":)?\\PC{0,20}\\}?") {
            let bytes = [&bytes, b"\n".as_slice(), object.as_bytes(), b"\n"].concat();
            let found = lines(&bytes, BlankLines::Keep);
            let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(found.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=ends).collect::<Vec<_>>());
            for line in found.into_iter().filter_map(|(_, line)| line) {
                let entry = Entry::read(&line);
                let main = entry.main(&["text"]);
                assert!(main == line || entry.text_field("text") == Some(main));
            }
        }
    }

    fn lines(input: &[u8], blank: BlankLines) -> Vec<(usize, Option<String>)> {
        let mut lines = Vec::new();
        each_line(&mut &*input, blank, |number, line| {
            lines.push((number, line.ok().map(str::to_owned)));
            true
        })
        .unwrap();
        lines
    }

    #[test]
    fn lines_end_with_line_feeds_only() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            lines(b"a\r\n\nb\x0bc\xe2\x80\xa8d\n\xff\ne", BlankLines::Keep),
            [
                (1, some("a")),
                (2, some("")),
                (3, some("b\x0bc\u{2028}d")),
                (4, None),
                (5, some("e"))
            ]
        );
        assert_eq!(lines(b"\n \na\n", BlankLines::Skip), [(3, some("a"))]);
    }

    #[test]
    fn an_entry_is_text_or_an_object() {
        let main = |line: &str| Entry::read(line).main(&["phrase", "input"]).to_owned();
        assert_eq!(main("a b"), "a b");
        assert_eq!(main("{a"), "{a");
        assert_eq!(main(r#"{"x": 1}"#), r#"{"x": 1}"#);
        assert_eq!(main(r#"{"input": "a\nb", "id": 7}"#), "a\nb");
        assert_eq!(
            Entry::plain(r#"{"input": ""}"#).main(&["input"]),
            r#"{"input": ""}"#
        );
    }
}
