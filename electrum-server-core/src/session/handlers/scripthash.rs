//! `blockchain.scripthash.*`

use electrum_protocol::method::scripthash::{
    GetBalance, GetHistory, GetMempool, ListUnspent, Subscribe, Unsubscribe,
};
use electrum_protocol::{Balance, HistoryEntry, Status, Unspent};

use super::{MethodError, Turn};

pub(super) fn get_balance(turn: &Turn<'_>, params: GetBalance) -> Result<Balance, MethodError> {
    Ok(turn
        .view
        .balance(&params.script_hash, turn.services.limits.max_history)?)
}

pub(super) fn get_history(
    turn: &Turn<'_>,
    params: GetHistory,
) -> Result<Vec<HistoryEntry>, MethodError> {
    Ok(turn
        .view
        .history(&params.script_hash, turn.services.limits.max_history)?)
}

pub(super) fn get_mempool(
    turn: &Turn<'_>,
    params: GetMempool,
) -> Result<Vec<HistoryEntry>, MethodError> {
    Ok(turn.view.mempool_history(&params.script_hash))
}

pub(super) fn list_unspent(
    turn: &Turn<'_>,
    params: ListUnspent,
) -> Result<Vec<Unspent>, MethodError> {
    Ok(turn
        .view
        .unspent(&params.script_hash, turn.services.limits.max_history)?)
}

/// Subscribes, and records the status as sent: the answer and the record are made in one step, so the first
/// notification is about a change since this answer.
pub(super) fn subscribe(
    turn: &mut Turn<'_>,
    params: Subscribe,
) -> Result<Option<Status>, MethodError> {
    let Subscribe { script_hash } = params;
    let limits = &turn.services.limits;
    turn.subscriptions.admit(&script_hash, limits)?;
    let (answers, sequence) = (turn.services.answers(), turn.view.sequence());
    let status = match answers.status(&script_hash, sequence) {
        Some(status) => status,
        None => {
            let status = turn.view.status(&script_hash, limits.max_history)?;
            answers.keep_status(script_hash, sequence, status);
            status
        }
    };
    turn.subscriptions.subscribe(script_hash, status);
    Ok(status)
}

pub(super) fn unsubscribe(turn: &mut Turn<'_>, params: Unsubscribe) -> bool {
    turn.subscriptions.unsubscribe(&params.script_hash)
}
