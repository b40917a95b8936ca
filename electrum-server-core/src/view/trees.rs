//! Merkle trees of blocks, for as long as they are popular.
//!
//! A branch needs one node of each level. The lowest levels are computed from the few leaves beside the one that is
//! proved; of the levels above all nodes are kept, which are an eighth of a block's leaves.

use std::fmt;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::hashes::{Hash, HashEngine, sha256d};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// How many levels are computed from leaves.
const LOW_LEVELS: u32 = 4;
/// So many leaves are under one node of the lowest level that is kept.
pub(super) const GROUP: u32 = 1 << LOW_LEVELS;
/// How many bytes of memory the trees of all blocks may take.
const MEMORY: u64 = 32 << 20;
/// What a block of ordinary size takes.
const TYPICAL: usize = 16 << 10;

/// The levels of one block's tree above the lowest, each from its first node to its last; the root is the last one.
type Levels = Vec<Vec<sha256d::Hash>>;

#[derive(Clone, Copy)]
struct Bytes;

impl Weighter<BlockHash, Arc<Levels>> for Bytes {
    fn weight(&self, _: &BlockHash, levels: &Arc<Levels>) -> u64 {
        let nodes: usize = levels.iter().map(Vec::len).sum();
        (nodes * 32 + levels.len() * 24 + 160) as u64
    }
}

/// The trees of the blocks of which proofs are wanted.
pub(crate) struct Trees(Cache<BlockHash, Arc<Levels>, Bytes>);

impl Default for Trees {
    fn default() -> Self {
        Self(Cache::with_weighter(
            MEMORY as usize / TYPICAL,
            MEMORY,
            Bytes,
        ))
    }
}

impl fmt::Debug for Trees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trees").field(&self.0.len()).finish()
    }
}

impl Trees {
    /// Returns the branch from a leaf to the root of a block with more than [`GROUP`] leaves.
    ///
    /// `group` are the leaves that share a node with it [`LOW_LEVELS`] up; `leaves` reads all, if that is needed.
    pub(super) fn branch<E>(
        &self,
        block: &BlockHash,
        pos: u32,
        group: &[sha256d::Hash],
        leaves: impl FnOnce() -> Result<Vec<sha256d::Hash>, E>,
    ) -> Result<Vec<sha256d::Hash>, E> {
        let levels = match self.0.get(block) {
            Some(levels) => levels,
            None => {
                let levels = Arc::new(high_levels(leaves()?));
                self.0.insert(*block, levels.clone());
                levels
            }
        };
        let mut branch = Vec::with_capacity(LOW_LEVELS as usize + levels.len());
        let mut nodes = group.to_vec();
        let mut at = pos % GROUP;
        for _ in 0..LOW_LEVELS {
            branch.extend(sibling(&nodes, at));
            nodes = parents(&nodes);
            at /= 2;
        }
        let mut at = pos / GROUP;
        for nodes in levels.iter().filter(|nodes| nodes.len() > 1) {
            branch.extend(sibling(nodes, at));
            at /= 2;
        }
        Ok(branch)
    }
}

/// The node beside another; the last of an odd number stands beside itself.
fn sibling(nodes: &[sha256d::Hash], at: u32) -> Option<sha256d::Hash> {
    nodes
        .get((at ^ 1) as usize)
        .or_else(|| nodes.last())
        .copied()
}

/// The level above.
fn parents(nodes: &[sha256d::Hash]) -> Vec<sha256d::Hash> {
    let parent = |pair: &[sha256d::Hash]| {
        let mut engine = sha256d::Hash::engine();
        for at in 0..2 {
            if let Some(node) = pair.get(at).or_else(|| pair.last()) {
                engine.input(node.as_byte_array());
            }
        }
        sha256d::Hash::from_engine(engine)
    };
    nodes.chunks(2).map(parent).collect()
}

fn high_levels(leaves: Vec<sha256d::Hash>) -> Levels {
    let mut nodes = leaves;
    for _ in 0..LOW_LEVELS {
        nodes = parents(&nodes);
    }
    let mut levels = Vec::new();
    while nodes.len() > 1 {
        let above = parents(&nodes);
        levels.push(nodes);
        nodes = above;
    }
    levels.push(nodes);
    levels
}

#[cfg(test)]
mod tests {
    use electrum_protocol::merkle;

    use super::*;

    #[test]
    fn branches_are_those_of_the_whole_tree() {
        for count in 9..70u32 {
            let leaves: Vec<_> = (0..count)
                .map(|number| sha256d::Hash::hash(&number.to_le_bytes()))
                .collect();
            let trees = Trees::default();
            let block = BlockHash::from_byte_array([count as u8; 32]);
            for pos in 0..count {
                let start = (pos / GROUP * GROUP) as usize;
                let group = &leaves[start..leaves.len().min(start + GROUP as usize)];
                let mut read = false;
                let branch = trees
                    .branch(&block, pos, group, || {
                        read = true;
                        Ok::<_, ()>(leaves.clone())
                    })
                    .unwrap();
                assert_eq!(read, pos == 0, "the leaves are read once");
                let (expected, _) = merkle::branch(&leaves, pos as usize).unwrap();
                assert_eq!(branch, expected, "{pos} of {count}");
            }
        }
    }
}
