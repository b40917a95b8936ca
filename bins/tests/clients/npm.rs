//! Clients from npm, each driven by a script in the folder `npm`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::report::Report;
use crate::script::{installed, run};
use crate::stage::Stage;

#[test]
#[ignore = "contrib/clients.sh installs the client, and runs this"]
fn mempool_electrum_client_over_tcp_and_tls() {
    story("@mempool/electrum-client", "mempool.mjs", "TCP, TLS");
}

#[test]
#[ignore = "contrib/clients.sh installs the client, and runs this"]
fn bitcoinerlab_explorer_over_tcp_and_tls() {
    story("@bitcoinerlab/explorer", "bitcoinerlab.mjs", "TCP, TLS");
}

#[test]
#[ignore = "contrib/clients.sh installs the client, and runs this"]
fn electrum_cash_network_over_websocket() {
    story(
        "@electrum-cash/network",
        "electrum_cash.mjs",
        "WebSocket, WebSocket over TLS (pinned)",
    );
}

fn story(package: &str, script: &str, transports: &'static str) {
    let modules = installed("CLIENTS_NODE_MODULES");
    let _report = Report::of(package, version(&modules, package), transports);
    let mut stage = Stage::start();
    stage.teach_fees();
    let folder = beside(&modules);
    let mut command = Command::new("node");
    command
        .arg(folder.path().join(script))
        // What node takes for good beside the authorities that it knows.
        .env("NODE_EXTRA_CA_CERTS", stage.certificate());
    run(command, &mut stage);
}

fn version(modules: &Path, package: &str) -> String {
    let manifest = fs::read_to_string(modules.join(package).join("package.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    manifest["version"].as_str().unwrap().to_owned()
}

/// The scripts in a folder with the modules that they import: node looks for these beside a script.
fn beside(modules: &Path) -> TempDir {
    let folder = TempDir::new().unwrap();
    let scripts: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/npm");
    for entry in fs::read_dir(scripts).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    symlink(modules, folder.path().join("node_modules")).unwrap();
    folder
}
