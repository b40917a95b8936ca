//! Our server as a process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use crate::eventually;
use crate::node::{RegtestNode, free_port};
use crate::wire::Wire;

/// A running electrum-server with its folder; dropping it kills the process.
pub(crate) struct Server {
    process: Option<Child>,
    pub(crate) port: u16,
    arguments: Vec<String>,
    /// Given after the others, whose place they take where they have the same names.
    overrides: Vec<String>,
    /// How much address space the process may have, in KiB, if that is limited.
    address_space: Option<u32>,
    dir: TempDir,
}

impl Server {
    /// Starts a server on a fresh index and waits until it answers.
    pub(crate) fn start(node: &RegtestNode) -> Self {
        Self::start_with(node, &[])
    }

    pub(crate) fn start_with(node: &RegtestNode, more: &[&str]) -> Self {
        let mut server = Self::spawn(node, more);
        server.wait_until_ready();
        server
    }

    /// Starts the process and does not wait.
    pub(crate) fn spawn(node: &RegtestNode, more: &[&str]) -> Self {
        let mut server = Self::prepare(node, more);
        server.resume();
        server
    }

    /// Makes everything ready for a process on a fresh index.
    pub(crate) fn prepare(node: &RegtestNode, more: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let port = free_port();
        let mut arguments: Vec<String> = [
            "--network",
            "regtest",
            "--daemon-dir",
            node.daemon_dir().to_str().unwrap(),
            "--daemon-rpc-addr",
            &node.rpc_address(),
            "--db-dir",
            dir.path().join("db").to_str().unwrap(),
            "--electrum-rpc-addr",
            &format!("127.0.0.1:{port}"),
            "--skip-default-conf-files",
        ]
        .map(ToOwned::to_owned)
        .into();
        arguments.extend(more.iter().map(ToString::to_string));
        Self {
            process: None,
            port,
            arguments,
            overrides: Vec::new(),
            address_space: None,
            dir,
        }
    }

    /// Limits the address space of the process from the next start on.
    pub(crate) fn limit_address_space(&mut self, kib: u32) {
        self.address_space = Some(kib);
    }

    /// Gives more arguments to the next start.
    pub(crate) fn add_arguments(&mut self, more: &[&str]) {
        self.arguments.extend(more.iter().map(ToString::to_string));
    }

    /// Gives arguments that take the place of those with the same names, until others are given.
    pub(crate) fn set_overrides(&mut self, arguments: &[&str]) {
        self.overrides = arguments.iter().map(ToString::to_string).collect();
    }

    /// Starts the process again on the same index and port, and does not wait.
    pub(crate) fn resume(&mut self) {
        assert!(self.process.is_none(), "the server is running");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .unwrap();
        let mut command = command("electrum-server", self.dir.path());
        if let Some(kib) = self.address_space {
            let program = command.get_program().to_owned();
            command = shell(self.dir.path());
            command
                .args(["-c", "ulimit -v \"$0\"; exec \"$@\"", &kib.to_string()])
                .arg(program);
        }
        let process = command
            .args(&self.arguments)
            .args(&self.overrides)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
    }

    pub(crate) fn wait_until_ready(&mut self) {
        eventually("the server answers", || {
            if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            Wire::try_connect(self.port).map(drop)
        });
    }

    /// The folder of all networks' indexes.
    pub(crate) fn db_dir(&self) -> PathBuf {
        self.dir.path().join("db")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    /// All that the server logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap()
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::try_connect(self.port).unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    /// Connects without a word; fails when nothing listens.
    pub(crate) fn connect_silently(&self) -> Result<Wire, String> {
        Wire::try_connect_silently(self.port)
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.process.as_ref().unwrap().id().to_string();
        let status = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status()
            .unwrap();
        assert!(status.success(), "kill -{name} {pid}");
    }

    /// Waits for the end of the process.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        eventually("the server ends", || match process.try_wait().unwrap() {
            Some(status) => Ok(status),
            None => Err(self.log()),
        })
    }

    /// Stops the server as an operator does; it must end with status 0.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "after SIGTERM:\n{}", self.log());
    }

    /// Kills the server where it stands.
    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        self.wait();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|process| process.try_wait().unwrap().is_none())
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let pid = self.process.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the server's last words:");
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A shell, as [`command`] starts our programs.
fn shell(dir: &Path) -> Command {
    clean(Command::new("sh"), dir)
}

/// One of our programs, with nothing of ours in the environment and `dir` as working folder and home.
pub(crate) fn command(program: &str, dir: &Path) -> Command {
    // What is measured is an optimized build, whatever the measuring is.
    let other = std::env::var_os("SERVER_EXE").filter(|_| program == "electrum-server");
    let path = match program {
        _ if other.is_some() => other.unwrap_or_default(),
        "electrum-server" => env!("CARGO_BIN_EXE_electrum-server").into(),
        "electrum-tools" => env!("CARGO_BIN_EXE_electrum-tools").into(),
        other => panic!("{other} is not ours"),
    };
    clean(Command::new(path), dir)
}

fn clean(mut command: Command, dir: &Path) -> Command {
    command
        .current_dir(dir)
        .env("HOME", dir)
        .env_remove("RUST_LOG");
    for (name, _) in std::env::vars() {
        if name.starts_with("ELECTRS_") || name.starts_with("ELECTRUM_SERVER_") {
            command.env_remove(name);
        }
    }
    command
}
