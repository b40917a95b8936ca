//! Waits until there is a node to work with.

use std::time::{Duration, Instant};

use anyhow::Context;
use electrum_server_core::chain::SourceError;
use electrum_server_core::chain::bitcoind::{self, Bitcoind};
use tracing::{debug, info, warn};

use crate::config::Config;
use crate::signals::{Signals, Wish};
use crate::threads;

/// Between two looks at a node that is away.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two log lines about a node that is away, when there is something new to say.
const LOG_PAUSE: Duration = Duration::from_secs(30);

/// Connects to the node, as soon as there is one that can serve us; nothing when asked to stop before that.
///
/// # Errors
///
/// The node is found, but cannot be used, and that will not change by itself.
pub(crate) async fn connect(
    config: &Config,
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
    let mut said: Option<(String, Instant)> = None;
    loop {
        let node = node.clone();
        let attempt = threads::apart("node", move || match personal {
            true => Bitcoind::connect_pruned(&node),
            false => Bitcoind::connect(&node),
        });
        let attempt = tokio::select! {
            attempt = attempt => attempt.context("looking for the node")?,
            () = stop(signals) => return Ok(None),
        };
        match attempt {
            Ok(node) => {
                info!("connected to the node at {address}");
                return Ok(Some(node));
            }
            Err(error) if error.is_transient() => report(&error, address, &mut said),
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

/// Says what there is to wait for, once, and again when it is something else.
fn report(error: &SourceError, address: &str, said: &mut Option<(String, Instant)>) {
    let text = error.to_string();
    let is_news = said
        .as_ref()
        .is_none_or(|(before, when)| *before != text && when.elapsed() >= LOG_PAUSE);
    if is_news {
        warn!("waiting for the node at {address}: {text}");
        *said = Some((text, Instant::now()));
    } else {
        debug!("still waiting for the node: {text}");
    }
}

/// Waits for the wish to stop; others have no meaning yet.
async fn stop(signals: &mut Signals) {
    loop {
        if let Wish::Stop(signal) = signals.next().await {
            info!("{signal}: stopping");
            return;
        }
    }
}
