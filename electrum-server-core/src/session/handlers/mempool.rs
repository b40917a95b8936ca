//! `mempool.*`

use electrum_protocol::method::mempool::{FeeBin, MempoolFees, RecentTransaction};

use super::{MethodError, Turn};

pub(super) fn fee_histogram(turn: &Turn<'_>) -> Vec<FeeBin> {
    turn.view.fee_histogram()
}

pub(super) fn info(turn: &Turn<'_>) -> Result<MempoolFees, MethodError> {
    let services = turn.services;
    Ok(services
        .fees
        .mempool(services.node.as_ref(), turn.view.node_sequence())?)
}

/// How many transactions `mempool.recent` tells.
const RECENT: usize = 10;

pub(super) fn recent(turn: &Turn<'_>) -> Vec<RecentTransaction> {
    let newest = turn.view.newest_transactions().take(RECENT);
    newest
        .map(|entry| RecentTransaction {
            txid: entry.txid,
            fee: entry.fee,
            vsize: entry.vsize,
        })
        .collect()
}
