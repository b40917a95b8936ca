//! Chains of regtest, where a block costs two hashes.

#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod follower;

use electrum_protocol::bitcoin::block::{Header, Version};
use electrum_protocol::bitcoin::hashes::{Hash, sha256d};
use electrum_protocol::bitcoin::{
    BlockHash, CompactTarget, Network, TxMerkleNode, constants, hashes::HashEngine,
};
use electrum_protocol::method::block;
use electrum_protocol::{CheckpointProof, Request, Response, Tip, merkle};

/// The genesis block of regtest.
pub(crate) fn genesis() -> Header {
    constants::genesis_block(Network::Regtest).header
}

/// A header on top of another, with as much work as its bits demand.
pub(crate) fn mine(previous: &Header, root: TxMerkleNode, seconds: u32) -> Header {
    let mut header = Header {
        version: Version::from_consensus(0x2000_0000),
        prev_blockhash: previous.block_hash(),
        merkle_root: root,
        time: previous.time + seconds,
        bits: previous.bits,
        nonce: 0,
    };
    while !header.target().is_met_by(header.block_hash()) {
        header.nonce += 1;
    }
    header
}

/// A merkle root that says which branch a block is of.
pub(crate) fn root(seed: u32) -> TxMerkleNode {
    let mut engine = sha256d::Hash::engine();
    engine.input(&seed.to_le_bytes());
    TxMerkleNode::from_raw_hash(sha256d::Hash::from_engine(engine))
}

/// A chain of headers alone, as a server has it.
#[derive(Clone, Debug)]
pub(crate) struct Headers(pub(crate) Vec<Header>);

impl Headers {
    pub(crate) fn genesis() -> Self {
        Self(vec![genesis()])
    }

    /// Adds blocks that differ from those of other seeds.
    pub(crate) fn mine(&mut self, count: usize, seed: u32) {
        for _ in 0..count {
            let header = mine(self.0.last().unwrap(), root(seed), 600);
            self.0.push(header);
        }
    }

    /// Leaves the blocks above a height.
    pub(crate) fn cut(&mut self, height: u32) {
        self.0.truncate(height as usize + 1);
    }

    pub(crate) fn height(&self) -> u32 {
        self.0.len() as u32 - 1
    }

    pub(crate) fn tip(&self) -> Tip {
        Tip {
            height: self.height(),
            header: *self.0.last().unwrap(),
        }
    }

    pub(crate) fn hashes(&self) -> Vec<BlockHash> {
        self.0.iter().map(Header::block_hash).collect()
    }

    /// The proof that a header is under a checkpoint.
    pub(crate) fn proof(&self, height: u32, cp_height: u32) -> CheckpointProof {
        let leaves = self.0[..=cp_height as usize].iter();
        let leaves: Vec<_> = leaves
            .map(|header| header.block_hash().to_raw_hash())
            .collect();
        let (branch, root) = merkle::branch(&leaves, height as usize).unwrap();
        CheckpointProof { branch, root }
    }

    /// Answers `blockchain.block.headers` as servers do, at most `max` at a time.
    pub(crate) fn answer(&self, request: &Request, max: u32) -> Response {
        let Request::BlockHeaders(request) = request else {
            panic!("{request:?} is no request for headers");
        };
        assert_eq!(request.cp_height, 0);
        let headers = self.0.iter().skip(request.start_height as usize);
        Response::BlockHeaders(block::HeadersResponse {
            headers: headers
                .take(request.count.min(max) as usize)
                .copied()
                .collect(),
            max,
            proof: None,
        })
    }
}

/// A header of which only bits and time matter.
pub(crate) fn header(previous: BlockHash, time: u32, bits: u32) -> Header {
    Header {
        version: Version::from_consensus(0x2000_0000),
        prev_blockhash: previous,
        merkle_root: TxMerkleNode::all_zeros(),
        time,
        bits: CompactTarget::from_consensus(bits),
        nonce: 0,
    }
}
