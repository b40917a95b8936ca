//! One check, played step by step on a connection.

use std::collections::BTreeMap;

use electrum_protocol::ProtocolVersion;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::lines::{Lines, NoLine};
use super::matcher::{Matcher, Names, Unknown, part};
use super::proofs;
use super::transcript::{Answer, Check, Level, Step};

/// How a check, or what it says at one level, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Failed {
        /// What was said last.
        client: String,
        expected: String,
        got: String,
    },
    /// It does not apply, and why.
    Skipped(String),
}

/// A check while it runs.
pub(super) struct Play<'a> {
    names: Names,
    version: ProtocolVersion,
    /// The last line of either side.
    said: String,
    got: String,
    notifications: &'a mut Vec<Value>,
    /// Whether what comes next on the connection may belong to this check.
    pub(super) has_lost_track: bool,
    pub(super) verdicts: BTreeMap<Level, Verdict>,
}

impl<'a> Play<'a> {
    pub(super) fn new(
        names: Names,
        version: ProtocolVersion,
        notifications: &'a mut Vec<Value>,
    ) -> Self {
        Self {
            names,
            version,
            said: String::new(),
            got: String::new(),
            notifications,
            has_lost_track: false,
            verdicts: BTreeMap::new(),
        }
    }

    /// Plays all steps, up to the first whose answer is missing or has another shape.
    ///
    /// # Errors
    ///
    /// When a step needs something that is not known about this server.
    pub(super) fn steps(&mut self, check: &Check, lines: &mut Lines) -> Result<(), Unknown> {
        for step in &check.steps {
            let goes_on = match step {
                Step::Say(line) => self.say(check.level, line, lines)?,
                Step::Expect(level, Answer::Close) => self.expect_close(*level, lines),
                Step::Expect(level, Answer::Line(pattern)) => {
                    self.expect(*level, pattern, lines)?
                }
                Step::Test(level, words) => self.test(*level, words)?,
                Step::Notification(..) => true,
            };
            if !goes_on {
                // Answers to what was said may still come.
                self.has_lost_track |= check
                    .steps
                    .iter()
                    .any(|step| matches!(step, Step::Expect(_, Answer::Close)))
                    || check
                        .steps
                        .iter()
                        .filter(|step| matches!(step, Step::Say(_)))
                        .count()
                        > 1;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Compares notifications that came with what a check says about them; returns how many it is about.
    pub(super) fn notifications(
        &mut self,
        check: &Check,
        came: &[Value],
    ) -> Result<usize, Unknown> {
        let mut count = 0;
        for step in &check.steps {
            let Step::Notification(level, pattern) = step else {
                continue;
            };
            for found in came
                .iter()
                .filter(|found| found.get("method") == pattern.get("method"))
            {
                self.got = found.to_string();
                self.compare(*level, pattern, found)?;
                count += 1;
            }
        }
        Ok(count)
    }

    fn say(&mut self, level: Level, line: &str, lines: &mut Lines) -> Result<bool, Unknown> {
        self.said = self.names.fill_in(line)?;
        match lines.send(&self.said) {
            Ok(()) => Ok(true),
            Err(error) => Ok(self.lost(level, "a server that reads", &error)),
        }
    }

    fn expect(
        &mut self,
        level: Level,
        pattern: &Value,
        lines: &mut Lines,
    ) -> Result<bool, Unknown> {
        let (line, found) = loop {
            let line = match lines.receive() {
                Ok(line) => line,
                Err(error) => return Ok(self.lost(level, &pattern.to_string(), &error)),
            };
            match serde_json::from_str::<Value>(&line) {
                Ok(found) if is_notification(&found) => self.notifications.push(found),
                Ok(found) => break (line, found),
                Err(_) => {
                    self.got = line;
                    self.fail(level, "a line of JSON".into());
                    return Ok(false);
                }
            }
        };
        self.got = line;
        let goes_on = self.compare(level, pattern, &found)?;
        self.names
            .set("result", found.get("result").cloned().unwrap_or_default());
        Ok(goes_on)
    }

    fn compare(&mut self, level: Level, pattern: &Value, found: &Value) -> Result<bool, Unknown> {
        let mut matcher = Matcher::new(&mut self.names, self.version, level);
        matcher.line(pattern, found)?;
        let mismatches = std::mem::take(&mut matcher.mismatches);
        let looked_at = std::mem::take(&mut matcher.looked_at);
        let goes_on = mismatches.iter().all(|mismatch| mismatch.level > level);
        for mismatch in mismatches {
            self.fail(mismatch.level, mismatch.expected);
        }
        for level in looked_at.into_iter().chain([level]) {
            self.verdicts.entry(level).or_insert(Verdict::Passed);
        }
        Ok(goes_on)
    }

    fn expect_close(&mut self, level: Level, lines: &mut Lines) -> bool {
        self.has_lost_track = true;
        match lines.receive() {
            Err(NoLine::Closed) => {
                self.verdicts.entry(level).or_insert(Verdict::Passed);
                true
            }
            Err(error) => {
                self.got = error.to_string();
                self.fail(level, "the end of the connection".into());
                false
            }
            Ok(line) => {
                self.got = line;
                self.fail(level, "the end of the connection".into());
                false
            }
        }
    }

    fn test(&mut self, level: Level, words: &[String]) -> Result<bool, Unknown> {
        let filled = |word: &String| match word.strip_prefix('$') {
            Some(path) => self.names.get(path),
            None => Ok(serde_json::from_str(word).unwrap_or_else(|_| json!(word))),
        };
        let args: Vec<Value> = words.iter().skip(1).map(filled).collect::<Result<_, _>>()?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match proofs::check(&words, &args, raw_id(&self.got).as_deref()) {
            Ok(()) => {
                self.verdicts.entry(level).or_insert(Verdict::Passed);
            }
            Err(what) => self.fail(level, format!("{}: {what}", words.join(" "))),
        }
        Ok(true)
    }

    /// No answer, and none is to be expected any more.
    fn lost(&mut self, level: Level, expected: &str, error: &NoLine) -> bool {
        self.has_lost_track = true;
        self.got = error.to_string();
        self.fail(level, expected.to_owned());
        false
    }

    /// The first failure of a level counts.
    fn fail(&mut self, level: Level, expected: String) {
        let failed = Verdict::Failed {
            client: self.said.clone(),
            expected,
            got: self.got.clone(),
        };
        let verdict = self.verdicts.entry(level).or_insert(Verdict::Passed);
        if *verdict == Verdict::Passed {
            *verdict = failed;
        }
    }
}

fn is_notification(message: &Value) -> bool {
    message.get("method").is_some() && message.get("id").is_none_or(Value::is_null)
}

/// The id of a reply as it was written.
fn raw_id(line: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Reply<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
    }
    let reply: Reply<'_> = serde_json::from_str(line).ok()?;
    Some(reply.id.get().to_owned())
}

/// Asks a method; the result, or nothing whatever goes wrong.
pub(super) fn ask(lines: &mut Lines, method: &str, params: Value) -> Option<Value> {
    let reply = exchange(lines, method, params)?;
    let failed = !part(&reply, "error").is_null();
    (!failed).then(|| part(&reply, "result").clone())
}

/// Calls a method without parameters; the code of the error that answers, if one does.
pub(super) fn error_code(lines: &mut Lines, method: &str) -> Option<i64> {
    let reply = exchange(lines, method, json!([]))?;
    part(part(&reply, "error"), "code").as_i64()
}

fn exchange(lines: &mut Lines, method: &str, params: Value) -> Option<Value> {
    let id = "ask";
    let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    lines.send(&request.to_string()).ok()?;
    loop {
        let reply: Value = serde_json::from_str(&lines.receive().ok()?).ok()?;
        if part(&reply, "id") == id {
            return Some(reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_as_they_were_written() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(raw_id(line).as_deref(), expected, "{line}");
        };
        check("{\"id\": 1.50e+4, \"result\": 1}", Some("1.50e+4"));
        check("{\"result\":[],\"id\":\"a\\u0062\"}", Some("\"a\\u0062\""));
        check("{\"result\":[]}", None);
        check("[]", None);
    }
}
