//! `--dev`: a regtest node in this process behind the usual server, with a faucet and a control interface.

mod http;
mod intro;
mod state;

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use electrum_server_core::regtest::{
    Clock, Control, Endpoint, RegtestNode, RegtestOptions, ServeOptions, TestServer,
};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{info, warn};

use crate::config::{Config, DevConfig};
use crate::listen;
use crate::run::{about, limits};
use crate::serving::{Place, Serving};
use crate::signals::{Signals, Wish};
use state::StateFile;

/// Between two looks at whether there is something to save.
const SAVE_INTERVAL: Duration = Duration::from_secs(2);

/// Runs until a signal says stop.
///
/// # Errors
///
/// Whatever keeps the program from doing what it is for.
pub(crate) fn run(config: &Config, settings: &DevConfig) -> anyhow::Result<()> {
    let options = RegtestOptions {
        clock: Clock::Ask(now),
        ..RegtestOptions::default()
    };
    let mut state = settings.state.clone().map(StateFile::new);
    let kept = match &state {
        Some(state) => state.load(options)?,
        None => None,
    };
    let (node, is_new) = match kept {
        Some(node) => (node, false),
        None => (RegtestNode::new(options), true),
    };
    if is_new {
        intro::fund_demo(&node)?;
    }
    let control = http::bind(&settings.rpc_addr)?;
    let mut endpoints = endpoints(&config.serving)?.into_iter();
    let Some(endpoint) = endpoints.next() else {
        bail!("--dev is for clients: remove --disable-electrum-rpc");
    };
    let server = TestServer::start_on(
        node.clone(),
        ServeOptions {
            endpoint,
            further: endpoints.collect(),
            about: about(config),
            limits: limits(config),
        },
    )?;
    let rpc_address = control.local_addr().context("the control interface")?;
    http::serve(control, Arc::new(Control::new(node.clone())))?;
    for url in server.urls() {
        info!("serving on {url}");
    }
    info!("control interface on {rpc_address}");
    intro::print(&node, &server, rpc_address, is_new)?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    runtime.block_on(steer(&node, settings.block_time, state.as_mut()))?;
    if let Some(state) = &mut state {
        state.save(&node)?;
    }
    info!("stopped");
    Ok(())
}

/// Where to listen, and what to speak there.
fn endpoints(serving: &Serving) -> anyhow::Result<Vec<Endpoint>> {
    let certificate = listen::certificate(serving)?;
    let endpoint = |place: &Place| match place {
        Place::Unix(file) => bail!("--dev does not serve unix sockets: {}", file.display()),
        Place::Net {
            address,
            tls,
            websocket,
        } => Ok(Endpoint {
            address: resolve(address)?,
            tls: certificate.clone().filter(|_| *tls),
            websocket: *websocket,
            padded: serving.padding,
            proxies: serving.proxies.clone(),
        }),
    };
    serving.places.iter().map(endpoint).collect()
}

/// Mines, saves, and waits for the end.
async fn steer(
    node: &RegtestNode,
    block_time: Option<Duration>,
    mut state: Option<&mut StateFile>,
) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("cannot listen to signals")?;
    let ticks = |period| {
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    };
    let mut blocks = ticks(block_time.unwrap_or(Duration::from_secs(3600)));
    let mut saves = ticks(SAVE_INTERVAL);
    loop {
        tokio::select! {
            wish = signals.next() => match wish {
                // There is no node to look at, and no wallets to read again.
                Wish::Look | Wish::Reload => {}
                Wish::Stop(signal) => {
                    info!("{signal}: stopping");
                    return Ok(());
                }
            },
            _ = blocks.tick(), if block_time.is_some() => {
                // The server follows before this returns; nothing else happens on this thread.
                let hashes = node.mine_to_faucet(1);
                for hash in &hashes {
                    info!(height = node.height(), %hash, "mined a block");
                }
            },
            _ = saves.tick() => if let Some(state) = &mut state {
                // It is tried again, and at the end it counts.
                if let Err(error) = state.save(node) {
                    warn!("{error:#}");
                }
            },
        }
    }
}

fn now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
    })
}

fn resolve(address: &str) -> anyhow::Result<SocketAddr> {
    let mut found = address
        .to_socket_addrs()
        .with_context(|| format!("cannot listen on {address}"))?;
    found
        .next()
        .with_context(|| format!("cannot listen on {address}: the name has no address"))
}
