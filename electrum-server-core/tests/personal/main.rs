//! A server of some wallets answers for them what a server of the whole chain answers, whatever happens.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod apart;
#[path = "../common/mod.rs"]
mod common;
mod failing;
mod log;
mod requests;
mod wallets;
mod world;

use std::sync::Arc;

use bitcoin::Network;
use electrum_server_core::chain::ChainSource;
use electrum_server_core::chain::bitcoind::network_dir;
use electrum_server_core::chain::blockfiles::{BlockFiles, FilesFirst};
use electrum_server_core::store::MemoryStore;
use world::{OURS, Running, World, bitcoind, compare, wallet};

fn schedule(arguments: &[&str], from_files: bool, seed: u8) {
    let mut world = World::begin(arguments, seed);
    let source = |world: &World| -> Arc<dyn ChainSource> {
        let node = Arc::new(bitcoind(&world.node));
        match from_files {
            true => {
                let blocks = network_dir(world.node.daemon_dir(), Network::Regtest).join("blocks");
                let files = Arc::new(BlockFiles::open(&blocks, Network::Regtest).unwrap());
                files.refresh(&|| false).unwrap();
                Arc::new(FilesFirst::new(files, node))
            }
            false => node,
        }
    };
    let full = Running::full(&world.node);
    let store = Arc::new(MemoryStore::new());
    let (mut personal, _) = Running::personal(source(&world), &store, vec![wallet(OURS, 8)]);
    let node = bitcoind(&world.node);
    for number in 0..60 {
        let step = world.step();
        if number % 11 == 10 {
            personal.stop();
            let more = world.step();
            personal = Running::personal(source(&world), &store, vec![wallet(OURS, 8)]).0;
            compare(
                &format!("{number}: {more}, while it was off"),
                &full.view(),
                &personal.view(),
                &world.scripts(),
                &node,
            );
            continue;
        }
        compare(
            &format!("{number}: {step}"),
            &full.view(),
            &personal.view(),
            &world.scripts(),
            &node,
        );
    }
    personal.stop();
    // Who begins now finds the same.
    let (fresh, _) = Running::personal(
        source(&world),
        &Arc::new(MemoryStore::new()),
        vec![wallet(OURS, 8)],
    );
    compare(
        "afresh",
        &full.view(),
        &fresh.view(),
        &world.scripts(),
        &node,
    );
    fresh.stop();
    full.stop();
}

#[test]
fn any_schedule_leads_to_the_answers_of_the_whole_chain() {
    schedule(&["-rest=1"], false, 1);
}

#[test]
fn with_filters_as_well() {
    schedule(&["-blockfilterindex=1"], false, 2);
}

#[test]
fn from_block_files_as_well() {
    schedule(&["-rest=1"], true, 3);
}
