//! The tables, as Markdown.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ask::{HEADERS, PING};
use crate::compare::Compared;
use crate::heavy::Heavy;
use crate::load::Load;
use crate::notify::Notified;
use crate::pass::Pass;
use crate::server::Software;

/// What one server showed.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// From the start until it answers, and until it has nothing to do any more.
    pub(crate) build: Duration,
    pub(crate) idle: Duration,
    pub(crate) build_mib: f64,
    pub(crate) disk: u64,
    pub(crate) tables: BTreeMap<String, u64>,
    pub(crate) loads: Vec<(&'static str, Option<f64>, Load)>,
    pub(crate) serve_mib: f64,
    pub(crate) heavy: Option<Result<Heavy, String>>,
    pub(crate) heavy_mib: f64,
    pub(crate) compared: Option<Result<Compared, String>>,
    pub(crate) notified: Option<Notified>,
    pub(crate) notified_mib: f64,
}

impl Shown {
    fn load(&self, name: &str) -> Option<&Load> {
        let found = self.loads.iter().find(|(kind, _, _)| *kind == name)?;
        Some(&found.2)
    }

    fn per_second(&self, name: &str) -> Option<f64> {
        self.load(name).map(Load::per_second)
    }
}

/// Everything.
pub(crate) struct Report {
    pub(crate) transactions: usize,
    /// Of the blocks, without what files have besides.
    pub(crate) bytes: u64,
    pub(crate) longest: usize,
    /// How many were to subscribe.
    pub(crate) clients: usize,
    pub(crate) pass: Pass,
    pub(crate) shown: Vec<(Software, Shown)>,
}

fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let digits = match value.abs() {
        0.0 | 100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, part) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 && digit.is_ascii_digit() && whole.len() > 3 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + part
}

fn cell(value: Option<f64>) -> String {
    match value.filter(|value| value.is_finite()) {
        Some(value) => number(value),
        None => "–".to_owned(),
    }
}

fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

fn head(cells: &[&str]) {
    println!();
    row(&cells.iter().map(ToString::to_string).collect::<Vec<_>>());
    println!("|{}", "---|".repeat(cells.len()));
}

impl Report {
    fn of(&self, software: Software) -> Option<&Shown> {
        let found = self.shown.iter().find(|(of, _)| *of == software)?;
        Some(&found.1)
    }

    /// How often one value goes into another server's.
    fn ratio(
        &self,
        other: Software,
        value: f64,
        of: impl Fn(&Shown) -> Option<f64>,
    ) -> Option<f64> {
        Some(of(self.of(other)?)? / value)
    }

    pub(crate) fn print(&self) {
        self.print_builds();
        self.print_tables();
        self.print_loads();
        self.print_heavy();
        self.print_notified();
        self.print_compared();
        self.print_aims();
    }

    fn speed(&self, build: Duration) -> f64 {
        self.bytes as f64 / 1e6 / build.as_secs_f64()
    }

    fn print_builds(&self) {
        head(&[
            "initial index",
            "s",
            "MB/s of blocks",
            "of the plain pass",
            "faster than electrs",
            "than ElectrumX",
            "idle after s",
            "peak MiB",
            "MB on disk",
            "bytes a transaction",
        ]);
        let pass = self.pass.bytes as f64 / 1e6 / self.pass.elapsed.as_secs_f64();
        let mut cells = vec![
            "plain pass: read and double-hash".to_owned(),
            number(self.pass.elapsed.as_secs_f64()),
            number(pass),
        ];
        cells.resize(10, String::new());
        row(&cells);
        for (software, shown) in &self.shown {
            let seconds = shown.build.as_secs_f64();
            let build = |shown: &Shown| Some(shown.build.as_secs_f64());
            row(&[
                software.name().to_owned(),
                number(seconds),
                number(self.speed(shown.build)),
                number(self.speed(shown.build) / pass),
                cell(self.ratio(Software::Electrs, seconds, build)),
                cell(self.ratio(Software::ElectrumX, seconds, build)),
                number(shown.idle.as_secs_f64()),
                number(shown.build_mib),
                number(shown.disk as f64 / 1e6),
                number(shown.disk as f64 / self.transactions as f64),
            ]);
        }
    }

    fn print_tables(&self) {
        head(&["on disk", "table", "MB", "bytes a transaction"]);
        for (software, shown) in &self.shown {
            if matches!(software, Software::OursRest | Software::OursKilled) {
                continue;
            }
            for (table, size) in &shown.tables {
                row(&[
                    software.name().to_owned(),
                    table.clone(),
                    number(*size as f64 / 1e6),
                    number(*size as f64 / self.transactions as f64),
                ]);
            }
        }
    }

    fn print_loads(&self) {
        let servers: Vec<_> = self
            .shown
            .iter()
            .filter(|(_, shown)| !shown.loads.is_empty())
            .collect();
        let Some((_, first)) = servers.first() else {
            return;
        };
        let mut titles = vec!["requests".to_owned()];
        for (software, _) in &servers {
            titles.push(format!("{}: /s", software.name()));
            titles.extend(["of its ping", "p50 ms", "p99 ms"].map(str::to_owned));
        }
        titles.extend(["ours to electrs", "ours to ElectrumX"].map(str::to_owned));
        head(&titles.iter().map(String::as_str).collect::<Vec<_>>());
        for (name, ..) in &first.loads {
            let mut cells = vec![(*name).to_owned()];
            for (_, shown) in &servers {
                let load = shown.load(name).cloned().unwrap_or_default();
                let mark = match load.errors {
                    0 => "",
                    _ => " (!)",
                };
                let ping = shown.per_second(PING).unwrap_or(f64::NAN);
                cells.push(cell(Some(load.per_second())) + mark);
                cells.push(cell(Some(load.per_second() / ping)));
                cells.push(cell(Some(load.per_mille(500))));
                cells.push(cell(Some(load.per_mille(990))));
            }
            cells.push(cell(self.ours_to(Software::Electrs, name)));
            cells.push(cell(self.ours_to(Software::ElectrumX, name)));
            row(&cells);
        }
        for (software, shown) in &servers {
            for (name, _, load) in shown.loads.iter().filter(|(_, _, load)| load.errors > 0) {
                let complaint = load.complaint.as_deref().unwrap_or_default();
                println!(
                    "(!) {}, {name}: {} errors, {complaint}",
                    software.name(),
                    load.errors
                );
            }
        }
        head(&[
            "peak memory while serving, MiB",
            "these loads",
            "with the longest history",
        ]);
        for (software, shown) in &servers {
            row(&[
                software.name().to_owned(),
                number(shown.serve_mib),
                cell(Some(shown.heavy_mib)),
            ]);
        }
    }

    fn ours_to(&self, other: Software, name: &str) -> Option<f64> {
        let ours = self.of(Software::Ours)?.per_second(name)?;
        Some(ours / self.of(other)?.per_second(name)?)
    }

    fn print_heavy(&self) {
        let title = format!("get_history of {} entries", number(self.longest as f64));
        head(&[
            &title,
            "first, ms",
            "again, ms",
            "MB",
            "times",
            "another client's p50, ms",
            "p99, ms",
            "undisturbed p50, ms",
            "p99, ms",
        ]);
        let mut complaints = Vec::new();
        for (software, shown) in &self.shown {
            match &shown.heavy {
                Some(Ok(heavy)) => row(&[
                    software.name().to_owned(),
                    number(heavy.cold.as_secs_f64() * 1e3),
                    cell(heavy.median().map(|median| median.as_secs_f64() * 1e3)),
                    number(heavy.bytes as f64 / 1e6),
                    heavy.warm.len().to_string(),
                    cell(Some(heavy.small.per_mille(500))),
                    cell(Some(heavy.small.per_mille(990))),
                    cell(Some(heavy.undisturbed.per_mille(500))),
                    cell(Some(heavy.undisturbed.per_mille(990))),
                ]),
                Some(Err(error)) => complaints.push(format!("(!) {}: {error}", software.name())),
                None => {}
            }
        }
        complaints
            .iter()
            .for_each(|complaint| println!("{complaint}"));
    }

    fn print_notified(&self) {
        head(&[
            "a block of 2,000 transactions",
            "clients",
            "subscribing, s",
            "half of all clients, ms",
            "the last one, ms",
            "worst block, ms",
            "missing",
            "peak MiB",
        ]);
        for (software, shown) in &self.shown {
            let Some(notified) = &shown.notified else {
                continue;
            };
            row(&[
                software.name().to_owned(),
                number(notified.clients as f64),
                number(notified.subscribing.as_secs_f64()),
                cell(median(&notified.half)),
                cell(median(&notified.last)),
                cell(notified.last.iter().copied().reduce(f64::max)),
                notified.missing.to_string(),
                number(shown.notified_mib),
            ]);
            if let Some(complaint) = &notified.complaint {
                println!(
                    "(!) {}: {} of {} clients could not subscribe, {complaint}",
                    software.name(),
                    self.clients - notified.clients,
                    self.clients
                );
            }
        }
    }

    fn print_compared(&self) {
        head(&["against the plain scan", "scripts", "answers", "different"]);
        for (software, shown) in &self.shown {
            match &shown.compared {
                Some(Ok(compared)) => {
                    row(&[
                        software.name().to_owned(),
                        number(compared.scripts as f64),
                        number(compared.answers as f64),
                        compared.different.to_string(),
                    ]);
                    compared
                        .examples
                        .iter()
                        .for_each(|example| println!("(!) {example}"));
                }
                Some(Err(error)) => println!("(!) {}: {error}", software.name()),
                None => {}
            }
        }
    }

    fn print_aims(&self) {
        let Some(ours) = self.of(Software::Ours) else {
            return;
        };
        head(&["ours", "aim", "measured", "reached"]);
        let aim = |what: &str, aim: f64, at_least: bool, value: Option<f64>| {
            let reached = match value.filter(|value| value.is_finite()) {
                None => "–",
                Some(value) if at_least && value >= aim || !at_least && value <= aim => "yes",
                Some(_) => "no",
            };
            let sign = if at_least { "≥" } else { "≤" };
            let cells = [
                what.to_owned(),
                format!("{sign} {}", number(aim)),
                cell(value),
                reached.to_owned(),
            ];
            row(&cells);
        };
        let build = |shown: &Shown| Some(shown.build.as_secs_f64());
        let seconds = ours.build.as_secs_f64();
        let pass = self.pass.bytes as f64 / 1e6 / self.pass.elapsed.as_secs_f64();
        let faster = self.ratio(Software::Electrs, seconds, build);
        aim("build, faster than electrs", 3.0, true, faster);
        let faster = self.ratio(Software::ElectrumX, seconds, build);
        aim("build, faster than ElectrumX", 25.0, true, faster);
        let rest = self
            .of(Software::OursRest)
            .map(|shown| shown.build.as_secs_f64());
        let faster = rest.and_then(|rest| self.ratio(Software::Electrs, rest, build));
        aim("build over REST, faster than electrs", 1.0, true, faster);
        aim(
            "build, part of the plain pass",
            0.5,
            true,
            Some(self.speed(ours.build) / pass),
        );
        aim(
            "bytes a transaction",
            120.0,
            false,
            Some(ours.disk as f64 / self.transactions as f64),
        );
        aim("MiB while building", 1024.0, false, Some(ours.build_mib));
        aim("MiB while serving", 300.0, false, Some(ours.serve_mib));
        aim(
            "ping to electrs'",
            8.0,
            true,
            self.ours_to(Software::Electrs, PING),
        );
        aim(
            "block.headers to electrs'",
            5.0,
            true,
            self.ours_to(Software::Electrs, HEADERS),
        );
        let ping = ours.per_second(PING).unwrap_or(f64::NAN);
        for (name, part, load) in &ours.loads {
            if let Some(part) = part {
                aim(
                    &format!("{name}, of its ping"),
                    *part,
                    true,
                    Some(load.per_second() / ping),
                );
            }
        }
        let heavy = ours.heavy.as_ref().and_then(|heavy| heavy.as_ref().ok());
        let again = heavy
            .and_then(Heavy::median)
            .map(|again| again.as_secs_f64() * 1e3);
        aim("the longest history again, ms", 300.0, false, again);
        let small = heavy.map(|heavy| heavy.small.per_mille(990));
        aim("another client's p99 meanwhile, ms", 20.0, false, small);
        let notified = ours.notified.as_ref();
        let last = notified.and_then(|notified| median(&notified.last));
        aim("a block to the last client, ms", 200.0, false, last);
        aim(
            "clients",
            self.clients as f64,
            true,
            notified.map(|notified| notified.clients as f64),
        );
        let compared = ours
            .compared
            .as_ref()
            .and_then(|compared| compared.as_ref().ok());
        aim(
            "different answers",
            0.0,
            false,
            compared.map(|compared| compared.different as f64),
        );
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
