//! The rows in which it is written down how far the wallets were looked for.

use super::wanted::Wanted;
use super::watched::Audience;
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

/// How far a keychain was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeychainRow {
    /// From this height on it is looked for.
    pub(super) birth: u32,
    /// From this height on it was looked for at any time.
    pub(super) since: u32,
    /// In the order of the indexes.
    pub(super) ranges: Vec<Range>,
}

pub(super) fn row_key(kind: u8, key: &[u8; 32]) -> Vec<u8> {
    [&[kind][..], key].concat()
}

fn damaged() -> ReadError {
    ReadError::damaged(Table::Wallets, "a row has the wrong length")
}

impl KeychainRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = self.birth.to_be_bytes().to_vec();
        row.extend_from_slice(&self.since.to_be_bytes());
        for range in &self.ranges {
            row.extend_from_slice(&range.end.to_be_bytes());
            row.extend_from_slice(&range.next.to_be_bytes());
        }
        row
    }

    /// Reads a row. One of the first format does not say since when the keychain is looked for: there may be rows of any
    /// height.
    pub(super) fn decode(row: &[u8]) -> Result<Self, ReadError> {
        let (birth, rest) = row.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (since, ranges) = match row.len() % 8 {
            0 => rest.split_first_chunk::<4>().ok_or_else(damaged)?,
            _ => (&[0; 4], rest),
        };
        let (ranges, []) = ranges.as_chunks::<8>() else {
            return Err(damaged());
        };
        let range = |pair: &[u8; 8]| {
            let [end, next] = halves(*pair);
            Range { end, next }
        };
        Ok(Self {
            birth: u32::from_be_bytes(*birth),
            since: u32::from_be_bytes(*since),
            ranges: ranges.iter().map(range).collect(),
        })
    }

    /// Notes that the blocks from a height on are gone.
    pub(super) fn rewind(&mut self, height: u32) {
        self.birth = self.birth.min(height);
        self.since = self.since.min(height);
        for range in &mut self.ranges {
            range.next = range.next.min(height);
        }
    }
}

fn halves([a, b, c, d, e, f, g, h]: [u8; 8]) -> [u32; 2] {
    [
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    ]
}

pub(super) fn wanted_key(script: &[u8; 32], audience: Audience) -> Vec<u8> {
    let mut key = row_key(WANTED, script);
    key.extend_from_slice(&audience.to_byte_array());
    key
}

pub(super) fn encode_wanted(wanted: &Wanted) -> [u8; 8] {
    let mut row = [0; 8];
    let (next, since) = row.split_at_mut(4);
    next.copy_from_slice(&wanted.next.to_be_bytes());
    since.copy_from_slice(&wanted.since.to_be_bytes());
    row
}

/// Reads the row of a script that a client wanted; nothing when it is none. One of the first format names no audience: it
/// belongs to the listeners where nothing else is said, and there may be rows of any height.
pub(super) fn decode_wanted(key: &[u8], row: &[u8]) -> Option<([u8; 32], Wanted)> {
    let (script, audience) = key.strip_prefix(&[WANTED])?.split_first_chunk::<32>()?;
    let (audience, next, since) = match (audience, row.len()) {
        ([], 4) => (
            Audience::EVERYWHERE,
            u32::from_be_bytes(row.try_into().ok()?),
            0,
        ),
        (audience, 8) => {
            let [next, since] = halves(row.try_into().ok()?);
            let audience = Audience::from_byte_array(audience.try_into().ok()?);
            (audience, next, since)
        }
        _ => return None,
    };
    let wanted = Wanted {
        audience,
        since,
        next,
    };
    Some((*script, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_written_and_as_they_were_written_before() {
        let row = KeychainRow {
            birth: 7,
            since: 5,
            ranges: vec![Range { end: 20, next: 9 }, Range { end: 1020, next: 7 }],
        };
        let bytes = row.encode();
        assert_eq!(KeychainRow::decode(&bytes).unwrap(), row);
        let first_format = [&bytes[..4], &bytes[8..]].concat();
        let before = KeychainRow::decode(&first_format).unwrap();
        assert_eq!(before, KeychainRow { since: 0, ..row });
        for end in [0, 1, 3, 5, 9, 11] {
            assert!(KeychainRow::decode(&bytes[..end]).is_err(), "{end} bytes");
        }

        let (script, audience) = ([3; 32], Audience::from_byte_array([9; 8]));
        let wanted = Wanted {
            audience,
            since: 4,
            next: 6,
        };
        let key = wanted_key(&script, audience);
        let bytes = encode_wanted(&wanted);
        assert_eq!(decode_wanted(&key, &bytes), Some((script, wanted)));
        let before = decode_wanted(&row_key(WANTED, &script), &6u32.to_be_bytes());
        let expected = Wanted {
            audience: Audience::EVERYWHERE,
            since: 0,
            next: 6,
        };
        assert_eq!(before, Some((script, expected)));
        assert_eq!(decode_wanted(&key, &[0; 5]), None);
        assert_eq!(decode_wanted(&row_key(KEYCHAIN, &script), &bytes), None);
    }
}
