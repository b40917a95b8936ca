//! What the server leaves on the disk: who may read it, and what happens when there is no more space.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::eventually;
use crate::node::{RegtestNode, Script, free_port};
use crate::script_hash;
use crate::server::Server;
use crate::transports::get;

/// A folder and everything in it.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(below(&path)),
            false => found.push(path),
        }
    }
    found
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn assert_private(folder: &Path) {
    let all = below(folder);
    assert!(all.len() > 10, "{all:?}");
    for path in all {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        let found = mode(&path);
        assert_eq!(found, expected, "{} has mode {found:o}", path.display());
    }
}

fn eventually_at(server: &Server, height: u32) {
    eventually("the server is at the height", || {
        let tip = server
            .connect()
            .call("blockchain.headers.subscribe", json!([]));
        match tip["height"].as_u64() == Some(height.into()) {
            true => Ok(()),
            false => Err(tip.to_string()),
        }
    });
}

/// Blocks, a reorganization, and a restart; of some wallets, and of the whole chain, built in bulk and merged.
#[test]
fn the_index_is_for_its_owner_only() {
    let node = RegtestNode::start();
    let miner = Script::new(0);
    node.mine(600, &miner);
    let wallet = format!("own=addr({})", miner.address());
    let personal = ["--wallet", wallet.as_str(), "--wallet-birth", "0"];
    for more in [&personal[..], &[]] {
        let mut server = Server::start_with(&node, more);
        let blocks = node.mine(3, &miner);
        eventually_at(&server, node.height());
        node.invalidate(blocks[1]);
        node.mine(4, &Script::new(1));
        eventually_at(&server, node.height());
        server.stop();
        server.resume();
        server.wait_until_ready();
        node.mine(1, &miner);
        eventually_at(&server, node.height());
        assert_private(&server.db_dir());
        assert!(
            !server.log().contains("took the permissions"),
            "{}",
            server.log()
        );
        server.stop();

        // As an earlier version has left it.
        let index = server.db_dir().join("regtest");
        for path in below(&index) {
            let open = if path.is_dir() { 0o755 } else { 0o644 };
            fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
        }
        let elsewhere = server.db_dir().join("elsewhere");
        fs::write(&elsewhere, "not ours").unwrap();
        fs::set_permissions(&elsewhere, Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&elsewhere, index.join("link.jnl.old")).unwrap();
        server.resume();
        server.wait_until_ready();
        let log = server.log();
        let told = log
            .matches("took the permissions of group and others")
            .count();
        // The whole chain is no secret: whoever was let in stays so.
        assert_eq!(told, usize::from(!more.is_empty()), "{log}");
        assert_eq!(mode(&elsewhere), 0o644);
        fs::remove_file(index.join("link.jnl.old")).unwrap();
        match more.is_empty() {
            true => assert_eq!(mode(&index), 0o755),
            false => assert_private(&index),
        }
        server.stop();
    }
}

/// Whom the process lets connect decides who started it.
#[test]
fn a_socket_can_be_shared() {
    let node = RegtestNode::start();
    node.mine(1, &Script::new(0));
    let dir = TempDir::new().unwrap();
    let socket = dir.path().join("socket");
    let _server = Server::start_with(&node, &["--unix-socket", socket.to_str().unwrap()]);
    let shell = Command::new("sh").args(["-c", "umask"]).output().unwrap();
    let umask = String::from_utf8(shell.stdout).unwrap();
    let umask = u32::from_str_radix(umask.trim(), 8).unwrap();
    assert_eq!(mode(&socket), 0o777 & !umask);
}

/// A small disk; dropping it takes it away.
struct Disk(TempDir);

impl Disk {
    /// Nothing where mounting is not allowed.
    fn mount(mebibytes: u32) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(folder.path())
            .output();
        let is_mounted = mounted.is_ok_and(|mounted| mounted.status.success());
        if !is_mounted {
            eprintln!(
                "LEFT OUT: a small file system cannot be mounted here; run the tests as root"
            );
        }
        is_mounted.then_some(Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// The server warns of a disk that is almost full, stays when it is, and goes on when there is space.
#[test]
fn a_full_disk_is_waited_for() {
    let Some(disk) = Disk::mount(100) else { return };
    let node = RegtestNode::start();
    let miner = Script::new(0);
    node.mine(110, &miner);
    let wallet = format!("own=addr({})", miner.address());
    let monitoring = format!("127.0.0.1:{}", free_port());
    let mut server = Server::start_with(
        &node,
        &[
            "--wallet",
            &wallet,
            "--wallet-birth",
            "0",
            "--db-dir",
            disk.0.path().join("db").to_str().unwrap(),
            "--monitoring-addr",
            &monitoring,
        ],
    );
    let ballast = disk.0.path().join("ballast");
    fs::File::create(&ballast)
        .unwrap()
        .write_all(&vec![1; 50 << 20])
        .unwrap();
    node.mine(1, &miner);
    let waits = "the index stays as it is, and what is known is served, until it can be written";
    eventually("it says that it waits", || {
        match server.log().contains(waits) {
            true => Ok(()),
            false => Err(server.log()),
        }
    });
    let history = |height: u64| {
        let mut client = server.connect();
        let found = client.call(
            "blockchain.scripthash.get_history",
            json!([script_hash(miner.output_script().as_bytes())]),
        );
        match found.as_array().unwrap().len() as u64 == height {
            true => Ok(()),
            false => Err(found.to_string()),
        }
    };
    history(110).unwrap();
    fs::remove_file(&ballast).unwrap();
    eventually("it goes on", || history(111));
    let metrics = get(&monitoring, "/metrics");
    for name in [
        "electrum_server_disk_free_bytes ",
        "electrum_server_index_bytes ",
    ] {
        let (_, rest) = metrics.split_once(&format!("\n{name}")).expect(name);
        let bytes: u64 = rest.lines().next().unwrap().parse().unwrap();
        assert!((1..100 << 20).contains(&bytes), "{name}{bytes}");
    }
    let log = server.log();
    assert_eq!(log.matches(waits).count(), 1, "{log}");
    assert_eq!(
        log.matches("the index can be written again").count(),
        1,
        "{log}"
    );
    assert_eq!(log.matches("is almost full").count(), 1, "{log}");
    server.stop();
}
