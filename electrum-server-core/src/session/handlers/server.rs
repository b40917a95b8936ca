//! `server.*`

use std::collections::BTreeMap;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use electrum_protocol::Method;
use electrum_protocol::method::EXTENDED_PARAMETERS;
use electrum_protocol::method::server::{AddPeer, Peer, Ping, Pong, ServerFeatures};

use super::{MethodError, Turn};
use crate::session::{Limits, Services};
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
        extensions: extensions(),
        limits: limits(&services.limits),
    }
}

/// Names what the server has at every version, although no version of the specification has it.
fn extensions() -> Vec<String> {
    let methods = Method::ALL.iter().filter(|method| method.is_extension());
    let methods = methods.map(|method| method.name());
    methods
        .chain(EXTENDED_PARAMETERS)
        .map(str::to_owned)
        .collect()
}

/// Names the limits that a client may run into.
fn limits(limits: &Limits) -> BTreeMap<String, u64> {
    let counts = [
        ("max_line", limits.max_line),
        ("max_response", limits.max_response),
        ("max_batch", limits.max_batch),
        ("max_subscriptions", limits.max_subscriptions),
        ("max_subnet_subscriptions", limits.max_subnet_subscriptions),
        ("max_subnet_connections", limits.max_subnet_connections),
    ];
    let seconds = [
        ("line_seconds", limits.line_timeout),
        ("idle_seconds", limits.idle_timeout),
        ("unread_seconds", limits.write_timeout),
    ];
    // There are none when nothing is charged.
    let costs = [
        ("cost_soft", limits.cost_soft),
        ("cost_hard", limits.cost_hard),
    ];
    let costs = costs.into_iter().filter(|_| limits.cost_hard > 0.0);
    let history = limits.max_history.map(|max| ("max_history", max));
    let counts = counts.into_iter().chain(history);
    counts
        .map(|(name, count)| (name, count as u64))
        .chain(seconds.map(|(name, time)| (name, time.as_secs())))
        .chain(costs.map(|(name, cost)| (name, cost as u64)))
        .chain([("max_refusals", limits.max_refusals.into())])
        .map(|(name, limit)| (name.to_owned(), limit))
        .collect()
}

/// Answers with as much data as was asked for.
pub(super) fn ping(turn: &Turn<'_>, params: Ping) -> Result<Pong, MethodError> {
    let data_len = params.pong_len;
    match usize::try_from(data_len).is_ok_and(|len| len <= turn.services.limits.max_response) {
        true => Ok(Pong { data_len }),
        false => Err(MethodError::PongTooLong),
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
        .map(|wallets| wallets.handle.unseen_by(&wallets.allowed));
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
