//! What a node answers when all is well: every method of its RPC and every path of its REST interface that is used, in
//! the shapes that Bitcoin Core's help describes.

use electrum_server_core::bitcoin::consensus::encode::{VarInt, deserialize_hex, serialize_hex};
use electrum_server_core::bitcoin::consensus::serialize;
use electrum_server_core::bitcoin::{BlockHash, OutPoint, Transaction, TxOut, Txid};
use serde_json::{Value, json};

use super::chain::chain;

/// The node's name for itself.
pub(super) const USER_AGENT: &str = "/Satoshi:31.0.0/";
/// The lowest rate that it relays, in satoshis per 1000 virtual bytes.
pub(super) const RELAY_FEE: u64 = 100;
/// Its estimate of a rate, for however many blocks.
pub(super) const ESTIMATE: u64 = 1234;
/// Its measure of the mempool's memory.
pub(super) const USAGE: u64 = 4096;

/// An answer before it is sent.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    /// Of the REST interface.
    Bytes(Vec<u8>),
    /// The reply to a single call.
    Single(String),
    /// The replies to a batch.
    Batch(Vec<String>),
}

impl Body {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Single(reply) => reply.clone().into_bytes(),
            Self::Batch(replies) => format!("[{}]", replies.join(",")).into_bytes(),
        }
    }
}

/// Answers JSON-RPC.
pub(super) fn rpc(body: &[u8]) -> Answer {
    let request: Value = serde_json::from_slice(body).expect("JSON is sent");
    let (status, body) = match &request {
        Value::Array(calls) => (
            200,
            Body::Batch(calls.iter().map(|call| reply(call).1).collect()),
        ),
        call => {
            let (is_good, reply) = reply(call);
            (if is_good { 200 } else { 500 }, Body::Single(reply))
        }
    };
    Answer { status, body }
}

/// Answers a path of the REST interface.
pub(super) fn rest(path: &str) -> Answer {
    match rest_bytes(path) {
        Some(bytes) => Answer {
            status: 200,
            body: Body::Bytes(bytes),
        },
        None => Answer {
            status: 404,
            body: Body::Bytes(b"not found\r\n".to_vec()),
        },
    }
}

fn rest_bytes(path: &str) -> Option<Vec<u8>> {
    let chain = chain();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let number = |name: &str| -> Option<usize> {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name)?.1.parse().ok()
    };
    if path == "/rest/chaininfo.json" {
        return Some(b"{\"chain\":\"regtest\"}\n".to_vec());
    }
    let (kind, what) = path.strip_prefix("/rest/")?.split_once('/')?;
    let what = what.strip_suffix(".bin")?;
    if kind == "blockhashbyheight" {
        let block = chain.blocks.get(what.parse::<usize>().ok()?)?;
        return Some(serialize(&block.block_hash()));
    }
    let height = chain.height(&what.parse().ok()?)?;
    let block = chain.blocks.get(height)?;
    match kind {
        "block" => Some(serialize(block)),
        "spenttxouts" => Some(spent_bytes(chain.spent.get(height)?)),
        "blockpart" => {
            let start = number("offset")?;
            let end = start.checked_add(number("size")?)?;
            Some(serialize(block).get(start..end)?.to_vec())
        }
        "headers" => {
            let blocks = chain.blocks.iter().skip(height).take(number("count")?);
            Some(blocks.flat_map(|block| serialize(&block.header)).collect())
        }
        _ => None,
    }
}

fn spent_bytes(spent: &[Vec<TxOut>]) -> Vec<u8> {
    let mut bytes = serialize(&VarInt::from(spent.len()));
    for outputs in spent {
        bytes.extend(serialize(&VarInt::from(outputs.len())));
        bytes.extend(outputs.iter().flat_map(serialize));
    }
    bytes
}

/// The envelope of a reply, and whether it holds a result.
fn reply(call: &Value) -> (bool, String) {
    let id = call.get("id").unwrap_or(&Value::Null);
    let method = call
        .get("method")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let none = Vec::new();
    let params = call
        .get("params")
        .and_then(Value::as_array)
        .unwrap_or(&none);
    match result(method, params) {
        Ok(result) => (
            true,
            format!("{{\"result\":{result},\"error\":null,\"id\":{id}}}"),
        ),
        Err((code, message)) => (false, error(code, message, &id.to_string())),
    }
}

/// A reply that is an error.
pub(super) fn error(code: i64, message: &str, id: &str) -> String {
    let error = json!({"code": code, "message": message});
    format!("{{\"result\":null,\"error\":{error},\"id\":{id}}}")
}

const NO_BLOCK: (i64, &str) = (-5, "Block not found");
const BAD_HEIGHT: (i64, &str) = (-8, "Block height out of range");
const NO_TRANSACTION: (i64, &str) = (-5, "No such mempool or blockchain transaction");
const BAD_PARAMETER: (i64, &str) = (-3, "JSON value of another type");

/// The result of a method, as JSON; or the error's code and message.
fn result(method: &str, params: &[Value]) -> Result<String, (i64, &'static str)> {
    let chain = chain();
    let tip = chain.tip().block_hash();
    let height = chain.blocks.len() - 1;
    let text = |i: usize| params.get(i).and_then(Value::as_str).ok_or(BAD_PARAMETER);
    let number = |i: usize| params.get(i).and_then(Value::as_u64).ok_or(BAD_PARAMETER);
    let flag = |i: usize| params.get(i).and_then(Value::as_bool);
    let block = || {
        let hash: BlockHash = text(0)?.parse().map_err(|_| BAD_PARAMETER)?;
        let height = chain.height(&hash).ok_or(NO_BLOCK)?;
        let block = chain.blocks.get(height).ok_or(NO_BLOCK)?;
        Ok((height, block))
    };
    Ok(match method {
        "getblockchaininfo" => format!(
            r#"{{"chain":"regtest","blocks":{height},"headers":{height},"bestblockhash":"{tip}","difficulty":4.656542373906925e-10,"initialblockdownload":true,"pruned":false,"warnings":[]}}"#
        ),
        "getblockhash" => {
            let block = chain.blocks.get(number(0)? as usize).ok_or(BAD_HEIGHT)?;
            format!("\"{}\"", block.block_hash())
        }
        "getblockheader" if flag(1) == Some(false) => {
            format!("\"{}\"", serialize_hex(&block()?.1.header))
        }
        "getblockheader" => {
            let (height, block) = block()?;
            let (hash, count) = (block.block_hash(), block.txdata.len());
            format!(r#"{{"hash":"{hash}","confirmations":1,"height":{height},"nTx":{count}}}"#)
        }
        "getblock" => {
            let (height, block) = block()?;
            match number(1)? {
                0 => format!("\"{}\"", serialize_hex(block)),
                _ => verbose_block(height),
            }
        }
        "getrawmempool" => {
            let txids = chain.mempool.iter().map(Transaction::compute_txid);
            json!(txids.map(|txid| txid.to_string()).collect::<Vec<_>>()).to_string()
        }
        "getrawtransaction" => {
            let txid: Txid = text(0)?.parse().map_err(|_| BAD_PARAMETER)?;
            let tx = chain.transaction(&txid).ok_or(NO_TRANSACTION)?;
            match flag(1) {
                Some(true) => format!(
                    r#"{{"txid":"{txid}","version":2,"locktime":0,"hex":"{}"}}"#,
                    serialize_hex(tx)
                ),
                _ => format!("\"{}\"", serialize_hex(tx)),
            }
        }
        "gettxout" => {
            let txid = text(0)?.parse().map_err(|_| BAD_PARAMETER)?;
            let vout = number(1)? as u32;
            match chain.unspent(&OutPoint { txid, vout }) {
                Some(output) => format!(
                    r#"{{"bestblock":"{tip}","confirmations":1,{},"coinbase":false}}"#,
                    output_members(output)
                ),
                None => "null".to_owned(),
            }
        }
        "getmempoolinfo" => format!(
            r#"{{"loaded":true,"size":{},"bytes":{},"usage":{USAGE},"total_fee":2.00000000,"mempoolminfee":{fee},"minrelaytxfee":{fee},"incrementalrelayfee":{fee}}}"#,
            chain.mempool.len(),
            chain.mempool.iter().map(Transaction::vsize).sum::<usize>(),
            fee = btc(RELAY_FEE),
        ),
        "getnetworkinfo" => format!(
            r#"{{"version":310000,"subversion":"{USER_AGENT}","relayfee":{fee},"incrementalfee":{fee}}}"#,
            fee = btc(RELAY_FEE),
        ),
        "waitfornewblock" => format!(r#"{{"hash":"{tip}","height":{height}}}"#),
        "getbestblockhash" => format!("\"{tip}\""),
        "sendrawtransaction" => {
            let tx: Transaction =
                deserialize_hex(text(0)?).map_err(|_| (-22, "TX decode failed"))?;
            format!("\"{}\"", tx.compute_txid())
        }
        "submitpackage" => {
            let mut results = serde_json::Map::new();
            for tx in package(params)? {
                let txid = tx.compute_txid().to_string();
                let result = json!({"txid": txid, "vsize": tx.vsize(), "fees": {"base": 1}});
                results.insert(tx.compute_wtxid().to_string(), result);
            }
            json!({"package_msg": "success", "tx-results": results}).to_string()
        }
        "testmempoolaccept" => {
            let verdict = |tx: Transaction| {
                let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
                json!({"txid": txid.to_string(), "wtxid": wtxid.to_string(), "allowed": true})
            };
            let verdicts: Vec<_> = package(params)?.into_iter().map(verdict).collect();
            json!(verdicts).to_string()
        }
        "estimatesmartfee" => format!(r#"{{"feerate":{},"blocks":{}}}"#, btc(ESTIMATE), number(0)?),
        "scanblocks" => {
            let (from, to) = (number(2)?, number(3)?.min(height as u64));
            format!(
                r#"{{"from_height":{from},"to_height":{to},"relevant_blocks":["{tip}"],"completed":true}}"#
            )
        }
        "getpeerinfo" => {
            r#"[{"id":3,"servicesnames":["NETWORK","WITNESS"]},{"id":5,"servicesnames":[]}]"#
                .to_owned()
        }
        "getblockfrompeer" => "{}".to_owned(),
        _ => return Err((-32601, "Method not found")),
    })
}

fn package(params: &[Value]) -> Result<Vec<Transaction>, (i64, &'static str)> {
    let texts = params
        .first()
        .and_then(Value::as_array)
        .ok_or(BAD_PARAMETER)?;
    let read = |text: &Value| {
        let text = text.as_str().ok_or(BAD_PARAMETER)?;
        deserialize_hex(text).map_err(|_| (-22, "TX decode failed"))
    };
    texts.iter().map(read).collect()
}

/// A block as `getblock` with verbosity 3 shows it, as far as anybody looks.
fn verbose_block(height: usize) -> String {
    let spent = chain().spent.get(height).map_or(&[][..], Vec::as_slice);
    let inputs = |outputs: &Vec<TxOut>| match outputs.as_slice() {
        [] => r#"{"coinbase":"00","sequence":4294967295}"#.to_owned(),
        outputs => {
            let inputs = outputs.iter().map(|output| {
                let members = output_members(output);
                format!(r#"{{"vout":0,"prevout":{{"generated":false,"height":1,{members}}}}}"#)
            });
            inputs.collect::<Vec<_>>().join(",")
        }
    };
    let transactions = spent
        .iter()
        .map(|outputs| format!(r#"{{"vin":[{}],"vout":[]}}"#, inputs(outputs)));
    let transactions: Vec<String> = transactions.collect();
    format!(r#"{{"height":{height},"tx":[{}]}}"#, transactions.join(","))
}

fn output_members(output: &TxOut) -> String {
    let (value, script) = (
        btc(output.value.to_sat()),
        output.script_pubkey.to_hex_string(),
    );
    format!(r#""value":{value},"scriptPubKey":{{"asm":"","hex":"{script}","type":"nonstandard"}}"#)
}

/// An amount as Bitcoin Core writes it.
fn btc(satoshis: u64) -> String {
    let unit = 100_000_000;
    format!("{}.{:08}", satoshis / unit, satoshis % unit)
}
