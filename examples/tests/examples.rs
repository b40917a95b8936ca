//! The examples that need nothing from outside, run.

#![allow(unreachable_pub, clippy::unwrap_used)]

use bitcoin::{Amount, Network, ScriptBuf, SignedAmount};
use electrum_protocol::net::Config;
use electrum_protocol::{Balance, ScriptHash};
use electrum_server_core::regtest::{Control, RegtestNode, TestServer};
use miniscript::{Descriptor, DescriptorPublicKey};
use sync_wallet::Wallet;

#[path = "../examples/bdk_wallet.rs"]
mod bdk_wallet;
#[path = "../examples/embed_own_parts.rs"]
mod embed_own_parts;
#[path = "../examples/follow_address.rs"]
#[allow(dead_code, reason = "its program is not called here")]
mod follow_address;
#[path = "../examples/legacy_to_psbt.rs"]
mod legacy_to_psbt;
#[path = "../examples/sync_wallet.rs"]
#[allow(dead_code, reason = "its program is not called here")]
mod sync_wallet;
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

#[tokio::test]
async fn a_wallet_is_kept_with_proofs() {
    let server = TestServer::start().unwrap();
    let node = server.node();
    // The `tpub` of BIP 32's first test vector.
    let descriptor = "wpkh(tpubD6NzVbkrYhZ4XgiXtGrdW5XDAPFCL9h7we1vwNCpn8tGbBcgfVYjXyhWo4E1xkh56hjod1RhGjxbaTLV3X4FyWuejifB9jusQ46QzG87VKp/<0;1>/*)";
    let descriptor: Descriptor<DescriptorPublicKey> = descriptor.parse().unwrap();
    let receiving = descriptor
        .clone()
        .into_single_descriptors()
        .unwrap()
        .remove(0);
    let script = |index| {
        receiving
            .at_derivation_index(index)
            .unwrap()
            .script_pubkey()
    };
    let amount = Amount::from_sat(70_000);
    let config = Config::new(server.address().to_string().parse().unwrap());
    let mut wallet = Wallet::new(Network::Regtest, &descriptor).unwrap();
    let mut told = Vec::new();
    let mut steps = 0;
    wallet
        .follow(&config, |wallet| {
            let Balance {
                confirmed,
                unconfirmed,
            } = wallet.scripts.balance();
            let proven = wallet
                .scripts
                .unspent()
                .iter()
                .all(|output| output.proven.is_some());
            let state = (confirmed.to_sat(), unconfirmed.to_sat(), proven);
            if told.last() == Some(&state) {
                return true;
            }
            told.push(state);
            steps += 1;
            match steps {
                // Beyond the first script, within the gap.
                1 => drop(node.fund(&script(19), amount).unwrap()),
                2 => drop(node.mine_to_faucet(1)),
                // Beyond the first gap.
                3 => drop(node.fund(&script(38), amount).unwrap()),
                4 => drop(node.mine_to_faucet(1)),
                _ => return false,
            }
            true
        })
        .await
        .unwrap();
    let expected = [
        (0, 0, true),
        (0, 70_000, false),
        (70_000, 0, true),
        (70_000, 70_000, false),
        (140_000, 0, true),
    ];
    assert_eq!(told, expected);
    assert_eq!(wallet.scripts.next_unused(&0), Some(39));
    // While it was away the last block was replaced by others, and the payment is in one of them.
    let (height, before) = (
        wallet.headers.chain().height(),
        wallet.headers.chain().tip_hash(),
    );
    node.reorg(1);
    node.mine_to_faucet(1);
    wallet
        .follow(&config, |wallet| {
            let chain = wallet.headers.chain();
            assert_ne!(chain.block_hash(height), Some(before));
            assert_eq!(
                chain.block_hash(chain.height()),
                node.block_hash(node.height())
            );
            let unspent = wallet.scripts.unspent();
            unspent.iter().any(|output| output.proven.is_none())
        })
        .await
        .unwrap();
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
