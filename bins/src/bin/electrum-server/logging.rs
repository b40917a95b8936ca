//! Log lines on standard error, above the progress bar when there is one.
//!
//! Standard error may be a full disk, a pipe that nobody reads, or closed. Whoever logs neither waits for it nor learns
//! of it: a thread of its own writes the lines, those for which there is no room are dropped, and their number is told
//! once lines can be written again.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::Config;

/// The store's engine tells of its own housekeeping at `info`.
const DEFAULT_FILTERS: &str = "info,fjall=warn,lsm_tree=warn";

/// The most lines that wait to be written.
const MOST_WAITING: usize = 4096;
/// How long the end of the program waits for the last lines to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Standard error, shared between log lines and progress bars.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    /// Where bars are drawn; absent when nobody sits there to watch them.
    pub(crate) bars: Option<MultiProgress>,
    queue: SyncSender<Message>,
    /// Lines that had no room in the queue, or could not be written.
    lost: Arc<AtomicU64>,
}

/// What the thread that writes is given.
#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// To be answered when everything before it is written.
    End(SyncSender<()>),
}

impl Console {
    /// Standard error of this process.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub(crate) fn new() -> io::Result<Self> {
        let bars = io::stderr().is_terminal().then(MultiProgress::new);
        let (queue, messages) = sync_channel(MOST_WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            bars: bars.clone(),
            lost: lost.clone(),
        };
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.run(&messages, &mut io::stderr()))?;
        Ok(Self { bars, queue, lost })
    }

    /// Waits until everything that was logged is written, for a second at most.
    pub(crate) fn finish(&self) {
        let (done, written) = sync_channel(1);
        // When the queue is full, nobody reads what would be written.
        if self.queue.try_send(Message::End(done)).is_ok() {
            let _ = written.recv_timeout(LAST_WORDS);
        }
    }
}

/// Writes lines, on a thread of its own.
struct Writer {
    bars: Option<MultiProgress>,
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn run(&self, messages: &Receiver<Message>, out: &mut dyn Write) {
        for message in messages {
            match message {
                Message::Line(line) => self.line(&line, out),
                // Whoever waited may be gone.
                Message::End(done) => drop(done.try_send(())),
            }
        }
    }

    fn line(&self, line: &[u8], out: &mut dyn Write) {
        let mut write = || {
            let lost = self.lost.load(Ordering::Relaxed);
            if lost > 0 {
                writeln!(out, "{lost} lines of the log could not be written here")?;
                self.lost.fetch_sub(lost, Ordering::Relaxed);
            }
            out.write_all(line)
        };
        let written = match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        };
        if written.is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
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
        // It would be told on standard error, by a macro that panics when that fails.
        .log_internal_errors(false)
        .with_writer(console.clone());
    match config.log_timestamps {
        true => lines.init(),
        false => lines.without_time().init(),
    }
    Ok(())
}

/// Says on standard error why the program does not start, before there is a log.
pub(crate) fn complain(error: &anyhow::Error) {
    // When nobody can be told, the exit status says it.
    let _ = writeln!(io::stderr(), "error: {error:#}");
}

impl<'a> MakeWriter<'a> for Console {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// Takes whole lines, and never fails.
#[derive(Debug)]
pub(crate) struct Line<'a>(&'a Console);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = Message::Line(bytes.to_vec());
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.0.queue.try_send(line)
        {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails so often, then takes what comes.
    struct Disk {
        failures: u32,
        text: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.failures.checked_sub(1) {
                None => self.text.write(bytes),
                Some(left) => {
                    self.failures = left;
                    Err(io::ErrorKind::StorageFull.into())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_told() {
        let (queue, messages) = sync_channel(4);
        let lost = Arc::new(AtomicU64::new(0));
        let console = Console {
            bars: None,
            queue,
            lost: lost.clone(),
        };
        for number in 0..6 {
            let line = format!("line {number}\n");
            Line(&console).write_all(line.as_bytes()).unwrap();
        }
        drop(console);
        let mut disk = Disk {
            failures: 3,
            text: Vec::new(),
        };
        // Two found no room in the queue.
        let writer = Writer { bars: None, lost };
        writer.run(&messages, &mut disk);
        assert_eq!(
            String::from_utf8(disk.text).unwrap(),
            "5 lines of the log could not be written here\nline 3\n"
        );
    }
}
