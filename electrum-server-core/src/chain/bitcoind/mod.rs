//! Bitcoin Core as chain source and node, over its REST and RPC interfaces.
//!
//! Blocks come over REST together with the outputs that they spend. Where REST is off, or the node is older than
//! Bitcoin Core 30, they come over RPC, which is slower. The mempool, the outputs that it spends, and everything that
//! clients want from the node come over RPC. The node needs neither a wallet nor an index, but all of its blocks.

mod auth;
mod client;
mod http;
mod parse;
mod pruned;
mod rest;
mod rpc;
mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bitcoin::constants::genesis_block;
use bitcoin::{BlockHash, Network};
use serde::Deserialize;
use serde_json::json;

pub use auth::{Auth, cookie_path, network_dir};
pub use client::package_outcome;
pub use parse::{
    EncodingError, ParseError, check_spent, parse_block, parse_block_hash, parse_btc,
    parse_headers, parse_spent_outputs, parse_transaction,
};
use rest::{Offer, Rest};
use rpc::{CallError, Rpc};

use super::SourceError;

/// Where the node is, and how to introduce ourselves.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network that the node must be on.
    pub network: Network,
    /// `host:port` of its RPC and REST interface.
    pub address: String,
    /// The credentials.
    pub auth: Auth,
    /// How long an answer may take. Questions come in large batches, and a node that writes its caches to a slow disk is
    /// silent for a while: see [`DEFAULT_TIMEOUT`](Self::DEFAULT_TIMEOUT).
    pub timeout: Duration,
}

impl Config {
    /// Long enough for a small machine with a slow disk.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
}

/// A connection to a node of Bitcoin Core. Cheap to clone; clones share their HTTP connections, and may be used from
/// several threads at once.
#[derive(Clone, Debug)]
pub struct Bitcoind {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    rpc: Rpc,
    /// For calls that wait long, so that they keep no connection from others.
    waiting: Rpc,
    rest: Rest,
    /// Whether blocks come over REST.
    use_rest: AtomicBool,
    genesis: BlockHash,
    network: Network,
}

/// The part of `getblockchaininfo` that is used.
#[derive(Deserialize)]
struct BlockchainInfo {
    blocks: u32,
    #[serde(rename = "bestblockhash")]
    best_block_hash: BlockHash,
    chain: String,
    #[serde(default)]
    headers: u32,
    #[serde(rename = "initialblockdownload", default)]
    initial_block_download: bool,
    #[serde(default)]
    pruned: bool,
    /// The height of the lowest block that is still there, when others are not.
    #[serde(rename = "pruneheight", default)]
    prune_height: Option<u32>,
}

/// Which blocks of the node are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needed {
    /// All of them from a height on.
    From(u32),
    /// Whichever it has.
    Any,
}

impl Bitcoind {
    /// Connects to a node and checks that it can serve us.
    ///
    /// # Errors
    ///
    /// Transient while the node is away, starts, or downloads its blocks; permanent when it is on another network,
    /// refuses our credentials, or has pruned blocks.
    pub fn connect(config: &Config) -> Result<Self, SourceError> {
        Self::connect_to(config, Needed::From(0))
    }

    /// The same, for somebody who has indexed the blocks below a height already: the node may have pruned these.
    ///
    /// # Errors
    ///
    /// See [`connect`](Self::connect).
    pub fn connect_from(config: &Config, height: u32) -> Result<Self, SourceError> {
        Self::connect_to(config, Needed::From(height))
    }

    /// The same, for somebody who can do with a node that has pruned blocks.
    ///
    /// # Errors
    ///
    /// See [`connect`](Self::connect).
    pub fn connect_pruned(config: &Config) -> Result<Self, SourceError> {
        Self::connect_to(config, Needed::Any)
    }

    fn connect_to(config: &Config, needed: Needed) -> Result<Self, SourceError> {
        let genesis = genesis_block(config.network).block_hash();
        let rpc = |timeout| Rpc::new(&config.address, config.auth.clone(), timeout);
        let shared = Shared {
            rpc: rpc(config.timeout),
            // How long it waits is told with each call.
            waiting: rpc(source::MAX_WAIT + config.timeout),
            rest: Rest::new(&config.address, config.timeout),
            use_rest: AtomicBool::new(false),
            genesis,
            network: config.network,
        };
        let tip = shared.check(needed)?;
        let offer = shared.rest.probe(&tip)?;
        shared
            .use_rest
            .store(offer == Offer::Everything, Ordering::Relaxed);
        match offer {
            Offer::Everything => tracing::info!("blocks come over the node's REST interface"),
            Offer::BlocksOnly => tracing::info!(
                "blocks come over RPC, slowly: Bitcoin Core 30 and later has them faster over REST"
            ),
            Offer::Nothing => tracing::info!(
                "blocks come over RPC, slowly: start the node with -rest=1 to have them faster"
            ),
        }
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Returns how many questions of all clones the node has not answered yet, beside the wait for its next block.
    pub fn pending(&self) -> usize {
        self.shared.rpc.pending() + self.shared.rest.pending()
    }

    /// Whether blocks come over REST rather than RPC.
    pub fn uses_rest(&self) -> bool {
        self.shared.use_rest.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn blockchain_info(&self) -> Result<BlockchainInfo, SourceError> {
        let method = "getblockchaininfo";
        self.rpc
            .call(method, &[])
            .map_err(|error: CallError| error.into_source(method))
    }

    /// Checks that the node can serve us; returns its tip.
    fn check(&self, needed: Needed) -> Result<BlockHash, SourceError> {
        let info = self.blockchain_info()?;
        let method = "getblockhash";
        let genesis: BlockHash = self
            .rpc
            .call(method, &[json!(0)])
            .map_err(|error| error.into_source(method))?;
        if genesis != self.genesis {
            return Err(SourceError::permanent(format_args!(
                "the node is on network \"{}\", not on {}: name the node's network, or another node",
                info.chain, self.network
            )));
        }
        match needed {
            Needed::From(0) if info.pruned => {
                return Err(SourceError::permanent(
                    "the node has pruned its blocks, and all are needed to index the chain: \
                     set prune=0 in its configuration and start it once with -reindex; \
                     or watch only your own wallets (--wallet), for which a pruned node will do",
                ));
            }
            Needed::From(height) if info.prune_height.is_some_and(|lowest| lowest > height) => {
                return Err(SourceError::permanent(format_args!(
                    "the node has pruned the blocks below height {}, and those from height {height} on are not in the \
                     index yet: set prune=0 in its configuration and start it once with -reindex; the index goes on \
                     where it ended",
                    info.prune_height.unwrap_or_default()
                )));
            }
            Needed::From(_) if info.pruned => tracing::warn!(
                "the node prunes its blocks: transactions in blocks that it does not have any more cannot be fetched, and \
                 after a longer pause the index could not go on"
            ),
            Needed::From(_) | Needed::Any => {}
        }
        // A regtest chain may be as old as it likes.
        if info.initial_block_download && self.network != Network::Regtest {
            return Err(SourceError::transient(format_args!(
                "the node is still downloading blocks: {} of {}",
                info.blocks, info.headers
            )));
        }
        Ok(info.best_block_hash)
    }
}
