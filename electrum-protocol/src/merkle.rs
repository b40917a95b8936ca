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

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> sha256d::Hash {
        text.parse().unwrap()
    }

    fn leaves(count: u32) -> Vec<sha256d::Hash> {
        (0..count)
            .map(|leaf| sha256d::Hash::hash(&leaf.to_le_bytes()))
            .collect()
    }

    /// The example of "blockchain.block.header" with *cp_height* 8.
    #[test]
    fn specification_example() {
        let header = "0100000085144a84488ea88d221c8bd6c059da090e88f8a2c99690ee55dbba4e00000000\
                      e11c48fecdd9e72510ca84f023370c9a38bf91ac5cae88019bee94d24528526344c36649\
                      ffff001d1d03e477";
        let leaf = sha256d::Hash::hash(&crate::hex::decode(header).unwrap());
        let proof = CheckpointProof {
            branch: [
                "000000004ebadb55ee9096c9a2f8880e09da59c0d68b1c228da88e48844a1485",
                "96cbbc84783888e4cc971ae8acf86dd3c1a419370336bb3c634c97695a8c5ac9",
                "965ac94082cebbcffe458075651e9cc33ce703ab0115c72d9e8b1a9906b2b636",
                "89e5daa6950b895190716dd26054432b564ccdc2868188ba1da76de8e1dc7591",
            ]
            .map(hash)
            .to_vec(),
            root: hash("e347b1c43fd9b5415bf0d92708db8284b78daf4d0e24f9c3405f45feb85e25db"),
        };
        assert_eq!(proof.verify(leaf, 5), Ok(()));
        for other in [0, 1, 4, 6, 7, 13] {
            assert!(matches!(
                proof.verify(leaf, other),
                Err(VerifyError::OtherRoot { .. })
            ));
        }
        assert_eq!(
            proof.verify(leaf, 5 + 16),
            Err(VerifyError::OutOfRange { pos: 21, length: 4 })
        );
    }

    /// Block 100000 of the main chain: four transactions.
    #[test]
    fn a_real_block() {
        let txids = [
            "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
            "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
            "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
            "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
        ]
        .map(hash);
        let expected = hash("f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766");
        assert_eq!(root(&txids), Some(expected));
        for (pos, txid) in txids.iter().enumerate() {
            let (branch, root) = branch(&txids, pos).unwrap();
            assert_eq!(root, expected);
            assert_eq!(verify(*txid, pos as u32, &branch, root), Ok(()));
        }
    }

    /// The two proofs of block 2473 in the example of "Status": the second ends an odd row.
    #[test]
    fn proofs_of_one_block_lead_to_one_root() {
        let climb = |leaf: &str, pos: u32, branch: [&str; 2]| {
            let any = sha256d::Hash::all_zeros();
            match verify(hash(leaf), pos, &branch.map(hash), any) {
                Err(VerifyError::OtherRoot { computed, .. }) => computed,
                outcome => panic!("{outcome:?}"),
            }
        };
        let first = climb(
            "9c42f84b2fcdaff676ba25d9d4941741cc0d1a01cce0c23fdc4c0b2afa38431c",
            1,
            [
                "9b977e4cc0b2eb44cb5ea2adb30bf6eae892c9a838111031cb49c97d8ad57309",
                "e7a2891bd8f96488681a596f619de4d88a22d3b08a8aee3b44bbdd913e3e3562",
            ],
        );
        let second = climb(
            "770f2d4371b3fabb902dd9a103e2dd005fcd3971181078fca4a2a1d6ff127b30",
            2,
            [
                "770f2d4371b3fabb902dd9a103e2dd005fcd3971181078fca4a2a1d6ff127b30",
                "ee43317b1b79a9a6b101df711a26d12a88b1419f63db15161a9fdb587fabae63",
            ],
        );
        assert_eq!(first, second);
    }

    /// `bitcoin` computes roots too, by other code.
    #[test]
    fn every_leaf_of_small_trees() {
        for count in 1..=40 {
            let leaves = leaves(count);
            let expected = bitcoin::merkle_tree::calculate_root(leaves.iter().copied());
            assert_eq!(root(&leaves), expected);
            for (pos, leaf) in leaves.iter().enumerate() {
                let (branch, root) = branch(&leaves, pos).unwrap();
                assert_eq!(Some(root), expected);
                assert_eq!(branch.len(), (count as f64).log2().ceil() as usize);
                assert_eq!(verify(*leaf, pos as u32, &branch, root), Ok(()));
            }
            assert_eq!(branch(&leaves, count as usize), None);
        }
        assert_eq!(root(&[]), None);
        assert_eq!(branch(&[], 0), None);
    }

    #[test]
    fn forged_branches_are_refused() {
        let leaves = leaves(3);
        let (branch, root) = branch(&leaves, 2).unwrap();
        // The doubled leaf at the end of the odd row is not a fourth transaction.
        assert_eq!(branch[0], leaves[2]);
        assert_eq!(
            verify(leaves[2], 3, &branch, root),
            Err(VerifyError::DuplicateOnTheLeft { level: 0 })
        );
        let long = vec![leaves[0]; MAX_BRANCH + 1];
        assert_eq!(
            verify(leaves[0], 0, &long, root),
            Err(VerifyError::TooLong { length: 31 })
        );
        assert!(verify(leaves[0], 1, &[], leaves[0]).is_err());
        assert_eq!(verify(leaves[0], 0, &[], leaves[0]), Ok(()));
        assert!(verify(leaves[0], u32::MAX, &long[..MAX_BRANCH], root).is_err());
    }

    #[test]
    fn checkpoint_proofs_out_of_chunks_equal_those_out_of_all_leaves() {
        let all = leaves(3 * CHUNK_HEADERS + 10);
        let roots: Vec<_> = all
            .chunks_exact(CHUNK_HEADERS as usize)
            .map(|chunk| chunk_root(chunk).unwrap())
            .collect();
        let read = |range: Range<u32>| all[range.start as usize..range.end as usize].to_vec();
        let chunk = CHUNK_HEADERS;
        let heights = [
            0,
            1,
            5,
            chunk - 1,
            chunk,
            chunk + 1,
            2 * chunk - 1,
            2 * chunk,
            3 * chunk,
        ];
        let checkpoints = [
            0,
            1,
            8,
            chunk - 2,
            chunk - 1,
            chunk,
            chunk + 1,
            2 * chunk - 1,
            2 * chunk,
            2 * chunk + 1000,
            3 * chunk - 1,
            3 * chunk,
            3 * chunk + 9,
        ];
        for cp_height in checkpoints {
            let tree = &all[..=cp_height as usize];
            for height in heights.into_iter().filter(|height| *height <= cp_height) {
                let (branch, root) = branch(tree, height as usize).unwrap();
                assert_eq!(
                    checkpoint_proof(height, cp_height, &roots, read),
                    Some(CheckpointProof { branch, root }),
                    "{height} under {cp_height}"
                );
            }
            assert_eq!(
                checkpoint_proof(cp_height + 1, cp_height, &roots, read),
                None
            );
        }
    }

    #[test]
    fn checkpoint_proofs_need_all_they_need() {
        let none = |_: Range<u32>| Vec::new();
        assert_eq!(checkpoint_proof(0, 0, &[], none), None);
        assert_eq!(checkpoint_proof(0, u32::MAX, &[], none), None);
        assert_eq!(
            checkpoint_proof(
                5,
                3 * CHUNK_HEADERS,
                &[],
                |range| leaves(range.len() as u32)
            ),
            None
        );
        assert_eq!(chunk_root(&[]), None);
        assert_eq!(chunk_root(&leaves(CHUNK_HEADERS + 1)), None);
    }
}
