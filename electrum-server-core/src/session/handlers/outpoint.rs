//! `blockchain.outpoint.*` and `blockchain.utxo.*`

use bitcoin::{Address, OutPoint, ScriptBuf, TxOut};
use electrum_protocol::method::outpoint::{GetStatus, OutpointStatus, Subscribe, Unsubscribe};
use electrum_protocol::method::utxo::{GetAddress, GetInfo, Info};
use electrum_protocol::{Confirmation, Notification, ScriptHash};

use super::transaction::output;
use super::{MethodError, Services, Turn};
use crate::session::subscriptions::{Others, Output};
use crate::view::{QueryError, View};

pub(super) fn subscribe(
    turn: &mut Turn<'_>,
    params: &Subscribe,
) -> Result<OutpointStatus, MethodError> {
    let outpoint = params.outpoint;
    let others = turn.subscriptions.existing_others();
    let is_there = others.is_some_and(|others| others.has_outpoint(&outpoint));
    turn.admit(is_there)?;
    let (output, status) = status(turn, outpoint, params.script_hint.as_ref())?;
    turn.subscriptions
        .others()
        .subscribe_outpoint(outpoint, output, status);
    Ok(status)
}

pub(super) fn get_status(
    turn: &Turn<'_>,
    params: &GetStatus,
) -> Result<OutpointStatus, MethodError> {
    let (_, status) = status(turn, params.outpoint, params.script_hint.as_ref())?;
    Ok(status)
}

pub(super) fn unsubscribe(turn: &mut Turn<'_>, params: Unsubscribe) -> bool {
    let others = turn.subscriptions.existing_others();
    others.is_some_and(|others| others.unsubscribe_outpoint(&params.outpoint))
}

/// Says what became of an output. Who knows its script spares us the transaction, and is believed: with another script
/// there is no such output.
fn status(
    turn: &Turn<'_>,
    outpoint: OutPoint,
    script_hint: Option<&ScriptBuf>,
) -> Result<(Output, OutpointStatus), MethodError> {
    let limit = turn.max_history;
    match script_hint.filter(|script| !script.is_op_return()) {
        Some(script) => {
            let script_hash = ScriptHash::from_script(script);
            let status = turn.view.outpoint(&outpoint, &script_hash, limit)?;
            Ok((Output::Of(script_hash), status))
        }
        None => look_for(turn.services, &turn.view, outpoint, limit),
    }
}

/// Says what became of an output whose script is not known yet.
fn look_for(
    services: &Services,
    view: &View,
    outpoint: OutPoint,
    limit: Option<usize>,
) -> Result<(Output, OutpointStatus), MethodError> {
    let nowhere = Output::LookedForAt(view.tip_hash());
    let Some(found) = output(services, view, &outpoint)? else {
        return Ok((nowhere, OutpointStatus::Missing));
    };
    if !found.script_pubkey.is_op_return() {
        let script_hash = ScriptHash::from_script(&found.script_pubkey);
        if !services.may_see(&script_hash) {
            return Ok((nowhere, OutpointStatus::Missing));
        }
        let status = view.outpoint(&outpoint, &script_hash, limit)?;
        return Ok((Output::Of(script_hash), status));
    }
    // Nobody can spend it, and it is in no script's history.
    let funder = match view.mempool().get(&outpoint.txid) {
        Some(entry) => Some(Confirmation::Mempool {
            unconfirmed_parents: entry.unconfirmed_parents,
        }),
        None => view
            .position(&outpoint.txid)?
            .map(|position| Confirmation::Block(position.height)),
    };
    let status = funder.map_or(OutpointStatus::Missing, |funder| OutpointStatus::Unspent {
        funder,
    });
    Ok((nowhere, status))
}

/// Says what became of some watched outpoints, where that changed.
pub(super) fn news(
    others: &mut Others,
    services: &Services,
    view: &View,
    count: usize,
) -> Result<Vec<Notification>, QueryError> {
    let mut notifications = Vec::new();
    for (outpoint, known, last) in others.take_outpoints(count) {
        let (output, status) = match known {
            // Without a limit, as for statuses.
            Output::Of(script_hash) => (known, view.outpoint(&outpoint, &script_hash, None)?),
            // No new block: it can only have come to the mempool.
            Output::LookedForAt(tip)
                if tip == view.tip_hash()
                    && last == OutpointStatus::Missing
                    && view.mempool().get(&outpoint.txid).is_none() =>
            {
                continue;
            }
            Output::LookedForAt(_) => match look_for(services, view, outpoint, None) {
                Ok(found) => found,
                Err(MethodError::Query(error)) => return Err(error),
                // The node is away; it is asked again when something changes.
                Err(_) => continue,
            },
        };
        if others.is_outpoint_change(outpoint, output, status) {
            notifications.push(Notification::Outpoint { outpoint, status });
        }
    }
    Ok(notifications)
}

/// Returns the address that an output pays to, if there is one.
pub(super) fn get_address(
    turn: &Turn<'_>,
    params: GetAddress,
) -> Result<Option<String>, MethodError> {
    let outpoint = OutPoint::new(params.txid, params.vout);
    let output = output(turn.services, &turn.view, &outpoint)?;
    Ok(output
        .zip(turn.view.network())
        .and_then(|(output, network)| Address::from_script(&output.script_pubkey, network).ok())
        .map(|address| address.to_string()))
}

/// Returns what an output holds that nothing spends.
pub(super) fn get_info(turn: &Turn<'_>, params: GetInfo) -> Result<Option<Info>, MethodError> {
    let outpoint = OutPoint::new(params.txid, params.vout);
    let Some(TxOut {
        value,
        script_pubkey,
    }) = output(turn.services, &turn.view, &outpoint)?
    else {
        return Ok(None);
    };
    let script_hash = ScriptHash::from_script(&script_pubkey);
    if !turn.services.may_see(&script_hash) {
        return Ok(None);
    }
    let limit = turn.max_history;
    let status = turn.view.outpoint(&outpoint, &script_hash, limit)?;
    let OutpointStatus::Unspent { funder } = status else {
        return Ok(None);
    };
    Ok(Some(Info {
        confirmed_height: match funder {
            Confirmation::Block(height) => Some(height),
            Confirmation::Mempool { .. } => None,
        },
        script_hash,
        value,
    }))
}
