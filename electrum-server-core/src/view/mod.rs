//! The read model: index and mempool at one tip.
//!
//! A [`View`] never changes. Everything that clients are told is computed from one, so no answer mixes two states of the
//! chain. `sync` makes a new one after every change; sessions take the newest when they begin to answer.

mod history;
mod outpoint;
mod proof;
mod shown;
mod transaction;
mod trees;
mod unspent;

use std::fmt;
use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::constants::ChainHash;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network};
use electrum_protocol::Tip;
use electrum_protocol::method::mempool::FeeBin;

use crate::chain::HeaderChain;
use crate::index::{Index, Reader, RowKey};
use crate::mempool::{Entry, Mempool};
use crate::store::{ReadError, Snapshot};

use shown::Shown;
pub use shown::Unconfirmed;
pub use transaction::Position;
pub(crate) use trees::Trees;

/// Index and mempool at one tip; a clone costs next to nothing.
#[derive(Clone)]
pub struct View(Arc<Inner>, Option<Arc<Shown>>);

struct Inner {
    snapshot: Arc<dyn Snapshot>,
    key: RowKey,
    headers: HeaderChain,
    trees: Arc<Trees>,
    /// Whether the index has the transactions of some wallets only.
    personal: bool,
    tip: Tip,
    mempool: Mempool,
    sequence: u64,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("height", &self.height())
            .field("mempool", &self.0.mempool)
            .field("sequence", &self.0.sequence)
            .finish_non_exhaustive()
    }
}

/// Why a question about a script or a transaction has no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The history has more entries than the caller wants.
    #[error("more than {limit} transactions")]
    TooLong {
        /// How many are allowed.
        limit: usize,
    },
    /// The database could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl View {
    /// Takes the index as it is now together with a mempool of the same tip; nothing while there is no block.
    ///
    /// `sequence` must grow from view to view.
    pub fn new(index: &Index, mempool: Mempool, sequence: u64) -> Option<Self> {
        let headers = index.headers().clone();
        let height = headers.tip()?.height;
        let tip = Tip {
            height,
            header: headers.header(height)?,
        };
        let snapshot = index.snapshot();
        let inner = Arc::new(Inner {
            snapshot,
            key: index.key(),
            headers,
            trees: index.trees().clone(),
            personal: index.is_personal(),
            tip,
            mempool,
            sequence,
        });
        Some(Self(inner, None))
    }

    /// Returns the same chain with another mempool. `sequence` must be larger than before.
    pub fn with_mempool(&self, mempool: Mempool, sequence: u64) -> Self {
        let inner = Arc::new(Inner {
            snapshot: self.0.snapshot.clone(),
            key: self.0.key,
            headers: self.0.headers.clone(),
            trees: self.0.trees.clone(),
            personal: self.0.personal,
            tip: self.0.tip,
            mempool,
            sequence,
        });
        Self(inner, self.1.clone())
    }

    /// Returns the tip.
    pub fn tip(&self) -> Tip {
        self.0.tip
    }

    /// Returns the hash of the tip.
    pub fn tip_hash(&self) -> BlockHash {
        let hash = self.block_hash(self.height());
        hash.unwrap_or_else(|| self.0.tip.header.block_hash())
    }

    /// Returns the height of the tip.
    pub fn height(&self) -> u32 {
        self.0.tip.height
    }

    /// Returns the number of this view: larger than that of every earlier one.
    pub fn sequence(&self) -> u64 {
        self.0.sequence
    }

    /// Returns the header at a height; nothing above the tip.
    pub fn header(&self, height: u32) -> Option<Header> {
        self.0.headers.header(height)
    }

    /// Returns the hash of the block at a height; nothing above the tip.
    pub fn block_hash(&self, height: u32) -> Option<BlockHash> {
        self.0.headers.hash(height)
    }

    /// Returns the header of a block, if that is in the chain.
    pub fn header_of(&self, block: &BlockHash) -> Option<Tip> {
        let height = self.0.headers.height(block)?;
        let header = self.header(height)?;
        Some(Tip { height, header })
    }

    /// Returns the network that the chain belongs to, which is that of its genesis block; nothing when nobody knows it.
    pub fn network(&self) -> Option<Network> {
        let genesis = self.block_hash(0)?;
        [
            Network::Bitcoin,
            Network::Testnet,
            Network::Testnet4,
            Network::Signet,
            Network::Regtest,
        ]
        .into_iter()
        .find(|network| {
            genesis
                == BlockHash::from_byte_array(
                    ChainHash::using_genesis_block_const(*network).to_bytes(),
                )
        })
    }

    /// Returns the chain.
    pub fn headers(&self) -> &HeaderChain {
        &self.0.headers
    }

    /// Returns the mempool, as far as it is shown.
    pub fn mempool(&self) -> Unconfirmed<'_> {
        Unconfirmed::of(self)
    }

    /// Returns how much of the mempool pays how well, best first; nothing when only the transactions of some wallets are
    /// known.
    pub fn fee_histogram(&self) -> Vec<FeeBin> {
        if self.0.personal {
            return Vec::new();
        }
        self.0.mempool.fee_histogram().to_vec()
    }

    /// Returns the transactions that came to the mempool last, the newest first; nothing when only those of some wallets
    /// are known.
    pub fn newest_transactions(&self) -> impl Iterator<Item = &Entry> {
        let all = (!self.0.personal).then(|| self.0.mempool.newest());
        all.into_iter().flatten().map(|entry| &**entry)
    }

    fn reader(&self) -> Reader<'_> {
        Reader::new(self.0.snapshot.as_ref(), &self.0.key).within(self.scope())
    }
}
