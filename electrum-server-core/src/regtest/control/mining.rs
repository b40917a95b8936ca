//! Methods that make blocks.

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Script, Transaction};
use serde_json::json;

use super::{Answer, Arguments, Control, ControlError, Method, descriptor, method};
use crate::regtest::json;

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
        "generatetodescriptor",
        &["num_blocks", "descriptor", "maxtries"],
        "Mines blocks that pay to a descriptor; their hashes.",
        generate_to_descriptor,
    ),
    method(
        "getmininginfo",
        &[],
        "The height, the difficulty, and the size of the mempool.",
        info,
    ),
];

/// More blocks than anybody means.
const MOST_BLOCKS: u32 = 100_000;

fn generate(control: &Control, arguments: &Arguments) -> Answer {
    mine(control, arguments.number32(0)?, &arguments.address(1)?)
}

fn mine(control: &Control, count: u32, script: &Script) -> Answer {
    if count > MOST_BLOCKS {
        let message = format!("no more than {MOST_BLOCKS} blocks at once");
        return Err(ControlError::new(ControlError::PARAMETER, message));
    }
    let hashes = control.node.mine(count, script);
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
    let script = descriptor::output(arguments.text(0)?)?;
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

fn generate_to_descriptor(control: &Control, arguments: &Arguments) -> Answer {
    let count = arguments.number32(0)?;
    let descriptor = descriptor::parse(arguments.text(1)?)?;
    mine(control, count, &descriptor.single()?)
}

fn info(control: &Control, _: &Arguments) -> Answer {
    Ok(control.node.read(|state| {
        json!({
            "blocks": state.chain.height(),
            "bits": json::BITS,
            "difficulty": json::DIFFICULTY,
            "target": json::TARGET,
            "networkhashps": 0,
            "pooledtx": state.mempool.waiting.len(),
            "chain": "regtest",
            "warnings": [],
        })
    }))
}
