//! The headers of a chain, checked as a light client can: proof of work, difficulty, times, versions.
//!
//! [`HeaderChain`] holds headers that were checked; [`HeaderSync`] follows those of a server and says which requests it
//! wants. [`verify_transaction`] ties a transaction to a header. What headers cannot show is not checked: whether the
//! blocks are valid, and on signet whether they were signed (the challenge is in the blocks).
//!
//! # Memory
//!
//! 80 bytes a header for the chain, and as much again for the room that a growing list has left. While a fork is looked
//! at, the other branch is held as well: at most twice [`Limits::max_reorg`] headers and one answer, which has no more than
//! [`PERIOD`]. [`Limits::max_memory`] says how much that is together. A server cannot make a chain longer without the work
//! that its difficulty demands; but from genesis on the first difficulties are low, so a chain that starts at a checkpoint
//! is better protected, and [`Limits::max_height`] ends what even then grows. With a clock, a chain cannot lead into the
//! future.

mod checkpoint;
mod follow;
mod proof;
mod rules;
mod sync;

use bitcoin::block::Header;
use bitcoin::{BlockHash, Network, Txid, Work, constants};

use crate::method::transaction::MerkleResponse;

pub use checkpoint::{Checkpoint, CheckpointError, context_start};
pub use follow::{FollowError, Limits};
pub use proof::{ProofError, verify_transaction};
pub use rules::{HeaderError, HeaderFault, MAX_FUTURE, PERIOD};
pub use sync::HeaderSync;

use rules::Ancestors;

/// A chain of headers, each of which was checked, from genesis or from a checkpoint.
#[derive(Clone, Debug)]
pub struct HeaderChain {
    network: Network,
    /// The height of the first header that is kept.
    first: u32,
    /// Never empty, never long enough to pass `u32::MAX`.
    headers: Vec<Header>,
    tip_hash: BlockHash,
    /// The height of the highest header that is never given up.
    fixed: u32,
    checkpoint: Option<Checkpoint>,
}

/// What became of a chain.
///
/// What was proven by a header above `fork` has to be proven again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The height of the highest header that stayed.
    pub fork: u32,
    /// The hashes of those that went, from `fork + 1` up; empty when the chain only grew.
    pub disconnected: Vec<BlockHash>,
    /// How many came, from `fork + 1` up. Their headers are in the chain.
    pub connected: u32,
}

impl Change {
    /// Tells whether headers went.
    pub fn is_reorganization(&self) -> bool {
        !self.disconnected.is_empty()
    }
}

impl HeaderChain {
    /// Starts at the genesis block, which every network has built in; custom signets share that of signet.
    pub fn genesis(network: Network) -> Self {
        let header = constants::genesis_block(network).header;
        Self {
            network,
            first: 0,
            headers: vec![header],
            tip_hash: header.block_hash(),
            fixed: 0,
            checkpoint: None,
        }
    }

    /// Returns the network.
    pub fn network(&self) -> Network {
        self.network
    }

    /// Returns the height of the first header that is kept: 0, or what the checkpoint began with.
    pub fn first_height(&self) -> u32 {
        self.first
    }

    /// Returns the height of the newest header.
    pub fn height(&self) -> u32 {
        // There is at least one header, and none has no height.
        self.first + (self.headers.len() as u32 - 1)
    }

    /// Returns the hash of the newest header.
    pub fn tip_hash(&self) -> BlockHash {
        self.tip_hash
    }

    /// Returns the height below which nothing is ever reorganized: that of the checkpoint, or 0.
    pub fn fixed_height(&self) -> u32 {
        self.fixed
    }

    /// Returns the checkpoint under which headers below the first one can be proven.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.checkpoint
    }

    /// Returns the header at a height; nothing above the tip and below [`first_height`](Self::first_height).
    pub fn header(&self, height: u32) -> Option<&Header> {
        let index = height.checked_sub(self.first)?;
        self.headers.get(index as usize)
    }

    /// Returns the hash of the header at a height.
    pub fn block_hash(&self, height: u32) -> Option<BlockHash> {
        if height == self.height() {
            return Some(self.tip_hash);
        }
        self.header(height).map(Header::block_hash)
    }

    /// Returns every header from [`first_height`](Self::first_height) on: what a wallet saves, to
    /// [`extend`](Self::extend) the same start with it the next time.
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// Checks headers that follow the tip and appends them: all, or none when one is invalid.
    ///
    /// `now` is what the caller's clock says, in seconds since 1970; without it headers may lie in the future.
    ///
    /// # Errors
    ///
    /// The first header that is invalid, and why.
    pub fn extend(&mut self, headers: &[Header], now: Option<u32>) -> Result<(), HeaderError> {
        self.check(self.height(), &[], headers, now)?;
        self.switch(self.height(), headers);
        Ok(())
    }

    /// Checks that a transaction is in the block at `height` of this chain, and returns that block's hash.
    ///
    /// See [`verify_transaction`] for what the proof shows and what it does not.
    ///
    /// # Errors
    ///
    /// When the proof is for another height, the header is not known, or the proof leads elsewhere.
    pub fn verify_transaction(
        &self,
        txid: Txid,
        height: u32,
        proof: &MerkleResponse,
    ) -> Result<BlockHash, ProofError> {
        let header = self
            .header(height)
            .ok_or(ProofError::UnknownHeader { height })?;
        verify_transaction(txid, height, proof, header)
    }

    /// Checks `new` headers on top of the header at `fork` and of those of `branch`, which were checked before.
    fn check(
        &self,
        fork: u32,
        branch: &[Header],
        new: &[Header],
        now: Option<u32>,
    ) -> Result<(), HeaderError> {
        let trunk = self.trunk(fork);
        let mut previous = match branch.last().or_else(|| trunk.last()) {
            Some(last) => last.block_hash(),
            None => self.tip_hash,
        };
        let mut height = fork.saturating_add(branch.len() as u32);
        for (checked, header) in new.iter().enumerate() {
            height = height.saturating_add(1);
            let ancestors = Ancestors {
                first: self.first,
                trunk,
                branch,
                new: new.get(..checked).unwrap_or_default(),
            };
            previous = rules::check(self.network, ancestors, height, previous, header, now)?;
        }
        Ok(())
    }

    /// Puts checked headers in the place of those above `fork`.
    fn switch(&mut self, fork: u32, branch: &[Header]) -> Change {
        let kept = self.trunk(fork).len();
        let gone = self.headers.split_off(kept);
        self.headers.extend_from_slice(branch);
        if let Some(tip) = self.headers.last() {
            self.tip_hash = tip.block_hash();
        }
        Change {
            fork,
            disconnected: gone.iter().map(Header::block_hash).collect(),
            connected: branch.len() as u32,
        }
    }

    /// The headers up to and with that at `fork`.
    fn trunk(&self, fork: u32) -> &[Header] {
        let kept = fork.saturating_sub(self.first) as usize + 1;
        self.headers.get(..kept).unwrap_or(&self.headers)
    }

    /// The work in the headers above `fork`.
    fn work_above(&self, fork: u32) -> Work {
        work(self.headers.get(self.trunk(fork).len()..).unwrap_or(&[]))
    }
}

/// Adds up the work of headers whose proof was checked: less than 2^256, or nobody could have done it.
fn work(headers: &[Header]) -> Work {
    let mut sum = Work::from_be_bytes([0; 32]);
    // Neighbours mostly have the same bits, and work is a division.
    let mut last = None;
    for header in headers {
        let work = match last {
            Some((bits, work)) if bits == header.bits => work,
            _ => header.work(),
        };
        last = Some((header.bits, work));
        sum = sum + work;
    }
    sum
}
