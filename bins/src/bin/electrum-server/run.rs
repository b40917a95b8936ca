//! Connects the parts: node, index, writer, sessions.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bitcoin::constants::genesis_block;
use electrum_server_core::chain::bitcoind::Bitcoind;
use electrum_server_core::chain::blockfiles::FilesFirst;
use electrum_server_core::chain::{ChainSource, Node};
use electrum_server_core::index::Index;
use electrum_server_core::net;
use electrum_server_core::notify::Published;
use electrum_server_core::personal::WalletSet;
use electrum_server_core::session::{About, Limits, Services};
use electrum_server_core::store::{FjallOptions, FjallStore, LayeredStore};
use electrum_server_core::sync::SyncHandle;
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::blocks;
use crate::config::Config;
use crate::logging::Console;
use crate::node;
use crate::personal::{BroadcastBy, Personal};
use crate::signals::{Signals, Wish};
use crate::writer::Writer;

/// How long a client that has broadcast a transaction waits for it to be in the index.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the writer may take to finish what it is at: the node may be silent in the middle of an answer. What was
/// committed is in the database in any case.
const WRITER_PATIENCE: Duration = Duration::from_secs(10);

/// Runs until a signal says stop, or, with `--sync-once`, until everything is indexed.
///
/// # Errors
///
/// Whatever keeps the program from doing what it is for.
pub(crate) fn run(config: &Config, console: &Console) -> anyhow::Result<()> {
    let clients = config
        .max_connections
        .unwrap_or_else(|| Limits::default().max_connections);
    raise_file_limit(clients);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let result = runtime.block_on(run_parts(config, console));
    // A thread that waits for the node keeps nobody waiting.
    runtime.shutdown_background();
    result
}

/// Files that are open besides those of the clients: the index's, the node's, ours.
const OTHER_FILES: u64 = 1500;

/// Lets this process have as many open files as it may.
fn raise_file_limit(clients: usize) {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit >= OTHER_FILES + clients as u64 => debug!("may open {limit} files"),
        Ok(limit) => warn!(
            "the system allows {limit} open files (ulimit -n), which may not suffice for {clients} clients"
        ),
        Err(error) => warn!("cannot raise the limit of open files: {error}"),
    }
}

async fn run_parts(config: &Config, console: &Console) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("cannot listen to signals")?;
    // A port that somebody else has is found out now, not after hours of indexing.
    check_free(&config.listen).await?;
    let index = open_index(config)?;
    let Some(node) = node::connect(config, &mut signals).await? else {
        return Ok(());
    };
    let block_files = blocks::open(config)?;
    let source: Arc<dyn ChainSource> = match &block_files {
        Some(files) => Arc::new(FilesFirst::new(files.clone(), Arc::new(node.clone()))),
        None => Arc::new(node.clone()),
    };
    let updates = net::updates();
    let mut writer = Writer::start(index, source, config, console, updates.clone())?;

    // The end of this future is the wish of everybody who serves to stop serving.
    let (stop_serving, stopped) = watch::channel(());
    let mut serving = JoinSet::new();
    let mut is_ready = false;
    let ended = loop {
        tokio::select! {
            ended = &mut writer.ended => break ended.context("the writer has panicked")?,
            published = &mut writer.ready, if !is_ready => {
                is_ready = true;
                let Ok(published) = published else { continue };
                if config.listen.is_empty() || config.sync_once {
                    continue;
                }
                // Where some wallets are shown and no others, nothing else is shared but the view.
                for (addresses, allowed) in places(config) {
                    let mut services = services(config, published.clone(), node.clone(), writer.handle.clone());
                    if let Some(files) = &block_files {
                        services = services.with_block_files(files.clone());
                    }
                    if let (Some(handle), Some(personal)) = (&writer.personal, &config.personal) {
                        services = services.with_wallets(handle.clone(), allowed, personal.unwatched);
                    }
                    let listeners = bind(&addresses).await?;
                    for listener in &listeners {
                        info!("serving on {}", listener.local_addr()?);
                    }
                    let mut stopped = stopped.clone();
                    let shutdown = async move { drop(stopped.changed().await) };
                    serving.spawn(net::serve(listeners, Arc::new(services), updates.clone(), shutdown));
                }
            },
            wish = signals.next() => match wish {
                Wish::Look => writer.handle.look(),
                Wish::Reload => reload_wallets(config, &writer),
                Wish::Stop(signal) => {
                    info!("{signal}: stopping");
                    break Ok(());
                }
            },
        }
    };

    // Clients get what is ready for them while the writer finishes.
    drop(stop_serving);
    writer.handle.stop();
    while let Some(ended) = serving.join_next().await {
        ended.context("serving has panicked")?;
    }
    ended?;
    finish(writer).await
}

/// Reads the configuration again, and watches the wallets that it has now. Everything else stays as it is.
fn reload_wallets(started: &Config, writer: &Writer) {
    let (Some(handle), Some(shown)) = (&writer.personal, &started.personal) else {
        info!("SIGHUP: there are no wallets to read again");
        return;
    };
    let wallets = crate::read_config().and_then(|config| {
        let personal = config.personal.context("there are no wallets any more")?;
        if !personal.is_shown_as(shown) {
            bail!(
                "where a wallet is shown (`listen`) is read at the start only: restart the server"
            );
        }
        personal.wallets(config.network)
    });
    match wallets {
        Ok(wallets) => {
            info!("SIGHUP: watching {} wallets", wallets.len());
            handle.set_wallets(wallets);
        }
        Err(error) => warn!("SIGHUP: the wallets stay as they are: {error:#}"),
    }
}

/// Where to listen, and which wallets are shown there.
fn places(config: &Config) -> Vec<(Vec<String>, WalletSet)> {
    let mut places = Vec::new();
    let personal = config.personal.as_ref();
    let everywhere = personal.map_or(WalletSet::All, Personal::shown_everywhere);
    places.push((config.listen.clone(), everywhere));
    let separate = personal.map(Personal::separate).unwrap_or_default();
    places.extend(
        separate
            .into_iter()
            .map(|(address, allowed)| (vec![address], allowed)),
    );
    places
}

/// Waits for the writer to put everything on disk.
async fn finish(writer: Writer) -> anyhow::Result<()> {
    let Writer { ended, thread, .. } = writer;
    // Whether it has told already how it ended, or not.
    let told = tokio::time::timeout(WRITER_PATIENCE, async {
        if ended.is_terminated() {
            Ok(Ok(()))
        } else {
            ended.await
        }
    });
    match told.await {
        Ok(ended) => {
            ended.context("the writer has panicked")??;
            thread.join().ok();
            info!("stopped");
        }
        Err(_) => warn!("stopped while the node was silent; what was indexed is in the database"),
    }
    Ok(())
}

fn open_index(config: &Config) -> anyhow::Result<Index> {
    let folder = &config.db_dir;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let genesis = genesis_block(config.network).block_hash();
    let index = match &config.personal {
        None => {
            let top = FjallStore::open(folder, FjallOptions::default())?;
            let store = LayeredStore::open(Arc::new(top), &folder.join("segments"))?;
            Index::open(Arc::new(store), genesis)
        }
        // Little is written, and little is read.
        Some(_) => {
            let small = FjallOptions {
                cache: 8 << 20,
                write_buffer: 2 << 20,
            };
            Index::open_personal(Arc::new(FjallStore::open(folder, small)?), genesis)
        }
    };
    let index = index.with_context(|| format!("cannot use the index in {}", folder.display()))?;
    match index.headers().tip() {
        Some(tip) => info!("the index in {} ends with {tip}", folder.display()),
        None => info!("beginning an index in {}", folder.display()),
    }
    Ok(index)
}

/// Finds out whether the addresses can be listened on, without listening: an open port means a server that can answer.
async fn check_free(addresses: &[String]) -> anyhow::Result<()> {
    for address in addresses {
        let context = || format!("cannot listen on {address}");
        // Of the several addresses that a name may have, one will do, as when it is listened on.
        let found = lookup_host(address).await.with_context(context)?;
        let mut attempts: Vec<io::Result<()>> = found.map(can_bind).collect();
        if !attempts.iter().any(Result::is_ok) {
            let nothing = || Err(io::Error::other("the name has no address"));
            attempts
                .pop()
                .unwrap_or_else(nothing)
                .with_context(context)?;
        }
    }
    Ok(())
}

fn can_bind(address: SocketAddr) -> io::Result<()> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)
}

async fn bind(addresses: &[String]) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn services(
    config: &Config,
    published: Arc<Published>,
    node: Bitcoind,
    writer: SyncHandle,
) -> Services {
    let refresh = Box::new(move || {
        writer.refresh(REFRESH_TIMEOUT);
    });
    let mut node: Arc<dyn Node> = Arc::new(node);
    if let Some(command) = config.broadcast_command.clone() {
        node = Arc::new(BroadcastBy { node, command });
    }
    Services::new(published, node, refresh, about(config), limits(config))
}

/// What the server says about itself.
pub(crate) fn about(config: &Config) -> About {
    About {
        banner: config.banner.clone(),
        donation_address: config.donation_address.clone(),
        ..About::default()
    }
}

/// What a client may cost.
pub(crate) fn limits(config: &Config) -> Limits {
    let mut limits = match config.max_response {
        Some(bytes) => Limits::default().with_max_response(bytes),
        None => Limits::default(),
    };
    if let Some(connections) = config.max_connections {
        limits.max_connections = connections;
    }
    if let Some(limit) = config.history_limit {
        limits.max_history = limits
            .max_history
            .map(|fits| fits.min(limit))
            .or(Some(limit));
    }
    limits
}
