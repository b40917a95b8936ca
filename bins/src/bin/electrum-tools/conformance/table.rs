//! What a run found, as a table for people and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::play::Verdict;
use super::run::{Findings, Outcome};
use super::transcript::Level;

const LEVELS: [Level; 3] = [Level::Must, Level::Should, Level::May];

/// How many checks ended in which way.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    passed: usize,
    /// By level, in the order of [`LEVELS`].
    failed: [usize; 3],
    skipped: usize,
}

impl Count {
    fn add(&mut self, outcome: &Outcome) {
        match &outcome.verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Skipped(_) => self.skipped += 1,
            Verdict::Failed { .. } => {
                for (count, level) in self.failed.iter_mut().zip(LEVELS) {
                    *count += usize::from(level == outcome.level);
                }
            }
        }
    }

    /// `12`, `11 1m`, `9 1m2s3o`; `-` when nothing applied.
    fn cell(&self) -> String {
        let has_failed = self.failed != [0; 3];
        let mut cell = match (self.passed, self.skipped) {
            (0, 0) if !has_failed => String::new(),
            (0, _) if !has_failed => "-".to_owned(),
            (passed, _) => passed.to_string(),
        };
        let failed = self.failed.iter().zip(["m", "s", "o"]);
        for (index, (count, letter)) in failed.filter(|(count, _)| **count > 0).enumerate() {
            let space = if index == 0 { " " } else { "" };
            cell += &format!("{space}{count}{letter}");
        }
        cell
    }
}

/// Whether all is as the specification says and clients need it.
pub(super) fn is_good(findings: &Findings) -> bool {
    !findings.outcomes.iter().any(|outcome| {
        outcome.level < Level::May && matches!(outcome.verdict, Verdict::Failed { .. })
    })
}

/// The table, the totals and the failures; with `verbose` what was left out as well.
pub(super) fn for_people(findings: &Findings, verbose: bool) -> String {
    let mut text = table(findings);
    text += "\nA cell says how many checks passed, and how many failed: 1m of what the specification says, 1s of what \
             clients rely on, 1o of our own taste; - when none applies.\n\n";
    for level in LEVELS {
        let [passed, failed, skipped] = totals(findings, level);
        let _ = writeln!(
            text,
            "{:<7}{passed:>5} passed {failed:>5} failed {skipped:>5} skipped",
            level.to_string()
        );
    }
    text += &failures(findings);
    if verbose {
        text += &skipped(findings);
    }
    text.truncate(text.trim_end().len());
    text
}

fn table(findings: &Findings) -> String {
    let rows = &findings.rows;
    let mut cells: BTreeMap<(usize, usize), Count> = BTreeMap::new();
    for outcome in &findings.outcomes {
        let row = rows.iter().position(|row| *row == outcome.row);
        let column = findings.served.iter().position(|v| *v == outcome.version);
        if let (Some(row), Some(column)) = (row, column) {
            cells.entry((row, column)).or_default().add(outcome);
        }
    }
    let mut lines = vec![vec!["method".to_owned()]];
    if let Some(head) = lines.first_mut() {
        head.extend(findings.served.iter().map(ToString::to_string));
    }
    for (row, name) in rows.iter().enumerate() {
        let cell = |column| {
            cells
                .get(&(row, column))
                .map_or_else(String::new, Count::cell)
        };
        let mut line = vec![name.clone()];
        line.extend((0..findings.served.len()).map(cell));
        lines.push(line);
    }
    let columns = findings.served.len() + 1;
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(String::len).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let padded = line.iter().zip(&widths);
        let padded = padded.map(|(cell, width)| format!("{cell:<width$}"));
        text += padded.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

fn totals(findings: &Findings, level: Level) -> [usize; 3] {
    let mut totals = [0; 3];
    for outcome in findings.outcomes.iter().filter(|o| o.level == level) {
        let [passed, failed, skipped] = &mut totals;
        match outcome.verdict {
            Verdict::Passed => *passed += 1,
            Verdict::Failed { .. } => *failed += 1,
            Verdict::Skipped(_) => *skipped += 1,
        }
    }
    totals
}

/// Where a check stands, and what went wrong there.
type Mistake<'a> = (&'a str, &'a str, &'a str, Level, &'a str);

/// The failures, each once with all versions that have it.
fn failures(findings: &Findings) -> String {
    let mut groups: Vec<(Mistake<'_>, Vec<String>, &Outcome)> = Vec::new();
    for outcome in &findings.outcomes {
        let Verdict::Failed { expected, .. } = &outcome.verdict else {
            continue;
        };
        let key = (
            outcome.place.as_str(),
            outcome.method.as_str(),
            outcome.title.as_str(),
            outcome.level,
            expected.as_str(),
        );
        match groups.iter_mut().find(|(other, ..)| *other == key) {
            Some((_, versions, _)) => versions.push(outcome.version.to_string()),
            None => groups.push((key, vec![outcome.version.to_string()], outcome)),
        }
    }
    groups.sort_by_key(|((.., level, _), ..)| *level);
    let mut text = String::new();
    for ((place, method, title, level, expected), versions, outcome) in groups {
        let versions = versions.join(", ");
        let _ = write!(text, "\n{level}: {method}: {title} ({versions}; {place})\n");
        if let Verdict::Failed { client, got, .. } = &outcome.verdict {
            let _ = writeln!(text, "  C: {}", cut(client));
            let _ = writeln!(text, "  expected: {}", cut(expected));
            let _ = writeln!(text, "  got: {}", cut(got));
        }
    }
    text
}

/// What did not apply, by reason.
fn skipped(findings: &Findings) -> String {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for outcome in &findings.outcomes {
        if let Verdict::Skipped(why) = &outcome.verdict {
            let what = format!("{} {}: {}", outcome.version, outcome.method, outcome.title);
            reasons.entry(why).or_default().push(what);
        }
    }
    let mut text = String::new();
    for (why, checks) in reasons {
        let _ = write!(text, "\nskipped, {why}:\n");
        for check in checks {
            let _ = writeln!(text, "  {check}");
        }
    }
    text
}

/// Lines of a server can be long.
fn cut(text: &str) -> String {
    const MAX_CHARS: usize = 300;
    let text = text.trim();
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Everything, for machines.
pub(super) fn for_machines(findings: &Findings, server: &str) -> Value {
    let versions: Vec<String> = findings.served.iter().map(ToString::to_string).collect();
    let total = |level: Level| {
        let [passed, failed, skipped] = totals(findings, level);
        let counts = json!({"passed": passed, "failed": failed, "skipped": skipped});
        (level.to_string(), counts)
    };
    let checks = findings.outcomes.iter().map(|outcome| {
        let mut check = json!({
            "version": outcome.version.to_string(),
            "method": outcome.method,
            "check": outcome.title,
            "transcript": outcome.place,
            "level": outcome.level.to_string(),
        });
        let (word, more) = match &outcome.verdict {
            Verdict::Passed => ("passed", json!({})),
            Verdict::Skipped(why) => ("skipped", json!({"reason": why})),
            Verdict::Failed {
                client,
                expected,
                got,
            } => (
                "failed",
                json!({"client": client, "expected": expected, "got": got}),
            ),
        };
        if let (Some(fields), Value::Object(more)) = (check.as_object_mut(), more) {
            fields.insert("outcome".into(), word.into());
            fields.extend(more);
        }
        check
    });
    json!({
        "server": server,
        "software": findings.software,
        "versions": versions,
        "totals": LEVELS.map(total).into_iter().collect::<serde_json::Map<_, _>>(),
        "checks": checks.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use electrum_protocol::ProtocolVersion;

    use super::*;

    fn outcome(method: &str, level: Level, verdict: Verdict) -> Outcome {
        Outcome {
            version: ProtocolVersion::V1_4,
            method: method.into(),
            row: method.into(),
            title: "is right".into(),
            place: "file:1".into(),
            level,
            verdict,
        }
    }

    fn findings(outcomes: Vec<Outcome>) -> Findings {
        Findings {
            software: "test 1".into(),
            rows: ["c", "a", "b"].map(str::to_owned).into(),
            served: vec![ProtocolVersion::V1_4],
            outcomes,
        }
    }

    fn failed() -> Verdict {
        Verdict::Failed {
            client: "{}".into(),
            expected: "more".into(),
            got: "less".into(),
        }
    }

    #[test]
    fn cells_count_by_level() {
        let found = findings(vec![
            outcome("a", Level::Must, Verdict::Passed),
            outcome("a", Level::Must, failed()),
            outcome("a", Level::May, failed()),
            outcome("b", Level::Should, failed()),
            outcome("b", Level::May, failed()),
            outcome("c", Level::Must, Verdict::Skipped("no data".into())),
        ]);
        assert_eq!(
            table(&found),
            "method  1.4\nc       -\na       1 1m1o\nb       0 1s1o\n"
        );
        let text = for_people(&found, true);
        assert!(
            text.contains(
                "must: a: is right (1.4; file:1)\n  C: {}\n  expected: more\n  got: less"
            )
        );
        assert!(text.contains("skipped, no data:\n  1.4 c: is right"));
        assert_eq!(
            for_machines(&found, "here:1")["totals"]["must"],
            json!({"passed": 1, "failed": 1, "skipped": 1})
        );
    }

    #[test]
    fn taste_alone_is_no_failure() {
        let of = |level| findings(vec![outcome("a", level, failed())]);
        assert!(is_good(&of(Level::May)));
        assert!(!is_good(&of(Level::Should)));
        assert!(!is_good(&of(Level::Must)));
    }
}
