//! The examples that need nothing from outside, run.

#![allow(unreachable_pub, clippy::unwrap_used)]

use electrum_server_core::regtest::{Control, RegtestNode};

#[path = "../examples/bdk_wallet.rs"]
mod bdk_wallet;
#[path = "../examples/embed_own_parts.rs"]
mod embed_own_parts;
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
