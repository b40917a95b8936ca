//! That a transaction is in a block.

use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{BlockHash, Transaction, Txid};

use crate::merkle::{self, VerifyError};
use crate::method::transaction::MerkleResponse;

/// Why a transaction is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The proof is for another height than was asked for.
    #[error("the proof is for height {found} instead of {asked}")]
    OtherHeight {
        /// The height that was asked for.
        asked: u32,
        /// The height that the proof names.
        found: u32,
    },
    /// There is no header to check the proof against.
    #[error("the header at height {height} is not known")]
    UnknownHeader {
        /// The height of the block.
        height: u32,
    },
    /// The branch does not lead to the merkle root of the header.
    #[error("transaction {txid} is not proven: {error}")]
    Merkle {
        /// The transaction.
        txid: Txid,
        /// Why not.
        error: VerifyError,
    },
    /// What should be two hashes in the tree is a transaction of 64 bytes: the tree may end above the leaf
    /// (CVE-2017-12842).
    #[error("the proof of transaction {txid} leads through a transaction at level {level}")]
    TransactionInside {
        /// The transaction that should be proven.
        txid: Txid,
        /// The level in the tree, 0 at the leaves.
        level: usize,
    },
}

/// Checks that a transaction is in the block of `header`, at `height`, and returns that block's hash.
///
/// The protocol's proofs do not say how high the tree is, so there are two tricks with transactions of 64 bytes, which
/// hash like two neighbours in the tree. A proof that leads *through* such a transaction is refused here. One that ends
/// at an inner node in the place of a leaf has two hashes for a transaction: whoever has its bytes refuses those of 64
/// bytes without the witness, as [`ScriptSync`](crate::ScriptSync) does. That the transaction *is* in the block is all that is shown: not its index, as far as that
/// differs on the right edge of the tree, and not that it is valid.
///
/// # Errors
///
/// When the proof is for another height, leads to another root or through a transaction.
pub fn verify_transaction(
    txid: Txid,
    height: u32,
    proof: &MerkleResponse,
    header: &Header,
) -> Result<BlockHash, ProofError> {
    if proof.block_height != height {
        return Err(ProofError::OtherHeight {
            asked: height,
            found: proof.block_height,
        });
    }
    let leaf = txid.to_raw_hash();
    merkle::verify(
        leaf,
        proof.pos,
        &proof.merkle,
        header.merkle_root.to_raw_hash(),
    )
    .map_err(|error| ProofError::Merkle { txid, error })?;
    match transaction_inside(leaf, proof.pos, &proof.merkle) {
        Some(level) => Err(ProofError::TransactionInside { txid, level }),
        None => Ok(header.block_hash()),
    }
}

/// Finds the level of the first two neighbours that are, put together, a transaction.
fn transaction_inside(leaf: sha256d::Hash, pos: u32, branch: &[sha256d::Hash]) -> Option<usize> {
    let mut hash = leaf;
    branch.iter().enumerate().find_map(|(level, sibling)| {
        let (left, right) = match (pos >> level) & 1 {
            1 => (sibling, &hash),
            _ => (&hash, sibling),
        };
        let node = [left.to_byte_array(), right.to_byte_array()].concat();
        if is_transaction(&node) {
            return Some(level);
        }
        hash = sha256d::Hash::hash(&node);
        None
    })
}

/// Whether 64 bytes are a transaction that hashes as they do: one without witnesses.
fn is_transaction(node: &[u8]) -> bool {
    encode::deserialize::<Transaction>(node)
        .is_ok_and(|transaction| transaction.base_size() == node.len())
}
