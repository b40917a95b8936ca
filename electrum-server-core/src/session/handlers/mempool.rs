//! `mempool.*`

use electrum_protocol::method::mempool::{FeeBin, MempoolFees};

use super::{MethodError, Turn};

pub(super) fn fee_histogram(turn: &Turn<'_>) -> Vec<FeeBin> {
    turn.view.fee_histogram()
}

pub(super) fn info(turn: &Turn<'_>) -> Result<MempoolFees, MethodError> {
    let services = turn.services;
    Ok(services
        .fees
        .mempool(services.node.as_ref(), turn.view.sequence())?)
}
