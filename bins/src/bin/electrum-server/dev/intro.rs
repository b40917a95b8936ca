//! What to type next.

use std::io::{self, Write};
use std::net::SocketAddr;

use anyhow::{Context, bail};
use bitcoin::bip32::{DerivationPath, Xpriv};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Amount, CompressedPublicKey, Network, NetworkKind, ScriptBuf};
use electrum_seed::{Chain, Purpose, Seed, Wallet};
use electrum_server_core::regtest::{RegtestNode, TestServer};

/// The demo wallet is made of this: anybody may have its coins.
const SEED: &[u8] = b"electrum-server --dev, demo coins";
const PATH: &str = "84h/1h/0h";
/// The same in the form that the Electrum wallet takes.
const PHRASE: &str = "inspire can drive praise often soft surface effort cradle online settle face";
/// What each of the two demo wallets has.
const FUNDS: Amount = Amount::from_int_btc(1);

/// Pays into the first addresses of the demo wallets, and confirms it.
pub(crate) fn fund_demo(node: &RegtestNode) -> anyhow::Result<()> {
    let outputs = [(demo_script()?, FUNDS), (phrase_script()?, FUNDS)];
    node.fund_many(&outputs)
        .context("cannot fund the demo wallets")?;
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

/// The first address of the wallet that Electrum opens from the phrase.
fn phrase_script() -> anyhow::Result<ScriptBuf> {
    let seed = Seed::parse(PHRASE)?;
    let Wallet::Account(account) = seed.wallet("", Network::Regtest, Purpose::Wallet)? else {
        bail!("the demo phrase has no single account");
    };
    let address = account.address(Chain::Receive, 0)?;
    let address = address.context("the demo phrase has no address")?;
    Ok(address.script_pubkey())
}

/// Says what there is and what can be done with it.
pub(crate) fn print(
    node: &RegtestNode,
    server: &TestServer,
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
    let connect = match electrum(server) {
        Some(server) => format!("electrum --regtest --oneserver --server {server}"),
        None => server.url(),
    };
    let text = format!(
        "\
A regtest chain of its own: {begins}, {height} blocks, {faucet} in the faucet.

  connect a wallet   {connect}
  pay from faucet    electrum-tools dev{rpc_option} fund ADDRESS 0.5
  mine a block       electrum-tools dev{rpc_option} mine 1
  funded wallet      {PHRASE}
                     an Electrum seed phrase (choose *I already have a seed*); {FUNDS} when the chain began
  the same for BDK   wpkh({master}/{PATH}/0/*)
                     another wallet, as a descriptor; {FUNDS} at its first address
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

/// The first place that the Electrum wallet can connect to, as it wants to be told.
fn electrum(server: &TestServer) -> Option<String> {
    server.urls().find_map(|url| {
        let plain = url.strip_prefix("tcp://").map(|at| format!("{at}:t"));
        plain.or_else(|| url.strip_prefix("ssl://").map(|at| format!("{at}:s")))
    })
}

#[cfg(test)]
mod tests {
    use bitcoin::Address;
    use electrum_server_core::regtest::RegtestNode;

    use super::*;

    /// The address is the one that BDK derives from the descriptor.
    #[test]
    fn the_funded_wallet_is_the_one_that_is_told() {
        let descriptor = format!("wpkh({}/{PATH}/0/*)", master().unwrap());
        assert_eq!(
            descriptor,
            "wpkh(tprv8ZgxMBicQKsPd7sVMQBb516ZT1d9SxYmN4Nt5muFEtExeTosajJo4qi6r6Z7puQcZkC1RcezzreVxzcdqanw8MQfwpMdhGEBYxr24F96VLK/84h/1h/0h/0/*)"
        );
        let address = Address::from_script(&demo_script().unwrap(), Network::Regtest).unwrap();
        assert_eq!(
            address.to_string(),
            "bcrt1qm3herkay2p024sruzsk2xz7w7h46c65eerl0f9"
        );
        // Electrum 4.3.4 has this as the first address of the phrase.
        let address = Address::from_script(&phrase_script().unwrap(), Network::Regtest).unwrap();
        assert_eq!(
            address.to_string(),
            "bcrt1qtc6f0yms0ycdnamekrs4d0urlpuky26ppgn2zc"
        );
        let node = RegtestNode::default();
        fund_demo(&node).unwrap();
        let block = node.get_block(&node.best_block().hash).unwrap();
        let paid = |vout: usize| {
            let output = &block.txdata[1].output[vout];
            (output.value, output.script_pubkey.clone())
        };
        assert_eq!(paid(0), (FUNDS, demo_script().unwrap()));
        assert_eq!(paid(1), (FUNDS, phrase_script().unwrap()));
    }
}
