//! Files that were built in bulk, with a store on top for what changes: together one store.

use std::io;
use std::ops::{ControlFlow, Range, RangeInclusive};
use std::path::Path;
use std::sync::Arc;

use super::merge::{part as read_part, parts};
use super::piece::{GROUP_BITS, Kind, Piece, key_bits};
use super::{End, Segments, State, TX_ROW, group_of, txid_of};
use crate::index::{META_KEY, META_SEGMENTS, PREFIX_LEN};
use crate::store::{
    Batch, CommitError, Durability, OpenStoreError, ReadError, Snapshot, Store, Table, Visit,
};

/// A store whose oldest rows are in files that were built in bulk.
///
/// The files never change. Blocks of theirs are undone by a row of [`Table::Meta`] in the store on top, which says where
/// their rows end since then.
#[derive(Debug)]
pub struct LayeredStore {
    top: Arc<dyn Store>,
    segments: Arc<Segments>,
}

impl LayeredStore {
    /// Puts a store on top of the files in a folder.
    ///
    /// # Errors
    ///
    /// When the files cannot be read, are damaged, or belong to another database.
    pub fn open(top: Arc<dyn Store>, folder: &Path) -> Result<Self, OpenStoreError> {
        Self::over(top, Segments::open(folder)?, folder)
    }

    /// The same, with the number of bytes of the disk that a build leaves free.
    ///
    /// # Errors
    ///
    /// See [`open`](Self::open).
    pub fn open_with_reserve(
        top: Arc<dyn Store>,
        folder: &Path,
        reserve: u64,
    ) -> Result<Self, OpenStoreError> {
        Self::over(top, Segments::open_with_reserve(folder, reserve)?, folder)
    }

    fn over(
        top: Arc<dyn Store>,
        segments: Segments,
        folder: &Path,
    ) -> Result<Self, OpenStoreError> {
        let unusable = |message: String| OpenStoreError::Unusable {
            path: folder.to_owned(),
            message,
        };
        let key = top
            .snapshot()
            .get(Table::Meta, META_KEY)
            .map_err(|error| unusable(error.to_string()))?;
        match segments.key() {
            Some(known) if key.is_some_and(|key| key != known) => Err(unusable(
                "these files belong to another database: delete the database, and it is built again"
                    .to_owned(),
            )),
            Some(_) | None => Ok(Self {
                top,
                segments: Arc::new(segments),
            }),
        }
    }
}

impl Store for LayeredStore {
    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), CommitError> {
        // What is on top continues the files: they must not be lost when it is kept.
        self.segments.settle()?;
        self.top.commit(batch, durability)
    }

    fn persist(&self) -> Result<(), CommitError> {
        self.segments.settle()?;
        self.top.persist()
    }

    fn recover(&self) -> Result<(), CommitError> {
        // First what makes room.
        self.segments.recover()?;
        self.top.recover()
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        let state = self.segments.state.load_full();
        let top = self.top.snapshot();
        // An error shows again, and is told, when the rows are read.
        let lowered = top.get(Table::Meta, META_SEGMENTS).ok().flatten();
        let end = lowered
            .and_then(|row| decode_end(&row))
            .unwrap_or(state.end);
        Arc::new(LayeredSnapshot { end, state, top })
    }

    fn segments(&self) -> Option<&Arc<Segments>> {
        Some(&self.segments)
    }
}

/// The row that says where the rows of the files end, after blocks of theirs were undone.
pub(crate) fn encode_end(end: End) -> Vec<u8> {
    [end.height.to_be_bytes(), end.tx_num.to_be_bytes()].concat()
}

pub(crate) fn decode_end(row: &[u8]) -> Option<End> {
    let (height, tx_num) = row.split_first_chunk()?;
    Some(End {
        height: u32::from_be_bytes(*height),
        tx_num: u32::from_be_bytes(tx_num.try_into().ok()?),
    })
}

#[derive(Debug)]
struct LayeredSnapshot {
    state: Arc<State>,
    /// Where the rows of the files end in this moment.
    end: End,
    top: Arc<dyn Snapshot>,
}

impl Snapshot for LayeredSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let number = || key.try_into().map(u32::from_be_bytes).ok();
        let row = match table {
            Table::Headers => match number() {
                Some(height) if height < self.end.height => {
                    self.state.headers.get(height).map(|row| row.map(Vec::from))
                }
                _ => return self.top.get(table, key),
            },
            Table::Txids => match number() {
                Some(tx_num) if tx_num < self.end.tx_num => {
                    self.state.txids.get(tx_num).map(|row| row.map(Vec::from))
                }
                _ => return self.top.get(table, key),
            },
            Table::History | Table::TxNums => {
                let mut found = None;
                self.scan(table, key..=key, &mut |_, value| {
                    found = Some(value.to_vec());
                    ControlFlow::Break(())
                })?;
                return Ok(found);
            }
            Table::Undo | Table::Meta | Table::Kept | Table::Wallets => {
                return self.top.get(table, key);
            }
        };
        row.map_err(|error| read_error(table, &error))
    }

    fn scan(
        &self,
        table: Table,
        range: RangeInclusive<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), ReadError> {
        if range.is_empty() {
            return Ok(());
        }
        let below = match table {
            Table::Undo | Table::Meta | Table::Kept | Table::Wallets => {
                Ok(ControlFlow::Continue(()))
            }
            Table::Headers => {
                let numbers = numbers(&range, self.end.height);
                rows(numbers, visit, |first, count| {
                    self.state.headers.range(first, count)
                })
            }
            Table::Txids => {
                let numbers = numbers(&range, self.end.tx_num);
                rows(numbers, visit, |first, count| {
                    self.state.txids.range(first, count)
                })
            }
            Table::History => match of_one_script(&range) {
                Some(prefix) => self.script(prefix, &range, visit),
                None => return self.merged(table, &range, visit),
            },
            Table::TxNums => match of_one_txid(&range) {
                Some(prefix) => self.candidates(prefix, &range, visit),
                None => return self.merged(table, &range, visit),
            },
        };
        // What is on top has larger numbers, and so larger keys wherever only the number differs.
        match below.map_err(|error| read_error(table, &error))? {
            ControlFlow::Continue(()) => self.top.scan(table, range, visit),
            ControlFlow::Break(()) => Ok(()),
        }
    }

    fn txid(&self, tx_num: u32) -> Result<Option<[u8; 32]>, ReadError> {
        match tx_num < self.end.tx_num {
            true => self
                .state
                .txids
                .get(tx_num)
                .map(|row| row.as_ref().map(txid_of))
                .map_err(|error| read_error(Table::Txids, &error)),
            false => self.top.txid(tx_num),
        }
    }
}

/// How many rows of a flat file are read at once.
const FLAT_ROWS: u32 = 4096;

/// The numbers below `end` whose keys are in a range.
fn numbers(range: &RangeInclusive<&[u8]>, end: u32) -> Range<u32> {
    let number = |key: &[u8]| (key_bits(key) >> 32) as u32;
    let (first, last) = (*range.start(), *range.end());
    // A longer key sorts behind the number that it begins with, a shorter one before all that begin with it.
    let start = number(first).saturating_add(u32::from(first.len() > 4));
    let stop = number(last).saturating_add(u32::from(last.len() >= 4));
    start.min(end)..stop.min(end)
}

/// Shows rows of a flat file.
fn rows<const N: usize>(
    mut numbers: Range<u32>,
    visit: &mut Visit<'_>,
    read: impl Fn(u32, u32) -> io::Result<Vec<[u8; N]>>,
) -> io::Result<ControlFlow<()>> {
    while !numbers.is_empty() {
        let count = FLAT_ROWS.min(numbers.end - numbers.start);
        for row in read(numbers.start, count)? {
            if visit(&numbers.start.to_be_bytes(), &row).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            numbers.start += 1;
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The prefix that all keys of a range have, when it is that of one script.
fn of_one_script<'a>(range: &RangeInclusive<&'a [u8]>) -> Option<&'a [u8; PREFIX_LEN]> {
    let first = range.start().first_chunk()?;
    (range.end().first_chunk() == Some(first)).then_some(first)
}

/// The prefix that all keys of a range have, when it is that of one txid.
fn of_one_txid(range: &RangeInclusive<&[u8]>) -> Option<u64> {
    let first = range.start().first_chunk()?;
    (range.end().first_chunk() == Some(first)).then_some(u64::from_be_bytes(*first))
}

impl LayeredSnapshot {
    /// The rows of one script in the files.
    fn script(
        &self,
        prefix: &[u8; PREFIX_LEN],
        range: &RangeInclusive<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> io::Result<ControlFlow<()>> {
        let mut flow = ControlFlow::Continue(());
        self.state.script(prefix, &mut |tx_num, value| {
            if tx_num >= self.end.tx_num {
                return ControlFlow::Break(());
            }
            let key = history_key(prefix, tx_num);
            if range.contains(&key.as_slice()) {
                flow = visit(&key, value);
            }
            flow
        })?;
        Ok(flow)
    }

    /// The numbers of one txid in the files.
    fn candidates(
        &self,
        prefix: u64,
        range: &RangeInclusive<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> io::Result<ControlFlow<()>> {
        let mut found = Vec::new();
        for tx_num in self.state.candidates(prefix)? {
            self.push_tx_num(tx_num, &mut found)?;
        }
        found.sort_unstable();
        for key in found {
            if range.contains(&key.as_slice()) && visit(&key, &[]).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Adds the key of a transaction number, if the files have it in this moment.
    fn push_tx_num(&self, tx_num: u32, keys: &mut Vec<[u8; 12]>) -> io::Result<()> {
        if tx_num < self.end.tx_num {
            let txid = self.state.txids.get(tx_num)?.unwrap_or([0; TX_ROW]);
            let mut key = [0; 12];
            let (prefix, number) = key.split_at_mut(8);
            prefix.copy_from_slice(&key_bits(&txid).to_be_bytes());
            number.copy_from_slice(&tx_num.to_be_bytes());
            keys.push(key);
        }
        Ok(())
    }

    /// Any range of a table of pieces, together with what is on top.
    fn merged(
        &self,
        table: Table,
        range: &RangeInclusive<&[u8]>,
        visit: &mut Visit<'_>,
    ) -> Result<(), ReadError> {
        let kind = match table {
            Table::History => Kind::History,
            _ => Kind::TxNums,
        };
        let groups = group_of(key_bits(range.start()))..=group_of(key_bits(range.end()));
        for group in groups {
            let pieces = self.state.pieces(kind, group);
            let parts = parts(pieces);
            for part in 0..parts {
                let mut rows = self
                    .part(kind, pieces, part, parts)
                    .map_err(|error| read_error(table, &error))?;
                // The keys that begin with the bits of group and part.
                let bits = u32::from(GROUP_BITS) + parts.ilog2();
                let first = (u64::from(group) << parts.ilog2() | part) << (64 - bits);
                let last = first | u64::MAX >> bits;
                let last = [&last.to_be_bytes()[..], &[0xff; 64]].concat();
                let first = first.to_be_bytes();
                let inside = first.as_slice().max(range.start())..=last.as_slice().min(range.end());
                self.top.scan(table, inside, &mut |key, value| {
                    rows.push((key.to_vec(), value.to_vec()));
                    ControlFlow::Continue(())
                })?;
                rows.sort_unstable();
                for (key, value) in &rows {
                    if range.contains(&key.as_slice()) && visit(key, value).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The rows of one part of some pieces.
    fn part(
        &self,
        kind: Kind,
        pieces: &[Arc<Piece>],
        part: u64,
        parts: u64,
    ) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut rows = Vec::new();
        let mut keys = Vec::new();
        for piece in pieces {
            read_part(piece, part, parts, |bucket, bytes| {
                if kind == Kind::TxNums {
                    for (_, tx_num) in piece.entries(bucket, bytes)? {
                        self.push_tx_num(tx_num, &mut keys)?;
                    }
                    return Ok(());
                }
                let show = |prefix, body: &[u8]| {
                    piece.rows(body, &mut |tx_num, value| {
                        if tx_num < self.end.tx_num {
                            rows.push((history_key(&prefix, tx_num).to_vec(), value.to_vec()));
                        }
                        ControlFlow::Continue(())
                    })
                };
                piece.scripts(bucket, bytes, show).map(drop)
            })?;
        }
        rows.extend(keys.into_iter().map(|key| (key.to_vec(), Vec::new())));
        Ok(rows)
    }
}

fn history_key(prefix: &[u8; PREFIX_LEN], tx_num: u32) -> [u8; PREFIX_LEN + 4] {
    let mut key = [0; PREFIX_LEN + 4];
    let (head, tail) = key.split_at_mut(PREFIX_LEN);
    head.copy_from_slice(prefix);
    tail.copy_from_slice(&tx_num.to_be_bytes());
    key
}

fn read_error(table: Table, error: &io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::InvalidData => ReadError::damaged(table, error.to_string()),
        _ => ReadError::Engine {
            table,
            message: error.to_string(),
        },
    }
}
