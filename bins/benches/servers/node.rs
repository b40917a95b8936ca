//! The node: a real `bitcoind` on regtest that has imported the chain.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use crate::server::free_port;

/// How long the node may take to start, to import and to stop.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A running node; it ends with the value.
pub(crate) struct Node {
    child: Child,
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    /// `user:password`.
    pub(crate) cookie: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has a node import the chain, and leaves its files in `folder`.
pub(crate) fn import(folder: &Path, chain: &Path, height: u32) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let load = format!("-loadblock={}", chain.display());
    let node = Node::start(folder, &[&load])?;
    let start = Instant::now();
    loop {
        let indexes = node.rpc("getindexinfo", &[]);
        let mut indexes = indexes.as_object().unwrap().values();
        let is_indexed = indexes.all(|index| index["synced"] == true);
        if is_indexed && node.height() >= height {
            return node.stop();
        }
        assert!(
            start.elapsed() < PATIENCE,
            "the node does not import the chain"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

impl Node {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> io::Result<Self> {
        let exe = std::env::var("BITCOIND_EXE").expect("BITCOIND_EXE is set");
        let cookie_file = folder.join("regtest/.cookie");
        let _ = fs::remove_file(&cookie_file);
        let port = free_port();
        let child = Command::new(exe)
            .arg("-regtest")
            .arg(format!("-datadir={}", folder.display()))
            .arg(format!("-rpcport={port}"))
            // ElectrumX does not start without them.
            .args(["-txindex=1", "-txospenderindex=1"])
            // The last block may be years old, and the index of blocks need not be checked after every block.
            .args([
                "-maxtipage=1000000000",
                "-checkblockindex=0",
                "-checkblocks=1",
            ])
            .args([
                "-server=1",
                "-rest=1",
                "-rpcbind=127.0.0.1",
                "-rpcallowip=127.0.0.1",
            ])
            .args(["-rpcworkqueue=256", "-rpcthreads=16"])
            .args([
                "-listen=0",
                "-connect=0",
                "-dnsseed=0",
                "-fixedseeds=0",
                "-discover=0",
            ])
            .args(["-printtoconsole=0", "-dbcache=450"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let mut node = Self {
            child,
            folder: folder.to_owned(),
            port,
            cookie: String::new(),
        };
        let start = Instant::now();
        loop {
            node.cookie = fs::read_to_string(&cookie_file).unwrap_or_default();
            if !node.cookie.is_empty() && node.try_rpc("getblockcount", &[]).is_ok() {
                return Ok(node);
            }
            if let Some(status) = node.child.try_wait()? {
                return Err(io::Error::other(format!("bitcoind has ended: {status}")));
            }
            assert!(start.elapsed() < PATIENCE, "bitcoind does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops the node and waits until everything is on disk.
    pub(crate) fn stop(mut self) -> io::Result<()> {
        self.rpc("stop", &[]);
        self.child.wait().map(drop)
    }

    pub(crate) fn height(&self) -> u32 {
        self.rpc("getblockcount", &[]).as_u64().unwrap() as u32
    }

    /// Where the block files are.
    pub(crate) fn blocks(&self) -> PathBuf {
        self.folder.join("regtest/blocks")
    }

    pub(crate) fn rpc(&self, method: &str, params: &[Value]) -> Value {
        self.try_rpc(method, params)
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn try_rpc(&self, method: &str, params: &[Value]) -> io::Result<Value> {
        let body = json!({"jsonrpc": "1.0", "id": 0, "method": method, "params": params});
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        let request = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Basic {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            BASE64_STANDARD.encode(&self.cookie),
            body.len(),
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let mut reply: Value = serde_json::from_str(body)?;
        match reply["error"].take() {
            Value::Null => Ok(reply["result"].take()),
            error => Err(io::Error::other(error.to_string())),
        }
    }
}
