//! A node for tests that does what it is told: a chain, stale blocks, a mempool, and failures on demand.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bitcoin::block::{Header, Version};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, Block, BlockHash, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Txid, Witness, absolute, transaction,
};

use super::{BlockId, BlockWithSpent, ChainSource, MempoolFingerprint, SourceError};

/// The node. Its methods change it while others ask it.
pub(crate) struct ScriptedNode {
    state: Mutex<State>,
}

/// Something to do in the middle of a question.
type Ambush = Box<dyn FnOnce(&mut State) + Send>;

pub(crate) struct State {
    blocks: HashMap<BlockHash, BlockWithSpent>,
    active: Vec<BlockHash>,
    /// Blocks that the node does not have any more.
    forgotten: HashSet<BlockHash>,
    mempool: BTreeMap<Txid, Transaction>,
    /// Makes blocks of the same height differ.
    salt: u32,
    /// Answers to come before any other.
    failures: Vec<SourceError>,
    /// Answers to the questions with these numbers.
    pub(crate) failing: BTreeMap<usize, SourceError>,
    /// The answer to everything, while there is one.
    pub(crate) away: Option<SourceError>,
    /// What happens right after a block was fetched.
    after_block: Option<Ambush>,
    /// What happens right after the mempool was listed.
    after_listing: Option<Ambush>,
    /// What happens right after headers were fetched.
    after_headers: Option<Ambush>,
    /// How often anything was asked.
    pub(crate) questions: usize,
    /// How often the mempool was listed, and how long that takes.
    pub(crate) listings: usize,
    pub(crate) listing_takes: Duration,
    /// The longest time that it was asked to wait for a block.
    pub(crate) longest_wait: Duration,
}

/// The script with a number.
pub(crate) fn script(number: u8) -> ScriptBuf {
    ScriptBuf::from_bytes(vec![0x51, number])
}

/// A transaction that spends `inputs` to scripts with numbers.
pub(crate) fn transaction(inputs: &[OutPoint], outputs: &[(u8, u64)]) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: inputs
            .iter()
            .map(|previous_output| TxIn {
                previous_output: *previous_output,
                sequence: Sequence::MAX,
                ..TxIn::default()
            })
            .collect(),
        output: outputs
            .iter()
            .map(|(number, sat)| TxOut {
                value: Amount::from_sat(*sat),
                script_pubkey: script(*number),
            })
            .collect(),
    }
}

impl State {
    fn tip(&self) -> BlockId {
        BlockId {
            height: u32::try_from(self.active.len()).unwrap() - 1,
            hash: *self.active.last().unwrap(),
        }
    }

    /// Confirmed unspent outputs.
    fn coins(&self) -> BTreeMap<OutPoint, TxOut> {
        let mut coins = BTreeMap::new();
        for hash in self.active.iter().skip(1) {
            for tx in &self.blocks[hash].block.txdata {
                for input in &tx.input {
                    coins.remove(&input.previous_output);
                }
                let txid = tx.compute_txid();
                for (vout, output) in (0..).zip(&tx.output) {
                    coins.insert(OutPoint::new(txid, vout), output.clone());
                }
            }
        }
        coins
    }

    /// Everything that a new transaction can spend.
    fn spendable(&self) -> BTreeMap<OutPoint, TxOut> {
        let mut coins = self.coins();
        for (txid, tx) in &self.mempool {
            for (vout, output) in (0..).zip(&tx.output) {
                coins.insert(OutPoint::new(*txid, vout), output.clone());
            }
        }
        for input in self.mempool.values().flat_map(|tx| &tx.input) {
            coins.remove(&input.previous_output);
        }
        coins
    }

    /// Drops what spends from nowhere, until nothing does.
    fn sweep(&mut self) {
        while !self.mempool.is_empty() {
            let coins = self.coins();
            let there = |outpoint: &OutPoint| {
                coins.contains_key(outpoint) || self.mempool.contains_key(&outpoint.txid)
            };
            let lost = self
                .mempool
                .iter()
                .find(|(_, tx)| !tx.input.iter().all(|input| there(&input.previous_output)))
                .map(|(txid, _)| *txid);
            match lost {
                Some(txid) => drop(self.mempool.remove(&txid)),
                None => return,
            }
        }
    }

    /// The height of the tip.
    pub(crate) fn height(&self) -> u32 {
        self.tip().height
    }

    /// Forgets what is in a block, as a node that prunes does.
    pub(crate) fn forget(&mut self, hash: &BlockHash) {
        self.forgotten.insert(*hash);
    }

    /// How many blocks there ever were.
    pub(crate) fn count(&self) -> u32 {
        self.salt
    }

    /// A transaction of the mempool.
    pub(crate) fn get(&self, txid: &Txid) -> Option<Transaction> {
        self.mempool.get(txid).cloned()
    }

    /// Whether a transaction spends confirmed outputs only.
    pub(crate) fn is_ready(&self, tx: &Transaction) -> bool {
        let coins = self.coins();
        tx.input
            .iter()
            .all(|input| coins.contains_key(&input.previous_output))
    }

    /// Mines a block with these transactions, in this order, on the tip.
    pub(crate) fn mine(&mut self, transactions: &[Transaction]) -> BlockHash {
        self.salt += 1;
        let tip = self.tip();
        let mut coinbase = transaction(&[OutPoint::null()], &[(0, 5_000_000_000)]);
        let tag = [(tip.height + 1).to_le_bytes(), self.salt.to_le_bytes()].concat();
        coinbase.input[0].script_sig = ScriptBuf::from_bytes(tag);
        coinbase.input[0].witness = Witness::from_slice(&[[0u8; 32]]);
        let txdata: Vec<_> = [coinbase]
            .into_iter()
            .chain(transactions.iter().cloned())
            .collect();

        let mut coins = if transactions.is_empty() {
            BTreeMap::new()
        } else {
            self.coins()
        };
        let mut spent = vec![vec![]];
        for tx in &txdata {
            let txid = tx.compute_txid();
            if !tx.is_coinbase() {
                let outputs = tx
                    .input
                    .iter()
                    .map(|input| coins.remove(&input.previous_output).unwrap());
                spent.push(outputs.collect());
            }
            for (vout, output) in (0..).zip(&tx.output) {
                coins.insert(OutPoint::new(txid, vout), output.clone());
            }
            self.mempool.remove(&txid);
        }
        let header = Header {
            version: Version::TWO,
            prev_blockhash: tip.hash,
            merkle_root: TxMerkleNode::all_zeros(),
            time: 1_296_688_602 + self.salt,
            bits: genesis_block(Network::Regtest).header.bits,
            nonce: 0,
        };
        let mut block = Block { header, txdata };
        block.header.merkle_root = block.compute_merkle_root().unwrap();
        let hash = block.block_hash();
        self.blocks.insert(hash, BlockWithSpent { block, spent });
        self.active.push(hash);
        // What conflicts with the block goes, and what spends from that.
        let gone: Vec<OutPoint> = transactions
            .iter()
            .flat_map(|tx| &tx.input)
            .map(|input| input.previous_output)
            .collect();
        self.mempool.retain(|_, tx| {
            !tx.input
                .iter()
                .any(|input| gone.contains(&input.previous_output))
        });
        self.sweep();
        hash
    }

    /// Mines transactions of the mempool that spend nothing unconfirmed; ignores the others.
    pub(crate) fn mine_from_mempool(&mut self, wanted: impl Fn(&Txid) -> bool) -> BlockHash {
        let ready: Vec<Transaction> = self
            .mempool
            .iter()
            .filter(|(txid, tx)| {
                let parents = tx.input.iter().map(|input| input.previous_output.txid);
                wanted(txid)
                    && !parents
                        .into_iter()
                        .any(|txid| self.mempool.contains_key(&txid))
            })
            .map(|(_, tx)| tx.clone())
            .collect();
        self.mine(&ready)
    }

    /// Takes blocks off the tip until it has this height; their transactions return to the mempool.
    pub(crate) fn rewind(&mut self, height: u32) {
        while self.tip().height > height {
            let hash = self.active.pop().unwrap();
            for tx in &self.blocks[&hash].block.txdata[1..] {
                self.mempool.insert(tx.compute_txid(), tx.clone());
            }
        }
        self.sweep();
    }

    /// Puts blocks that were taken off the tip back, without their transactions leaving the mempool.
    pub(crate) fn reconnect(&mut self, headers: &[Header]) {
        self.active.extend(headers.iter().map(Header::block_hash));
    }

    /// Adds a transaction to the mempool; what it conflicts with is replaced.
    pub(crate) fn add(&mut self, tx: &Transaction) -> Txid {
        let spends: Vec<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
        self.mempool.retain(|_, other| {
            !other
                .input
                .iter()
                .any(|input| spends.contains(&input.previous_output))
        });
        let txid = tx.compute_txid();
        self.mempool.insert(txid, tx.clone());
        self.sweep();
        txid
    }

    /// Removes a transaction and what spends from it.
    pub(crate) fn evict(&mut self, txid: &Txid) {
        self.mempool.remove(txid);
        self.sweep();
    }
}

impl ScriptedNode {
    /// A node that knows the genesis block of regtest only.
    pub(crate) fn new() -> Self {
        let block = genesis_block(Network::Regtest);
        let hash = block.block_hash();
        let spent = vec![vec![]];
        Self {
            state: Mutex::new(State {
                blocks: HashMap::from([(hash, BlockWithSpent { block, spent })]),
                active: vec![hash],
                forgotten: HashSet::new(),
                mempool: BTreeMap::new(),
                salt: 0,
                failures: Vec::new(),
                failing: BTreeMap::new(),
                away: None,
                after_block: None,
                after_listing: None,
                after_headers: None,
                questions: 0,
                listings: 0,
                listing_takes: Duration::ZERO,
                longest_wait: Duration::ZERO,
            }),
        }
    }

    /// The node's state, to be changed.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Mines empty blocks.
    pub(crate) fn mine(&self, count: usize) {
        for _ in 0..count {
            self.state().mine(&[]);
        }
    }

    /// Everything that a new transaction can spend.
    pub(crate) fn spendable(&self) -> Vec<(OutPoint, TxOut)> {
        self.state().spendable().into_iter().collect()
    }

    /// Txids of the mempool.
    pub(crate) fn mempool(&self) -> Vec<Txid> {
        self.state().mempool.keys().copied().collect()
    }

    /// Answers the next questions with these errors, the last one first.
    pub(crate) fn fail(&self, failures: Vec<SourceError>) {
        self.state().failures = failures;
    }

    /// Does something right after the next listing of the mempool.
    pub(crate) fn after_listing(&self, ambush: impl FnOnce(&mut State) + Send + 'static) {
        self.state().after_listing = Some(Box::new(ambush));
    }

    /// Does something right after the next headers were fetched.
    pub(crate) fn after_headers(&self, ambush: impl FnOnce(&mut State) + Send + 'static) {
        self.state().after_headers = Some(Box::new(ambush));
    }

    /// Does something right after the next block was fetched.
    pub(crate) fn after_block(&self, ambush: impl FnOnce(&mut State) + Send + 'static) {
        self.state().after_block = Some(Box::new(ambush));
    }

    fn ask(&self) -> Result<MutexGuard<'_, State>, SourceError> {
        let mut state = self.state();
        state.questions += 1;
        let number = state.questions;
        let failure = state
            .failing
            .remove(&number)
            .or_else(|| state.failures.pop());
        match failure.or_else(|| state.away.clone()) {
            Some(failure) => Err(failure),
            None => Ok(state),
        }
    }
}

impl ChainSource for ScriptedNode {
    fn tip(&self) -> Result<BlockId, SourceError> {
        Ok(self.ask()?.tip())
    }

    fn headers(&self, start_height: u32, count: u32) -> Result<Vec<Header>, SourceError> {
        let mut state = self.ask()?;
        let hashes = state
            .active
            .iter()
            .skip(start_height as usize)
            .take(count as usize);
        let headers = hashes.map(|hash| state.blocks[hash].block.header).collect();
        if let Some(ambush) = state.after_headers.take() {
            ambush(&mut state);
        }
        Ok(headers)
    }

    fn block(&self, hash: &BlockHash) -> Result<BlockWithSpent, SourceError> {
        let mut state = self.ask()?;
        let there = !state.forgotten.contains(hash);
        let block = state.blocks.get(hash).filter(|_| there).cloned();
        if let Some(ambush) = state.after_block.take() {
            ambush(&mut state);
        }
        block.ok_or(SourceError::Missing { hash: *hash })
    }

    fn mempool_txids(&self) -> Result<Vec<Txid>, SourceError> {
        let takes = {
            let mut state = self.ask()?;
            state.listings += 1;
            state.listing_takes
        };
        std::thread::sleep(takes);
        let mut state = self.state();
        let txids = state.mempool.keys().copied().collect();
        if let Some(ambush) = state.after_listing.take() {
            ambush(&mut state);
        }
        Ok(txids)
    }

    fn mempool_transactions(
        &self,
        txids: &[Txid],
    ) -> Result<Vec<Option<Transaction>>, SourceError> {
        let state = self.ask()?;
        Ok(txids
            .iter()
            .map(|txid| state.mempool.get(txid).cloned())
            .collect())
    }

    fn unspent_outputs(&self, outpoints: &[OutPoint]) -> Result<Vec<Option<TxOut>>, SourceError> {
        let coins = self.ask()?.coins();
        Ok(outpoints
            .iter()
            .map(|outpoint| coins.get(outpoint).cloned())
            .collect())
    }

    fn wait_for_change(
        &self,
        known_tip: BlockHash,
        timeout: Duration,
    ) -> Result<bool, SourceError> {
        {
            let mut state = self.ask()?;
            state.longest_wait = state.longest_wait.max(timeout);
            if state.tip().hash != known_tip {
                return Ok(true);
            }
        }
        std::thread::sleep(timeout.min(Duration::from_millis(5)));
        Ok(self.state().tip().hash != known_tip)
    }

    fn mempool_fingerprint(&self) -> Result<MempoolFingerprint, SourceError> {
        let state = self.ask()?;
        let spent = |tx: &Transaction| tx.input.len() as u64;
        Ok(MempoolFingerprint {
            count: state.mempool.len() as u64,
            vsize: state.mempool.values().map(|tx| tx.vsize() as u64).sum(),
            fees: Amount::from_sat(state.mempool.values().map(spent).sum()),
            usage: 0,
        })
    }
}
