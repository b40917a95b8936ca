//! Connects the parts: node, index, writer, sessions.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bitcoin::constants::genesis_block;
use electrum_server_core::chain::ChainSource;
use electrum_server_core::chain::bitcoind::Bitcoind;
use electrum_server_core::chain::blockfiles::FilesFirst;
use electrum_server_core::index::Index;
use electrum_server_core::metrics::Metrics;
use electrum_server_core::net::{self, Peers};
use electrum_server_core::notify::Published;
use electrum_server_core::personal::WalletSet;
use electrum_server_core::session::{About, Limits, Services};
use electrum_server_core::store::{FjallOptions, FjallStore, LayeredStore, Store};
use electrum_server_core::sync::SyncHandle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::broadcast::{BroadcastCommand, StopOnDrop};
use crate::config::Config;
use crate::logging::Console;
use crate::monitor::{self, Status};
use crate::personal::Personal;
use crate::serving::{Banner, Place};
use crate::signals::{Signals, Wish};
use crate::upkeep::{Upkeep, fill};
use crate::writer::Writer;
use crate::{blocks, disk, listen, node, permissions};

/// How long a client that has broadcast a transaction waits for it to be in the index.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the writer may take to finish what it is at. What was committed is in the database in any case.
const WRITER_PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take when it waits for an answer of the node, which may never come.
const NODE_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked whether it does.
const LOOK: Duration = Duration::from_millis(100);

/// Runs until a signal says stop, or, with `--sync-once`, until everything is indexed.
///
/// # Errors
///
/// Whatever keeps the program from doing what it is for.
pub(crate) fn run(config: &Config, console: &Console) -> anyhow::Result<()> {
    raise_file_limit(config.serving.limits.max_connections);
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
    let needed = OTHER_FILES.saturating_add(clients as u64);
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit >= needed => debug!("may open {limit} files"),
        Ok(limit) => warn!(
            "the system allows {limit} open files (ulimit -Hn), where {clients} clients may need {needed}"
        ),
        Err(error) => warn!("cannot raise the limit of open files: {error}"),
    }
}

async fn run_parts(config: &Config, console: &Console) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("cannot listen to signals")?;
    // A port that somebody else has is found out now, not after hours of indexing.
    for (places, _) in places(config) {
        listen::check_free(&places).await?;
    }
    let certificate = listen::certificate(&config.serving)?;
    for warning in config.serving.warnings() {
        warn!("{warning}");
    }
    if config.personal.is_some() && config.serving.origins.allows_all() {
        warn!(
            "any web page that is visited on a machine that reaches this server can read its wallets (--ws-origin *)"
        );
    }
    // Ends with this function.
    let mut background = JoinSet::new();
    let status = Arc::<Status>::default();
    if let Some(address) = &config.monitoring_addr {
        background.spawn(monitor::run(monitor::bind(address).await?, status.clone()));
    }
    say_what_is_served(config);
    // An index that is there is looked at first; none is begun before there is a node for it.
    let known = match has_index(config) {
        true => Some(open_index(config)?),
        false => None,
    };
    let next = known.as_ref().map_or(0, |index| index.headers().len());
    let Some(node) = node::connect(config, next, &mut signals).await? else {
        return Ok(());
    };
    let index = match known {
        Some(index) => index,
        None => open_index(config)?,
    };
    let low = low_space(config);
    background.spawn(disk::watch(config.db_dir.clone(), low, status.clone()));
    let block_files = blocks::open(config)?;
    let source: Arc<dyn ChainSource> = match &block_files {
        Some(files) => Arc::new(FilesFirst::new(files.clone(), Arc::new(node.clone()))),
        None => Arc::new(node.clone()),
    };
    let updates = net::updates();
    let mut writer = Writer::start(index, source, config, console, updates.clone())?;
    // Set once, here and below.
    let _ = status.writer.set(writer.handle.clone());

    let broadcast = StopOnDrop::new(config.broadcast_command.clone());
    // The end of this future is the wish of everybody who serves to stop serving.
    let (stop_serving, stopped) = watch::channel(());
    let mut serving = JoinSet::new();
    let mut is_ready = false;
    let reload = Arc::new(Notify::new());
    let ended = loop {
        tokio::select! {
            ended = &mut writer.ended => break ended.context("the writer has panicked")?,
            published = &mut writer.ready, if !is_ready => {
                is_ready = true;
                let Ok(published) = published else { continue };
                let _ = status.published.set(published.clone());
                if config.serving.places.is_empty() || config.sync_once {
                    continue;
                }
                let asked = Arc::new(node.clone());
                let metrics = Arc::<Metrics>::default();
                let peers = config.serving.peering.clone();
                let peers = peers.map(|options| Arc::new(Peers::new(options, config.serving.hosts.clone())));
                // Where some wallets are shown and no others, nothing else is shared but the view.
                let mut served = Vec::new();
                for (places, allowed) in places(config) {
                    let mut services = services(config, published.clone(), asked.clone(), broadcast.command(), writer.handle.clone())
                        .with_metrics(metrics.clone());
                    if let Some(files) = &block_files {
                        services = services.with_block_files(files.clone());
                    }
                    if let (Some(handle), Some(personal)) = (&writer.personal, &config.personal) {
                        services = services.with_wallets(handle.clone(), allowed, personal.unwatched);
                    }
                    if let Some(peers) = &peers {
                        services = services.with_peers(peers.clone());
                    }
                    served.push((places, Arc::new(services)));
                }
                let upkeep = Arc::new(Upkeep {
                    serving: config.serving.clone(),
                    certificate: certificate.clone(),
                    services: served.iter().map(|(_, services)| services.clone()).collect(),
                    node: asked,
                    now: reload.clone(),
                    has_banner: AtomicBool::new(false),
                });
                // Whoever wants us to stop does not wait for a node that says nothing.
                tokio::select! {
                    () = upkeep.prepare() => {}
                    signal = node::stop(&mut signals) => {
                        info!("{signal}: stopping");
                        break Ok(());
                    }
                }
                background.spawn(upkeep.run());
                if let (Some(peers), Some((_, services))) = (peers, served.first()) {
                    let _ = status.peers.set(peers.clone());
                    background.spawn(peers.run(services.clone()));
                }
                for (places, services) in served {
                    let listeners = listen::listen(&places, &config.serving, certificate.as_ref()).await?;
                    let mut stopped = stopped.clone();
                    let shutdown = async move { drop(stopped.changed().await) };
                    serving.spawn(net::serve(listeners, services, updates.clone(), shutdown));
                }
                let _ = status.metrics.set(metrics);
            },
            Some(served) = serving.join_next() => {
                break served.context("serving has panicked")?.context("cannot serve clients");
            }
            wish = signals.next() => match wish {
                Wish::Look => writer.handle.look(),
                Wish::Reload => {
                    reload_wallets(config, &writer);
                    reload.notify_one();
                }
                Wish::Stop(signal) => {
                    info!("{signal}: stopping");
                    break Ok(());
                }
            },
        }
    };

    // Clients get what is ready for them while the writer finishes.
    let stopped_at = Instant::now();
    drop(stop_serving);
    writer.handle.stop();
    while let Some(ended) = serving.join_next().await {
        ended
            .context("serving has panicked")?
            .context("cannot serve clients")?;
    }
    // Commands that clients waited for may use the time until here.
    drop(broadcast);
    if is_ready {
        listen::clean_up(&config.serving.places);
    }
    ended?;
    finish(writer, &node, stopped_at).await
}

/// Reads the configuration again, and watches the wallets that it has now. Everything else stays as it is.
fn reload_wallets(started: &Config, writer: &Writer) {
    let (Some(handle), Some(shown)) = (&writer.personal, &started.personal) else {
        return;
    };
    let wallets = crate::read_config().and_then(|config| {
        let personal = config.personal.context("there are no wallets any more")?;
        if let Some(change) = personal.change_of_places(shown) {
            bail!("{change}, and where which wallet is shown is read at the start only: restart the server");
        }
        personal.wallets(config.network)
    });
    match wallets {
        Ok(wallets) => {
            let names: Vec<&str> = wallets.iter().map(|wallet| wallet.name.as_str()).collect();
            info!("SIGHUP: the wallets are to be {}", names.join(", "));
            handle.set_wallets(wallets);
        }
        Err(error) => warn!("SIGHUP: the wallets stay as they are: {error:#}"),
    }
}

/// Where to listen, and which wallets are shown there.
fn places(config: &Config) -> Vec<(Vec<Place>, WalletSet)> {
    let mut places = Vec::new();
    let personal = config.personal.as_ref();
    let everywhere = personal.map_or(WalletSet::All, Personal::shown_everywhere);
    places.push((config.serving.places.clone(), everywhere));
    let separate = personal.map(Personal::separate).unwrap_or_default();
    places.extend(
        separate
            .into_iter()
            .map(|(address, allowed)| (vec![Place::lines(address)], allowed)),
    );
    places
}

/// Waits for the writer to put everything on disk, but not for a node that does not answer.
async fn finish(writer: Writer, node: &Bitcoind, stopped_at: Instant) -> anyhow::Result<()> {
    let Writer {
        mut ended, thread, ..
    } = writer;
    // It may have told already how it ended.
    while !ended.is_terminated() {
        match tokio::time::timeout(LOOK, &mut ended).await {
            Ok(ended) => {
                ended.context("the writer has panicked")??;
                break;
            }
            Err(_) if stopped_at.elapsed() >= WRITER_PATIENCE => {
                warn!(
                    "stopped before the writer had finished; what was committed is in the database"
                );
                return Ok(());
            }
            Err(_) if stopped_at.elapsed() >= NODE_PATIENCE && node.pending() > 0 => {
                warn!("stopped while the node was silent; what was indexed is in the database");
                return Ok(());
            }
            Err(_) => {}
        }
    }
    thread.join().ok();
    info!("stopped");
    Ok(())
}

/// Says whether the whole chain is served or some wallets, and what of these. Keys are shown by their ends.
fn say_what_is_served(config: &Config) {
    match &config.personal {
        None => info!("serving the whole chain, to everybody who connects"),
        Some(personal) => personal
            .announcements(config.network)
            .iter()
            .for_each(|wallet| info!("{wallet}")),
    }
}

/// Whether there is an index already, or something else that is taken for one.
fn has_index(config: &Config) -> bool {
    std::fs::read_dir(&config.db_dir).is_ok_and(|mut entries| entries.next().is_some())
}

fn open_index(config: &Config) -> anyhow::Result<Index> {
    let folder = &config.db_dir;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    if config.personal.is_some() {
        hide(folder);
    }
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
                reserve: 64 << 20,
            };
            let top: Arc<dyn Store> = Arc::new(FjallStore::open(folder, small)?);
            let segments = folder.join("segments");
            // An index of the whole chain may have all its transactions there, and must not seem empty.
            let store = match segments.exists() {
                true => Arc::new(LayeredStore::open(top, &segments)?),
                false => top,
            };
            Index::open_personal(store, genesis)
        }
    };
    let index = index.with_context(|| format!("cannot use the index in {}", folder.display()))?;
    match index.headers().tip() {
        Some(tip) => info!("the index in {} ends with {tip}", folder.display()),
        None => info!("beginning an index in {}", folder.display()),
    }
    Ok(index)
}

/// Makes the index of some wallets one for its owner only: it says what they have.
fn hide(folder: &Path) {
    match permissions::make_private(folder) {
        Ok(0) => {}
        Ok(count) => info!(
            "took the permissions of group and others from {count} files and folders in {}: an index of wallets is for \
             its owner only",
            folder.display()
        ),
        Err(error) => warn!(
            "others may be able to read the index of the wallets, {}: {error}",
            folder.display()
        ),
    }
}

/// With less space than this on the disk, in bytes, there is reason to worry.
fn low_space(config: &Config) -> u64 {
    match config.personal {
        // Some weeks of blocks on mainnet, so that there is time to do something.
        None => 2 << 30,
        Some(_) => 256 << 20,
    }
}

fn services(
    config: &Config,
    published: Arc<Published>,
    node: Arc<Bitcoind>,
    broadcast: Option<Arc<BroadcastCommand>>,
    writer: SyncHandle,
) -> Services {
    let refresh = Box::new(move |scope| {
        writer.refresh_scope(scope, REFRESH_TIMEOUT);
    });
    let services = Services::new(published, node, refresh, about(config), limits(config));
    match broadcast {
        Some(broadcast) => services.with_broadcast(broadcast),
        None => services,
    }
}

/// What the server says about itself.
pub(crate) fn about(config: &Config) -> About {
    let serving = &config.serving;
    let banner = match &serving.banner {
        Banner::Text(text) => fill(text, "", &serving.donation_address),
        // It is read before anybody is served.
        Banner::File(_) => String::new(),
    };
    let about = About::default();
    About {
        banner,
        donation_address: serving.donation_address.clone(),
        hosts: serving.hosts.clone(),
        software: serving.server_name.clone().unwrap_or(about.software),
        ..about
    }
}

/// What a client may cost.
pub(crate) fn limits(config: &Config) -> Limits {
    config.serving.limits.clone()
}
