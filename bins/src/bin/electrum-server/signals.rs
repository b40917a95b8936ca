//! What the operating system asks of the program.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A wish of the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// SIGUSR1: look at the node now.
    Look,
    /// SIGHUP: read the files again that may have changed.
    Reload,
    /// SIGINT or SIGTERM: stop cleanly. The text names the signal.
    Stop(&'static str),
}

/// The signals that the program answers to.
#[derive(Debug)]
pub(crate) struct Signals {
    usr1: Signal,
    hup: Signal,
    int: Signal,
    term: Signal,
}

impl Signals {
    /// Takes over the signals; from here on none of them ends the process by itself.
    ///
    /// # Errors
    ///
    /// The system has no more room for handlers. Must be called within a tokio runtime.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            usr1: signal(SignalKind::user_defined1())?,
            hup: signal(SignalKind::hangup())?,
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.int.recv() => Wish::Stop("SIGINT"),
            _ = self.term.recv() => Wish::Stop("SIGTERM"),
            _ = self.usr1.recv() => Wish::Look,
            _ = self.hup.recv() => Wish::Reload,
        }
    }
}
