//! A server in memory, with blocks, a mempool and one client, and the client's wallet beside it.
//!
//! What the server sends arrives in the order in which it was sent; requests wait at the server as long as the test
//! likes and are answered in any order, from the state that the server has then.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::{BTreeMap, VecDeque};

use electrum_protocol::bitcoin::hashes::{Hash, sha256d};
use electrum_protocol::bitcoin::{
    Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Txid,
    Witness, absolute, consensus::encode, merkle_tree, transaction,
};
use electrum_protocol::header_chain::{Change, FollowError, Limits as HeaderLimits};
use electrum_protocol::method::block;
use electrum_protocol::method::headers::TipResponse;
use electrum_protocol::method::scriptpubkey::History;
use electrum_protocol::method::transaction::{GetResponse, MerkleResponse};
use electrum_protocol::script_sync::{Config, Progress, SyncError};
use electrum_protocol::{
    Confirmation, HeaderChain, HeaderSync, HistoryEntry, Notification, ProtocolVersion, Request,
    Response, ScriptHash, ScriptSync, Status, merkle, status,
};

use crate::chain::{Headers, mine};

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

/// A wallet with two keychains, `0` and `1`.
pub(crate) struct Wallet {
    pub(crate) headers: HeaderSync,
    pub(crate) scripts: ScriptSync<u8>,
    pub(crate) requests: Vec<Request>,
    pub(crate) progress: Vec<Progress>,
}

pub(crate) const GAP: u32 = 3;

impl Wallet {
    pub(crate) fn new(model: &Model, config: Config) -> Self {
        let mut scripts = ScriptSync::new(model.version, config).unwrap();
        for keychain in [0, 1] {
            let derive = move |index| Some(script(keychain, index));
            scripts.add_keychain(keychain, GAP, derive).unwrap();
        }
        let chain = HeaderChain::genesis(Network::Regtest);
        let mut wallet = Self {
            headers: HeaderSync::new(chain, HeaderLimits::default()),
            scripts,
            requests: Vec::new(),
            progress: Vec::new(),
        };
        wallet.announce(TipResponse::Raw(model.headers.tip()));
        wallet
    }

    fn announce(&mut self, tip: TipResponse) {
        let outcome = self.headers.announce(tip.tip(), None);
        self.change(outcome);
    }

    fn change(&mut self, outcome: Result<Option<Change>, FollowError>) {
        match outcome {
            Ok(None) => {}
            Ok(Some(change)) => self.scripts.headers_changed(self.headers.chain(), &change),
            // Answers of before and after a reorganization do not fit together.
            Err(error) => assert!(!error.is_final(), "{error}"),
        }
    }

    /// Sends what is wanted, up to so many requests.
    pub(crate) fn send(&mut self, model: &mut Model, most: usize) {
        for _ in 0..most {
            let request = self.headers.poll_request();
            let Some(request) = request.or_else(|| self.scripts.poll_request()) else {
                break;
            };
            self.requests.push(request.clone());
            model.waiting.push(request);
        }
    }

    /// Takes what has arrived, up to so many messages.
    pub(crate) fn receive(&mut self, model: &mut Model, most: usize) -> Result<(), SyncError> {
        for _ in 0..most {
            let Some(message) = model.outbox.pop_front() else {
                break;
            };
            self.take(message)?;
        }
        Ok(())
    }

    pub(crate) fn take(&mut self, message: Message) -> Result<(), SyncError> {
        let progress = match message {
            Message::Notification(Notification::Headers(tip)) => {
                self.announce(tip);
                return Ok(());
            }
            Message::Notification(notification) => self.scripts.notify(&notification),
            Message::Reply(request, response) => match (request, *response) {
                (Request::BlockHeaders(_), Some(response)) => {
                    let outcome = self.headers.receive(response, None);
                    self.change(outcome);
                    return Ok(());
                }
                (request, Some(response)) => {
                    let headers = self.headers.chain();
                    self.scripts.answer(&request, response, headers)?
                }
                (request, None) => {
                    self.scripts.refused(&request, self.headers.chain());
                    return Ok(());
                }
            },
        };
        self.progress.push(progress);
        Ok(())
    }

    /// Everything that is left to do, until both are quiet.
    pub(crate) fn settle(&mut self, model: &mut Model) -> Result<(), SyncError> {
        loop {
            self.send(model, usize::MAX);
            model.release();
            if model.waiting.is_empty() && model.outbox.is_empty() {
                return Ok(());
            }
            model.work(0);
            self.receive(model, usize::MAX)?;
        }
    }

    /// Loses the connection and makes another.
    pub(crate) fn reconnect(&mut self, model: &mut Model) {
        model.waiting.clear();
        model.outbox.clear();
        model.made_ready.clear();
        model.subscribed.clear();
        self.headers.disconnect();
        let headers = self.headers.chain();
        self.scripts.reconnect(model.version, headers).unwrap();
        self.announce(TipResponse::Raw(model.headers.tip()));
    }

    /// The wallet has what the server has.
    pub(crate) fn assert_is_like(&self, model: &Model, proofs: bool) {
        let obstacles: Vec<_> = self.scripts.obstacles().collect();
        assert!(self.scripts.is_up_to_date(), "{obstacles:?}");
        assert_eq!(self.headers.chain().headers(), model.headers.0);
        let histories = model.histories();
        let mut seen = std::collections::BTreeSet::new();
        let mut count = [0_u32; 2];
        for view in self.scripts.scripts() {
            let history = histories.get(&view.script_hash);
            assert_eq!(view.history, history.map_or(&[][..], Vec::as_slice));
            assert_eq!(*view.script, *script(*view.keychain, view.index));
            seen.extend(view.history.iter().map(|entry| entry.txid));
            count[usize::from(*view.keychain)] += 1;
        }
        for keychain in [0, 1] {
            let next = self.scripts.next_unused(&keychain).unwrap();
            assert!(count[usize::from(keychain)] >= next + GAP);
            let beyond = histories.keys().any(|script_hash| {
                (next..next + 100)
                    .any(|index| *script_hash == ScriptHash::from_script(&script(keychain, index)))
            });
            assert!(!beyond, "a script beyond {next} has a history");
        }
        let known: std::collections::BTreeSet<Txid> =
            self.scripts.transactions().map(|view| view.txid).collect();
        assert_eq!(known, seen);
        for (transaction, height) in model.transactions() {
            let Some(view) = self.scripts.transaction(&transaction.compute_txid()) else {
                continue;
            };
            assert_eq!(view.transaction, Some(transaction));
            let block_hash = height.map(|height| model.headers.0[height as usize].block_hash());
            assert_eq!(view.proven, block_hash.filter(|_| proofs));
        }
        let own = |script_hash: &ScriptHash| self.scripts.history(script_hash).is_some();
        let unspent = self.scripts.unspent().into_iter();
        let unspent = unspent.map(|unspent| (unspent.outpoint, unspent.output.value.to_sat()));
        let unspent: BTreeMap<OutPoint, u64> = unspent.collect();
        let expected = model.unspent(own);
        assert_eq!(unspent, expected);
        let balance = self.scripts.balance();
        let all = balance.confirmed.to_sat() as i64 + balance.unconfirmed.to_sat();
        assert_eq!(all, expected.values().sum::<u64>() as i64);
        assert_eq!(balance.confirmed.to_sat(), model.confirmed(own));
    }
}
