//! Log lines on standard error, above the progress bar when there is one.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::Config;

/// The store's engine tells of its own housekeeping at `info`.
const DEFAULT_FILTERS: &str = "info,fjall=warn,lsm_tree=warn";

/// Standard error, shared between log lines and progress bars.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    /// Where bars are drawn; absent when nobody sits there to watch them.
    pub(crate) bars: Option<MultiProgress>,
}

impl Console {
    /// Standard error of this process.
    pub(crate) fn new() -> Self {
        Self {
            bars: io::stderr().is_terminal().then(MultiProgress::new),
        }
    }
}

/// Starts logging.
///
/// # Errors
///
/// The filters cannot be read.
pub(crate) fn start(config: &Config, console: &Console) -> anyhow::Result<()> {
    let filter = match &config.log_filters {
        Some(filters) => EnvFilter::try_new(filters)
            .with_context(|| format!("--log-filters `{filters}` cannot be read"))?,
        None => {
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTERS))
        }
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(console.bars.is_some())
        .with_target(false)
        .with_writer(console.clone());
    match config.log_timestamps {
        true => lines.init(),
        false => lines.without_time().init(),
    }
    Ok(())
}

/// Says on standard error why the program does not start, before there is a log.
#[expect(clippy::print_stderr, reason = "there is no log yet")]
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

impl<'a> MakeWriter<'a> for Console {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// Writes whole lines; the bars step aside meanwhile.
#[derive(Debug)]
pub(crate) struct Line<'a>(&'a Console);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().write_all(bytes).map(|()| bytes.len());
        match &self.0.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
