//! `electrum-tools conformance` against our server, electrs and ElectrumX.

use std::process::Command;

use crate::SideBySide;

/// Prints the tables that `docs/conformance.md` has. Of ours nothing may fail; the others are what they are.
#[test]
#[ignore = "needs electrs and ElectrumX: run contrib/conformance.sh"]
fn tables_of_all_servers() {
    let side_by_side = SideBySide::start();
    for server in &side_by_side.servers {
        let address = format!("127.0.0.1:{}", server.port);
        // Silence is an answer too; a server that only hesitates is quicker than this.
        let output = Command::new(env!("CARGO_BIN_EXE_electrum-tools"))
            .args(["conformance", &address, "--timeout", "3", "--verbose"])
            .output()
            .unwrap();
        let table = String::from_utf8_lossy(&output.stdout);
        println!("## {}\n\n{table}", server.name);
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        let expected: &[i32] = match server.name {
            "ours" => &[0],
            _ => &[0, 1],
        };
        let status = output.status.code().unwrap();
        assert!(expected.contains(&status), "{}: {status}", server.name);
    }
}
