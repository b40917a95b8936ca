//! Accepts connections on one address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use electrum_protocol::ErrorObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, broadcast, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

use super::admission::{Admission, Guest};
use super::connection::Connection;
use super::origin::Origin;
use super::origins::AllowedOrigins;
use super::transport::{AnyStream, Certificate, Layers, Socket, Trusted, origin_of};
use super::workers::Workers;
use crate::metrics::Rejection;
use crate::notify::Update;
use crate::session::Services;

/// A socket that is listened on, and what is spoken there: lines, unless more is asked for.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    layers: Layers,
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self {
            socket: Socket::Tcp(listener),
            layers: Layers::default(),
        }
    }
}

/// Whoever can open the socket's file is served, without caps per subnet and without costs.
#[cfg(unix)]
impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self {
            socket: Socket::Unix(listener),
            layers: Layers::default(),
        }
    }
}

impl Listener {
    /// Speaks TLS, and shows this certificate.
    #[must_use]
    pub fn with_tls(mut self, certificate: Arc<Certificate>) -> Self {
        self.layers.tls = Some(certificate);
        self
    }

    /// Speaks WebSocket, one JSON text per message; within TLS, if that is spoken as well. Web pages may not connect
    /// unless [`with_origins`](Self::with_origins) lets them.
    #[must_use]
    pub fn with_websocket(mut self) -> Self {
        self.layers.websocket = true;
        self
    }

    /// Lets web pages of these origins connect, where WebSocket is spoken.
    #[must_use]
    pub fn with_origins(mut self, origins: AllowedOrigins) -> Self {
        self.layers.origins = origins;
        self
    }

    /// Believes these proxies where connections come from. Each of their connections must begin with a header of the
    /// PROXY protocol, version 1 or 2; those of others must not.
    #[must_use]
    pub fn with_proxies(mut self, trusted: Trusted) -> Self {
        self.layers.trusted = trusted;
        self
    }

    /// Pads what is sent, so that its length says little about what it is.
    #[must_use]
    pub fn with_padding(mut self) -> Self {
        self.layers.padded = true;
        self
    }

    /// Returns the address that is listened on, unless it is a file.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().map(Some),
            #[cfg(unix)]
            Socket::Unix(_) => Ok(None),
        }
    }
}

/// What all connections share, on whatever address they come.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) services: Arc<Services>,
    pub(super) workers: Arc<Workers>,
    pub(super) admission: Arc<Admission>,
    pub(super) updates: broadcast::Sender<Arc<Update>>,
    pub(super) closing: watch::Receiver<bool>,
    /// One permit for each client that is being told that it is not welcome.
    pub(super) farewells: Arc<Semaphore>,
    /// Held by every connection for as long as it lives.
    pub(super) alive: mpsc::Sender<()>,
}

/// How many clients are told at a time why they are not served. Beyond that they are just closed: being refused must
/// be cheap.
pub(super) const FAREWELLS: usize = 32;

/// Accepts until the future is dropped.
pub(super) async fn run(listener: Listener, shared: Shared) {
    let Listener { socket, layers } = listener;
    let layers = Arc::new(layers);
    loop {
        let (stream, origin) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file handles, most likely: they come back when connections end.
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let visit = Visit {
            layers: layers.clone(),
            shared: shared.clone(),
        };
        let admission = &shared.admission;
        let proxied = layers.trusted.has(origin);
        let admitted = match proxied {
            // Its client is not known before it has spoken.
            true => admission.admit_without_account(),
            false => admission.admit(origin, Instant::now()),
        };
        match admitted {
            Ok(guest) if proxied => drop(tokio::spawn(visit.ask(stream, origin, guest))),
            Ok(guest) => drop(tokio::spawn(visit.serve(stream, origin, guest))),
            // Whoever is not let in costs no task, or few.
            Err(error) => visit.refuse(stream, origin, error),
        }
    }
}

/// One connection before it is one.
struct Visit {
    layers: Arc<Layers>,
    shared: Shared,
}

impl Visit {
    /// Finds out on whose behalf a proxy connects, then serves that.
    async fn ask(self, mut stream: AnyStream, proxy: Origin, guest: Guest) {
        let patience = self.shared.services.limits.handshake_timeout;
        let metrics = &self.shared.services.metrics;
        let mut closing = self.shared.closing.clone();
        let asked = tokio::select! {
            asked = timeout(patience, origin_of(&mut stream, proxy)) => asked,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let origin = match asked {
            Ok(Ok(origin)) => origin,
            Ok(Err(error)) => {
                metrics.reject(Rejection::Handshake);
                return debug!(%proxy, %error, "no PROXY header");
            }
            Err(_) => {
                metrics.reject(Rejection::Handshake);
                return debug!(%proxy, "no PROXY header in time");
            }
        };
        if origin == proxy {
            return self.serve(stream, origin, guest).await;
        }
        drop(guest);
        match self.shared.admission.admit(origin, Instant::now()) {
            Ok(guest) => self.serve(stream, origin, guest).await,
            Err(error) => self.refuse(stream, origin, error),
        }
    }

    async fn serve(self, stream: AnyStream, origin: Origin, guest: Guest) {
        let Self { layers, shared } = self;
        let metrics = shared.services.metrics.clone();
        let kind = layers.transport(origin);
        let transport = kind.name();
        let limits = &shared.services.limits;
        let mut closing = shared.closing.clone();
        // Boxed, so that a connection keeps no room for its handshake.
        let buffer = guest.transport_buffer();
        let greeting = Box::pin(layers.greet(stream, limits.max_line, buffer));
        let greeted = tokio::select! {
            greeted = timeout(limits.handshake_timeout, greeting) => greeted,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let stream = match greeted {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                metrics.reject(Rejection::Handshake);
                return debug!(%origin, transport, %error, "no handshake");
            }
            Err(_) => {
                metrics.reject(Rejection::Handshake);
                return debug!(%origin, transport, "no handshake in time");
            }
        };
        metrics.accept(kind);
        let mut connection = Connection::new(stream, &shared, origin, guest);
        if layers.padded {
            connection = connection.padded(layers.websocket);
        }
        debug!(%origin, transport, "connected");
        let end = Box::pin(connection.run()).await;
        debug!(%origin, transport, %end, "disconnected");
        drop(shared.alive);
    }

    /// Tells a client why it is not served, if that can be done in passing.
    fn refuse(self, stream: AnyStream, origin: Origin, error: ErrorObject) {
        let transport = self.layers.transport(origin).name();
        debug!(%origin, transport, error = error.message, "refused");
        let Ok(permit) = self.shared.farewells.clone().try_acquire_owned() else {
            return;
        };
        tokio::spawn(async move {
            let farewell = async {
                let max_line = self.shared.services.limits.max_line;
                let buffer = self.shared.admission.transport_buffer();
                let mut stream = self.layers.greet(stream, max_line, buffer).await?;
                stream.write_all(&complaint(&error)).await?;
                stream.give_reason(&error.message);
                stream.shutdown().await?;
                // A socket that is closed with something unread in it takes back what was said.
                let mut ignored = [0; 1024];
                while stream.read(&mut ignored).await? > 0 {}
                io::Result::Ok(())
            };
            // Whether it was heard is not our concern.
            let _ = timeout(FAREWELL, farewell).await;
            drop(permit);
        });
    }
}

/// The line of an error that answers no request.
pub(super) fn complaint(error: &ErrorObject) -> Vec<u8> {
    let mut line = b"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":".to_vec();
    error.encode(&mut line);
    line.extend_from_slice(b"}\n");
    line
}

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long to wait when the system has no connection to give.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);
