//! Methods about transactions and the mempool.

use bitcoin::Transaction;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::hex::FromHex;
use serde_json::{Map, Value, json};

use super::{Answer, Arguments, Control, ControlError, Method, method};
use crate::chain::Node;
use crate::regtest::json;
use crate::regtest::json::btc;
use crate::regtest::mempool::{Mempool, Terms, Waiting};

pub(super) const METHODS: &[Method] = &[
    method(
        "getrawmempool",
        &["verbose", "mempool_sequence"],
        "Txids of the mempool, or its entries.",
        txids,
    ),
    method(
        "getmempoolentry",
        &["txid"],
        "A transaction of the mempool: fees, relatives.",
        entry,
    ),
    method("getmempoolinfo", &[], "The state of the mempool.", info),
    method(
        "getrawtransaction",
        &["txid", "verbosity", "blockhash"],
        "A transaction, wherever it is.",
        get,
    ),
    method(
        "decoderawtransaction",
        &["hexstring", "iswitness"],
        "Describes a transaction.",
        decode,
    ),
    method(
        "sendrawtransaction",
        &["hexstring", "maxfeerate", "maxburnamount"],
        "Takes a transaction into the mempool; its txid.",
        send,
    ),
    method(
        "testmempoolaccept",
        &["rawtxs", "maxfeerate"],
        "Whether the mempool would take transactions.",
        test,
    ),
    method(
        "submitpackage",
        &["package", "maxfeerate", "maxburnamount"],
        "Takes parents and their child, which may pay for them.",
        submit_package,
    ),
    method(
        "estimatesmartfee",
        &["conf_target", "estimate_mode"],
        "What setfeeestimate has set.",
        estimate,
    ),
];

const DECODE_FAILED: &str = "TX decode failed. Make sure the tx has at least one input.";

fn describe(mempool: &Mempool, waiting: &Waiting) -> Map<String, Value> {
    let ancestors = mempool.with_ancestors([waiting.txid].into_iter());
    let descendants = mempool.with_descendants([waiting.txid].into_iter());
    let sum = |txids: &std::collections::BTreeSet<_>| {
        let there = txids.iter().filter_map(|txid| mempool.waiting.get(txid));
        there.fold((0, 0), |(fee, vsize), tx| (fee + tx.fee, vsize + tx.vsize))
    };
    let (above, below) = (sum(&ancestors), sum(&descendants));
    json::object(json!({
        "vsize": waiting.vsize,
        "weight": waiting.tx.weight().to_wu(),
        "time": waiting.time,
        "height": waiting.height,
        "descendantcount": descendants.len(),
        "descendantsize": below.1,
        "ancestorcount": ancestors.len(),
        "ancestorsize": above.1,
        "wtxid": waiting.tx.compute_wtxid(),
        "fees": {
            "base": btc(waiting.fee),
            "modified": btc(waiting.fee),
            "ancestor": btc(above.0),
            "descendant": btc(below.0),
        },
        "depends": mempool.parents(&waiting.tx),
        "spentby": mempool.children(waiting),
        "unbroadcast": false,
    }))
}

fn txids(control: &Control, arguments: &Arguments) -> Answer {
    let verbose = arguments.level(0, 0)? != 0;
    Ok(control.node.read(|state| {
        let all = state.mempool.waiting.values();
        match verbose {
            true => all
                .map(|waiting| {
                    let described = describe(&state.mempool, waiting);
                    (waiting.txid.to_string(), Value::Object(described))
                })
                .collect::<Map<_, _>>()
                .into(),
            false => all.map(|waiting| json!(waiting.txid)).collect(),
        }
    }))
}

fn entry(control: &Control, arguments: &Arguments) -> Answer {
    let txid = arguments.txid(0)?;
    control.node.read(|state| {
        let waiting = state.mempool.waiting.get(&txid);
        let missing = || ControlError::new(-5, "Transaction not in mempool");
        let waiting = waiting.ok_or_else(missing)?;
        Ok(Value::Object(describe(&state.mempool, waiting)))
    })
}

fn info(control: &Control, _: &Arguments) -> Answer {
    let fees = control.node.mempool_fees()?;
    Ok(control.node.read(|state| {
        let mempool = &state.mempool;
        json!({
            "loaded": true,
            "size": mempool.waiting.len(),
            "bytes": mempool.vsize(),
            "usage": mempool.vsize(),
            "total_fee": btc(mempool.fees),
            "maxmempool": mempool.max_vsize,
            "mempoolminfee": btc(fees.mempool_min_fee.0.to_sat()),
            "minrelaytxfee": btc(fees.min_relay_tx_fee.0.to_sat()),
            "incrementalrelayfee": btc(fees.incremental_relay_fee.0.to_sat()),
            "unbroadcastcount": 0,
        })
    }))
}

fn get(control: &Control, arguments: &Arguments) -> Answer {
    let (txid, level) = (arguments.txid(0)?, arguments.level(1, 0)?);
    let block = match arguments.get(2) {
        Some(_) => Some(arguments.block_hash(2)?),
        None => control.node.block_of(&txid),
    };
    control.node.read(|state| {
        let tx = state.find(&txid, block.as_ref())?;
        Ok(match level {
            0 => json!(serialize_hex(&tx)),
            _ => {
                let mut described = json::placed_transaction(&state.chain, &tx, block.as_ref());
                if arguments.get(2).is_none() {
                    described.remove("in_active_chain");
                }
                Value::Object(described)
            }
        })
    })
}

fn decode(_: &Control, arguments: &Arguments) -> Answer {
    let tx: Transaction = arguments.decoded(0, "TX decode failed")?;
    let mut described = json::transaction(&tx);
    described.remove("hex");
    Ok(Value::Object(described))
}

fn send(control: &Control, arguments: &Arguments) -> Answer {
    let limit = |index| match arguments.get(index) {
        Some(_) => arguments.amount(index).map(Some),
        None => Ok(None),
    };
    let txid = control
        .node
        .send_raw_within(&arguments.bytes(0)?, limit(1)?, limit(2)?)?;
    Ok(json!(txid))
}

fn test(control: &Control, arguments: &Arguments) -> Answer {
    let mut txs = Vec::new();
    for raw_tx in arguments.texts(0)? {
        let tx: Transaction = deserialize_hex(&raw_tx).map_err(|_| {
            ControlError::new(
                -22,
                format!("TX decode failed: {raw_tx} Make sure the tx has at least one input."),
            )
        })?;
        txs.push(tx);
    }
    Ok(control.node.read(|state| {
        // Each may build on those before it.
        let mut mempool = state.mempool.clone();
        let verdicts = txs.iter().map(|tx| {
            let mut verdict =
                json::object(json!({"txid": tx.compute_txid(), "wtxid": tx.compute_wtxid()}));
            match mempool.check(&state.chain, tx, Terms::Alone) {
                Ok(candidate) => {
                    verdict.insert("allowed".to_owned(), json!(true));
                    verdict.insert("vsize".to_owned(), json!(candidate.vsize));
                    let rate = (candidate.fee * 1000).checked_div(candidate.vsize);
                    let fees = json!({
                        "base": btc(candidate.fee),
                        "effective-feerate": btc(rate.unwrap_or(0)),
                        "effective-includes": [tx.compute_wtxid()],
                    });
                    verdict.insert("fees".to_owned(), fees);
                    mempool.add(candidate, 0, 0);
                }
                Err(reject) => {
                    let reason = match reject.reason.as_str() {
                        "bad-txns-inputs-missingorspent" => "missing-inputs",
                        reason => reason,
                    };
                    verdict.insert("allowed".to_owned(), json!(false));
                    verdict.insert("reject-reason".to_owned(), json!(reason));
                    if reason != "missing-inputs" {
                        verdict.insert("reject-details".to_owned(), json!(reject.to_string()));
                    }
                }
            }
            Value::Object(verdict)
        });
        verdicts.collect()
    }))
}

fn submit_package(control: &Control, arguments: &Arguments) -> Answer {
    let raw_txs: Result<Vec<Vec<u8>>, _> = arguments
        .texts(0)?
        .iter()
        .map(|raw_tx| Vec::from_hex(raw_tx))
        .collect();
    let raw_txs = raw_txs.map_err(|_| ControlError::new(-22, DECODE_FAILED))?;
    Ok(control.node.send_package(&raw_txs)?.to_json())
}

fn estimate(control: &Control, arguments: &Arguments) -> Answer {
    let blocks = arguments.number32(0)?;
    Ok(match control.node.estimate_fee(blocks, None)? {
        Some(rate) => json!({"feerate": btc(rate.0.to_sat()), "blocks": blocks}),
        None => json!({"errors": ["Insufficient data or no feerate found"], "blocks": blocks}),
    })
}
