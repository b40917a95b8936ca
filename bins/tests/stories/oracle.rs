//! What the answers must be, computed from the node's own JSON and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bitcoin::hashes::{Hash, sha256, sha256d};
use serde_json::{Value, json};

use crate::node::RegtestNode;
use crate::script_hash;
use crate::wire::Wire;

/// Everything that clients may ask about, at one tip of the node.
pub(crate) struct Truth {
    pub(crate) height: u32,
    pub(crate) blocks: Vec<Value>,
    pub(crate) accounts: BTreeMap<String, Account>,
}

/// What one script has.
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) history: Vec<Value>,
    /// Confirmed and unconfirmed, in sats.
    pub(crate) balance: (i64, i64),
    pub(crate) unspent: Vec<Value>,
}

impl Account {
    /// Hex of the SHA-256 over `txid:height:` of every entry in order; null without entries.
    pub(crate) fn status(&self) -> Value {
        if self.history.is_empty() {
            return Value::Null;
        }
        let text: String = self
            .history
            .iter()
            .map(|entry| {
                format!(
                    "{}:{}:",
                    entry["tx_hash"].as_str().unwrap(),
                    entry["height"]
                )
            })
            .collect();
        json!(sha256::Hash::hash(text.as_bytes()).to_string())
    }
}

/// Reads the node; blocks and transactions are read once.
#[derive(Default)]
pub(crate) struct Oracle {
    blocks: HashMap<String, Value>,
    transactions: HashMap<String, Value>,
    /// Every script hash ever seen: what a reorg took away must be answered as empty.
    seen: BTreeSet<String>,
}

/// An output as the fold keeps it.
struct Output {
    script_hash: Option<String>,
    value: i64,
    height: u32,
}

#[derive(Default)]
struct Fold {
    outputs: HashMap<(String, u64), Output>,
    /// Unspent outputs in chain order, then those of the mempool.
    order: Vec<(String, u64)>,
    accounts: BTreeMap<String, Account>,
}

impl Oracle {
    pub(crate) fn read(&mut self, node: &RegtestNode) -> Truth {
        let height = node.height();
        let mut fold = Fold::default();
        let mut blocks = Vec::new();
        for height in 0..=height {
            let hash = node.rpc("getblockhash", &[json!(height)]);
            let hash = hash.as_str().unwrap();
            let block = self
                .blocks
                .entry(hash.to_owned())
                .or_insert_with(|| node.rpc("getblock", &[json!(hash), json!(2)]))
                .clone();
            // The genesis coinbase is not part of the chain state.
            if height > 0 {
                for transaction in block["tx"].as_array().unwrap() {
                    fold.add(transaction, height, json!({"height": height}));
                }
            }
            blocks.push(block);
        }
        fold.settle();
        self.read_mempool(node, &mut fold);
        fold.list_unspent();
        self.seen.extend(fold.accounts.keys().cloned());
        for script_hash in &self.seen {
            fold.accounts.entry(script_hash.clone()).or_default();
        }
        Truth {
            height,
            blocks,
            accounts: fold.accounts,
        }
    }

    fn read_mempool(&mut self, node: &RegtestNode, fold: &mut Fold) {
        let mempool = node.rpc("getrawmempool", &[json!(true)]);
        // First those without unconfirmed parents, then the others, each by id as displayed.
        let mut entries: Vec<(i64, String, i64)> = Vec::new();
        for (txid, entry) in mempool.as_object().unwrap() {
            let height = if entry["depends"].as_array().unwrap().is_empty() {
                0
            } else {
                -1
            };
            entries.push((height, txid.clone(), sats(&entry["fees"]["base"])));
        }
        entries.sort_by_key(|(height, txid, _)| (-height, txid.clone()));
        let mut spends = Vec::new();
        for (height, txid, fee) in &entries {
            let transaction = self
                .transactions
                .entry(txid.clone())
                .or_insert_with(|| node.rpc("getrawtransaction", &[json!(txid), json!(true)]));
            fold.add_outputs(transaction, 0);
            spends.push((transaction.clone(), json!({"height": height, "fee": fee})));
        }
        for (transaction, entry) in &spends {
            fold.add_history(transaction, entry);
        }
        fold.settle_mempool(&spends);
    }
}

impl Fold {
    fn add(&mut self, transaction: &Value, height: u32, entry: Value) {
        self.add_outputs(transaction, height);
        self.add_history(transaction, &entry);
        for outpoint in spent(transaction) {
            let output = self.outputs.remove(&outpoint).unwrap();
            if let Some(script_hash) = output.script_hash {
                self.accounts.get_mut(&script_hash).unwrap().balance.0 -= output.value;
            }
        }
    }

    fn add_outputs(&mut self, transaction: &Value, height: u32) {
        let txid = transaction["txid"].as_str().unwrap();
        for output in transaction["vout"].as_array().unwrap() {
            let script = hex(output["scriptPubKey"]["hex"].as_str().unwrap());
            let outpoint = (txid.to_owned(), output["n"].as_u64().unwrap());
            // What nobody can ever spend belongs to nobody.
            let script_hash = (script.first() != Some(&0x6a)).then(|| script_hash(&script));
            let value = sats(&output["value"]);
            if let Some(script_hash) = &script_hash {
                let account = self.accounts.entry(script_hash.clone()).or_default();
                if height > 0 {
                    account.balance.0 += value;
                }
            }
            self.outputs.insert(
                outpoint.clone(),
                Output {
                    script_hash,
                    value,
                    height,
                },
            );
            self.order.push(outpoint);
        }
    }

    /// Adds the transaction to the history of every script that it pays or spends from.
    fn add_history(&mut self, transaction: &Value, entry: &Value) {
        let txid = transaction["txid"].as_str().unwrap();
        let own = transaction["vout"].as_array().unwrap().iter();
        let own = own.map(|output| (txid.to_owned(), output["n"].as_u64().unwrap()));
        let touched: BTreeSet<String> = own
            .chain(spent(transaction))
            .filter_map(|outpoint| self.outputs[&outpoint].script_hash.clone())
            .collect();
        for script_hash in touched {
            let mut entry = entry.clone();
            entry["tx_hash"] = json!(txid);
            self.accounts
                .get_mut(&script_hash)
                .unwrap()
                .history
                .push(entry);
        }
    }

    /// Forgets what blocks have spent.
    fn settle(&mut self) {
        let outputs = &self.outputs;
        self.order.retain(|outpoint| outputs.contains_key(outpoint));
    }

    fn settle_mempool(&mut self, spends: &[(Value, Value)]) {
        for output in self.outputs.values().filter(|output| output.height == 0) {
            if let Some(script_hash) = &output.script_hash {
                self.accounts.get_mut(script_hash).unwrap().balance.1 += output.value;
            }
        }
        for outpoint in spends
            .iter()
            .flat_map(|(transaction, _)| spent(transaction))
        {
            let output = self.outputs.remove(&outpoint).unwrap();
            if let Some(script_hash) = output.script_hash {
                self.accounts.get_mut(&script_hash).unwrap().balance.1 -= output.value;
            }
        }
        self.settle();
    }

    fn list_unspent(&mut self) {
        for (txid, vout) in &self.order {
            let output = &self.outputs[&(txid.clone(), *vout)];
            if let Some(script_hash) = &output.script_hash {
                self.accounts.get_mut(script_hash).unwrap().unspent.push(json!({
                    "tx_hash": txid, "tx_pos": vout, "height": output.height, "value": output.value,
                }));
            }
        }
    }
}

impl Truth {
    /// Asks the server about everything and says what is wrong first.
    pub(crate) fn compare(&self, wire: &mut Wire) -> Result<(), String> {
        let tip = wire.call("blockchain.headers.subscribe", json!([]));
        let header = self.header_hex(self.height);
        equal(
            "the tip",
            &tip,
            &json!({"height": self.height, "hex": header}),
        )?;
        let ask: Vec<Value> = self.accounts.keys().map(|hash| json!([hash])).collect();
        let mut ask_all = |method: &str| wire.call_all(method, ask.clone());
        let statuses = ask_all("blockchain.scripthash.subscribe");
        let histories = ask_all("blockchain.scripthash.get_history");
        let balances = ask_all("blockchain.scripthash.get_balance");
        let unspents = ask_all("blockchain.scripthash.listunspent");
        let mempools = ask_all("blockchain.scripthash.get_mempool");
        for (i, (script_hash, account)) in self.accounts.iter().enumerate() {
            let what = |method: &str| format!("{method} of {script_hash}");
            equal(&what("history"), &histories[i], &json!(account.history))?;
            let (confirmed, unconfirmed) = account.balance;
            let balance = json!({"confirmed": confirmed, "unconfirmed": unconfirmed});
            equal(&what("balance"), &balances[i], &balance)?;
            // Neither order is promised by the protocol.
            equal(
                &what("unspent"),
                &sorted(&unspents[i]),
                &sorted(&json!(account.unspent)),
            )?;
            equal(&what("status"), &statuses[i], &account.status())?;
            let unconfirmed = account
                .history
                .iter()
                .filter(|entry| entry.get("fee").is_some());
            let unconfirmed: Vec<&Value> = unconfirmed.collect();
            equal(&what("mempool"), &mempools[i], &json!(unconfirmed))?;
        }
        Ok(())
    }

    /// Checks the proof of every transaction of every block against the block's merkle root.
    pub(crate) fn check_proofs(&self, wire: &mut Wire) {
        for (height, block) in self.blocks.iter().enumerate().skip(1) {
            let transactions = block["tx"].as_array().unwrap();
            let ask = transactions
                .iter()
                .map(|tx| json!([tx["txid"], height]))
                .collect();
            let proofs = wire.call_all("blockchain.transaction.get_merkle", ask);
            let ask = (0..transactions.len())
                .map(|position| json!([height, position]))
                .collect();
            let txids = wire.call_all("blockchain.transaction.id_from_pos", ask);
            for (position, proof) in proofs.iter().enumerate() {
                let txid = transactions[position]["txid"].as_str().unwrap();
                assert_eq!(proof["block_height"], json!(height));
                assert_eq!(proof["pos"], json!(position));
                let root = climb(txid, position, proof["merkle"].as_array().unwrap());
                assert_eq!(block["merkleroot"], json!(root), "{txid} in block {height}");
                assert_eq!(txids[position], json!(txid));
            }
        }
    }

    /// Checks header proofs: the root over all headers up to a checkpoint, computed from the node's.
    pub(crate) fn check_header_proofs(&self, wire: &mut Wire) {
        let checkpoint = usize::try_from(self.height).unwrap();
        let hashes: Vec<&str> = self
            .blocks
            .iter()
            .map(|block| block["hash"].as_str().unwrap())
            .collect();
        let expected = merkle_root(&hashes);
        for height in [0, 1, checkpoint / 2, checkpoint] {
            let proof = wire.call("blockchain.block.header", json!([height, checkpoint]));
            assert_eq!(
                proof["header"],
                json!(self.header_hex(u32::try_from(height).unwrap()))
            );
            assert_eq!(proof["root"], json!(expected));
            let root = climb(hashes[height], height, proof["branch"].as_array().unwrap());
            assert_eq!(root, expected, "header {height} of {checkpoint}");
        }
    }

    /// The 80 bytes of a header in hex, put together from the fields that the node lists.
    fn header_hex(&self, height: u32) -> String {
        let block = &self.blocks[usize::try_from(height).unwrap()];
        let number = |field: &str| u32::try_from(block[field].as_u64().unwrap()).unwrap();
        let reversed = |field: &Value| match field.as_str() {
            Some(text) => hex(text).into_iter().rev().collect(),
            None => vec![0; 32],
        };
        let mut bytes = Vec::new();
        bytes.extend(number("version").to_le_bytes());
        bytes.extend(reversed(&block["previousblockhash"]));
        bytes.extend(reversed(&block["merkleroot"]));
        bytes.extend(number("time").to_le_bytes());
        bytes.extend(reversed(&block["bits"]));
        bytes.extend(number("nonce").to_le_bytes());
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The outpoints that a transaction spends; none for a coinbase.
fn spent(transaction: &Value) -> Vec<(String, u64)> {
    let inputs = transaction["vin"].as_array().unwrap().iter();
    let outpoint = |input: &Value| {
        Some((
            input.get("txid")?.as_str()?.to_owned(),
            input.get("vout")?.as_u64()?,
        ))
    };
    inputs.filter_map(outpoint).collect()
}

fn equal(what: &str, found: &Value, expected: &Value) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "{what}: the server says {found}, the node {expected}"
    ))
}

fn sorted(list: &Value) -> Value {
    let mut list = list.as_array().unwrap().clone();
    list.sort_by_key(ToString::to_string);
    Value::Array(list)
}

/// Whole satoshi from the node's number of coins.
fn sats(coins: &Value) -> i64 {
    let text = coins.to_string();
    let amount = bitcoin::SignedAmount::from_str_in(&text, bitcoin::Denomination::Bitcoin);
    // Small amounts are printed with an exponent.
    amount.map_or_else(
        |_| (coins.as_f64().unwrap() * 1e8).round() as i64,
        |sum| sum.to_sat(),
    )
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |i: usize| u8::from_str_radix(&text[i..i + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn parse(hash: &str) -> sha256d::Hash {
    hash.parse().unwrap()
}

fn join(left: sha256d::Hash, right: sha256d::Hash) -> sha256d::Hash {
    sha256d::Hash::hash(&[left.to_byte_array(), right.to_byte_array()].concat())
}

fn climb(leaf: &str, position: usize, branch: &[Value]) -> String {
    let mut position = position;
    let mut hash = parse(leaf);
    for sibling in branch {
        let sibling = parse(sibling.as_str().unwrap());
        hash = if position.is_multiple_of(2) {
            join(hash, sibling)
        } else {
            join(sibling, hash)
        };
        position /= 2;
    }
    assert_eq!(position, 0, "the branch is too short");
    hash.to_string()
}

fn merkle_root(leaves: &[&str]) -> String {
    let mut level: Vec<sha256d::Hash> = leaves.iter().map(|leaf| parse(leaf)).collect();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| join(pair[0], pair[pair.len() - 1]))
            .collect();
    }
    level[0].to_string()
}
