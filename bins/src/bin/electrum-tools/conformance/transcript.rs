//! The text of a transcript, read into checks. `docs/conformance.md` specifies the format.

use std::fmt;

use clap::ValueEnum;
use electrum_protocol::ProtocolVersion;
use serde_json::Value;

/// How much it matters that a server does as a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Level {
    /// The specification says so.
    Must,
    /// Known clients rely on it.
    Should,
    /// A matter of taste.
    May,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::May => "may",
        })
    }
}

/// A file of checks.
#[derive(Debug)]
pub(crate) struct Transcript {
    /// The name of the file without its ending.
    pub(crate) name: String,
    pub(crate) checks: Vec<Check>,
}

/// Something that a server does or does not.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) title: String,
    /// The method that it is about, or another word.
    pub(crate) method: String,
    /// The row of the table that it counts in, when that is not the method's.
    pub(crate) row: Option<String>,
    pub(crate) versions: Versions,
    pub(crate) level: Level,
    /// Applies only where the server has this extension, a name for `extensions` in `server.features`.
    pub(crate) extension: Option<String>,
    /// Speaks on a connection of its own, on which nothing was said before.
    pub(crate) alone: bool,
    pub(crate) steps: Vec<Step>,
    /// Where it stands in its file.
    pub(crate) line: usize,
}

/// One line of a check.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// `C:` what the client says.
    Say(String),
    /// `S:` what the server answers.
    Expect(Level, Answer),
    /// `N:` what a notification looks like, if one comes.
    Notification(Level, Value),
    /// `T:` what else is true about the answers.
    Test(Level, Vec<String>),
}

/// What a server answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A line of this shape.
    Line(Value),
    /// Nothing: it ends the connection.
    Close,
}

/// Some of the protocol's versions, as ranges with both ends.
#[derive(Clone, Debug)]
pub(crate) struct Versions(Vec<(ProtocolVersion, ProtocolVersion)>);

impl Versions {
    fn all() -> Self {
        Self::parse("0.10-").expect("0.10 is a version")
    }

    fn parse(text: &str) -> Option<Self> {
        let newest = *ProtocolVersion::SPOKEN.last()?;
        let range = |text: &str| {
            let (first, last) = text.trim().split_once('-').unwrap_or((text, text));
            let first = first.trim().parse().ok()?;
            let last = match last.trim() {
                "" => newest,
                last => last.parse().ok()?,
            };
            Some((first, last))
        };
        text.split(',').map(range).collect::<Option<_>>().map(Self)
    }

    pub(crate) fn contain(&self, version: ProtocolVersion) -> bool {
        let within = |(first, last): &(_, _)| (*first..=*last).contains(&version);
        self.0.iter().any(within)
    }
}

impl Check {
    /// Whether it says what comes without being asked for.
    pub(crate) fn is_about_notifications(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::Notification(..)))
    }

    /// Whether it needs what is known by a name.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        let name = format!("${name}.");
        self.steps.iter().any(|step| match step {
            Step::Say(line) => line.contains(&name),
            _ => false,
        })
    }

    /// Whether the server is expected to refuse something.
    #[cfg(test)]
    pub(crate) fn is_about_refusal(&self) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Expect(_, Answer::Line(line)) => line.get("error").is_some(),
            _ => false,
        })
    }
}

/// A text that is no transcript.
#[derive(Debug, thiserror::Error)]
#[error("{file}, line {line}: {what}")]
pub(crate) struct NoTranscript {
    file: String,
    line: usize,
    what: String,
}

/// What holds for the checks of a section unless they say something else.
struct Section {
    method: String,
    row: Option<String>,
    versions: Versions,
    level: Level,
    extension: Option<String>,
    alone: bool,
}

impl Section {
    fn of(method: &str) -> Self {
        Self {
            method: method.to_owned(),
            row: None,
            versions: Versions::all(),
            level: Level::Must,
            extension: None,
            alone: false,
        }
    }
}

impl Transcript {
    /// Reads the text of the file `name`.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, NoTranscript> {
        let mut section = Section::of("");
        let mut checks: Vec<Check> = Vec::new();
        // The check that lines are added to; none between the head of a section and its first check.
        let mut open = false;
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = |what: String| NoTranscript {
                file: name.to_owned(),
                line: number,
                what,
            };
            let current = checks.last_mut().filter(|_| open);
            if line.is_empty() || line.starts_with('#') {
                continue;
            } else if let Some(title) = line.strip_prefix("= ") {
                open = true;
                checks.push(Check {
                    title: title.trim().to_owned(),
                    method: section.method.clone(),
                    row: section.row.clone(),
                    versions: section.versions.clone(),
                    level: section.level,
                    extension: section.extension.clone(),
                    alone: section.alone,
                    steps: Vec::new(),
                    line: number,
                });
            } else if let Some(method) = line.strip_prefix("@ method ") {
                open = false;
                section = Section::of(method.trim());
            } else if let Some(directive) = line.strip_prefix("@ ") {
                let mut slots = Slots::of(&mut section, current);
                slots.set(directive.trim()).map_err(wrong)?;
            } else {
                let check = current.ok_or_else(|| wrong("no check has begun".into()))?;
                let step = step(line, check.level).map_err(wrong)?;
                check.steps.push(step);
            }
        }
        Ok(Self {
            name: name.to_owned(),
            checks,
        })
    }
}

/// What a directive can change: of a check, or of the checks to come.
struct Slots<'a> {
    row: &'a mut Option<String>,
    versions: &'a mut Versions,
    level: &'a mut Level,
    extension: &'a mut Option<String>,
    alone: &'a mut bool,
}

impl<'a> Slots<'a> {
    fn of(section: &'a mut Section, check: Option<&'a mut Check>) -> Self {
        match check {
            Some(check) => Self {
                row: &mut check.row,
                versions: &mut check.versions,
                level: &mut check.level,
                extension: &mut check.extension,
                alone: &mut check.alone,
            },
            None => Self {
                row: &mut section.row,
                versions: &mut section.versions,
                level: &mut section.level,
                extension: &mut section.extension,
                alone: &mut section.alone,
            },
        }
    }

    fn set(&mut self, directive: &str) -> Result<(), String> {
        let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        match word {
            "versions" => {
                *self.versions =
                    Versions::parse(rest).ok_or_else(|| format!("no versions: {rest}"))?;
            }
            "level" => *self.level = level(rest)?,
            "row" if !rest.is_empty() => *self.row = Some(rest.to_owned()),
            "extension" if !rest.is_empty() => *self.extension = Some(rest.to_owned()),
            "alone" => *self.alone = true,
            _ => return Err(format!("unknown directive: {directive}")),
        }
        Ok(())
    }
}

fn level(word: &str) -> Result<Level, String> {
    Level::from_str(word, false).map_err(|_| format!("unknown level: {word}"))
}

fn step(line: &str, of_check: Level) -> Result<Step, String> {
    let (head, rest) = line.split_once(':').ok_or("what is this line?")?;
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let (letter, word) = head.split_once(' ').unwrap_or((head, ""));
    let level = match word {
        "" => of_check,
        word => level(word)?,
    };
    let json = || serde_json::from_str(rest).map_err(|error| format!("no JSON: {error}"));
    Ok(match letter {
        "C" => Step::Say(rest.to_owned()),
        "S" if rest == "<close>" => Step::Expect(level, Answer::Close),
        "S" => Step::Expect(level, Answer::Line(json()?)),
        "N" => Step::Notification(level, json()?),
        "T" => Step::Test(level, rest.split_whitespace().map(str::to_owned).collect()),
        _ => return Err(format!("unknown kind of line: {letter}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# A comment.
@ method server.ping
@ versions 1.2-1.4, 1.6-
= answers
C: {\"id\":1,\"method\":\"server.ping\"}
S: {\"id\":1,\"result\":null}
= answers in time
@ level should
@ alone
S may: <close>
T: equal 1 1
@ method server.banner
= is a text
";

    #[test]
    fn directives_hold_for_a_section_or_a_check() {
        let transcript = Transcript::parse("text", TEXT).unwrap();
        let [first, second, third] = transcript.checks.as_slice() else {
            panic!("{transcript:?}");
        };
        assert_eq!((first.level, first.alone), (Level::Must, false));
        assert_eq!((second.level, second.alone), (Level::Should, true));
        assert!(matches!(
            second.steps.as_slice(),
            [
                Step::Expect(Level::May, Answer::Close),
                Step::Test(Level::Should, _)
            ]
        ));
        assert_eq!(third.method, "server.banner");
        assert!(third.versions.contain(ProtocolVersion::V0_10));
        let spoken = ProtocolVersion::SPOKEN
            .into_iter()
            .filter(|version| first.versions.contain(*version));
        let spoken: Vec<String> = spoken.map(|version| version.to_string()).collect();
        assert_eq!(spoken, ["1.2", "1.3", "1.4", "1.6", "1.7"]);
    }

    #[test]
    fn what_is_no_transcript_is_named_with_its_line() {
        let check = |text: &str, expected: &str| {
            let error = Transcript::parse("text", text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check("C: x", "text, line 1: no check has begun");
        check("= a\nS: {", "text, line 2: no JSON");
        check("= a\n@ level never", "text, line 2: unknown level: never");
        check("= a\n@ versions new", "text, line 2: no versions: new");
        check("= a\n@ colour red", "text, line 2: unknown directive");
        check("= a\nX: {}", "text, line 2: unknown kind of line: X");
    }
}
