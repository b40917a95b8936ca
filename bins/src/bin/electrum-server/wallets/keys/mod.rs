//! Keychains from keys as people have them.
//!
//! Errors say which key is meant, what it is and what to write instead. A key is shown by its ends, and only when it is
//! certainly a public one.

mod descriptor;
mod extended;
mod private;

use std::sync::Arc;

use anyhow::{anyhow, bail};
use bitcoin::address::NetworkUnchecked;
use bitcoin::hex::FromHex;
use bitcoin::{Address, Network, ScriptBuf};
use electrum_seed::{Chain, OldMasterPublicKey};
use electrum_server_core::personal::Keychain;

pub(super) use extended::{is_extended, shortened};

/// Reads what somebody wants to be watched.
///
/// # Errors
///
/// Says what is wrong with it; what may be a private key is not repeated.
pub(super) fn keychains(text: &str, network: Network) -> anyhow::Result<Vec<Keychain>> {
    let text = text.trim();
    if private::is_private(text) {
        bail!(
            "there is a private key or a seed in it. Nothing here needs one: give the public key (an xpub, a public descriptor), \
             and consider the private key known to others"
        );
    }
    if text.contains('(') {
        return descriptor::keychains(text, network);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if let Some((threshold, keys)) = extended::of_several_signers(&words)? {
        return extended::multi(threshold, keys, network);
    }
    match words.as_slice() {
        [] => bail!("it is empty"),
        [one] => of_one(one, network),
        several if several.iter().all(|word| is_extended(word)) => bail!(
            "there are {0} keys, and nothing says what they are together. For one wallet of several signers, write first how \
             many of them must sign (`2 KEY KEY KEY`); for {0} wallets, give each a --wallet (or [[wallet]], or line) of its own",
            several.len()
        ),
        _ => {
            // A list of addresses.
            let addresses = (1..).zip(&words).map(|(number, address)| {
                of_address(address, network).map_err(|error| match words.len() {
                    1 => error,
                    _ => anyhow!("word {number}: {error:#}"),
                })
            });
            addresses.collect()
        }
    }
}

fn of_one(text: &str, network: Network) -> anyhow::Result<Vec<Keychain>> {
    if text.len() == 128
        && let Ok(key) = text.parse::<OldMasterPublicKey>()
    {
        return Ok(of_old_key(key));
    }
    if is_extended(text) {
        return extended::single(text, network);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(vec![of_script(text)?]);
    }
    Ok(vec![of_address(text, network)?])
}

fn of_old_key(key: OldMasterPublicKey) -> Vec<Keychain> {
    let keychain = |chain: Chain| {
        let derive = move |index| {
            let public_key = key.public_key(chain, index).ok()?;
            Some(ScriptBuf::new_p2pkh(&public_key.pubkey_hash()))
        };
        Keychain::new(format!("old({key})/{}", chain.index()), Arc::new(derive))
    };
    vec![keychain(Chain::Receive), keychain(Chain::Change)]
}

/// What can be watched.
const KNOWN: &str = "known are output descriptors, extended public keys (xpub, ypub, zpub, Ypub, Zpub and those of testnets), \
    `M KEY KEY ...` for several signers, old master public keys (128 hexadecimal digits), addresses and scripts in hexadecimal";

/// Networks, and what `--network` calls them.
const NETWORKS: [(Network, &str); 5] = [
    (Network::Bitcoin, "bitcoin"),
    (Network::Testnet, "testnet"),
    (Network::Testnet4, "testnet4"),
    (Network::Signet, "signet"),
    (Network::Regtest, "regtest"),
];

pub(super) fn of_address(text: &str, network: Network) -> anyhow::Result<Keychain> {
    // Anything else may be a secret.
    let is_like_an_address = (25..=90).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && [
            "1", "3", "2", "m", "n", "bc1", "tb1", "bcrt1", "BC1", "TB1", "BCRT1",
        ]
        .iter()
        .any(|start| text.starts_with(start));
    let Ok(address) = text.parse::<Address<NetworkUnchecked>>() else {
        match is_like_an_address {
            true => bail!(
                "`{text}` is no address: a character is mistyped, missing or too many; {KNOWN}"
            ),
            false => bail!("it is nothing that can be watched; {KNOWN}"),
        }
    };
    if !address.is_valid_for_network(network) {
        let fits = NETWORKS
            .iter()
            .filter(|(other, _)| address.is_valid_for_network(*other));
        let names: Vec<&str> = fits.map(|(_, name)| *name).collect();
        bail!(
            "the address `{text}` is of another network than {network}: start with --network {}, or give an address of {network}",
            names.join(" or ")
        );
    }
    Ok(Keychain::single(address.assume_checked().script_pubkey()))
}

pub(super) fn of_script(hex: &str) -> anyhow::Result<Keychain> {
    match hex.len() {
        64 => bail!(
            "64 hexadecimal digits are no script, but a hash or a key, perhaps a private one: give an address, a script or a \
             descriptor"
        ),
        66 if hex.starts_with("02") || hex.starts_with("03") => {
            bail!(
                "66 hexadecimal digits are a public key, and no script: write wpkh(KEY), pkh(KEY) or pk(KEY)"
            )
        }
        130 if hex.starts_with("04") => {
            bail!(
                "130 hexadecimal digits are a public key, and no script: write pkh(KEY) or pk(KEY)"
            )
        }
        40 => bail!(
            "40 hexadecimal digits are the hash of a key or a script, and no script: give the address"
        ),
        _ => {}
    }
    let Ok(bytes) = Vec::from_hex(hex) else {
        bail!("a script in hexadecimal has an even number of digits, from 0 to 9 and from a to f");
    };
    let script = ScriptBuf::from_bytes(bytes);
    if script.is_op_return() {
        bail!(
            "this is a script with OP_RETURN, which nobody can spend: such outputs have no history on servers of the Electrum \
             protocol, and nothing would ever be shown of it"
        );
    }
    Ok(Keychain::single(script))
}
