//! Listeners (TCP, TLS, WebSocket, unix sockets, the PROXY protocol), and one task per connection.
//!
//! The only asynchronous code of the crate, and the only code that looks at a clock. Bytes enter, bytes leave; what they
//! mean is the business of the [session](crate::session), which is synchronous. A session is on the task of its
//! connection while it answers from memory, and on a thread that may block while it needs the store or the node.
//!
//! There is no "still syncing": whoever calls [`serve`] has a view to serve. See `docs/adr/0007`.

mod admission;
mod connection;
mod first_line;
mod listener;
mod origin;
mod origins;
mod padding;
mod peers;
#[cfg(test)]
mod tests;
mod transport;
mod turn;
mod wire;
mod workers;

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::sync::{Semaphore, broadcast, mpsc, watch};
use tokio::task::JoinSet;

pub use listener::Listener;
pub use origins::{AllowedOrigins, ParseOriginError};
pub use peers::{PeerOptions, Peers};
pub use transport::{Certificate, CertificateError, PemProblem, Trusted};

#[cfg(feature = "fuzzing")]
pub(crate) use transport::proxy_header;

use crate::notify::Update;
use crate::session::Services;
use admission::Admission;
use listener::{FAREWELLS, Shared};
use workers::Workers;

/// How many updates a connection may be behind; one that is further behind compares all its subscriptions.
const UPDATES: usize = 32;

/// Makes the channel on which connections learn of updates.
///
/// Whoever publishes views sends each update here, *after* the view itself has been published: a session that hears of
/// an update looks at the published view.
pub fn updates() -> broadcast::Sender<Arc<Update>> {
    broadcast::Sender::new(UPDATES)
}

/// Serves clients on all `listeners` until `shutdown` is ready.
///
/// Then it accepts nobody any more, sends what is waiting to be sent, closes the connections, and returns; a client that
/// does not read delays it by no more than [`drain_timeout`](crate::session::Limits::drain_timeout).
///
/// The listeners are bound by the caller, so binding to port 0 and sockets that were inherited work alike. Must be
/// called within a tokio runtime that has its I/O and time drivers enabled.
///
/// # Errors
///
/// When the system has no threads to give for the requests that must wait for the disk or the node.
pub async fn serve(
    listeners: Vec<Listener>,
    services: Arc<Services>,
    updates: broadcast::Sender<Arc<Update>>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (closing, is_closing) = watch::channel(false);
    // Every connection holds a sender; when the last one is gone, the receiver hears that nobody is left.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let shared = Shared {
        admission: Arc::new(Admission::new(
            services.limits.clone(),
            services.metrics.clone(),
        )),
        services,
        workers: Arc::new(Workers::new()?),
        updates,
        closing: is_closing,
        farewells: Arc::new(Semaphore::new(FAREWELLS)),
        alive,
    };
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(listener::run(listener, shared.clone()));
    }
    drop(shared);
    shutdown.await;
    accepting.shutdown().await;
    // Nobody listens when there is no connection.
    let _ = closing.send(true);
    let _ = all_gone.recv().await;
    Ok(())
}
