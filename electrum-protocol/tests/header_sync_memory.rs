//! Servers that want the headers of a wallet to grow: what is held stays below what the limits say, counted at the
//! allocator, and what an answer costs is in proportion to its length.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod chain;
#[path = "hostile/held.rs"]
mod held;

use electrum_protocol::bitcoin::Network;
use electrum_protocol::header_chain::Limits;
use electrum_protocol::method::block;
use electrum_protocol::{HeaderChain, HeaderSync, Request, Response, Tip};
use proptest::prelude::*;

use chain::follower::{Wallet, server};
use held::Held;

fn start(limits: Limits) -> HeaderSync {
    HeaderSync::new(HeaderChain::genesis(Network::Regtest), limits)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_is_held_is_bounded(
        steps in proptest::collection::vec((0..8u8, 0..4usize, any::<u32>(), any::<u32>()), 2_000),
    ) {
        let limits = Limits { max_reorg: 60, max_height: 240 };
        // Branches that leave each other here and there, of which some are too high.
        let mut chains = vec![server(200, 1)];
        for (seed, fork) in [(2, 150), (3, 190), (4, 100)] {
            let mut chain = chains[0].clone();
            chain.cut(fork);
            chain.mine(100, seed);
            chains.push(chain);
        }
        let mut held = Held::default();
        let mut sync = held.run(|| start(limits));
        for (kind, which, first, second) in steps {
            let headers = &chains[which].0;
            match kind {
                0..3 => {
                    let header = headers[first as usize % headers.len()];
                    let height = match kind {
                        0 => second % 300,
                        _ => first % headers.len() as u32,
                    };
                    held.run(|| drop(sync.announce(Tip { height, header }, None)));
                }
                3 => held.run(|| sync.disconnect()),
                _ => {
                    let Some(Request::BlockHeaders(asked)) = held.run(|| sync.poll_request()) else {
                        continue;
                    };
                    let start = match kind {
                        4 => first as usize % headers.len(),
                        _ => asked.start_height as usize,
                    };
                    let count = match second % 3 {
                        0 => 1,
                        _ => asked.count as usize + (second % 50 == 1) as usize,
                    };
                    held.run(|| {
                        let headers = headers.iter().skip(start).take(count).copied().collect();
                        let response = block::HeadersResponse { headers, max: second, proof: None };
                        drop(sync.receive(Response::BlockHeaders(response), None));
                    });
                }
            }
            let (bytes, most) = (held.bytes(), limits.max_memory(0));
            prop_assert!(bytes <= most, "{bytes} bytes of at most {most}");
            prop_assert!(sync.chain().height() <= limits.max_height);
        }
        held.run(|| drop(sync));
        prop_assert_eq!(held.bytes(), 0);
    }
}

/// Returns how many bytes are allocated on the way to a branch from genesis on, of which each answer has one header.
fn allocated_for_branch(length: usize) -> u64 {
    let limits = Limits {
        max_reorg: 10_000,
        ..Limits::default()
    };
    let mut wallet = Wallet::new(limits);
    wallet.follow(&server(length, 1)).unwrap();
    let theirs = server(length + 1, 2);
    wallet.announce(theirs.tip()).unwrap();
    let followed = allocation_counter::measure(|| while wallet.step(&theirs, 1).unwrap() {});
    assert_eq!(wallet.sync.chain().headers(), theirs.0);
    followed.bytes_total
}

#[test]
fn a_header_costs_the_same_in_a_long_branch() {
    let (short, long) = (allocated_for_branch(100), allocated_for_branch(1_000));
    assert!(long <= 20 * short, "{long} instead of {short} for a tenth");
}
