//! Following servers in any order of events.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod chain;

use chain::Headers;
use chain::follower::{Wallet, follows, server};
use electrum_protocol::bitcoin::Network;
use electrum_protocol::header_chain::Limits;
use electrum_protocol::method::block;
use electrum_protocol::{HeaderChain, Response, Tip};
use proptest::prelude::*;

/// What happens at a server, or between it and the wallet.
#[derive(Clone, Debug)]
enum Happening {
    Mined(usize),
    /// So many blocks are left for as many and so many more.
    Reorganized(usize, usize),
    Announced,
    Answered,
    Reconnected,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (1..30usize).prop_map(Happening::Mined),
        (1..40usize, 1..3usize).prop_map(|(depth, more)| Happening::Reorganized(depth, more)),
        Just(Happening::Announced),
        Just(Happening::Announced),
        Just(Happening::Answered),
        Just(Happening::Answered),
        Just(Happening::Answered),
        Just(Happening::Reconnected),
    ]
}

proptest! {
    /// However the server's chain changes while it is asked, in the end the wallet has it, and was told every change.
    #[test]
    fn the_best_chain_is_followed(
        happenings in proptest::collection::vec(happening(), 1..60),
        max in 1..50u32,
    ) {
        let mut server = Headers::genesis();
        let mut wallet = Wallet::new(Limits::default());
        let mut seed = 0;
        for happening in happenings {
            match happening {
                Happening::Mined(count) => server.mine(count, seed),
                Happening::Reorganized(depth, more) => {
                    seed += 1;
                    let height = server.height() as usize;
                    let depth = depth.min(height);
                    server.cut((height - depth) as u32);
                    server.mine(depth + more, seed);
                }
                Happening::Announced => match wallet.announce(server.tip()) {
                    Ok(()) => {}
                    // Answers of before and after a reorganization do not fit together.
                    Err(error) => prop_assert!(!error.is_final(), "{}", error),
                },
                Happening::Answered => {
                    if let Err(error) = wallet.step(&server, max) {
                        prop_assert!(!error.is_final(), "{}", error);
                    }
                }
                Happening::Reconnected => wallet.sync.disconnect(),
            }
            prop_assert_eq!(wallet.sync.chain().headers().len(), wallet.hashes.len());
        }
        wallet.announce(server.tip()).unwrap();
        while wallet.step(&server, max).unwrap() {}
        prop_assert!(follows(&wallet, &server));
    }

    /// A server that tells each tip once, and never again: what was under way when it came must not lose it. Now and then
    /// the tip falls, for a while.
    #[test]
    fn no_tip_is_lost(
        happenings in proptest::collection::vec((0..4u8, 0..30u32, 0..20u32), 1..60),
        max in 1..20u32,
    ) {
        enum Message {
            Tip(Tip),
            Answer(Response),
        }
        let mut server = Headers::genesis();
        let mut wallet = Wallet::new(Limits::default());
        let mut line = std::collections::VecDeque::new();
        let take = |wallet: &mut Wallet, message| {
            let outcome = match message {
                Message::Tip(tip) => wallet.sync.announce(tip, None),
                Message::Answer(response) => wallet.sync.receive(response, None),
            };
            match outcome {
                Ok(change) => wallet.apply(change),
                Err(error) => assert!(!error.is_final(), "{error}"),
            }
        };
        let (last, mut best) = ((0, 40), 0);
        let happenings = happenings.into_iter().chain([(0, 40, 0)]);
        for (seed, (kind, depth, more)) in happenings.enumerate() {
            match kind {
                // Another branch, sometimes a shorter one; the last one has the most work of all.
                0 => {
                    best = best.max(server.height());
                    server.cut(server.height().saturating_sub(depth));
                    let count = match (kind, depth) == last {
                        true => best + 1 - server.height(),
                        false => depth / 2 + more,
                    };
                    server.mine(count as usize, seed as u32 + 1);
                    line.push_back(Message::Tip(server.tip()));
                }
                1 => {
                    server.mine(more as usize + 1, 0);
                    line.push_back(Message::Tip(server.tip()));
                }
                2 => {
                    if let Some(request) = wallet.sync.poll_request() {
                        line.push_back(Message::Answer(server.answer(&request, max)));
                    }
                }
                _ => {
                    if let Some(message) = line.pop_front() {
                        take(&mut wallet, message);
                    }
                }
            }
        }
        loop {
            if let Some(request) = wallet.sync.poll_request() {
                line.push_back(Message::Answer(server.answer(&request, max)));
            }
            match line.pop_front() {
                Some(message) => take(&mut wallet, message),
                None => break,
            }
        }
        prop_assert!(follows(&wallet, &server));
    }

    /// Whatever a server answers, there is an end and no panic, and the chain stays valid.
    #[test]
    fn nonsense_ends(
        answers in proptest::collection::vec((0..120usize, 0..60usize, any::<bool>()), 0..200),
        announced in 0..200u32,
    ) {
        let ours = server(100, 1);
        let mut theirs = ours.clone();
        theirs.cut(60);
        theirs.mine(60, 2);
        let mut wallet = Wallet::new(Limits { max_reorg: 50, ..Limits::default() });
        wallet.follow(&ours).unwrap();
        let header = theirs.tip().header;
        let _ = wallet.sync.announce(Tip { height: announced, header }, None);
        for (start, count, which) in answers {
            if wallet.sync.poll_request().is_none() {
                break;
            }
            let source = if which { &ours } else { &theirs };
            let headers = source.0.iter().skip(start).take(count).copied().collect();
            let response = block::HeadersResponse { headers, max: 2016, proof: None };
            let outcome = wallet.sync.receive(Response::BlockHeaders(response), None);
            if outcome.is_err() {
                prop_assert!(wallet.sync.is_synced());
                break;
            }
        }
        let chain = wallet.sync.chain();
        prop_assert!(chain.headers() == ours.0 || chain.header(61) == Some(&theirs.0[61]));
        let mut again = HeaderChain::genesis(Network::Regtest);
        prop_assert!(again.extend(&chain.headers()[1..], None).is_ok());
    }
}
