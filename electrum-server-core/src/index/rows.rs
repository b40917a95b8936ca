//! The rows that a block makes: a pure function of the block, the outputs that it spends, and the database's key.

use std::fmt;
use std::hash::Hasher;

use bitcoin::block::Header;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, OutPoint, Txid, VarInt};
use electrum_protocol::ScriptHash;
use siphasher::sip::SipHasher24;

use crate::chain::BlockWithSpent;
use crate::leb128::{pull_leb128, push_leb128};
use crate::store::{ReadError, TX_ROW, Table};

/// What each transaction takes in the tables [`Table::Txids`] and [`Table::TxNums`], keys and all.
const TX_SIZE: usize = 4 + TX_ROW + 12;

/// The secret key of a database: 16 random bytes that are made with it and never leave it.
///
/// Rows name scripts and spent outputs by short hashes under this key, so nobody outside can look for two that collide.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RowKey([u8; 16]);

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowKey(..)")
    }
}

/// The length of a script's prefix in the keys of the history: 80 bits.
pub(crate) const PREFIX_LEN: usize = 10;

/// The length of a key of the history: the script's prefix, then the transaction's number, big-endian.
pub(super) const HISTORY_KEY_LEN: usize = PREFIX_LEN + 4;

impl RowKey {
    /// Takes 16 bytes.
    pub const fn from_byte_array(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn to_byte_array(self) -> [u8; 16] {
        self.0
    }

    /// Names a script in the keys of the history: its first two bytes, then SipHash-2-4 over all of it.
    pub(crate) fn prefix(&self, script_hash: &ScriptHash) -> [u8; PREFIX_LEN] {
        self.prefix_of(&script_hash.to_byte_array())
    }

    /// The same, for the bytes of a script hash.
    pub(crate) fn prefix_of(&self, bytes: &[u8; 32]) -> [u8; PREFIX_LEN] {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(bytes);
        let [a, b, ..] = *bytes;
        let [c, d, e, f, g, h, i, j] = hasher.finish().to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j]
    }

    /// Names an output where it is spent: SipHash-2-4 over txid and index, as in the network encoding.
    pub(super) fn outpoint(&self, outpoint: &OutPoint) -> u64 {
        let mut bytes = [0; 36];
        let (txid, vout) = bytes.split_at_mut(32);
        txid.copy_from_slice(outpoint.txid.as_byte_array());
        vout.copy_from_slice(&outpoint.vout.to_le_bytes());
        self.outpoint_bytes(&bytes)
    }

    /// The same, for an outpoint in the network encoding.
    pub(super) fn outpoint_bytes(&self, outpoint: &[u8; 36]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(outpoint);
        hasher.finish()
    }
}

/// What one block adds to the index. Transactions are numbered by their position in the block; the
/// [index](super::Index) adds the number of the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRows {
    pub(super) key: RowKey,
    pub(super) header: Header,
    pub(super) hash: BlockHash,
    pub(super) txids: Vec<Txid>,
    /// Where each transaction ends in the block.
    pub(super) ends: Vec<u32>,
    pub(super) history: Vec<HistoryRow>,
}

/// What one transaction does with one script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HistoryRow {
    pub(super) script_hash: ScriptHash,
    pub(super) prefix: [u8; PREFIX_LEN],
    pub(super) position: u32,
    pub(super) deltas: Vec<u8>,
}

/// A block whose rows cannot be derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("block {hash} comes without the outputs that it spends")]
pub struct RowsError {
    /// The hash of the block.
    pub hash: BlockHash,
}

impl BlockRows {
    /// Derives the rows of a block.
    ///
    /// Outputs that begin with `OP_RETURN` can never be spent and have no history. Neither has the coinbase of the
    /// genesis block (the one without a predecessor), which the rules of the chain do not let anybody spend.
    ///
    /// # Errors
    ///
    /// When the spent outputs do not belong to the block's inputs, one by one.
    pub fn derive(key: &RowKey, block: &BlockWithSpent) -> Result<Self, RowsError> {
        let BlockWithSpent { block, spent } = block;
        let hash = block.block_hash();
        let genesis = block.header.prev_blockhash == BlockHash::all_zeros();
        if spent.len() != block.txdata.len() {
            return Err(RowsError { hash });
        }
        let mut rows = Self {
            key: *key,
            header: block.header,
            hash,
            txids: Vec::with_capacity(block.txdata.len()),
            ends: Vec::with_capacity(block.txdata.len()),
            history: Vec::with_capacity(4 * block.txdata.len()),
        };
        let mut events = Vec::new();
        let mut end = first_offset(block.txdata.len());
        for (position, (transaction, spent)) in (0..).zip(block.txdata.iter().zip(spent)) {
            rows.txids.push(transaction.compute_txid());
            // Blocks have 4 million bytes at most.
            end = end.saturating_add(transaction.total_size() as u32);
            rows.ends.push(end);
            if genesis {
                continue;
            }
            let inputs = if transaction.is_coinbase() {
                &[][..]
            } else {
                &transaction.input[..]
            };
            if inputs.len() != spent.len() {
                return Err(RowsError { hash });
            }
            for (vout, output) in (0..).zip(&transaction.output) {
                if !output.script_pubkey.is_op_return() {
                    let script_hash = ScriptHash::from_script(&output.script_pubkey);
                    events.push((
                        script_hash,
                        Delta::Funded {
                            vout,
                            value: output.value,
                        },
                    ));
                }
            }
            for (input, spent) in inputs.iter().zip(spent) {
                let script_hash = ScriptHash::from_script(&spent.script_pubkey);
                let outpoint = key.outpoint(&input.previous_output);
                events.push((script_hash, Delta::Spent { outpoint }));
            }
            // Stable: what was funded stays before what was spent, each in the transaction's order.
            events.sort_by_key(|(script_hash, _)| *script_hash);
            for of_script in events.chunk_by(|(a, _), (b, _)| a == b) {
                if let Some((script_hash, _)) = of_script.first() {
                    let mut deltas = Vec::with_capacity(16);
                    encode_deltas(&mut deltas, of_script.iter().map(|(_, delta)| *delta));
                    rows.history.push(HistoryRow {
                        script_hash: *script_hash,
                        prefix: key.prefix(script_hash),
                        position,
                        deltas,
                    });
                }
            }
            events.clear();
        }
        Ok(rows)
    }

    /// Returns the hash of the block.
    pub fn hash(&self) -> BlockHash {
        self.hash
    }

    /// Returns the header of the block.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns roughly how many bytes the rows take in the database.
    pub(crate) fn size(&self) -> usize {
        let deltas: usize = self.history.iter().map(|row| row.deltas.len()).sum();
        deltas + self.history.len() * HISTORY_KEY_LEN + self.txids.len() * TX_SIZE
    }

    /// Returns the scripts that the block's transactions fund or spend; some more than once.
    pub fn scripts(&self) -> impl Iterator<Item = ScriptHash> + '_ {
        self.history.iter().map(|row| row.script_hash)
    }
}

/// Where the first of so many transactions begins in a block: after the header and their number.
pub(crate) fn first_offset(transactions: usize) -> u32 {
    let count = VarInt::from(transactions).size();
    (Header::SIZE + count) as u32
}

/// The row of a transaction: its txid, then where it ends in its block.
pub(super) fn tx_row(txid: &[u8; 32], end: u32) -> [u8; TX_ROW] {
    let mut row = [0; TX_ROW];
    let (head, tail) = row.split_at_mut(32);
    head.copy_from_slice(txid);
    tail.copy_from_slice(&end.to_be_bytes());
    row
}

/// One thing that a transaction does with a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delta {
    /// Makes an output that pays to it.
    Funded {
        /// The index of the output.
        vout: u32,
        /// Its worth.
        value: Amount,
    },
    /// Spends an output that paid to it, named by [`RowKey::outpoint`].
    Spent {
        /// The short hash of the outpoint.
        outpoint: u64,
    },
}

/// Encodes the value of a history row: the number of funded outputs, the index and the worth of each, all as LEB128, then
/// 8 bytes for each spent output.
pub(super) fn encode_deltas(bytes: &mut Vec<u8>, deltas: impl Iterator<Item = Delta> + Clone) {
    let funded = deltas
        .clone()
        .filter(|delta| matches!(delta, Delta::Funded { .. }))
        .count();
    push_leb128(bytes, funded as u64);
    for delta in deltas {
        match delta {
            Delta::Funded { vout, value } => {
                push_leb128(bytes, u64::from(vout));
                push_leb128(bytes, value.to_sat());
            }
            Delta::Spent { outpoint } => bytes.extend_from_slice(&outpoint.to_be_bytes()),
        }
    }
}

/// Decodes the value of a history row.
pub(crate) fn decode_deltas(mut bytes: &[u8]) -> Result<Vec<Delta>, ReadError> {
    let damaged = || ReadError::damaged(Table::History, "a row cannot be decoded");
    let funded = pull_leb128(&mut bytes).ok_or_else(damaged)?;
    let mut deltas = Vec::new();
    for _ in 0..funded {
        let vout = pull_leb128(&mut bytes).and_then(|vout| u32::try_from(vout).ok());
        let value = pull_leb128(&mut bytes).map(Amount::from_sat);
        let (Some(vout), Some(value)) = (vout, value) else {
            return Err(damaged());
        };
        deltas.push(Delta::Funded { vout, value });
    }
    let (spent, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(damaged());
    }
    deltas.extend(spent.iter().map(|id| Delta::Spent {
        outpoint: u64::from_be_bytes(*id),
    }));
    Ok(deltas)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn deltas_have_the_documented_bytes() {
        let deltas = [
            Delta::Funded {
                vout: 0,
                value: Amount::from_sat(1),
            },
            Delta::Funded {
                vout: 300,
                value: Amount::from_sat(5_000_000_000),
            },
            Delta::Spent {
                outpoint: 0x0102_0304_0506_0708,
            },
        ];
        let mut bytes = Vec::new();
        encode_deltas(&mut bytes, deltas.into_iter());
        let expected = [
            2, 0, 1, 0xac, 2, 0x80, 0xe4, 0x97, 0xd0, 0x12, 1, 2, 3, 4, 5, 6, 7, 8,
        ];
        assert_eq!(bytes, expected);
        assert_eq!(decode_deltas(&bytes).unwrap(), deltas);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = decode_deltas(&bytes);
        }
    }
}
