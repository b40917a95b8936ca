//! The chain in a file, between runs.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::Context;
use electrum_server_core::regtest::{RegtestNode, RegtestOptions};
use tracing::info;

/// Where the chain is kept.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    /// What the node's count of changes was when it was last written.
    saved: Option<u64>,
}

impl StateFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, saved: None }
    }

    /// Reads the node that was kept; none when there is no such file yet.
    pub(crate) fn load(&self, options: RegtestOptions) -> anyhow::Result<Option<RegtestNode>> {
        let name = self.path.display();
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // A folder that is not there is found out now, not when the chain is to be kept.
                fs::write(&self.path, "").with_context(|| format!("cannot write {name}"))?;
                fs::remove_file(&self.path).with_context(|| format!("cannot write {name}"))?;
                return Ok(None);
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
        };
        let node =
            RegtestNode::load(&text, options).with_context(|| format!("cannot use {name}"))?;
        info!("the chain in {name} ends with {}", node.best_block());
        Ok(Some(node))
    }

    /// Writes the node down, if it has changed.
    pub(crate) fn save(&mut self, node: &RegtestNode) -> anyhow::Result<()> {
        let version = node.version();
        if self.saved == Some(version) {
            return Ok(());
        }
        let name = self.path.display();
        // Written beside it first: whoever is cut off leaves the old file whole.
        let mut part = self.path.clone().into_os_string();
        part.push(".part");
        fs::write(&part, node.save())
            .and_then(|()| fs::rename(&part, &self.path))
            .with_context(|| format!("cannot write {name}"))?;
        self.saved = Some(version);
        Ok(())
    }
}
