//! The node's block files, where they can be read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::Context;
use bitcoin::Network;
use electrum_server_core::chain::bitcoind::network_dir;
use electrum_server_core::chain::blockfiles::BlockFiles;
use tracing::{info, warn};

use crate::cli::Options;
use crate::config::{Config, DAEMON_DIR, expand};

/// The folder of the block files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlocksDir {
    pub(crate) path: PathBuf,
    /// Whether the user has named it: then it must be there.
    pub(crate) is_named: bool,
}

impl BlocksDir {
    /// Where the options say that it is; nothing when they say that it is not to be used.
    pub(crate) fn of(options: &Options, network: Network, home: Option<&Path>) -> Option<Self> {
        if options.jsonrpc_import == Some(true) {
            return None;
        }
        if let Some(path) = &options.blocks_dir {
            return Some(Self {
                path: expand(path, home),
                is_named: true,
            });
        }
        let daemon_dir = match (&options.daemon_dir, home) {
            (Some(dir), _) => expand(dir, home),
            (None, home) => home?.join(DAEMON_DIR),
        };
        Some(Self {
            path: network_dir(&daemon_dir, network).join("blocks"),
            is_named: false,
        })
    }
}

/// Opens the block files, and begins to find out which blocks are in them.
///
/// # Errors
///
/// The user has named a folder, and it has no block files that can be read.
pub(crate) fn open(config: &Config) -> anyhow::Result<Option<Arc<BlockFiles>>> {
    let Some(BlocksDir { path, is_named }) = &config.blocks_dir else {
        return Ok(None);
    };
    let files = match BlockFiles::open(path, config.network) {
        Ok(files) => Arc::new(files),
        Err(error) if *is_named => return Err(error).context("--blocks-dir cannot be used"),
        Err(error) => {
            // A node on another machine, or of another user: nothing is wrong.
            info!("blocks come from the node: {error}");
            return Ok(None);
        }
    };
    info!("reading blocks from the files in {}", path.display());
    let scanned = files.clone();
    let scan = move || {
        let began = Instant::now();
        match scanned.refresh(&|| false) {
            Ok(()) => info!(
                "found {} blocks in the block files in {:.1} s",
                scanned.len(),
                began.elapsed().as_secs_f64()
            ),
            Err(error) => warn!("cannot read the block files: {error}"),
        }
    };
    thread::Builder::new()
        .name("block files".to_owned())
        .spawn(scan)
        .context("cannot start a thread")?;
    Ok(Some(files))
}
