//! The header chain in memory.

use std::ops::Range;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::block::Header;
use bitcoin::hashes::{Hash, sha256d};
use electrum_protocol::CheckpointProof;
use electrum_protocol::merkle::{self, CHUNK_HEADERS};
use imbl::Vector;

use super::BlockId;

/// The headers of the indexed chain, from the genesis block to the tip, and where each block's transactions are
/// numbered.
///
/// A value: a clone costs next to nothing and is not changed by what happens to the original. Transactions are numbered
/// in chain order from 0, the genesis coinbase.
#[derive(Clone, Debug, Default)]
pub struct HeaderChain {
    blocks: Vector<Entry>,
    /// The roots of the complete chunks, for checkpoint proofs.
    chunk_roots: Vector<sha256d::Hash>,
    /// The headers of the complete chunks by hash.
    chunk_names: Vector<Arc<[Name]>>,
    tip_hash: Option<BlockHash>,
}

/// The first bytes of a hash, and which header of its chunk it belongs to. Sorted within a chunk.
type Name = (u32, u16);

fn name(hash: &BlockHash) -> u32 {
    let [a, b, c, d, ..] = hash.to_byte_array();
    u32::from_be_bytes([a, b, c, d])
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    header: Header,
    /// The number of the first transaction after this block.
    next_tx_num: u32,
}

/// A header that does not continue the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// It names another predecessor.
    #[error("block {hash} does not follow the block at height {height}")]
    NotLinked {
        /// The hash of the header.
        hash: BlockHash,
        /// The height of the tip.
        height: u32,
    },
    /// Its transactions are numbered below those of its predecessor.
    #[error("block {hash} ends at transaction number {next_tx_num}, before it begins")]
    NumberedBackwards {
        /// The hash of the header.
        hash: BlockHash,
        /// The number of the first transaction after it.
        next_tx_num: u32,
    },
}

impl HeaderChain {
    /// Returns the tip; nothing while there is no block.
    pub fn tip(&self) -> Option<BlockId> {
        let height = self.len().checked_sub(1)?;
        Some(BlockId {
            height,
            hash: self.tip_hash?,
        })
    }

    /// Returns the number of headers: one more than the height of the tip.
    pub fn len(&self) -> u32 {
        // There are 52,560 blocks a year.
        u32::try_from(self.blocks.len()).unwrap_or(u32::MAX)
    }

    /// Returns whether there is no block.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Returns the header at a height.
    pub fn header(&self, height: u32) -> Option<Header> {
        self.entry(height).map(|entry| entry.header)
    }

    /// Returns the hash of the header at a height.
    pub fn hash(&self, height: u32) -> Option<BlockHash> {
        match self.entry(height.checked_add(1)?) {
            Some(next) => Some(next.header.prev_blockhash),
            None => self
                .tip()
                .filter(|tip| tip.height == height)
                .map(|tip| tip.hash),
        }
    }

    /// Returns the height of the header with a hash; nothing when it is not in the chain.
    pub fn height(&self, hash: &BlockHash) -> Option<u32> {
        let name = name(hash);
        let named = (0..).zip(&self.chunk_names).flat_map(|(chunk, names)| {
            let first = names.partition_point(|(other, _)| *other < name);
            let names = names.iter().skip(first);
            names
                .take_while(move |(other, _)| *other == name)
                .map(move |(_, offset)| chunk * CHUNK_HEADERS + u32::from(*offset))
        });
        let complete = self.len() / CHUNK_HEADERS * CHUNK_HEADERS;
        named
            .chain(complete..self.len())
            .find(|height| self.hash(*height).as_ref() == Some(hash))
    }

    /// Returns the numbers of the transactions in the block at a height.
    pub fn tx_nums(&self, height: u32) -> Option<Range<u32>> {
        let end = self.entry(height)?.next_tx_num;
        let start = match height.checked_sub(1) {
            Some(below) => self.entry(below)?.next_tx_num,
            None => 0,
        };
        Some(start..end)
    }

    /// Returns the number that the next transaction will have.
    pub fn next_tx_num(&self) -> u32 {
        self.blocks.last().map_or(0, |entry| entry.next_tx_num)
    }

    /// Finds a transaction by its number: the height of its block and its position there.
    pub fn locate(&self, tx_num: u32) -> Option<(u32, u32)> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle)?.next_tx_num <= tx_num {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let first = self.tx_nums(low)?.start;
        Some((low, tx_num.checked_sub(first)?))
    }

    /// Proves that the header at `height` is in the chain that ends at `cp_height`; nothing when it is above, or when
    /// there is no such block.
    pub fn checkpoint_proof(&self, height: u32, cp_height: u32) -> Option<CheckpointProof> {
        let chunk_roots: Vec<_> = self.chunk_roots.iter().copied().collect();
        merkle::checkpoint_proof(height, cp_height, &chunk_roots, |heights| {
            self.leaves(heights)
        })
    }

    /// Appends a header.
    ///
    /// # Errors
    ///
    /// When it does not follow the tip.
    pub fn push(&mut self, header: Header, next_tx_num: u32) -> Result<(), PushError> {
        let hash = header.block_hash();
        if let Some(tip) = self.tip()
            && header.prev_blockhash != tip.hash
        {
            return Err(PushError::NotLinked {
                hash,
                height: tip.height,
            });
        }
        if next_tx_num < self.next_tx_num() {
            return Err(PushError::NumberedBackwards { hash, next_tx_num });
        }
        self.blocks.push_back(Entry {
            header,
            next_tx_num,
        });
        self.tip_hash = Some(hash);
        if self.len().is_multiple_of(CHUNK_HEADERS) {
            let leaves = self.leaves(self.len() - CHUNK_HEADERS..self.len());
            if let Some(root) = merkle::chunk_root(&leaves) {
                self.chunk_roots.push_back(root);
            }
            let hashes = leaves.into_iter().map(BlockHash::from_raw_hash);
            let mut names: Vec<_> = hashes.map(|hash| name(&hash)).zip(0..).collect();
            names.sort_unstable();
            self.chunk_names.push_back(names.into());
        }
        Ok(())
    }

    /// Removes the tip.
    pub fn pop(&mut self) {
        if let Some(entry) = self.blocks.pop_back() {
            self.tip_hash = (!self.is_empty()).then_some(entry.header.prev_blockhash);
            let complete = (self.len() / CHUNK_HEADERS) as usize;
            self.chunk_roots.truncate(complete);
            self.chunk_names.truncate(complete);
        }
    }

    fn entry(&self, height: u32) -> Option<&Entry> {
        self.blocks.get(usize::try_from(height).ok()?)
    }

    fn leaves(&self, heights: Range<u32>) -> Vec<sha256d::Hash> {
        heights
            .map_while(|height| self.hash(height))
            .map(BlockHash::to_raw_hash)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::block::Version;
    use bitcoin::{CompactTarget, TxMerkleNode};

    use super::*;

    /// A chain of `count` headers, two transactions in each block.
    fn chain(count: u32) -> HeaderChain {
        let mut chain = HeaderChain::default();
        for nonce in 0..count {
            let header = Header {
                version: Version::TWO,
                prev_blockhash: chain
                    .tip()
                    .map_or_else(BlockHash::all_zeros, |tip| tip.hash),
                merkle_root: TxMerkleNode::all_zeros(),
                time: 0,
                bits: CompactTarget::default(),
                nonce,
            };
            chain.push(header, 2 * (nonce + 1)).unwrap();
        }
        chain
    }

    #[test]
    fn finds_hashes_and_transactions() {
        let chain = chain(10);
        for height in 0..10 {
            let header = chain.header(height).unwrap();
            assert_eq!(chain.hash(height), Some(header.block_hash()));
            assert_eq!(chain.height(&header.block_hash()), Some(height));
            assert_eq!(chain.tx_nums(height), Some(2 * height..2 * height + 2));
            assert_eq!(chain.locate(2 * height), Some((height, 0)));
            assert_eq!(chain.locate(2 * height + 1), Some((height, 1)));
        }
        assert_eq!(chain.hash(10), None);
        assert_eq!(chain.locate(20), None);
        assert_eq!(chain.header(u32::MAX), None);
        assert_eq!(chain.hash(u32::MAX), None);
    }

    #[test]
    fn refuses_what_does_not_follow() {
        let mut chain = chain(3);
        let stranger = chain.header(1).unwrap();
        assert!(matches!(
            chain.push(stranger, 9),
            Err(PushError::NotLinked { height: 2, .. })
        ));
        assert_eq!(chain.len(), 3);
    }

    #[test]
    fn pop_is_push_backwards() {
        let long = chain(2 * CHUNK_HEADERS + 3);
        for count in [1, 2, CHUNK_HEADERS - 1, CHUNK_HEADERS, CHUNK_HEADERS + 1] {
            let mut cut = long.clone();
            while cut.len() > count {
                cut.pop();
            }
            let short = chain(count);
            assert_eq!(cut.tip(), short.tip());
            assert_eq!(cut.chunk_roots, short.chunk_roots);
        }
    }

    #[test]
    fn heights_by_hash() {
        let long = chain(2 * CHUNK_HEADERS + 3);
        for count in [1, CHUNK_HEADERS, CHUNK_HEADERS + 1, long.len()] {
            let mut cut = long.clone();
            while cut.len() > count {
                cut.pop();
            }
            for height in [
                0,
                1,
                CHUNK_HEADERS - 1,
                CHUNK_HEADERS,
                2 * CHUNK_HEADERS + 1,
            ] {
                let hash = long.hash(height).unwrap();
                let expected = (height < count).then_some(height);
                assert_eq!(cut.height(&hash), expected, "{height} of {count}");
            }
            assert_eq!(cut.height(&BlockHash::all_zeros()), None);
        }
    }

    #[test]
    fn checkpoint_proofs_lead_to_the_root_over_all_headers() {
        let chain = chain(2 * CHUNK_HEADERS + 3);
        let tip = chain.len() - 1;
        for cp_height in [
            0,
            1,
            8,
            CHUNK_HEADERS - 1,
            CHUNK_HEADERS,
            2 * CHUNK_HEADERS,
            tip,
        ] {
            let leaves = chain.leaves(0..cp_height + 1);
            let root = merkle::root(&leaves).unwrap();
            for height in [0, 1, cp_height / 2, cp_height] {
                if height <= cp_height {
                    let proof = chain.checkpoint_proof(height, cp_height).unwrap();
                    assert_eq!(proof.root, root, "{height} under {cp_height}");
                    proof.verify(leaves[height as usize], height).unwrap();
                }
            }
        }
        assert_eq!(chain.checkpoint_proof(5, 4), None);
        assert_eq!(chain.checkpoint_proof(5, tip + 1), None);
    }
}
