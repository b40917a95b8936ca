//! What all sessions of a server share.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use arc_swap::ArcSwap;
use electrum_protocol::method::server::{HostPorts, Peer, ServerFeatures};
use electrum_protocol::{ServerConfig, VersionRange};

use super::fees::Fees;
use super::limits::Limits;
use super::lookups::Lookups;
use crate::answers::Answers;
use bitcoin::BlockHash;

use crate::chain::blockfiles::BlockFiles;
use crate::chain::{Broadcast, Node, NodeError};
use crate::metrics::Metrics;
use crate::notify::Published;
use crate::personal::{Unwatched, WalletSet};
use crate::sync::{PersonalHandle, RefreshScope};
use crate::view::View;

/// What a server says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The name and version of the software.
    pub software: String,
    /// The protocol versions on offer.
    pub versions: VersionRange,
    /// Whether a client must introduce itself with `server.version` before it asks for anything else.
    ///
    /// Protocol 1.6 demands it, but clients exist that never do.
    pub version_first: bool,
    /// The text that wallets show to their users; [`Services::set_banner`] replaces it.
    pub banner: String,
    /// Where to say thanks; may be empty.
    pub donation_address: String,
    /// Under which names the server can be reached.
    pub hosts: BTreeMap<String, HostPorts>,
}

impl Default for About {
    fn default() -> Self {
        let software = concat!("electrum-server ", env!("CARGO_PKG_VERSION"));
        Self {
            software: software.to_owned(),
            versions: VersionRange::SPOKEN,
            version_first: false,
            banner: format!("Welcome to {software}"),
            donation_address: String::new(),
            hosts: BTreeMap::new(),
        }
    }
}

/// Makes the published view current with the node, as far as is asked for; returns when it is, or when that takes too
/// long.
pub type Refresh = Box<dyn Fn(RefreshScope) + Send + Sync>;

/// Other servers that clients may be told of.
pub trait PeerBook: Send + Sync {
    /// Returns those to name to a client at this address.
    fn peers(&self, client: Option<IpAddr>) -> Vec<Peer>;

    /// Takes note of a client that says it is a server; returns whether it will be looked at.
    fn propose(&self, features: &ServerFeatures, client: Option<IpAddr>) -> bool;
}

/// Which wallets sessions may see.
#[derive(Debug)]
pub(super) struct Wallets {
    pub(super) handle: PersonalHandle,
    pub(super) allowed: Arc<WalletSet>,
    pub(super) unwatched: Unwatched,
    /// What was computed from what these wallets show.
    answers: Arc<Answers>,
}

/// What all sessions of a server share.
pub struct Services {
    /// What the server says about itself.
    pub about: About,
    banner: ArcSwap<String>,
    /// What a session may cost.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    pub(super) protocol: Arc<ServerConfig>,
    pub(super) node: Arc<dyn Node>,
    pub(super) broadcast: Arc<dyn Broadcast>,
    block_files: Option<Arc<BlockFiles>>,
    pub(super) peers: Option<Arc<dyn PeerBook>>,
    pub(super) wallets: Option<Wallets>,
    pub(super) fees: Fees,
    pub(super) lookups: Lookups,
    published: Arc<Published>,
    refresh: Refresh,
}

impl Services {
    /// Serves the views of `published`, and asks `node` where views do not suffice. The node relays the transactions of
    /// clients too, unless [`with_broadcast`](Self::with_broadcast) names something else.
    pub fn new<N: Node + Broadcast + 'static>(
        published: Arc<Published>,
        node: Arc<N>,
        refresh: Refresh,
        about: About,
        limits: Limits,
    ) -> Self {
        let protocol = Arc::new(ServerConfig {
            software: about.software.clone(),
            versions: about.versions,
            version_first: about.version_first,
            max_line: limits.max_line,
            max_response: limits.max_response,
            max_batch: limits.max_batch,
        });
        Self {
            banner: ArcSwap::from_pointee(about.banner.clone()),
            about,
            limits,
            metrics: Arc::default(),
            protocol,
            broadcast: node.clone(),
            node,
            block_files: None,
            peers: None,
            wallets: None,
            fees: Fees::default(),
            lookups: Lookups::default(),
            published,
            refresh,
        }
    }

    /// Replaces the text that wallets show; clients that ask from here on get it.
    pub fn set_banner(&self, banner: String) {
        self.banner.store(Arc::new(banner));
    }

    pub(super) fn banner(&self) -> String {
        self.banner.load().as_ref().clone()
    }

    /// Answers for some wallets only: those of `allowed`. No answer depends on others that there are.
    #[must_use]
    pub fn with_wallets(
        mut self,
        handle: PersonalHandle,
        allowed: WalletSet,
        unwatched: Unwatched,
    ) -> Self {
        self.wallets = Some(Wallets {
            handle,
            allowed: Arc::new(allowed),
            unwatched,
            answers: self.published.answers_apart(),
        });
        self
    }

    /// Relays the transactions of clients by other means than the node, which gets none of them.
    #[must_use]
    pub fn with_broadcast(mut self, broadcast: Arc<dyn Broadcast>) -> Self {
        self.broadcast = broadcast;
        self
    }

    /// Counts where others count as well: limits of all clients hold for those of all servers that share this.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Takes raw transactions from these files where they have them.
    #[must_use]
    pub fn with_block_files(mut self, files: Arc<BlockFiles>) -> Self {
        self.block_files = Some(files);
        self
    }

    /// Names these servers to clients, and lets clients that are servers name themselves.
    #[must_use]
    pub fn with_peers(mut self, peers: Arc<dyn PeerBook>) -> Self {
        self.peers = Some(peers);
        self
    }

    /// Returns what the server says about itself.
    pub(crate) fn features(&self, view: &View) -> ServerFeatures {
        super::handlers::features(self, view)
    }

    /// Returns some bytes of a block, which nobody has checked, if they are to be had at little cost.
    pub(super) fn block_part(
        &self,
        block: &BlockHash,
        range: Range<u32>,
    ) -> Result<Option<Vec<u8>>, NodeError> {
        if let Some(files) = &self.block_files {
            match files.part(block, range.clone()) {
                Ok(Some(part)) => return Ok(Some(part)),
                Ok(None) => {}
                Err(error) => tracing::warn!("cannot read block {block} from its file: {error}"),
            }
        }
        self.node.block_part(block, range)
    }

    /// Returns the answers that several clients may want.
    pub(crate) fn answers(&self) -> &Answers {
        match &self.wallets {
            Some(wallets) => &wallets.answers,
            None => self.published.answers(),
        }
    }

    /// Returns the newest view, which shows nothing but what clients may see. It is the only one that sessions have.
    pub(crate) fn view(&self) -> View {
        let view = self.published.view();
        match &self.wallets {
            // The wallets are taken after the view: whatever it has of them, they have as well.
            Some(wallets) => view.shown_to(wallets.handle.watched(), wallets.allowed.clone()),
            None => view,
        }
    }

    /// Waits until what the node has now is in the published view, as far as `scope` says, and returns that.
    ///
    /// When the node is away it is the view of before: what is known is served.
    pub(super) fn refreshed_view(&self, scope: RefreshScope) -> View {
        (self.refresh)(scope);
        self.view()
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services")
            .field("about", &self.about)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
