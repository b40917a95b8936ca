//! `electrum-tools dev`: the control interface of an `electrum-server --dev`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::report::{Failure, Report};

/// Mining thousands of blocks takes a while.
const PATIENCE: Duration = Duration::from_secs(120);
/// An answer that is longer is none.
const MAX_ANSWER: u64 = 64 << 20;

/// Whom to ask, and what for.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Control interface of the server
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:18443",
        global = true
    )]
    rpc: String,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mine blocks; prints their hashes
    Mine {
        /// How many
        #[arg(default_value_t = 1)]
        count: u32,
        /// Whom they pay [default: the faucet]
        address: Option<String>,
    },
    /// Pay from the faucet; prints the txid, which waits in the mempool
    Fund {
        /// An address of regtest
        address: String,
        /// In bitcoin, for example 0.5
        amount: String,
    },
    /// Replace the newest blocks by one more, without transactions; prints their hashes
    Reorg {
        /// How many are replaced
        #[arg(default_value_t = 1)]
        depth: u32,
    },
    /// Drop a transaction from the mempool
    Drop {
        /// Which one
        txid: String,
    },
    /// Set the clock, in seconds since 1970; 0 gives it back
    Time {
        /// When it is
        timestamp: u32,
    },
    /// Hide changes from the server
    Pause,
    /// Show what has changed meanwhile
    Resume,
    /// Remember everything; prints a number to come back to
    Snapshot,
    /// Return to what was remembered
    Restore {
        /// What `snapshot` printed
        snapshot: u64,
    },
    /// Call a method by name, `help` for instance
    Call {
        /// For example getblockcount
        method: String,
        /// Parameters in order, each in JSON; what is no JSON is taken as a text
        #[arg(allow_negative_numbers = true)]
        params: Vec<String>,
    },
}

pub(crate) fn run(dev: &Dev) -> Result<Report, Failure> {
    let ask = |method: &str, params: Value| ask(&dev.rpc, method, &params);
    let result = match &dev.command {
        Command::Mine { count, address } => {
            let address = match address {
                Some(address) => json!(address),
                None => ask("getnewaddress", json!([]))?,
            };
            ask("generatetoaddress", json!([count, address]))?
        }
        Command::Fund { address, amount } => ask("sendtoaddress", json!([address, amount]))?,
        Command::Reorg { depth } => ask("reorg", json!([depth]))?,
        Command::Drop { txid } => ask("droptransaction", json!([txid]))?,
        Command::Time { timestamp } => ask("setmocktime", json!([timestamp]))?,
        Command::Pause => ask("pausenotifications", json!([]))?,
        Command::Resume => ask("resumenotifications", json!([]))?,
        Command::Snapshot => ask("snapshot", json!([]))?,
        Command::Restore { snapshot } => ask("restore", json!([snapshot]))?,
        Command::Call { method, params } => {
            let value = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
            ask(method, params.iter().map(value).collect())?
        }
    };
    Ok(Report {
        human: human(&result),
        json: json!({"result": result}),
    })
}

fn human(result: &Value) -> String {
    match result {
        Value::Null => "done".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().map(human).collect::<Vec<_>>().join("\n")
        }
        other => format!("{other:#}"),
    }
}

fn ask(address: &str, method: &str, params: &Value) -> Result<Value, Failure> {
    let away = |error: std::io::Error| {
        Failure::Network(format!(
            "no electrum-server --dev answers at {address}: {error}"
        ))
    };
    let answer = exchange(address, method, params).map_err(away)?;
    let mut reply: Value = serde_json::from_slice(&answer)
        .map_err(|error| Failure::Network(format!("{address} answers strangely: {error}")))?;
    let error = reply.get("error").filter(|error| !error.is_null());
    if let Some(error) = error {
        let message = error.get("message").and_then(Value::as_str);
        let code = error.get("code").and_then(Value::as_i64);
        return Err(Failure::Refused {
            message: message.unwrap_or("refused").to_owned(),
            code: code.and_then(|code| i32::try_from(code).ok()),
        });
    }
    Ok(reply.get_mut("result").map(Value::take).unwrap_or_default())
}

fn exchange(address: &str, method: &str, params: &Value) -> std::io::Result<Vec<u8>> {
    let body = json!({"jsonrpc": "1.0", "id": 0, "method": method, "params": params}).to_string();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream.take(MAX_ANSWER));
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut answer = Vec::new();
    reader.read_to_end(&mut answer)?;
    Ok(answer)
}
