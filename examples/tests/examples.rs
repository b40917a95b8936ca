//! The examples that need nothing from outside, run.

#![allow(unreachable_pub, clippy::unwrap_used)]

use bitcoin::{Amount, ScriptBuf, SignedAmount};
use electrum_protocol::ScriptHash;
use electrum_protocol::net::Config;
use electrum_server_core::regtest::{Control, RegtestNode, TestServer};

#[path = "../examples/bdk_wallet.rs"]
mod bdk_wallet;
#[path = "../examples/embed_own_parts.rs"]
mod embed_own_parts;
#[path = "../examples/follow_address.rs"]
#[allow(dead_code, reason = "its program is not called here")]
mod follow_address;
#[path = "../examples/legacy_to_psbt.rs"]
mod legacy_to_psbt;
#[path = "../examples/verify_proof.rs"]
mod verify_proof;

#[test]
fn a_wallet_receives_and_pays() {
    bdk_wallet::main().unwrap();
}

#[test]
fn a_legacy_transaction_becomes_a_psbt() {
    legacy_to_psbt::main().unwrap();
}

#[test]
fn own_parts_are_indexed() {
    embed_own_parts::main().unwrap();
}

#[test]
fn a_proof_is_verified() {
    // Without arguments of its own; those of the test program are none that it takes.
    verify_proof::main().unwrap();
}

#[tokio::test]
async fn an_address_is_followed() {
    let server = TestServer::start().unwrap();
    let script = ScriptBuf::new_p2wsh(&ScriptBuf::from_bytes(vec![0x51]).wscript_hash());
    let amount = Amount::from_sat(70_000);
    let config = Config::new(server.address().to_string().parse().unwrap());
    let script_hash = ScriptHash::from_script(&script);
    let mut told = Vec::new();
    follow_address::run(&config, script_hash, |balance| {
        told.push((balance.confirmed, balance.unconfirmed));
        match told.len() {
            1 => drop(server.node().fund(&script, amount).unwrap()),
            2 => drop(server.node().mine_to_faucet(1)),
            _ => return false,
        }
        true
    })
    .await
    .unwrap();
    let none = (Amount::ZERO, SignedAmount::ZERO);
    let unconfirmed = (Amount::ZERO, amount.to_signed().unwrap());
    assert_eq!(told, [none, unconfirmed, (amount, SignedAmount::ZERO)]);
}

#[test]
fn the_documentation_names_every_method() {
    let documentation = include_str!("../../docs/regtest.md");
    let control = Control::new(RegtestNode::default());
    let help = control.call("help", &serde_json::Value::Null).unwrap();
    let names = help
        .as_str()
        .unwrap()
        .lines()
        .map(|line| line.split(' ').next().unwrap());
    for name in names {
        assert!(documentation.contains(&format!("`{name}`")), "{name}");
    }
}
