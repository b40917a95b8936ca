//! Which transactions the histories place in which block, by height.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use bitcoin::Txid;
use bitcoin::hashes::Hash;

/// The block that the histories place a transaction in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) height: u32,
    /// Whether the transaction is proven to be there.
    pub(super) proven: bool,
}

/// The transactions in blocks: an index by height of those that are known.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    unproven: BTreeSet<(u32, Txid)>,
    proven: BTreeSet<(u32, Txid)>,
}

impl Blocks {
    /// Moves a transaction from one place to another; it has none in the mempool and while it is not known.
    pub(super) fn relocate(&mut self, txid: Txid, from: Option<Place>, to: Option<Place>) {
        if from == to {
            return;
        }
        if let Some(Place { height, proven }) = from {
            self.half(proven).remove(&(height, txid));
        }
        if let Some(Place { height, proven }) = to {
            self.half(proven).insert((height, txid));
        }
    }

    /// Returns the transactions at some heights whose proof is missing.
    pub(super) fn unproven(&self, heights: RangeInclusive<u32>) -> impl Iterator<Item = Txid> {
        transactions(&self.unproven, heights)
    }

    /// Returns the transactions at some heights that are proven.
    pub(super) fn proven(&self, heights: RangeInclusive<u32>) -> impl Iterator<Item = Txid> {
        transactions(&self.proven, heights)
    }

    /// Tells whether there is a transaction at a height.
    pub(super) fn is_occupied(&self, height: u32) -> bool {
        let mut all = self
            .unproven(height..=height)
            .chain(self.proven(height..=height));
        all.next().is_some()
    }

    fn half(&mut self, proven: bool) -> &mut BTreeSet<(u32, Txid)> {
        match proven {
            true => &mut self.proven,
            false => &mut self.unproven,
        }
    }
}

fn transactions(
    set: &BTreeSet<(u32, Txid)>,
    heights: RangeInclusive<u32>,
) -> impl Iterator<Item = Txid> {
    let first = (*heights.start(), Txid::from_byte_array([0; 32]));
    let last = (*heights.end(), Txid::from_byte_array([0xff; 32]));
    // A range that ends before it begins is empty here, and a panic in the set.
    let range = (!heights.is_empty()).then(|| set.range(first..=last));
    range.into_iter().flatten().map(|(_, txid)| *txid)
}
