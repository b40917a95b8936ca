//! A connection on which lines are sent and read as they are.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use electrum_protocol::blocking;
use electrum_protocol::net::{Config, ConnectError};

/// A connection to a server, on which nothing is said that the caller does not say.
pub(super) struct Lines {
    lines: blocking::Lines,
    timeout: Duration,
    /// Whether a version was agreed on, so that anything may be asked.
    pub(super) may_hurry: bool,
}

/// Some servers keep small answers back for a second, to send several at once. Who asks one thing at a time gets on
/// faster by asking for something big, of which nobody reads the answer.
const FILLER: &str =
    r#"{"jsonrpc":"2.0","id":"filler","method":"blockchain.block.headers","params":[0,10]}"#;

/// How long is waited before the filler is sent.
const PATIENCE: Duration = Duration::from_millis(150);

fn is_filler(line: &str) -> bool {
    ["\"id\":\"filler\"", "\"id\": \"filler\""]
        .iter()
        .any(|id| line.contains(id))
}

/// Why no line came.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoLine {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the server closed the connection")]
    Closed,
    #[error("a line that is not UTF-8")]
    NotText,
    #[error("{0}")]
    Broken(io::Error),
}

impl Lines {
    /// Connects, and says nothing.
    pub(super) fn open(config: &Config) -> Result<Self, ConnectError> {
        Ok(Self {
            lines: blocking::Lines::connect(config)?,
            timeout: config.request_timeout,
            may_hurry: false,
        })
    }

    /// Sends a line.
    pub(super) fn send(&mut self, line: &str) -> Result<(), NoLine> {
        let sent = self.lines.send(line.as_bytes(), self.timeout);
        sent.map_err(|error| self.explain(error))
    }

    /// Waits for a line.
    pub(super) fn receive(&mut self) -> Result<String, NoLine> {
        let deadline = Instant::now() + self.timeout;
        let mut hurry_at = self.may_hurry.then(|| Instant::now() + PATIENCE);
        loop {
            let until = hurry_at.unwrap_or(deadline).min(deadline);
            let left = until.saturating_duration_since(Instant::now());
            let line = match self.lines.receive(left.max(Duration::from_millis(1))) {
                Ok(line) => String::from_utf8(line).map_err(|_| NoLine::NotText)?,
                Err(error) if is_timeout(&error) && hurry_at.is_some() => {
                    hurry_at = None;
                    self.send(FILLER)?;
                    continue;
                }
                Err(error) => return Err(self.explain(error)),
            };
            if !is_filler(&line) {
                return Ok(line);
            }
        }
    }

    fn explain(&self, error: io::Error) -> NoLine {
        match error.kind() {
            _ if is_timeout(&error) => NoLine::Timeout(self.timeout),
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe => NoLine::Closed,
            _ => NoLine::Broken(error),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}
