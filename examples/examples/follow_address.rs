//! Follows an address on an Electrum server: prints its balance, then every change, through interruptions.
//!
//! ```sh
//! cargo run -p electrum-examples --example follow_address -- ssl://electrum.example:50002 bc1q... pins.txt
//! ```
//!
//! What the certificate of the first meeting says is written into the file, and holds later: see `Pin`.

#![allow(clippy::print_stdout, reason = "it is what the example does")]

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bitcoin::Address;
use bitcoin::address::NetworkUnchecked;
use electrum_protocol::method::scripthash;
use electrum_protocol::net::tls::{Certificate, FirstUse, Pin, Trust};
use electrum_protocol::net::{Config, ConnectError};
use electrum_protocol::{Balance, RequestError, ScriptHash, tokio as electrum};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, address, pins] = arguments.as_slice() else {
        bail!("usage: follow_address SERVER ADDRESS PINS");
    };
    let address: Address<NetworkUnchecked> = address.parse()?;
    let script_hash = ScriptHash::from_script(&address.assume_checked().script_pubkey());
    let mut config = Config::new(server.parse()?);
    config.client_name = "follow_address".to_owned();
    config.trust = Trust::FirstUse(Arc::new(PinsFile(pins.into())));
    run(&config, script_hash, |balance| {
        println!(
            "{} confirmed, {} unconfirmed",
            balance.confirmed, balance.unconfirmed
        );
        true
    })
    .await
}

/// Tells the balance and every change, until nobody wants to know or something is wrong that will not pass.
pub async fn run(
    config: &Config,
    script_hash: ScriptHash,
    mut tell: impl FnMut(Balance) -> bool,
) -> Result<()> {
    let mut told = None;
    loop {
        match follow(config, script_hash, &mut told, &mut tell).await {
            Ok(()) => return Ok(()),
            Err(error) if !is_transient(&error) => return Err(error),
            Err(error) => println!("{error}; trying again"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Does so on one connection.
async fn follow(
    config: &Config,
    script_hash: ScriptHash,
    told: &mut Option<Balance>,
    tell: &mut impl FnMut(Balance) -> bool,
) -> Result<()> {
    let (client, connection) = electrum::connect(config).await?;
    tokio::spawn(connection);
    // Each status only says that something happened, so ask what there is now: at first, and whenever it changes.
    let mut statuses = client
        .subscribe(scripthash::Subscribe { script_hash })
        .await?;
    loop {
        let balance = client
            .request(scripthash::GetBalance { script_hash })
            .await?;
        if told.replace(balance) != Some(balance) && !tell(balance) {
            return Ok(());
        }
        if statuses.next().await.is_none() {
            // The connection is lost; the next request says why.
            client
                .request(scripthash::GetBalance { script_hash })
                .await?;
        }
    }
}

fn is_transient(error: &anyhow::Error) -> bool {
    if let Some(error) = error.downcast_ref::<ConnectError>() {
        return error.is_transient();
    }
    error
        .downcast_ref::<RequestError>()
        .is_some_and(RequestError::is_transient)
}

/// What is known about certificates in a file, a line each: server, space, pin.
#[derive(Debug)]
struct PinsFile(PathBuf);

impl PinsFile {
    fn check(&self, server: &str, certificate: &Certificate<'_>) -> Result<bool> {
        let text = match std::fs::read_to_string(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.with_context(|| format!("cannot read {}", self.0.display()))?,
        };
        let pinned = text.lines().filter_map(|line| line.split_once(' '));
        for (known, pin) in pinned {
            if known == server {
                return Ok(pin.parse::<Pin>()?.fits(certificate));
            }
        }
        let line = format!("{text}{server} {}\n", Pin::of(certificate));
        std::fs::write(&self.0, line)
            .with_context(|| format!("cannot write {}", self.0.display()))?;
        Ok(true)
    }
}

impl FirstUse for PinsFile {
    fn is_trusted(&self, server: &str, certificate: &Certificate<'_>) -> io::Result<bool> {
        // With all that led to it, in one line.
        let one_line = |error| io::Error::other(format!("{error:#}"));
        self.check(server, certificate).map_err(one_line)
    }
}
