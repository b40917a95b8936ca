//! Blocks that could not be looked at, because the node has pruned them.

use std::collections::{BTreeMap, HashSet};
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use bitcoin::BlockHash;

use super::Personal;
use crate::chain::{ChainSource, SourceError};
use crate::personal::Job;
use crate::store::{Batch, Snapshot, Table};
use crate::sync::{Sync, SyncError};

/// Begins the keys of the rows of blocks that could not be looked at.
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

/// The heights of blocks that could not be looked at, as ranges, for each keychain by its key.
///
/// What is missing for one wallet is no matter of those who are shown others.
#[derive(Debug, Default)]
pub(super) struct Unseen(BTreeMap<[u8; 32], Vec<RangeInclusive<u32>>>);

fn row_key(keychain: &[u8; 32]) -> Vec<u8> {
    [META_UNSEEN, keychain].concat()
}

impl Unseen {
    /// Reads what was written down. The row of the first format names no keychain: it is taken for all of `keychains`.
    pub(super) fn read(
        snapshot: &dyn Snapshot,
        keychains: impl Iterator<Item = [u8; 32]>,
    ) -> Result<Self, SyncError> {
        let mut unseen = Self::default();
        if let Some(row) = snapshot.get(Table::Meta, META_UNSEEN)? {
            unseen.0.extend(keychains.map(|key| (key, decode(&row))));
        }
        let last = row_key(&[0xff; 32]);
        snapshot.scan(Table::Meta, META_UNSEEN..=&last, &mut |key, row| {
            let keychain = key.strip_prefix(META_UNSEEN);
            if let Some(keychain) = keychain.and_then(|key| key.try_into().ok()) {
                let ranges: &mut Vec<_> = unseen.0.entry(keychain).or_default();
                ranges.extend(decode(row));
                merge(ranges);
            }
            ControlFlow::Continue(())
        })?;
        Ok(unseen)
    }

    fn add(&mut self, keychain: [u8; 32], heights: impl Iterator<Item = u32>) {
        let ranges = self.0.entry(keychain).or_default();
        ranges.extend(heights.map(|height| height..=height));
        merge(ranges);
    }

    /// Writes down what is known of these keychains, in the place of what was there.
    fn write<'a>(&self, keychains: impl Iterator<Item = &'a [u8; 32]>, batch: &mut Batch) {
        batch.delete(Table::Meta, META_UNSEEN);
        for keychain in keychains {
            match self.0.get(keychain).filter(|ranges| !ranges.is_empty()) {
                Some(ranges) => batch.put(Table::Meta, row_key(keychain), encode(ranges)),
                None => batch.delete(Table::Meta, row_key(keychain)),
            }
        }
    }

    /// Forgets everything; returns the lowest height for each keychain.
    pub(super) fn take_lowest(&mut self) -> Vec<([u8; 32], u32)> {
        let all = std::mem::take(&mut self.0).into_iter();
        all.filter_map(|(keychain, ranges)| Some((keychain, *ranges.first()?.start())))
            .collect()
    }

    /// Forgets keychains that are not among these.
    pub(super) fn retain(&mut self, keychains: &HashSet<[u8; 32]>, batch: &mut Batch) {
        self.0.retain(|keychain, _| {
            let stays = keychains.contains(keychain);
            if !stays {
                batch.delete(Table::Meta, row_key(keychain));
            }
            stays
        });
    }
}

impl Sync {
    /// Notes blocks that could not be looked at for the scripts of a job, for those keychains to which they may matter, and
    /// writes down what is known.
    pub(super) fn note_unseen(
        &mut self,
        job: &Job,
        missing: &BTreeMap<u32, BlockHash>,
        filtered: bool,
        batch: &mut Batch,
    ) -> Result<(), SyncError> {
        let Some(personal) = &mut self.personal else {
            return Ok(());
        };
        if let (Some((lowest, _)), Some((highest, _))) =
            (missing.first_key_value(), missing.last_key_value())
        {
            for (keychain, scripts) in personal.progress.keychains_of(job) {
                let matches = match filtered {
                    // The filters have picked what matters to any keychain.
                    true => self.source.filtered(&scripts, *lowest..=*highest)?,
                    false => None,
                };
                let matters = |hash| matches.as_ref().is_none_or(|all| all.contains(hash));
                let heights = missing.iter().filter(|(_, hash)| matters(hash));
                let heights = heights.map(|(height, _)| *height);
                personal.unseen.add(keychain, heights);
            }
        }
        let keychains = personal.progress.keychains().map(|(key, _)| key);
        personal.unseen.write(keychains, batch);
        Ok(())
    }
}

fn decode(row: &[u8]) -> Vec<RangeInclusive<u32>> {
    let (pairs, _) = row.as_chunks::<8>();
    let range = |[a, b, c, d, e, f, g, h]: &[u8; 8]| {
        u32::from_be_bytes([*a, *b, *c, *d])..=u32::from_be_bytes([*e, *f, *g, *h])
    };
    pairs.iter().map(range).collect()
}

fn encode(ranges: &[RangeInclusive<u32>]) -> Vec<u8> {
    let mut row = Vec::with_capacity(8 * ranges.len());
    for range in ranges {
        row.extend_from_slice(&range.start().to_be_bytes());
        row.extend_from_slice(&range.end().to_be_bytes());
    }
    row
}

pub(super) fn share_unseen(personal: &Personal) {
    let shared = &personal.handle.shared;
    let of_wallets = personal.progress.keychains().filter_map(|(key, wallet)| {
        let ranges = personal.unseen.0.get(key)?;
        Some((wallet.to_owned(), ranges.clone()))
    });
    *shared.unseen.lock().unwrap_or_else(PoisonError::into_inner) = of_wallets.collect();
}

/// Sorts ranges, and makes one of those that touch.
pub(super) fn merge(ranges: &mut Vec<RangeInclusive<u32>>) {
    ranges.sort_unstable_by_key(|range| *range.start());
    ranges.dedup_by(|next, before| {
        let touches = *next.start() <= before.end().saturating_add(1);
        if touches {
            *before = *before.start()..=*before.end().max(next.end());
        }
        touches
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one() {
        let mut ranges = vec![
            9..=9,
            3..=4,
            5..=5,
            4..=4,
            11..=20,
            12..=13,
            u32::MAX..=u32::MAX,
        ];
        merge(&mut ranges);
        assert_eq!(ranges, [3..=5, 9..=9, 11..=20, u32::MAX..=u32::MAX]);
        assert_eq!(decode(&encode(&ranges)), ranges);
    }
}
