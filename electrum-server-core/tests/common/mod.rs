//! A Bitcoin Core node on regtest for one test, and coins that anyone can spend.
//!
//! [`RegtestNode`] starts the program that the environment variable `BITCOIND_EXE` names, on
//! 127.0.0.1, with its files in a temporary folder, and ends it when dropped. The node needs no wallet:
//! [`Script`] makes addresses whose coins are spent by revealing a script, without any key.
//!
//! Needs `bitcoin`, `serde_json` and `tempfile`; nothing else. Everything panics on failure, as tests do.
//!
//! ```ignore
//! let node = RegtestNode::start();
//! let miner = Script::new(0);
//! node.mine(101, &miner);
//! let coin = node.coinbase(1, &miner);
//! let payment = spend(&[coin], &[(Script::new(7).output_script(), Amount::from_sat(10_000))]);
//! node.send(&payment);
//! ```

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::unwrap_used
)]

mod coins;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Block, BlockHash, Transaction, Txid};
use serde_json::{Value, json};

pub use coins::{Coin, Script, pay, spend};

/// How long a node may take to start, to stop, or to reach an awaited state.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node of its own for one test. Dropping it ends the process and removes its files.
#[derive(Debug)]
pub struct RegtestNode {
    folder: tempfile::TempDir,
    child: Option<Child>,
    rpc_port: u16,
    arguments: Vec<String>,
}

impl RegtestNode {
    /// Starts a node with REST on and every default of Bitcoin Core.
    pub fn start() -> Self {
        Self::start_with(&["-rest=1"])
    }

    /// Starts a node with exactly these arguments beside those that regtest, the temporary folder and the
    /// ports need.
    pub fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("regtest-")
            .tempdir()
            .unwrap();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut node = Self {
            folder,
            child: None,
            rpc_port: free_port(),
            arguments,
        };
        node.launch();
        node
    }

    /// The node's data directory: what a server takes as `--daemon-dir`. The regtest files, the cookie
    /// among them, are in its subfolder `regtest`.
    pub fn daemon_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The cookie file of the running node.
    pub fn cookie_file(&self) -> PathBuf {
        self.folder.path().join("regtest").join(".cookie")
    }

    /// The TCP port of RPC and REST, on 127.0.0.1. It stays the same over restarts.
    pub fn rpc_port(&self) -> u16 {
        self.rpc_port
    }

    /// `127.0.0.1:PORT` of RPC and REST: what a server takes as `--daemon-rpc-addr`.
    pub fn rpc_address(&self) -> String {
        format!("127.0.0.1:{}", self.rpc_port)
    }

    /// The process id of the running node.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Changes the arguments for the next [`launch`](Self::launch).
    pub fn set_arguments(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(ToString::to_string).collect();
    }

    /// Asks the node to stop and waits until it has: the mempool is saved.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = self.try_rpc("stop", &[]);
            wait_for("the node to stop", || child.try_wait().unwrap().is_some());
        }
    }

    /// Ends the node at once. What it had not written is lost: usually all blocks since its start, and the mempool.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts the node again after [`stop`](Self::stop) or [`kill`](Self::kill), with the same files and
    /// ports, and waits until it answers.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "the node is running");
        for _ in 0..5 {
            // A cookie that a killed node left behind would be mistaken for the new one.
            let _ = std::fs::remove_file(self.cookie_file());
            let mut child = Command::new(bitcoind_exe())
                .arg("-regtest")
                .arg(format!("-datadir={}", self.folder.path().display()))
                .arg(format!("-rpcport={}", self.rpc_port))
                .args(["-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1", "-server=1"])
                .args([
                    "-listen=0",
                    "-connect=0",
                    "-dnsseed=0",
                    "-fixedseeds=0",
                    "-discover=0",
                ])
                .args([
                    "-printtoconsole=0",
                    "-debuglogfile=debug.log",
                    "-dbcache=16",
                ])
                .args(&self.arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("bitcoind starts");
            let begin = Instant::now();
            loop {
                if self.cookie_file().exists() && self.try_rpc("getblockchaininfo", &[]).is_ok() {
                    self.child = Some(child);
                    return;
                }
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                assert!(begin.elapsed() < PATIENCE, "bitcoind does not answer");
                std::thread::sleep(Duration::from_millis(20));
            }
            let mut said = String::new();
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut said)
                .unwrap();
            eprintln!("bitcoind ended while starting: {said}");
            // Somebody else may have taken the port since it was found free.
            self.rpc_port = free_port();
        }
        panic!("bitcoind does not start");
    }

    /// Calls an RPC method; an error reply or an unreachable node fails the test.
    #[track_caller]
    pub fn rpc(&self, method: &str, params: &[Value]) -> Value {
        match self.try_rpc(method, params) {
            Ok(result) => result,
            Err(error) => panic!("{method} {params:?}: {error}"),
        }
    }

    /// Calls an RPC method. `Err` is the node's error object, or a string when the node cannot be reached.
    pub fn try_rpc(&self, method: &str, params: &[Value]) -> Result<Value, Value> {
        let text = |error: std::io::Error| Value::String(error.to_string());
        let cookie = std::fs::read_to_string(self.cookie_file()).map_err(text)?;
        let body =
            json!({"jsonrpc": "1.0", "id": 0, "method": method, "params": params}).to_string();
        let mut stream = TcpStream::connect(self.rpc_address()).map_err(text)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
        // In one piece: the second of two would wait until the node acknowledges the first, 40 milliseconds each time.
        let request = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Basic {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            base64(cookie.as_bytes()),
            body.len(),
        );
        stream.write_all(request.as_bytes()).map_err(text)?;
        let (head, body) = read_answer(stream).map_err(text)?;
        let mut reply: Value = serde_json::from_slice(&body)
            .map_err(|_| Value::String(format!("not an RPC reply: {head}")))?;
        match reply["error"].take() {
            Value::Null => Ok(reply["result"].take()),
            error => Err(error),
        }
    }

    /// Mines empty or mempool-filled blocks that pay to `script`; their hashes, lowest first.
    #[track_caller]
    pub fn mine(&self, count: u32, script: &Script) -> Vec<BlockHash> {
        let hashes = self.rpc(
            "generatetoaddress",
            &[json!(count), json!(script.address().to_string())],
        );
        hashes
            .as_array()
            .unwrap()
            .iter()
            .map(|hash| hash.as_str().unwrap().parse().unwrap())
            .collect()
    }

    /// Mines one block with exactly these transactions, in this order, whether or not they are in the
    /// mempool; what conflicts with them leaves the mempool.
    #[track_caller]
    pub fn mine_exactly(&self, transactions: &[Transaction], script: &Script) -> BlockHash {
        let raw: Vec<String> = transactions.iter().map(serialize_hex).collect();
        let answer = self.rpc(
            "generateblock",
            &[json!(script.address().to_string()), json!(raw)],
        );
        answer["hash"].as_str().unwrap().parse().unwrap()
    }

    /// Takes this block and all above it out of the active chain; their transactions return to the mempool.
    #[track_caller]
    pub fn invalidate(&self, hash: BlockHash) {
        self.rpc("invalidateblock", &[json!(hash.to_string())]);
    }

    /// Takes back an [`invalidate`](Self::invalidate): the block's chain may become the active one again.
    #[track_caller]
    pub fn reconsider(&self, hash: BlockHash) {
        self.rpc("reconsiderblock", &[json!(hash.to_string())]);
    }

    /// Puts a transaction into the node's mempool.
    #[track_caller]
    pub fn send(&self, transaction: &Transaction) -> Txid {
        let txid = self.rpc(
            "sendrawtransaction",
            &[json!(serialize_hex(transaction)), json!(0)],
        );
        txid.as_str().unwrap().parse().unwrap()
    }

    /// The height of the tip.
    #[track_caller]
    pub fn height(&self) -> u32 {
        self.rpc("getblockcount", &[])
            .as_u64()
            .unwrap()
            .try_into()
            .unwrap()
    }

    /// The hash of the tip.
    #[track_caller]
    pub fn tip_hash(&self) -> BlockHash {
        self.rpc("getbestblockhash", &[])
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// The hash of the active chain's block at a height.
    #[track_caller]
    pub fn block_hash(&self, height: u32) -> BlockHash {
        self.rpc("getblockhash", &[json!(height)])
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// A block, of the active chain or stale.
    #[track_caller]
    pub fn block(&self, hash: BlockHash) -> Block {
        deserialize_hex(
            self.rpc("getblock", &[json!(hash.to_string()), json!(0)])
                .as_str()
                .unwrap(),
        )
        .unwrap()
    }

    /// Txids of the mempool, in no order.
    #[track_caller]
    pub fn mempool(&self) -> Vec<Txid> {
        let txids = self.rpc("getrawmempool", &[]);
        txids
            .as_array()
            .unwrap()
            .iter()
            .map(|txid| txid.as_str().unwrap().parse().unwrap())
            .collect()
    }

    /// A transaction of the mempool.
    #[track_caller]
    pub fn mempool_transaction(&self, txid: Txid) -> Transaction {
        deserialize_hex(
            self.rpc("getrawtransaction", &[json!(txid.to_string())])
                .as_str()
                .unwrap(),
        )
        .unwrap()
    }

    /// The coin of the active chain's coinbase at `height`, which paid to `script`. It can be spent when 100
    /// blocks are on top of it.
    #[track_caller]
    pub fn coinbase(&self, height: u32, script: &Script) -> Coin {
        let block = self.block(self.block_hash(height));
        Coin::of(&block.txdata[0], 0, script)
    }
}

/// Reads an answer up to its end as its head tells it: the node takes its time to close the connection.
fn read_answer(stream: TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}

impl Drop for RegtestNode {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Repeats `condition` until it holds; fails the test after a minute.
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The program that the tests start.
pub fn bitcoind_exe() -> PathBuf {
    std::env::var_os("BITCOIND_EXE").map(PathBuf::from).unwrap_or_else(|| {
        panic!(
            "BITCOIND_EXE is not set; \
             run: export BITCOIND_EXE=\"$(contrib/bitcoind.sh)\" (it builds bitcoind once and caches it)"
        )
    })
}

/// A TCP port of 127.0.0.1 that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0u32, |group, i| {
            group << 8 | u32::from(*chunk.get(i).unwrap_or(&0))
        });
        for i in 0..4 {
            let letter = ALPHABET[(group >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}
