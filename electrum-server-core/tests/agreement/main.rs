//! The regtest node in the process and Bitcoin Core agree: on thousands of random transactions and blocks, valid and
//! with each rule broken in turn, in verdict and in words.
//!
//! Takes its seed from `AGREEMENT_SEED` and its length from `AGREEMENT_ROUNDS`. Where the two differ on purpose is
//! listed in `docs/regtest.md`.

#![cfg(feature = "regtest")]
#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub
)]

mod bad_blocks;
mod blocks;
#[path = "../common/mod.rs"]
mod common;
mod limits;
mod locks;
mod packages;
mod questions;
mod transactions;
mod world;

use locks::{Lock, USUAL};
use transactions::{broken, draft, output, random, replacement};
use world::{BEGIN, World};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A world with a hundred mature coins and some of every kind.
fn begin(seed: u64) -> World {
    let mut world = World::new(seed);
    world.set_time(BEGIN);
    world.mined_by_ours(10, Lock::P2wshOpen);
    world.mined_by_ours(110, Lock::P2wpkh);
    for height in 1..=10 {
        let block = world
            .ours
            .get_block(&world.ours.block_hash(height).unwrap());
        let coinbase = &block.unwrap().txdata[0];
        let coin = world
            .coin(&bitcoin::OutPoint::new(coinbase.compute_txid(), 0))
            .unwrap();
        let each = (coin.output.value.to_sat() - 10_000) / 20;
        let outputs = (0..20).map(|at| output(USUAL[at % 10], each)).collect();
        let tx = draft(&[coin], outputs).signed();
        assert!(world.send("splitting", &tx));
    }
    world.mined_by_core(1);
    world
}

#[test]
fn each_rule_of_transactions_is_broken_alike() {
    let mut world = begin(number("AGREEMENT_SEED", 1));
    for lock in USUAL {
        for case in 0.. {
            // What is accepted is mined, and the next one spends another coin.
            let coins = world.coins();
            let coin = coins.iter().find(|coin| {
                let value = coin.output.value.to_sat();
                coin.lock == lock && (10_000_000..1_000_000_000).contains(&value)
            });
            let cases = broken(&world, coin.unwrap());
            let Some((what, tx)) = cases.get(case) else {
                break;
            };
            if world.send(&format!("{what} ({lock:?})"), tx) {
                world.mined_by_ours(1, Lock::P2wpkh);
            }
        }
    }
    report(&world);
}

#[test]
fn random_histories_end_alike() {
    let mut world = begin(number("AGREEMENT_SEED", 1) + 1);
    for round in 0..number("AGREEMENT_ROUNDS", 150) {
        for _ in 0..12 {
            let tx = match world.random.one_in(5) {
                true => replacement(&mut world),
                false => random(&mut world).map(|draft| draft.signed()),
            };
            if let Some(tx) = tx {
                world.send(&format!("round {round}"), &tx);
            }
        }
        world.compare(&format!("round {round}"));
        match world.random.below(4) {
            0 => world.mined_by_core(1),
            1 => world.mined_by_ours(1, Lock::P2wshOpen),
            2 => blocks::random(&mut world),
            _ => blocks::fork(&mut world),
        }
        let time = world.ours.time() + 600;
        world.set_time(time);
    }
    report(&world);
    blocks::replay(&world);
}

#[test]
fn each_rule_of_blocks_is_broken_alike() {
    let mut world = begin(number("AGREEMENT_SEED", 1) + 2);
    bad_blocks::all(&mut world);
    report(&world);
    blocks::replay(&world);
}

#[test]
fn limits_are_the_same() {
    let mut world = begin(number("AGREEMENT_SEED", 1) + 4);
    limits::all(&mut world);
    report(&world);
}

#[test]
fn questions_are_answered_alike() {
    questions::all(&mut begin(number("AGREEMENT_SEED", 1) + 5));
}

#[test]
fn packages_are_judged_alike() {
    let mut world = begin(number("AGREEMENT_SEED", 1) + 3);
    packages::all(&mut world);
    report(&world);
}

fn report(world: &World) {
    for (verdict, count) in &world.verdicts {
        println!("{count:6} {verdict}");
    }
}
