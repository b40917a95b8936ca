//! `server.*`

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use electrum_protocol::method::server::{AddPeer, Peer, ServerFeatures};

use super::Turn;
use crate::session::Services;
use crate::view::View;

pub(in crate::session) fn features(services: &Services, view: &View) -> ServerFeatures {
    let about = &services.about;
    ServerFeatures {
        hosts: about.hosts.clone(),
        // Every chain has a block 0, so the zeros are never seen.
        genesis_hash: view.block_hash(0).unwrap_or_else(BlockHash::all_zeros),
        hash_function: "sha256".to_owned(),
        server_version: about.software.clone(),
        protocol_min: about.versions.min,
        protocol_max: about.versions.max,
        pruning: None,
    }
}

/// Takes note of a server that names itself, if others are looked for at all.
pub(super) fn add_peer(turn: &Turn<'_>, params: &AddPeer) -> bool {
    let book = turn.services.peers.as_ref();
    book.is_some_and(|book| book.propose(&params.features, turn.client))
}

pub(super) fn peers_subscribe(turn: &Turn<'_>) -> Vec<Peer> {
    let book = turn.services.peers.as_ref();
    book.map_or_else(Vec::new, |book| book.peers(turn.client))
}

pub(super) fn banner(turn: &Turn<'_>) -> String {
    let mut banner = turn.services.banner();
    let unseen = turn
        .services
        .wallets
        .as_ref()
        .map(|wallets| wallets.handle.unseen());
    if let Some(unseen) = unseen.filter(|unseen| !unseen.is_empty()) {
        let ranges: Vec<String> = unseen
            .iter()
            .map(|range| match range.start() == range.end() {
                true => range.start().to_string(),
                false => format!("{} to {}", range.start(), range.end()),
            })
            .collect();
        banner.push_str(&format!(
            "\n\nThe node has pruned blocks before they could be looked at: what is in the blocks at heights {} is \
             missing from histories and balances.",
            ranges.join(", ")
        ));
    }
    banner
}

pub(super) fn donation_address(turn: &Turn<'_>) -> String {
    turn.services.about.donation_address.clone()
}
