//! Which blocks to undo and which to connect, to follow the node: the walk back to where the chains part, written once.

use bitcoin::BlockHash;
use bitcoin::block::Header;

use super::{BlockId, ChainSource, HeaderChain, SourceError};

/// The most headers that are asked for at once.
const BATCH: u32 = 2000;
/// How many batches of headers are added up at most to compare work: a million headers.
const MAX_BATCHES: usize = 500;
/// How often a chain that changes while it is read is read again.
const ATTEMPTS: usize = 5;

/// The way from our chain towards the node's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The height of the highest block that both chains have; `None` when we have none yet. What we have above is to
    /// be undone.
    pub fork: Option<u32>,
    /// What to connect on top of it, lowest first; each links to the one before. At most 2000, so that there may be
    /// more to connect afterwards.
    pub connect: Vec<Header>,
    /// The node's tip when it was looked at.
    pub target: BlockId,
}

impl Plan {
    /// Whether we are where the node is.
    pub fn is_empty(&self, our_height: Option<u32>) -> bool {
        self.connect.is_empty() && self.fork == our_height
    }
}

/// Compares our chain with the node's.
///
/// # Errors
///
/// Those of the source; permanent when not even the genesis block is the same, or when the node's headers do not link;
/// transient when its chain changes faster than it can be read.
pub fn plan(source: &dyn ChainSource, ours: &HeaderChain) -> Result<Plan, SourceError> {
    for _ in 0..ATTEMPTS {
        let target = source.tip()?;
        let Some(tip) = ours.tip() else {
            let connect = source.headers(0, BATCH)?;
            if links(None, &connect) {
                let fork = None;
                return Ok(Plan {
                    fork,
                    connect,
                    target,
                });
            }
            continue;
        };
        if target == tip {
            let (fork, connect) = (Some(tip.height), Vec::new());
            return Ok(Plan {
                fork,
                connect,
                target,
            });
        }
        let fork = fork(source, ours, tip, target)?;
        let connect = source.headers(fork.height + 1, BATCH)?;
        // Otherwise the chain changed in between.
        if links(Some(fork.hash), &connect) {
            let fork = Some(fork.height);
            return Ok(Plan {
                fork,
                connect,
                target,
            });
        }
    }
    Err(changing())
}

/// Finds the highest block that both chains have.
fn fork(
    source: &dyn ChainSource,
    ours: &HeaderChain,
    tip: BlockId,
    target: BlockId,
) -> Result<BlockId, SourceError> {
    // Above the lower of both tips nothing can be the same.
    let mut top = tip.height.min(target.height);
    let mut step = 1;
    loop {
        let bottom = top.saturating_sub(step - 1);
        let theirs = source.headers(bottom, top - bottom + 1)?;
        let same = (bottom..)
            .zip(&theirs)
            .map(|(height, header)| BlockId {
                height,
                hash: header.block_hash(),
            })
            .filter(|theirs| ours.hash(theirs.height) == Some(theirs.hash))
            .last();
        match same {
            Some(fork) => return Ok(fork),
            None if bottom == 0 && theirs.is_empty() => {
                return Err(SourceError::transient("the node has no blocks"));
            }
            None if bottom == 0 => {
                return Err(SourceError::permanent(
                    "the node's chain begins with another genesis block than the index: \
                     check the network and the address of the node",
                ));
            }
            None => {
                top = bottom - 1;
                step = (step * 2).min(BATCH);
            }
        }
    }
}

/// Whether the node's chain has at least as much work as ours, above the block where they part.
///
/// # Errors
///
/// Those of the source; transient when its chain changes while it is read.
pub fn has_as_much_work(
    source: &dyn ChainSource,
    ours: &HeaderChain,
    plan: &Plan,
) -> Result<bool, SourceError> {
    let Some(fork) = plan.fork else {
        return Ok(true);
    };
    let own = (fork + 1..ours.len())
        .filter_map(|height| ours.header(height))
        .fold(0, |sum: u128, header| sum.saturating_add(work(&header)));
    let mut theirs: u128 = 0;
    let mut previous = ours.hash(fork);
    let mut next = fork + 1;
    let mut headers = plan.connect.clone();
    for _ in 0..MAX_BATCHES {
        if !links(previous, &headers) {
            return Err(changing());
        }
        for header in &headers {
            theirs = theirs.saturating_add(work(header));
        }
        if theirs >= own {
            return Ok(true);
        }
        let Some(last) = headers.last() else {
            return Ok(false);
        };
        previous = Some(last.block_hash());
        next = next.saturating_add(headers.len() as u32);
        if next > plan.target.height {
            return Ok(false);
        }
        headers = source.headers(next, BATCH)?;
    }
    Ok(false)
}

/// The work of a block. A whole chain of today has less than 2^100; what is beyond 2^128 counts as that.
fn work(header: &Header) -> u128 {
    let bytes = header.work().to_be_bytes();
    match bytes.as_chunks() {
        ([high, low], []) if *high == [0; 16] => u128::from_be_bytes(*low),
        _ => u128::MAX,
    }
}

fn changing() -> SourceError {
    SourceError::transient("the node's chain changes while it is read")
}

/// Whether headers follow each other, the first one after `previous`.
fn links(previous: Option<BlockHash>, headers: &[Header]) -> bool {
    let mut previous = previous;
    headers.iter().all(|header| {
        let follows = previous.is_none_or(|previous| header.prev_blockhash == previous);
        previous = Some(header.block_hash());
        follows
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::Network;
    use bitcoin::constants::genesis_block;

    use crate::chain::scripted::ScriptedNode;

    /// Our copy of a node's chain.
    fn copy(node: &ScriptedNode) -> HeaderChain {
        let mut chain = HeaderChain::default();
        extend(&mut chain, &node.headers(0, 10_000).unwrap());
        chain
    }

    fn extend(chain: &mut HeaderChain, headers: &[Header]) {
        for header in headers {
            chain.push(*header, chain.len()).unwrap();
        }
    }

    #[test]
    fn from_nothing_and_from_the_tip() {
        let node = ScriptedNode::new();
        node.mine(3);
        let mut ours = copy(&node);
        let headers = node.headers(0, 10).unwrap();
        let from_nothing = plan(&node, &HeaderChain::default()).unwrap();
        assert_eq!(
            (from_nothing.fork, from_nothing.connect),
            (None, headers.clone())
        );
        assert!(plan(&node, &ours).unwrap().is_empty(Some(3)));
        ours.pop();
        ours.pop();
        let ahead = plan(&node, &ours).unwrap();
        assert_eq!(
            (ahead.fork, ahead.connect),
            (Some(1), headers[2..].to_vec())
        );
    }

    #[test]
    fn a_long_chain_comes_in_batches() {
        let node = ScriptedNode::new();
        node.mine(2100);
        let mut ours = HeaderChain::default();
        let first = plan(&node, &ours).unwrap();
        assert_eq!(first.connect.len(), 2000);
        extend(&mut ours, &first.connect);
        let second = plan(&node, &ours).unwrap();
        assert_eq!((second.fork, second.connect.len()), (Some(1999), 101));
    }

    #[test]
    fn the_fork_is_found_at_any_depth() {
        for depth in [1, 2, 3, 10, 50, 100] {
            for length in [0, 1, depth - 1, depth, depth + 1, 2 * depth] {
                let node = ScriptedNode::new();
                node.mine(100);
                let ours = copy(&node);
                node.state().rewind(100 - depth);
                node.mine(usize::try_from(length).unwrap());
                let plan = plan(&node, &ours).unwrap();
                assert_eq!(plan.fork, Some(100 - depth), "{depth} {length}");
                assert_eq!(plan.connect.len(), usize::try_from(length).unwrap());
                assert!(!plan.is_empty(Some(100)));
            }
        }
    }

    #[test]
    fn another_genesis_block_is_another_network() {
        let node = ScriptedNode::new();
        node.mine(5);
        let mut ours = HeaderChain::default();
        extend(&mut ours, &[genesis_block(Network::Bitcoin).header]);
        assert!(!plan(&node, &ours).unwrap_err().is_transient());
    }

    #[test]
    fn a_reorg_while_we_look_is_looked_at_again() {
        let node = ScriptedNode::new();
        node.mine(10);
        let ours = copy(&node);
        // Right after the fork was found at height 10, the node switches to another branch.
        node.mine(1);
        node.after_headers(|state| {
            state.rewind(8);
            for _ in 0..4 {
                state.mine(&[]);
            }
        });
        let plan = plan(&node, &ours).unwrap();
        assert_eq!((plan.fork, plan.connect.len()), (Some(8), 4));
        assert_eq!(plan.target, node.tip().unwrap());
    }

    #[test]
    fn failures_pass_through() {
        let node = ScriptedNode::new();
        node.mine(1);
        let away = SourceError::transient("away");
        node.fail(vec![away.clone()]);
        assert_eq!(plan(&node, &HeaderChain::default()), Err(away));
    }
}
