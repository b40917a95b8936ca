//! What to type next.

use std::io::{self, Write};
use std::net::SocketAddr;

use anyhow::Context;
use bitcoin::bip32::{DerivationPath, Xpriv};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Amount, CompressedPublicKey, NetworkKind, ScriptBuf};
use electrum_server_core::regtest::RegtestNode;

/// The demo wallet is made of this: anybody may have its coins.
const SEED: &[u8] = b"electrum-server --dev, demo coins";
const PATH: &str = "84h/1h/0h";
/// What the demo wallet has.
const FUNDS: Amount = Amount::from_int_btc(1);

/// Pays into the demo wallet's first address, and confirms it.
pub(crate) fn fund_demo(node: &RegtestNode) -> anyhow::Result<()> {
    node.fund(&demo_script()?, FUNDS)
        .context("cannot fund the demo wallet")?;
    node.mine_to_faucet(1);
    Ok(())
}

fn master() -> anyhow::Result<Xpriv> {
    Xpriv::new_master(NetworkKind::Test, SEED).context("the demo wallet's key")
}

fn demo_script() -> anyhow::Result<ScriptBuf> {
    let secp = Secp256k1::new();
    let path: DerivationPath = format!("m/{PATH}/0/0").parse()?;
    let key = master()?.derive_priv(&secp, &path)?.private_key;
    let public = CompressedPublicKey(key.public_key(&secp));
    Ok(ScriptBuf::new_p2wpkh(&public.wpubkey_hash()))
}

/// Says what there is and what can be done with it.
pub(crate) fn print(
    node: &RegtestNode,
    server: SocketAddr,
    rpc: SocketAddr,
    is_new: bool,
) -> anyhow::Result<()> {
    let (height, faucet) = (node.height(), node.faucet_balance());
    let begins = if is_new {
        "a new chain"
    } else {
        "the chain of last time"
    };
    let rpc_option = match rpc.port() {
        18443 => String::new(),
        _ => format!(" --rpc {rpc}"),
    };
    let text = format!(
        "\
A regtest chain of its own: {begins}, {height} blocks, {faucet} in the faucet.

  connect a wallet   electrum --regtest --oneserver --server {server}:t
  pay from faucet    electrum-tools dev{rpc_option} fund ADDRESS 0.5
  mine a block       electrum-tools dev{rpc_option} mine 1
  funded wallet      wpkh({master}/{PATH}/0/*)
                     {FUNDS} at its first address when the chain began
  anything else      electrum-tools dev{rpc_option} call help
                     bitcoin-cli -regtest -rpcport={port} getblockcount

Ctrl-C ends it.
",
        master = master()?,
        port = rpc.port(),
    );
    // Nobody reads it when standard output is closed.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(())
}
