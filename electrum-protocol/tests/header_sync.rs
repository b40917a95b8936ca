//! Following servers that are honest, behind, or lie.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod chain;

use chain::Headers;
use chain::follower::{Wallet, follows, server};
use electrum_protocol::bitcoin::Network;
use electrum_protocol::header_chain::{FollowError, HeaderFault, Limits};
use electrum_protocol::method::{block, server};
use electrum_protocol::{HeaderChain, HeaderSync, Request, Response, Tip};

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

/// The server had more blocks, and has others instead before it answers: its newer tip holds, and there is nothing wrong.
#[test]
fn headers_that_are_gone_before_they_are_given() {
    let before = server(60, 1);
    let mut now = before.clone();
    now.cut(45);
    now.mine(5, 2);
    let mut wallet = Wallet::new(Limits::default());
    let mut ours = before.clone();
    ours.cut(50);
    wallet.follow(&ours).unwrap();
    wallet.announce(before.tip()).unwrap();
    let request = wallet.sync.poll_request().unwrap();
    wallet.announce(now.tip()).unwrap();
    let change = wallet.sync.receive(now.answer(&request, 2016), None);
    wallet.apply(change.unwrap());
    while wallet.step(&now, 2016).unwrap() {}
    assert!(follows(&wallet, &now));
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
