//! The wallets of a personal server: from what their owners write to scripts.
//!
//! What is written may by mistake be a private key. It is refused, and no error repeats it.

mod birth;
mod entry;
mod import;
mod keys;
mod summary;

use std::collections::HashMap;

use anyhow::{Context, bail};
use bitcoin::Network;
use electrum_server_core::personal::{GAP_LIMIT, Keychain, Wallet};

pub(crate) use entry::{UnwatchedPolicy, WalletEntry, birth_text};
pub(crate) use import::{Remarks, closest, take_over};
pub(crate) use summary::describe;

/// Makes wallets of what is configured.
///
/// # Errors
///
/// Says which wallet is wrong, and what would be right.
pub(crate) fn wallets(entries: &[WalletEntry], network: Network) -> anyhow::Result<Vec<Wallet>> {
    let mut wallets: Vec<Wallet> = Vec::with_capacity(entries.len());
    // Which wallet has a keychain, by what names it.
    let mut known: HashMap<String, String> = HashMap::new();
    for (number, entry) in entries.iter().enumerate() {
        let name = entry.name_at(number);
        // Where it stands, and what it is called.
        let wallet = match &entry.origin {
            Some(origin) => format!("{origin}: wallet \"{name}\""),
            None => format!("wallet \"{name}\""),
        };
        if wallets.iter().any(|wallet| wallet.name == name) {
            bail!("{wallet}: two wallets are called \"{name}\": give them different names");
        }
        let keychains = keychains(entry, network).with_context(|| wallet.clone())?;
        for keychain in &keychains {
            if let Some(other) = known.insert(keychain.id().to_owned(), name.clone()) {
                if other == name {
                    bail!("{wallet} has the same scripts twice: remove one of them");
                }
                bail!(
                    "wallets \"{other}\" and \"{name}\" have the same scripts: remove one of them"
                );
            }
        }
        let birth =
            birth::parse(entry.birth.as_ref()).with_context(|| format!("{wallet}: its birth"))?;
        let gap_limit = entry.gap_limit.unwrap_or(GAP_LIMIT);
        if gap_limit == 0 || gap_limit > MAX_GAP_LIMIT {
            bail!("{wallet}: a gap limit is between 1 and {MAX_GAP_LIMIT}, not {gap_limit}");
        }
        wallets.push(Wallet {
            name,
            keychains,
            birth,
            gap_limit,
        });
    }
    Ok(wallets)
}

/// Beyond that it is a mistake rather than a wish.
const MAX_GAP_LIMIT: u32 = 100_000;

fn keychains(entry: &WalletEntry, network: Network) -> anyhow::Result<Vec<Keychain>> {
    let mut keychains = Vec::new();
    for text in &entry.keys {
        keychains.extend(keys::keychains(text, network)?);
    }
    if keychains.is_empty() {
        bail!("it has nothing to watch: give it `keys` (a descriptor, an xpub, an address, ...)");
    }
    Ok(keychains)
}

#[cfg(test)]
mod tests;
