//! What the folder holds: the one file that is replaced, and so the moment at which anything counts.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::End;
use super::piece::Kind;

const NAME: &str = "manifest";
const MAGIC: [u8; 8] = *b"ELXSEG\0\x01";
/// A piece in the manifest: kind, group, number.
const ENTRY_LEN: usize = 6;

/// The content of the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// The secret key of the database that the rows belong to.
    pub(super) key: [u8; 16],
    pub(super) end: End,
    /// The number that the next piece gets.
    pub(super) next_id: u32,
    /// Kind, group and number of each piece; those of one kind and group in chain order.
    pub(super) pieces: Vec<(Kind, u8, u32)>,
}

impl Manifest {
    /// Reads the manifest of a folder; nothing when it has none.
    pub(super) fn read(folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join(NAME);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Self::decode(&bytes).map(Some).ok_or_else(|| {
            let problem = format!("{} is damaged", path.display());
            io::Error::new(ErrorKind::InvalidData, problem)
        })
    }

    /// Replaces the manifest of a folder. What the files have that it names is on disk already.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        // The names of the files that it names, before it counts itself.
        super::sync_folder(folder)?;
        let new = folder.join("manifest.new");
        let mut file = File::create(&new)?;
        file.write_all(&self.encode())?;
        file.sync_all()?;
        fs::rename(&new, folder.join(NAME))?;
        // Without this the name may be gone after a power cut.
        super::sync_folder(folder)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.key);
        bytes.extend_from_slice(&self.end.height.to_be_bytes());
        bytes.extend_from_slice(&self.end.tx_num.to_be_bytes());
        bytes.extend_from_slice(&self.next_id.to_be_bytes());
        for (kind, group, id) in &self.pieces {
            bytes.extend_from_slice(&[*kind as u8, *group]);
            bytes.extend_from_slice(&id.to_be_bytes());
        }
        let check = super::checksum(&bytes);
        bytes.extend_from_slice(&check.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, check) = bytes.split_last_chunk::<8>()?;
        if super::checksum(body) != u64::from_be_bytes(*check) {
            return None;
        }
        let (magic, body) = body.split_first_chunk::<8>()?;
        let (key, body) = body.split_first_chunk::<16>()?;
        let (height, body) = body.split_first_chunk()?;
        let (tx_num, body) = body.split_first_chunk()?;
        let (next_id, body) = body.split_first_chunk()?;
        let (entries, []) = body.as_chunks::<ENTRY_LEN>() else {
            return None;
        };
        let entry = |[kind, group, id @ ..]: &[u8; ENTRY_LEN]| {
            let kind = Kind::ALL.into_iter().find(|known| *known as u8 == *kind)?;
            Some((kind, *group, u32::from_be_bytes(*id)))
        };
        (*magic == MAGIC).then_some(())?;
        Some(Self {
            key: *key,
            end: End {
                height: u32::from_be_bytes(*height),
                tx_num: u32::from_be_bytes(*tx_num),
            },
            next_id: u32::from_be_bytes(*next_id),
            pieces: entries.iter().map(entry).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_bit_is_found() {
        let manifest = Manifest {
            key: [7; 16],
            end: End {
                height: 3,
                tx_num: 1000,
            },
            next_id: 9,
            pieces: vec![(Kind::History, 15, 8), (Kind::TxNums, 0, 7)],
        };
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Some(manifest));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 4;
            assert_eq!(Manifest::decode(&changed), None, "byte {at}");
            assert_eq!(Manifest::decode(&bytes[..at]), None);
        }
    }
}
