//! A log that cannot be written: nobody is served worse for it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::node::free_port;
use crate::server::command;
use crate::wire::Wire;
use crate::{eventually, within};

/// Serves `--dev` with this as standard error, mines and reorganizes, and ends with status 0.
fn serves_with(stderr: Stdio, more: &[&str], after_start: impl FnOnce(&mut Child)) {
    let dir = TempDir::new().unwrap();
    let (port, rpc) = (free_port(), free_port());
    let mut process = command("electrum-server", dir.path())
        .args(["--dev", "--skip-default-conf-files"])
        .args(["--electrum-rpc-addr", &format!("127.0.0.1:{port}")])
        .args(["--dev-rpc-addr", &format!("127.0.0.1:{rpc}")])
        .args(["--block-time", "20ms"])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    after_start(&mut process);
    within(Duration::from_secs(20), "it serves", || {
        Wire::try_connect(port).map(drop)
    });
    let call = |arguments: &[&str]| {
        let output = command("electrum-tools", dir.path())
            .args(["dev", "--rpc", &format!("127.0.0.1:{rpc}"), "call"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}");
    };
    let height = || {
        let tip = Wire::try_connect(port)
            .unwrap()
            .call("blockchain.headers.subscribe", json!([]));
        tip["height"].as_u64().unwrap()
    };
    // Each block is a line of the log, and so is each block that is undone.
    let begin = height();
    eventually("blocks come", || match height() {
        now if now >= begin + 20 => Ok(()),
        now => Err(now.to_string()),
    });
    call(&["reorg", "10"]);
    let after = height();
    eventually("blocks come after a reorganization", || match height() {
        now if now >= after + 20 => Ok(()),
        now => Err(now.to_string()),
    });
    let pid = process.id().to_string();
    let killed = std::process::Command::new("kill").arg(pid).status();
    assert!(killed.unwrap().success());
    let status = eventually("it ends", || {
        process
            .try_wait()
            .unwrap()
            .ok_or_else(|| "it runs".to_owned())
    });
    assert_eq!((status.code(), status.signal()), (Some(0), None));
}

#[test]
fn a_full_disk() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    serves_with(full.into(), &[], |_| {});
}

#[test]
fn a_pipe_that_is_closed_after_the_first_line() {
    serves_with(Stdio::piped(), &[], |process| {
        let mut pipe = process.stderr.take().unwrap();
        let mut first = [0; 1];
        pipe.read_exact(&mut first).unwrap();
    });
}

#[test]
fn a_pipe_that_nobody_reads() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    // As much as fits, so that not even the first line does.
    writer.write_all(&vec![b'x'; 64 << 10]).unwrap();
    serves_with(writer.into(), &[], |_| {});
    drop(reader);
}
