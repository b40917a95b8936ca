//! A wallet beside a server whose chain and mempool change while it is asked.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod chain;
mod model;

use electrum_protocol::bitcoin::{Network, OutPoint, ScriptBuf};
use electrum_protocol::header_chain::{Checkpoint, HeaderChain, PERIOD};
use electrum_protocol::script_sync::{Config, Limits, NoHeaders, Snapshot};
use electrum_protocol::{
    HeaderSync, Method, ProtocolVersion, Request, Response, ScriptHash, ScriptSync, merkle,
};
use proptest::prelude::*;

use model::{GAP, Model, Wallet, script};

const PROOFS: Config = Config {
    proofs: true,
    limits: Limits {
        scripts: 1_000,
        entries: 10_000,
        transaction_bytes: 1_000_000,
    },
};

/// A model with some history, and a wallet that has it all.
fn settled(version: ProtocolVersion) -> (Model, Wallet) {
    let mut model = Model::new(version);
    for index in 0..5 {
        let payment = model.make(&[], &[script(0, index), script(255, 9)]);
        let spent = OutPoint::new(payment.compute_txid(), 0);
        model.mempool.push(payment);
        if index % 2 == 0 {
            let spend = model.make(&[spent], &[script(1, index / 2), script(255, 9)]);
            model.mempool.push(spend);
        }
        model.mine(2);
    }
    let last = model.make(&[], &[script(0, 5)]);
    model.mempool.push(last);
    let mut wallet = Wallet::new(&model, PROOFS);
    wallet.settle(&mut model).unwrap();
    wallet.assert_is_like(&model, true);
    (model, wallet)
}

fn asked(wallet: &Wallet, method: Method) -> usize {
    let requests = wallet.requests.iter();
    requests
        .filter(|request| request.method() == method)
        .count()
}

#[test]
fn a_wallet_finds_its_history_in_every_version() {
    for version in ProtocolVersion::SPOKEN {
        if version < ProtocolVersion::V1_2 {
            continue;
        }
        let (_, wallet) = settled(version);
        assert_eq!(wallet.scripts.next_unused(&0), Some(6));
        assert_eq!(wallet.scripts.next_unused(&1), Some(3));
        let (old, new) = match version < ProtocolVersion::V1_7 {
            true => (Method::ScripthashSubscribe, Method::ScriptpubkeySubscribe),
            false => (Method::ScriptpubkeySubscribe, Method::ScripthashSubscribe),
        };
        // Each script once: nine used, and the gap of each keychain.
        assert_eq!(asked(&wallet, old), 9 + 2 * GAP as usize);
        assert_eq!(asked(&wallet, new), 0);
        assert_eq!(asked(&wallet, Method::TransactionGet), 9);
        assert_eq!(asked(&wallet, Method::TransactionGetMerkle), 8);
    }
    for version in [ProtocolVersion::V0_10, ProtocolVersion::V1_0] {
        let sync = ScriptSync::<u8>::new(version, PROOFS);
        assert_eq!(sync.unwrap_err().version, version);
    }
}

/// What an unchanged status costs is one request a script; what changed costs the history, and what is new in it.
#[test]
fn a_reconnect_costs_what_is_promised() {
    for version in [ProtocolVersion::V1_4, ProtocolVersion::V1_7] {
        let (mut model, mut wallet) = settled(version);
        let scripts = wallet.scripts.scripts().count();
        wallet.requests.clear();
        wallet.reconnect(&mut model);
        wallet.settle(&mut model).unwrap();
        assert_eq!(wallet.requests.len(), scripts);
        wallet.assert_is_like(&model, true);

        // One transaction that touches one script came while nobody listened.
        wallet.requests.clear();
        let payment = model.make(&[], &[script(0, 0)]);
        model.mempool.push(payment);
        wallet.reconnect(&mut model);
        wallet.settle(&mut model).unwrap();
        assert_eq!(wallet.requests.len(), scripts + 2, "{:?}", wallet.requests);
        wallet.assert_is_like(&model, true);

        // And a block with it and the other one: two histories, two proofs, the header came with its announcement.
        wallet.requests.clear();
        model.mine(2);
        wallet.reconnect(&mut model);
        wallet.settle(&mut model).unwrap();
        assert_eq!(wallet.requests.len(), scripts + 4, "{:?}", wallet.requests);
        wallet.assert_is_like(&model, true);
    }
}

/// A second start fetches only what changed, out of a snapshot that went through JSON.
#[test]
fn a_snapshot_costs_what_is_promised() {
    let (mut model, wallet) = settled(ProtocolVersion::V1_4);
    let json = serde_json::to_string(&wallet.scripts.save()).unwrap();
    let snapshot: Snapshot<u8> = serde_json::from_str(&json).unwrap();
    assert_eq!(snapshot, wallet.scripts.save());

    let mut again = Wallet::new(&model, PROOFS);
    again.headers = wallet.headers.clone();
    let headers = again.headers.chain();
    again.scripts.restore(snapshot.clone(), headers).unwrap();
    assert!(!again.scripts.is_up_to_date());
    model.subscribed.clear();
    again.settle(&mut model).unwrap();
    assert_eq!(again.requests.len(), wallet.scripts.scripts().count());
    again.assert_is_like(&model, true);
    assert_eq!(again.scripts.save(), snapshot);

    // With other headers than those of the proofs, the proofs are asked for again.
    model.disconnect(2);
    model.mine(2);
    model.mine(0);
    model.mine(4);
    let mut other = Wallet::new(&model, PROOFS);
    other.headers = wallet.headers.clone();
    let headers = other.headers.chain();
    other.scripts.restore(snapshot, headers).unwrap();
    model.subscribed.clear();
    other.reconnect(&mut model);
    other.settle(&mut model).unwrap();
    other.assert_is_like(&model, true);
}

/// A transaction whose block is replaced by another with the same transactions at the same height: no status changes.
#[test]
fn a_reorganization_without_a_status() {
    let (mut model, mut wallet) = settled(ProtocolVersion::V1_4);
    wallet.requests.clear();
    wallet.progress.clear();
    let height = model.headers.height();
    let payment = model.blocks[height as usize][1].compute_txid();
    let before = wallet.scripts.transaction(&payment).unwrap().proven;
    model.disconnect(1);
    model.mine(2);
    model.mine(0);
    model.publish(true);
    // The tip, and no status.
    assert_eq!(model.outbox.len(), 1);
    wallet.settle(&mut model).unwrap();
    wallet.assert_is_like(&model, true);
    assert_ne!(wallet.scripts.transaction(&payment).unwrap().proven, before);
    assert_eq!(asked(&wallet, Method::TransactionGetMerkle), 2);
    assert_eq!(asked(&wallet, Method::ScripthashGetHistory), 0);
}

#[test]
fn a_wallet_that_trusts_needs_no_headers() {
    let mut model = settled(ProtocolVersion::V1_4).0;
    model.subscribed.clear();
    let config = Config {
        proofs: false,
        ..PROOFS
    };
    let mut sync = ScriptSync::new(model.version, config).unwrap();
    sync.add_keychain("all", 5, |index| Some(script(0, index)))
        .unwrap();
    while let Some(request) = sync.poll_request() {
        let response = model.answer(&request).unwrap();
        sync.answer(&request, response, &NoHeaders).unwrap();
    }
    assert!(sync.is_up_to_date());
    assert_eq!(sync.next_unused(&"all"), Some(6));
    assert!(sync.transactions().all(|view| view.proven.is_none()));
}

/// A list of scripts ends, and a script may be of two keychains.
#[test]
fn fixed_scripts_and_shared_ones() {
    let mut model = settled(ProtocolVersion::V1_4).0;
    model.subscribed.clear();
    let config = Config {
        proofs: false,
        ..PROOFS
    };
    let mut sync = ScriptSync::new(model.version, config).unwrap();
    let fixed = vec![script(0, 4), script(0, 5)];
    sync.add_keychain("fixed", u32::MAX, fixed).unwrap();
    let derive = |index| Some(script(0, index));
    sync.add_keychain("derived", 5, derive).unwrap();
    let mut asked = 0;
    while let Some(request) = sync.poll_request() {
        asked += usize::from(request.method() == Method::ScripthashSubscribe);
        let response = model.answer(&request).unwrap();
        sync.answer(&request, response, &NoHeaders).unwrap();
    }
    assert!(sync.is_up_to_date());
    // Six of the derived ones are used, two of them fixed as well; each is asked for once.
    assert_eq!(asked, 6 + 5);
    assert_eq!(sync.scripts().count(), 2 + 6 + 5);
    assert_eq!(sync.next_unused(&"fixed"), None);
    assert_eq!(sync.next_unused(&"derived"), Some(6));
    assert_eq!(sync.next_unused(&"unknown"), None);
    let both = [sync.script(&"fixed", 1), sync.script(&"derived", 5)].map(Option::unwrap);
    assert_eq!(both[0].history, both[1].history);
    assert_eq!(both[0].history.len(), 1);
    assert!(sync.script(&"fixed", 2).is_none());
    // What it holds is counted once.
    let outputs: Vec<_> = sync.unspent();
    let shared = outputs
        .iter()
        .filter(|unspent| unspent.output.script_pubkey == script(0, 5));
    assert_eq!(shared.count(), 1);

    // Scripts that were handed out are watched, whatever was used.
    sync.watch(&"derived", 30).unwrap();
    assert_eq!(sync.scripts().count(), 2 + 30);
    assert!(!sync.is_up_to_date());
    sync.watch(&"fixed", 30).unwrap();
    assert_eq!(sync.scripts().count(), 2 + 30);
}

/// Transactions that lie below everything that a chain from a checkpoint keeps.
#[test]
fn transactions_below_a_checkpoint() {
    let mut model = settled(ProtocolVersion::V1_4).0;
    while model.headers.height() < PERIOD + 20 {
        model.mine(1);
    }
    let height = PERIOD + 15;
    let leaves: Vec<_> = model.headers.hashes()[..=height as usize]
        .iter()
        .map(|hash| hash.to_raw_hash())
        .collect();
    let root = merkle::root(&leaves).unwrap();
    let checkpoint = Checkpoint { height, root };
    let start = Request::from(checkpoint.start_request());
    let Some(Response::BlockHeaders(start)) = model.answer(&start) else {
        panic!("no headers");
    };
    let network = Network::Regtest;
    let chain = HeaderChain::from_checkpoint(network, checkpoint, start).unwrap();
    assert_eq!(chain.first_height(), PERIOD);

    let mut wallet = Wallet::new(&model, PROOFS);
    wallet.headers = HeaderSync::new(chain.clone(), Default::default());
    wallet.reconnect(&mut model);
    wallet.settle(&mut model).unwrap();
    assert!(wallet.scripts.is_up_to_date());
    let views = wallet.scripts.transactions();
    assert_eq!(views.filter(|view| view.proven.is_some()).count(), 9);
    // The five blocks of the first payments, and that of the last one, each once.
    assert_eq!(asked(&wallet, Method::BlockHeader), 6);
    assert_eq!(asked(&wallet, Method::TransactionGetMerkle), 9);

    // They are saved with the rest.
    let mut again = Wallet::new(&model, PROOFS);
    again.headers = wallet.headers.clone();
    let headers = again.headers.chain();
    again
        .scripts
        .restore(wallet.scripts.save(), headers)
        .unwrap();
    model.subscribed.clear();
    again.settle(&mut model).unwrap();
    assert!(again.scripts.is_up_to_date());
    assert_eq!(again.requests.len(), again.scripts.scripts().count());

    // Without the tree nothing below can be proven, and nothing is asked that could not be.
    let headers = chain.headers()[..=(height - PERIOD) as usize].to_vec();
    let chain = HeaderChain::from_headers(network, height, headers).unwrap();
    let mut without = Wallet::new(&model, PROOFS);
    without.headers = HeaderSync::new(chain, Default::default());
    without.reconnect(&mut model);
    without.settle(&mut model).unwrap();
    assert_eq!(without.scripts.obstacles().count(), 9);
    assert_eq!(asked(&without, Method::TransactionGetMerkle), 0);
}

/// What happens at the server, on the way, or in the wallet.
#[derive(Clone, Debug)]
enum Happening {
    /// Something comes to a script of a keychain, so far from the end of those watched.
    Received(u8, u32),
    /// The wallet spends its output of this number to a script of its own and a stranger.
    Spent(usize, u8, u32),
    Mined(usize),
    /// So many blocks are replaced by one more, with so many transactions each.
    Reorganized(usize, usize),
    Evicted(usize),
    Sent(usize),
    Worked(usize),
    /// Answered, but not sent before what happens next.
    Delayed(usize),
    Released,
    Arrived(usize),
    Reconnected,
    Settled,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (0..2u8, 0..5u32).prop_map(|(keychain, index)| Happening::Received(keychain, index)),
        3 => (0..20usize, 0..2u8, 0..5u32)
            .prop_map(|(output, keychain, index)| Happening::Spent(output, keychain, index)),
        3 => (0..5usize).prop_map(Happening::Mined),
        1 => (1..4usize, 0..4usize).prop_map(|(depth, count)| Happening::Reorganized(depth, count)),
        1 => (0..6usize).prop_map(Happening::Evicted),
        4 => (1..20usize).prop_map(Happening::Sent),
        8 => (0..20usize).prop_map(Happening::Worked),
        3 => (0..20usize).prop_map(Happening::Delayed),
        2 => Just(Happening::Released),
        6 => (1..10usize).prop_map(Happening::Arrived),
        1 => Just(Happening::Reconnected),
        1 => Just(Happening::Settled),
    ]
}

fn watched(wallet: &Wallet, keychain: u8, from_the_end: u32) -> ScriptBuf {
    let scripts = wallet.scripts.scripts();
    let count = scripts.filter(|view| *view.keychain == keychain).count() as u32;
    script(keychain, (count - 1).saturating_sub(from_the_end))
}

fn happen(model: &mut Model, wallet: &mut Wallet, happening: Happening) {
    match happening {
        Happening::Received(keychain, index) => {
            let payment = model.make(&[], &[watched(wallet, keychain, index)]);
            model.mempool.push(payment);
            model.publish(false);
        }
        Happening::Spent(output, keychain, index) => {
            let own = |script_hash: &ScriptHash| wallet.scripts.history(script_hash).is_some();
            let unspent: Vec<OutPoint> = model.unspent(own).into_keys().collect();
            if unspent.is_empty() {
                return;
            }
            let outputs = [watched(wallet, keychain, index), script(254, index)];
            let spend = model.make(&[unspent[output % unspent.len()]], &outputs);
            model.mempool.push(spend);
            model.publish(false);
        }
        Happening::Mined(count) => {
            model.mine(count);
            model.publish(true);
        }
        Happening::Reorganized(depth, count) => {
            let depth = depth.min(model.blocks.len() - 1);
            model.disconnect(depth);
            for _ in 0..=depth {
                model.mine(count);
            }
            model.publish(true);
        }
        Happening::Evicted(index) => {
            model.evict(index);
            model.publish(false);
        }
        Happening::Sent(count) => wallet.send(model, count),
        Happening::Worked(index) => model.work(index),
        Happening::Delayed(index) => model.delay(index),
        Happening::Released => model.release(),
        Happening::Arrived(count) => wallet.receive(model, count).unwrap(),
        Happening::Reconnected => wallet.reconnect(model),
        Happening::Settled => {
            wallet.settle(model).unwrap();
            wallet.assert_is_like(model, true);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Whatever happens in whatever order, in the end the wallet has what the server has, all of it proven.
    #[test]
    fn the_wallet_is_like_the_server(
        happenings in proptest::collection::vec(happening(), 1..80),
        newest in any::<bool>(),
    ) {
        let version = if newest { ProtocolVersion::V1_7 } else { ProtocolVersion::V1_4 };
        let mut model = Model::new(version);
        let mut wallet = Wallet::new(&model, PROOFS);
        for happening in happenings {
            happen(&mut model, &mut wallet, happening);
        }
        wallet.settle(&mut model).unwrap();
        wallet.assert_is_like(&model, true);
        wallet.requests.clear();
        wallet.reconnect(&mut model);
        wallet.settle(&mut model).unwrap();
        wallet.assert_is_like(&model, true);
        prop_assert_eq!(wallet.requests.len(), wallet.scripts.scripts().count());
    }
}
