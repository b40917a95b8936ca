//! Making one piece of several.

use std::fs;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::piece::{GROUPS, Kind, Piece, pull_row};
use super::piece_writer::{PieceWriter, TX_NUM_WEIGHT};
use super::{Segments, State, lock, name};
use crate::index::PREFIX_LEN;
use crate::leb128::push_leb128;
use crate::store::CommitError;

/// So many neighbours of about the same size become one.
const FAN_IN: usize = 8;

impl Segments {
    /// Merges pieces while there are many of about the same size; down to one for each group when `all`. Stops early when
    /// `stop` says so. Whatever was merged stays merged.
    ///
    /// What is read meanwhile is the same. One group of one table is merged at a time, and the files that were merged are
    /// deleted then: that is all the room it takes. Where there is less, that is an error before anything is written.
    pub(crate) fn merge(&self, all: bool, stop: &dyn Fn() -> bool) -> Result<(), CommitError> {
        for kind in Kind::ALL {
            for group in 0..GROUPS {
                if stop() {
                    return Ok(());
                }
                match self.merge_group(kind, group, all, stop) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
                    // What is read, and what is built on it, is as before.
                    merged => merged.map_err(|error| {
                        let error = error.downcast::<CommitError>();
                        error.unwrap_or_else(|error| self.describe(&error))
                    })?,
                }
            }
        }
        Ok(())
    }

    /// Returns whether there is something to merge.
    pub(crate) fn is_scattered(&self) -> bool {
        let state = self.state.load();
        state.pieces.iter().any(|pieces| pieces.len() > 1)
    }

    fn merge_group(
        &self,
        kind: Kind,
        group: u8,
        all: bool,
        stop: &dyn Fn() -> bool,
    ) -> io::Result<()> {
        loop {
            // Nobody else changes what is there from here on.
            let mut manifest = lock(&self.manifest);
            self.settle().map_err(io::Error::other)?;
            let state = State::clone(&self.state.load());
            let pieces = state.pieces(kind, group);
            let from = match all {
                true => 0,
                false => match level(pieces) {
                    Some(from) => from,
                    None => return Ok(()),
                },
            };
            let old = pieces.get(from..).unwrap_or_default().to_vec();
            if old.len() < 2 {
                return Ok(());
            }
            let bytes = old.iter().map(|piece| piece.size()).sum();
            self.space.check(bytes).map_err(io::Error::other)?;
            let path = self.folder.join(name(kind, group, manifest.next_id));
            manifest.next_id += 1;
            let merged = match kind {
                Kind::History => history(&path, &old, stop),
                Kind::TxNums => tx_nums(&path, &old, stop),
            };
            let piece = match merged.and_then(|piece| piece.sync().map(|()| piece)) {
                Ok(piece) => piece,
                Err(error) => {
                    // Half a piece is of no use; what cannot be deleted now is deleted when the folder is opened.
                    let _ = fs::remove_file(&path);
                    return Err(error);
                }
            };
            let mut state = state;
            if let Some(pieces) = state.pieces_mut(kind, group) {
                pieces.truncate(from);
                pieces.push(Arc::new(piece));
            }
            manifest.pieces = super::named(&state);
            manifest.write(&self.folder)?;
            self.state.store(Arc::new(state));
            drop(manifest);
            // Whoever reads them still has them open.
            for piece in old {
                fs::remove_file(piece.path())?;
            }
        }
    }
}

/// Finds where the last pieces begin that should become one: [`FAN_IN`] of them, none much larger than the others.
fn level(pieces: &[Arc<Piece>]) -> Option<usize> {
    let from = pieces.len().checked_sub(FAN_IN)?;
    let last = pieces.get(from..)?;
    let size = |piece: &Arc<Piece>| piece.footer.rows;
    let largest = last.iter().map(size).max()?;
    let sum: u64 = last.iter().map(size).sum();
    (largest <= sum / 2).then_some(from)
}

fn range(pieces: &[Arc<Piece>]) -> (u32, u32) {
    let first = pieces.first().map_or(0, |piece| piece.footer.first_tx);
    let end = pieces.last().map_or(0, |piece| piece.footer.end_tx);
    (first, end)
}

/// The part of a piece that is being merged: keys of one value of the coarsest bucket.
pub(super) fn part<T>(
    piece: &Piece,
    part: u64,
    parts: u64,
    mut read: impl FnMut(u64, &[u8]) -> io::Result<T>,
) -> io::Result<()> {
    let each = piece.buckets() / parts;
    let mut buffer = Vec::new();
    for bucket in part * each..(part + 1) * each {
        piece.bucket(bucket, &mut buffer)?;
        read(bucket, &buffer)?;
    }
    Ok(())
}

/// In how many parts the pieces can be merged: the number of buckets of the one with the fewest.
pub(super) fn parts(pieces: &[Arc<Piece>]) -> u64 {
    pieces
        .iter()
        .map(|piece| piece.buckets())
        .min()
        .unwrap_or(1)
}

fn history(path: &Path, pieces: &[Arc<Piece>], stop: &dyn Fn() -> bool) -> io::Result<Piece> {
    let Some(first) = pieces.first() else {
        return Err(io::Error::other("nothing to merge"));
    };
    let bytes = pieces.iter().map(|piece| piece.footer.directory).sum();
    let (kind, group) = (Kind::History, first.footer.group);
    let mut writer = PieceWriter::create(path, kind, group, range(pieces), bytes)?;
    let parts = parts(pieces);
    let (mut body, mut scratch) = (Vec::new(), Vec::new());
    for at in 0..parts {
        if stop() {
            return Err(ErrorKind::Interrupted.into());
        }
        // Prefix, which piece, first row, where its body is in `bodies`.
        let mut scripts: Vec<([u8; PREFIX_LEN], usize, usize, usize)> = Vec::new();
        let mut bodies = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            part(piece, at, parts, |bucket, bytes| {
                piece.scripts(bucket, bytes, |prefix, body| {
                    scripts.push((prefix, number, bodies.len(), body.len()));
                    bodies.extend_from_slice(body);
                    Ok(ControlFlow::Continue(()))
                })
            })?;
        }
        scripts.sort_unstable();
        for of_script in scripts.chunk_by(|a, b| a.0 == b.0) {
            body.clear();
            let mut rows = 0;
            let mut before = writer.footer().first_tx;
            for (_, number, start, len) in of_script {
                let Some(piece) = pieces.get(*number) else {
                    continue;
                };
                let mut bytes = bodies.get(*start..start + len).unwrap_or_default();
                let mut tx_num = piece.footer.first_tx;
                while !bytes.is_empty() {
                    let (step, value) = pull_row(&mut bytes).ok_or_else(|| piece.damaged())?;
                    tx_num = tx_num.checked_add(step).ok_or_else(|| piece.damaged())?;
                    push_leb128(&mut body, u64::from(tx_num.wrapping_sub(before)));
                    push_leb128(&mut body, value.len() as u64);
                    body.extend_from_slice(value);
                    before = tx_num;
                    rows += 1;
                }
            }
            if let Some((prefix, ..)) = of_script.first() {
                writer.script(prefix, rows, &body, &mut scratch)?;
            }
        }
    }
    writer.finish(path)
}

fn tx_nums(path: &Path, pieces: &[Arc<Piece>], stop: &dyn Fn() -> bool) -> io::Result<Piece> {
    let Some(first) = pieces.first() else {
        return Err(io::Error::other("nothing to merge"));
    };
    let rows: u64 = pieces.iter().map(|piece| piece.footer.rows).sum();
    let (kind, group) = (Kind::TxNums, first.footer.group);
    let bytes = rows * TX_NUM_WEIGHT;
    let mut writer = PieceWriter::create(path, kind, group, range(pieces), bytes)?;
    let parts = parts(pieces);
    let mut entries = Vec::new();
    for at in 0..parts {
        if stop() {
            return Err(ErrorKind::Interrupted.into());
        }
        entries.clear();
        for piece in pieces {
            part(piece, at, parts, |bucket, bytes| {
                entries.extend(piece.entries(bucket, bytes)?);
                Ok(())
            })?;
        }
        entries.sort_unstable();
        for (prefix, tx_num) in &entries {
            writer.tx_num(*prefix, *tx_num)?;
        }
    }
    writer.finish(path)
}
