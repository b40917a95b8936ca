//! A server of some wallets in front of a node that has pruned their blocks, without a wallet or an index in it.

use bitcoin::Amount;
use serde_json::{Value, json};

use crate::eventually;
use crate::node::{RegtestNode, Script, free_port, spend};
use crate::script_hash;
use crate::server::{Server, command};
use crate::wallet::{Wallet, electrum, script_of};

const COIN: u64 = 100_000_000;
/// A public key of a test network: the `tpub` of BIP 32's first test vector.
const TPUB: &str = "tpubD6NzVbkrYhZ4XgiXtGrdW5XDAPFCL9h7we1vwNCpn8tGbBcgfVYjXyhWo4E1xkh56hjod1RhGjxbaTLV3X4FyWuejifB9jusQ46QzG87VKp";

/// A node with small block files that may prune.
fn pruning() -> RegtestNode {
    RegtestNode::start_with(&["-prune=1", "-fastprune", "-rest=1"])
}

#[test]
fn electrum_sees_and_proves_a_wallet_whose_blocks_are_pruned() {
    let Some(program) = electrum() else {
        eprintln!("left out, as SKIP_ELECTRUM_WALLET says");
        return;
    };
    let node = pruning();
    let mut wallet = Wallet::offline(program.clone(), &["create"]);
    let key = wallet.run(&["--offline", "getmpk"]);
    let addresses: Value =
        serde_json::from_str(&wallet.run(&["--offline", "listaddresses"])).unwrap();
    let address = |at: usize| addresses[at].as_str().unwrap();

    // Two coins for the wallet, in blocks that will be pruned.
    let miner = Script::new(0);
    node.mine(110, &miner);
    let mut funding = Vec::new();
    for height in 1..=2 {
        let coin = node.coinbase(height, &miner);
        let own = Amount::from_sat(2 * COIN);
        let outputs = [
            (script_of(address(height as usize)), own),
            (
                miner.output_script(),
                coin.value - own - Amount::from_sat(10_000),
            ),
        ];
        funding.push(node.send(&spend(&[coin], &outputs)).to_string());
        node.mine(1, &Script::new(1));
    }
    node.mine(700, &Script::new(1));
    let mut server = Server::start_with(
        &node,
        &[
            "--wallet",
            &format!("savings={key}"),
            "--wallet-birth",
            "100",
        ],
    );
    let pruned = node.rpc("pruneblockchain", &[json!(600)]);
    assert!(pruned.as_u64().unwrap() > 112, "{pruned}");

    // Everything is there, and proven, for the first time after the blocks are gone.
    wallet.connect(server.port);
    wallet.eventually("it is connected and has all headers", || {
        wallet.follows(&node)
    });
    wallet.run(&["load_wallet"]);
    wallet.has_balance(4 * COIN, 0);
    let confirmations = |txid: &str| match txid == funding[0] {
        true => u64::from(node.height()) - 110,
        false => u64::from(node.height()) - 111,
    };
    for txid in &funding {
        wallet.has_verified(txid, confirmations(txid));
    }

    // Pay.
    let payment = wallet.run(&[
        "payto",
        &Script::new(3).address().to_string(),
        "0.5",
        "-f",
        "0.0001",
    ]);
    let payment_id = wallet.run(&["broadcast", &payment]);
    let left = 4 * COIN - COIN / 2 - 10_000;
    wallet.has_spent(left);
    let block = node.mine(1, &Script::new(1));
    wallet.has_balance(left, 0);
    wallet.has_verified(&payment_id, 1);

    // A reorg without the payment, and with it again; a restart in between.
    node.invalidate(block[0]);
    node.mine_exactly(&[], &Script::new(4));
    node.mine_exactly(&[], &Script::new(4));
    wallet.eventually("it follows the reorg", || wallet.follows(&node));
    wallet.is_unconfirmed(&payment_id);
    server.kill();
    node.mine(1, &Script::new(4));
    server.resume();
    server.wait_until_ready();
    wallet.has_balance(left, 0);
    wallet.has_verified(&payment_id, 1);

    // Somebody else restores it from the public key alone.
    let mut watching = Wallet::offline(program, &["restore", &key]);
    watching.connect(server.port);
    watching.eventually("it is connected and has all headers", || {
        watching.follows(&node)
    });
    watching.run(&["load_wallet"]);
    watching.has_balance(left, 0);
    for txid in &funding {
        watching.has_verified(txid, confirmations(txid));
    }
    watching.run(&["stop"]);
    wallet.run(&["stop"]);
    server.stop();
}

#[test]
fn wallets_are_kept_apart_and_others_get_what_the_policy_says() {
    let node = pruning();
    let (alice, bob, nobody) = (Script::new(1), Script::new(2), Script::new(3));
    for script in [&alice, &bob, &nobody] {
        node.mine(2, script);
    }
    let port = free_port();
    let conf = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    let text = format!(
        "[[wallet]]\nname = \"alice\"\nkeys = \"{}\"\n\n[[wallet]]\nname = \"bob\"\nkeys = [\"{}\"]\nlisten = \"127.0.0.1:{port}\"\n",
        alice.address(),
        bob.address()
    );
    std::fs::write(conf.path(), text).unwrap();
    let conf = conf.path().to_str().unwrap();
    let history = |port: u16, script: &Script| {
        let mut wire = crate::wire::Wire::try_connect(port).unwrap();
        let params = json!([script_hash(script.output_script().as_bytes())]);
        wire.try_call("blockchain.scripthash.get_history", params)
            .map(|history| history.as_array().unwrap().len())
    };
    let mut server = Server::start_with(&node, &["--conf", conf]);
    assert_eq!(history(server.port, &alice), Ok(2));
    assert_eq!(history(server.port, &bob), Ok(0));
    assert_eq!(history(port, &bob), Ok(2));
    assert_eq!(history(port, &alice), Ok(0));
    assert_eq!(history(port, &nobody), Ok(0));
    assert!(server.log().contains("in none of the wallets"));
    // A wallet more, in the place of the first, while it runs; and what is shown elsewhere stays there.
    let text = std::fs::read_to_string(conf).unwrap();
    let more = format!(
        "[[wallet]]\nname = \"carol\"\nkeys = \"{}\"\n\n{text}",
        nobody.address()
    );
    std::fs::write(conf, more).unwrap();
    server.signal("HUP");
    eventually("the new wallet is there", || {
        match history(server.port, &nobody) {
            Ok(2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(history(server.port, &bob), Ok(0));
    assert_eq!(history(port, &bob), Ok(2));
    assert_eq!(history(port, &nobody), Ok(0));
    // What cannot be read changes nothing.
    std::fs::write(conf, "[[wallet]]\nkeys = \"nonsense\"\n").unwrap();
    server.signal("HUP");
    eventually("it says so", || {
        match server.log().contains("the wallets stay as they are") {
            true => Ok(()),
            false => Err(server.log()),
        }
    });
    assert_eq!(history(server.port, &alice), Ok(2));
    std::fs::write(conf, text).unwrap();
    server.stop();

    let mut server = Server::start_with(&node, &["--conf", conf, "--unwatched", "reject"]);
    let refused = history(server.port, &nobody).unwrap_err();
    assert!(refused.contains("belongs to no wallet"), "{refused}");
    assert_eq!(history(server.port, &alice), Ok(2));
    server.stop();

    let mut server = Server::start_with(&node, &["--conf", conf, "--unwatched", "watch"]);
    assert_eq!(
        history(server.port, &nobody),
        Ok(0),
        "what was before is not looked for"
    );
    node.mine(1, &nobody);
    eventually("it is watched", || match history(server.port, &nobody) {
        Ok(1) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    server.stop();
}

#[test]
fn wrong_wallets_are_refused_with_clear_words() {
    let node = pruning();
    node.mine(5, &Script::new(1));
    let dir = tempfile::tempdir().unwrap();
    let private = "tprv8ZgxMBicQKsPeDgjzdC36fs6bMjGApWDNLR9erAXMs5skhMv36j9MV5ecvfavji5khqjWaWSFhN3YcCUUdiKH6isR4Pwy3U5y5egddBr16m";
    let run = |more: &[&str]| {
        let output = command("electrum-server", dir.path())
            .args([
                "--network",
                "regtest",
                "--skip-default-conf-files",
                "--daemon-dir",
            ])
            .arg(node.daemon_dir())
            .args(["--daemon-rpc-addr", &node.rpc_address(), "--sync-once"])
            .args(more)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        (output.status.code(), said)
    };
    let mainnet = "xpub6CatWdiZiodmUeTDp8LT5or8nmbKNcuyvz7WyksVFkKB4RHwCD3XyuvPEbvqAQY3rAPshWcMLoP2fMFMKHPJ4ZeZXYVUhLv1VMrjPC7PW6V";
    let checksum = format!("wpkh({TPUB}/0/*)#aaaaaaaa");
    let good = format!("wpkh({TPUB}/0/*)");
    for (more, status, part) in [
        (&["--wallet", private][..], 2, "private key"),
        (&["--wallet", mainnet], 2, "mainnet"),
        (&["--wallet", &checksum], 2, "checksum"),
        (&["--wallet", TPUB, "--wallet", TPUB], 2, "the same scripts"),
        (&["--wallet", TPUB, "--wallet-birth", "soon"], 2, "no date"),
        (
            &["--wallet", TPUB, "--wallet-birth", "6"],
            1,
            "above the tip",
        ),
        (&["--wallet", TPUB, "--gap-limit", "0"], 2, "gap limit"),
        (&["--eps-config", "/nowhere"], 2, "/nowhere"),
    ] {
        let (code, said) = run(more);
        assert_eq!(code, Some(status), "{more:?}: {said}");
        assert!(said.contains(part), "{more:?}: {said}");
        assert!(!said.contains(&private[10..60]), "{said}");
    }
    // Nothing was lost by any of it, and the index of some wallets is not taken for one of the whole chain.
    let (code, said) = run(&["--wallet", &good]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["--wallet", &good]);
    assert_eq!(code, Some(0), "{said}");
    let other = RegtestNode::start();
    other.mine(3, &Script::new(1));
    let (code, said) = run(&[
        "--daemon-dir",
        other.daemon_dir().to_str().unwrap(),
        "--daemon-rpc-addr",
        &other.rpc_address(),
    ]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("some wallets only"), "{said}");
}

#[test]
fn a_birth_that_is_too_late_is_said() {
    let node = RegtestNode::start();
    let alice = Script::new(1);
    node.mine(1, &alice);
    node.mine(105, &Script::new(2));
    // A payment with change: what it spends came before the birth.
    let coin = node.coinbase(1, &alice);
    let change = Amount::from_sat(COIN);
    let rest = coin.value - change - Amount::from_sat(10_000);
    let outputs = [
        (alice.output_script(), change),
        (Script::new(3).output_script(), rest),
    ];
    node.send(&spend(&[coin], &outputs));
    node.mine(1, &Script::new(2));
    let wallet = format!("alice={}", alice.address());
    let late = ["--wallet", &wallet, "--wallet-birth", "50"];
    let mut server = Server::start_with(&node, &late);
    let log = server.log();
    assert!(
        log.contains("the birth of wallet \"alice\" (height 50) is too late"),
        "{log}"
    );
    assert!(
        log.contains("serving wallet \"alice\" and nothing else of the chain: 1 address or script; from height 50 on"),
        "{log}"
    );
    assert!(!log.contains(&alice.address().to_string()), "{log}");
    server.stop();
    // Early enough, there is nothing to say.
    let early = ["--wallet", &wallet, "--wallet-birth", "1"];
    let mut server = Server::start_with(&node, &early);
    assert!(!server.log().contains("too late"), "{}", server.log());
    server.stop();
    // After the last block nothing would be found at all.
    let never = ["--wallet", &wallet, "--wallet-birth", "2031-01-01"];
    let mut server = Server::spawn(&node, &never);
    let status = server.wait();
    let log = server.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains("(2031-01-01) is after the tip of the chain, height 107"),
        "{log}"
    );
}

#[test]
fn a_pruned_node_is_refused_before_anything_is_written_and_wallets_are_named() {
    let node = pruning();
    node.mine(800, &Script::new(1));
    node.rpc("pruneblockchain", &[json!(600)]);
    let mut server = Server::spawn(&node, &[]);
    let status = server.wait();
    let log = server.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("prune=0") && log.contains("--wallet"), "{log}");
    assert!(!server.db_dir().join("regtest").exists(), "{log}");
    let wallet = format!("a={}", Script::new(9).address());
    server.add_arguments(&["--wallet", &wallet, "--wallet-birth", "790"]);
    server.resume();
    server.wait_until_ready();
    server.stop();
}

#[test]
fn the_files_of_other_programs_make_a_personal_server() {
    let node = RegtestNode::start();
    node.mine(3, &Script::new(1));
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let file = dir.path().join("config.ini");
    std::fs::write(
        &file,
        format!(
            "[master-public-keys]\nmine = {TPUB}\n[bitcoin-rpc]\nhost = 127.0.0.1\nport = 1\n[electrum-server]\nhost = \
             127.0.0.1\nport = {port}\nip_whitelist = *\ncertfile = no.crt\nkeyfile = no.key\nbroadcast_method = tor\ntor_host = \
             localhost\n"
        ),
    )
    .unwrap();
    let mut server = Server::start_with(&node, &["--eps-config", file.to_str().unwrap()]);
    // Where its wallets go to.
    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let log = server.log();
    for part in [
        "taken over from",
        "1 wallet,",
        &format!("TLS on 127.0.0.1:{port}"),
        "certfile (line 10)",
        "keyfile (line 11)",
        "broadcast_method = tor (line 12)",
        "tor_host (line 13)",
        "host and port of [bitcoin-rpc] (lines 4 and 5) are not taken over",
        "serving wallet \"mine\"",
        "tpubD6Nz...G87VKp",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(!log.contains(TPUB), "{log}");
    server.stop();
}
