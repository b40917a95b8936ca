//! Accepts connections on one address.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, broadcast, mpsc, watch};
use tokio::time::sleep;
use tracing::{debug, warn};

use super::connection::Connection;
use super::workers::Workers;
use crate::notify::Update;
use crate::session::Services;

/// One address that is listened on, and what its connections share.
pub(super) struct Listener {
    pub(super) tcp: TcpListener,
    pub(super) services: Arc<Services>,
    pub(super) workers: Arc<Workers>,
    pub(super) updates: broadcast::Sender<Arc<Update>>,
    pub(super) closing: watch::Receiver<bool>,
    /// One permit per connection, over all addresses.
    pub(super) slots: Arc<Semaphore>,
    /// Held by every connection for as long as it lives.
    pub(super) alive: mpsc::Sender<()>,
}

impl Listener {
    /// Accepts until the future is dropped.
    pub(super) async fn run(self) {
        let mut was_full = false;
        loop {
            let (stream, peer) = match self.tcp.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file handles, most likely: they come back when connections end.
                    warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let Ok(slot) = self.slots.clone().try_acquire_owned() else {
                if !was_full {
                    warn!(
                        max = self.services.limits.max_connections,
                        "too many connections"
                    );
                    was_full = true;
                }
                debug!(%peer, "closed: too many connections");
                continue;
            };
            was_full = false;
            let connection = self.connection(stream);
            let alive = self.alive.clone();
            tokio::spawn(async move {
                debug!(%peer, "connected");
                let end = connection.run().await;
                debug!(%peer, %end, "disconnected");
                drop((slot, alive));
            });
        }
    }

    fn connection(&self, stream: TcpStream) -> Connection<TcpStream> {
        // Answers are small and awaited; a system that does not know the option is still served.
        let _ = stream.set_nodelay(true);
        Connection::new(
            stream,
            self.services.clone(),
            self.workers.clone(),
            self.updates.subscribe(),
            self.closing.clone(),
        )
    }
}

/// How long to wait when the system has no connection to give.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);
