//! Blocks that could not be looked at, because the node has pruned them.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use bitcoin::BlockHash;

use super::Personal;
use crate::chain::{ChainSource, SourceError};
use crate::store::{Batch, Table};
use crate::sync::SyncError;

/// The row of blocks that could not be looked at.
const META_UNSEEN: &[u8] = b"unseen";
/// How long a block that the node was asked to fetch is waited for.
const FETCH_PATIENCE: Duration = Duration::from_secs(60);
/// After how long another peer is asked for it.
const PEER_PATIENCE: Duration = Duration::from_secs(10);
/// How often one looks whether it has come: first, and after a while.
const FETCH_PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(250)];

/// Has the node fetch a block that it has pruned, and waits for it; nothing when it does not come.
pub(super) fn fetch_block(
    source: &dyn ChainSource,
    hash: &BlockHash,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Vec<u8>>, SourceError> {
    let began = Instant::now();
    let mut attempt = 0;
    while began.elapsed() < FETCH_PATIENCE && source.request_block(hash, attempt)? {
        attempt += 1;
        let asked = Instant::now();
        let [mut pause, longest] = FETCH_PAUSES;
        while asked.elapsed() < PEER_PATIENCE {
            match source.block_bytes(hash) {
                Err(SourceError::Missing { .. }) => std::thread::sleep(pause),
                bytes => return bytes.map(Some),
            }
            if stop() {
                return Ok(None);
            }
            pause = (pause * 2).min(longest);
        }
    }
    Ok(None)
}

pub(super) fn read_unseen(
    snapshot: &dyn crate::store::Snapshot,
) -> Result<HashSet<u32>, SyncError> {
    let row = snapshot.get(Table::Meta, META_UNSEEN)?.unwrap_or_default();
    let (pairs, _) = row.as_chunks::<8>();
    let range = |[a, b, c, d, e, f, g, h]: &[u8; 8]| {
        u32::from_be_bytes([*a, *b, *c, *d])..=u32::from_be_bytes([*e, *f, *g, *h])
    };
    Ok(pairs.iter().flat_map(range).collect())
}

pub(super) fn write_unseen(unseen: &HashSet<u32>, batch: &mut Batch) {
    if unseen.is_empty() {
        batch.delete(Table::Meta, META_UNSEEN);
        return;
    }
    let mut row = Vec::new();
    for range in ranges(unseen) {
        row.extend_from_slice(&range.start().to_be_bytes());
        row.extend_from_slice(&range.end().to_be_bytes());
    }
    batch.put(Table::Meta, META_UNSEEN, row);
}

pub(super) fn share_unseen(personal: &Personal) {
    let shared = &personal.handle.shared;
    *shared.unseen.lock().unwrap_or_else(PoisonError::into_inner) = ranges(&personal.unseen);
}

/// Neighbouring heights as ranges, lowest first.
fn ranges(heights: &HashSet<u32>) -> Vec<RangeInclusive<u32>> {
    let mut sorted: Vec<u32> = heights.iter().copied().collect();
    sorted.sort_unstable();
    let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
    for height in sorted {
        match ranges.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(height) => {
                *last = *last.start()..=height
            }
            _ => ranges.push(height..=height),
        }
    }
    ranges
}
