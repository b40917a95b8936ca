//! What a bulk build has collected and not written yet, and how it is sorted and written.

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

use super::flat::Append;
use super::piece::{GROUPS, Kind, Piece, kept, key_bits};
use super::piece_writer::{PieceWriter, TX_NUM_WEIGHT};
use super::{End, HEADER_ROW, TX_ROW, name};
use crate::index::PREFIX_LEN;
use crate::leb128::{pull_leb128, push_leb128};

/// Rows are collected by the first byte of their key.
const PARTITIONS: usize = 256;
/// How many of these one group has.
const PER_GROUP: usize = PARTITIONS / GROUPS as usize;
/// A record begins with what follows the first byte of the prefix, and the transaction's number.
const RECORD_HEAD: usize = PREFIX_LEN - 1 + 4;

/// The rows of one block, as a run takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    /// For each row of the history: prefix, position of the transaction in the block (4 bytes, little endian), length of
    /// the value (LEB128), value.
    bytes: Vec<u8>,
    count: usize,
}

impl Records {
    pub(crate) fn push(&mut self, prefix: &[u8; PREFIX_LEN], position: u32, value: &[u8]) {
        self.bytes.extend_from_slice(prefix);
        self.bytes.extend_from_slice(&position.to_le_bytes());
        push_leb128(&mut self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(value);
        self.count += 1;
    }
}

/// Rows of consecutive blocks in memory.
pub(crate) struct Run {
    pub(super) first: End,
    pub(super) end: End,
    pub(super) headers: Append<HEADER_ROW>,
    pub(super) txids: Append<TX_ROW>,
    history: Vec<Vec<u8>>,
    tx_nums: Vec<Vec<(u64, u32)>>,
    bytes: usize,
}

impl Run {
    pub(super) fn new(first: End, headers: Append<HEADER_ROW>, txids: Append<TX_ROW>) -> Self {
        Self {
            first,
            end: first,
            headers,
            txids,
            history: vec![Vec::new(); PARTITIONS],
            tx_nums: vec![Vec::new(); PARTITIONS],
            bytes: 0,
        }
    }

    /// Returns roughly how much memory it takes.
    pub(crate) fn memory(&self) -> usize {
        self.bytes
    }

    /// Returns whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.end == self.first
    }

    /// Where the next block goes.
    pub(crate) fn end(&self) -> End {
        self.end
    }

    /// Adds a block: its header, with the number of the first transaction after it, its txids, and its history.
    pub(crate) fn push(
        &mut self,
        header: &[u8; HEADER_ROW],
        txids: &[[u8; TX_ROW]],
        records: &Records,
    ) -> io::Result<()> {
        let first = self.end.tx_num;
        self.headers.push(std::slice::from_ref(header))?;
        self.txids.push(txids)?;
        for (tx_num, txid) in (first..).zip(txids) {
            let partition = txid.first().map_or(0, |first| usize::from(*first));
            if let Some(partition) = self.tx_nums.get_mut(partition) {
                self.bytes += grow(partition, 1);
                partition.push((kept(key_bits(txid)), tx_num));
            }
        }
        let mut bytes = records.bytes.as_slice();
        while let Some((&[partition, rest @ ..], tail)) = bytes.split_first_chunk::<PREFIX_LEN>() {
            bytes = tail;
            let Some((position, tail)) = bytes.split_first_chunk() else {
                break;
            };
            let number = first.wrapping_add(u32::from_le_bytes(*position));
            bytes = tail;
            let before = bytes;
            let Some(len) = pull_leb128(&mut bytes) else {
                break;
            };
            let value = before.len() - bytes.len() + len as usize;
            let (value, tail) = before.split_at(value.min(before.len()));
            bytes = tail;
            if let Some(partition) = self.history.get_mut(usize::from(partition)) {
                self.bytes += grow(partition, RECORD_HEAD + value.len());
                partition.extend_from_slice(&rest);
                partition.extend_from_slice(&number.to_be_bytes());
                partition.extend_from_slice(value);
            }
        }
        self.end = End {
            height: self.end.height + 1,
            tx_num: first + txids.len() as u32,
        };
        Ok(())
    }

    /// Sorts and writes the rows of all groups, on several threads.
    pub(super) fn write(
        &mut self,
        folder: &Path,
        id: u32,
        threads: usize,
    ) -> io::Result<Vec<Piece>> {
        let range = (self.first.tx_num, self.end.tx_num);
        let history = std::mem::take(&mut self.history);
        let tx_nums = std::mem::take(&mut self.tx_nums);
        let groups: Vec<_> = split(history)
            .zip(split(tx_nums))
            .map(|group| Mutex::new(Some(group)))
            .collect();
        let next = AtomicUsize::new(0);
        let work = || -> io::Result<Vec<Piece>> {
            let mut pieces = Vec::new();
            let mut sorter = Sorter::default();
            loop {
                let group = next.fetch_add(1, Ordering::Relaxed);
                let Some(rows) = groups.get(group) else {
                    return Ok(pieces);
                };
                let taken = rows.lock().unwrap_or_else(|e| e.into_inner()).take();
                let Some((history, tx_nums)) = taken else {
                    continue;
                };
                let group = group as u8;
                pieces.push(sorter.history(folder, group, id, range, history)?);
                pieces.push(sorter.tx_nums(folder, group, id, range, tx_nums)?);
            }
        };
        let mut pieces = Vec::new();
        std::thread::scope(|scope| -> io::Result<()> {
            // With fewer threads than wanted each has more to do.
            let others: Vec<_> = (1..threads)
                .filter_map(|_| Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            pieces.extend(work()?);
            for other in others {
                let found = other
                    .join()
                    .map_err(|_| io::Error::other("a thread that sorts has panicked"))?;
                pieces.extend(found?);
            }
            Ok(())
        })?;
        pieces.sort_by_key(|piece| (piece.footer.kind, piece.footer.group));
        Ok(pieces)
    }
}

/// Makes room by a quarter, not by doubling: what a run takes should be what it holds. Returns how much it grew.
fn grow<T>(rows: &mut Vec<T>, count: usize) -> usize {
    let free = rows.capacity() - rows.len();
    if free >= count {
        return 0;
    }
    let before = rows.capacity();
    rows.reserve_exact(count.max(before / 4).max(1024 / size_of::<T>()));
    (rows.capacity() - before) * size_of::<T>()
}

/// Gives each group its partitions.
fn split<T>(partitions: Vec<Vec<T>>) -> impl Iterator<Item = Vec<Vec<T>>> {
    let mut partitions = partitions.into_iter();
    (0..GROUPS).map(move |_| partitions.by_ref().take(PER_GROUP).collect())
}

/// Sorts rows and writes them. Keeps its buffers.
#[derive(Default)]
struct Sorter {
    order: Vec<(u64, u64)>,
    body: Vec<u8>,
    scratch: Vec<u8>,
}

impl Sorter {
    fn history(
        &mut self,
        folder: &Path,
        group: u8,
        id: u32,
        range: (u32, u32),
        partitions: Vec<Vec<u8>>,
    ) -> io::Result<Piece> {
        let path = folder.join(name(Kind::History, group, id));
        let bytes: usize = partitions.iter().map(Vec::len).sum();
        let mut writer = PieceWriter::create(&path, Kind::History, group, range, bytes as u64)?;
        for (partition, rows) in (group * PER_GROUP as u8..=u8::MAX).zip(partitions) {
            self.partition(&mut writer, partition, &rows)?;
        }
        writer.finish(&path)
    }

    /// Rows of a partition are in chain order: sorting by prefix and offset keeps that within a prefix.
    fn partition(&mut self, writer: &mut PieceWriter, first: u8, rows: &[u8]) -> io::Result<()> {
        self.order.clear();
        let mut rest = rows;
        while let Some((head, tail)) = rest.split_first_chunk::<RECORD_HEAD>() {
            let offset = (rows.len() - rest.len()) as u64;
            let [key @ .., last, _, _, _, _] = head;
            self.order
                .push((u64::from_be_bytes(*key), u64::from(*last) << 56 | offset));
            rest = tail;
            let Some(len) = pull_leb128(&mut rest) else {
                break;
            };
            rest = rest.get(len as usize..).unwrap_or_default();
        }
        self.order.sort_unstable();
        let start = writer.footer().first_tx;
        let same = |a: &(u64, u64), b: &(u64, u64)| a.0 == b.0 && a.1 >> 56 == b.1 >> 56;
        for of_script in self.order.chunk_by(same) {
            let mut prefix = [first; PREFIX_LEN];
            self.body.clear();
            let mut before = start;
            for (_, at) in of_script {
                let offset = (at & (u64::MAX >> 8)) as usize;
                let Some((head, mut tail)) = rows
                    .get(offset..)
                    .and_then(|record| record.split_first_chunk::<RECORD_HEAD>())
                else {
                    continue;
                };
                let (rest, number) = head.split_at(PREFIX_LEN - 1);
                for (to, from) in prefix.iter_mut().skip(1).zip(rest) {
                    *to = *from;
                }
                let number = number.try_into().map_or(before, u32::from_be_bytes);
                push_leb128(&mut self.body, u64::from(number.wrapping_sub(before)));
                before = number;
                let whole = tail;
                let len = pull_leb128(&mut tail).unwrap_or(0) as usize;
                let value = whole.len() - tail.len() + len;
                self.body
                    .extend_from_slice(whole.get(..value).unwrap_or_default());
            }
            writer.script(
                &prefix,
                of_script.len() as u64,
                &self.body,
                &mut self.scratch,
            )?;
        }
        Ok(())
    }

    fn tx_nums(
        &mut self,
        folder: &Path,
        group: u8,
        id: u32,
        range: (u32, u32),
        partitions: Vec<Vec<(u64, u32)>>,
    ) -> io::Result<Piece> {
        let path = folder.join(name(Kind::TxNums, group, id));
        let count: usize = partitions.iter().map(Vec::len).sum();
        let bytes = count as u64 * TX_NUM_WEIGHT;
        let mut writer = PieceWriter::create(&path, Kind::TxNums, group, range, bytes)?;
        for mut rows in partitions {
            rows.sort_unstable();
            for (prefix, tx_num) in rows {
                writer.tx_num(prefix, tx_num)?;
            }
        }
        writer.finish(&path)
    }
}
