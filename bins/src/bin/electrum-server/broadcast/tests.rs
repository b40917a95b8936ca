//! The broadcast command with a real `sh`.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::{serialize, serialize_hex};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Witness};
use electrum_server_core::chain::{Broadcast, NodeError};
use tempfile::TempDir;

use super::{BroadcastCommand, MAX_ARGUMENT, MAX_REASON, StopOnDrop};

/// No test waits for longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// A transaction of about this many bytes.
fn tx(bytes: usize) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::new(),
            witness: Witness::from_slice(&[vec![7; bytes]]),
            ..TxIn::default()
        }],
        output: vec![TxOut {
            value: Amount::from_sat(bytes as u64),
            script_pubkey: ScriptBuf::new(),
        }],
    }
}

/// A folder for what commands write, which is `$DIR` in templates.
struct Stage(TempDir);

impl Stage {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn command(&self, template: &str) -> BroadcastCommand {
        let dir = self.0.path().to_str().unwrap();
        BroadcastCommand {
            timeout: DEADLINE,
            ..BroadcastCommand::new(template.replace("$DIR", dir))
        }
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.0.path().join(file)).unwrap_or_default()
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < DEADLINE, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn is_alive(pid: &str) -> bool {
    // A zombie, which nobody may wait for in a container, does nothing any more.
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn refusal<T: std::fmt::Debug>(result: Result<T, NodeError>) -> String {
    match result {
        Err(NodeError::Rpc { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn transactions_of_every_size_reach_standard_input() {
    let stage = Stage::new();
    let command = stage.command("cat > $DIR/got; echo \"$ELECTRUM_TRANSACTIONS\" > $DIR/count");
    for bytes in [100, 68_000, 900_000, 3_900_000] {
        let tx = tx(bytes);
        assert_eq!(command.broadcast(&serialize(&tx)), Ok(tx.compute_txid()));
        assert!(
            stage.text("got") == format!("{}\n", serialize_hex(&tx)),
            "{bytes}"
        );
        assert_eq!(stage.text("count"), "1\n");
    }
}

#[test]
fn a_placeholder_takes_what_fits_into_an_argument() {
    let stage = Stage::new();
    let command = stage.command("printf '%s' > $DIR/got; cat >> $DIR/got");
    let overhead = serialize(&tx(60_000)).len() - 60_000;
    let room = MAX_ARGUMENT - (command.template.len() - 2);
    let fits = tx(room / 2 - overhead);
    assert_eq!(
        command.broadcast(&serialize(&fits)),
        Ok(fits.compute_txid())
    );
    // And nothing on its standard input.
    assert!(stage.text("got") == serialize_hex(&fits));
    for bytes in [room / 2 - overhead + 1, 68_000, 900_000] {
        let told = refusal(command.broadcast(&serialize(&tx(bytes))));
        assert!(told.contains("standard input"), "{told}");
    }
    assert!(stage.text("got") == serialize_hex(&fits), "it was not run");
}

#[test]
fn packages_go_line_by_line_or_are_refused() {
    let stage = Stage::new();
    let txs = [tx(10), tx(68_000), tx(30)];
    let raw_txs: Vec<_> = txs.iter().map(serialize).collect();
    let command = stage.command("cat > $DIR/got; echo \"$ELECTRUM_TRANSACTIONS\" > $DIR/count");
    let outcome = command.submit_package(&raw_txs).unwrap();
    assert!(outcome.success && outcome.errors.is_empty());
    let lines: String = txs.iter().map(|tx| serialize_hex(tx) + "\n").collect();
    assert!(stage.text("got") == lines);
    assert_eq!(stage.text("count"), "3\n");
    for tx in &txs {
        assert!(outcome.json.get().contains(&tx.compute_txid().to_string()));
    }
    let placeholder = stage.command("echo %s > $DIR/other");
    for raw_txs in [&raw_txs[..], &raw_txs[..1]] {
        let told = refusal(placeholder.submit_package(raw_txs));
        assert!(told.contains("standard input"), "{told}");
    }
    assert_eq!(stage.text("other"), "");
    refusal(command.submit_package(&[]));
    refusal(command.submit_package(&[vec![1, 2, 3]]));
}

#[test]
fn what_the_command_answers_must_be_about_these_transactions() {
    let stage = Stage::new();
    let tx = tx(10);
    let (raw_tx, own) = (serialize(&tx), tx.compute_txid());
    let other = "11".repeat(32);
    let answering = |text: &str| stage.command(&format!("cat > /dev/null; echo '{text}'"));
    assert_eq!(
        answering(&format!("sent\n{own}")).broadcast(&raw_tx),
        Ok(own)
    );
    let told = refusal(answering(&other).broadcast(&raw_tx));
    assert!(told.contains(&other), "{told}");

    let package = [raw_tx];
    refusal(answering(&other).submit_package(&package));
    refusal(answering("{\"tx-results\": 1").submit_package(&package));
    // The answer of `submitpackage`, whose exit status is 0 also for transactions that were refused.
    let refused = |txid: &str| {
        let json = format!(
            r#"{{"package_msg": "transaction failed", "tx-results": {{"{other}": {{"txid": "{txid}", "error": "too bad"}}}}}}"#
        );
        answering(&json).submit_package(&package)
    };
    let outcome = refused(&own.to_string()).unwrap();
    assert!(!outcome.success);
    assert_eq!(outcome.errors[0].error, "too bad");
    refusal(refused(&other));
}

#[test]
fn failures_are_told() {
    let stage = Stage::new();
    let raw_tx = serialize(&tx(10));
    let failing = stage.command(
        "cat > /dev/null; printf 'error message:\\nmin relay fee not met\\n' >&2; exit 26",
    );
    let told = refusal(failing.broadcast(&raw_tx));
    assert!(
        told.contains("26") && told.ends_with("min relay fee not met"),
        "{told}"
    );
    let long = stage.command("head -c 5000 /dev/zero | tr '\\0' x >&2; exit 1");
    let told = refusal(long.broadcast(&raw_tx));
    assert!(told.len() < MAX_REASON + 100, "{told}");
    let missing = stage.command("/nonexistent/program");
    assert!(refusal(missing.broadcast(&raw_tx)).contains("not found"));
    // Far more than a pipe holds.
    let deaf = stage.command("exec < /dev/null");
    let told = refusal(deaf.broadcast(&serialize(&tx(900_000))));
    assert!(told.contains("without reading"), "{told}");
    assert!(refusal(failing.broadcast(&[1, 2, 3])).contains("cannot be decoded"));
}

#[test]
fn a_shell_that_cannot_be_started_is_told() {
    let processes = super::Processes::default();
    let mut command = std::process::Command::new("/nonexistent/sh");
    let error = processes.run(&mut command, b"", DEADLINE).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/sh"), "{error}");
}

#[test]
fn much_output_on_both_sides_stalls_nothing() {
    let stage = Stage::new();
    let tx = tx(900_000);
    let command = stage.command(
        "head -c 1000000 /dev/zero >&2; head -c 1000000 /dev/zero; cat > $DIR/got; head -c 1000000 /dev/zero >&2",
    );
    assert_eq!(command.broadcast(&serialize(&tx)), Ok(tx.compute_txid()));
    assert!(stage.text("got") == format!("{}\n", serialize_hex(&tx)));
    // What comes last counts, however much came before.
    let failing = stage.command("head -c 1000000 /dev/zero >&2; echo >&2; echo no fee >&2; exit 1");
    assert!(refusal(failing.broadcast(&serialize(&tx))).ends_with("no fee"));
}

/// Starts a child in the background that ends later than any test, and leaves its process id.
const GRANDCHILD: &str = "sleep 1000 & echo $! > $DIR/pid; ";

#[test]
fn a_command_that_hangs_is_killed_with_its_children() {
    let stage = Stage::new();
    let command = BroadcastCommand {
        timeout: Duration::from_secs(2),
        ..stage.command(&format!("{GRANDCHILD} echo $$ > $DIR/own; wait"))
    };
    let told = refusal(command.broadcast(&serialize(&tx(900_000))));
    assert!(told.contains("2 s"), "{told}");
    for pid in [stage.text("pid"), stage.text("own")] {
        assert!(!pid.is_empty());
        eventually("they are dead", || !is_alive(&pid));
    }
}

#[test]
fn a_command_that_ends_leaves_nothing_running() {
    let stage = Stage::new();
    let tx = tx(10);
    // The child holds both outputs open.
    let command = stage.command(&format!("cat > /dev/null; {GRANDCHILD} exit 0"));
    assert_eq!(command.broadcast(&serialize(&tx)), Ok(tx.compute_txid()));
    let pid = stage.text("pid");
    assert!(!pid.is_empty());
    eventually("it is dead", || !is_alive(&pid));
}

#[test]
fn stopping_kills_what_is_running_and_starts_nothing() {
    let stage = Stage::new();
    let command = Arc::new(stage.command(&format!("{GRANDCHILD} wait")));
    let stop = StopOnDrop(Some(command.clone()));
    let running = command.clone();
    let client = thread::spawn(move || running.broadcast(&serialize(&tx(10))));
    eventually("it runs", || stage.text("pid").ends_with('\n'));
    assert!(is_alive(&stage.text("pid")));
    drop(stop);
    let told = refusal(client.join().unwrap());
    assert!(told.contains("stopping"), "{told}");
    eventually("it is dead", || !is_alive(&stage.text("pid")));
    fs::remove_file(stage.0.path().join("pid")).unwrap();
    refusal(command.broadcast(&serialize(&tx(10))));
    assert_eq!(stage.text("pid"), "");
}
