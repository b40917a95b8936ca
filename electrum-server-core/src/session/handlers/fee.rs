//! `blockchain.estimatefee` and `blockchain.relayfee`

use electrum_protocol::FeePerKvb;
use electrum_protocol::method::fee::{EstimateFee, FeeEstimate};
use tracing::debug;

use super::{MethodError, Turn};

/// Estimates. When the node cannot tell, or cannot be asked, there is no estimate: wallets leave a server that answers
/// this with an error.
pub(super) fn estimate_fee(turn: &Turn<'_>, params: EstimateFee) -> FeeEstimate {
    let services = turn.services;
    let sequence = turn.view.node_sequence();
    let estimate =
        services
            .fees
            .estimate(services.node.as_ref(), sequence, params.number, params.mode);
    FeeEstimate(estimate.unwrap_or_else(|error| {
        debug!(%error, "no fee estimate");
        None
    }))
}

pub(super) fn relay_fee(turn: &Turn<'_>) -> Result<FeePerKvb, MethodError> {
    let services = turn.services;
    Ok(services
        .fees
        .relay_fee(services.node.as_ref(), turn.view.node_sequence())?)
}
