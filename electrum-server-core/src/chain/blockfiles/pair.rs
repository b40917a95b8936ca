//! Which undo record belongs to which block.
//!
//! A record does not say it. Behind it stands a checksum over the hash of the block's parent and the record: so whoever
//! has a block can tell whether a record is its own, unless there is another block with the same parent, stale or not, in
//! the same file. Records are written in the order in which blocks were connected, which is that of their heights but for
//! stale blocks; there the search begins.

use std::collections::{HashMap, HashSet};
use std::io;

use bitcoin::BlockHash;
use bitcoin::hashes::{Hash, HashEngine, sha256d};

use super::files::{Files, Kind};
use super::scan::{Connected, ShortHash};

/// What stands before a record: the network's magic bytes, and its size (4 bytes, little endian).
const RECORD_HEAD: u64 = 8;
/// The checksum behind a record.
const CHECKSUM: u32 = 32;
/// Larger than what any block spends: 4 million bytes hold fewer than 100,000 inputs, but each may spend a script of
/// 10,000 bytes.
const MAX_RECORD: u32 = 1 << 30;

/// The undo records of one file.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) file: u32,
    /// Offset and size of each.
    records: Vec<(u64, u32)>,
    /// The order in which the blocks of the file with the same number were connected, most likely.
    ranks: HashMap<ShortHash, usize>,
    /// Blocks of the file that have a parent in common.
    siblings: HashSet<ShortHash>,
}

impl Records {
    /// Reads where the records of a file are.
    pub(super) fn read(
        files: &Files,
        magic: [u8; 4],
        file: u32,
        connected: Vec<Connected>,
    ) -> io::Result<Self> {
        let mut records = Vec::with_capacity(connected.len());
        let mut at = 0u64;
        let mut head = [0; RECORD_HEAD as usize];
        while files.read(Kind::Undo, file, &mut head, at)? {
            let [m, n, o, p, a, b, c, d] = head;
            let size = u32::from_le_bytes([a, b, c, d]);
            if [m, n, o, p] != magic || size > MAX_RECORD {
                break;
            }
            let end = at + RECORD_HEAD + u64::from(size) + u64::from(CHECKSUM);
            // What is not all there is still being written, or cut off; room for it would be made in vain.
            if !files.read(Kind::Undo, file, &mut [0], end - 1)? {
                break;
            }
            records.push((at + RECORD_HEAD, size));
            at = end;
        }
        Ok(Self {
            file,
            records,
            siblings: siblings(&connected),
            ranks: connected.iter().map(|block| block.hash).zip(0..).collect(),
        })
    }

    /// Returns how many blocks were known of the file with the same number.
    pub(super) fn blocks(&self) -> usize {
        self.ranks.len()
    }

    /// Returns the record of a block, if it is there and cannot be that of another.
    pub(super) fn find(
        &self,
        files: &Files,
        block: ShortHash,
        parent: &BlockHash,
    ) -> io::Result<Option<Vec<u8>>> {
        if self.siblings.contains(&block) {
            return Ok(None);
        }
        let Some(rank) = self.ranks.get(&block) else {
            return Ok(None);
        };
        let rank = (*rank).min(self.records.len());
        let (before, after) = self.records.split_at(rank);
        // Outwards from the most likely one.
        let mut before = before.iter().rev();
        let mut after = after.iter();
        loop {
            let (next, last) = (after.next(), before.next());
            if next.is_none() && last.is_none() {
                return Ok(None);
            }
            for (offset, size) in [next, last].into_iter().flatten() {
                if let Some(record) = self.record(files, *offset, *size, parent)? {
                    return Ok(Some(record));
                }
            }
        }
    }

    /// Returns a record if it belongs to the block with this parent.
    fn record(
        &self,
        files: &Files,
        offset: u64,
        size: u32,
        parent: &BlockHash,
    ) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; size as usize + CHECKSUM as usize];
        if !files.read(Kind::Undo, self.file, &mut bytes, offset)? {
            return Ok(None);
        }
        let (record, checksum) = bytes.split_at(size as usize);
        let mut engine = sha256d::Hash::engine();
        engine.input(parent.as_byte_array());
        engine.input(record);
        if sha256d::Hash::from_engine(engine).as_byte_array() != checksum {
            return Ok(None);
        }
        bytes.truncate(size as usize);
        Ok(Some(bytes))
    }
}

fn siblings(connected: &[Connected]) -> HashSet<ShortHash> {
    let mut first_of = HashMap::with_capacity(connected.len());
    let mut siblings = HashSet::new();
    for block in connected {
        if let Some(other) = first_of.insert(block.parent, block.hash) {
            siblings.extend([other, block.hash]);
        }
    }
    siblings
}
