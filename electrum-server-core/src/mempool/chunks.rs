//! What transactions pay as a miner sees them: by chunks.
//!
//! A miner takes a transaction together with its unconfirmed parents. So a parent that pays little is mined at the rate
//! of the child that pays for it, and a child at no more than the rate of the parents that it needs. A *chunk* is what is
//! mined together: among all sets of transactions that contain their parents, the one that pays the highest rate; then
//! the same for what is left. Bitcoin Core mines by these since version 31 (`fees.chunk` and `chunkweight` of
//! `getmempoolentry`).
//!
//! The division into chunks is found by maximum closures: the set with the highest rate above the average of all is the
//! closure of the greatest weight when each transaction weighs its fee less what it would pay at the average, and a
//! minimum cut finds that (Picard, 1976). Both parts are then divided in the same way, until no part has anything above
//! its average.

use std::collections::VecDeque;

use super::histogram::Rate;

/// A transaction among those that it is connected with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Member {
    /// What it pays, in satoshis.
    pub(super) fee: u64,
    /// Its size in virtual bytes.
    pub(super) vsize: u64,
    /// The positions of its parents in the cluster, all of them before its own.
    pub(super) parents: Vec<usize>,
}

/// The largest cluster that is divided as a whole: the largest that Bitcoin Core keeps since version 31. Of a larger one,
/// which older nodes may have, so many are divided at a time, those without parents first.
const MAX_CLUSTER: usize = 64;

/// Returns the rate of each member's chunk. The members of the cluster stand behind their parents.
pub(super) fn chunk_rates(cluster: &[Member]) -> Vec<Rate> {
    let mut rates = vec![0; cluster.len()];
    for (number, piece) in cluster.chunks(MAX_CLUSTER).enumerate() {
        let first = number * MAX_CLUSTER;
        let mut parts = vec![(0..piece.len()).collect::<Vec<_>>()];
        while let Some(part) = parts.pop() {
            match split(piece, first, &part) {
                Some((better, worse)) => parts.extend([better, worse]),
                None => {
                    let (fee, vsize) = totals(piece, &part);
                    let rate = fee.saturating_mul(10) / vsize.max(1);
                    for member in part {
                        if let Some(slot) = rates.get_mut(first + member) {
                            *slot = rate;
                        }
                    }
                }
            }
        }
    }
    rates
}

fn totals(piece: &[Member], part: &[usize]) -> (u64, u64) {
    let members = part.iter().filter_map(|member| piece.get(*member));
    members.fold((0, 0), |(fee, vsize), member| {
        (
            fee.saturating_add(member.fee),
            vsize.saturating_add(member.vsize),
        )
    })
}

/// Divides a part into what pays more than its average, with the parents that this needs, and the rest; `None` when
/// nothing does. `first` is the position of the piece in its cluster.
fn split(piece: &[Member], first: usize, part: &[usize]) -> Option<(Vec<usize>, Vec<usize>)> {
    if part.len() < 2 {
        return None;
    }
    let (fee, vsize) = totals(piece, part);
    // Fees are below 2^51 and sizes below 2^32, so products and their sums fit.
    let weight = |member: &Member| {
        i128::from(member.fee) * i128::from(vsize) - i128::from(fee) * i128::from(member.vsize)
    };
    // Behind the members stand the source and the sink.
    let (source, sink) = (part.len(), part.len() + 1);
    let mut network = Network::new(part.len() + 2);
    for (place, member) in part.iter().enumerate() {
        let Some(member) = piece.get(*member) else {
            continue;
        };
        match weight(member) {
            weight if weight > 0 => network.connect(source, place, weight),
            weight => network.connect(place, sink, -weight),
        }
        for parent in &member.parents {
            // Parents in another part are mined before, or in another piece.
            let parent = parent
                .checked_sub(first)
                .and_then(|parent| part.binary_search(&parent).ok());
            if let Some(parent) = parent {
                network.connect(place, parent, i128::MAX);
            }
        }
    }
    while network.augment(source, sink) {}
    let reached = network.distances(source);
    let is_better = |place: usize| matches!(reached.get(place), Some(Some(_)));
    let of = |wanted: bool| -> Vec<usize> {
        let members = part.iter().enumerate();
        members
            .filter(|(place, _)| is_better(*place) == wanted)
            .map(|(_, member)| *member)
            .collect()
    };
    let (better, worse) = (of(true), of(false));
    (!better.is_empty() && !worse.is_empty()).then_some((better, worse))
}

/// A flow network, for Dinic's algorithm.
struct Network {
    /// The numbers of the edges that leave each node.
    leaving: Vec<Vec<usize>>,
    /// Each edge is followed by the one back.
    edges: Vec<Edge>,
}

struct Edge {
    to: usize,
    /// How much more can flow.
    room: i128,
}

impl Network {
    fn new(nodes: usize) -> Self {
        Self {
            leaving: vec![Vec::new(); nodes],
            edges: Vec::new(),
        }
    }

    fn connect(&mut self, from: usize, to: usize, room: i128) {
        for (from, to, room) in [(from, to, room), (to, from, 0)] {
            if let Some(leaving) = self.leaving.get_mut(from) {
                leaving.push(self.edges.len());
                self.edges.push(Edge { to, room });
            }
        }
    }

    /// Returns how many edges with room lead from `source` to each node, where any do.
    fn distances(&self, source: usize) -> Vec<Option<usize>> {
        let mut distances = vec![None; self.leaving.len()];
        let mut queue = VecDeque::from([(source, 0)]);
        while let Some((node, distance)) = queue.pop_front() {
            match distances.get_mut(node) {
                Some(slot @ None) => *slot = Some(distance),
                _ => continue,
            }
            let leaving = self.leaving.get(node).into_iter().flatten();
            let open = leaving
                .filter_map(|edge| self.edges.get(*edge))
                .filter(|edge| edge.room > 0);
            queue.extend(open.map(|edge| (edge.to, distance + 1)));
        }
        distances
    }

    /// Fills the shortest ways from `source` to `sink`; returns whether there was any.
    fn augment(&mut self, source: usize, sink: usize) -> bool {
        let distances = self.distances(source);
        if !matches!(distances.get(sink), Some(Some(_))) {
            return false;
        }
        let mut next = vec![0; self.leaving.len()];
        while self.push(source, sink, i128::MAX, &distances, &mut next) > 0 {}
        true
    }

    /// Sends up to `room` from `node` to `sink` on one shortest way; returns how much went. `next` is where each node
    /// goes on looking.
    fn push(
        &mut self,
        node: usize,
        sink: usize,
        room: i128,
        distances: &[Option<usize>],
        next: &mut [usize],
    ) -> i128 {
        if node == sink {
            return room;
        }
        let distance = distances.get(node).copied().flatten();
        while let Some(slot) = next.get_mut(node)
            && let Some(&number) = self.leaving.get(node).and_then(|all| all.get(*slot))
        {
            let Some(edge) = self.edges.get(number) else {
                return 0;
            };
            let (to, free) = (edge.to, edge.room.min(room));
            let is_nearer = distances.get(to).copied().flatten() == distance.map(|it| it + 1);
            if free > 0 && is_nearer {
                // No deeper than there are members.
                let sent = self.push(to, sink, free, distances, next);
                if sent > 0 {
                    for (number, change) in [(number, -sent), (number ^ 1, sent)] {
                        if let Some(edge) = self.edges.get_mut(number) {
                            edge.room = edge.room.saturating_add(change);
                        }
                    }
                    return sent;
                }
            }
            if let Some(slot) = next.get_mut(node) {
                *slot += 1;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(fee: u64, vsize: u64, parents: &[usize]) -> Member {
        let parents = parents.to_vec();
        Member {
            fee,
            vsize,
            parents,
        }
    }

    #[test]
    fn a_child_pays_for_its_parent() {
        // 50,000 virtual bytes at 1, and a child that brings them to 200.
        let cluster = [member(50_000, 50_000, &[]), member(10_000_000, 150, &[0])];
        assert_eq!(chunk_rates(&cluster), [2003, 2003]);
        // The zero-fee parent of a version 3 package.
        let cluster = [member(0, 100, &[]), member(1000, 100, &[0])];
        assert_eq!(chunk_rates(&cluster), [50, 50]);
    }

    #[test]
    fn a_child_that_pays_less_comes_later() {
        let cluster = [member(1000, 100, &[]), member(100, 100, &[0])];
        assert_eq!(chunk_rates(&cluster), [100, 10]);
        // The second child is mined with the parent, the first is not needed for it.
        let cluster = [
            member(100, 100, &[]),
            member(100, 100, &[0]),
            member(900, 100, &[0]),
        ];
        assert_eq!(chunk_rates(&cluster), [50, 10, 50]);
        // Two children together pay for what neither would alone.
        let cluster = [
            member(0, 300, &[]),
            member(500, 100, &[0]),
            member(500, 100, &[0]),
        ];
        assert_eq!(chunk_rates(&cluster), [20, 20, 20]);
    }

    /// The definition, by trying all sets: the highest rate of any set that contains its parents, the largest such set,
    /// then the same for the rest.
    fn by_definition(cluster: &[Member]) -> Vec<Rate> {
        let mut rates = vec![0; cluster.len()];
        let mut done = 0_u32;
        let all = (1_u32 << cluster.len()) - 1;
        while done != all {
            let mut best: Option<(u32, u64, u64)> = None;
            for set in (1..=all).filter(|set| set & done == 0) {
                let inside = |member: usize| (set | done) >> member & 1 == 1;
                let chosen = (0..cluster.len()).filter(|member| set >> member & 1 == 1);
                let mut closed = true;
                let (mut fee, mut vsize) = (0, 0);
                for member in chosen {
                    closed &= cluster[member].parents.iter().all(|parent| inside(*parent));
                    fee += cluster[member].fee;
                    vsize += cluster[member].vsize;
                }
                let is_better = best.is_none_or(|(other, best_fee, best_vsize)| {
                    let (ours, theirs) = (fee * best_vsize, best_fee * vsize);
                    ours > theirs || ours == theirs && set.count_ones() > other.count_ones()
                });
                if closed && is_better {
                    best = Some((set, fee, vsize));
                }
            }
            let (set, fee, vsize) = best.unwrap();
            (0..cluster.len())
                .filter(|member| set >> member & 1 == 1)
                .for_each(|member| rates[member] = fee * 10 / vsize);
            done |= set;
        }
        rates
    }

    fn cluster() -> impl Strategy<Value = Vec<Member>> {
        let member = (0_u64..2000, 1_u64..300, any::<u16>());
        prop::collection::vec(member, 1..9).prop_map(|members| {
            let members = members.into_iter().enumerate();
            members
                .map(|(number, (fee, vsize, parents))| Member {
                    fee,
                    vsize,
                    parents: (0..number).filter(|bit| parents >> bit & 1 == 1).collect(),
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn chunks_are_those_of_the_definition(cluster in cluster()) {
            prop_assert_eq!(chunk_rates(&cluster), by_definition(&cluster));
        }
    }

    #[test]
    fn large_clusters_and_amounts_are_divided_too() {
        let most = 21_000_000 * 100_000_000;
        let chain: Vec<_> = (0..1000_usize)
            .map(|number| {
                let parents: Vec<_> = number.checked_sub(1).into_iter().collect();
                member(most, 1_000_000, &parents)
            })
            .collect();
        assert_eq!(chunk_rates(&chain), vec![most / 100_000; 1000]);
    }
}
