//! Checks run against a server, one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use electrum_protocol::{Method, ProtocolVersion};
use serde::Deserialize;
use serde_json::{Value, json};

use super::facts;
use super::lines::Lines;
use super::matcher::{Names, Unknown, part};
use super::play::{Play, Verdict, ask, error_code};
use super::transcript::{Check, Level, Transcript};
use crate::connection::Server;
use crate::report::Failure;

/// What is known about a check, at one version and one level.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) version: ProtocolVersion,
    pub(super) method: String,
    /// Where it counts in the table.
    pub(super) row: String,
    pub(super) title: String,
    /// File and line.
    pub(super) place: String,
    pub(super) level: Level,
    pub(super) verdict: Verdict,
}

/// What a run found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// What the server says that it is.
    pub(super) software: String,
    /// The versions that it speaks, of those that were asked for.
    pub(super) served: Vec<ProtocolVersion>,
    /// The rows of the table, in the order of the transcripts.
    pub(super) rows: Vec<String>,
    pub(super) outcomes: Vec<Outcome>,
}

/// Which checks are wanted.
pub(super) struct Wanted<'a> {
    pub(super) versions: &'a [ProtocolVersion],
    /// What the names of methods begin with.
    pub(super) method: &'a str,
    /// The lowest level.
    pub(super) level: Level,
}

/// Runs all transcripts at every version that the server speaks.
///
/// # Errors
///
/// When the server cannot be reached.
pub(super) fn run(
    server: &Server,
    transcripts: &[Transcript],
    wanted: &Wanted<'_>,
) -> Result<Findings, Failure> {
    let mut runner = Runner::new(server);
    let mut findings = Findings {
        software: runner.learn()?,
        ..Findings::default()
    };
    for version in wanted.versions.iter().copied() {
        // What checks of one version share, so that a server sees few connections.
        let Some(lines) = runner.introduce(version)? else {
            continue;
        };
        findings.served.push(version);
        let mut shared = Some(lines);
        let mut waiting = Vec::new();
        for transcript in transcripts {
            let applies = |check: &&Check| {
                check.versions.contain(version)
                    && check.method.starts_with(wanted.method)
                    && check.level <= wanted.level
            };
            for check in transcript.checks.iter().filter(applies) {
                if check.is_about_notifications() {
                    waiting.push((transcript, check));
                    continue;
                }
                let verdicts = runner.check(check, version, &mut shared)?;
                findings.add(transcript, check, version, verdicts);
            }
        }
        for (transcript, check) in waiting {
            let verdicts = runner.notified(check, version);
            findings.add(transcript, check, version, verdicts);
        }
        runner.notifications.clear();
    }
    findings
        .outcomes
        .retain(|outcome| outcome.level <= wanted.level);
    for check in transcripts.iter().flat_map(|transcript| &transcript.checks) {
        let row = check.row.as_ref().unwrap_or(&check.method);
        let is_there = findings.outcomes.iter().any(|outcome| outcome.row == *row);
        if is_there && !findings.rows.contains(row) {
            findings.rows.push(row.clone());
        }
    }
    Ok(findings)
}

impl Findings {
    fn add(
        &mut self,
        transcript: &Transcript,
        check: &Check,
        version: ProtocolVersion,
        verdicts: BTreeMap<Level, Verdict>,
    ) {
        let outcome = |(level, verdict)| Outcome {
            version,
            method: check.method.clone(),
            row: check.row.as_ref().unwrap_or(&check.method).clone(),
            title: check.title.clone(),
            place: format!("{}:{}", transcript.name, check.line),
            level,
            verdict,
        };
        self.outcomes.extend(verdicts.into_iter().map(outcome));
    }
}

struct Runner<'a> {
    server: &'a Server,
    names: Names,
    /// What `server.features` lists; nothing when it lists none.
    extensions: Option<Vec<String>>,
    /// Whether a method is served that no version has.
    served: BTreeMap<&'static str, bool>,
    /// What came without being asked for, at the version in hand.
    notifications: Vec<Value>,
    /// Whether the server was ever reached.
    was_reached: bool,
}

/// How often a server that was there before may refuse a connection.
const MAX_REFUSED: u32 = 5;

impl<'a> Runner<'a> {
    fn new(server: &'a Server) -> Self {
        let mut names = Names::default();
        facts::about_us(&mut names);
        Self {
            server,
            names,
            extensions: None,
            served: BTreeMap::new(),
            notifications: Vec::new(),
            was_reached: false,
        }
    }

    fn open(&mut self) -> Result<Lines, Failure> {
        let config = self.server.config()?;
        let mut refused = 0;
        loop {
            match Lines::open(&config) {
                Ok(lines) => {
                    self.was_reached = true;
                    return Ok(lines);
                }
                // It may count connections.
                Err(_) if self.was_reached && refused < MAX_REFUSED => {
                    refused += 1;
                    std::thread::sleep(Duration::from_secs(1));
                }
                Err(error) => return Err(self.server.unreachable(&error)),
            }
        }
    }

    /// Opens a connection that speaks `version`; nothing when the server does not.
    fn introduce(&mut self, version: ProtocolVersion) -> Result<Option<Lines>, Failure> {
        let mut lines = self.open()?;
        let params = json!([facts::CLIENT, version.to_string()]);
        let result = ask(&mut lines, "server.version", params);
        let spoken = result.as_ref().and_then(|result| match result {
            Value::Array(parts) => parts.get(1)?.as_str()?.parse().ok(),
            // 0.10 says its version, 1.0 what software it is.
            Value::String(text) => match text.parse() {
                Ok(version) if version < ProtocolVersion::V1_0 => Some(version),
                _ => Some(ProtocolVersion::V1_0),
            },
            _ => None,
        });
        lines.may_hurry = true;
        Ok((spoken == Some(version)).then_some(lines))
    }

    /// Learns what the server and its chain are; returns the name of its software.
    fn learn(&mut self) -> Result<String, Failure> {
        let mut software = String::new();
        // Whoever takes no list takes a version alone.
        for versions in [json!(["1.4", "1.6"]), json!("1.4")] {
            let mut lines = self.open()?;
            let params = json!([facts::CLIENT, versions]);
            let Some(result) = ask(&mut lines, "server.version", params) else {
                continue;
            };
            lines.may_hurry = true;
            software = part(&result, 0).as_str().unwrap_or_default().to_owned();
            let features = ask(&mut lines, "server.features", json!([]));
            let listed = features.as_ref().and_then(|all| all.get("extensions"));
            self.extensions = listed.and_then(|listed| Vec::deserialize(listed).ok());
            let mut ask = |method: &str, params| ask(&mut lines, method, params);
            facts::learn(&mut self.names, &mut ask);
            break;
        }
        self.learn_mempool()?;
        Ok(software)
    }

    /// Learns of a transaction in the mempool.
    fn learn_mempool(&mut self) -> Result<(), Failure> {
        for version in [ProtocolVersion::V1_4, ProtocolVersion::V1_7] {
            if self.names.get(facts::FRESH).is_ok() {
                break;
            }
            if let Some(mut lines) = self.introduce(version)? {
                let mut ask = |method: &str, params| ask(&mut lines, method, params);
                facts::learn_mempool(&mut self.names, &mut ask);
            }
        }
        Ok(())
    }

    /// Runs one check; a second time when it fails, since a block or a transaction may have come between two requests.
    fn check(
        &mut self,
        check: &Check,
        version: ProtocolVersion,
        shared: &mut Option<Lines>,
    ) -> Result<BTreeMap<Level, Verdict>, Failure> {
        let verdicts = self.play(check, version, shared)?;
        let is_failure = |verdict: &Verdict| matches!(verdict, Verdict::Failed { .. });
        if !verdicts.values().any(is_failure) {
            return Ok(verdicts);
        }
        if check.mentions(facts::FRESH) {
            self.names.forget(facts::FRESH);
            self.learn_mempool()?;
        }
        self.play(check, version, shared)
    }

    /// Plays one check, on the connection that all checks of this version share or on one of its own.
    fn play(
        &mut self,
        check: &Check,
        version: ProtocolVersion,
        shared: &mut Option<Lines>,
    ) -> Result<BTreeMap<Level, Verdict>, Failure> {
        let skipped = |why: String| BTreeMap::from([(check.level, Verdict::Skipped(why))]);
        let mut lines = match (check.alone, shared.take()) {
            (true, kept) => {
                *shared = kept;
                self.open()?
            }
            (false, Some(lines)) => lines,
            (false, None) => match self.introduce(version)? {
                Some(lines) => lines,
                None => return Ok(skipped("the server speaks this version no longer".into())),
            },
        };
        if let Some(extension) = &check.extension
            && !self.has_extension(extension, &mut lines)
        {
            *shared = Some(lines);
            return Ok(skipped("the server does not have this extension".into()));
        }
        let mut names = self.names.clone();
        names.set("version", version.to_string());
        let mut play = Play::new(names, version, &mut self.notifications);
        let end = play.steps(check, &mut lines);
        if !check.alone && !play.has_lost_track {
            *shared = Some(lines);
        }
        if let Err(Unknown(name)) = end {
            return Ok(skipped(facts::why_unknown(&name)));
        }
        let refuses = |verdict: &Verdict| matches!(verdict, Verdict::Failed { got, .. } if got.contains("\"error\""));
        let is_announced = check.extension.is_none() || self.extensions.is_some();
        if !is_announced && play.verdicts.values().any(refuses) {
            return Ok(skipped("the server does not have this extension".into()));
        }
        Ok(play.verdicts)
    }

    /// Whether a check of an extension applies. Whoever lists no extensions may have some all the same.
    fn has_extension(&mut self, extension: &str, lines: &mut Lines) -> bool {
        if let Some(listed) = &self.extensions {
            return listed.iter().any(|listed| listed == extension);
        }
        let Some(method) = Method::from_name(extension) else {
            // A parameter: the answer will tell.
            return true;
        };
        *self
            .served
            .entry(method.name())
            .or_insert_with(|| error_code(lines, method.name()) != Some(-32601))
    }

    /// Looks at the notifications that came, for a check that says what they look like.
    fn notified(&mut self, check: &Check, version: ProtocolVersion) -> BTreeMap<Level, Verdict> {
        let came = std::mem::take(&mut self.notifications);
        let mut names = self.names.clone();
        names.set("version", version.to_string());
        let mut play = Play::new(names, version, &mut self.notifications);
        let seen = play.notifications(check, &came);
        let verdicts = std::mem::take(&mut play.verdicts);
        self.notifications = came;
        match seen {
            Ok(count) if count > 0 => verdicts,
            _ => BTreeMap::from([(check.level, Verdict::Skipped("none came".into()))]),
        }
    }
}
