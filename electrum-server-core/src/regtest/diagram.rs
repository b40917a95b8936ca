//! Which of two sets of transactions miners prefer, compared as Bitcoin Core does: by their fee diagrams.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::Txid;

/// A transaction among those that it hangs together with.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) fee: u64,
    /// Its weight.
    pub(super) size: u64,
    pub(super) parents: BTreeSet<Txid>,
}

/// Fee and size of what is mined together.
type Chunk = (u64, u64);

/// Whether `left` pays a better rate than `right`.
fn is_better(left: Chunk, right: Chunk) -> bool {
    u128::from(left.0) * u128::from(right.1) > u128::from(right.0) * u128::from(left.1)
}

/// The portions in which miners take these transactions, the best first.
///
/// Repeatedly takes the transaction whose rate is best together with what it is built on; for the few transactions
/// that hang together in tests this is as good as an exhaustive search.
pub(super) fn chunks(mut nodes: BTreeMap<Txid, Node>) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    while !nodes.is_empty() {
        let mut best: Option<(Chunk, BTreeSet<Txid>)> = None;
        for txid in nodes.keys() {
            let with = ancestors(&nodes, *txid);
            let sum = with.iter().filter_map(|txid| nodes.get(txid));
            let chunk = sum.fold((0, 0), |(fee, size), node| {
                (fee + node.fee, size + node.size)
            });
            if best
                .as_ref()
                .is_none_or(|(known, _)| is_better(chunk, *known))
            {
                best = Some((chunk, with));
            }
        }
        let Some((mut chunk, taken)) = best else {
            break;
        };
        nodes.retain(|txid, _| !taken.contains(txid));
        // A portion that pays better than the one before it is mined with it.
        while let Some(last) = chunks
            .last()
            .copied()
            .filter(|last| is_better(chunk, *last))
        {
            chunk = (chunk.0 + last.0, chunk.1 + last.1);
            chunks.pop();
        }
        chunks.push(chunk);
    }
    chunks
}

fn ancestors(nodes: &BTreeMap<Txid, Node>, txid: Txid) -> BTreeSet<Txid> {
    let mut open = vec![txid];
    let mut seen = BTreeSet::new();
    while let Some(txid) = open.pop() {
        let Some(node) = nodes.get(&txid) else {
            continue;
        };
        if seen.insert(txid) {
            open.extend(node.parents.iter().copied());
        }
    }
    seen
}

/// Whether the new diagram is nowhere below the old one, and somewhere above it.
pub(super) fn improves(old: &[Chunk], new: &[Chunk]) -> bool {
    let ends = |chunks: &[Chunk]| -> Vec<u64> {
        chunks
            .iter()
            .scan(0, |end, chunk| {
                *end += chunk.1;
                Some(*end)
            })
            .collect()
    };
    let mut is_above = false;
    for size in ends(old).into_iter().chain(ends(new)) {
        match compare(fees_at(new, size), fees_at(old, size)) {
            std::cmp::Ordering::Less => return false,
            std::cmp::Ordering::Greater => is_above = true,
            std::cmp::Ordering::Equal => {}
        }
    }
    is_above
}

/// The fees of the first `size` bytes as a fraction: whole portions, and of the next one its share.
fn fees_at(chunks: &[Chunk], size: u64) -> (u128, u128) {
    let (mut fees, mut left) = (0u128, size);
    for (fee, vsize) in chunks {
        if *vsize > left {
            let vsize = u128::from(*vsize);
            return (fees * vsize + u128::from(*fee) * u128::from(left), vsize);
        }
        fees += u128::from(*fee);
        left -= vsize;
    }
    (fees, 1)
}

fn compare(left: (u128, u128), right: (u128, u128)) -> std::cmp::Ordering {
    (left.0 * right.1).cmp(&(right.0 * left.1))
}
