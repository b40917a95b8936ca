//! Transactions that a command relays instead of the node (`--broadcast-command`).

mod process;
#[cfg(test)]
mod tests;

use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use bitcoin::consensus::encode;
use bitcoin::hex::DisplayHex;
use bitcoin::{Transaction, Txid};
use electrum_protocol::{ParseJsonError, RawJson};
use electrum_server_core::chain::bitcoind::package_outcome;
use electrum_server_core::chain::{Broadcast, NodeError, PackageOutcome, SourceError};
use serde_json::json;
use tracing::warn;

use self::process::{Ended, Processes, RunError};

/// How long the command may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What the command reads the number of transactions from.
const COUNT: &str = "ELECTRUM_TRANSACTIONS";
/// What stands for the transaction in a command that does not read its standard input.
const PLACEHOLDER: &str = "%s";
/// Linux takes no argument of 128 KiB or more, the terminating zero included (`MAX_ARG_STRLEN`).
const MAX_ARGUMENT: usize = 128 * 1024 - 1;
/// As many characters of what a failed command says are passed on to the client.
const MAX_REASON: usize = 300;

/// A shell command that relays transactions.
#[derive(Debug)]
pub(crate) struct BroadcastCommand {
    template: String,
    timeout: Duration,
    processes: Processes,
}

/// Why a transaction was not relayed. Clients are told; so it says what the operator can do, but not what the command is.
#[derive(Debug, thiserror::Error)]
enum BroadcastError {
    #[error("the transaction cannot be decoded: {0}")]
    Decode(encode::Error),
    #[error("the package has no transactions")]
    Empty,
    #[error(
        "this server's --broadcast-command takes single transactions only, because it contains %s; for packages its \
         operator has to give one that reads standard input"
    )]
    Package,
    #[error(
        "the transaction of {bytes} bytes is too long for the command line of this server's --broadcast-command; its \
         operator has to give one that reads standard input instead of %s"
    )]
    TooLong { bytes: usize },
    #[error("cannot run the broadcast command: {0}")]
    Run(RunError),
    #[error("the broadcast command failed ({status}): {reason}")]
    Failed { status: ExitStatus, reason: String },
    #[error("the broadcast command ended without reading all of its standard input")]
    Unread,
    #[error("the broadcast command printed the txid {0}, which is not that of the transaction")]
    OtherTxid(Txid),
    #[error("cannot read the answer of the broadcast command: {0}")]
    Answer(SourceError),
    #[error("the answer of the broadcast command is not JSON: {0}")]
    Json(ParseJsonError),
}

impl From<encode::Error> for BroadcastError {
    fn from(error: encode::Error) -> Self {
        Self::Decode(error)
    }
}

impl From<RunError> for BroadcastError {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl From<SourceError> for BroadcastError {
    fn from(error: SourceError) -> Self {
        Self::Answer(error)
    }
}

impl From<ParseJsonError> for BroadcastError {
    fn from(error: ParseJsonError) -> Self {
        Self::Json(error)
    }
}

impl From<BroadcastError> for NodeError {
    fn from(error: BroadcastError) -> Self {
        // These say nothing about the transaction.
        if let BroadcastError::Run(error) = &error {
            warn!("cannot run the broadcast command: {error}");
        }
        Self::Rpc {
            code: -1,
            message: error.to_string(),
        }
    }
}

impl BroadcastCommand {
    pub(crate) fn new(template: String) -> Self {
        Self {
            template,
            timeout: TIMEOUT,
            processes: Processes::default(),
        }
    }

    /// Runs the command on transactions, parents first, and returns what it printed when it ended well.
    fn run(&self, raw_txs: &[&[u8]], txs: &[Transaction]) -> Result<String, BroadcastError> {
        let mut input = String::new();
        let mut command = Command::new("sh");
        command.arg("-c").env(COUNT, txs.len().to_string());
        if self.template.contains(PLACEHOLDER) {
            let [raw_tx] = raw_txs else {
                return Err(BroadcastError::Package);
            };
            // Hexadecimal digits need no quotes.
            let filled = self
                .template
                .replace(PLACEHOLDER, &raw_tx.to_lower_hex_string());
            if filled.len() > MAX_ARGUMENT {
                let bytes = raw_tx.len();
                return Err(BroadcastError::TooLong { bytes });
            }
            command.arg(filled);
        } else {
            command.arg(&self.template);
            for raw_tx in raw_txs {
                input.push_str(&raw_tx.to_lower_hex_string());
                input.push('\n');
            }
        }
        let Ended {
            status,
            stdout,
            stderr,
            has_read_all,
        } = self
            .processes
            .run(&mut command, input.as_bytes(), self.timeout)?;
        if !status.success() {
            let reason = reason(&stderr);
            return Err(BroadcastError::Failed { status, reason });
        }
        if !has_read_all {
            return Err(BroadcastError::Unread);
        }
        let stdout = String::from_utf8_lossy(&stdout).trim().to_owned();
        // As `sendrawtransaction` and most others answer.
        let mut txids = stdout.lines().filter_map(|line| line.trim().parse().ok());
        match txids.find(|txid| txs.iter().all(|tx| tx.compute_txid() != *txid)) {
            Some(other) => Err(BroadcastError::OtherTxid(other)),
            None => Ok(stdout),
        }
    }

    fn one(&self, raw_tx: &[u8]) -> Result<Txid, BroadcastError> {
        let tx: Transaction = encode::deserialize(raw_tx)?;
        let txid = tx.compute_txid();
        self.run(&[raw_tx], &[tx])?;
        Ok(txid)
    }

    fn package(&self, raw_txs: &[Vec<u8>]) -> Result<PackageOutcome, BroadcastError> {
        if raw_txs.is_empty() {
            return Err(BroadcastError::Empty);
        }
        if self.template.contains(PLACEHOLDER) {
            return Err(BroadcastError::Package);
        }
        let txs = raw_txs.iter().map(|raw_tx| encode::deserialize(raw_tx));
        let txs: Vec<Transaction> = txs.collect::<Result<_, _>>()?;
        let raw_txs: Vec<&[u8]> = raw_txs.iter().map(Vec::as_slice).collect();
        let stdout = self.run(&raw_txs, &txs)?;
        if !stdout.starts_with('{') {
            return Ok(accepted(&txs)?);
        }
        // The exit status of `bitcoin-cli submitpackage` says nothing about the transactions.
        let outcome = package_outcome(RawJson::parse(&stdout)?)?;
        let is_ours = |txid: Txid| txs.iter().any(|tx| tx.compute_txid() == txid);
        match outcome.errors.iter().find(|error| !is_ours(error.txid)) {
            Some(other) => Err(BroadcastError::OtherTxid(other.txid)),
            None => Ok(outcome),
        }
    }
}

impl Broadcast for BroadcastCommand {
    fn broadcast(&self, raw_tx: &[u8]) -> Result<Txid, NodeError> {
        Ok(self.one(raw_tx)?)
    }

    fn submit_package(&self, raw_txs: &[Vec<u8>]) -> Result<PackageOutcome, NodeError> {
        Ok(self.package(raw_txs)?)
    }
}

/// The outcome of a package of which the command said no more than that it was relayed.
fn accepted(txs: &[Transaction]) -> Result<PackageOutcome, ParseJsonError> {
    let results: serde_json::Map<_, _> = txs
        .iter()
        .map(|tx| {
            let result = json!({ "txid": tx.compute_txid(), "vsize": tx.vsize() });
            (tx.compute_wtxid().to_string(), result)
        })
        .collect();
    let answer = json!({ "package_msg": "success", "tx-results": results });
    Ok(PackageOutcome {
        success: true,
        errors: Vec::new(),
        json: RawJson::parse(&answer.to_string())?,
    })
}

/// The last line that a failed command printed: `bitcoin-cli` and most others say there what is wrong.
fn reason(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let mut lines = text.lines().map(str::trim).rev();
    let line = lines.find(|line| !line.is_empty()).unwrap_or("no reason");
    let printable = line.chars().filter(|char| !char.is_control());
    printable.take(MAX_REASON).collect()
}

/// The broadcast command of a server, if it has one. Dropping it kills what is running, and starts nothing any more.
pub(crate) struct StopOnDrop(Option<Arc<BroadcastCommand>>);

impl StopOnDrop {
    pub(crate) fn new(template: Option<String>) -> Self {
        Self(template.map(|template| Arc::new(BroadcastCommand::new(template))))
    }

    pub(crate) fn command(&self) -> Option<Arc<BroadcastCommand>> {
        self.0.clone()
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(command) = &self.0 {
            command.processes.stop();
        }
    }
}
