//! A chain, a mempool and what is published of them, all in memory: blocks come, are undone, and others come.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use electrum_protocol::ScriptHash;
use electrum_server_core::bitcoin::absolute::LockTime;
use electrum_server_core::bitcoin::block::{Header, Version};
use electrum_server_core::bitcoin::hashes::Hash;
use electrum_server_core::bitcoin::{
    Amount, Block, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Txid, Witness, constants, script, transaction,
};
use electrum_server_core::chain::BlockWithSpent;
use electrum_server_core::index::{BlockRows, Index, RowKey};
use electrum_server_core::mempool::{Delta, Entry, Mempool};
use electrum_server_core::notify::{Published, Touched, Update};
use electrum_server_core::session::{About, Limits, Services};
use electrum_server_core::store::{Durability, MemoryStore};
use electrum_server_core::view::View;

use super::node::FuzzNode;

/// How many scripts there are.
pub(super) const SCRIPTS: u8 = 6;

/// Returns script number `n`: it pays to a key hash that nobody has the key of.
pub(super) fn script(n: u8) -> ScriptBuf {
    let mut bytes = vec![0x00, 0x14];
    bytes.extend([n % SCRIPTS; 20]);
    ScriptBuf::from(bytes)
}

/// The chain, the mempool, and what sessions see of them.
pub(super) struct World {
    pub(super) node: Arc<FuzzNode>,
    pub(super) published: Arc<Published>,
    outlet: Arc<Mutex<Outlet>>,
    index: Index,
    mempool: Mempool,
    blocks: Vec<Block>,
    /// Every output there ever was.
    outputs: HashMap<OutPoint, TxOut>,
    /// The mempool's transactions, parents first.
    waiting: Vec<Transaction>,
    sequence: u64,
    /// How many blocks there ever were: two at the same height differ.
    salt: i64,
}

/// What happened and is not published, and what is published and was not told.
#[derive(Default)]
struct Outlet {
    held: Option<(View, Touched)>,
    updates: VecDeque<Update>,
}

impl Outlet {
    fn publish(&mut self, published: &Published) {
        if let Some((view, touched)) = self.held.take() {
            let sequence = view.sequence();
            published.publish(view, &touched);
            self.updates.push_back(Update { sequence, touched });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// The world with nothing but its first block.
    pub(super) fn new() -> Self {
        let genesis = constants::genesis_block(Network::Regtest);
        let store = Arc::new(MemoryStore::default());
        let key = RowKey::from_byte_array([7; 16]);
        let mut index =
            Index::open_with_key(store, genesis.block_hash(), key).expect("an empty store opens");
        let rows = BlockWithSpent {
            spent: vec![Vec::new()],
            block: genesis.clone(),
        };
        connect(&mut index, &rows);
        let view = View::new(&index, Mempool::new(), 1).expect("there is a block");
        Self {
            node: Arc::default(),
            published: Arc::new(Published::new(view)),
            outlet: Arc::default(),
            index,
            mempool: Mempool::new(),
            blocks: vec![genesis],
            outputs: HashMap::new(),
            waiting: Vec::new(),
            sequence: 1,
            salt: 0,
        }
    }

    /// What sessions share, who see this world.
    pub(super) fn services(&self, about: About, limits: Limits) -> Services {
        let (outlet, published) = (self.outlet.clone(), self.published.clone());
        let refresh = Box::new(move |_| lock(&outlet).publish(&published));
        Services::new(
            self.published.clone(),
            self.node.clone(),
            refresh,
            about,
            limits,
        )
    }

    /// The newest view that sessions can see.
    pub(super) fn view(&self) -> View {
        self.published.view()
    }

    /// Lets sessions see everything.
    pub(super) fn publish(&self) {
        lock(&self.outlet).publish(&self.published);
    }

    /// Takes what was published and is to be told, the oldest first.
    pub(super) fn take_update(&self) -> Option<Update> {
        lock(&self.outlet).updates.pop_front()
    }

    /// Forgets what is to be told; returns whether there was anything.
    pub(super) fn lose_updates(&self) -> bool {
        let mut outlet = lock(&self.outlet);
        let lost = !outlet.updates.is_empty();
        outlet.updates.clear();
        lost
    }

    /// A transaction that exists, or existed.
    pub(super) fn txid(&self, n: u8) -> Txid {
        let mined = self.blocks.iter().flat_map(|block| &block.txdata);
        let all: Vec<_> = mined.chain(&self.waiting).collect();
        let from_the_end = all.len().saturating_sub(1 + usize::from(n) % all.len());
        all.get(from_the_end)
            .map_or_else(Txid::all_zeros, |tx| tx.compute_txid())
    }

    /// The transaction that nobody has sent yet which [`receive`](Self::receive) would make of the same numbers.
    pub(super) fn unsent(&self, coin: u8, to: [u8; 2]) -> Option<Transaction> {
        let coins = self.coins();
        let (coin, output) = coins.get(usize::from(coin) % coins.len().max(1))?;
        let half = output.value.to_sat().checked_sub(1000)? / 2;
        (half > 1000).then(|| pay(*coin, &to.map(|n| (n, half))))
    }

    /// Lets the mempool have a transaction.
    pub(super) fn receive(&mut self, coin: u8, to: [u8; 2]) {
        let Some(tx) = self.unsent(coin, to) else {
            return;
        };
        self.waiting.push(tx);
        self.settle(HashSet::new(), false);
    }

    /// Drops a transaction from the mempool, and what spends from it.
    pub(super) fn evict(&mut self, n: u8) {
        if !self.waiting.is_empty() {
            let len = self.waiting.len();
            self.waiting.remove(usize::from(n) % len);
            self.settle(HashSet::new(), false);
        }
    }

    /// Mines a block with up to `count` of the transactions that wait.
    pub(super) fn mine(&mut self, miner: u8, count: u8) {
        let touched = self.connect(miner, count);
        self.settle(touched, false);
    }

    /// Undoes blocks and mines one more than that, so that the chain grows.
    pub(super) fn reorganize(&mut self, depth: u8, miner: u8, count: u8) {
        let depth = usize::from(depth).min(self.blocks.len() - 1);
        for _ in 0..depth {
            self.index.undo_tip(None).expect("there is a record of it");
            let block = self.blocks.pop().expect("above the first one");
            let returned: Vec<_> = block.txdata.into_iter().skip(1).collect();
            self.waiting.splice(0..0, returned);
        }
        for _ in 0..=depth {
            self.connect(miner, count);
        }
        self.settle(HashSet::new(), true);
    }

    fn connect(&mut self, miner: u8, count: u8) -> HashSet<ScriptHash> {
        self.salt += 1;
        let height = self.blocks.len() as u32;
        let mut coinbase = pay(OutPoint::null(), &[(miner, 50_0000_0000)]);
        for input in &mut coinbase.input {
            input.script_sig = script::Builder::new()
                .push_int(i64::from(height))
                .push_int(self.salt)
                .into_script();
        }
        // What is first in line has its parents in blocks, or before it.
        let confirmed = self.confirmed();
        let mut made = HashSet::new();
        let mut txdata = vec![coinbase];
        let count = usize::from(count).min(self.waiting.len());
        for tx in self.waiting.drain(..count) {
            let is_valid = tx.input.iter().all(|input| {
                confirmed.contains_key(&input.previous_output)
                    || made.contains(&input.previous_output.txid)
            });
            if is_valid {
                made.insert(tx.compute_txid());
                txdata.push(tx);
            }
        }
        let previous = self.blocks.last().expect("there is a first one");
        let mut block = Block {
            header: Header {
                version: Version::TWO,
                prev_blockhash: previous.block_hash(),
                merkle_root: TxMerkleNode::all_zeros(),
                time: 1_300_000_000 + height,
                bits: CompactTarget::from_consensus(0x207f_ffff),
                nonce: 0,
            },
            txdata,
        };
        block.header.merkle_root = block.compute_merkle_root().expect("there is a coinbase");
        while block.header.validate_pow(block.header.target()).is_err() {
            block.header.nonce += 1;
        }
        for tx in &block.txdata {
            self.note_outputs(tx);
            self.node.knows(tx, Some(block.block_hash()));
        }
        let spent = |tx: &Transaction| match tx.is_coinbase() {
            true => Vec::new(),
            false => self.spent_by(tx),
        };
        let spent = block.txdata.iter().map(spent).collect();
        let with_spent = BlockWithSpent {
            block: block.clone(),
            spent,
        };
        self.blocks.push(block);
        connect(&mut self.index, &with_spent)
    }

    /// Brings the mempool to what still holds, and the view to that.
    fn settle(&mut self, mut touched: HashSet<ScriptHash>, is_reorg: bool) {
        let mut coins = self.confirmed();
        let mined: HashSet<_> = self
            .blocks
            .iter()
            .flat_map(|block| block.txdata.iter().map(Transaction::compute_txid))
            .collect();
        let waiting = std::mem::take(&mut self.waiting);
        for tx in waiting {
            let spends: Vec<_> = tx.input.iter().map(|input| input.previous_output).collect();
            let txid = tx.compute_txid();
            if mined.contains(&txid) || !spends.iter().all(|coin| coins.contains_key(coin)) {
                continue;
            }
            for coin in &spends {
                coins.remove(coin);
            }
            self.note_outputs(&tx);
            self.node.knows(&tx, None);
            let outputs = (0..).zip(&tx.output);
            coins.extend(outputs.map(|(vout, output)| (OutPoint::new(txid, vout), output.clone())));
            self.waiting.push(tx);
        }
        let now: HashSet<_> = self.waiting.iter().map(Transaction::compute_txid).collect();
        let removed: Vec<_> = self
            .mempool
            .entries()
            .map(|entry| entry.txid)
            .filter(|txid| !now.contains(txid))
            .collect();
        for txid in &removed {
            self.node.forgets(txid);
        }
        let added = self
            .waiting
            .iter()
            .filter(|tx| self.mempool.get(&tx.compute_txid()).is_none())
            .map(|tx| Entry::new(tx.clone(), &self.spent_by(tx)).expect("it spends what is there"))
            .collect();
        touched.extend(self.mempool.apply(Delta {
            added,
            removed,
            ..Delta::default()
        }));
        self.sequence += 1;
        let view = View::new(&self.index, self.mempool.clone(), self.sequence);
        let view = view.expect("there is a block");
        let mut outlet = lock(&self.outlet);
        let touched = match (outlet.held.take(), is_reorg) {
            (Some((_, Touched::Scripts(before))), false) => {
                touched.extend(before);
                Touched::Scripts(touched)
            }
            (None, false) => Touched::Scripts(touched),
            (_, true) | (Some((_, Touched::Everything)), _) => Touched::Everything,
        };
        outlet.held = Some((view, touched));
    }

    fn note_outputs(&mut self, tx: &Transaction) {
        let txid = tx.compute_txid();
        let outputs = (0..).zip(&tx.output);
        self.outputs
            .extend(outputs.map(|(vout, output)| (OutPoint::new(txid, vout), output.clone())));
    }

    fn spent_by(&self, tx: &Transaction) -> Vec<TxOut> {
        tx.input
            .iter()
            .filter_map(|input| self.outputs.get(&input.previous_output).cloned())
            .collect()
    }

    /// The unspent outputs of the blocks.
    fn confirmed(&self) -> HashMap<OutPoint, TxOut> {
        let mut coins = HashMap::new();
        // The first block's output cannot be spent.
        for tx in self.blocks.iter().skip(1).flat_map(|block| &block.txdata) {
            apply(tx, &mut coins);
        }
        coins
    }

    /// The outputs that a new transaction could spend, in an order that does not change from run to run.
    fn coins(&self) -> Vec<(OutPoint, TxOut)> {
        let mut coins = self.confirmed();
        for tx in &self.waiting {
            apply(tx, &mut coins);
        }
        let mut coins: Vec<_> = coins.into_iter().collect();
        coins.sort_by_key(|(outpoint, _)| *outpoint);
        coins
    }
}

fn apply(tx: &Transaction, coins: &mut HashMap<OutPoint, TxOut>) {
    for input in &tx.input {
        coins.remove(&input.previous_output);
    }
    let txid = tx.compute_txid();
    let outputs = (0..).zip(&tx.output);
    coins.extend(outputs.map(|(vout, output)| (OutPoint::new(txid, vout), output.clone())));
}

fn connect(index: &mut Index, block: &BlockWithSpent) -> HashSet<ScriptHash> {
    let rows = BlockRows::derive(&index.key(), block).expect("it spends what is there");
    let height = index.headers().len();
    index
        .apply(&[rows], height, Durability::Process)
        .expect("it follows the tip")
}

fn pay(coin: OutPoint, outputs: &[(u8, u64)]) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: coin,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: outputs
            .iter()
            .map(|(n, value)| TxOut {
                value: Amount::from_sat(*value),
                script_pubkey: script(*n),
            })
            .collect(),
    }
}
