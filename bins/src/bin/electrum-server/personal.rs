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
use electrum_server_core::personal::{Birth, LOOK_AHEAD, Unwatched, Wallet, WalletSet};

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

    /// Says what has changed since `before` of where wallets are shown; nothing when nothing has.
    pub(crate) fn change_of_places(&self, before: &Self) -> Option<String> {
        if self.shown_everywhere() == before.shown_everywhere()
            && self.separate() == before.separate()
        {
            return None;
        }
        let numbered = |personal: &Self| -> Vec<(String, WalletEntry)> {
            let entries = (0..).zip(personal.entries.clone());
            entries
                .map(|(number, entry)| (entry.name_at(number), entry))
                .filter(|(_, entry)| !entry.listen.is_empty())
                .collect()
        };
        let (now, then) = (numbered(self), numbered(before));
        let renamed = now.iter().find_map(|(name, entry)| {
            let (old, _) = then.iter().find(|(old, other)| {
                old != name && other.keys == entry.keys && other.listen == entry.listen
            })?;
            Some(format!(
                "wallet \"{old}\" has `listen`, and is called \"{name}\" now"
            ))
        });
        let moved = || {
            let differs = |(name, entry): &&(String, WalletEntry),
                           others: &[(String, WalletEntry)]| {
                !others
                    .iter()
                    .any(|(other, known)| other == name && known.listen == entry.listen)
            };
            let changed = now.iter().find(|wallet| differs(wallet, &then));
            let changed = changed.or_else(|| then.iter().find(|wallet| differs(wallet, &now)));
            changed.map(|(name, _)| format!("`listen` of wallet \"{name}\" has changed"))
        };
        Some(
            renamed
                .or_else(moved)
                .unwrap_or_else(|| "`listen` has changed".to_owned()),
        )
    }

    /// Returns a line for each wallet: its name, the ends of its key, its birth, how many scripts are looked for, and where
    /// it is shown.
    pub(crate) fn announcements(&self, network: Network) -> Vec<String> {
        let wallets = self.wallets(network).unwrap_or_default();
        let lines = self.entries.iter().zip(wallets).map(|(entry, wallet)| {
            let from = match wallet.birth {
                Birth::Height(0) => "the whole chain".to_owned(),
                Birth::Height(height) => format!("from height {height} on"),
                time @ Birth::Time(_) => format!("from {time} on"),
            };
            let single = wallet.keychains.iter().filter(|chain| chain.script(1).is_none());
            let single = single.count();
            let sequences = wallet.keychains.len() - single;
            let each = u64::from(wallet.gap_limit.max(LOOK_AHEAD));
            let scripts = single as u64 + sequences as u64 * each;
            let first = match sequences {
                0 => "",
                _ => " at first, more as they get used",
            };
            let plural = if scripts == 1 { "" } else { "s" };
            let places = match entry.listen.as_slice() {
                [] => "wherever nothing else is said".to_owned(),
                addresses => format!("on {} only", addresses.join(", ")),
            };
            format!(
                "serving wallet \"{}\" and nothing else of the chain: {}; {from}; {scripts} script{plural}{first}; shown {places}",
                wallet.name,
                wallets::describe(entry)
            )
        });
        lines.collect()
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
        max_bytes: usize,
    ) -> Result<RawJson, NodeError> {
        self.node.verbose_transaction(txid, block, max_bytes)
    }

    fn user_agent(&self) -> Result<String, NodeError> {
        self.node.user_agent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZPUB: &str = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs";
    const ADDRESS: &str = "1FJEEB8ihPMbzs2SkLmr37dHyRFzakqUmo";

    fn personal(file: &str) -> Personal {
        let options: Options = toml::from_str(file).unwrap();
        Personal::of(&options, Network::Bitcoin).unwrap().unwrap()
    }

    #[test]
    fn each_wallet_has_a_line_at_the_start() {
        let lines = personal(&format!(
            "[[wallet]]\nname='savings'\nkeys='{ZPUB}'\nbirth=2021-05-31\n[[wallet]]\nname='b'\nkeys='{ADDRESS}'\nlisten='a:1'"
        ))
        .announcements(Network::Bitcoin);
        assert_eq!(
            lines,
            [
                "serving wallet \"savings\" and nothing else of the chain: zpub6rFR...GutZYs; from 2021-05-31 on; 2000 scripts at \
                 first, more as they get used; shown wherever nothing else is said",
                "serving wallet \"b\" and nothing else of the chain: 1 address or script; the whole chain; 1 script; shown on a:1 \
                 only",
            ]
        );
    }

    #[test]
    fn what_changed_of_the_places_is_said() {
        let of = |name: &str, listen: &str| {
            personal(&format!(
                "[[wallet]]\nname='{name}'\nkeys='{ADDRESS}'\n{listen}"
            ))
        };
        let before = of("a", "listen='a:1'");
        let check = |now: &Personal, expected: Option<&str>| {
            assert_eq!(now.change_of_places(&before).as_deref(), expected);
        };
        check(&of("a", "listen='a:1'"), None);
        check(
            &of("b", "listen='a:1'"),
            Some("wallet \"a\" has `listen`, and is called \"b\" now"),
        );
        check(
            &of("a", "listen='a:2'"),
            Some("`listen` of wallet \"a\" has changed"),
        );
        check(&of("a", ""), Some("`listen` of wallet \"a\" has changed"));
        assert_eq!(of("b", "").change_of_places(&of("a", "")), None);
    }
}
