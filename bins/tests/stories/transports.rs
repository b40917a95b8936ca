//! TLS with a real wallet, unix sockets, monitoring, and what can be replaced while the server runs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::eventually;
use crate::node::{RegtestNode, Script, free_port};
use crate::server::Server;
use crate::wallet::{Wallet, electrum};

#[test]
fn electrum_pins_the_certificate_and_comes_back_after_restarts() {
    let Some(program) = electrum() else {
        eprintln!("left out, as SKIP_ELECTRUM_WALLET says");
        return;
    };
    let node = RegtestNode::start();
    node.mine(105, &Script::new(0));
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut server = Server::start_with(&node, &["--electrum-tls-addr", &address]);
    let mut wallet = Wallet::start_at(program, &format!("{address}:s"));
    wallet.eventually("it is connected over TLS", || wallet.follows(&node));
    let pinned =
        find_file(wallet.dir.path(), "127.0.0.1").expect("the wallet has pinned something");
    let first = std::fs::read_to_string(&pinned).unwrap();
    assert!(first.contains("BEGIN CERTIFICATE"), "{first}");
    for _ in 0..2 {
        server.stop();
        server.resume();
        server.wait_until_ready();
        wallet.restart();
        node.mine(1, &Script::new(0));
        wallet.eventually("it is connected again", || wallet.follows(&node));
        assert_eq!(std::fs::read_to_string(&pinned).unwrap(), first);
    }
    assert_eq!(server.log().matches("made a certificate").count(), 1);
    wallet.run(&["stop"]);
}

#[test]
fn tools_ask_over_every_transport() {
    let node = RegtestNode::start();
    node.mine(1, &Script::new(0));
    let [tls, ws, wss] = [(); 3].map(|()| format!("127.0.0.1:{}", free_port()));
    let options = [
        ["--electrum-tls-addr", &tls],
        ["--ws-addr", &ws],
        ["--wss-addr", &wss],
    ];
    let server = Server::start_with(&node, options.as_flattened());
    let log = server.log();
    let (_, shown) = log
        .split_once("SHA-256 is ")
        .expect("the fingerprint is told");
    let shown = &shown[..95];
    let ping = |arguments: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_electrum-tools"))
            .args(["ping", "--json"])
            .args(arguments)
            .output()
            .unwrap()
    };
    let report = |arguments: &[&str]| -> serde_json::Value {
        let output = ping(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(report(&[&format!("ws://{ws}")])["protocol"], "1.6");
    for address in [
        format!("ws://{ws}"),
        format!("wss://{wss}"),
        format!("{tls}:s"),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_electrum-tools"))
            .args(["conformance", &address, "--any-certificate"])
            .args(["--protocol", "1.6", "--method", "messages"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{address}: {output:?}");
    }
    for address in [
        format!("ssl://{tls}"),
        format!("{tls}:s"),
        format!("wss://{wss}"),
    ] {
        let any = report(&[&address, "--any-certificate"]);
        assert_eq!(any["certificate"]["sha256"], shown);
        assert_eq!(any["certificate"]["vouched_for"], false);
        assert_eq!(report(&[&address, "--pin", shown])["protocol"], "1.6");
        // Neither a stranger's certificate nor another one.
        let other = "00".repeat(32);
        for arguments in [&[address.as_str()][..], &[&address, "--pin", &other]] {
            let refused = ping(arguments);
            assert_eq!(refused.status.code(), Some(3), "{refused:?}");
            let complaint = String::from_utf8(refused.stdout).unwrap();
            assert!(complaint.contains(shown), "{complaint}");
        }
    }
}

/// Looks for a file of this name, not empty, in a folder and all below.
fn find_file(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    for entry in entries.flatten() {
        let path = entry.path();
        let found = match path.is_dir() {
            true => find_file(&path, name),
            false => {
                (entry.file_name() == name && entry.metadata().unwrap().len() > 0).then_some(path)
            }
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

#[test]
fn sockets_metrics_and_replacements() {
    let node = RegtestNode::start();
    node.mine(3, &Script::new(0));
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let monitoring = format!("127.0.0.1:{}", free_port());
    std::fs::write(
        path("banner"),
        "old $DONATION_ADDRESS on $DAEMON_SUBVERSION",
    )
    .unwrap();
    let mut server = Server::start_with(
        &node,
        &[
            "--electrum-tls-addr",
            &format!("127.0.0.1:{}", free_port()),
            "--wss-addr",
            &format!("127.0.0.1:{}", free_port()),
            "--unix-socket",
            &path("socket"),
            "--monitoring-addr",
            &monitoring,
            "--banner-file",
            &path("banner"),
            "--donation-address",
            "bc1qthanks",
        ],
    );
    let ask = "{\"id\":1,\"method\":\"server.banner\",\"params\":[]}\n";
    let banner = || {
        let mut stream = UnixStream::connect(path("socket")).map_err(|error| error.to_string())?;
        stream.write_all(ask.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        Ok::<_, String>(answer)
    };
    let first = banner().unwrap();
    assert!(first.contains("old bc1qthanks on /Satoshi:"), "{first}");

    let metrics = get(&monitoring, "/metrics");
    for line in [
        "electrum_server_index_height 3\n",
        "electrs_index_height{type=\"tip\"} 3\n",
        "electrum_server_requests_total{method=\"server.banner\",result=\"ok\"} 1\n",
        "electrum_server_accepted_total{transport=\"unix\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    assert!(get(&monitoring, "/readyz").starts_with("HTTP/1.1 200"));

    // A new certificate is made as an operator would, with the files put in place and a signal.
    let log = server.log();
    let (_, shown) = log
        .split_once("SHA-256 is ")
        .expect("the fingerprint is told");
    let shown = &shown[..95];
    let tls = server.db_dir().join("tls");
    std::fs::write(path("banner"), "new").unwrap();
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-nodes", "-subj", "/CN=new", "-days", "100", "-keyout"])
        .arg(tls.join("key.pem"))
        .arg("-out")
        .arg(tls.join("cert.pem"))
        .output()
        .unwrap();
    assert!(made.status.success());
    server.signal("HUP");
    eventually("the certificate is replaced", || {
        let log = server.log();
        match log.split_once("a new certificate is in use, its SHA-256 is ") {
            Some((_, new)) if &new[..95] != shown => Ok(()),
            _ => Err(log),
        }
    });
    eventually("the banner is replaced", || {
        let answer = banner()?;
        if answer.contains("\"new\"") {
            Ok(())
        } else {
            Err(answer)
        }
    });
    server.stop();
    assert!(!dir.path().join("socket").exists());
}

pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}
