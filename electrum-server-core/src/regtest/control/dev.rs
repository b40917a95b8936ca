//! Methods for which Bitcoin Core has no name, or that a test needs and a node does not.

use serde_json::{Value, json};

use super::{Answer, Arguments, Control, ControlError, Method, method};
use crate::regtest::policy::MIN_RELAY_RATE;

pub(super) const METHODS: &[Method] = &[
    method(
        "setmocktime",
        &["timestamp"],
        "Sets the clock, in seconds since 1970; 0 gives it back.",
        set_time,
    ),
    method(
        "reorg",
        &["depth"],
        "Replaces the newest blocks by one more, without transactions; their hashes.",
        reorg,
    ),
    method(
        "droptransaction",
        &["txid"],
        "Drops a transaction from the mempool, with all that is built on it.",
        drop_transaction,
    ),
    method(
        "replacetransaction",
        &["hexstring"],
        "Takes a transaction for those that it conflicts with, whatever it pays.",
        replace,
    ),
    method(
        "pausenotifications",
        &[],
        "Hides all changes from the server.",
        pause,
    ),
    method(
        "resumenotifications",
        &[],
        "Shows what has changed meanwhile, at once.",
        resume,
    ),
    method(
        "setfeeestimate",
        &["rate"],
        "Sets the answer to who asks for fees, in BTC per 1000 vbytes; 0: none.",
        set_estimate,
    ),
    method(
        "setmaxmempool",
        &["vsize"],
        "Lets the mempool hold so many virtual bytes.",
        limit,
    ),
    method(
        "snapshot",
        &[],
        "Remembers everything; a number to come back to.",
        snapshot,
    ),
    method(
        "restore",
        &["snapshot"],
        "Returns to what was remembered.",
        restore,
    ),
];

fn set_time(control: &Control, arguments: &Arguments) -> Answer {
    let time = arguments.number32(0)?;
    control.node.set_time((time != 0).then_some(time));
    Ok(Value::Null)
}

fn reorg(control: &Control, arguments: &Arguments) -> Answer {
    Ok(json!(control.node.reorg(arguments.number32(0)?)))
}

fn drop_transaction(control: &Control, arguments: &Arguments) -> Answer {
    match control.node.drop_transaction(&arguments.txid(0)?) {
        true => Ok(Value::Null),
        false => Err(ControlError::new(-5, "Transaction not in mempool")),
    }
}

fn replace(control: &Control, arguments: &Arguments) -> Answer {
    let tx = arguments.decoded(0, "TX decode failed")?;
    let taken = control.node.force_replacement(&tx);
    taken
        .map(|txid| json!(txid))
        .map_err(|reject| ControlError::new(-26, reject))
}

fn pause(control: &Control, _: &Arguments) -> Answer {
    control.node.pause();
    Ok(Value::Null)
}

fn resume(control: &Control, _: &Arguments) -> Answer {
    control.node.resume();
    Ok(Value::Null)
}

fn set_estimate(control: &Control, arguments: &Arguments) -> Answer {
    let rate = arguments.amount(0)?;
    control
        .node
        .set_fee_estimate((rate.to_sat() >= MIN_RELAY_RATE).then_some(rate));
    Ok(Value::Null)
}

fn limit(control: &Control, arguments: &Arguments) -> Answer {
    control.node.limit_mempool(arguments.number(0)?);
    Ok(Value::Null)
}

fn snapshot(control: &Control, _: &Arguments) -> Answer {
    Ok(json!(control.keep(control.node.snapshot())))
}

fn restore(control: &Control, arguments: &Arguments) -> Answer {
    let missing = || ControlError::new(ControlError::PARAMETER, "no such snapshot");
    let snapshot = control.kept(arguments.number(0)?).ok_or_else(missing)?;
    control.node.restore(&snapshot);
    Ok(Value::Null)
}
