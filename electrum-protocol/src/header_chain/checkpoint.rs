//! A start above genesis, and proofs for what lies below it.

use bitcoin::block::Header;
use bitcoin::hashes::sha256d;
use bitcoin::{BlockHash, Network};

use super::HeaderChain;
use super::rules::{MEDIAN_BLOCKS, PERIOD};
use crate::merkle::{CheckpointProof, VerifyError};
use crate::method::block;

/// A height up to which the caller knows the chain: the root of the tree over the hashes of all headers from 0 to it.
///
/// Wallets carry one with them, and a wallet that has followed the chain from genesis can make the next one, with
/// [`merkle::root`](crate::merkle::root). Servers prove headers under it from protocol 1.4 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The height of the newest header in the tree; `cp_height` on the wire. Not 0, which means no proof there.
    pub height: u32,
    /// The root of the tree.
    pub root: sha256d::Hash,
}

/// Why a chain cannot start here, or a header is not under a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The answer has no proof.
    #[error("the proof for the header at height {height} is missing")]
    NoProof {
        /// The height of the header that had to be proven.
        height: u32,
    },
    /// The proof is for another tree.
    #[error("the proof leads to the root {found} instead of {expected}")]
    OtherRoot {
        /// The root of the checkpoint.
        expected: sha256d::Hash,
        /// The root that the server names.
        found: sha256d::Hash,
    },
    /// The proof does not lead to the root.
    #[error("the header at height {height} is not proven: {error}")]
    Unproven {
        /// The height of the header.
        height: u32,
        /// Why not.
        error: VerifyError,
    },
    /// The header is above the checkpoint.
    #[error("height {height} is above the checkpoint at {checkpoint}")]
    Above {
        /// The height of the header.
        height: u32,
        /// The height of the checkpoint.
        checkpoint: u32,
    },
    /// Two consecutive headers are none.
    #[error("the header at height {height} follows {found} instead of {expected}")]
    Unlinked {
        /// The height of the upper one.
        height: u32,
        /// The hash of the lower one.
        expected: BlockHash,
        /// The hash that the upper one names.
        found: BlockHash,
    },
    /// The rules for the next header need more than these.
    #[error("a start at height {height} needs {needed} headers, not {found}")]
    WrongCount {
        /// The height of the newest header.
        height: u32,
        /// How many are needed.
        needed: u32,
        /// How many there are.
        found: usize,
    },
}

impl Checkpoint {
    /// Returns the request for the headers that [`HeaderChain::from_checkpoint`] needs, with their proof.
    pub fn start_request(&self) -> block::Headers {
        let start_height = context_start(self.height);
        block::Headers {
            start_height,
            count: self.height - start_height + 1,
            cp_height: self.height,
        }
    }

    /// Returns the request for a header with its proof: for those below the first one that a chain keeps.
    pub fn header_request(&self, height: u32) -> block::Header {
        block::Header {
            height,
            cp_height: self.height,
        }
    }

    /// Checks the answer to [`header_request`](Self::header_request).
    ///
    /// # Errors
    ///
    /// When the header is not proven to be at `height`.
    pub fn verify_header(
        &self,
        height: u32,
        response: &block::HeaderResponse,
    ) -> Result<(), CheckpointError> {
        self.verify(
            height,
            response.header.block_hash(),
            response.proof.as_ref(),
        )
    }

    fn verify(
        &self,
        height: u32,
        hash: BlockHash,
        proof: Option<&CheckpointProof>,
    ) -> Result<(), CheckpointError> {
        if height > self.height {
            let checkpoint = self.height;
            return Err(CheckpointError::Above { height, checkpoint });
        }
        let proof = proof.ok_or(CheckpointError::NoProof { height })?;
        if proof.root != self.root {
            return Err(CheckpointError::OtherRoot {
                expected: self.root,
                found: proof.root,
            });
        }
        proof
            .verify(hash.to_raw_hash(), height)
            .map_err(|error| CheckpointError::Unproven { height, error })
    }
}

impl HeaderChain {
    /// Starts at a checkpoint, with the server's answer to [`Checkpoint::start_request`].
    ///
    /// # Errors
    ///
    /// When the headers are not those under the checkpoint.
    pub fn from_checkpoint(
        network: Network,
        checkpoint: Checkpoint,
        response: block::HeadersResponse,
    ) -> Result<Self, CheckpointError> {
        let mut chain = Self::from_headers(network, checkpoint.height, response.headers)?;
        checkpoint.verify(checkpoint.height, chain.tip_hash, response.proof.as_ref())?;
        chain.checkpoint = Some(checkpoint);
        Ok(chain)
    }

    /// Adds a checkpoint under which headers below the first one can be proven; the caller's word is taken for it.
    pub fn with_checkpoint(mut self, checkpoint: Checkpoint) -> Self {
        self.checkpoint = Some(checkpoint);
        self
    }

    /// Starts with headers that the caller trusts as they are; the newest is at `height`.
    ///
    /// So a chain that was saved is taken up again: the headers up to [`fixed_height`](Self::fixed_height) are the start,
    /// the others [`extend`](Self::extend) it, and [`with_checkpoint`](Self::with_checkpoint) does the rest. They begin where
    /// the rules for the next header begin to look, at [`context_start`].
    ///
    /// # Errors
    ///
    /// When there are more or fewer, or one does not follow the other. Nothing else is checked.
    pub fn from_headers(
        network: Network,
        height: u32,
        headers: Vec<Header>,
    ) -> Result<Self, CheckpointError> {
        let first = context_start(height);
        let (needed, found) = (height - first + 1, headers.len());
        let newest = headers.last().filter(|_| found == needed as usize);
        let tip_hash = newest
            .ok_or(CheckpointError::WrongCount {
                height,
                needed,
                found,
            })?
            .block_hash();
        for (height, pair) in (first + 1..).zip(headers.windows(2)) {
            let [lower, upper] = pair else { continue };
            let (expected, found) = (lower.block_hash(), upper.prev_blockhash);
            if expected != found {
                return Err(CheckpointError::Unlinked {
                    height,
                    expected,
                    found,
                });
            }
        }
        Ok(Self {
            network,
            first,
            headers,
            tip_hash,
            fixed: height,
            checkpoint: None,
        })
    }
}

/// Returns the lowest height that the rules for a header above `height` look at: the beginning of its period, or ten
/// blocks below it. From there to `height` are at most 2016 headers, which a server gives in one answer.
pub fn context_start(height: u32) -> u32 {
    let period = height - height % PERIOD;
    period.min(height.saturating_sub(MEDIAN_BLOCKS - 1))
}
