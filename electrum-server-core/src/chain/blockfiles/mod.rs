//! The block files of a node on this machine, read directly.
//!
//! Bitcoin Core appends blocks as they come to `blk*.dat`, and what they spend, once they are connected, to `rev*.dat`,
//! all combined with the key in `xor.dat` by exclusive or. Which block is where stands in a database that only the node
//! can open; it is found out here by reading the heads of all blocks once. Nothing is believed: a block's hash is
//! compared, and a record of spent outputs has a checksum that fits the children of one block only. What is not found
//! here, because the node has not written it yet or has deleted it, or because it is not certain, is the node's affair: see
//! [`FilesFirst`].

mod files;
mod key;
mod pair;
mod scan;
mod source;
#[cfg(test)]
mod tests;
mod undo;

use std::fs;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{BlockHash, Network};

use self::files::{Files, Kind};
use self::key::Key;
use self::pair::Records;
use self::scan::{Catalog, Place, read_heads, short};
use super::{RawBlock, RawSpent, SpentScripts, script_hash};
pub use source::FilesFirst;
pub use undo::{SpentOutput, UndoError, for_each_spent};

/// For how many files the places of the undo records are remembered.
const RECORDS: usize = 8;

/// The block files in a folder.
#[derive(Debug)]
pub struct BlockFiles {
    files: Files,
    magic: [u8; 4],
    catalog: RwLock<Catalog>,
    /// Held by the one who looks for new blocks.
    scanning: Mutex<()>,
    /// The one used last at the end.
    records: Mutex<Vec<Arc<Records>>>,
}

/// A folder whose block files cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenBlockFilesError {
    /// It cannot be read.
    #[error("cannot read the block files in {}", folder.display())]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// There are none in it.
    #[error("there are no block files in {}", folder.display())]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
    /// They do not begin as those of this network do.
    #[error("the block files in {} are not those of {network}", folder.display())]
    OtherNetwork {
        /// The folder.
        folder: PathBuf,
        /// The network that was expected.
        network: Network,
    },
}

impl BlockFiles {
    /// Opens the folder of a node's block files (`blocks` in its data folder). Nothing is found in it before
    /// [`refresh`](Self::refresh).
    ///
    /// # Errors
    ///
    /// When the folder cannot be read, or has no block files of this network.
    pub fn open(folder: &Path, network: Network) -> Result<Self, OpenBlockFilesError> {
        let unreadable = |source| OpenBlockFilesError::Unreadable {
            folder: folder.to_owned(),
            source,
        };
        let key = match fs::read(folder.join("xor.dat")) {
            Ok(bytes) => bytes.try_into().map(Key::new).map_err(|_| {
                unreadable(io::Error::new(
                    ErrorKind::InvalidData,
                    "the key in xor.dat is not 8 bytes long",
                ))
            })?,
            // Older nodes do not have it.
            Err(error) if error.kind() == ErrorKind::NotFound => Key::default(),
            Err(error) => return Err(unreadable(error)),
        };
        let files = Files::new(folder, key);
        let numbers = files.numbers().map_err(unreadable)?;
        let folder = folder.to_owned();
        let Some(first) = numbers.first() else {
            return Err(OpenBlockFilesError::Empty { folder });
        };
        let magic = network.magic().to_bytes();
        let mut begin = [0; 4];
        let read = files
            .read(Kind::Blocks, *first, &mut begin, 0)
            .map_err(unreadable)?;
        match read && begin == magic {
            true => Ok(Self {
                files,
                magic,
                catalog: RwLock::default(),
                scanning: Mutex::default(),
                records: Mutex::default(),
            }),
            false => Err(OpenBlockFilesError::OtherNetwork { folder, network }),
        }
    }

    /// Looks for blocks that are new since the last time; the first time it reads the heads of all blocks, which may take
    /// minutes. Ends early when `stop` says so.
    ///
    /// # Errors
    ///
    /// When a file cannot be read. What was found before is kept.
    pub fn refresh(&self, stop: &dyn Fn() -> bool) -> io::Result<()> {
        let one = self.scanning.lock().unwrap_or_else(PoisonError::into_inner);
        self.scan(&one, stop)
    }

    fn scan(&self, _one: &MutexGuard<'_, ()>, stop: &dyn Fn() -> bool) -> io::Result<()> {
        let known = |catalog: &RwLock<Catalog>| {
            let catalog = catalog.read().unwrap_or_else(PoisonError::into_inner);
            (catalog.len(), catalog.resume())
        };
        let (mut before, mut from) = known(&self.catalog);
        if before == 0 {
            let numbers = self.files.numbers()?;
            from = numbers.into_iter().map(|number| (number, 0)).collect();
        }
        loop {
            for (file, offset) in from {
                if stop() {
                    return Ok(());
                }
                let found = read_heads(&self.files, self.magic, file, offset, stop)?;
                let mut catalog = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
                catalog.add(file, found);
            }
            // The node may have begun new files meanwhile.
            let now;
            (now, from) = known(&self.catalog);
            if now == before {
                return Ok(());
            }
            before = now;
        }
    }

    /// Returns how many blocks were found.
    pub fn len(&self) -> usize {
        let catalog = self.catalog.read();
        catalog.unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns whether no block was found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a block, with the hashes of the scripts that it spends; nothing when the files do not have both. Waits for
    /// whoever looks for blocks, or looks for them.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn block(&self, hash: &BlockHash) -> io::Result<Option<RawBlock>> {
        let Some((place, block)) = self.read(hash)? else {
            return Ok(None);
        };
        let parent = block.get(4..36).map(BlockHash::from_slice);
        let Some(Ok(parent)) = parent else {
            return Ok(None);
        };
        let mut spent = SpentScripts {
            counts: vec![0],
            ..SpentScripts::default()
        };
        if parent != BlockHash::all_zeros() {
            let Some(record) = self.undo_record(hash, &place, &parent)? else {
                return Ok(None);
            };
            let visited = for_each_spent(&record, |output| {
                // The coinbase spends nothing, and is not in the record.
                spent.counts.resize(output.transaction + 2, 0);
                if let Some(count) = spent.counts.last_mut() {
                    *count += 1;
                }
                spent.hashes.push(script_hash(output.script));
            });
            if let Err(error) = visited {
                tracing::warn!("the undo data of block {hash} cannot be decoded: {error}");
                return Ok(None);
            }
        }
        Ok(Some(RawBlock {
            block,
            spent: RawSpent::Hashed(spent),
        }))
    }

    /// Returns a block alone; nothing when the files do not have it. Waits as [`block`](Self::block) does.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn bytes(&self, hash: &BlockHash) -> io::Result<Option<Vec<u8>>> {
        Ok(self.read(hash)?.map(|(_, block)| block))
    }

    fn read(&self, hash: &BlockHash) -> io::Result<Option<(Place, Vec<u8>)>> {
        let mut place = self.find(hash);
        if place.is_none() {
            self.refresh(&|| false)?;
            place = self.find(hash);
        }
        let Some(place) = place else {
            return Ok(None);
        };
        let mut block = vec![0; place.size as usize];
        let offset = u64::from(place.offset);
        let read = self
            .files
            .read(Kind::Blocks, place.file, &mut block, offset)?;
        if read && is_block(hash, &block) {
            return Ok(Some((place, block)));
        }
        self.forget(place.file);
        Ok(None)
    }

    /// Returns some bytes of a block, which nobody has checked; nothing when the files do not have them. Waits for nobody:
    /// while the heads of all blocks are read, what was not found yet is not there.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn part(&self, hash: &BlockHash, range: Range<u32>) -> io::Result<Option<Vec<u8>>> {
        let mut place = self.find(hash);
        if place.is_none()
            && !self.is_empty()
            && let Ok(one) = self.scanning.try_lock()
        {
            self.scan(&one, &|| false)?;
            place = self.find(hash);
        }
        let Some(place) = place else {
            return Ok(None);
        };
        if range.is_empty() || range.end > place.size {
            return Ok(None);
        }
        let mut part = vec![0; range.len()];
        let offset = u64::from(place.offset) + u64::from(range.start);
        let read = self
            .files
            .read(Kind::Blocks, place.file, &mut part, offset)?;
        Ok(read.then_some(part))
    }

    fn find(&self, hash: &BlockHash) -> Option<Place> {
        let catalog = self.catalog.read();
        catalog.unwrap_or_else(PoisonError::into_inner).get(hash)
    }

    fn undo_record(
        &self,
        hash: &BlockHash,
        place: &Place,
        parent: &BlockHash,
    ) -> io::Result<Option<Vec<u8>>> {
        for afresh in [false, true] {
            let records = self.records(place.file, afresh)?;
            if let Some(record) = records.find(&self.files, short(hash), parent)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Returns where the undo records of a file are.
    fn records(&self, file: u32, afresh: bool) -> io::Result<Arc<Records>> {
        let catalog = self.catalog.read();
        let blocks = catalog
            .unwrap_or_else(PoisonError::into_inner)
            .connected_len(file);
        let lock = || self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = lock();
        if let Some(at) = all.iter().position(|records| records.file == file) {
            let found = all.remove(at);
            // One block more may be a sibling.
            if !afresh && found.blocks() == blocks {
                all.push(Arc::clone(&found));
                return Ok(found);
            }
        }
        drop(all);
        let catalog = self.catalog.read();
        let connected = catalog
            .unwrap_or_else(PoisonError::into_inner)
            .connected(file);
        let records = Records::read(&self.files, self.magic, file, connected)?;
        let records = Arc::new(records);
        let mut all = lock();
        if all.len() >= RECORDS {
            all.remove(0);
        }
        all.push(Arc::clone(&records));
        Ok(records)
    }

    /// Forgets what is in a file: it is not what it was. The next [`refresh`](Self::refresh) reads it again.
    fn forget(&self, file: u32) {
        let _one = self.scanning.lock().unwrap_or_else(PoisonError::into_inner);
        self.files.close();
        self.catalog
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .forget(file);
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|records| records.file != file);
    }
}

fn is_block(hash: &BlockHash, block: &[u8]) -> bool {
    let header = block.get(..bitcoin::block::Header::SIZE);
    header.is_some_and(|header| BlockHash::from_raw_hash(sha256d::Hash::hash(header)) == *hash)
}
