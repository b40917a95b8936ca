//! The chain in a file, between runs.

use std::fs;
use std::io::{ErrorKind, Write};
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
        // On disk before it gets the name: after a power cut the name must not be that of an empty file.
        let written = fs::File::create(&part).and_then(|mut file| {
            file.write_all(node.save().as_bytes())?;
            file.sync_all()
        });
        written
            .and_then(|()| fs::rename(&part, &self.path))
            .with_context(|| format!("cannot write {name}"))?;
        self.saved = Some(version);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

        /// Lines that are others, gone, or in another order: the file is refused by its name, or is a chain that goes on.
        #[test]
        fn any_file_is_a_chain_or_an_error(
            edits in vec((any::<usize>(), any::<usize>(), 0u8..4, state_line()), 0..4),
        ) {
            let node = RegtestNode::new(RegtestOptions { blocks: 3, ..RegtestOptions::default() });
            let mut lines: Vec<String> = node.save().lines().map(str::to_owned).collect();
            for (one, other, kind, line) in edits {
                let (one, other) = (one % lines.len(), other % lines.len());
                match kind {
                    0 => lines.swap(one, other),
                    1 => lines[one] = line,
                    2 => lines.insert(one, line),
                    _ => lines[one].truncate(other),
                }
            }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("the.state");
            fs::write(&path, lines.join("\n")).unwrap();
            let mut file = StateFile::new(path);
            match file.load(RegtestOptions::default()) {
                Ok(node) => {
                    let node = node.expect("there is a file");
                    file.save(&node).unwrap();
                    let again = file.load(RegtestOptions::default()).unwrap().unwrap();
                    assert_eq!(again.best_block(), node.best_block());
                    again.mine(1, bitcoin::Script::from_bytes(&[0x51]));
                }
                Err(error) => assert!(format!("{error:#}").contains("the.state"), "{error:#}"),
            }
        }
    }

    fn state_line() -> impl Strategy<Value = String> {
        let words = [
            "seed",
            "mined",
            "time",
            "estimate",
            "block",
            "invalid",
            "transaction",
            "tip",
            "x",
            "",
        ];
        let values = [
            "",
            "0",
            "1",
            "18446744073709551615",
            "18446744073709551616",
            "4294967295",
            "2100000000000001",
            "-1",
            "00",
            "0101",
            "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
        ];
        let word = proptest::sample::select(words.to_vec());
        let value = proptest::sample::select(values.to_vec());
        (word, value).prop_map(|(word, value)| format!("{word} {value}"))
    }
}
