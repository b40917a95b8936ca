//! `blockchain.address.*`

use bitcoin::Address;
use bitcoin::address::NetworkUnchecked;
use electrum_protocol::{ScriptHash, Status};

use super::{MethodError, Turn, scripthash};
use crate::view::View;

/// Finds the script of an address of the server's network.
pub(super) fn script_hash(turn: &Turn<'_>, address: &str) -> Result<ScriptHash, MethodError> {
    script_of_address(&turn.view, address).ok_or_else(|| MethodError::NoAddress {
        address: address.chars().take(MAX_SHOWN).collect(),
    })
}

/// The same; nothing when it is no such address.
pub(crate) fn script_of_address(view: &View, address: &str) -> Option<ScriptHash> {
    let address: Address<NetworkUnchecked> = address.parse().ok()?;
    let address = address.require_network(view.network()?).ok()?;
    Some(ScriptHash::from_script(&address.script_pubkey()))
}

/// The longest text that is repeated to whoever sends it as an address; no address is longer.
const MAX_SHOWN: usize = 100;

/// Subscribes to the script of an address, and records the status as sent, as for a script hash.
pub(super) fn subscribe(
    turn: &mut Turn<'_>,
    address: String,
) -> Result<Option<Status>, MethodError> {
    let script_hash = script_hash(turn, &address)?;
    let is_there = turn.subscriptions.has_script(&script_hash);
    turn.admit(is_there)?;
    let status = scripthash::get_status(turn, script_hash)?;
    turn.subscriptions
        .subscribe_address(address, script_hash, status);
    Ok(status)
}
