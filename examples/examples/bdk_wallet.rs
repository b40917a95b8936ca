//! A BDK wallet that receives and pays, on a chain of its own in this process.
//!
//! ```sh
//! cargo run -p electrum-examples --example bdk_wallet
//! ```

#![allow(clippy::print_stdout, reason = "it is what the example does")]

use anyhow::{Result, ensure};
use bdk_electrum::BdkElectrumClient;
use bdk_electrum::electrum_client::Client;
use bdk_wallet::{KeychainKind, SignOptions, Wallet};
use bitcoin::{Amount, FeeRate, Network};
use electrum_server_core::regtest::TestServer;

const RECEIVE: &str = "wpkh(tprv8ZgxMBicQKsPd7sVMQBb516ZT1d9SxYmN4Nt5muFEtExeTosajJo4qi6r6Z7puQcZkC1RcezzreVxzcdqanw8MQfwpMdhGEBYxr24F96VLK/84'/1'/0'/0/*)";
const CHANGE: &str = "wpkh(tprv8ZgxMBicQKsPd7sVMQBb516ZT1d9SxYmN4Nt5muFEtExeTosajJo4qi6r6Z7puQcZkC1RcezzreVxzcdqanw8MQfwpMdhGEBYxr24F96VLK/84'/1'/0'/1/*)";

/// Runs the example; tests do, too.
pub fn main() -> Result<()> {
    let server = TestServer::start()?;
    let node = server.node();
    let client = BdkElectrumClient::new(Client::new(&server.url())?);
    let mut wallet = Wallet::create(RECEIVE, CHANGE)
        .network(Network::Regtest)
        .create_wallet_no_persist()?;

    // A million satoshis from the faucet, confirmed.
    let address = wallet.reveal_next_address(KeychainKind::External);
    node.fund(&address.script_pubkey(), Amount::from_sat(1_000_000))?;
    node.mine_to_faucet(1);
    wallet.apply_update(client.full_scan(wallet.start_full_scan(), 5, 5, false)?)?;
    println!("{address} has {}", wallet.balance());

    // A quarter of it goes back.
    let mut builder = wallet.build_tx();
    builder
        .add_recipient(node.faucet_script(), Amount::from_sat(250_000))
        .fee_rate(FeeRate::from_sat_per_kwu(500));
    let mut psbt = builder.finish()?;
    #[expect(deprecated, reason = "what replaces it is for signers of one's own")]
    let complete = wallet.sign(&mut psbt, SignOptions::default())?;
    ensure!(complete, "a signature is missing");
    let tx = psbt.extract_tx()?;
    let txid = client.transaction_broadcast(&tx)?;
    node.mine_to_faucet(1);
    wallet.apply_update(client.sync(wallet.start_sync_with_revealed_spks(), 5, false)?)?;
    println!("paid with {txid}, left: {}", wallet.balance());
    let fee = wallet.calculate_fee(&tx)?;
    ensure!(
        wallet.balance().total() == Amount::from_sat(750_000) - fee,
        "another balance"
    );
    Ok(())
}
