//! Keychains from keys as people have them.

use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use bitcoin::hex::FromHex;
use bitcoin::{Address, Network, NetworkKind, ScriptBuf};
use electrum_seed::{Chain, OldMasterPublicKey};
use electrum_server_core::personal::Keychain;
use miniscript::{Descriptor, DescriptorPublicKey, ForEachKey};
use slip132::{Branch, ExtendedKey, Signer};

/// Reads what somebody wants to be watched.
///
/// # Errors
///
/// Says what is wrong with it; what may be a private key is not repeated.
pub(super) fn keychains(text: &str, network: Network) -> anyhow::Result<Vec<Keychain>> {
    let text = text.trim();
    if is_private(text) {
        bail!(
            "there is a private key or a seed in it. Nothing here needs one: give the public key (an xpub, a public descriptor), \
             and consider the private key known to others"
        );
    }
    if let Some(inside) = text.strip_prefix("addr(") {
        let address = inside.split(')').next().unwrap_or_default();
        return Ok(vec![of_address(address, network)?]);
    }
    if let Some(inside) = text.strip_prefix("raw(") {
        let script = inside.split(')').next().unwrap_or_default();
        return Ok(vec![of_script(script)?]);
    }
    if text.contains('(') {
        return of_descriptor(text, network);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [] => bail!("it is empty"),
        [first, keys @ ..] if !keys.is_empty() && first.parse::<usize>().is_ok() => {
            of_several(first.parse()?, keys, network)
        }
        [one] => of_one(one, network),
        _ => {
            // A list of addresses.
            let addresses = words.iter().map(|address| of_address(address, network));
            addresses.collect()
        }
    }
}

/// Whether a text seems to hold a private key, perhaps with a mistake in it: an extended one, a single one in base58, or
/// the words of a seed.
fn is_private(text: &str) -> bool {
    let is_base58 =
        |word: &&str| word.len() > 40 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let has_key = words.filter(is_base58).any(|word| {
        // Something may stand right before it; in a public key and in an address these letters may come by chance.
        let is_public = word.get(1..4) == Some("pub") && word.len() <= 112;
        let extended = word.get(1..4) == Some("prv")
            || (word.len() > 100 && word.contains("prv") && !is_public);
        // No address is as long, no script and no hash has other letters than hexadecimal digits.
        let single = matches!(word.len(), 51 | 52)
            && word.starts_with(['5', 'K', 'L', '9', 'c'])
            && !word.bytes().all(|byte| byte.is_ascii_hexdigit());
        extended || single
    });
    // Addresses are longer.
    let is_of_seed =
        |word: &str| word.len() <= 12 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let phrase: Vec<&str> = text.split_whitespace().collect();
    has_key || (phrase.len() >= 12 && phrase.into_iter().all(is_of_seed))
}

fn of_one(text: &str, network: Network) -> anyhow::Result<Vec<Keychain>> {
    if text.len() == 128
        && let Ok(key) = text.parse::<OldMasterPublicKey>()
    {
        return Ok(of_old_key(key));
    }
    if text.len() > 100
        && let Some(prefix) = text.get(1..4)
        && prefix == "pub"
    {
        let key = ExtendedKey::parse(text).with_context(|| format!("`{text}`"))?;
        let descriptor = slip132::Descriptor::single(Signer::from(key), Branch::Both)?;
        return of_descriptor(&descriptor.encode(), network);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(vec![of_script(text)?]);
    }
    Ok(vec![of_address(text, network).map_err(|error| {
        anyhow!(
            "{error}; known are output descriptors, extended public keys (xpub, ypub, zpub, Ypub, Zpub and those of \
             testnets), `M key key ...` for several signers, old master public keys (128 hexadecimal digits), addresses \
             and scripts in hexadecimal"
        )
    })?])
}

/// The M of N of Electrum: keys sorted for each address.
fn of_several(threshold: usize, keys: &[&str], network: Network) -> anyhow::Result<Vec<Keychain>> {
    let signers = keys.iter().map(|key| {
        let key = ExtendedKey::parse(key).with_context(|| format!("`{key}`"))?;
        Ok(Signer::from(key))
    });
    let signers = signers.collect::<anyhow::Result<Vec<_>>>()?;
    let descriptor = slip132::Descriptor::multi(threshold, signers, Branch::Both)?;
    of_descriptor(&descriptor.encode(), network)
}

fn of_descriptor(text: &str, network: Network) -> anyhow::Result<Vec<Keychain>> {
    let descriptor: Descriptor<DescriptorPublicKey> =
        text.parse().map_err(|error: miniscript::Error| {
            anyhow!("`{text}` is no public output descriptor: {error}")
        })?;
    let wanted = NetworkKind::from(network);
    let mut other = None;
    descriptor.for_each_key(|key| {
        let found = match key {
            DescriptorPublicKey::XPub(key) => Some(key.xkey.network),
            DescriptorPublicKey::MultiXPub(key) => Some(key.xkey.network),
            DescriptorPublicKey::Single(_) => None,
        };
        if found.is_some_and(|found| found != wanted) {
            other = Some(key.to_string());
        }
        true
    });
    if let Some(key) = other {
        let (theirs, ours) = match wanted {
            NetworkKind::Main => ("a test network", "mainnet"),
            NetworkKind::Test => ("mainnet", "a test network"),
        };
        bail!("the key {key} is of {theirs}, and the server is on {ours} ({network})");
    }
    Keychain::of_descriptor(&descriptor)
        .with_context(|| format!("`{text}` cannot be derived without private keys"))
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

fn of_address(text: &str, network: Network) -> anyhow::Result<Keychain> {
    let address: Address<_> = text
        .parse()
        .map_err(|error| anyhow!("`{text}` is no address: {error}"))?;
    let address = address
        .require_network(network)
        .map_err(|_| anyhow!("the address `{text}` is of another network than {network}"))?;
    Ok(Keychain::single(address.script_pubkey()))
}

fn of_script(hex: &str) -> anyhow::Result<Keychain> {
    let bytes =
        Vec::from_hex(hex).with_context(|| format!("`{hex}` is no script in hexadecimal"))?;
    Ok(Keychain::single(ScriptBuf::from_bytes(bytes)))
}
