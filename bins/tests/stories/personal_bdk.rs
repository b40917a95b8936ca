//! Wallets of output descriptors, in the library that others build theirs of, before a server that watches just these, in
//! front of a node that has pruned their blocks.

use bdk_electrum::BdkElectrumClient;
use bdk_wallet::{KeychainKind, SignOptions, Wallet};
use bitcoin::bip32::{Xpriv, Xpub};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Amount, FeeRate, Network};
use electrum_client::Client;
use serde_json::json;

use crate::node::{RegtestNode, Script, spend};
use crate::server::Server;

const COIN: u64 = 100_000_000;

/// A descriptor with keys in it, for a part of its scripts.
type Shape = fn(keys: &[String; 3], part: &str) -> String;

fn two_of_three([one, two, three]: &[String; 3], part: &str) -> String {
    format!("wsh(sortedmulti(2,{one}/1/{part}/*,{two}/1/{part}/*,{three}/1/{part}/*))")
}

fn taproot([key, ..]: &[String; 3], part: &str) -> String {
    format!("tr({key}/4/{part}/*)")
}

/// The private master keys of three signers.
fn signers() -> [Xpriv; 3] {
    [1, 2, 3].map(|seed| Xpriv::new_master(Network::Regtest, &[seed; 32]).unwrap())
}

struct Owner {
    wallet: Wallet,
    /// BDK tells the order of what it saw by the time.
    seen: u64,
}

impl Owner {
    fn new(shape: Shape) -> Self {
        let keys = signers().map(|key| key.to_string());
        let wallet = Wallet::create(shape(&keys, "0"), shape(&keys, "1"))
            .network(Network::Regtest)
            .create_wallet_no_persist()
            .unwrap();
        Self { wallet, seen: 0 }
    }

    /// Asks for everything but the transactions of others that paid: neither this server nor the node has them. BDK checks
    /// the proof of each transaction against the header of its block.
    fn sync(&mut self, server: &Server) -> Result<(), String> {
        let url = format!("tcp://127.0.0.1:{}", server.port);
        let client = BdkElectrumClient::new(Client::new(&url).unwrap());
        self.seen += 1;
        let request = self.wallet.start_full_scan_at(self.seen);
        let update = client.full_scan(request, 10, 5, false);
        // While the server follows a reorganization, a proof may be wanted of a block that is gone.
        let update = update.map_err(|error| error.to_string())?;
        self.wallet.apply_update(update).unwrap();
        Ok(())
    }

    fn pay(&mut self, to: &Script, value: Amount, server: &Server) -> bitcoin::Transaction {
        let mut builder = self.wallet.build_tx();
        builder
            .add_recipient(to.output_script(), value)
            .fee_rate(FeeRate::from_sat_per_vb(2).unwrap());
        let mut psbt = builder.finish().unwrap();
        #[expect(deprecated, reason = "what replaces it is for signers of one's own")]
        let complete = self.wallet.sign(&mut psbt, SignOptions::default()).unwrap();
        assert!(complete);
        let tx = psbt.extract_tx().unwrap();
        let raw = bitcoin::consensus::encode::serialize_hex(&tx);
        let txid = server
            .connect()
            .call("blockchain.transaction.broadcast", json!([raw]));
        assert_eq!(txid, json!(tx.compute_txid()));
        tx
    }
}

#[test]
fn bdk_sees_several_signers_and_taproot_on_a_pruned_node() {
    let node =
        RegtestNode::start_with(&["-prune=1", "-fastprune", "-rest=1", "-blockfilterindex=1"]);
    let secp = Secp256k1::new();
    let public = signers().map(|key| Xpub::from_priv(&secp, &key).to_string());
    let shapes: [Shape; 2] = [two_of_three, taproot];
    let mut owners = shapes.map(Owner::new);

    let miner = Script::new(0);
    node.mine(110, &miner);
    for (height, owner) in (1..).zip(&mut owners) {
        let coin = node.coinbase(height, &miner);
        let own = Amount::from_sat(2 * COIN);
        let address = owner.wallet.reveal_next_address(KeychainKind::External);
        let outputs = [
            (address.script_pubkey(), own),
            (
                miner.output_script(),
                coin.value - own - Amount::from_sat(10_000),
            ),
        ];
        node.send(&spend(&[coin], &outputs));
        node.mine(1, &Script::new(1));
    }
    node.mine(700, &Script::new(1));
    let wallets = [two_of_three(&public, "<0;1>"), taproot(&public, "<0;1>")];
    let arguments = [
        "--wallet",
        &format!("vault={}", wallets[0]),
        "--wallet",
        &format!("single={}", wallets[1]),
    ];
    let mut server = Server::start_with(&node, &arguments);
    let pruned = node.rpc("pruneblockchain", &[json!(600)]);
    assert!(pruned.as_u64().unwrap() > 112, "{pruned}");

    for owner in &mut owners {
        owner.sync(&server).unwrap();
        assert_eq!(owner.wallet.balance().confirmed, Amount::from_sat(2 * COIN));
        let payment = Amount::from_sat(COIN / 2);
        let tx = owner.pay(&Script::new(3), payment, &server);
        let left = Amount::from_sat(2 * COIN) - payment - owner.wallet.calculate_fee(&tx).unwrap();
        let block = node.mine(1, &Script::new(1));
        let has = |owner: &mut Owner| {
            crate::eventually("the balance is confirmed", || {
                owner.sync(&server)?;
                match owner.wallet.balance().confirmed {
                    confirmed if confirmed == left => Ok(()),
                    other => Err(format!("{other}, not {left}")),
                }
            });
        };
        has(owner);

        // Lost in a reorg, and there again after a restart.
        node.invalidate(block[0]);
        node.mine_exactly(&[], &Script::new(4));
        node.mine_exactly(&[], &Script::new(4));
        let confirmed = |owner: &Owner| {
            let tx = owner.wallet.get_tx(tx.compute_txid()).unwrap();
            tx.chain_position.is_confirmed()
        };
        crate::eventually("the payment is unconfirmed", || {
            owner.sync(&server)?;
            match confirmed(owner) {
                false => Ok(()),
                true => Err("it is confirmed".to_owned()),
            }
        });
        server.stop();
        node.mine(1, &Script::new(4));
        server.resume();
        server.wait_until_ready();
        // It has everything that the node has before it listens.
        owner.sync(&server).unwrap();
        assert!(confirmed(owner));
        assert_eq!(owner.wallet.balance().confirmed, left);
    }
    server.stop();
}
