//! The thread that indexes, and what it tells.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::Context;
use bitcoin::Network;
use electrum_server_core::chain::ChainSource;
use electrum_server_core::index::Index;
use electrum_server_core::notify::{Published, Update};
use electrum_server_core::sync::{PersonalHandle, Sync, SyncEvent, SyncHandle, SyncOptions};
use tokio::sync::{broadcast, oneshot};
use tracing::{debug, info, warn};

use crate::config::Config;
use crate::logging::Console;
use crate::progress::Progress;

/// The running writer.
pub(crate) struct Writer {
    pub(crate) handle: SyncHandle,
    /// When only some wallets are watched.
    pub(crate) personal: Option<PersonalHandle>,
    /// The first view, once there is one.
    pub(crate) ready: oneshot::Receiver<Arc<Published>>,
    /// How it ended, once it has.
    pub(crate) ended: oneshot::Receiver<anyhow::Result<()>>,
    pub(crate) thread: JoinHandle<()>,
}

impl Writer {
    /// Begins to bring the index to where the node is, and to keep it there.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub(crate) fn start(
        index: Index,
        source: Arc<dyn ChainSource>,
        config: &Config,
        console: &Console,
        updates: broadcast::Sender<Arc<Update>>,
    ) -> anyhow::Result<Self> {
        let options = SyncOptions {
            full_interval: config.poll_interval,
            ignore_mempool: config.ignore_mempool,
            build_memory: config.build_memory,
            max_step_back: max_step_back(config.network),
            ..SyncOptions::default()
        };
        let (sync, personal) = match &config.personal {
            Some(wallets) => {
                let may_fetch = wallets.may_fetch;
                let wallets = wallets.wallets(config.network)?;
                let (sync, handle) = Sync::personal(index, source, options, wallets, may_fetch);
                (sync, Some(handle))
            }
            None => (Sync::new(index, source, options), None),
        };
        let handle = sync.handle();
        let (ready_sender, ready) = oneshot::channel();
        let (ended_sender, ended) = oneshot::channel();
        let mut report = Report {
            progress: Progress::new(console.clone()),
            ready: Some(ready_sender),
            updates,
        };
        let once = config.sync_once;
        let work = move || {
            let on_event = &mut |event: SyncEvent<'_>| report.note(event);
            let ended = match once {
                true => sync.run_once(on_event),
                false => sync.run(on_event),
            };
            // Whoever waited for it may have gone.
            let _ = ended_sender.send(ended.map_err(anyhow::Error::from));
        };
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(work)
            .context("cannot start a thread")?;
        Ok(Self {
            handle,
            personal,
            ready,
            ended,
            thread,
        })
    }
}

/// How many blocks are undone for a chain of less work. On regtest blocks are invalidated by hand, as many as a test needs;
/// elsewhere a few at most.
fn max_step_back(network: Network) -> u32 {
    match network {
        Network::Regtest => 100,
        _ => SyncOptions::default().max_step_back,
    }
}

/// Passes on what the writer tells.
struct Report {
    progress: Progress,
    ready: Option<oneshot::Sender<Arc<Published>>>,
    updates: broadcast::Sender<Arc<Update>>,
}

impl Report {
    fn note(&mut self, event: SyncEvent<'_>) {
        match event {
            SyncEvent::Progress { height, target } => {
                self.progress.at(height, target, Instant::now());
            }
            SyncEvent::Ready(published) => {
                let view = published.view();
                info!(
                    height = view.height(),
                    mempool = view.mempool().len(),
                    "the index is complete"
                );
                if let Some(ready) = self.ready.take() {
                    // Nobody waits for it when the program stops.
                    let _ = ready.send(published.clone());
                }
            }
            SyncEvent::Update(update) => {
                debug!(sequence = update.sequence, "something changed");
                // Without a client nobody listens.
                let _ = self.updates.send(Arc::new(update));
            }
            SyncEvent::Away(error) => match self.ready {
                Some(_) => warn!("waiting for the node: {error}"),
                None => warn!("waiting for the node, and serving what is known: {error}"),
            },
            SyncEvent::Back => info!("the node is back"),
            SyncEvent::StoreFailed(error) => {
                warn!(
                    "the index stays as it is, and what is known is served, until it can be written: {error}"
                );
            }
            SyncEvent::StoreBack => info!("the index can be written again"),
            _ => {}
        }
    }
}
