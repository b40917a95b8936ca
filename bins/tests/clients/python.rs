//! `aiorpcx`, which ElectrumX and Electrum are built on, driven by a script in the folder `python`.

use std::path::Path;
use std::process::Command;

use crate::report::Report;
use crate::script::{installed, run};
use crate::stage::Stage;

#[test]
#[ignore = "contrib/clients.sh installs the client, and runs this"]
fn aiorpcx_over_every_transport() {
    let python = installed("CLIENTS_PYTHON");
    let ask = "import importlib.metadata as m; print(m.version('aiorpcx'))";
    let answer = Command::new(&python).args(["-c", ask]).output().unwrap();
    let version = String::from_utf8(answer.stdout).unwrap().trim().to_owned();
    let transports = "TCP, TLS, WebSocket, WebSocket over TLS (pinned)";
    let _report = Report::of("aiorpcx", version, transports);
    let mut stage = Stage::start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python/story.py");
    let mut command = Command::new(python);
    command.arg(script);
    run(command, &mut stage);
}
