//! Following servers that are honest, behind, or lie.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod chain;

use chain::Headers;
use electrum_protocol::bitcoin::{BlockHash, Network};
use electrum_protocol::header_chain::{Change, FollowError, HeaderFault, Limits};
use electrum_protocol::method::{block, server};
use electrum_protocol::{HeaderChain, HeaderSync, Request, Response, Tip};
use proptest::prelude::*;

/// A wallet that keeps the hashes of its chain by what it is told of changes.
struct Wallet {
    sync: HeaderSync,
    hashes: Vec<BlockHash>,
    requests: usize,
}

impl Wallet {
    fn new(limits: Limits) -> Self {
        let chain = HeaderChain::genesis(Network::Regtest);
        Self {
            hashes: vec![chain.tip_hash()],
            sync: HeaderSync::new(chain, limits),
            requests: 0,
        }
    }

    fn apply(&mut self, change: Option<Change>) {
        let Some(change) = change else { return };
        let gone = self.hashes.split_off(change.fork as usize + 1);
        assert_eq!(gone, change.disconnected);
        assert_eq!(change.is_reorganization(), !gone.is_empty());
        let chain = self.sync.chain();
        assert_eq!(chain.height(), change.fork + change.connected);
        let heights = change.fork + 1..=chain.height();
        let came = heights.map(|height| chain.block_hash(height).unwrap());
        self.hashes.extend(came);
        assert_eq!(self.hashes.last(), Some(&chain.tip_hash()));
    }

    fn announce(&mut self, tip: Tip) -> Result<(), FollowError> {
        let change = self.sync.announce(tip, None)?;
        self.apply(change);
        Ok(())
    }

    /// One request and its answer; whether there was one.
    fn step(&mut self, server: &Headers, max: u32) -> Result<bool, FollowError> {
        let Some(request) = self.sync.poll_request() else {
            return Ok(false);
        };
        assert_eq!(self.sync.poll_request(), None);
        self.requests += 1;
        let change = self.sync.receive(server.answer(&request, max), None)?;
        self.apply(change);
        Ok(true)
    }

    fn follow(&mut self, server: &Headers) -> Result<(), FollowError> {
        self.announce(server.tip())?;
        while self.step(server, 2016)? {}
        Ok(())
    }
}

fn server(count: usize, seed: u32) -> Headers {
    let mut server = Headers::genesis();
    server.mine(count, seed);
    server
}

/// Whether the wallet has the chain of the server.
fn follows(wallet: &Wallet, server: &Headers) -> bool {
    wallet.sync.is_synced()
        && wallet.sync.chain().headers() == server.0
        && wallet.hashes == server.hashes()
}

#[test]
fn from_genesis_in_portions() {
    let mut server = server(5_000, 1);
    let mut wallet = Wallet::new(Limits::default());
    wallet.follow(&server).unwrap();
    assert!(follows(&wallet, &server));
    assert_eq!(wallet.requests, 3);
    // The next block comes with its notification.
    server.mine(1, 1);
    wallet.announce(server.tip()).unwrap();
    assert!(follows(&wallet, &server));
    assert_eq!(wallet.requests, 3);
    // After a gap one request brings the rest.
    server.mine(5, 1);
    wallet.follow(&server).unwrap();
    assert!(follows(&wallet, &server));
    assert_eq!(wallet.requests, 4);
}

#[test]
fn reorganizations_of_every_depth() {
    let mut all = server(700, 1);
    for depth in [1, 2, 7, 8, 9, 63, 64, 65, 600] {
        let mut wallet = Wallet::new(Limits::default());
        wallet.follow(&all).unwrap();
        let before = wallet.requests;
        all.cut(700 - depth);
        all.mine(depth as usize + 1, depth + 10);
        wallet.follow(&all).unwrap();
        assert!(follows(&wallet, &all), "depth {depth}");
        assert!(
            wallet.requests - before <= 5,
            "depth {depth}: {}",
            wallet.requests
        );
        all.cut(700 - depth);
        all.mine(depth as usize, 1);
    }
}

#[test]
fn a_chain_of_equal_work_is_followed_and_one_of_less_is_not() {
    let ours = server(50, 1);
    let mut wallet = Wallet::new(Limits::default());
    wallet.follow(&ours).unwrap();
    let mut other = ours.clone();
    other.cut(45);
    other.mine(4, 2);
    let error = wallet.follow(&other).unwrap_err();
    assert_eq!(
        error,
        FollowError::LessWork {
            fork: 45,
            height: 49,
            ours: 50
        }
    );
    assert!(!error.is_final());
    assert!(follows(&wallet, &ours));
    other.mine(1, 2);
    wallet.follow(&other).unwrap();
    assert!(follows(&wallet, &other));
    // A server that is behind on the same chain is no trouble.
    let mut behind = other.clone();
    behind.cut(20);
    wallet.follow(&behind).unwrap();
    assert!(follows(&wallet, &other));
}

#[test]
fn a_reorganization_has_a_bound() {
    let limits = Limits {
        max_reorg: 20,
        ..Limits::default()
    };
    let ours = server(50, 1);
    for (fork, allowed) in [(30, true), (29, false)] {
        let mut wallet = Wallet::new(limits);
        wallet.follow(&ours).unwrap();
        let mut other = ours.clone();
        other.cut(fork);
        other.mine(100, 2);
        match allowed {
            true => {
                wallet.follow(&other).unwrap();
                assert!(follows(&wallet, &other));
            }
            false => {
                let error = wallet.follow(&other).unwrap_err();
                assert_eq!(
                    error,
                    FollowError::TooDeep {
                        height: 129,
                        lowest: 30
                    }
                );
                assert!(error.is_final());
                assert!(follows(&wallet, &ours));
            }
        }
    }
    let mut wallet = Wallet::new(Limits {
        max_height: 49,
        ..limits
    });
    let error = wallet.announce(ours.tip()).unwrap_err();
    assert_eq!(
        error,
        FollowError::TooHigh {
            height: 50,
            limit: 49
        }
    );
}

#[test]
fn lies_are_told_apart() {
    let ours = server(50, 1);
    let start = || {
        let mut wallet = Wallet::new(Limits::default());
        wallet.follow(&ours).unwrap();
        wallet
    };
    let mut longer = ours.clone();
    longer.mine(10, 1);
    let answer = |headers: &[_]| {
        Response::BlockHeaders(block::HeadersResponse {
            headers: headers.to_vec(),
            max: 2016,
            proof: None,
        })
    };
    let asked = |wallet: &mut Wallet| {
        wallet.announce(longer.tip()).unwrap();
        wallet.sync.poll_request().unwrap()
    };

    // Nothing where something was announced: perhaps a reorganization.
    let mut wallet = start();
    asked(&mut wallet);
    let error = wallet.sync.receive(answer(&[]), None).unwrap_err();
    assert_eq!(
        error,
        FollowError::NoHeaders {
            announced: 60,
            height: 51
        }
    );
    assert!(!error.is_final());
    assert_eq!(wallet.sync.poll_request(), None);

    // More than was asked for.
    let mut wallet = start();
    asked(&mut wallet);
    let more = [&longer.0[51..], &longer.0[51..52]].concat();
    let error = wallet.sync.receive(answer(&more), None).unwrap_err();
    assert_eq!(
        error,
        FollowError::TooMany {
            asked: 10,
            found: 11
        }
    );

    // An answer of another method, and one that nobody asked for.
    let mut wallet = start();
    asked(&mut wallet);
    let pong = Response::ServerPing(server::Pong::default());
    assert!(wallet.sync.receive(pong, None).unwrap_err().is_final());
    let error = start().sync.receive(answer(&longer.0[51..]), None);
    assert!(matches!(error, Err(FollowError::Unasked { .. })));

    // A header without work in the middle: which one, and why. What is left is the chain before.
    let mut wallet = start();
    asked(&mut wallet);
    let mut forged = longer.0[51..].to_vec();
    while forged[4].target().is_met_by(forged[4].block_hash()) {
        forged[4].nonce += 1;
    }
    match wallet.sync.receive(answer(&forged), None).unwrap_err() {
        FollowError::Invalid(error) => {
            assert_eq!(
                (error.height, error.fault),
                (55, HeaderFault::NoProofOfWork)
            );
            assert_eq!(error.hash, forged[4].block_hash());
        }
        other => panic!("{other:?}"),
    }
    assert!(follows(&wallet, &ours));

    // Never the same twice: the answers end before the patience of a loop does.
    let mut wallet = start();
    wallet.announce(longer.tip()).unwrap();
    let outcome = (0..1_000).find_map(|index| {
        wallet.sync.poll_request()?;
        let headers = if index % 2 == 0 {
            &longer.0[5..6]
        } else {
            &longer.0[43..44]
        };
        wallet.sync.receive(answer(headers), None).err()
    });
    assert!(outcome.unwrap().is_final());
    assert_eq!(wallet.sync.chain().headers(), ours.0);
}

#[test]
fn a_clock_refuses_the_future_for_a_while() {
    let server = server(10, 1);
    let time = server.tip().header.time;
    let mut sync = HeaderSync::new(HeaderChain::genesis(Network::Regtest), Limits::default());
    sync.announce(server.tip(), None).unwrap();
    let request = sync.poll_request().unwrap();
    let error = sync.receive(server.answer(&request, 2016), Some(time - 7_201));
    let error = error.unwrap_err();
    assert!(matches!(&error, FollowError::Invalid(error) if error.height == 10));
    assert!(!error.is_final());
    sync.announce(server.tip(), None).unwrap();
    let request = sync.poll_request().unwrap();
    let now = Some(time - 7_200);
    assert!(
        sync.receive(server.answer(&request, 2016), now)
            .unwrap()
            .is_some()
    );
    assert_eq!(sync.chain().tip_hash(), server.tip().header.block_hash());
}

#[test]
fn a_checkpoint_is_not_reorganized() {
    let ours = server(100, 1);
    let start = || {
        let headers = ours.0[..=90].to_vec();
        let chain = HeaderChain::from_headers(Network::Regtest, 90, headers).unwrap();
        HeaderSync::new(chain, Limits::default())
    };
    let follow = |sync: &mut HeaderSync, server: &Headers| -> Result<(), FollowError> {
        sync.announce(server.tip(), None)?;
        while let Some(request) = sync.poll_request() {
            sync.receive(server.answer(&request, 2016), None)?;
        }
        Ok(())
    };
    for (fork, allowed) in [(90, true), (89, false)] {
        let mut other = ours.clone();
        other.cut(fork);
        other.mine(50, 2);
        for first_ours in [true, false] {
            let mut sync = start();
            if first_ours {
                follow(&mut sync, &ours).unwrap();
            }
            match follow(&mut sync, &other) {
                Ok(()) => assert!(allowed),
                Err(error) => {
                    assert!(!allowed);
                    assert!(
                        matches!(error, FollowError::TooDeep { lowest: 90, .. }),
                        "{error}"
                    );
                }
            }
        }
    }
    let mut sync = start();
    let tip = Tip {
        height: 90,
        header: ours.0[89],
    };
    assert!(matches!(
        sync.announce(tip, None),
        Err(FollowError::TooDeep { .. })
    ));
}

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

/// Every version that has the method can be followed: the request is the same.
#[test]
fn the_request_on_the_wire() {
    let mut sync = HeaderSync::new(HeaderChain::genesis(Network::Regtest), Limits::default());
    sync.announce(server(3, 1).tip(), None).unwrap();
    let request = sync.poll_request().unwrap();
    for version in electrum_protocol::ProtocolVersion::SPOKEN {
        if !request.method().exists_in(version) {
            continue;
        }
        let mut out = Vec::new();
        request.encode(version, &mut out);
        assert_eq!(out, b"[1,3]");
    }
    assert!(matches!(request, Request::BlockHeaders(_)));
}
