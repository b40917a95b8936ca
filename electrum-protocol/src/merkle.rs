//! Merkle trees as Bitcoin builds them: transactions under a block, headers under a checkpoint.
//!
//! A row of an odd number of hashes has its last one doubled; two neighbours hash to their parent by SHA-256 twice. All
//! hashes are in the order in which they are hashed; the wire has them reversed.
//!
//! Specification: "blockchain.transaction.get_merkle" and "blockchain.block.header" in the protocol methods.

use core::ops::Range;

use bitcoin::hashes::{Hash, HashEngine, sha256d};

/// The proof that a header is under a checkpoint: the tree over the hashes of all headers from 0 to the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointProof {
    /// The hashes to combine the header's hash with, from the leaf up.
    pub branch: Vec<sha256d::Hash>,
    /// The root of the tree.
    pub root: sha256d::Hash,
}

impl CheckpointProof {
    /// Tells whether `leaf`, the hash of the header at `height`, is under the root.
    ///
    /// # Errors
    ///
    /// When it is not, see [`verify`].
    pub fn verify(&self, leaf: sha256d::Hash, height: u32) -> Result<(), VerifyError> {
        verify(leaf, height, &self.branch, self.root)
    }
}

/// Computes the root over `leaves`; nothing when there are none.
pub fn root(leaves: &[sha256d::Hash]) -> Option<sha256d::Hash> {
    let mut row = leaves.to_vec();
    while row.len() > 1 {
        row = parents(&row);
    }
    row.first().copied()
}

/// Computes the branch for the leaf at `pos`, from the leaf up, and the root; nothing when there is no such leaf.
///
/// The branch of the only leaf is empty. The last hash of an odd row is its own sibling.
pub fn branch(leaves: &[sha256d::Hash], pos: usize) -> Option<(Vec<sha256d::Hash>, sha256d::Hash)> {
    leaves.get(pos)?;
    let mut row = leaves.to_vec();
    let mut index = pos;
    let mut branch = Vec::new();
    while row.len() > 1 {
        branch.push(sibling(&row, index)?);
        row = parents(&row);
        index /= 2;
    }
    Some((branch, *row.first()?))
}

/// Why a branch proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// No chain and no block has a tree so high.
    #[error("a branch of {length} hashes is longer than {MAX_BRANCH}")]
    TooLong {
        /// The length of the branch.
        length: usize,
    },
    /// A tree of this height has no such leaf.
    #[error("no leaf {pos} under a branch of {length} hashes")]
    OutOfRange {
        /// The index of the leaf.
        pos: u32,
        /// The length of the branch.
        length: usize,
    },
    /// A hash to the left equals the one that it is combined with: a tree with a forged tail (CVE-2012-2459).
    #[error("the left neighbour at level {level} is a duplicate")]
    DuplicateOnTheLeft {
        /// The level, 0 at the leaves.
        level: usize,
    },
    /// The branch leads to another root.
    #[error("the branch leads to {computed} instead of {expected}")]
    OtherRoot {
        /// The root that it leads to.
        computed: sha256d::Hash,
        /// The root that it should lead to.
        expected: sha256d::Hash,
    },
}

/// The longest branch that is accepted, as wallets do: a tree of 2^30 leaves.
pub const MAX_BRANCH: usize = 30;

/// Checks that `leaf` is at index `pos` under `root`.
///
/// # Errors
///
/// When it is not; when `pos` is outside of any tree of that height; when the branch is longer than [`MAX_BRANCH`].
pub fn verify(
    leaf: sha256d::Hash,
    pos: u32,
    branch: &[sha256d::Hash],
    root: sha256d::Hash,
) -> Result<(), VerifyError> {
    let length = branch.len();
    if length > MAX_BRANCH {
        return Err(VerifyError::TooLong { length });
    }
    let mut index = pos;
    let mut hash = leaf;
    for (level, sibling) in branch.iter().enumerate() {
        let on_the_left = index % 2 == 1;
        if on_the_left && *sibling == hash {
            return Err(VerifyError::DuplicateOnTheLeft { level });
        }
        hash = if on_the_left {
            parent(sibling, &hash)
        } else {
            parent(&hash, sibling)
        };
        index /= 2;
    }
    if index != 0 {
        return Err(VerifyError::OutOfRange { pos, length });
    }
    if hash != root {
        return Err(VerifyError::OtherRoot {
            computed: hash,
            expected: root,
        });
    }
    Ok(())
}

/// How many rows of a checkpoint tree lie within one chunk.
pub const CHUNK_DEPTH: u32 = 11;

/// How many headers one chunk has: [`checkpoint_proof`] needs no leaves of other complete chunks than the header's own.
pub const CHUNK_HEADERS: u32 = 1 << CHUNK_DEPTH;

/// Computes what a chunk contributes to a checkpoint tree: the hash [`CHUNK_DEPTH`] rows above its leaves.
///
/// For [`CHUNK_HEADERS`] leaves that is their root. Nothing when there are no leaves or more than that.
pub fn chunk_root(leaves: &[sha256d::Hash]) -> Option<sha256d::Hash> {
    (leaves.len() <= CHUNK_HEADERS as usize).then(|| climb(leaves, 0).map(|(_, root)| root))?
}

/// Computes the proof for the header at `height` under the checkpoint at `cp_height`, out of the roots of chunks.
///
/// `chunk_roots` are the [`chunk_root`]s of the complete chunks from height 0 on; those beyond the checkpoint are not
/// looked at. `leaves` yields the header hashes of a range of heights, at most one chunk; it is called at most twice.
///
/// Nothing when `height` is above `cp_height`, or when a root or a leaf is missing.
pub fn checkpoint_proof(
    height: u32,
    cp_height: u32,
    chunk_roots: &[sha256d::Hash],
    mut leaves: impl FnMut(Range<u32>) -> Vec<sha256d::Hash>,
) -> Option<CheckpointProof> {
    let count = cp_height.checked_add(1)?;
    if height > cp_height {
        return None;
    }
    let chunk = height / CHUNK_HEADERS;
    let first = chunk * CHUNK_HEADERS;
    let end = count.min(first.saturating_add(CHUNK_HEADERS));
    let own = leaves(first..end);
    if own.len() != (end - first) as usize {
        return None;
    }
    let index = (height - first) as usize;
    if count <= CHUNK_HEADERS {
        return branch(&own, index).map(|(branch, root)| CheckpointProof { branch, root });
    }
    let (lower, own_root) = climb(&own, index)?;

    // The row above the chunks: the known roots, and that of the last chunk where the checkpoint cuts it.
    let complete = count / CHUNK_HEADERS;
    let mut row = chunk_roots.get(..complete as usize)?.to_vec();
    let rest = complete * CHUNK_HEADERS..count;
    if chunk == complete {
        row.push(own_root);
    } else if !rest.is_empty() {
        let last = leaves(rest.clone());
        row.push((last.len() == rest.len()).then(|| chunk_root(&last))??);
    }
    let (upper, root) = branch(&row, chunk as usize)?;
    Some(CheckpointProof {
        branch: [lower, upper].concat(),
        root,
    })
}

/// Climbs exactly [`CHUNK_DEPTH`] rows, doubling a lone hash on the way as a larger tree does at its end.
fn climb(leaves: &[sha256d::Hash], pos: usize) -> Option<(Vec<sha256d::Hash>, sha256d::Hash)> {
    let mut row = leaves.to_vec();
    let mut index = pos;
    let mut branch = Vec::with_capacity(CHUNK_DEPTH as usize);
    for _ in 0..CHUNK_DEPTH {
        branch.push(sibling(&row, index)?);
        row = parents(&row);
        index /= 2;
    }
    Some((branch, *row.first()?))
}

/// Returns the neighbour with which the hash at `index` is combined: itself at the end of an odd row.
fn sibling(row: &[sha256d::Hash], index: usize) -> Option<sha256d::Hash> {
    row.get(index ^ 1).or_else(|| row.get(index)).copied()
}

fn parents(row: &[sha256d::Hash]) -> Vec<sha256d::Hash> {
    row.chunks(2)
        .filter_map(|pair| match pair {
            [left, right] => Some(parent(left, right)),
            [last] => Some(parent(last, last)),
            _ => None,
        })
        .collect()
}

fn parent(left: &sha256d::Hash, right: &sha256d::Hash) -> sha256d::Hash {
    let mut engine = sha256d::Hash::engine();
    engine.input(left.as_byte_array());
    engine.input(right.as_byte_array());
    sha256d::Hash::from_engine(engine)
}
