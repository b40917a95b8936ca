//! What makes a server one of some wallets only.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bitcoin::{BlockHash, Network, Txid};
use electrum_protocol::RawJson;
use electrum_protocol::method::fee::{EstimateMode, FeePerKvb};
use electrum_protocol::method::mempool::MempoolFees;
use electrum_protocol::method::transaction::MempoolVerdict;
use electrum_server_core::chain::{Node, NodeError, PackageOutcome};
use electrum_server_core::personal::{Unwatched, Wallet, WalletSet};

use crate::cli::Options;
use crate::wallets::{self, UnwatchedPolicy, WalletEntry};

/// The wallets, and what is said about them all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Personal {
    entries: Vec<WalletEntry>,
    pub(crate) unwatched: Unwatched,
    pub(crate) may_fetch: bool,
}

impl Personal {
    /// Collects the wallets of all options; nothing when there are none, and the whole chain is served.
    ///
    /// # Errors
    ///
    /// Says which wallet is wrong, and what would be right. What is said of wallets where there are none is an error as
    /// well: the whole chain was not meant.
    pub(crate) fn of(options: &Options, network: Network) -> anyhow::Result<Option<Self>> {
        let mut entries = options.wallet.clone();
        let about_wallets = [
            ("wallet-birth", options.wallet_birth.is_some()),
            ("gap-limit", options.gap_limit.is_some()),
            ("unwatched", options.unwatched.is_some()),
            (
                "fetch-pruned-blocks",
                options.fetch_pruned_blocks == Some(true),
            ),
        ];
        if entries.is_empty() {
            return match about_wallets.iter().find(|(_, given)| *given) {
                Some((name, _)) => bail!(
                    "--{name} is about wallets, and there are none: add --wallet, --eps-config or --bwt-env, or remove \
                     --{name} to serve the whole chain"
                ),
                None => Ok(None),
            };
        }
        if options.dev == Some(true) {
            bail!(
                "--dev serves its own chain to everybody and knows no wallets: remove them, or --dev"
            );
        }
        for entry in &mut entries {
            entry.inherit(options.wallet_birth.as_deref(), options.gap_limit);
        }
        let personal = Self {
            entries,
            unwatched: options
                .unwatched
                .map_or_else(Unwatched::default, UnwatchedPolicy::into),
            may_fetch: options.fetch_pruned_blocks.unwrap_or(false),
        };
        personal.wallets(network)?;
        Ok(Some(personal))
    }

    /// Returns the wallets.
    ///
    /// # Errors
    ///
    /// See [`of`](Self::of).
    pub(crate) fn wallets(&self, network: Network) -> anyhow::Result<Vec<Wallet>> {
        wallets::wallets(&self.entries, network)
    }

    /// Returns the wallets that are shown wherever nothing else is said.
    pub(crate) fn shown_everywhere(&self) -> WalletSet {
        WalletSet::Except(self.names(|entry| !entry.listen.is_empty()))
    }

    /// Returns the addresses where some wallets are shown and no others.
    pub(crate) fn separate(&self) -> Vec<(String, WalletSet)> {
        let mut addresses: Vec<&String> = self
            .entries
            .iter()
            .flat_map(|entry| &entry.listen)
            .collect();
        addresses.sort();
        addresses.dedup();
        addresses
            .into_iter()
            .map(|address| {
                let there = self.names(|entry| entry.listen.contains(address));
                (address.clone(), WalletSet::Only(there))
            })
            .collect()
    }

    /// Whether wallets are shown in the same places as `other` says.
    pub(crate) fn is_shown_as(&self, other: &Self) -> bool {
        self.shown_everywhere() == other.shown_everywhere() && self.separate() == other.separate()
    }

    /// The names of some wallets, which say what is shown also after a reload.
    fn names(&self, is_meant: impl Fn(&WalletEntry) -> bool) -> Vec<String> {
        (0..)
            .zip(&self.entries)
            .filter(|(_, entry)| is_meant(entry))
            .map(|(number, entry)| entry.name_at(number))
            .collect()
    }
}

/// How long the broadcast command may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often one looks whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// A node whose transactions are broadcast by a command.
pub(crate) struct BroadcastBy {
    pub(crate) node: Arc<dyn Node>,
    pub(crate) command: String,
}

impl BroadcastBy {
    fn run(&self, raw_tx: &[u8]) -> anyhow::Result<Txid> {
        let tx: bitcoin::Transaction =
            bitcoin::consensus::deserialize(raw_tx).context("this is no transaction")?;
        let hex = bitcoin::consensus::encode::serialize_hex(&tx);
        // Hexadecimal digits need no quotes.
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(self.command.replace("%s", &hex))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run the broadcast command")?;
        // A client waits for it, and so does a thread that others need.
        let began = Instant::now();
        while child.try_wait()?.is_none() {
            if began.elapsed() > PATIENCE {
                // It may have ended just now.
                let _ = child.kill();
                let _ = child.wait();
                anyhow::bail!("the broadcast command has not ended after {PATIENCE:?}");
            }
            std::thread::sleep(PAUSE);
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().last().unwrap_or_default().trim();
            anyhow::bail!("the broadcast command failed ({}): {said}", output.status);
        }
        Ok(tx.compute_txid())
    }
}

impl Node for BroadcastBy {
    fn broadcast(&self, raw_tx: &[u8]) -> Result<Txid, NodeError> {
        self.run(raw_tx).map_err(|error| NodeError::Rpc {
            code: -1,
            message: format!("{error:#}"),
        })
    }

    fn submit_package(&self, raw_txs: &[Vec<u8>]) -> Result<PackageOutcome, NodeError> {
        self.node.submit_package(raw_txs)
    }

    fn test_mempool_accept(&self, raw_txs: &[Vec<u8>]) -> Result<Vec<MempoolVerdict>, NodeError> {
        self.node.test_mempool_accept(raw_txs)
    }

    fn estimate_fee(
        &self,
        blocks: u32,
        mode: Option<EstimateMode>,
    ) -> Result<Option<FeePerKvb>, NodeError> {
        self.node.estimate_fee(blocks, mode)
    }

    fn relay_fee(&self) -> Result<FeePerKvb, NodeError> {
        self.node.relay_fee()
    }

    fn mempool_fees(&self) -> Result<MempoolFees, NodeError> {
        self.node.mempool_fees()
    }

    fn raw_transaction(
        &self,
        txid: &Txid,
        block: Option<&BlockHash>,
    ) -> Result<Vec<u8>, NodeError> {
        self.node.raw_transaction(txid, block)
    }

    fn verbose_transaction(
        &self,
        txid: &Txid,
        block: Option<&BlockHash>,
    ) -> Result<RawJson, NodeError> {
        self.node.verbose_transaction(txid, block)
    }

    fn user_agent(&self) -> Result<String, NodeError> {
        self.node.user_agent()
    }
}
