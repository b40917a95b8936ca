//! `server.*`

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use electrum_protocol::method::server::{AddPeer, Peer, ServerFeatures};

use super::Turn;

pub(super) fn features(turn: &Turn<'_>) -> ServerFeatures {
    let about = &turn.services.about;
    ServerFeatures {
        hosts: about.hosts.clone(),
        // Every chain has a block 0, so the zeros are never seen.
        genesis_hash: turn.view.block_hash(0).unwrap_or_else(BlockHash::all_zeros),
        hash_function: "sha256".to_owned(),
        server_version: about.software.clone(),
        protocol_min: about.versions.min,
        protocol_max: about.versions.max,
        pruning: None,
    }
}

/// Refuses: this server does not keep a list of others.
pub(super) fn add_peer(_: &AddPeer) -> bool {
    false
}

pub(super) fn peers_subscribe() -> Vec<Peer> {
    Vec::new()
}

pub(super) fn banner(turn: &Turn<'_>) -> String {
    turn.services.banner()
}

pub(super) fn donation_address(turn: &Turn<'_>) -> String {
    turn.services.about.donation_address.clone()
}
