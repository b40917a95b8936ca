//! The real Electrum wallet, unmodified, in front of our server in front of a real node.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Amount, Network, ScriptBuf};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::{RegtestNode, Script, spend};
use crate::server::Server;
use crate::within;

/// The wallet is slow to start and asks at its own pace.
const PATIENCE: Duration = Duration::from_secs(120);
const COIN: u64 = 100_000_000;

#[test]
fn electrum_receives_pays_and_survives_a_reorg() {
    let Some(program) = electrum() else {
        eprintln!("left out, as SKIP_ELECTRUM_WALLET says");
        return;
    };
    let node = RegtestNode::start();
    node.mine(1, &Script::new(0));
    node.mine(109, &Script::new(1));
    let server = Server::start(&node);
    let wallet = Wallet::start(program, server.port);

    wallet.eventually("it is connected and has all headers", || {
        wallet.follows(&node)
    });
    wallet.run(&["load_wallet"]);
    let own = wallet.run(&["getunusedaddress"]);
    wallet.has_balance(0, 0);

    // Receive.
    let coin = node.coinbase(1, &Script::new(0));
    let outputs = [
        (script_of(&own), Amount::from_sat(2 * COIN)),
        (
            Script::new(2).output_script(),
            coin.value - Amount::from_sat(2 * COIN + 10_000),
        ),
    ];
    let funding_id = node.send(&spend(&[coin], &outputs)).to_string();
    wallet.has_balance(0, 2 * COIN);
    node.mine(1, &Script::new(1));
    wallet.has_balance(2 * COIN, 0);
    wallet.has_verified(&funding_id, 1);

    // Pay.
    let payment = wallet.run(&[
        "payto",
        &Script::new(3).address().to_string(),
        "0.5",
        "-f",
        "0.0001",
    ]);
    let payment_id = wallet.run(&["broadcast", &payment]);
    let mempool: Vec<String> = node.mempool().iter().map(ToString::to_string).collect();
    assert_eq!(
        mempool,
        std::slice::from_ref(&payment_id),
        "the node has what the wallet broadcast"
    );
    let left = 2 * COIN - COIN / 2 - 10_000;
    wallet.has_spent(left);
    let block = node.mine(1, &Script::new(1));
    wallet.has_balance(left, 0);
    wallet.has_verified(&payment_id, 1);

    // The block with the payment is replaced by two without it.
    node.invalidate(block[0]);
    node.mine_exactly(&[], &Script::new(4));
    node.mine_exactly(&[], &Script::new(4));
    wallet.eventually("it follows the reorg", || wallet.follows(&node));
    wallet.is_unconfirmed(&payment_id);
    node.mine(1, &Script::new(4));
    wallet.has_balance(left, 0);
    wallet.has_verified(&payment_id, 1);
    wallet.has_verified(&funding_id, 4);

    // And the block with the funding as well: everything is unconfirmed, then confirmed again.
    let height = node.height();
    node.invalidate(node.block_hash(height - 3));
    for _ in 0..5 {
        node.mine_exactly(&[], &Script::new(5));
    }
    wallet.eventually("it follows the longer reorg", || wallet.follows(&node));
    wallet.is_unconfirmed(&funding_id);
    // The wallet's payment may name a height that the chain had lost for a moment: the node then forgot
    // it, and the user sends it again.
    wallet.run(&["broadcast", &payment]);
    node.mine(1, &Script::new(5));
    wallet.has_balance(left, 0);
    wallet.has_verified(&funding_id, 1);
    wallet.has_verified(&payment_id, 1);
    wallet.run(&["stop"]);
}

pub(crate) fn script_of(address: &str) -> ScriptBuf {
    let address: Address<NetworkUnchecked> = address.parse().unwrap();
    address
        .require_network(Network::Regtest)
        .unwrap()
        .script_pubkey()
}

/// How to start the wallet; `None` when it is to be left out.
pub(crate) fn electrum() -> Option<Vec<PathBuf>> {
    if std::env::var("SKIP_ELECTRUM_WALLET").is_ok_and(|value| value == "1") {
        return None;
    }
    if let Some(program) = std::env::var_os("ELECTRUM_EXE") {
        return Some(vec![program.into()]);
    }
    // Debian's wallet belongs to Debian's interpreter, whatever else is first in PATH.
    let installed: Vec<PathBuf> = vec!["/usr/bin/python3".into(), "/usr/bin/electrum".into()];
    assert!(
        installed.iter().all(|path| path.exists()),
        "the Electrum wallet is missing: run the tests with contrib/test.sh, which installs it, or \
         set ELECTRUM_EXE; SKIP_ELECTRUM_WALLET=1 leaves its story out"
    );
    Some(installed)
}

/// A wallet's daemon and its folder; dropping it kills the daemon.
pub(crate) struct Wallet {
    program: Vec<PathBuf>,
    daemon: Option<Child>,
    pub(crate) dir: TempDir,
    /// `HOST:PORT:t`, or `s` for TLS; once there is one.
    server: String,
}

impl Wallet {
    pub(crate) fn start(program: Vec<PathBuf>, port: u16) -> Self {
        Self::start_at(program, &format!("127.0.0.1:{port}:t"))
    }

    /// Connects to `HOST:PORT:t`, or `HOST:PORT:s` for TLS.
    pub(crate) fn start_at(program: Vec<PathBuf>, server: &str) -> Self {
        let mut wallet = Self::offline(program, &["create"]);
        wallet.server = server.to_owned();
        wallet.spawn();
        wallet
    }

    /// Makes a wallet file, and connects to nothing.
    pub(crate) fn offline(program: Vec<PathBuf>, make: &[&str]) -> Self {
        let wallet = Self {
            program,
            daemon: None,
            dir: TempDir::new().unwrap(),
            server: String::new(),
        };
        wallet.run(&[&["--offline"], make].concat());
        wallet
    }

    /// Starts the wallet's daemon with one server, and no other.
    pub(crate) fn connect(&mut self, port: u16) {
        self.server = format!("127.0.0.1:{port}:t");
        self.spawn();
    }

    fn spawn(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("daemon.log"))
            .unwrap();
        let daemon = command(&self.program, &self.dir)
            .args(["-v", "daemon", "-s", &self.server, "-1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
        // A command that comes while the daemon writes its password makes one of its own, and is refused from then on.
        let socket = self.dir.path().join("wallet/regtest/daemon_rpc_socket");
        self.eventually("the daemon listens", || match socket.exists() {
            true => Ok(()),
            false => Err(format!("there is no {}", socket.display())),
        });
    }

    /// Ends the daemon and starts another one on the same folder.
    pub(crate) fn restart(&mut self) {
        self.run(&["stop"]);
        if let Some(mut daemon) = self.daemon.take() {
            daemon.wait().unwrap();
        }
        self.spawn();
    }

    /// Runs one of the wallet's commands; what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        self.try_run(arguments).unwrap()
    }

    pub(crate) fn try_run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = command(&self.program, &self.dir)
            .args(arguments)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match output.status.success() {
            true => Ok(printed),
            false => Err(format!(
                "electrum {}: {printed} {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr)
            )),
        }
    }

    pub(crate) fn ask(&self, arguments: &[&str]) -> Result<Value, String> {
        let printed = self.try_run(arguments)?;
        serde_json::from_str(&printed).map_err(|error| format!("{error}: {printed}"))
    }

    pub(crate) fn eventually(&self, what: &str, attempt: impl FnMut() -> Result<(), String>) {
        within(PATIENCE, what, attempt);
    }

    /// Connected, at the node's height, and with every header of the node's chain.
    pub(crate) fn follows(&self, node: &RegtestNode) -> Result<(), String> {
        self.is_at(node.height())
    }

    /// Connected, at this height, and with every header.
    pub(crate) fn is_at(&self, height: u32) -> Result<(), String> {
        let state = self.ask(&["getinfo"])?;
        let height = json!(height);
        let good = state["connected"] == json!(true)
            && state["server_height"] == height
            && state["blockchain_height"] == height;
        if good { Ok(()) } else { Err(state.to_string()) }
    }

    /// Confirmed (which to this wallet means proven) and unconfirmed balance in sats.
    pub(crate) fn has_balance(&self, confirmed: u64, unconfirmed: u64) {
        self.eventually("the balance is right", || {
            let balance = self.ask(&["getbalance"])?;
            let good = amount(&balance["confirmed"]) == confirmed
                && amount(&balance["unconfirmed"]) == unconfirmed;
            if good {
                Ok(())
            } else {
                Err(balance.to_string())
            }
        });
    }

    /// Whatever is confirmed of it, this much is left.
    pub(crate) fn has_spent(&self, left: u64) {
        self.eventually("the payment is counted", || {
            let balance = self.ask(&["getbalance"])?;
            // Unconfirmed is negative when what was spent was confirmed.
            let total: f64 = ["confirmed", "unconfirmed"]
                .iter()
                .map(|key| coins(&balance[key]))
                .sum();
            if sats(total) == left {
                Ok(())
            } else {
                Err(balance.to_string())
            }
        });
    }

    pub(crate) fn has_verified(&self, txid: &str, confirmations: u64) {
        self.eventually("the transaction's proof is verified", || {
            let entry = self.history_entry(txid)?;
            let good = entry["confirmations"] == json!(confirmations)
                && entry["height"].as_u64().is_some_and(|height| height > 0);
            if good { Ok(()) } else { Err(entry.to_string()) }
        });
    }

    pub(crate) fn is_unconfirmed(&self, txid: &str) {
        self.eventually("the transaction is unconfirmed again", || {
            let entry = self.history_entry(txid)?;
            let good = entry["confirmations"] == json!(0) && entry["height"] == json!(0);
            if good { Ok(()) } else { Err(entry.to_string()) }
        });
    }

    fn history_entry(&self, txid: &str) -> Result<Value, String> {
        let history = self.ask(&["onchain_history"])?;
        let entries = history["transactions"]
            .as_array()
            .ok_or_else(|| history.to_string())?;
        let entry = entries.iter().find(|entry| entry["txid"] == json!(txid));
        entry
            .cloned()
            .ok_or_else(|| format!("no {txid} in {history}"))
    }
}

impl Drop for Wallet {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("daemon.log"));
            let log = log.unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("the wallet's last words:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}

fn command(program: &[PathBuf], dir: &TempDir) -> Command {
    let mut command = Command::new(&program[0]);
    command
        .args(&program[1..])
        .arg("--regtest")
        .arg("-D")
        .arg(dir.path().join("wallet"));
    command.current_dir(dir.path()).env("HOME", dir.path());
    command
}

/// The wallet leaves an amount out when it is nothing.
fn coins(text: &Value) -> f64 {
    text.as_str().map_or(0.0, |text| text.parse().unwrap())
}

fn amount(text: &Value) -> u64 {
    sats(coins(text))
}

fn sats(coins: f64) -> u64 {
    (coins * 1e8).round() as u64
}
