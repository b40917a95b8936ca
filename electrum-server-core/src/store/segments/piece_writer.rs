//! Writing one piece: sorted rows go in, a file comes out.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::piece::{Footer, GROUP_BITS, KEPT_BITS, Kind, OFFSET_LEN, Piece, key_bits};
use crate::index::PREFIX_LEN;
use crate::leb128::push_leb128;

/// How many bytes a bucket should have: one read of the disk.
const BUCKET_BYTES: u64 = 1024;
/// As how many bytes a transaction number counts: its buckets are small, because all of one is looked at.
pub(super) const TX_NUM_WEIGHT: u64 = 32;
/// What is collected before it is written.
const BUFFER: usize = 256 << 10;

pub(super) struct PieceWriter {
    file: BufWriter<File>,
    footer: Footer,
    /// Where each bucket begins; of those that have begun.
    starts: Vec<u8>,
    /// How many buckets have begun.
    begun: u64,
    offset: u64,
}

impl PieceWriter {
    /// Begins a piece that will have roughly `bytes` bytes.
    pub(super) fn create(
        path: &Path,
        kind: Kind,
        group: u8,
        (first_tx, end_tx): (u32, u32),
        bytes: u64,
    ) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        // A bucket lies within one value of the first byte, so that those can be written one after the other.
        let bits = (bytes / BUCKET_BYTES).max(1).ilog2().clamp(4, 40) as u8;
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER, file),
            footer: Footer {
                kind,
                group,
                bits,
                first_tx,
                end_tx,
                rows: 0,
                directory: 0,
            },
            starts: Vec::with_capacity(((1 << bits) + 1) * OFFSET_LEN),
            begun: 0,
            offset: 0,
        })
    }

    pub(super) fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Appends the rows of a script: `body` is encoded already.
    pub(super) fn script(
        &mut self,
        prefix: &[u8; PREFIX_LEN],
        rows: u64,
        body: &[u8],
        scratch: &mut Vec<u8>,
    ) -> io::Result<()> {
        self.begin_bucket(self.footer.bucket(key_bits(prefix)));
        scratch.clear();
        scratch.extend_from_slice(prefix.get(self.footer.implied()..).unwrap_or_default());
        push_leb128(scratch, body.len() as u64);
        self.file.write_all(scratch)?;
        self.file.write_all(body)?;
        self.offset += (scratch.len() + body.len()) as u64;
        self.footer.rows += rows;
        Ok(())
    }

    /// Appends the number of a transaction, by the first eight bytes of its txid.
    pub(super) fn tx_num(&mut self, prefix: u64, tx_num: u32) -> io::Result<()> {
        self.begin_bucket(self.footer.bucket(prefix));
        let bytes = prefix.to_be_bytes();
        let kept = bytes.get(self.footer.implied()..KEPT_BITS as usize / 8);
        self.file.write_all(kept.unwrap_or_default())?;
        self.file.write_all(&tx_num.to_be_bytes())?;
        self.offset += self.footer.entry_len() as u64;
        self.footer.rows += 1;
        Ok(())
    }

    fn begin_bucket(&mut self, bucket: u64) {
        while self.begun <= bucket {
            let [_, _, _, bytes @ ..] = self.offset.to_be_bytes();
            self.starts.extend_from_slice(&bytes);
            self.begun += 1;
        }
    }

    /// Ends the piece. It is not on disk for sure before [`Piece::sync`].
    pub(super) fn finish(mut self, path: &Path) -> io::Result<Piece> {
        // The last entry is where the last bucket ends.
        self.begin_bucket(1 << self.footer.bits);
        self.footer.directory = self.offset;
        self.file.write_all(&self.starts)?;
        self.file.write_all(&self.footer.encode())?;
        self.file.flush()?;
        drop(self);
        Piece::open(path)
    }
}

const _: () = assert!(GROUP_BITS == 4);
