//! A server in memory, with blocks, a mempool and one client, and the client's wallet beside it.
//!
//! What the server sends arrives in the order in which it was sent; requests wait at the server as long as the test
//! likes and are answered in any order, from the state that the server has then.

#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod lies;
mod wallet;

use std::collections::{BTreeMap, VecDeque};

use electrum_protocol::bitcoin::hashes::{Hash, sha256d};
use electrum_protocol::bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Txid, Witness,
    absolute, consensus::encode, merkle_tree, transaction,
};
use electrum_protocol::method::block;
use electrum_protocol::method::headers::TipResponse;
use electrum_protocol::method::scriptpubkey::History;
use electrum_protocol::method::transaction::{GetResponse, MerkleResponse};
use electrum_protocol::{
    Confirmation, HistoryEntry, Notification, ProtocolVersion, Request, Response, ScriptHash,
    Status, merkle, status,
};

use crate::chain::{Headers, mine};

#[allow(unused_imports, reason = "each test program uses its own part")]
pub(crate) use wallet::{GAP, Wallet};

/// The script of an index in one of two keychains.
pub(crate) fn script(keychain: u8, index: u32) -> ScriptBuf {
    let mut bytes = vec![0, 20];
    bytes.extend([keychain; 16]);
    bytes.extend(index.to_be_bytes());
    ScriptBuf::from_bytes(bytes)
}

/// A message on its way to the wallet.
#[derive(Debug)]
pub(crate) enum Message {
    Reply(Request, Box<Option<Response>>),
    Notification(Notification),
}

/// The server.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) headers: Headers,
    /// The transactions of the blocks from 0 on, the first of each its coinbase.
    pub(crate) blocks: Vec<Vec<Transaction>>,
    /// Parents before children.
    pub(crate) mempool: Vec<Transaction>,
    pub(crate) version: ProtocolVersion,
    pub(crate) subscribed: BTreeMap<ScriptHash, Option<Status>>,
    pub(crate) waiting: Vec<Request>,
    pub(crate) outbox: VecDeque<Message>,
    /// Answers that were made and not sent yet: a server of many threads.
    pub(crate) made_ready: Vec<Message>,
    /// How many transactions were ever made: each one differs from all others.
    made: u32,
}

impl Model {
    pub(crate) fn new(version: ProtocolVersion) -> Self {
        let mut model = Self {
            headers: Headers::genesis(),
            blocks: vec![Vec::new()],
            mempool: Vec::new(),
            version,
            subscribed: BTreeMap::new(),
            waiting: Vec::new(),
            outbox: VecDeque::new(),
            made_ready: Vec::new(),
            made: 0,
        };
        model.mine(0);
        model
    }

    fn output(script: ScriptBuf, sats: u64) -> TxOut {
        let value = Amount::from_sat(sats);
        let script_pubkey = script;
        TxOut {
            value,
            script_pubkey,
        }
    }

    /// A transaction that spends `inputs`, or something of no one here.
    pub(crate) fn make(&mut self, inputs: &[OutPoint], outputs: &[ScriptBuf]) -> Transaction {
        self.made += 1;
        let made = self.made;
        let strange = Txid::from_byte_array([made as u8; 32]);
        let strange = [OutPoint::new(strange, made)];
        let inputs = if inputs.is_empty() { &strange } else { inputs };
        let input = |previous_output: &OutPoint| TxIn {
            previous_output: *previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        };
        let outputs = outputs.iter().zip(0..);
        let output = |(script, at): (&ScriptBuf, u64)| {
            Self::output(script.clone(), 1_000 * u64::from(made) + at)
        };
        Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::from_consensus(made),
            input: inputs.iter().map(input).collect(),
            output: outputs.map(output).collect(),
        }
    }

    /// A block with the first transactions of the mempool.
    pub(crate) fn mine(&mut self, transactions: usize) {
        let coinbase = script(255, self.headers.height());
        let mut coinbase = self.make(&[OutPoint::null()], &[coinbase]);
        coinbase.input[0].script_sig = ScriptBuf::from_bytes(vec![1, 2, 3]);
        let count = transactions.min(self.mempool.len());
        let mut block = vec![coinbase];
        block.extend(self.mempool.drain(..count));
        let leaves = block.iter().map(Transaction::compute_txid);
        let root = merkle_tree::calculate_root(leaves).unwrap().to_raw_hash();
        let root = TxMerkleNode::from_raw_hash(root);
        let header = mine(self.headers.0.last().unwrap(), root, 600);
        self.headers.0.push(header);
        self.blocks.push(block);
    }

    /// Takes blocks away; their transactions are in the mempool again.
    pub(crate) fn disconnect(&mut self, count: usize) {
        for _ in 0..count.min(self.blocks.len() - 1) {
            let block = self.blocks.pop().unwrap();
            self.headers.0.pop();
            self.mempool.splice(0..0, block.into_iter().skip(1));
        }
    }

    /// Takes a transaction out of the mempool, with all that spend of it.
    pub(crate) fn evict(&mut self, index: usize) {
        if index >= self.mempool.len() {
            return;
        }
        let mut gone = vec![self.mempool.remove(index).compute_txid()];
        self.mempool.retain(|transaction| {
            let mut inputs = transaction.input.iter();
            let child = inputs.any(|input| gone.contains(&input.previous_output.txid));
            if child {
                gone.push(transaction.compute_txid());
            }
            !child
        });
    }

    /// Every transaction, with the height of its block.
    pub(crate) fn transactions(&self) -> impl Iterator<Item = (&Transaction, Option<u32>)> {
        let blocks = self.blocks.iter().zip(0_u32..);
        let confirmed =
            blocks.flat_map(|(block, height)| block.iter().map(move |tx| (tx, Some(height))));
        confirmed.chain(self.mempool.iter().map(|tx| (tx, None)))
    }

    fn outputs(&self) -> BTreeMap<OutPoint, &TxOut> {
        let transactions = self.transactions().map(|(transaction, _)| transaction);
        let outputs = transactions.flat_map(|transaction| {
            let txid = transaction.compute_txid();
            let outputs = transaction.output.iter().zip(0..);
            outputs.map(move |(output, vout)| (OutPoint::new(txid, vout), output))
        });
        outputs.collect()
    }

    /// How much these scripts hold when there is no mempool.
    pub(crate) fn confirmed(&self, scripts: impl Fn(&ScriptHash) -> bool) -> u64 {
        let blocks = Self {
            headers: Headers(Vec::new()),
            blocks: self.blocks.clone(),
            mempool: Vec::new(),
            version: self.version,
            subscribed: BTreeMap::new(),
            waiting: Vec::new(),
            outbox: VecDeque::new(),
            made_ready: Vec::new(),
            made: 0,
        };
        blocks.unspent(scripts).values().sum()
    }

    /// The outputs of these scripts that nothing spends.
    pub(crate) fn unspent(&self, scripts: impl Fn(&ScriptHash) -> bool) -> BTreeMap<OutPoint, u64> {
        let transactions = self.transactions();
        let inputs = transactions.flat_map(|(transaction, _)| &transaction.input);
        let spent: Vec<OutPoint> = inputs.map(|input| input.previous_output).collect();
        let outputs = self.outputs().into_iter();
        let own =
            outputs.filter(|(_, output)| scripts(&ScriptHash::from_script(&output.script_pubkey)));
        let unspent = own.filter(|(outpoint, _)| !spent.contains(outpoint));
        unspent
            .map(|(outpoint, output)| (outpoint, output.value.to_sat()))
            .collect()
    }

    /// The histories of all scripts that have one.
    pub(crate) fn histories(&self) -> BTreeMap<ScriptHash, Vec<HistoryEntry>> {
        let outputs = self.outputs();
        let unconfirmed: Vec<Txid> = self.mempool.iter().map(Transaction::compute_txid).collect();
        let mut histories: BTreeMap<ScriptHash, Vec<HistoryEntry>> = BTreeMap::new();
        for (transaction, height) in self.transactions() {
            let inputs = transaction.input.iter().map(|input| input.previous_output);
            let spent = inputs
                .clone()
                .filter_map(|outpoint| outputs.get(&outpoint).copied());
            let touched = spent.chain(&transaction.output);
            let mut touched: Vec<_> = touched
                .map(|output| ScriptHash::from_script(&output.script_pubkey))
                .collect();
            touched.sort();
            touched.dedup();
            let mut inputs = inputs;
            let confirmation = match height {
                Some(height) => Confirmation::Block(height),
                None => Confirmation::Mempool {
                    unconfirmed_parents: inputs.any(|input| unconfirmed.contains(&input.txid)),
                },
            };
            for script_hash in touched {
                histories
                    .entry(script_hash)
                    .or_default()
                    .push(HistoryEntry {
                        txid: transaction.compute_txid(),
                        confirmation,
                        fee: height.is_none().then_some(Amount::from_sat(200)),
                    });
            }
        }
        for history in histories.values_mut() {
            history.sort_by(status::mempool_order);
        }
        histories
    }

    /// Tells the client what changed: the tip first, then statuses.
    pub(crate) fn publish(&mut self, tip_changed: bool) {
        if tip_changed {
            let tip = TipResponse::Raw(self.headers.tip());
            let tip = Notification::Headers(tip);
            self.outbox.push_back(Message::Notification(tip));
        }
        let histories = self.histories();
        for (script_hash, last) in &mut self.subscribed {
            let history = histories.get(script_hash).map_or(&[][..], Vec::as_slice);
            let status = status::status(history);
            if status != *last {
                *last = status;
                let script_hash = *script_hash;
                self.outbox
                    .push_back(Message::Notification(Notification::ScriptHash {
                        script_hash,
                        status,
                    }));
            }
        }
    }

    /// Answers one of the requests that wait.
    pub(crate) fn work(&mut self, index: usize) {
        if self.waiting.is_empty() {
            return;
        }
        let request = self.waiting.remove(index % self.waiting.len());
        assert!(request.method().exists_in(self.version), "{request:?}");
        let response = self.answer(&request);
        self.outbox
            .push_back(Message::Reply(request, Box::new(response)));
    }

    /// Makes the answer to one of the requests for scripts that wait, and does not send it yet.
    pub(crate) fn delay(&mut self, index: usize) {
        let header = |request: &Request| matches!(request, Request::BlockHeaders(_));
        if self.waiting.iter().any(header) || self.waiting.is_empty() {
            return;
        }
        let request = self.waiting.remove(index % self.waiting.len());
        let response = self.answer(&request);
        self.made_ready
            .push(Message::Reply(request, Box::new(response)));
    }

    /// Sends all that was delayed.
    pub(crate) fn release(&mut self) {
        self.outbox.extend(self.made_ready.drain(..));
    }

    fn history(&self, script_hash: ScriptHash) -> Vec<HistoryEntry> {
        self.histories().remove(&script_hash).unwrap_or_default()
    }

    fn subscribe(&mut self, script_hash: ScriptHash) -> Option<Status> {
        let status = status::status(&self.history(script_hash));
        self.subscribed.insert(script_hash, status);
        status
    }

    /// What the server answers; nothing for an error.
    pub(crate) fn answer(&mut self, request: &Request) -> Option<Response> {
        Some(match request {
            Request::BlockHeaders(get) if get.cp_height == 0 => self.headers.answer(request, 2016),
            Request::BlockHeaders(get) => {
                let end = get.start_height + get.count;
                let headers = &self.headers.0[get.start_height as usize..end as usize];
                Response::BlockHeaders(block::HeadersResponse {
                    headers: headers.to_vec(),
                    max: 2016,
                    proof: Some(self.headers.proof(end - 1, get.cp_height)),
                })
            }
            Request::BlockHeader(get) => Response::BlockHeader(block::HeaderResponse {
                header: self.headers.0[get.height as usize],
                proof: Some(self.headers.proof(get.height, get.cp_height)),
            }),
            Request::ScripthashSubscribe(subscribe) => {
                Response::ScripthashSubscribe(self.subscribe(subscribe.script_hash))
            }
            Request::ScriptpubkeySubscribe(subscribe) => {
                let script_hash = ScriptHash::from_script(&subscribe.script);
                Response::ScriptpubkeySubscribe(self.subscribe(script_hash))
            }
            Request::ScripthashGetHistory(get) => {
                Response::ScripthashGetHistory(self.history(get.script_hash))
            }
            Request::ScriptpubkeyGetHistory(get) => {
                let script_hash = ScriptHash::from_script(&get.script);
                Response::ScriptpubkeyGetHistory(History(self.history(script_hash)))
            }
            Request::TransactionGet(get) => {
                let mut transactions = self.transactions();
                let found = transactions.find(|(tx, _)| tx.compute_txid() == get.txid);
                let bytes = encode::serialize(found?.0);
                Response::TransactionGet(GetResponse::Raw(bytes))
            }
            Request::TransactionGetMerkle(get) => {
                let block = self.blocks.get(get.height? as usize)?;
                let txids = block.iter().map(|tx| tx.compute_txid().to_raw_hash());
                let txids: Vec<sha256d::Hash> = txids.collect();
                let pos = txids
                    .iter()
                    .position(|txid| *txid == get.txid.to_raw_hash())?;
                let (branch, _) = merkle::branch(&txids, pos)?;
                Response::TransactionGetMerkle(MerkleResponse {
                    block_height: get.height?,
                    merkle: branch,
                    pos: pos as u32,
                })
            }
            other => panic!("{other:?} is not asked"),
        })
    }
}
