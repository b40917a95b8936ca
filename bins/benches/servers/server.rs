//! The servers: each a process of its own in front of the same node.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::node::Node;

/// How long a server may take to build its index, and to stop.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Results are let be so large that the longest history fits in.
const MAX_RESULT: &str = "100000000";

/// So many clients are let in.
const MAX_CLIENTS: &str = "11000";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Software {
    /// Ours, with the blocks from the node's files.
    Ours,
    /// Ours, with the blocks over the node's REST interface.
    OursRest,
    /// Ours, with little memory, and killed while it builds.
    OursKilled,
    Electrs,
    ElectrumX,
}

impl Software {
    pub(crate) const ALL: [Self; 5] = [
        Self::Ours,
        Self::OursRest,
        Self::OursKilled,
        Self::Electrs,
        Self::ElectrumX,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursRest => "ours over REST",
            Self::OursKilled => "ours, 64 MiB, killed twice",
            Self::Electrs => "electrs",
            Self::ElectrumX => "ElectrumX",
        }
    }

    /// The folder of the index, beneath that of the run.
    pub(crate) fn folder(self, run: &Path) -> PathBuf {
        run.join(match self {
            Self::Ours => "ours",
            Self::OursRest => "ours-rest",
            Self::OursKilled => "ours-killed",
            Self::Electrs => "electrs",
            Self::ElectrumX => "electrumx",
        })
    }

    fn command(self, node: &Node, folder: &Path, port: u16) -> Command {
        let daemon = format!("127.0.0.1:{}", node.port);
        let listen = format!("127.0.0.1:{port}");
        if self == Self::ElectrumX {
            return electrumx(node, folder, &listen);
        }
        let mut command = match self {
            Self::Electrs => Command::new(variable("ELECTRS_EXE")),
            _ => Command::new(env!("CARGO_BIN_EXE_electrum-server")),
        };
        command
            .args(["--network", "regtest", "--skip-default-conf-files"])
            .args(["--daemon-rpc-addr", &daemon])
            .args(["--electrum-rpc-addr", &listen])
            .arg("--daemon-dir")
            .arg(&node.folder)
            .arg("--db-dir")
            .arg(folder);
        match self {
            Self::Electrs => {
                let monitoring = format!("127.0.0.1:{}", free_port());
                command.args(["--monitoring-addr", &monitoring, "--log-filters", "ERROR"]);
            }
            _ => {
                command.args(["--max-response-bytes", MAX_RESULT]);
                command.args(["--max-connections", MAX_CLIENTS]);
            }
        }
        match self {
            Self::OursRest => command.arg("--jsonrpc-import"),
            Self::OursKilled => command.args(["--db-mem-mib", "64"]),
            _ => &mut command,
        };
        command
    }
}

/// ElectrumX holds small answers back for up to a second, so that all packets have one size; that is all that a load
/// would measure, and is switched off.
const ELECTRUMX: &str = "\
import sys, electrumx.server.transport as transport
transport.PaddedRSTransport.MIN_PACKET_SIZE = 1
transport.PaddedRSTransport.WAIT_FOR_BUFFER_GROWTH_SECONDS = -1.0
program = sys.argv[1]
sys.argv = [program]
exec(compile(open(program).read(), program, 'exec'))
";

fn electrumx(node: &Node, folder: &Path, listen: &str) -> Command {
    let program = PathBuf::from(variable("ELECTRUMX_EXE"));
    let mut command = Command::new(program.with_file_name("python3"));
    command
        .args(["-c", ELECTRUMX])
        .arg(&program)
        .envs([
            ("COIN", "Bitcoin"),
            ("NET", "regtest"),
            ("DB_ENGINE", "leveldb"),
            ("ALLOW_ROOT", "1"),
            ("COST_SOFT_LIMIT", "0"),
            ("COST_HARD_LIMIT", "0"),
            ("MAX_SEND", MAX_RESULT),
            ("MAX_SESSIONS", MAX_CLIENTS),
            ("REQUEST_TIMEOUT", "600"),
            ("PEER_DISCOVERY", "off"),
            ("PEER_ANNOUNCE", ""),
            ("DAEMON_POLL_INTERVAL_BLOCKS", "100"),
            ("DAEMON_POLL_INTERVAL_MEMPOOL", "100"),
        ])
        .env("DB_DIRECTORY", folder)
        .env("SERVICES", format!("tcp://{listen}"))
        .env(
            "DAEMON_URL",
            format!("http://{}@127.0.0.1:{}/", node.cookie, node.port),
        );
    command
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set"))
}

/// A TCP port on 127.0.0.1 that nobody uses just now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A running server; it ends with the value.
pub(crate) struct Server {
    software: Software,
    child: Child,
    pub(crate) address: String,
    started: Instant,
    log: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    pub(crate) fn start(software: Software, node: &Node, run: &Path) -> io::Result<Self> {
        let folder = software.folder(run);
        fs::create_dir_all(&folder)?;
        let port = free_port();
        let log = folder.with_extension("log");
        let output = File::options().create(true).append(true).open(&log)?;
        let started = Instant::now();
        let child = software
            .command(node, &folder, port)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Self {
            software,
            child,
            address: format!("127.0.0.1:{port}"),
            started,
            log,
        })
    }

    /// Waits until the server answers, with all blocks up to `height`; the time since its start.
    ///
    /// It has to answer twice: electrs does so once between its last block and the compaction after it. And it ends when
    /// it is asked for its tip before it has one.
    pub(crate) fn wait(&mut self, height: u32) -> io::Result<Duration> {
        let log = self.log.display();
        let mut answers = 0;
        while self.started.elapsed() < PATIENCE {
            answers = match self.has_block(height) {
                Ok(true) => answers + 1,
                _ => 0,
            };
            if answers == 2 {
                return Ok(self.started.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!(
                    "it has ended, {status}; see {log}"
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(io::Error::other(format!(
            "it does not come to height {height}; see {log}"
        )))
    }

    fn has_block(&self, height: u32) -> io::Result<bool> {
        let mut client = Client::connect(&self.address, Duration::from_secs(600))?;
        let reply = client.ask("blockchain.block.header", &height.to_string())?;
        Ok(reply["result"].is_string())
    }

    /// Kills the server when it has run for so long.
    pub(crate) fn kill_after(self, duration: Duration) {
        thread::sleep(duration.saturating_sub(self.started.elapsed()));
        drop(self);
    }

    /// Ends the process at once.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The most memory that the process has had, in MiB.
    pub(crate) fn peak_mib(&self) -> f64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    }

    /// Waits until the process has nothing to do any more, or for so long; the time since its start.
    pub(crate) fn rest(&self, patience: Duration) -> Duration {
        let start = Instant::now();
        let mut busy = self.ticks();
        loop {
            let since = self.started.elapsed();
            thread::sleep(Duration::from_millis(500));
            let now = self.ticks();
            // Hundredths of a second: servers that look at the node all the time take some.
            if now - busy <= 7 || start.elapsed() > patience {
                return since;
            }
            busy = now;
        }
    }

    /// The processor time of the process, in the system's unit.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        let (_, fields) = stat.rsplit_once(") ").unwrap_or_default();
        let times = fields.split(' ').skip(11).take(2);
        times.filter_map(|time| time.parse::<u64>().ok()).sum()
    }

    /// Asks the process to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if start.elapsed() > Duration::from_secs(120) {
                eprintln!("{} does not stop, and is killed", self.software.name());
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
