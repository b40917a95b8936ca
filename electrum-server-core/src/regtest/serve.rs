//! A whole server in this process, on a node of its own: for tests of wallets.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::constants::genesis_block;
use bitcoin::{BlockHash, Network, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use tokio::sync::oneshot;

use super::RegtestNode;
use crate::chain::{
    BlockId, BlockWithSpent, ChainSource, MempoolFingerprint, RawBlock, SourceError,
};
use crate::index::{Index, OpenError};
use crate::net::{self, AllowedOrigins, Certificate, Listener, Trusted};
use crate::session::{About, Limits, Services};
use crate::store::MemoryStore;
use crate::sync::{Sync, SyncError, SyncEvent, SyncHandle, SyncOptions};

/// How long a change of the node waits until the server has followed.
const PATIENCE: Duration = Duration::from_secs(10);
/// The server is told of every change: looking for changes is for the case that something goes wrong.
const LOOK: Duration = Duration::from_secs(30);

/// An Electrum server on a [`RegtestNode`], on a port of 127.0.0.1, with its index in memory. It ends when dropped.
///
/// It follows before the node's methods return: whoever mines, pays or reorganizes and then asks a wallet to
/// synchronize finds the new state, without waiting.
///
/// ```
/// use bitcoin::{Address, Amount, Network};
/// use electrum_server_core::bitcoin;
/// use electrum_server_core::regtest::TestServer;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = TestServer::start()?;
/// let url = server.url(); // tcp://127.0.0.1:…, for electrum-client, bdk_electrum or a wallet
/// let address: Address<_> = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".parse()?;
/// let script = address.require_network(Network::Regtest)?.script_pubkey();
/// server.node().fund(&script, Amount::from_sat(50_000))?;
/// server.node().mine_to_faucet(1);
/// # let _ = url;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestServer {
    node: RegtestNode,
    /// Where it listens, and as wallets' libraries want it. There is one at least.
    first: (SocketAddr, String),
    further: Vec<(SocketAddr, String)>,
    writer: SyncHandle,
    followed: Arc<Followed>,
    stop: Option<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// How a [`TestServer`] begins.
///
/// ```
/// use std::sync::Arc;
///
/// use electrum_server_core::net::Certificate;
/// use electrum_server_core::regtest::{Endpoint, RegtestNode, ServeOptions, TestServer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let certificate = Arc::new(Certificate::self_signed(vec!["localhost".to_owned()])?);
/// let tls = Endpoint {
///     tls: Some(certificate.clone()),
///     ..Endpoint::default()
/// };
/// let wss = Endpoint {
///     websocket: true,
///     ..tls.clone()
/// };
/// let options = ServeOptions {
///     further: vec![tls, wss],
///     ..ServeOptions::default()
/// };
/// let server = TestServer::start_on(RegtestNode::default(), options)?;
/// let urls: Vec<&str> = server.urls().collect(); // tcp://…, ssl://…, wss://…
/// # assert!(urls[0].starts_with("tcp://127.0.0.1:"));
/// # assert!(urls[1].starts_with("ssl://127.0.0.1:"));
/// # assert!(urls[2].starts_with("wss://127.0.0.1:"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Where it listens besides.
    pub further: Vec<Endpoint>,
    /// What it says about itself.
    pub about: About,
    /// What a client may cost.
    pub limits: Limits,
}

/// An address to listen on, and what is spoken there.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The address; port 0 means any that is free.
    pub address: SocketAddr,
    /// The certificate to show, when TLS is spoken.
    pub tls: Option<Arc<Certificate>>,
    /// Whether WebSocket is spoken; within TLS, if that is spoken as well.
    pub websocket: bool,
    /// Whose web pages may connect by WebSocket: see [`Listener::with_origins`].
    pub origins: AllowedOrigins,
    /// Whether what is sent is padded: see [`Listener::with_padding`].
    pub padded: bool,
    /// Whose word is taken for where a client comes from: see [`Listener::with_proxies`].
    pub proxies: Trusted,
}

impl Default for Endpoint {
    /// Lines over TCP, on any free port of 127.0.0.1.
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            tls: None,
            websocket: false,
            origins: AllowedOrigins::default(),
            padded: false,
            proxies: Trusted::default(),
        }
    }
}

impl Endpoint {
    /// Takes the address, without having a runtime.
    fn bind(&self) -> Result<(TcpListener, SocketAddr), StartError> {
        let address = self.address;
        let listen = |error| StartError::Listen { address, error };
        let listener = TcpListener::bind(address).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok((listener, address))
    }

    fn url(&self, address: SocketAddr) -> String {
        let scheme = match (&self.tls, self.websocket) {
            (None, false) => "tcp",
            (Some(_), false) => "ssl",
            (None, true) => "ws",
            (Some(_), true) => "wss",
        };
        format!("{scheme}://{address}")
    }

    /// Speaks on a socket what is spoken here. Must be called within a runtime.
    fn listener(self, socket: TcpListener) -> io::Result<Listener> {
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let mut listener = Listener::from(socket).with_proxies(self.proxies);
        if let Some(certificate) = self.tls {
            listener = listener.with_tls(certificate);
        }
        if self.websocket {
            listener = listener.with_websocket().with_origins(self.origins);
        }
        Ok(match self.padded {
            true => listener.with_padding(),
            false => listener,
        })
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The system has no thread or no sockets for it.
    #[error("cannot start: {0}")]
    System(io::Error),
    /// The index could not be made.
    #[error(transparent)]
    Index(#[from] OpenError),
    /// The node's chain could not be indexed.
    #[error("cannot index the chain: {0}")]
    Sync(SyncError),
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<SyncError> for StartError {
    fn from(error: SyncError) -> Self {
        Self::Sync(error)
    }
}

impl TestServer {
    /// Starts a server on a new node with 101 blocks and a faucet.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn start() -> Result<Self, StartError> {
        Self::start_on(RegtestNode::default(), ServeOptions::default())
    }

    /// Starts a server on this node.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn start_on(node: RegtestNode, options: ServeOptions) -> Result<Self, StartError> {
        let ServeOptions {
            endpoint,
            further: others,
            about,
            limits,
        } = options;
        let (socket, address) = endpoint.bind()?;
        let first = (address, endpoint.url(address));
        let mut bound = vec![(endpoint, socket)];
        let mut further = Vec::with_capacity(others.len());
        for endpoint in others {
            let (socket, address) = endpoint.bind()?;
            further.push((address, endpoint.url(address)));
            bound.push((endpoint, socket));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;

        let index = Index::open(
            Arc::new(MemoryStore::default()),
            genesis_block(Network::Regtest).block_hash(),
        )?;
        let followed = Arc::new(Followed {
            node: node.clone(),
            closed: AtomicBool::new(false),
        });
        let sync_options = SyncOptions {
            threads: 1,
            mempool_interval: LOOK,
            full_interval: LOOK,
            // The node is ours: where it goes, the server follows.
            max_step_back: u32::MAX,
            ..SyncOptions::default()
        };
        let sync = Sync::new(index, followed.clone(), sync_options);
        let writer = sync.handle();
        let updates = net::updates();
        let (ready, first_view) = mpsc::channel();
        let told = updates.clone();
        let writing = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                let ended = sync.run(&mut |event| match event {
                    SyncEvent::Ready(published) => drop(ready.send(Ok(published.clone()))),
                    // Without a client nobody listens.
                    SyncEvent::Update(update) => drop(told.send(Arc::new(update))),
                    _ => {}
                });
                if let Err(error) = ended {
                    // Before there was a view somebody waits for it.
                    drop(ready.send(Err(error)));
                }
            })?;
        let mut server = Self {
            node,
            first,
            further,
            writer,
            followed,
            stop: None,
            threads: vec![writing],
        };
        // A writer that ends without a word was stopped, and nobody does that here.
        let stopped = || io::Error::other("the writer has ended");
        let published = first_view.recv().map_err(|_| stopped())??;

        let writer = server.writer.clone();
        let follow = writer.clone();
        server.node.on_change(move || {
            follow.refresh(PATIENCE);
        });
        let refresh = move |scope| {
            writer.refresh_scope(scope, PATIENCE);
        };
        let services = Services::new(
            published,
            Arc::new(server.node.clone()),
            Box::new(refresh),
            about,
            limits,
        );
        let (stop, stopped) = oneshot::channel();
        server.stop = Some(stop);
        let serve = async move {
            let listeners: io::Result<Vec<Listener>> = bound
                .into_iter()
                .map(|(endpoint, socket)| endpoint.listener(socket))
                .collect();
            let Ok(listeners) = listeners else {
                return;
            };
            // Who is still connected when a test ends is a client that the test has forgotten.
            let serve = net::serve(
                listeners,
                Arc::new(services),
                updates,
                std::future::pending(),
            );
            tokio::select! {
                served = serve => {
                    if let Err(error) = served {
                        tracing::error!(%error, "nobody is served");
                    }
                }
                _ = stopped => {}
            }
        };
        let serving = thread::Builder::new()
            .name("server".to_owned())
            .spawn(move || {
                runtime.block_on(serve);
                runtime.shutdown_background();
            })?;
        server.threads.push(serving);
        Ok(server)
    }

    /// Returns the node, to mine, to pay from the faucet, and for all else.
    pub fn node(&self) -> &RegtestNode {
        &self.node
    }

    /// Returns where the server listens: the address of [`ServeOptions::endpoint`].
    pub fn address(&self) -> SocketAddr {
        self.first.0
    }

    /// Returns all addresses where the server listens, in the order of the options.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.everywhere().map(|(address, _)| *address)
    }

    /// Returns where the server listens as wallets' libraries want it: `tcp://127.0.0.1:PORT`, with `ssl`, `ws` or `wss`
    /// in the place of `tcp` where these are spoken.
    pub fn url(&self) -> String {
        self.first.1.clone()
    }

    /// Returns all [URLs](Self::url) of the server, in the order of the options.
    pub fn urls(&self) -> impl Iterator<Item = &str> + '_ {
        self.everywhere().map(|(_, url)| url.as_str())
    }

    fn everywhere(&self) -> impl Iterator<Item = &(SocketAddr, String)> + '_ {
        std::iter::once(&self.first).chain(&self.further)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.writer.stop();
        self.followed.closed.store(true, Ordering::Relaxed);
        self.node.wake();
        for thread in self.threads.drain(..) {
            // What made a thread panic has been printed.
            drop(thread.join());
        }
    }
}

/// A node as one server sees it: nobody waits for the node's next block when the server has ended.
#[derive(Debug)]
struct Followed {
    node: RegtestNode,
    closed: AtomicBool,
}

// A method left to its default would lose what the node does better.
#[deny(clippy::missing_trait_methods)]
impl ChainSource for Followed {
    fn raw_block(&self, hash: &BlockHash) -> Result<RawBlock, SourceError> {
        self.node.raw_block(hash)
    }

    fn block_bytes(&self, hash: &BlockHash) -> Result<Vec<u8>, SourceError> {
        self.node.block_bytes(hash)
    }

    fn headers_with_counts(
        &self,
        start_height: u32,
        count: u32,
    ) -> Result<Vec<(Header, u32)>, SourceError> {
        self.node.headers_with_counts(start_height, count)
    }

    fn filtered(
        &self,
        scripts: &[ScriptBuf],
        heights: RangeInclusive<u32>,
    ) -> Result<Option<Vec<BlockHash>>, SourceError> {
        self.node.filtered(scripts, heights)
    }

    fn request_block(&self, hash: &BlockHash, attempt: usize) -> Result<bool, SourceError> {
        self.node.request_block(hash, attempt)
    }

    fn tip(&self) -> Result<BlockId, SourceError> {
        self.node.tip()
    }

    fn headers(&self, start_height: u32, count: u32) -> Result<Vec<Header>, SourceError> {
        self.node.headers(start_height, count)
    }

    fn block(&self, hash: &BlockHash) -> Result<BlockWithSpent, SourceError> {
        self.node.block(hash)
    }

    fn mempool_txids(&self) -> Result<Vec<Txid>, SourceError> {
        self.node.mempool_txids()
    }

    fn mempool_transactions(
        &self,
        txids: &[Txid],
    ) -> Result<Vec<Option<Transaction>>, SourceError> {
        self.node.mempool_transactions(txids)
    }

    fn unspent_outputs(&self, outpoints: &[OutPoint]) -> Result<Vec<Option<TxOut>>, SourceError> {
        self.node.unspent_outputs(outpoints)
    }

    fn wait_for_change(
        &self,
        known_tip: BlockHash,
        timeout: Duration,
    ) -> Result<bool, SourceError> {
        let closed = || self.closed.load(Ordering::Relaxed);
        let moved = self
            .node
            .wait(timeout, |state| closed() || state.chain.tip() != known_tip);
        Ok(moved && !closed())
    }

    fn mempool_fingerprint(&self) -> Result<MempoolFingerprint, SourceError> {
        self.node.mempool_fingerprint()
    }
}
