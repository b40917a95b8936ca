//! Methods that make blocks, and those of a wallet: the faucet's.

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::hex::DisplayHex;
use bitcoin::{Address, Network, Transaction};
use serde_json::{Value, json};

use super::arguments::address;
use super::{Answer, Arguments, Control, ControlError, Method, method};
use crate::regtest::FundError;
use crate::regtest::json::{btc, object};

pub(super) const METHODS: &[Method] = &[
    method(
        "generatetoaddress",
        &["nblocks", "address", "maxtries"],
        "Mines blocks that pay to an address; their hashes.",
        generate,
    ),
    method(
        "generateblock",
        &["output", "transactions", "submit"],
        "Mines a block with exactly these transactions (txids or hexadecimal).",
        generate_block,
    ),
    method(
        "sendtoaddress",
        &["address", "amount"],
        "Pays from the faucet; the txid.",
        send_to_address,
    ),
    method(
        "sendmany",
        &["dummy", "amounts"],
        "Pays several addresses from the faucet; the txid.",
        send_many,
    ),
    method("getbalance", &[], "What the faucet can give.", balance),
    method(
        "getnewaddress",
        &["label", "address_type"],
        "The faucet's address, always the same.",
        new_address,
    ),
    method(
        "validateaddress",
        &["address"],
        "Whether something is an address of regtest.",
        validate,
    ),
    method(
        "getnetworkinfo",
        &[],
        "The name of the node, and its relay fees.",
        network,
    ),
];

/// More blocks than anybody means.
const MOST_BLOCKS: u32 = 100_000;

fn generate(control: &Control, arguments: &Arguments) -> Answer {
    let (count, script) = (arguments.number32(0)?, arguments.address(1)?);
    if count > MOST_BLOCKS {
        let message = format!("no more than {MOST_BLOCKS} blocks at once");
        return Err(ControlError::new(ControlError::PARAMETER, message));
    }
    let hashes = control.node.mine(count, &script);
    match hashes.len() == count as usize {
        true => Ok(json!(hashes)),
        // The clock is at the end of time.
        false => Err(ControlError::new(
            -25,
            "a block on this chain would be too old",
        )),
    }
}

fn generate_block(control: &Control, arguments: &Arguments) -> Answer {
    let script = arguments.address(0)?;
    let mut txs = Vec::new();
    for text in arguments.texts(1)? {
        let waiting = text
            .parse()
            .ok()
            .and_then(|txid| control.node.read(|state| state.find(&txid, None).ok()));
        let tx: Option<Transaction> = waiting.or_else(|| deserialize_hex(&text).ok());
        txs.push(tx.ok_or_else(|| {
            let message = format!(
                "Transaction decode failed for {text}. Make sure the tx has at least one input."
            );
            ControlError::new(-22, message)
        })?);
    }
    let mined = control.node.mine_exactly(&txs, &script);
    let hash = mined.map_err(|reject| {
        let message = format!("TestBlockValidity failed: {reject}");
        ControlError::new(-25, message)
    })?;
    Ok(json!({"hash": hash}))
}

fn refused(error: &FundError) -> ControlError {
    match error {
        FundError::Dry { .. } => ControlError::new(-6, error),
        FundError::Refused(reject) => ControlError::new(-26, reject),
    }
}

fn send_to_address(control: &Control, arguments: &Arguments) -> Answer {
    let (script, amount) = (arguments.address(0)?, arguments.amount(1)?);
    let paid = control.node.fund(&script, amount);
    paid.map(|txid| json!(txid))
        .map_err(|error| refused(&error))
}

fn send_many(control: &Control, arguments: &Arguments) -> Answer {
    let amounts = arguments.get(1).and_then(Value::as_object);
    let wrong = || ControlError::new(ControlError::TYPE, "amounts must be an object");
    let mut outputs = Vec::new();
    for (to, amount) in amounts.ok_or_else(wrong)? {
        let one = Arguments::new(&["address", "amount"], &json!([to, amount]))?;
        outputs.push((one.address(0)?, one.amount(1)?));
    }
    let paid = control.node.fund_many(&outputs);
    paid.map(|txid| json!(txid))
        .map_err(|error| refused(&error))
}

fn balance(control: &Control, _: &Arguments) -> Answer {
    Ok(btc(control.node.faucet_balance().to_sat()))
}

fn new_address(control: &Control, _: &Arguments) -> Answer {
    let script = control.node.faucet_script();
    let address = Address::from_script(&script, Network::Regtest);
    let address = address.map_err(|error| ControlError::new(-1, error))?;
    Ok(json!(address.to_string()))
}

fn validate(_: &Control, arguments: &Arguments) -> Answer {
    let text = arguments.text(0)?;
    let Some(script) = address(text) else {
        let error = "Invalid or unsupported address";
        return Ok(json!({"isvalid": false, "error_locations": [], "error": error}));
    };
    let mut described = object(json!({
        "isvalid": true,
        "address": text,
        "scriptPubKey": script.to_hex_string(),
        "isscript": script.is_p2sh() || script.is_p2wsh(),
        "iswitness": script.is_witness_program(),
    }));
    if let (Some(version), Some(program)) = (script.witness_version(), script.as_bytes().get(2..)) {
        described.insert("witness_version".to_owned(), json!(version.to_num()));
        let program = program.to_lower_hex_string();
        described.insert("witness_program".to_owned(), json!(program));
    }
    Ok(Value::Object(described))
}

fn network(_: &Control, _: &Arguments) -> Answer {
    let rate = btc(crate::regtest::policy::MIN_RELAY_RATE);
    Ok(json!({
        "version": 0,
        "subversion": concat!("/electrum-server-regtest:", env!("CARGO_PKG_VERSION"), "/"),
        "protocolversion": 70016,
        "connections": 0,
        "networkactive": false,
        "relayfee": rate,
        "incrementalfee": rate,
        "warnings": [],
    }))
}
