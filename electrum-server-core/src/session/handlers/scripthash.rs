//! `blockchain.scripthash.*`, and the same questions about scripts that go by another name.

use electrum_protocol::method::scripthash::{FirstUse, HeightRange};
use electrum_protocol::{Balance, HistoryEntry, ScriptHash, Status, Unspent};

use super::{MethodError, Turn};

pub(super) fn get_balance(
    turn: &Turn<'_>,
    script_hash: &ScriptHash,
) -> Result<Balance, MethodError> {
    Ok(turn.view.balance(script_hash, turn.max_history)?)
}

pub(super) fn get_history(
    turn: &Turn<'_>,
    script_hash: &ScriptHash,
    heights: HeightRange,
) -> Result<Vec<HistoryEntry>, MethodError> {
    let limit = turn.max_history;
    Ok(turn.view.history_between(script_hash, heights, limit)?)
}

pub(super) fn get_mempool(turn: &Turn<'_>, script_hash: &ScriptHash) -> Vec<HistoryEntry> {
    turn.view.mempool_history(script_hash)
}

pub(super) fn list_unspent(
    turn: &Turn<'_>,
    script_hash: &ScriptHash,
) -> Result<Vec<Unspent>, MethodError> {
    Ok(turn.view.unspent(script_hash, turn.max_history)?)
}

pub(super) fn get_first_use(
    turn: &Turn<'_>,
    script_hash: &ScriptHash,
) -> Result<Option<FirstUse>, MethodError> {
    Ok(turn.view.first_use(script_hash)?)
}

pub(super) fn get_status(
    turn: &Turn<'_>,
    script_hash: ScriptHash,
) -> Result<Option<Status>, MethodError> {
    let (answers, sequence) = (turn.services.answers(), turn.view.sequence());
    if let Some(status) = answers.status(&script_hash, sequence) {
        return Ok(status);
    }
    let limit = turn.max_history;
    let status = turn.view.status(&script_hash, limit)?;
    answers.keep_status(script_hash, sequence, status);
    Ok(status)
}

/// Subscribes, and records the status as sent: the answer and the record are made in one step, so the first
/// notification is about a change since this answer.
pub(super) fn subscribe(
    turn: &mut Turn<'_>,
    script_hash: ScriptHash,
) -> Result<Option<Status>, MethodError> {
    let is_there = turn.subscriptions.has_script(&script_hash);
    turn.admit(is_there)?;
    let status = get_status(turn, script_hash)?;
    turn.subscriptions.subscribe(script_hash, status);
    Ok(status)
}

pub(super) fn unsubscribe(turn: &mut Turn<'_>, script_hash: &ScriptHash) -> bool {
    turn.subscriptions.unsubscribe(script_hash)
}
