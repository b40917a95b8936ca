//! `bdk_electrum`: a wallet of output descriptors that looks for its history, receives, pays, and follows a reorganization.

use bdk_electrum::BdkElectrumClient;
use bdk_wallet::chain::ChainPosition;
use bdk_wallet::{KeychainKind, SignOptions, Wallet};
use bitcoin::bip32::Xpriv;
use bitcoin::{Amount, FeeRate, Network, Transaction, Txid};
use electrum_client::{Client, ConfigBuilder};

use crate::eventually;
use crate::node::Script;
use crate::report::Report;
use crate::stage::{AMOUNT, Stage, script};

const GAP: usize = 10;
const BATCH: usize = 5;

#[test]
fn bdk_electrum_over_tcp() {
    let _report = Report::of_crate("bdk_electrum", "TCP");
    let mut stage = Stage::start();
    let url = stage.tcp_url();
    story(&mut stage, &url);
}

#[test]
#[ignore = "contrib/clients.sh builds the client with TLS, and runs this"]
fn bdk_electrum_over_tls() {
    let _report = Report::of_crate("bdk_electrum", "TLS");
    let mut stage = Stage::start();
    let url = stage.tls_url();
    story(&mut stage, &url);
}

fn story(stage: &mut Stage, url: &str) {
    let mut owner = Owner::new(1);
    // Some of it came long ago, to an address that is not the first.
    let address = owner
        .wallet
        .peek_address(KeychainKind::External, GAP as u32 - 1);
    let first = stage.pay(&address.script_pubkey());
    stage.mine();
    owner.look(url);
    assert_eq!(owner.wallet.balance().confirmed, sats(AMOUNT));
    assert_eq!(owner.height(first.compute_txid()), Some(132));

    let address = owner.wallet.reveal_next_address(KeychainKind::External);
    let second = stage.pay(&address.script_pubkey());
    owner.follow(url);
    assert_eq!(owner.wallet.balance().untrusted_pending, sats(AMOUNT));
    assert_eq!(owner.height(second.compute_txid()), None);
    stage.mine();
    eventually("the payment is confirmed", || {
        owner.follow(url);
        match owner.wallet.balance().confirmed {
            confirmed if confirmed == sats(2 * AMOUNT) => Ok(()),
            other => Err(other.to_string()),
        }
    });

    let payment = owner.pay(url, sats(AMOUNT + AMOUNT / 2));
    let txid = payment.compute_txid();
    assert_eq!(stage.node.mempool(), [txid]);
    let fee = owner.wallet.calculate_fee(&payment).unwrap();
    let left = sats(AMOUNT / 2) - fee;
    owner.follow(url);
    assert_eq!(owner.wallet.balance().trusted_pending, left);
    let block = stage.mine();
    eventually("the payment is confirmed", || {
        owner.follow(url);
        owner.height(txid).map(drop).ok_or_else(String::new)
    });
    assert_eq!(owner.wallet.balance().confirmed, left);

    // Its block is replaced by two without it, while the server restarts.
    stage.server.stop();
    stage.node.invalidate(block);
    stage.node.mine_exactly(&[], &Script::new(4));
    stage.node.mine_exactly(&[], &Script::new(4));
    stage.server.resume();
    stage.server.wait_until_ready();
    owner.follow(url);
    assert_eq!(owner.height(txid), None);
    assert_eq!(
        owner.wallet.latest_checkpoint().hash(),
        stage.node.tip_hash()
    );
    stage.mine();

    // Whoever has the keys finds everything again.
    let mut other = Owner::new(1);
    eventually("all is found", || {
        other.look(url);
        match other.wallet.balance().confirmed {
            confirmed if confirmed == left => Ok(()),
            other => Err(other.to_string()),
        }
    });
    assert_eq!(other.wallet.transactions().count(), 3);
}

struct Owner {
    wallet: Wallet,
    /// BDK tells the order of what it saw by the time.
    seen: u64,
}

impl Owner {
    fn new(seed: u8) -> Self {
        let key = Xpriv::new_master(Network::Regtest, &[seed; 32]).unwrap();
        let part = |part: u32| format!("wpkh({key}/84h/1h/0h/{part}/*)");
        let wallet = Wallet::create(part(0), part(1))
            .network(Network::Regtest)
            .create_wallet_no_persist()
            .unwrap();
        Self { wallet, seen: 0 }
    }

    /// Looks at all addresses, up to the gap. BDK checks every proof against the header of its block.
    fn look(&mut self, url: &str) {
        self.seen += 1;
        let request = self.wallet.start_full_scan_at(self.seen);
        let update = client(url).full_scan(request, GAP, BATCH, true).unwrap();
        self.wallet.apply_update(update).unwrap();
    }

    /// Looks at the addresses that were given away.
    fn follow(&mut self, url: &str) {
        self.seen += 1;
        let request = self.wallet.start_sync_with_revealed_spks_at(self.seen);
        let update = client(url).sync(request, BATCH, true).unwrap();
        self.wallet.apply_update(update).unwrap();
    }

    fn pay(&mut self, url: &str, amount: Amount) -> Transaction {
        let mut builder = self.wallet.build_tx();
        builder
            .add_recipient(script(9), amount)
            .fee_rate(FeeRate::from_sat_per_vb(2).unwrap());
        let mut psbt = builder.finish().unwrap();
        #[expect(deprecated, reason = "what replaces it is for signers of one's own")]
        let complete = self.wallet.sign(&mut psbt, SignOptions::default()).unwrap();
        assert!(complete);
        let payment = psbt.extract_tx().unwrap();
        let txid = client(url).transaction_broadcast(&payment).unwrap();
        assert_eq!(txid, payment.compute_txid());
        payment
    }

    /// Where the wallet has this transaction; `None` while it is unconfirmed.
    fn height(&self, txid: Txid) -> Option<u32> {
        match self.wallet.get_tx(txid).unwrap().chain_position {
            ChainPosition::Confirmed { anchor, .. } => Some(anchor.block_id.height),
            ChainPosition::Unconfirmed { .. } => None,
        }
    }
}

fn client(url: &str) -> BdkElectrumClient<Client> {
    let config = ConfigBuilder::new().validate_domain(false).build();
    BdkElectrumClient::new(Client::from_config(url, config).unwrap())
}

fn sats(sats: u64) -> Amount {
    Amount::from_sat(sats)
}
