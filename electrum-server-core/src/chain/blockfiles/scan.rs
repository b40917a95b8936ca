//! Finding out which blocks are in which file, and where.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::io;

use bitcoin::BlockHash;
use bitcoin::block::Header;
use bitcoin::hashes::{Hash, sha256d};

use super::files::{Files, Kind};

/// What stands before a block: the network's magic bytes, and the size of the block (4 bytes, little endian).
const RECORD_HEAD: usize = 8;
/// The size of the largest block: consensus allows 4 million weight units, and no byte weighs less than one.
const MAX_BLOCK: u32 = 4_000_000;
/// Files this far behind the newest one may still grow: a node may write to two at a time.
const GROWING: u32 = 2;

/// The first eight bytes of a block's hash, as it is hashed: those without the zeros of the work. Who finds a block here
/// by them compares its whole hash.
pub(super) type ShortHash = u64;

pub(super) fn short(hash: &BlockHash) -> ShortHash {
    hash.as_byte_array()
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Where a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: u32,
    pub(super) offset: u32,
    pub(super) size: u32,
    /// Its parent; zero for the genesis block.
    pub(super) parent: ShortHash,
    /// Its height; [`u32::MAX`] while not all blocks below it are known.
    pub(super) height: u32,
}

/// A block of a file, as far as it matters for finding out what it spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connected {
    pub(super) hash: ShortHash,
    pub(super) parent: ShortHash,
}

/// What is known of one file.
#[derive(Debug, Default)]
struct Contents {
    /// The blocks that were found, in the order in which they stand there.
    blocks: Vec<ShortHash>,
    has_genesis: bool,
    /// Up to where it has been read.
    end: u64,
}

/// The blocks of a folder.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    places: HashMap<ShortHash, Place>,
    /// Blocks whose height is not known yet, by their parent.
    waiting: HashMap<ShortHash, Vec<ShortHash>>,
    /// By number.
    files: BTreeMap<u32, Contents>,
}

impl Catalog {
    pub(super) fn get(&self, hash: &BlockHash) -> Option<Place> {
        self.places.get(&short(hash)).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns the blocks of one file in the order in which they were connected, as far as heights tell, without the
    /// genesis block, which nothing connects.
    pub(super) fn connected(&self, file: u32) -> Vec<Connected> {
        let Some(contents) = self.files.get(&file) else {
            return Vec::new();
        };
        let mut blocks: Vec<_> = contents
            .blocks
            .iter()
            .filter_map(|hash| Some((self.places.get(hash)?, *hash)))
            .filter(|(place, _)| place.height > 0)
            .collect();
        // Stable: where no height is known, because lower blocks are gone, they stay in the order of the file.
        blocks.sort_by_key(|(place, _)| place.height);
        let connected = |(place, hash): (&Place, _)| Connected {
            hash,
            parent: place.parent,
        };
        blocks.into_iter().map(connected).collect()
    }

    /// Returns how many blocks [`connected`](Self::connected) returns.
    pub(super) fn connected_len(&self, file: u32) -> usize {
        let contents = self.files.get(&file);
        contents.map_or(0, |contents| {
            contents.blocks.len() - usize::from(contents.has_genesis)
        })
    }

    /// Where to read on: the files that may have grown, and from which byte.
    pub(super) fn resume(&self) -> Vec<(u32, u64)> {
        let newest = self.files.keys().next_back().copied().unwrap_or_default();
        let may_have_grown = |number: u32, contents: &Contents| {
            contents.end == 0 || number.saturating_add(GROWING) > newest
        };
        let mut from: Vec<_> = self
            .files
            .iter()
            .filter(|(number, contents)| may_have_grown(**number, contents))
            .map(|(number, contents)| (*number, contents.end))
            .collect();
        // One more that may have come.
        from.push((newest.saturating_add(1), 0));
        from
    }

    /// Takes in what was read of one file.
    pub(super) fn add(&mut self, file: u32, found: Found) {
        if found.end == 0 {
            return;
        }
        let contents = self.files.entry(file).or_default();
        contents.end = found.end;
        contents.has_genesis |= found.blocks.iter().any(|(_, place)| place.parent == 0);
        contents
            .blocks
            .extend(found.blocks.iter().map(|(hash, _)| *hash));
        for (hash, place) in found.blocks {
            self.insert(hash, place);
        }
    }

    /// Forgets what is in a file: it is not what it was.
    pub(super) fn forget(&mut self, file: u32) {
        if let Some(contents) = self.files.insert(file, Contents::default()) {
            for hash in contents.blocks {
                if self
                    .places
                    .get(&hash)
                    .is_some_and(|place| place.file == file)
                {
                    self.places.remove(&hash);
                }
            }
        }
    }

    fn insert(&mut self, hash: ShortHash, mut place: Place) {
        let parent = place.parent;
        let height = match self.places.get(&parent) {
            _ if parent == 0 => Some(0),
            Some(parent) => parent.height.checked_add(1),
            None => None,
        };
        place.height = height.unwrap_or(u32::MAX);
        let known = match self.places.entry(hash) {
            // The same block twice: the later record counts, the node may have lost the earlier.
            Entry::Occupied(mut known) => known.insert(place).height != u32::MAX,
            Entry::Vacant(new) => {
                new.insert(place);
                false
            }
        };
        match height {
            Some(height) if !known => self.raise(hash, height),
            Some(_) => {}
            None => self.waiting.entry(parent).or_default().push(hash),
        }
    }

    /// Gives those their heights that waited for a block.
    fn raise(&mut self, hash: ShortHash, height: u32) {
        let mut raised = vec![(hash, height)];
        while let Some((hash, height)) = raised.pop() {
            let next = height.saturating_add(1);
            for child in self.waiting.remove(&hash).unwrap_or_default() {
                if let Some(place) = self.places.get_mut(&child) {
                    place.height = next;
                    raised.push((child, next));
                }
            }
        }
    }
}

/// What a part of a file holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In the order of the file.
    blocks: Vec<(ShortHash, Place)>,
    /// Up to where there are blocks.
    end: u64,
}

/// Reads the heads of the blocks in a file, from a byte on.
///
/// Behind the last block are zeros that the node has allocated, or what it wrote before a crash: neither goes on with the
/// magic bytes where the next block would begin.
pub(super) fn read_heads(
    files: &Files,
    magic: [u8; 4],
    file: u32,
    from: u64,
    stop: &dyn Fn() -> bool,
) -> io::Result<Found> {
    let mut found = Found {
        end: from,
        ..Found::default()
    };
    let mut head = [0; RECORD_HEAD + Header::SIZE];
    while !stop() && files.read(Kind::Blocks, file, &mut head, found.end)? {
        let ([found_magic @ .., _, _, _, _], header) = split(&head);
        let [.., a, b, c, d] = *split(&head).0;
        let size = u32::from_le_bytes([a, b, c, d]);
        let offset = found.end + RECORD_HEAD as u64;
        let Ok(start) = u32::try_from(offset) else {
            break;
        };
        if *found_magic != magic || !(Header::SIZE as u32..=MAX_BLOCK).contains(&size) {
            break;
        }
        // A block that is not all there is still being written.
        let mut last = [0];
        let end = offset + u64::from(size);
        if !files.read(Kind::Blocks, file, &mut last, end - 1)? {
            break;
        }
        let hash = BlockHash::from_raw_hash(sha256d::Hash::hash(header));
        let parent = header
            .get(4..36)
            .and_then(|parent| BlockHash::from_slice(parent).ok());
        let place = Place {
            file,
            offset: start,
            size,
            parent: parent.as_ref().map_or(0, short),
            height: u32::MAX,
        };
        found.blocks.push((short(&hash), place));
        found.end = end;
    }
    Ok(found)
}

fn split(head: &[u8; RECORD_HEAD + Header::SIZE]) -> (&[u8; RECORD_HEAD], &[u8]) {
    head.split_first_chunk()
        .expect("the array is longer than its first part")
}
