//! Phrases of BIP39, as Electrum opens them where its user says that they are.

use bitcoin::bip32::DerivationPath;
use electrum_seed::{Account, ScriptKind, bip39_languages, bip39_seed};
use slip132::Kind;

use super::account;
use super::description::{Description, Printing, hex};
use crate::report::{Failure, Report, warn};

/// Which of the phrase's wallets.
pub(super) struct Place<'a> {
    pub(super) path: &'a DerivationPath,
    pub(super) xtype: Option<Kind>,
    pub(super) multisig: bool,
}

pub(super) fn derive(
    phrase: &str,
    passphrase: &str,
    place: &Place<'_>,
    printing: &Printing,
) -> Result<Report, Failure> {
    let is_valid = !bip39_languages(phrase).is_empty();
    if !is_valid {
        warn("the phrase is not valid in BIP39; its words or their order may be mistyped");
    }
    let steps: Vec<u32> = place.path.into_iter().copied().map(u32::from).collect();
    let kind = place
        .xtype
        .or_else(|| Kind::from_path(&steps))
        .ok_or_else(|| {
            Failure::refused("no standard says what keys at this path are for; --xtype does")
        })?;
    let script = match (kind, place.multisig) {
        (Kind::Standard, false) => ScriptKind::P2pkh,
        (Kind::Standard, true) => ScriptKind::P2sh,
        (Kind::P2wpkh, _) => ScriptKind::P2wpkh,
        (Kind::P2wpkhInP2sh, _) => ScriptKind::P2shP2wpkh,
        (Kind::P2wsh, _) => ScriptKind::P2wsh,
        (Kind::P2wshInP2sh, _) => ScriptKind::P2shP2wsh,
    };
    let refused = |error: electrum_seed::DeriveError| Failure::refused(error.to_string());
    let seed = bip39_seed(phrase, passphrase);
    let account = Account::new(&seed, place.path, script, printing.network).map_err(refused)?;
    let mut description = Description::default();
    description.put("seed_type", "type", "bip39");
    description.field("bip39_checksum_valid", is_valid);
    if printing.private {
        description.put("bip39_seed", "BIP39 seed", hex(&*seed));
    }
    account::describe(&account, printing, &mut description).map_err(refused)?;
    Ok(description.into())
}
