//! The rows in which it is written down how far the wallets were looked for.

use crate::store::{ReadError, Table};

/// The first byte of the key of a keychain's row.
pub(super) const KEYCHAIN: u8 = b'k';
/// The first byte of the key of a single script that a client wanted to be watched.
pub(super) const WANTED: u8 = b's';

/// Scripts that were looked for equally far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The index after the last one.
    pub(super) end: u32,
    /// The height of the first block that was not looked at.
    pub(super) next: u32,
}

pub(super) fn row_key(kind: u8, key: &[u8; 32]) -> Vec<u8> {
    [&[kind][..], key].concat()
}

pub(super) fn encode(birth: u32, ranges: &[Range]) -> Vec<u8> {
    let mut row = birth.to_be_bytes().to_vec();
    for range in ranges {
        row.extend_from_slice(&range.end.to_be_bytes());
        row.extend_from_slice(&range.next.to_be_bytes());
    }
    row
}

/// Reads from which height on, and how far, a keychain was looked for.
pub(super) fn decode(row: &[u8]) -> Result<(u32, Vec<Range>), ReadError> {
    let damaged = || ReadError::damaged(Table::Wallets, "a row has the wrong length");
    let (birth, ranges) = row.split_first_chunk::<4>().ok_or_else(damaged)?;
    let (ranges, []) = ranges.as_chunks::<8>() else {
        return Err(damaged());
    };
    let range = |[a, b, c, d, e, f, g, h]: &[u8; 8]| Range {
        end: u32::from_be_bytes([*a, *b, *c, *d]),
        next: u32::from_be_bytes([*e, *f, *g, *h]),
    };
    Ok((
        u32::from_be_bytes(*birth),
        ranges.iter().map(range).collect(),
    ))
}
