//! A client in another language: a script that drives it, and asks the test for what only the test can do.
//!
//! The script gets ports and the certificate as JSON in `CLIENT_STAGE`. It asks with one JSON object in a line of standard
//! output, and is answered with one in a line of standard input. It ends itself when nothing happens for too long.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use bitcoin::consensus::encode::serialize_hex;
use serde_json::{Value, json};

use crate::stage::{ALICE, Stage, script};

/// What the environment names; without it the test cannot run.
pub(crate) fn installed(name: &str) -> PathBuf {
    match std::env::var_os(name) {
        Some(path) => path.into(),
        None => panic!("{name} is not set: run contrib/clients.sh, which installs the client"),
    }
}

/// Runs the script until it ends, which it must do well.
pub(crate) fn run(mut command: Command, stage: &mut Stage) {
    let ports = json!({
        "tcp": stage.server.port,
        "tls": stage.tls,
        "ws": stage.ws,
        "wss": stage.wss,
        "certificate": stage.certificate(),
        "alice": ALICE,
    });
    let child = command
        .env("CLIENT_STAGE", ports.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut script = Script(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
    let mut answers = script.0.stdin.take().unwrap();
    let questions = BufReader::new(script.0.stdout.take().unwrap());
    for line in questions.lines() {
        let line = line.unwrap();
        let question: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        let answer = answer(&question, stage);
        // A script that has failed does not listen any more, and its status tells.
        let _ = writeln!(answers, "{answer}");
    }
    let status = script.0.wait().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

fn answer(question: &Value, stage: &mut Stage) -> Value {
    let number = || u32::try_from(question["script"].as_u64().unwrap()).unwrap();
    match question["ask"].as_str().unwrap() {
        "node" => {
            let params = question["params"].as_array().unwrap();
            stage.node.rpc(question["method"].as_str().unwrap(), params)
        }
        "mine" => json!(stage.mine()),
        "pay" => json!(stage.pay(&script(number())).compute_txid()),
        "payment" => {
            let payment = stage.payment(&script(number()));
            let mut other = payment.clone();
            other.output[0].value -= bitcoin::Amount::from_sat(1);
            json!({
                "txid": payment.compute_txid(),
                "hex": serialize_hex(&payment),
                "conflict": serialize_hex(&other),
            })
        }
        "truth" => stage.told(number()),
        "restart" => {
            stage.restart();
            Value::Null
        }
        other => panic!("{other}"),
    }
}

/// Dropping it ends the process.
struct Script(Child);

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
