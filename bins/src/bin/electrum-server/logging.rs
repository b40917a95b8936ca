//! Log lines on standard error, above the progress bar when there is one.
//!
//! Standard error may be a full disk, a pipe that nobody reads, a terminal that is stopped, or closed. Whoever logs or
//! draws neither waits for it nor learns of it: a thread of its own writes, lines for which there is no room are dropped,
//! and their number is told once lines can be written again.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::Config;

/// The store's engine tells of its own housekeeping at `info`.
const DEFAULT_FILTERS: &str = "info,fjall=warn,lsm_tree=warn";

/// The most lines that wait to be written.
const MOST_WAITING: usize = 4096;
/// How often a bar is drawn.
const DRAWINGS_A_SECOND: u8 = 10;
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
    /// A part of a bar, which nobody misses.
    Drawing(Vec<u8>),
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
        let (queue, messages) = sync_channel(MOST_WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer { lost: lost.clone() };
        let bars = io::stderr().is_terminal().then(|| {
            let terminal = Box::new(Terminal(queue.clone()));
            let target = ProgressDrawTarget::term_like_with_hz(terminal, DRAWINGS_A_SECOND);
            MultiProgress::with_draw_target(target)
        });
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
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn run(&self, messages: &Receiver<Message>, out: &mut dyn Write) {
        for message in messages {
            match message {
                Message::Line(line) => self.line(&line, out),
                Message::Drawing(bytes) => drop(out.write_all(&bytes)),
                // Whoever waited may be gone.
                Message::End(done) => drop(done.try_send(())),
            }
        }
    }

    fn line(&self, line: &[u8], out: &mut dyn Write) {
        let mut write = || -> io::Result<()> {
            let lost = self.lost.load(Ordering::Relaxed);
            if lost > 0 {
                writeln!(out, "{lost} lines of the log could not be written here")?;
                self.lost.fetch_sub(lost, Ordering::Relaxed);
            }
            out.write_all(line)
        };
        if write().is_err() {
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
        let send = || {
            let line = Message::Line(bytes.to_vec());
            if self.0.queue.try_send(line).is_err() {
                self.0.lost.fetch_add(1, Ordering::Relaxed);
            }
        };
        match &self.0.bars {
            Some(bars) => bars.suspend(send),
            None => send(),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where bars are drawn: the queue of the lines, so that drawing neither fails nor waits, and keeps its place among them.
#[derive(Debug)]
struct Terminal(SyncSender<Message>);

impl Terminal {
    fn send(&self, text: impl Into<Vec<u8>>) -> io::Result<()> {
        // A bar that is not drawn now is drawn the next time.
        let _ = self.0.try_send(Message::Drawing(text.into()));
        Ok(())
    }

    /// Moves the cursor, by the control sequence that ends with this letter.
    fn go(&self, count: usize, letter: char) -> io::Result<()> {
        match count {
            0 => Ok(()),
            _ => self.send(format!("\x1b[{count}{letter}")),
        }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        let size = rustix::termios::tcgetwinsize(io::stderr());
        // Some terminals do not tell.
        size.ok()
            .map(|size| size.ws_col)
            .filter(|width| *width > 0)
            .unwrap_or(80)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.go(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.send(format!("{s}\n"))
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.send(s)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.send("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
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
        let writer = Writer { lost };
        writer.run(&messages, &mut disk);
        assert_eq!(
            String::from_utf8(disk.text).unwrap(),
            "5 lines of the log could not be written here\nline 3\n"
        );
    }
}
