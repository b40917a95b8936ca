//! One connection: waits for bytes, updates and deadlines, and lets the session act on them.

use std::fmt;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{error, info};

use super::wire::{Moved, Sink, Wire};
use super::workers::Workers;
use crate::notify::Update;
use crate::session::{Next, Place, Services, Session};

/// A connected client.
pub(super) struct Connection<S> {
    wire: Wire<S>,
    services: Arc<Services>,
    workers: Arc<Workers>,
    updates: broadcast::Receiver<Arc<Update>>,
    closing: watch::Receiver<bool>,
    /// Until when the client may read what is left; set once the server shuts down.
    drain_until: Option<Instant>,
    /// When the client last sent something.
    heard: Instant,
    /// Whether the client may still send something.
    open: bool,
    /// Whether more updates may come.
    published: bool,
    /// What the first byte was.
    first_byte: Option<u8>,
}

/// Why a connection ended.
pub(super) enum End {
    /// The client closed it, and has its answers.
    Client,
    /// The client sent nothing for too long.
    Idle,
    /// The client read nothing for too long.
    Stalled,
    /// The server shuts down.
    Shutdown,
    /// The client speaks TLS.
    Tls,
    /// The session does not want to go on.
    Session(String),
    /// The socket failed.
    Io(io::Error),
    /// The server failed.
    Internal,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("closed by the client"),
            Self::Idle => f.write_str("the client sent nothing for too long"),
            Self::Stalled => f.write_str("the client read nothing for too long"),
            Self::Shutdown => f.write_str("shutting down"),
            Self::Tls => f.write_str("the client speaks TLS"),
            Self::Session(reason) => f.write_str(reason),
            Self::Io(error) => error.fmt(f),
            Self::Internal => f.write_str("internal error"),
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Begins a connection. Updates that are sent from here on reach it.
    pub(super) fn new(
        stream: S,
        services: Arc<Services>,
        workers: Arc<Workers>,
        updates: broadcast::Receiver<Arc<Update>>,
        closing: watch::Receiver<bool>,
    ) -> Self {
        Self {
            wire: Wire::new(stream),
            services,
            workers,
            updates,
            closing,
            drain_until: None,
            heard: Instant::now(),
            open: true,
            published: true,
            first_byte: None,
        }
    }

    /// Serves the client until the end, and closes the connection.
    pub(super) async fn run(mut self) -> End {
        let session = Session::new(&self.services);
        let end = match self.converse(session).await {
            Ok(end) | Err(end) => end,
        };
        match end {
            End::Client | End::Idle | End::Shutdown | End::Session(_) => self.wire.close().await,
            End::Stalled | End::Tls | End::Io(_) | End::Internal => {}
        }
        end
    }

    async fn converse(&mut self, mut session: Session) -> Result<End, End> {
        loop {
            let mut next = Next::Output;
            if self.drain_until.is_none() {
                next = session.run(Place::Reactor, &self.services, self.wire.unsent());
                if let Next::Needs(place) = next {
                    (session, next) = self.work(session, place).await?;
                }
                self.wire.send(session.take_output());
            }
            if self.wire.unsent() == 0 {
                match next {
                    _ if self.drain_until.is_some() => return Ok(End::Shutdown),
                    Next::Close(reason) => return Ok(End::Session(reason)),
                    Next::Input if !self.open => return Ok(End::Client),
                    Next::Input | Next::Output | Next::Pause | Next::Needs(_) => {}
                }
            }
            self.wait(&mut session, &next).await?;
        }
    }

    /// Waits until anything happens that may let the session go on; not at all when it can go on by itself.
    async fn wait(&mut self, session: &mut Session, next: &Next) -> Result<(), End> {
        let (reading, ready) = match next {
            Next::Input => (self.open, false),
            Next::Pause => (self.open, true),
            // It holds a request that must be handled before anything else.
            Next::Needs(_) => return Ok(()),
            Next::Output | Next::Close(_) => (false, false),
        };
        let deadline = self.patience(Some(self.heard));
        let first_byte = &mut self.first_byte;
        let mut receive = |bytes: &[u8]| {
            if first_byte.is_none() {
                *first_byte = bytes.first().copied();
            }
            session.receive(bytes);
        };
        let sink: Option<Sink<'_>> = if reading { Some(&mut receive) } else { None };
        tokio::select! {
            biased;
            () = passed(deadline) => return Err(self.overdue()),
            () = told(&mut self.closing), if self.drain_until.is_none() => self.drain(),
            update = self.updates.recv(), if self.published => match update {
                Ok(update) => session.on_update(&update),
                Err(RecvError::Lagged(_)) => session.on_missed_updates(),
                Err(RecvError::Closed) => self.published = false,
            },
            moved = self.wire.step(sink) => match moved? {
                Moved::Read => {
                    self.heard = Instant::now();
                    if self.first_byte == Some(TLS_HANDSHAKE) {
                        info!("a client speaks TLS to a port that does not; it was told the wrong port or transport");
                        return Err(End::Tls);
                    }
                }
                Moved::End => self.open = false,
                Moved::Wrote => {}
            },
            () = ready_if(ready) => {}
        }
        Ok(())
    }

    /// Lets the session work where it may block, while what is ready to be sent is sent.
    async fn work(&mut self, mut session: Session, place: Place) -> Result<(Session, Next), End> {
        let unsent = self.wire.unsent();
        let services = self.services.clone();
        let workers = self.workers.clone();
        let mut work = pin!(workers.run(place, move || {
            let next = session.run(place, &services, unsent);
            (session, next)
        }));
        let done = loop {
            // The client may be silent for as long as it waits for us.
            let deadline = self.patience(None);
            tokio::select! {
                biased;
                done = &mut work => break done,
                () = passed(deadline) => return Err(self.overdue()),
                () = told(&mut self.closing), if self.drain_until.is_none() => self.drain(),
                moved = self.wire.step(None) => {
                    moved?;
                }
            }
        };
        self.heard = Instant::now();
        done.map_err(|error| {
            error!(%error, "a session failed");
            End::Internal
        })
    }

    /// From here on the client only gets what it has not read yet.
    fn drain(&mut self) {
        let now = Instant::now();
        let until = now.checked_add(self.services.limits.drain_timeout);
        self.drain_until = Some(until.unwrap_or(now));
    }

    /// Returns when patience with the client ends, `heard` being when it last sent something, if that matters. `None`
    /// when it does not end.
    fn patience(&self, heard: Option<Instant>) -> Option<Instant> {
        let limits = &self.services.limits;
        // A limit beyond the end of time is none.
        let idle = heard.and_then(|heard| heard.checked_add(limits.idle_timeout));
        let stalled = self
            .wire
            .waiting_since()
            .and_then(|since| since.checked_add(limits.write_timeout));
        [idle, stalled, self.drain_until]
            .into_iter()
            .flatten()
            .min()
    }

    /// Says what patience has ended for.
    fn overdue(&self) -> End {
        if self.drain_until.is_some() {
            End::Shutdown
        } else if self.wire.waiting_since().is_some() {
            End::Stalled
        } else {
            End::Idle
        }
    }
}

/// Waits until the server shuts down, or is gone.
async fn told(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Waits until a moment has passed; forever when there is none.
async fn passed(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// Is ready at once, or never.
async fn ready_if(ready: bool) {
    if !ready {
        pending::<()>().await;
    }
}

/// The first byte of a TLS connection: the content type of a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
