//! Blocks that could not be looked at, because the node has pruned them.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::PoisonError;

use super::Personal;
use crate::store::{Batch, Table};
use crate::sync::SyncError;

/// The row of blocks that could not be looked at.
const META_UNSEEN: &[u8] = b"unseen";

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
    if !unseen.is_empty() {
        let mut row = Vec::new();
        for range in ranges(unseen) {
            row.extend_from_slice(&range.start().to_be_bytes());
            row.extend_from_slice(&range.end().to_be_bytes());
        }
        batch.put(Table::Meta, META_UNSEEN, row);
    }
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
