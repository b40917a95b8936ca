//! The servers that are compared, each in its own process in front of the same node.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::compare::Outcome;

/// Where the node is, as the servers are told.
pub(crate) struct NodeAddress<'a> {
    pub data_dir: &'a Path,
    pub rpc_port: u16,
    /// `user:password` of the cookie.
    pub cookie: &'a str,
}

/// A running server; it ends with the value.
pub(crate) struct Server {
    pub name: &'static str,
    child: Child,
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub(crate) fn ours(exe: &str, node: &NodeAddress<'_>, dir: &Path, port: u16) -> Self {
        let mut command = Command::new(exe);
        command
            .args(["--network", "regtest", "--skip-default-conf-files"])
            .arg("--daemon-dir")
            .arg(node.data_dir)
            .args(["--daemon-rpc-addr", &format!("127.0.0.1:{}", node.rpc_port)])
            .arg("--db-dir")
            .arg(dir.join("ours"))
            .args(["--electrum-rpc-addr", &format!("127.0.0.1:{port}")]);
        Self::start("ours", command, port)
    }

    pub(crate) fn electrs(exe: &str, node: &NodeAddress<'_>, dir: &Path, ports: [u16; 2]) -> Self {
        let [port, monitoring] = ports;
        let mut command = Command::new(exe);
        command
            .args(["--network", "regtest", "--skip-default-conf-files"])
            .arg("--daemon-dir")
            .arg(node.data_dir)
            .args(["--daemon-rpc-addr", &format!("127.0.0.1:{}", node.rpc_port)])
            .arg("--db-dir")
            .arg(dir.join("electrs"))
            .args(["--electrum-rpc-addr", &format!("127.0.0.1:{port}")])
            .args(["--monitoring-addr", &format!("127.0.0.1:{monitoring}")]);
        Self::start("electrs", command, port)
    }

    pub(crate) fn electrumx(exe: &str, node: &NodeAddress<'_>, dir: &Path, port: u16) -> Self {
        let data = dir.join("electrumx");
        std::fs::create_dir_all(&data).expect("the temporary folder can be written");
        let mut command = Command::new(exe);
        command
            .env("COIN", "Bitcoin")
            .env("NET", "regtest")
            .env("DB_ENGINE", "leveldb")
            .env("DB_DIRECTORY", data)
            .env(
                "DAEMON_URL",
                format!("http://{}@127.0.0.1:{}/", node.cookie, node.rpc_port),
            )
            .env("SERVICES", format!("tcp://127.0.0.1:{port}"))
            .env("ALLOW_ROOT", "1")
            .env("COST_SOFT_LIMIT", "0")
            .env("COST_HARD_LIMIT", "0")
            .env("PEER_DISCOVERY", "off")
            .env("PEER_ANNOUNCE", "")
            .env("DAEMON_POLL_INTERVAL_BLOCKS", "100")
            .env("DAEMON_POLL_INTERVAL_MEMPOOL", "100");
        Self::start("ElectrumX", command, port)
    }

    fn start(name: &'static str, mut command: Command, port: u16) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { name, child, port }
    }

    /// Asks for the mempool history of a script until the server knows the node's mempool.
    pub(crate) fn wait_until_it_shows(&self, script_hash: &str, entries: usize) {
        let deadline = Instant::now() + Duration::from_secs(120);
        let request = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"blockchain.scripthash.get_history","params":["{script_hash}"]}}"#
        );
        while Instant::now() < deadline {
            // electrs asks the node every ten seconds, or when it gets this signal.
            let pid = self.child.id().to_string();
            let signal = if self.name == "electrs" {
                "-USR1"
            } else {
                "-0"
            };
            let _ = Command::new("kill").args([signal, &pid]).status();
            if let Ok(mut connection) = Connection::open(self, "1.4")
                && let Outcome::Result(Value::Array(history)) = connection.ask(&request)
                && history.len() >= entries
            {
                return;
            }
            thread::sleep(Duration::from_millis(200));
        }
        panic!(
            "{} does not show {entries} entries of {script_hash}",
            self.name
        );
    }
}

/// A session that has negotiated.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(server: &Server, version: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", server.port))?;
        stream.set_nodelay(true)?;
        // Silence is an answer too; a server that only hesitates is quicker than this.
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        let mut connection = Self {
            reader: BufReader::new(stream),
        };
        let line = format!(
            r#"{{"jsonrpc":"2.0","id":"version","method":"server.version","params":["differential","{version}"]}}"#
        );
        match connection.ask(&line) {
            Outcome::Result(_) => Ok(connection),
            other => Err(io::Error::other(other.to_string())),
        }
    }

    /// Sends one line and waits for its reply; notifications that come in between are passed over.
    pub(crate) fn ask(&mut self, line: &str) -> Outcome {
        let sent = self
            .reader
            .get_mut()
            .write_all(format!("{line}\n").as_bytes());
        if sent.is_err() {
            return Outcome::Closed;
        }
        loop {
            let mut reply = String::new();
            match self.reader.read_line(&mut reply) {
                Ok(0) => return Outcome::Closed,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Outcome::Silence,
                Err(_) => return Outcome::Closed,
            }
            let Ok(reply) = serde_json::from_str::<Value>(&reply) else {
                return Outcome::Result(Value::String(format!("not JSON: {reply}")));
            };
            if reply.get("method").is_none() {
                return Outcome::from_reply(&reply);
            }
        }
    }
}
