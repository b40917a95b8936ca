//! Blocks and what they spend as bytes, walked without taking them apart into values.
//!
//! Indexing needs of a block only its txids, the scripts and amounts of its outputs, and the outpoints and scripts of
//! what it spends. Reading just these from the bytes is several times as fast as decoding the block.

use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::{Hash, HashEngine, sha256, sha256d};
use bitcoin::{BlockHash, TxOut, Txid};

use super::BlockWithSpent;

/// A block in the network encoding, and the outputs that it spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawBlock {
    /// The block.
    pub block: Vec<u8>,
    /// What its inputs spend.
    pub spent: RawSpent,
}

/// The outputs that a block spends, in the form in which a source has them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RawSpent {
    /// As Bitcoin Core's `/rest/spenttxouts` writes them: a compact size (the number of transactions), for each
    /// transaction a compact size (the number of inputs; 0 for the coinbase), for each input the value (8 bytes, little
    /// endian) and the script (a compact size and as many bytes).
    Rest(Vec<u8>),
    /// One list per transaction of the block.
    Decoded(Vec<Vec<TxOut>>),
    /// The scripts' hashes, and how many belong to each transaction; empty for the coinbase.
    Hashed(SpentScripts),
}

/// The hashes of the scripts that a block spends, in the order of its inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpentScripts {
    /// SHA-256 of each script.
    pub hashes: Vec<[u8; 32]>,
    /// How many of them each transaction has, the coinbase first.
    pub counts: Vec<u32>,
}

/// Bytes that are not a block, or not what a block spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RawError {
    /// The bytes end too early, go on too long, or hold an impossible length.
    #[error("the bytes of {what} cannot be decoded at byte {offset}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// Where it went wrong.
        offset: usize,
    },
    /// The header is that of another block.
    #[error("asked for block {asked}, got block {found}")]
    OtherBlock {
        /// The hash that was asked for.
        asked: BlockHash,
        /// The hash of what came.
        found: BlockHash,
    },
    /// The header commits to other transactions.
    #[error("the transactions of block {hash} are not those that its header commits to")]
    OtherTransactions {
        /// The hash of the block.
        hash: BlockHash,
    },
    /// The spent outputs do not belong to the block's inputs, one by one.
    #[error("block {hash} comes without the outputs that it spends")]
    OtherSpent {
        /// The hash of the block.
        hash: BlockHash,
    },
}

impl From<&BlockWithSpent> for RawBlock {
    fn from(block: &BlockWithSpent) -> Self {
        Self {
            block: serialize(&block.block),
            spent: RawSpent::Decoded(block.spent.clone()),
        }
    }
}

/// A transaction in a block's bytes.
#[derive(Debug, Default)]
pub(crate) struct RawTransaction<'a> {
    /// All of it.
    pub(crate) bytes: &'a [u8],
    /// Where it ends in the block.
    pub(crate) end: u32,
    /// The outpoints that it spends, 36 bytes each.
    pub(crate) inputs: Vec<&'a [u8; 36]>,
    /// The value in satoshis and the script of each output.
    pub(crate) outputs: Vec<(u64, &'a [u8])>,
    /// Inputs and outputs with their counts: what a txid hashes between version and lock time.
    body: &'a [u8],
}

impl RawTransaction<'_> {
    pub(crate) fn txid(&self) -> Txid {
        let mut engine = sha256d::Hash::engine();
        let (version, _) = self.bytes.split_at(4.min(self.bytes.len()));
        let (_, lock_time) = self.bytes.split_at(self.bytes.len().saturating_sub(4));
        engine.input(version);
        engine.input(self.body);
        engine.input(lock_time);
        Txid::from_engine(engine)
    }

    pub(crate) fn is_coinbase(&self) -> bool {
        matches!(self.inputs.as_slice(), [only] if only.starts_with(&[0; 32]) && only.ends_with(&[0xff; 4]))
    }
}

/// Reads bytes from the front.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    what: &'static str,
    all: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self {
            what,
            all: bytes,
            rest: bytes,
        }
    }

    fn offset(&self) -> usize {
        self.all.len() - self.rest.len()
    }

    fn malformed(&self) -> RawError {
        RawError::Malformed {
            what: self.what,
            offset: self.offset(),
        }
    }

    /// What was read since `offset`.
    fn since(&self, offset: usize) -> &'a [u8] {
        self.all.get(offset..self.offset()).unwrap_or_default()
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8], RawError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N], RawError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn compact_size(&mut self) -> Result<u64, RawError> {
        let [first] = *self.chunk()?;
        Ok(match first {
            0xfd => u64::from(u16::from_le_bytes(*self.chunk()?)),
            0xfe => u64::from(u32::from_le_bytes(*self.chunk()?)),
            0xff => u64::from_le_bytes(*self.chunk()?),
            short => u64::from(short),
        })
    }

    #[inline]
    fn sized(&mut self) -> Result<&'a [u8], RawError> {
        let size = self.compact_size()?;
        let size = usize::try_from(size).map_err(|_| self.malformed())?;
        self.take(size)
    }

    fn end(&self) -> Result<(), RawError> {
        match self.rest {
            [] => Ok(()),
            _ => Err(self.malformed()),
        }
    }

    fn transaction(&mut self, tx: &mut RawTransaction<'a>) -> Result<(), RawError> {
        tx.inputs.clear();
        tx.outputs.clear();
        let start = self.offset();
        self.chunk::<4>()?;
        // A count of no inputs is the marker of the encoding with witnesses.
        let witnesses = matches!(self.rest, [0, 1, ..]);
        if witnesses {
            self.take(2)?;
        }
        let body = self.offset();
        for _ in 0..self.compact_size()? {
            tx.inputs.push(self.chunk()?);
            self.sized()?;
            self.chunk::<4>()?;
        }
        for _ in 0..self.compact_size()? {
            let value = u64::from_le_bytes(*self.chunk()?);
            tx.outputs.push((value, self.sized()?));
        }
        tx.body = self.since(body);
        if witnesses {
            for _ in 0..tx.inputs.len() {
                for _ in 0..self.compact_size()? {
                    self.sized()?;
                }
            }
        }
        self.chunk::<4>()?;
        tx.bytes = self.since(start);
        tx.end = u32::try_from(self.offset()).map_err(|_| self.malformed())?;
        Ok(())
    }
}

/// Shows `visit` each transaction of a block with its position.
///
/// Checks that the bytes are one block with the hash `hash`.
pub(crate) fn walk<'a>(
    hash: &BlockHash,
    bytes: &'a [u8],
    mut visit: impl FnMut(u32, &RawTransaction<'a>) -> Result<(), RawError>,
) -> Result<(), RawError> {
    let mut cursor = Cursor::new("a block", bytes);
    let header = cursor.chunk::<80>()?;
    let found = BlockHash::from_raw_hash(sha256d::Hash::hash(header));
    if found != *hash {
        return Err(RawError::OtherBlock {
            asked: *hash,
            found,
        });
    }
    let count = cursor.compact_size()?;
    let mut tx = RawTransaction::default();
    for position in 0..count {
        cursor.transaction(&mut tx)?;
        let position = u32::try_from(position).map_err(|_| cursor.malformed())?;
        visit(position, &tx)?;
    }
    cursor.end()
}

/// Checks that the header of a block commits to transactions with these txids. They are overwritten.
pub(crate) fn check_merkle_root(
    hash: &BlockHash,
    block: &[u8],
    txids: &mut [[u8; 32]],
) -> Result<(), RawError> {
    let committed = block.get(36..68).unwrap_or_default();
    let mut width = txids.len();
    while width > 1 {
        for pair in 0..width.div_ceil(2) {
            let left = txids.get(2 * pair).copied().unwrap_or_default();
            let right = match 2 * pair + 1 < width {
                true => txids.get(2 * pair + 1).copied().unwrap_or_default(),
                false => left,
            };
            let mut both = [0; 64];
            let (first, second) = both.split_at_mut(32);
            first.copy_from_slice(&left);
            second.copy_from_slice(&right);
            if let Some(parent) = txids.get_mut(pair) {
                *parent = sha256d::Hash::hash(&both).to_byte_array();
            }
        }
        width = width.div_ceil(2);
    }
    match txids.first() {
        Some(root) if root.as_slice() == committed => Ok(()),
        _ => Err(RawError::OtherTransactions { hash: *hash }),
    }
}

impl RawSpent {
    /// Returns the hashes of the scripts.
    pub(crate) fn scripts(self) -> Result<SpentScripts, RawError> {
        match self {
            Self::Hashed(scripts) => Ok(scripts),
            Self::Decoded(spent) => {
                let mut scripts = SpentScripts::default();
                for outputs in spent {
                    scripts.counts.push(outputs.len() as u32);
                    scripts.hashes.extend(
                        outputs
                            .iter()
                            .map(|output| hash(output.script_pubkey.as_bytes())),
                    );
                }
                Ok(scripts)
            }
            Self::Rest(bytes) => {
                let mut scripts = SpentScripts::default();
                let mut cursor = Cursor::new("spent outputs", &bytes);
                for _ in 0..cursor.compact_size()? {
                    let inputs = cursor.compact_size()?;
                    for _ in 0..inputs {
                        cursor.chunk::<8>()?;
                        scripts.hashes.push(hash(cursor.sized()?));
                    }
                    let inputs = u32::try_from(inputs).map_err(|_| cursor.malformed())?;
                    scripts.counts.push(inputs);
                }
                cursor.end()?;
                Ok(scripts)
            }
        }
    }
}

/// The txid of a transaction in the network encoding; nothing when the bytes are something else.
pub(crate) fn txid_of(bytes: &[u8]) -> Option<Txid> {
    let mut cursor = Cursor::new("a transaction", bytes);
    let mut tx = RawTransaction::default();
    cursor.transaction(&mut tx).ok()?;
    cursor.end().ok()?;
    Some(tx.txid())
}

/// SHA-256 of a script.
pub(crate) fn hash(script: &[u8]) -> [u8; 32] {
    sha256::Hash::hash(script).to_byte_array()
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;
    use bitcoin::constants::genesis_block;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_genesis_block_is_read() {
        let genesis = genesis_block(Network::Bitcoin);
        let bytes = serialize(&genesis);
        let mut txids = Vec::new();
        walk(&genesis.block_hash(), &bytes, |position, tx| {
            assert_eq!(position, 0);
            assert!(tx.is_coinbase());
            assert_eq!(
                tx.outputs,
                [(
                    50 * 100_000_000,
                    genesis.txdata[0].output[0].script_pubkey.as_bytes()
                )]
            );
            txids.push(tx.txid().to_byte_array());
            Ok(())
        })
        .unwrap();
        assert_eq!(txids, [genesis.txdata[0].compute_txid().to_byte_array()]);
        check_merkle_root(&genesis.block_hash(), &bytes, &mut txids).unwrap();
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let hash = BlockHash::from_raw_hash(sha256d::Hash::hash(bytes.get(..80).unwrap_or_default()));
            let _ = walk(&hash, &bytes, |_, _| Ok(()));
            let _ = RawSpent::Rest(bytes).scripts();
        }
    }
}
