//! Methods about blocks.

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Block, OutPoint};
use serde_json::{Value, json};

use super::{Answer, Arguments, Control, ControlError, Method, method};
use crate::regtest::json;
use crate::regtest::json::btc;

pub(super) const METHODS: &[Method] = &[
    method("getblockchaininfo", &[], "The state of the chain.", info),
    method("getblockcount", &[], "The height of the tip.", count),
    method("getbestblockhash", &[], "The hash of the tip.", best),
    method(
        "getblockhash",
        &["height"],
        "The hash of the active chain's block at a height.",
        hash,
    ),
    method(
        "getblock",
        &["blockhash", "verbosity"],
        "A block: 0 hexadecimal, 1 with txids, 2 with transactions.",
        block,
    ),
    method(
        "getblockheader",
        &["blockhash", "verbose"],
        "A header, described or in hexadecimal.",
        header,
    ),
    method(
        "getdifficulty",
        &[],
        "The difficulty, the lowest there is.",
        difficulty,
    ),
    method("getchaintips", &[], "The ends of all branches.", tips),
    method(
        "gettxout",
        &["txid", "n", "include_mempool"],
        "An unspent output, or null.",
        txout,
    ),
    method(
        "invalidateblock",
        &["blockhash"],
        "Takes a block and all above it off the active chain.",
        invalidate,
    ),
    method(
        "reconsiderblock",
        &["blockhash"],
        "Takes an invalidateblock back.",
        reconsider,
    ),
    method(
        "submitblock",
        &["hexdata", "dummy"],
        "Takes a block; null, or why not.",
        submit,
    ),
];

fn unknown_block() -> ControlError {
    ControlError::new(-5, "Block not found")
}

fn info(control: &Control, _: &Arguments) -> Answer {
    Ok(control.node.read(|state| {
        let chain = &state.chain;
        let (height, tip) = (chain.height(), chain.tip());
        let time = chain.entry(&tip).map(|entry| entry.block.header.time);
        json!({
            "chain": "regtest",
            "blocks": height,
            "headers": height,
            "bestblockhash": tip,
            "bits": json::BITS,
            "target": json::TARGET,
            "difficulty": json::DIFFICULTY,
            "time": time,
            "mediantime": chain.median_time(&tip),
            "verificationprogress": 1,
            "initialblockdownload": false,
            "chainwork": format!("{:064x}", (u64::from(height) + 1) * 2),
            "size_on_disk": 0,
            "pruned": false,
            "warnings": [],
        })
    }))
}

fn difficulty(_: &Control, _: &Arguments) -> Answer {
    Ok(json!(json::DIFFICULTY))
}

fn count(control: &Control, _: &Arguments) -> Answer {
    Ok(json!(control.node.height()))
}

fn best(control: &Control, _: &Arguments) -> Answer {
    Ok(json!(control.node.best_block().hash))
}

fn hash(control: &Control, arguments: &Arguments) -> Answer {
    let height = u32::try_from(arguments.number(0)?).unwrap_or(u32::MAX);
    let hash = control.node.block_hash(height);
    let missing = || ControlError::new(ControlError::PARAMETER, "Block height out of range");
    hash.map(|hash| json!(hash)).ok_or_else(missing)
}

fn block(control: &Control, arguments: &Arguments) -> Answer {
    let (hash, level) = (arguments.block_hash(0)?, arguments.level(1, 1)?);
    control.node.read(|state| {
        let entry = state.chain.entry(&hash).ok_or_else(unknown_block)?;
        if level == 0 {
            return Ok(json!(serialize_hex(&entry.block)));
        }
        let mut described = json::header(&state.chain, &hash).ok_or_else(unknown_block)?;
        let spent = state.chain.spent(&hash).map(|spent| spent.as_slice());
        json::add_transactions(&mut described, &entry.block, spent, level >= 2);
        Ok(Value::Object(described))
    })
}

fn header(control: &Control, arguments: &Arguments) -> Answer {
    let (hash, level) = (arguments.block_hash(0)?, arguments.level(1, 1)?);
    control.node.read(|state| {
        let entry = state.chain.entry(&hash).ok_or_else(unknown_block)?;
        Ok(match level {
            0 => json!(serialize_hex(&entry.block.header)),
            _ => Value::Object(json::header(&state.chain, &hash).ok_or_else(unknown_block)?),
        })
    })
}

fn tips(control: &Control, _: &Arguments) -> Answer {
    Ok(control.node.read(|state| {
        let chain = &state.chain;
        let mut tips: Vec<Value> = Vec::new();
        // The active tip ends no branch when a block above it was declared invalid.
        let active = chain.entry(&chain.tip()).into_iter();
        let others = chain.leaves().filter(|entry| entry.block.block_hash() != chain.tip());
        for entry in active.chain(others) {
            let hash = entry.block.block_hash();
            let (fork, is_active) = (chain.fork_height(&hash), chain.is_active(&hash));
            let status = match (is_active, chain.is_spoiled(&hash)) {
                (true, _) => "active",
                (false, true) => "invalid",
                (false, false) => "valid-fork",
            };
            let length = entry.height - fork;
            tips.push(json!({"height": entry.height, "hash": hash, "branchlen": length, "status": status}));
        }
        Value::Array(tips)
    }))
}

fn txout(control: &Control, arguments: &Arguments) -> Answer {
    let outpoint = OutPoint::new(arguments.txid(0)?, arguments.number32(1)?);
    let with_mempool = arguments.level(2, 1)? != 0;
    Ok(control.node.read(|state| {
        let spent = with_mempool && state.mempool.spender(&outpoint).is_some();
        let coin = match with_mempool {
            true => state.mempool.coin(&state.chain, &outpoint),
            false => state.chain.coins.get(&outpoint).cloned(),
        };
        let Some(coin) = coin.filter(|_| !spent) else {
            return Value::Null;
        };
        json!({
            "bestblock": state.chain.tip(),
            "confirmations": (state.chain.height() + 1).saturating_sub(coin.height),
            "value": btc(coin.output.value.to_sat()),
            "scriptPubKey": json::script(&coin.output.script_pubkey),
            "coinbase": coin.is_coinbase,
        })
    }))
}

fn invalidate(control: &Control, arguments: &Arguments) -> Answer {
    let hash = arguments.block_hash(0)?;
    match control.node.invalidate(&hash) {
        true => Ok(Value::Null),
        false => Err(unknown_block()),
    }
}

fn reconsider(control: &Control, arguments: &Arguments) -> Answer {
    let hash = arguments.block_hash(0)?;
    match control.node.reconsider(&hash) {
        true => Ok(Value::Null),
        false => Err(unknown_block()),
    }
}

fn submit(control: &Control, arguments: &Arguments) -> Answer {
    let block: Block = arguments.decoded(0, "Block decode failed")?;
    if !control.node.knows(&block.header.prev_blockhash) {
        return Err(ControlError::new(-25, "Must submit previous header"));
    }
    let verdict = control.node.submit_block(block);
    Ok(verdict.map_or_else(|reject| json!(reject.reason), |()| Value::Null))
}
