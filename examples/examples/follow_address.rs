//! Follows an address on an Electrum server: prints its balance, then every change.
//!
//! ```sh
//! cargo run -p electrum-examples --example follow_address -- 127.0.0.1:50001 bc1q...
//! ```
//!
//! The protocol crate makes and reads bytes; the socket is ours. Any other transport would do.

#![allow(clippy::print_stdout, reason = "it is what the example does")]

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};
use bitcoin::Address;
use bitcoin::address::NetworkUnchecked;
use electrum_protocol::client::Event;
use electrum_protocol::method::scripthash;
use electrum_protocol::{Client, Notification, Response, ScriptHash, VersionRange};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(server), Some(address)) = (arguments.next(), arguments.next()) else {
        bail!("usage: follow_address HOST:PORT ADDRESS");
    };
    let address: Address<NetworkUnchecked> = address.parse()?;
    let script_hash = ScriptHash::from_script(&address.assume_checked().script_pubkey());

    let stream = TcpStream::connect(&server);
    let mut stream = stream.with_context(|| format!("cannot connect to {server}"))?;
    let mut client = Client::default();
    let (_, introduction) = client.introduce("follow_address", VersionRange::WALLETS);
    let (_, subscription) = client.request(scripthash::Subscribe { script_hash });
    stream.write_all(&[introduction, subscription].concat())?;

    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the server closed the connection");
        client.receive(buffer.get(..count).unwrap_or_default());
        while let Some(event) = client.poll_event() {
            match event {
                Event::Negotiated { result, .. } => {
                    let version = result?;
                    println!(
                        "{}, protocol {}",
                        version.software, version.protocol_version
                    );
                }
                // The first status, and every later one: something happened, so ask what there is now.
                Event::Reply {
                    result: Ok(Response::ScripthashSubscribe(_)),
                    ..
                }
                | Event::Notification(Notification::ScriptHash { .. }) => {
                    let (_, question) = client.request(scripthash::GetBalance { script_hash });
                    stream.write_all(&question)?;
                }
                Event::Reply {
                    result: Ok(Response::ScripthashGetBalance(balance)),
                    ..
                } => {
                    println!(
                        "{} confirmed, {} unconfirmed",
                        balance.confirmed, balance.unconfirmed
                    );
                }
                Event::Reply { result, .. } => bail!("unexpected answer: {result:?}"),
                Event::Notification(_) | Event::Unexpected(_) => {}
            }
        }
    }
}
