//! Both programs as a user meets them: arguments, errors, signals, exit statuses.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use bitcoin::hashes::Hash;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::eventually;
use crate::node::{RegtestNode, Script, free_port};
use crate::server::{Server, command};

/// Runs one of our programs to its end.
fn run(program: &str, dir: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = command(program, dir)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that reads nothing has closed its end already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn wrong_options_end_with_status_2_and_say_what_is_wrong() {
    let dir = TempDir::new().unwrap();
    std::fs::write(
        dir.path().join("electrum-server.toml"),
        "network = 'regtest'\ndb_dri = 'x'\n",
    )
    .unwrap();
    std::fs::write(
        dir.path().join("good.toml"),
        "cookie_file = 'c'\nauth = 'bob:hunter2'",
    )
    .unwrap();
    let check = |arguments: &[&str], expected: &str| {
        let output = run("electrum-server", dir.path(), arguments, "");
        let complaint = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{complaint}");
        assert!(complaint.contains(expected), "{complaint}");
        assert!(!complaint.contains("hunter2"), "{complaint}");
    };
    check(&["--no-such-option"], "--no-such-option");
    check(&["--network", "moon"], "unknown network `moon`");
    check(&[], "electrum-server.toml, line 2: unknown field `db_dri`");
    check(
        &["--skip-default-conf-files", "--conf", "missing.toml"],
        "missing.toml",
    );
    check(
        &["--skip-default-conf-files", "--conf", "good.toml"],
        "remove one",
    );
    check(
        &["--skip-default-conf-files", "--electrum-rpc-addr", "50001"],
        "expected HOST:PORT",
    );
    check(
        &["--skip-default-conf-files", "--cookie", "hunter2"],
        "USER:PASSWORD",
    );
    check(
        &["--skip-default-conf-files", "--log-filters", "a=b=c"],
        "--log-filters",
    );
}

#[test]
fn both_programs_tell_their_version_and_options() {
    let dir = TempDir::new().unwrap();
    for program in ["electrum-server", "electrum-tools"] {
        let version = run(program, dir.path(), &["--version"], "");
        assert!(version.status.success());
        assert_eq!(
            text(&version.stdout),
            format!("{program} {}\n", env!("CARGO_PKG_VERSION"))
        );
        let help = run(program, dir.path(), &["--help"], "");
        assert!(help.status.success());
        assert!(text(&help.stdout).contains("Exit status"));
    }
}

#[test]
fn a_node_of_another_network_is_refused() {
    let node = RegtestNode::start();
    let mut server = Server::spawn(
        &node,
        &[
            "--network",
            "signet",
            "--cookie-file",
            node.cookie_file().to_str().unwrap(),
        ],
    );
    let status = server.wait();
    assert_eq!(status.code(), Some(1));
    let log = server.log();
    assert!(log.contains("regtest") && log.contains("signet"), "{log}");
}

#[test]
fn a_wrong_password_is_refused() {
    let node = RegtestNode::start();
    let mut server = Server::spawn(&node, &["--cookie", "bob:hunter2"]);
    let status = server.wait();
    let log = server.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn a_port_in_use_is_an_error_before_anything_is_indexed() {
    let node = RegtestNode::start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut server = Server::spawn(&node, &["--electrum-rpc-addr", &address]);
    let status = server.wait();
    let log = server.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&address), "{log}");
}

#[test]
fn a_node_that_is_away_is_waited_for_in_silence() {
    let mut node = RegtestNode::start();
    node.mine(1, &Script::new(0));
    node.stop();
    let mut server = Server::spawn(&node, &[]);
    eventually("it says that it waits", || {
        match server.log().contains("waiting") {
            true => Ok(()),
            false => Err(server.log()),
        }
    });
    // Told to look, it looks, and stays.
    for _ in 0..20 {
        server.signal("USR1");
    }
    assert!(
        server.connect_silently().is_err(),
        "an open port means a server that can answer"
    );
    assert!(server.is_running());
    let waiting = server
        .log()
        .lines()
        .filter(|line| line.contains("waiting"))
        .count();
    assert_eq!(waiting, 1, "one line says so:\n{}", server.log());
    server.stop();

    // The same with a node that comes.
    server.resume();
    node.launch();
    server.wait_until_ready();
    let tip = server
        .connect()
        .call("blockchain.headers.subscribe", json!([]));
    assert_eq!(tip["height"], json!(1));
    server.stop();
}

#[test]
fn the_arguments_of_test_suites_start_us() {
    let node = RegtestNode::start();
    node.mine(3, &Script::new(0));
    let dir = TempDir::new().unwrap();
    let port = free_port();
    // As the crate electrsd has them, today's and the older ones together.
    let cookie = std::fs::read_to_string(node.cookie_file()).unwrap();
    let mut child = command("electrum-server", dir.path())
        .args(["--db-dir", dir.path().join("db").to_str().unwrap()])
        .args(["--network", "regtest", "--cookie", &cookie])
        .args(["--daemon-rpc-addr", &node.rpc_address(), "--jsonrpc-import"])
        .args(["--electrum-rpc-addr", &format!("0.0.0.0:{port}")])
        .args([
            "--monitoring-addr",
            &format!("0.0.0.0:{}", free_port()),
            "--http-addr",
            "0.0.0.0:2",
            "-vvv",
        ])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut wire = eventually("it answers", || crate::wire::Wire::try_connect(port));
    assert_eq!(
        wire.call("blockchain.headers.subscribe", json!([]))["height"],
        json!(3)
    );
    // Told of a block by a signal, it has the block at the next answer or soon after.
    node.mine(1, &Script::new(0));
    let pid = child.id().to_string();
    let signal = |name: &str| {
        let status = std::process::Command::new("kill")
            .args([name, &pid])
            .status();
        assert!(status.unwrap().success());
    };
    signal("-USR1");
    eventually("the block is there", || {
        let tip = wire.try_call("blockchain.headers.subscribe", json!([]))?;
        if tip["height"] == json!(4) {
            Ok(())
        } else {
            Err(tip.to_string())
        }
    });
    signal("-INT");
    let status = eventually("it ends", || {
        child
            .try_wait()
            .unwrap()
            .ok_or_else(|| "it runs".to_owned())
    });
    assert_eq!(status.code(), Some(0));
}

#[test]
fn indexing_once_ends_with_status_0_and_continues_where_it_was() {
    let node = RegtestNode::start();
    node.mine(120, &Script::new(0));
    let mut server = Server::spawn(&node, &["--sync-once"]);
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    node.mine(1, &Script::new(0));
    server.resume();
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    assert!(server.log().contains("121"), "{}", server.log());
}

#[test]
fn options_come_from_a_file_and_the_environment_too() {
    let node = RegtestNode::start();
    let dir = TempDir::new().unwrap();
    let port = free_port();
    let settings = format!(
        "network = 'regtest'\ndaemon_dir = {:?}\ndaemon_rpc_addr = {:?}\nelectrum_rpc_addr = ['127.0.0.1:{port}']\n\
         server_banner = 'from the file'\n",
        node.daemon_dir(),
        node.rpc_address(),
    );
    let own = dir.path().join(".electrum-server");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("config.toml"), settings).unwrap();
    // What is harmless may stand in the working directory, and wins.
    std::fs::write(
        dir.path().join("electrum-server.toml"),
        "server_banner = 'from here'\ndonation_address = 'from here'\n",
    )
    .unwrap();
    let mut child = command("electrum-server", dir.path())
        .env("HOME", dir.path())
        .env("ELECTRS_SERVER_BANNER", "from the environment")
        .env("ELECTRUM_SERVER_DONATION_ADDRESS", "bcrt1qexample")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut wire = eventually("it answers", || crate::wire::Wire::try_connect(port));
    assert_eq!(
        wire.call("server.banner", json!([])),
        json!("from the environment")
    );
    assert_eq!(
        wire.call("server.donation_address", json!([])),
        json!("bcrt1qexample")
    );
    assert!(
        dir.path().join("db/regtest").is_dir(),
        "the index is where electrs would have it"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A file that somebody has put where the server happens to be started.
#[test]
fn a_file_of_the_working_directory_runs_nothing_and_lets_nobody_in() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("electrum-server.toml");
    let start = |settings: &str, arguments: &[&str]| {
        std::fs::write(&file, format!("network = 'regtest'\n{settings}\n")).unwrap();
        let arguments = [
            arguments,
            &["--daemon-rpc-addr", "127.0.0.1:1", "--cookie-file", "none"],
        ];
        run("electrum-server", dir.path(), &arguments.concat(), "")
    };
    for (name, setting) in [
        ("broadcast_command", "broadcast_command = 'touch ran'"),
        ("daemon_rpc_addr", "daemon_rpc_addr = '192.0.2.1:8332'"),
        ("electrum_rpc_addr", "electrum_rpc_addr = '0.0.0.0:50001'"),
        ("ws_origin", "ws_origin = ['*']"),
        ("wallet", "[[wallet]]\nkeys = '51'"),
        ("banner_file", "banner_file = '/etc/passwd'"),
    ] {
        let output = start(setting, &[]);
        let complaint = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{complaint}");
        assert!(complaint.contains(&format!("sets {name},")), "{complaint}");
        assert!(
            complaint.contains("--conf electrum-server.toml"),
            "{complaint}"
        );
    }
    // Who names the file trusts it: it is read, and the node that it names is looked for.
    let address = format!("127.0.0.1:{}", free_port());
    std::fs::write(
        &file,
        format!("network = 'regtest'\ndaemon_rpc_addr = '{address}'\ncookie_file = 'none'\n"),
    )
    .unwrap();
    let mut child = command("electrum-server", dir.path())
        .args(["--conf", "electrum-server.toml"])
        .stderr(std::fs::File::create(dir.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let said = eventually("it looks for the node", || {
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        match log.contains(&address) {
            true => Ok(log),
            false => Err(log),
        }
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        said.contains("configuration files, each winning over the next: electrum-server.toml"),
        "{said}"
    );
}

#[test]
fn tools_compute_hashes() {
    let dir = TempDir::new().unwrap();
    let tools =
        |arguments: &[&str], input: &str| run("electrum-tools", dir.path(), arguments, input);

    // The genesis address, its script, and the specification's hash of it.
    let address = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
    let script = "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac";
    let hash = "8b01df4e368ea28f8dc0423bcf7a4923e3a12d307c875e47a0cfbf90b5c39161";
    assert_eq!(
        text(&tools(&["scripthash", address], "").stdout),
        format!("{hash}\n")
    );
    let piped = tools(&["scripthash", "-"], &format!("{address}\n\n{script}\n"));
    assert_eq!(text(&piped.stdout), format!("{hash}\n{hash}\n"));
    let output = tools(&["--json", "scripthash", script], "");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report, json!({"script_hash": hash, "script": script}));
    let refused = tools(&["scripthash", "neither"], "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("`neither`"));
    let refused = tools(&["scripthash", "neither", "--json"], "");
    assert_eq!(refused.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(report["error"]["kind"], json!("refused"));

    let history = json!([{"tx_hash": hash, "height": 5}]).to_string();
    let expected = bitcoin::hashes::sha256::Hash::hash(format!("{hash}:5:").as_bytes());
    let status = tools(&["status"], &history);
    assert_eq!(text(&status.stdout), format!("{expected}\n"));
    let explained = text(&tools(&["status", "--explain"], &history).stdout);
    assert!(explained.contains(&format!("{hash}:5:")), "{explained}");
    assert_eq!(
        tools(&["status", "no-such-file"], "").status.code(),
        Some(1)
    );
}

#[test]
fn tools_ask_servers() {
    let node = RegtestNode::start();
    node.mine(2, &Script::new(0));
    let server = Server::start(&node);
    let address = format!("127.0.0.1:{}", server.port);
    let dir = TempDir::new().unwrap();
    let tools = |arguments: &[&str]| run("electrum-tools", dir.path(), arguments, "");
    let report = |output: &Output| -> Value { serde_json::from_slice(&output.stdout).unwrap() };

    let ping = tools(&["ping", &address]);
    assert!(ping.status.success(), "{}", text(&ping.stderr));
    assert!(
        text(&ping.stdout).contains("protocol 1.6"),
        "{}",
        text(&ping.stdout)
    );
    let ping = report(&tools(&["ping", &format!("tcp://{address}"), "--json"]));
    assert_eq!(ping["protocol"], json!("1.6"));

    let script_hash = crate::script_hash(Script::new(0).output_script().as_bytes());
    let method = "blockchain.scripthash.get_history";
    let history = tools(&["call", &address, method, &script_hash, "--json"]);
    assert_eq!(
        report(&history)["result"].as_array().unwrap().len(),
        2,
        "{history:?}"
    );
    // What `call` prints, `status` reads.
    let printed = text(&tools(&["call", &address, method, &script_hash]).stdout);
    let status = run(
        "electrum-tools",
        dir.path(),
        &["status", "--json"],
        &printed,
    );
    let subscribed = server
        .connect()
        .call("blockchain.scripthash.subscribe", json!([script_hash]));
    assert_eq!(report(&status)["status"], subscribed);

    // Parameters of every kind, from standard input as well, and an older protocol.
    let header = report(&tools(&[
        "call",
        &address,
        "blockchain.block.header",
        "1",
        "2",
        "--json",
    ]));
    assert_eq!(header["result"]["branch"].as_array().unwrap().len(), 2);
    let old = tools(&[
        "call",
        &address,
        "blockchain.relayfee",
        "--protocol",
        "1.4",
        "--json",
    ]);
    assert_eq!(report(&old)["protocol"], json!("1.4"));
    // The method says which version it takes.
    let oldest = report(&tools(&[
        "call",
        &address,
        "blockchain.block.get_header",
        "1",
        "--json",
    ]));
    assert_eq!(oldest["protocol"], json!("1.3"));
    let dash = ["call", &address, "blockchain.block.header", "-", "--json"];
    let piped = run("electrum-tools", dir.path(), &dash, "{\"height\": 0}");
    assert!(report(&piped)["result"].is_string(), "{piped:?}");

    let check = |arguments: &[&str], code: i32, expected: &str| {
        let output = tools(arguments);
        let complaint = text(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {complaint}"
        );
        assert!(complaint.contains(expected), "{complaint}");
    };
    check(
        &["call", &address, "blockchain.block.header", "99"],
        1,
        "refuses",
    );
    check(
        &["call", &address, "blockchain.relayfee", "--protocol", "1.6"],
        1,
        "1.6",
    );
    check(&["call", &address, "no.such.method"], 2, "no.such.method");
    check(
        &["call", &address, "blockchain.block.header", "[]"],
        2,
        "height",
    );
    check(&["ping", "127.0.0.1"], 2, "expected HOST:PORT");
    check(&["ping", "http://127.0.0.1:80"], 2, "unknown scheme");
    check(&["ping", "tcp://a.onion:1"], 3, "proxy");
    check(
        &["ping", &format!("127.0.0.1:{}", free_port())],
        3,
        "cannot connect",
    );
    // One that accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    check(&["ping", &silent, "--timeout", "1"], 3, "");
}
