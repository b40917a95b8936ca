//! Output descriptors lead to the addresses of the published vectors.
#![cfg(all(feature = "all-languages", feature = "miniscript"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use electrum_seed::bitcoin::Network;
use electrum_seed::bitcoin::bip32::DerivationPath;
use electrum_seed::miniscript::{Descriptor, DescriptorPublicKey};
use electrum_seed::{Account, Chain, Multisig, Purpose, ScriptKind, Seed, Wallet, bip39_seed};
use serde_json::Value;

const CHAINS: [(Chain, &str); 2] = [(Chain::Receive, "receiving"), (Chain::Change, "change")];

fn address(descriptor: &Descriptor<DescriptorPublicKey>, index: u32, network: Network) -> String {
    descriptor.sanity_check().unwrap();
    let definite = descriptor.at_derivation_index(index).unwrap();
    definite.address(network).unwrap().to_string()
}

#[test]
fn descriptors_lead_to_the_same_addresses() {
    let file: Value = serde_json::from_str(include_str!("data/seeds.json")).unwrap();
    let mut compared = 0;
    for record in file["vectors"].as_array().unwrap() {
        let Ok(seed) = Seed::parse(record["phrase"].as_str().unwrap()) else {
            continue;
        };
        let network = match record["network"].as_str() {
            Some("testnet") => Network::Testnet,
            _ => Network::Bitcoin,
        };
        let passphrase = record["passphrase"].as_str().unwrap();
        let wallet = seed.wallet(passphrase, network, Purpose::Wallet).unwrap();
        for (chain, field) in CHAINS {
            let listed = record[field].as_array();
            for (index, expected) in (0..).zip(listed.into_iter().flatten()) {
                let found = match &wallet {
                    Wallet::Account(account) => {
                        address(&account.descriptor(chain).unwrap(), index, network)
                    }
                    Wallet::TwoFactor(keys) => address(&keys.descriptor(chain), index, network),
                    Wallet::Old(key) => {
                        let descriptor = key.public().descriptor(chain, index).unwrap();
                        address(&descriptor, 0, network)
                    }
                    other => panic!("{other:?}"),
                };
                assert_eq!(found, expected.as_str().unwrap(), "{record}");
                compared += 1;
            }
        }
    }
    assert!(compared > 200, "{compared}");
}

#[test]
fn descriptors_name_the_origin_of_keys() {
    let phrase =
        "wild father tree among universe such mobile favorite target dynamic credit identify";
    let seed = Seed::parse(phrase).unwrap();
    let Wallet::Account(account) = seed.wallet("", Network::Bitcoin, Purpose::Wallet).unwrap()
    else {
        panic!("one account");
    };
    let text = account.descriptor(Chain::Change).unwrap().to_string();
    assert!(text.starts_with("wpkh([bb68ad83/0'"), "{text}");
    assert!(
        text.contains(&format!("]{}/1/*)#", account.xpub())),
        "{text}"
    );

    let Wallet::Account(account) = seed
        .wallet("", Network::Bitcoin, Purpose::Cosigner)
        .unwrap()
    else {
        panic!("one account");
    };
    assert!(account.descriptor(Chain::Receive).is_none());
    assert!(
        account
            .key_expression(Chain::Receive)
            .starts_with("[bb68ad83/1")
    );
}

#[test]
fn nested_descriptors_lead_to_the_same_addresses() {
    let seed = bip39_seed(
        "treat dwarf wealth gasp brass outside high rent blood crowd make initial",
        "",
    );
    let account = |path: &str, script| {
        let path: DerivationPath = path.parse().unwrap();
        Account::new(&seed, &path, script, Network::Bitcoin).unwrap()
    };
    let single = account("49h/0h/0h", ScriptKind::P2shP2wpkh);
    let found = address(
        &single.descriptor(Chain::Receive).unwrap(),
        0,
        Network::Bitcoin,
    );
    assert_eq!(found, "35ohQTdNykjkF1Mn9nAVEFjupyAtsPAK1W");

    for script in [ScriptKind::P2sh, ScriptKind::P2wsh, ScriptKind::P2shP2wsh] {
        let keys = ["48h/0h/0h/1h", "48h/0h/1h/1h", "48h/0h/2h/1h"];
        let keys = keys.map(|path| *account(path, script).xpub()).to_vec();
        let wallet = Multisig::new(2, keys, script).unwrap();
        for (chain, _) in CHAINS {
            for index in 0..5 {
                let ours = wallet.address(chain, index, Network::Bitcoin).unwrap();
                let found = address(&wallet.descriptor(chain), index, Network::Bitcoin);
                assert_eq!(ours.to_string(), found);
            }
        }
    }
}
