//! An Electrum server in front of a Bitcoin Core, with the index in memory: for a test of a wallet, for instance.
//!
//! ```sh
//! bitcoind -regtest -daemon
//! cargo run -p electrum-examples --example embed_server -- ~/.bitcoin 127.0.0.1:50001
//! ```

#![allow(clippy::print_stdout, reason = "it is what the example does")]

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bitcoin::Network;
use bitcoin::constants::genesis_block;
use electrum_server_core::chain::bitcoind::{Auth, Bitcoind, Config, cookie_path};
use electrum_server_core::index::Index;
use electrum_server_core::net;
use electrum_server_core::session::{About, Limits, Services};
use electrum_server_core::store::MemoryStore;
use electrum_server_core::sync::{Sync, SyncEvent, SyncOptions};
use tokio::net::TcpListener;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(daemon_dir), Some(address)) = (arguments.next(), arguments.next()) else {
        bail!("usage: embed_server DAEMON_DIR HOST:PORT");
    };
    let network = Network::Regtest;
    let node = Bitcoind::connect(&Config {
        network,
        address: "127.0.0.1:18443".to_owned(),
        auth: Auth::Cookie(cookie_path(&PathBuf::from(daemon_dir), network)),
        timeout: Config::DEFAULT_TIMEOUT,
    })?;
    let store = Arc::new(MemoryStore::default());
    let index = Index::open(store, genesis_block(network).block_hash())?;

    // One thread writes: it follows the node, and tells of the first view and of every change.
    let sync = Sync::new(index, Arc::new(node.clone()), SyncOptions::default());
    let writer = sync.handle();
    let updates = net::updates();
    let (ready, first_view) = mpsc::channel();
    let told = updates.clone();
    let thread = std::thread::spawn(move || {
        sync.run(&mut |event| match event {
            SyncEvent::Ready(published) => drop(ready.send(published.clone())),
            // Without a client nobody listens.
            SyncEvent::Update(update) => drop(told.send(Arc::new(update))),
            SyncEvent::Away(error) => println!("waiting for the node: {error}"),
            _ => {}
        })
    });
    // When the writer ends before there is a view, it says why.
    let Ok(published) = first_view.recv() else {
        let ended = thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        return ended.context("indexing");
    };
    println!("indexed up to {}", published.view().height());

    // Sessions answer from what is published, and ask the writer to look at the node when a client cannot wait.
    let refresh = Box::new(move |scope| {
        writer.refresh_scope(scope, Duration::from_secs(10));
    });
    let node = Arc::new(node);
    let services = Services::new(
        published,
        node,
        refresh,
        About::default(),
        Limits::default(),
    );
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(&address).await?;
        println!("serving on {address}; ctrl-c ends");
        let stop = async { drop(tokio::signal::ctrl_c().await) };
        net::serve(vec![listener.into()], Arc::new(services), updates, stop).await?;
        Ok(())
    })
}
