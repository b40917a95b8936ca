//! Extended public keys, of one signer and of several.

use anyhow::{anyhow, bail};
use bitcoin::Network;
use electrum_server_core::personal::Keychain;
use slip132::{Branch, ExtendedKey, Kind, Signer, registry};

use super::descriptor;

/// Whether a word is as long as an extended key, and begins as the public ones of Bitcoin do.
pub(in crate::wallets) fn is_extended(word: &str) -> bool {
    word.len() > 100
        && word.get(1..4) == Some("pub")
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The ends of a public key, for its owner: too little for anybody else.
pub(in crate::wallets) fn shortened(key: &str) -> String {
    let tail = key.get(key.len().saturating_sub(6)..).unwrap_or_default();
    format!("{}...{tail}", key.get(..8).unwrap_or_default())
}

/// Reads a key and checks its network. `text` [is extended](is_extended).
pub(super) fn read(text: &str, network: Network) -> anyhow::Result<ExtendedKey> {
    let start = text.get(..8).unwrap_or_default();
    let key = ExtendedKey::parse(text)
        .map_err(|error| anyhow!("the key that begins with {start} cannot be read: {error}"))?;
    let (ours, is_ours) = match network {
        Network::Bitcoin => (
            slip132::Network::Mainnet,
            key.network() == slip132::Network::Mainnet,
        ),
        _ => (
            slip132::Network::Testnet,
            key.network() == slip132::Network::Testnet,
        ),
    };
    if is_ours {
        return Ok(key);
    }
    let what = what_it_is(&key);
    let instead = prefix(ours, key.kind());
    match ours {
        slip132::Network::Mainnet => bail!(
            "the key {} is {what} of a test network, and the server is on mainnet ({network}): start with --network testnet4 \
             (testnet, signet, regtest) if the wallet is there, or export the key of the wallet on mainnet, which begins with \
             {instead}",
            shortened(text)
        ),
        _ => bail!(
            "the key {} is {what} of mainnet, and the server is on a test network ({network}): start with --network bitcoin if \
             the wallet is there, or export the key of the wallet on {network}, which begins with {instead}",
            shortened(text)
        ),
    }
}

fn prefix(network: slip132::Network, kind: Kind) -> &'static str {
    let [public, _] = registry::row(network, kind).map_or(["xpub", "xprv"], |row| row.prefixes);
    public
}

/// A key's prefix, and what it stands for.
pub(super) fn what_it_is(key: &ExtendedKey) -> String {
    let script = match key.kind() {
        Kind::Standard => "P2PKH, or P2SH of several signers",
        Kind::P2wpkhInP2sh => "P2WPKH in P2SH of one signer",
        Kind::P2wpkh => "P2WPKH of one signer",
        Kind::P2wshInP2sh => "P2WSH in P2SH of several signers",
        Kind::P2wsh => "P2WSH of several signers",
    };
    let prefix = prefix(key.network(), key.kind());
    let article = match prefix.starts_with(['x', 'X', 'u', 'U']) {
        true if prefix.starts_with(['x', 'X']) => "an",
        _ => "a",
    };
    format!("{article} {prefix} ({script})")
}

/// The wallet of one key, as Electrum makes it.
pub(super) fn single(text: &str, network: Network) -> anyhow::Result<Vec<Keychain>> {
    let key = read(text, network)?;
    if let Kind::P2wsh | Kind::P2wshInP2sh = key.kind() {
        let one_signer = match key.kind() {
            Kind::P2wsh => Kind::P2wpkh,
            _ => Kind::P2wpkhInP2sh,
        };
        bail!(
            "the key {} is {}, and has no addresses alone: write how many must sign and the keys of all signers (`2 KEY KEY \
             KEY`); a wallet of one signer has a key that begins with {}",
            shortened(text),
            what_it_is(&key),
            prefix(key.network(), one_signer)
        );
    }
    let descriptor = slip132::Descriptor::single(Signer::from(key), Branch::Both)?;
    descriptor::derived(&descriptor.encode())
}

/// Splits `M KEY KEY ...`; nothing when it is something else.
pub(super) fn of_several_signers<'a, 'b>(
    words: &'b [&'a str],
) -> anyhow::Result<Option<(usize, &'b [&'a str])>> {
    let Some((first, rest)) = words.split_first() else {
        return Ok(None);
    };
    let digits = first.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = first.get(..first.len() - digits.len()).unwrap_or_default();
    let has_keys = rest.iter().any(|word| word.len() > 60);
    if number.is_empty() || number.len() > 4 || !has_keys {
        return Ok(None);
    }
    // 2of3, 2-of-3, 2/3, 2 of 3, 2: and others that people write.
    let keys = rest
        .iter()
        .position(|word| word.len() > 60)
        .unwrap_or_default();
    if !digits.is_empty() || keys > 0 {
        if digits.len() > 8 {
            return Ok(None);
        }
        let count = rest.len() - keys;
        bail!(
            "write only how many must sign, and then the keys: `{number}{}`",
            " KEY".repeat(count.clamp(1, 20))
        );
    }
    match number.parse() {
        Ok(threshold) => Ok(Some((threshold, rest))),
        Err(_) => Ok(None),
    }
}

/// The M of N of Electrum: keys sorted for each address.
pub(super) fn multi(
    threshold: usize,
    keys: &[&str],
    network: Network,
) -> anyhow::Result<Vec<Keychain>> {
    let mut signers: Vec<Signer> = Vec::with_capacity(keys.len());
    for (number, text) in (1..).zip(keys) {
        if !is_extended(text) {
            bail!(
                "signer {number} has no extended public key (it would begin with Zpub, Ypub or xpub, or on test networks with Vpub, Upub or tpub)"
            );
        }
        let key = read(text, network).map_err(|error| anyhow!("signer {number}: {error:#}"))?;
        if let Kind::P2wpkh | Kind::P2wpkhInP2sh = key.kind() {
            let several = match key.kind() {
                Kind::P2wpkh => Kind::P2wsh,
                _ => Kind::P2wshInP2sh,
            };
            bail!(
                "signer {number}: the key {} is {}: export the key of the wallet of several signers, which begins with {}; a \
                 wallet of one signer is written with its key alone",
                shortened(text),
                what_it_is(&key),
                prefix(key.network(), several)
            );
        }
        if let Some(first) = signers.first()
            && first.key.kind() != key.kind()
        {
            bail!(
                "signer {number}: the key {} is {}, and that of signer 1 is {}: the keys of one wallet are of one kind",
                shortened(text),
                what_it_is(&key),
                what_it_is(&first.key)
            );
        }
        let same = |other: &Signer| {
            (other.key.public_key(), other.key.chain_code()) == (key.public_key(), key.chain_code())
        };
        if let Some(at) = signers.iter().position(same) {
            bail!(
                "signer {number}: the key {} is that of signer {} again",
                shortened(text),
                at + 1
            );
        }
        signers.push(Signer::from(key));
    }
    if signers.len() < 2 {
        bail!(
            "{threshold} of 1 is no wallet of several signers: write the keys of all of them behind the {threshold}, or the key \
             alone for a wallet of one signer"
        );
    }
    let count = signers.len();
    let descriptor = slip132::Descriptor::multi(threshold, signers, Branch::Both);
    match descriptor {
        Ok(descriptor) => descriptor::derived(&descriptor.encode()),
        Err(_) if threshold == 0 || threshold > count => bail!(
            "{threshold} of {count} signers cannot be: the number before the {count} keys is how many must sign, from 1 to {count}"
        ),
        Err(error) => Err(error.into()),
    }
}
