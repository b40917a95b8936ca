//! Waits until there is a node to work with.

use std::time::{Duration, Instant};

use anyhow::Context;
use electrum_server_core::chain::OutageLog;
use electrum_server_core::chain::bitcoind::{self, Bitcoind};
use tracing::{debug, info, warn};

use crate::config::Config;
use crate::signals::{Signals, Wish};
use crate::threads;

/// Between two looks at a node that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Connects to the node, as soon as there is one that can serve us; nothing when asked to stop before that. `next` is the
/// height of the first block that is not in the index.
///
/// # Errors
///
/// The node is found, but cannot be used, and that will not change by itself.
pub(crate) async fn connect(
    config: &Config,
    next: u32,
    signals: &mut Signals,
) -> anyhow::Result<Option<Bitcoind>> {
    let address = &config.daemon_rpc_addr;
    let node = bitcoind::Config {
        network: config.network,
        address: address.clone(),
        auth: config.auth.clone(),
        timeout: config.rpc_timeout,
    };
    let personal = config.personal.is_some();
    let mut reasons = OutageLog::default();
    loop {
        let node = node.clone();
        let attempt = threads::apart("node", move || match personal {
            true => Bitcoind::connect_pruned(&node),
            false => Bitcoind::connect_from(&node, next),
        });
        let attempt = tokio::select! {
            attempt = attempt => attempt.context("looking for the node")?,
            signal = stop(signals) => {
                info!("{signal}: stopping");
                return Ok(None);
            }
        };
        match attempt {
            Ok(node) => {
                info!("connected to the node at {address}");
                return Ok(Some(node));
            }
            Err(error) if error.is_transient() => match reasons.is_news(&error, Instant::now()) {
                true => warn!("waiting for the node at {address}: {error}"),
                false => debug!("still waiting for the node: {error}"),
            },
            Err(error) => {
                return Err(error).with_context(|| format!("the node at {address} cannot be used"));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            wish = signals.next() => match wish {
                Wish::Look => debug!("looking for the node now"),
                Wish::Reload => {}
                Wish::Stop(signal) => {
                    info!("{signal}: stopping");
                    return Ok(None);
                }
            },
        }
    }
}

/// Waits for the wish to stop, and returns the signal's name; others have no meaning yet.
pub(crate) async fn stop(signals: &mut Signals) -> &'static str {
    loop {
        if let Wish::Stop(signal) = signals.next().await {
            return signal;
        }
    }
}
