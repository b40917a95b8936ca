//! Asks a server that is not trusted whether a transaction is in a block, and checks the answer.
//!
//! ```sh
//! cargo run -p electrum-examples --example verify_proof -- 127.0.0.1:50001 TXID HEIGHT
//! ```
//!
//! Without arguments a payment on a chain in this process is looked at.

#![allow(clippy::print_stdout, reason = "it is what the example does")]

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};
use bitcoin::hashes::Hash;
use bitcoin::{Amount, ScriptBuf, Txid};
use electrum_protocol::client::Event;
use electrum_protocol::method::{block, transaction};
use electrum_protocol::{Client, Response, VersionRange, merkle};
use electrum_server_core::regtest::TestServer;

/// Runs the example; tests do, too.
pub fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [server, txid, height] = arguments.as_slice() {
        return check(server, txid.parse()?, height.parse()?);
    }
    let server = TestServer::start()?;
    let script = ScriptBuf::new_p2wsh(&ScriptBuf::from_bytes(vec![0x51]).wscript_hash());
    let txid = server.node().fund(&script, Amount::from_sat(70_000))?;
    server.node().mine_to_faucet(1);
    check(&server.address().to_string(), txid, server.node().height())
}

fn check(server: &str, txid: Txid, height: u32) -> Result<()> {
    let mut stream = TcpStream::connect(server)?;
    let mut client = Client::default();
    let (_, introduction) = client.introduce("verify_proof", VersionRange::SPOKEN);
    let (_, header) = client.request(block::Header {
        height,
        cp_height: 0,
    });
    let (_, proof) = client.request(transaction::GetMerkle {
        txid,
        height: Some(height),
    });
    stream.write_all(&[introduction, header, proof].concat())?;

    let (mut header, mut proof) = (None, None);
    let mut buffer = [0; 4096];
    while header.is_none() || proof.is_none() {
        let count = stream.read(&mut buffer)?;
        ensure!(count > 0, "the server closed the connection");
        client.receive(buffer.get(..count).unwrap_or_default());
        while let Some(event) = client.poll_event() {
            match event {
                Event::Negotiated { result, .. } => drop(result?),
                Event::Reply { result, .. } => match result? {
                    Response::BlockHeader(reply) => header = Some(reply.header),
                    Response::TransactionGetMerkle(reply) => proof = Some(reply),
                    _ => {}
                },
                Event::Notification(_) => {}
                other => bail!("unexpected: {other:?}"),
            }
        }
    }
    let header = header.context("there is a header")?;
    let proof = proof.context("there is a proof")?;
    // The header has work; whether it is of the best chain takes the other headers to tell.
    header
        .validate_pow(header.target())
        .context("the header has no work")?;
    merkle::verify(
        txid.to_raw_hash(),
        proof.pos,
        &proof.merkle,
        bitcoin::hashes::sha256d::Hash::from_byte_array(header.merkle_root.to_byte_array()),
    )?;
    println!(
        "{txid} is transaction {} of block {}",
        proof.pos,
        header.block_hash()
    );
    Ok(())
}
