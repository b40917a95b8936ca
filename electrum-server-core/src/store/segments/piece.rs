//! One immutable file of sorted rows, read by position.
//!
//! The rows of a piece are hashed, and therefore spread evenly: the first bits of a key choose a bucket, and a directory
//! at the end of the file says where each bucket begins. So a lookup reads twice, whatever the size: ten bytes of the
//! directory, and the bucket. The format is in `docs/store-format.md`.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::index::PREFIX_LEN;
use crate::leb128::pull_leb128;
use crate::read_at::read_exact_at;

/// How many groups the rows of a table are split into, by the first four bits of their keys.
pub(super) const GROUPS: u8 = 16;
/// The bits that choose the group.
pub(super) const GROUP_BITS: u8 = 4;
/// The bytes of an offset in the directory.
pub(super) const OFFSET_LEN: usize = 5;
/// The footer: magic, kind, group, bits, zero; first and end number; rows; where the directory begins; a checksum.
pub(super) const FOOTER_LEN: usize = 48;
/// What a footer begins with.
pub(super) const MAGIC: [u8; 4] = *b"EIP1";
/// The bits of a txid's first eight bytes that a piece of transaction numbers keeps: enough that two that share them are
/// rare, and no more, as the whole txid is found by the number.
pub(super) const KEPT_BITS: u32 = 48;
/// How much of a bucket is read at first: most are smaller.
const FIRST_READ: usize = 4096;

/// Which table a piece has rows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// Script to transactions.
    History = 0,
    /// Txid to transaction number.
    TxNums = 1,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::History, Self::TxNums];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::History => "history",
            Self::TxNums => "tx_nums",
        }
    }
}

/// What stands in the footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) kind: Kind,
    pub(super) group: u8,
    /// How many bits after those of the group choose the bucket.
    pub(super) bits: u8,
    pub(super) first_tx: u32,
    pub(super) end_tx: u32,
    pub(super) rows: u64,
    pub(super) directory: u64,
}

impl Footer {
    pub(super) fn encode(&self) -> [u8; FOOTER_LEN] {
        let mut bytes = Vec::with_capacity(FOOTER_LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[self.kind as u8, self.group, self.bits, 0]);
        bytes.extend_from_slice(&self.first_tx.to_be_bytes());
        bytes.extend_from_slice(&self.end_tx.to_be_bytes());
        bytes.extend_from_slice(&self.rows.to_be_bytes());
        bytes.extend_from_slice(&self.directory.to_be_bytes());
        bytes.resize(FOOTER_LEN - 8, 0);
        let check = super::checksum(&bytes);
        bytes.extend_from_slice(&check.to_be_bytes());
        bytes.try_into().unwrap_or([0; FOOTER_LEN])
    }

    fn decode(bytes: &[u8; FOOTER_LEN]) -> Option<Self> {
        let (body, check) = bytes.split_last_chunk::<8>()?;
        if super::checksum(body) != u64::from_be_bytes(*check) {
            return None;
        }
        let (magic, body) = body.split_first_chunk::<4>()?;
        let (&[kind, group, bits, _], body) = body.split_first_chunk::<4>()?;
        let (first_tx, body) = body.split_first_chunk()?;
        let (end_tx, body) = body.split_first_chunk()?;
        let (rows, body) = body.split_first_chunk()?;
        let (directory, _) = body.split_first_chunk()?;
        let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind)?;
        (*magic == MAGIC && group < GROUPS && (4..=40).contains(&bits)).then_some(Self {
            kind,
            group,
            bits,
            first_tx: u32::from_be_bytes(*first_tx),
            end_tx: u32::from_be_bytes(*end_tx),
            rows: u64::from_be_bytes(*rows),
            directory: u64::from_be_bytes(*directory),
        })
    }

    /// How many whole bytes of a key the bucket implies; they are not written.
    pub(super) fn implied(&self) -> usize {
        usize::from((GROUP_BITS + self.bits) / 8)
    }

    /// The bucket of a key, of which the first eight bytes are given.
    pub(super) fn bucket(&self, key: u64) -> u64 {
        (key << GROUP_BITS) >> (64 - u32::from(self.bits))
    }

    /// The length of an entry in a piece of transaction numbers: the kept bytes that are not implied, and the number.
    pub(super) fn entry_len(&self) -> usize {
        KEPT_BITS as usize / 8 - self.implied() + 4
    }

    /// The bytes that all keys of a bucket begin with.
    fn implied_bytes(&self, bucket: u64) -> [u8; 8] {
        let group = u64::from(self.group) << (64 - u32::from(GROUP_BITS));
        let bits = u32::from(GROUP_BITS + self.bits);
        (group | bucket << (64 - bits)).to_be_bytes()
    }
}

/// The first eight bytes of a key as a number.
pub(super) fn key_bits(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(key) {
        *to = *from;
    }
    u64::from_be_bytes(bytes)
}

/// An open file.
#[derive(Debug)]
pub(super) struct Piece {
    file: File,
    path: PathBuf,
    pub(super) footer: Footer,
}

/// A row of a bucket, still encoded: where it lies.
struct Body {
    offset: u64,
    len: u64,
}

impl Piece {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let damaged = |problem: &str| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is damaged: {problem}", path.display()),
            )
        };
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut footer = [0; FOOTER_LEN];
        let at = len
            .checked_sub(FOOTER_LEN as u64)
            .ok_or_else(|| damaged("it is too short"))?;
        read_exact_at(&file, &mut footer, at)?;
        let footer = Footer::decode(&footer).ok_or_else(|| damaged("its footer is wrong"))?;
        let directory = ((1u64 << footer.bits) + 1) * OFFSET_LEN as u64;
        if footer.directory.checked_add(directory) != Some(at) {
            return Err(damaged("its length is wrong"));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            footer,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Returns the number of bytes of the file.
    pub(super) fn size(&self) -> u64 {
        let directory = ((1u64 << self.footer.bits) + 1) * OFFSET_LEN as u64;
        self.footer.directory + directory + FOOTER_LEN as u64
    }

    /// Returns how many buckets there are.
    pub(super) fn buckets(&self) -> u64 {
        1 << self.footer.bits
    }

    pub(super) fn damaged(&self) -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is damaged", self.path.display()),
        )
    }

    /// Where a bucket begins and ends.
    fn bounds(&self, bucket: u64) -> io::Result<(u64, u64)> {
        let mut bytes = [0; 2 * OFFSET_LEN];
        let at = self.footer.directory + bucket * OFFSET_LEN as u64;
        read_exact_at(&self.file, &mut bytes, at)?;
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let (start, end) = bytes.split_at(OFFSET_LEN);
        let (start, end) = (number(start), number(end));
        match start <= end && end <= self.footer.directory {
            true => Ok((start, end)),
            false => Err(self.damaged()),
        }
    }

    /// Reads a whole bucket.
    pub(super) fn bucket(&self, bucket: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
        let (start, end) = self.bounds(bucket)?;
        buffer.resize((end - start) as usize, 0);
        read_exact_at(&self.file, buffer, start)
    }

    /// Shows `visit` the rows of a script in chain order, until it breaks off.
    pub(super) fn script(
        &self,
        prefix: &[u8; PREFIX_LEN],
        visit: &mut dyn FnMut(u32, &[u8]) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let (start, end) = self.bounds(self.footer.bucket(key_bits(prefix)))?;
        let mut first = [0; FIRST_READ];
        let there = first.len().min((end - start) as usize);
        let (first, _) = first.split_at_mut(there);
        read_exact_at(&self.file, first, start)?;
        let Some(Body { offset, len }) = self.find(prefix, start, end, first)? else {
            return Ok(ControlFlow::Continue(()));
        };
        let begin = (offset - start) as usize;
        if let Some(body) = first.get(begin..begin.saturating_add(len as usize)) {
            return self.rows(body, visit);
        }
        let mut body = vec![0; len as usize];
        read_exact_at(&self.file, &mut body, offset)?;
        self.rows(&body, visit)
    }

    /// Finds the body of a script in a bucket, of which the beginning was read.
    fn find(
        &self,
        prefix: &[u8; PREFIX_LEN],
        start: u64,
        end: u64,
        first: &[u8],
    ) -> io::Result<Option<Body>> {
        let rest = prefix.get(self.footer.implied()..).unwrap_or_default();
        let mut offset = start;
        let mut head = [0; PREFIX_LEN + 10];
        while offset < end {
            // What is not in the part that was read is far away, behind a long body.
            let in_first = first.get((offset - start) as usize..).unwrap_or_default();
            let mut bytes = if in_first.len() >= head.len() || offset + in_first.len() as u64 == end
            {
                in_first
            } else {
                let there = head.len().min((end - offset) as usize);
                let (head, _) = head.split_at_mut(there);
                read_exact_at(&self.file, head, offset)?;
                head
            };
            let before = bytes.len();
            let found = bytes
                .split_off(..rest.len())
                .ok_or_else(|| self.damaged())?;
            let len = pull_leb128(&mut bytes).ok_or_else(|| self.damaged())?;
            let body = offset + (before - bytes.len()) as u64;
            let next = body
                .checked_add(len)
                .filter(|next| *next <= end)
                .ok_or_else(|| self.damaged())?;
            match found.cmp(rest) {
                std::cmp::Ordering::Less => offset = next,
                std::cmp::Ordering::Equal => return Ok(Some(Body { offset: body, len })),
                std::cmp::Ordering::Greater => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Shows `visit` the rows of a body.
    pub(super) fn rows(
        &self,
        mut body: &[u8],
        visit: &mut dyn FnMut(u32, &[u8]) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let mut tx_num = self.footer.first_tx;
        while !body.is_empty() {
            let (step, value) = pull_row(&mut body).ok_or_else(|| self.damaged())?;
            tx_num = tx_num
                .checked_add(step)
                .filter(|tx_num| *tx_num < self.footer.end_tx)
                .ok_or_else(|| self.damaged())?;
            if visit(tx_num, value).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Shows `visit` the scripts of a bucket that was read, in order, with their bodies.
    pub(super) fn scripts<'a>(
        &self,
        bucket: u64,
        mut bytes: &'a [u8],
        mut visit: impl FnMut([u8; PREFIX_LEN], &'a [u8]) -> io::Result<ControlFlow<()>>,
    ) -> io::Result<ControlFlow<()>> {
        let implied = self.footer.implied();
        let start = self.footer.implied_bytes(bucket);
        while !bytes.is_empty() {
            let mut prefix = [0; PREFIX_LEN];
            let (head, tail) = prefix.split_at_mut(implied);
            head.copy_from_slice(start.get(..implied).unwrap_or_default());
            let rest = bytes
                .split_off(..tail.len())
                .ok_or_else(|| self.damaged())?;
            tail.copy_from_slice(rest);
            let body = pull_leb128(&mut bytes)
                .and_then(|len| usize::try_from(len).ok())
                .and_then(|len| bytes.split_off(..len))
                .ok_or_else(|| self.damaged())?;
            if visit(prefix, body)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Returns the numbers of the transactions whose txid may begin with a prefix of eight bytes.
    pub(super) fn candidates(&self, prefix: u64) -> io::Result<Vec<u32>> {
        let mut buffer = Vec::new();
        let bucket = self.footer.bucket(prefix);
        self.bucket(bucket, &mut buffer)?;
        let kept = kept(prefix);
        Ok(self
            .entries(bucket, &buffer)?
            .filter(|(found, _)| *found == kept)
            .map(|(_, tx_num)| tx_num)
            .collect())
    }

    /// The entries of a bucket of transaction numbers: the [kept](kept) part of the txid's prefix, and the number.
    pub(super) fn entries<'a>(
        &self,
        bucket: u64,
        bytes: &'a [u8],
    ) -> io::Result<impl Iterator<Item = (u64, u32)> + 'a> {
        let len = self.footer.entry_len();
        if !bytes.len().is_multiple_of(len) {
            return Err(self.damaged());
        }
        let implied = u64::from_be_bytes(self.footer.implied_bytes(bucket));
        // Bits of the bucket beyond whole bytes are written as well.
        let shift = 8 * self.footer.implied() as u32;
        let implied = implied & !(u64::MAX >> shift);
        Ok(bytes.chunks_exact(len).map(move |entry| {
            let (rest, number) = entry.split_at(len - 4);
            (
                implied | key_bits(rest) >> shift,
                number.try_into().map_or(0, u32::from_be_bytes),
            )
        }))
    }
}

/// The part of a txid's first eight bytes that is kept.
pub(super) fn kept(prefix: u64) -> u64 {
    prefix & !(u64::MAX >> KEPT_BITS)
}

/// Takes a row from a body: how far its number is from the one before, and its value.
#[inline]
pub(super) fn pull_row<'a>(body: &mut &'a [u8]) -> Option<(u32, &'a [u8])> {
    let step = u32::try_from(pull_leb128(body)?).ok()?;
    let len = usize::try_from(pull_leb128(body)?).ok()?;
    Some((step, body.split_off(..len)?))
}
