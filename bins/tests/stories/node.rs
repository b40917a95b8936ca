//! A Bitcoin Core on regtest, spoken to in plain JSON-RPC.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{eventually, free_port};

/// A node of our own; dropping it kills the process and removes its folder.
pub(crate) struct Node {
    process: Option<Child>,
    pub(crate) rpc_port: u16,
    arguments: Vec<String>,
    dir: TempDir,
}

impl Node {
    /// Starts a node and waits until it answers.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut node = Self {
            process: None,
            rpc_port: free_port(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            dir: TempDir::new().unwrap(),
        };
        node.resume();
        node
    }

    /// Starts the process again on the same folder and port.
    pub(crate) fn resume(&mut self) {
        assert!(self.process.is_none(), "the node is running");
        let log = File::create(self.dir.path().join("stderr.log")).unwrap();
        let process = Command::new(executable())
            .arg(format!("-datadir={}", self.dir.path().display()))
            .arg(format!("-rpcport={}", self.rpc_port))
            .args(["-regtest", "-server", "-rest=1", "-listen=0", "-dnsseed=0"])
            .args([
                "-rpcbind=127.0.0.1",
                "-rpcallowip=127.0.0.1",
                "-printtoconsole=0",
            ])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        eventually("bitcoind starts", || {
            if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                let log = std::fs::read_to_string(self.dir.path().join("stderr.log")).unwrap();
                panic!("bitcoind ended with {status}: {log}");
            }
            self.try_rpc("getblockchaininfo", json!([]))
        });
    }

    /// Stops the process as its own command does, and waits for its end.
    pub(crate) fn stop(&mut self) {
        self.rpc("stop", json!([]));
        let mut process = self.process.take().unwrap();
        eventually("bitcoind stops", || match process.try_wait().unwrap() {
            Some(_) => Ok(()),
            None => Err("it still runs".into()),
        });
    }

    /// The data folder, without the network's part.
    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.path().to_path_buf()
    }

    pub(crate) fn cookie_file(&self) -> PathBuf {
        self.dir.path().join("regtest/.cookie")
    }

    pub(crate) fn rpc_addr(&self) -> String {
        format!("127.0.0.1:{}", self.rpc_port)
    }

    /// Calls a method; the test ends when the node refuses.
    pub(crate) fn rpc(&self, method: &str, params: Value) -> Value {
        self.try_rpc(method, params).unwrap()
    }

    /// Calls a method; the error is the node's own.
    pub(crate) fn try_rpc(&self, method: &str, params: Value) -> Result<Value, String> {
        let cookie = std::fs::read_to_string(self.cookie_file()).map_err(|e| e.to_string())?;
        let body = json!({"id": 0, "method": method, "params": params}).to_string();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: node\r\nConnection: close\r\nAuthorization: Basic {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            base64::engine::general_purpose::STANDARD.encode(cookie),
            body.len()
        );
        let reply = self
            .exchange(&head, &body)
            .map_err(|error| format!("{method}: {error}"))?;
        let text = reply
            .split_once("\r\n\r\n")
            .map_or(reply.as_str(), |(_, body)| body);
        let mut reply: Value =
            serde_json::from_str(text).map_err(|error| format!("{method}: {error}: {reply}"))?;
        match reply["error"].take() {
            Value::Null => Ok(reply["result"].take()),
            error => Err(format!("{method}: {error}")),
        }
    }

    fn exchange(&self, head: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.rpc_addr())?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.write_all(format!("{head}{body}").as_bytes())?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply)
    }

    pub(crate) fn tip(&self) -> String {
        self.rpc("getbestblockhash", json!([]))
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn height(&self) -> u64 {
        self.rpc("getblockcount", json!([])).as_u64().unwrap()
    }

    /// Mines `count` blocks with what is in the mempool; their hashes.
    pub(crate) fn mine(&self, count: u32, address: &str) -> Vec<String> {
        let hashes = self.rpc("generatetoaddress", json!([count, address]));
        serde_json::from_value(hashes).unwrap()
    }

    /// Mines one block with exactly these transactions (ids from the mempool, or whole in hex).
    pub(crate) fn mine_only(&self, transactions: &[String], address: &str) -> String {
        let block = self.rpc("generateblock", json!([address, transactions]));
        block["hash"].as_str().unwrap().to_owned()
    }

    pub(crate) fn broadcast(&self, transaction: &bitcoin::Transaction) -> String {
        let hex = bitcoin::consensus::encode::serialize_hex(transaction);
        // No limit on the fee rate: a test pays what it likes.
        self.rpc("sendrawtransaction", json!([hex, 0, 21_000_000]))
            .as_str()
            .unwrap()
            .to_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn executable() -> PathBuf {
    if let Some(path) = std::env::var_os("BITCOIND_EXE") {
        return path.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .unwrap_or_default()
        .join("electrum-server");
    let built = std::fs::read_dir(&cache)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/bitcoind")))
        .find(|path| path.exists());
    built.expect("set BITCOIND_EXE, or run the tests with contrib/test.sh, which builds a bitcoind")
}
