//! Asks a server that is not trusted whether a transaction is in a block, and checks the answer.
//!
//! ```sh
//! cargo run -p electrum-examples --example verify_proof -- 127.0.0.1:50001 TXID HEIGHT
//! ```
//!
//! Without arguments a payment on a chain in this process is looked at.

#![allow(clippy::print_stdout, reason = "it is what the example does")]

use anyhow::{Context, Result};
use bitcoin::{Amount, ScriptBuf, Txid};
use electrum_protocol::method::{block, transaction};
use electrum_protocol::net::Config;
use electrum_protocol::{blocking, merkle};
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
    let mut client = blocking::connect(&Config::new(server.parse()?))?;
    let header = block::Header {
        height,
        cp_height: 0,
    };
    let header = client.request(header)?.header;
    let proof = client.request(transaction::GetMerkle {
        txid,
        height: Some(height),
    })?;
    // The header has work; whether it is of the best chain takes the other headers to tell.
    header
        .validate_pow(header.target())
        .context("the header has no work")?;
    merkle::verify(
        txid.to_raw_hash(),
        proof.pos,
        &proof.merkle,
        header.merkle_root.to_raw_hash(),
    )?;
    println!(
        "{txid} is transaction {} of block {}",
        proof.pos,
        header.block_hash()
    );
    Ok(())
}
