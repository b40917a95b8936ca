//! `blockchain.headers.*`

use electrum_protocol::Tip;

use super::Turn;

pub(super) fn subscribe(turn: &mut Turn<'_>) -> Tip {
    let tip = turn.view.tip();
    turn.subscriptions.subscribe_headers(tip);
    tip
}
