//! A server without threads: what happens is published at once, or when a session asks for the newest.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use bitcoin::{OutPoint, Transaction, TxOut, Txid};
use electrum_protocol::ScriptHash;

use super::chain::Chain;
use super::node::TestNode;
use super::talk::Talk;
use crate::index::tests::KEY;
use crate::index::{BlockRows, Index};
use crate::mempool::{Delta, Entry, Mempool};
use crate::notify::{Published, Touched, Update};
use crate::session::{About, Limits, Services};
use crate::store::{Durability, MemoryStore};
use crate::sync::RefreshScope;
use crate::view::View;

/// A chain, what is published of it, and what sessions share.
pub(crate) struct Stage {
    pub(crate) chain: Chain,
    pub(crate) node: Arc<TestNode>,
    pub(crate) services: Arc<Services>,
    index: Index,
    mempool: Mempool,
    sequence: u64,
    published: Arc<Published>,
    /// Published when a session asks for the newest.
    held_back: Arc<Mutex<Option<View>>>,
    refreshes: Arc<Mutex<Vec<RefreshScope>>>,
    last_update: Option<Update>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(About::default(), Limits::default())
    }

    pub(crate) fn with(about: About, limits: Limits) -> Self {
        let chain = Chain::new();
        let store = Arc::new(MemoryStore::default());
        let mut index = Index::open_with_key(store, chain.tip_hash(), KEY).unwrap();
        connect(&mut index, &chain, 0);
        let view = View::new(&index, Mempool::new(), 1).unwrap();
        let published = Arc::new(Published::new(view));
        let node = Arc::<TestNode>::default();
        let held_back = Arc::<Mutex<Option<View>>>::default();
        let refreshes = Arc::<Mutex<Vec<RefreshScope>>>::default();
        let refresh = {
            let (held_back, refreshes) = (held_back.clone(), refreshes.clone());
            let (published, node) = (published.clone(), node.clone());
            Box::new(move |scope| {
                refreshes.lock().unwrap().push(scope);
                // The node is asked by the writer.
                node.think();
                if let Some(view) = held_back.lock().unwrap().take() {
                    published.publish(view, &Touched::Everything);
                }
            })
        };
        let services = Services::new(published.clone(), node.clone(), refresh, about, limits);
        Self {
            chain,
            node,
            services: Arc::new(services),
            index,
            mempool: Mempool::new(),
            sequence: 1,
            published,
            held_back,
            refreshes,
            last_update: None,
        }
    }

    /// Connects a client.
    pub(crate) fn talk(&self) -> Talk {
        Talk::new(&self.services)
    }

    /// The published view.
    pub(crate) fn view(&self) -> View {
        self.published.view()
    }

    /// How often a session asked for the newest view.
    pub(crate) fn refreshes(&self) -> usize {
        self.scopes().len()
    }

    /// What was to be current each time.
    pub(crate) fn scopes(&self) -> Vec<RefreshScope> {
        self.refreshes.lock().unwrap().clone()
    }

    /// What was told of the last change.
    pub(crate) fn last_update(&self) -> &Update {
        self.last_update.as_ref().unwrap()
    }

    /// Mines a block, and publishes it; see [`Chain::mine`].
    pub(crate) fn mine(&mut self, miner: u8, transactions: &[Transaction]) -> OutPoint {
        let coin = self.extend(miner, transactions);
        let touched = &self.last_update().touched;
        self.published.publish(self.newest(), touched);
        coin
    }

    /// The same, but published only when a session asks for the newest.
    pub(crate) fn mine_on_refresh(&mut self, miner: u8, transactions: &[Transaction]) {
        self.extend(miner, transactions);
        *self.held_back.lock().unwrap() = Some(self.newest());
    }

    /// Takes a transaction into the mempool, and publishes it.
    pub(crate) fn receive(&mut self, tx: Transaction) -> Txid {
        let txid = self.accept(tx);
        let touched = &self.last_update().touched;
        self.published.publish(self.newest(), touched);
        txid
    }

    /// Drops a transaction from the mempool, and publishes that.
    pub(crate) fn evict(&mut self, txid: Txid) {
        let touched = self.mempool.apply(Delta {
            added: Vec::new(),
            removed: vec![txid],
            ..Delta::default()
        });
        self.note(touched);
        let touched = &self.last_update().touched;
        self.published.publish(self.newest(), touched);
    }

    /// The same as [`receive`](Self::receive), but published only when a session asks for the newest.
    pub(crate) fn receive_on_refresh(&mut self, tx: Transaction) {
        self.accept(tx);
        *self.held_back.lock().unwrap() = Some(self.newest());
    }

    fn extend(&mut self, miner: u8, transactions: &[Transaction]) -> OutPoint {
        let coin = self.chain.mine(miner, transactions);
        let mut touched = connect(&mut self.index, &self.chain, self.chain.height());
        let removed = transactions.iter().map(Transaction::compute_txid).collect();
        touched.extend(self.mempool.apply(Delta {
            added: Vec::new(),
            removed,
            ..Delta::default()
        }));
        self.note(touched);
        coin
    }

    fn accept(&mut self, tx: Transaction) -> Txid {
        let spent: Vec<TxOut> = tx
            .input
            .iter()
            .map(|input| self.output(&input.previous_output))
            .collect();
        let entry = Entry::new(tx, &spent).unwrap();
        let txid = entry.txid;
        let touched = self.mempool.apply(Delta {
            added: vec![entry],
            removed: Vec::new(),
            ..Delta::default()
        });
        self.note(touched);
        txid
    }

    fn output(&self, outpoint: &OutPoint) -> TxOut {
        match self.mempool.get(&outpoint.txid) {
            Some(entry) => entry.tx.output[outpoint.vout as usize].clone(),
            None => self.chain.output(outpoint),
        }
    }

    fn note(&mut self, touched: HashSet<ScriptHash>) {
        self.sequence += 1;
        self.last_update = Some(Update {
            sequence: self.sequence,
            touched: Touched::Scripts(touched),
        });
    }

    fn newest(&self) -> View {
        View::new(&self.index, self.mempool.clone(), self.sequence).unwrap()
    }
}

/// Applies the block at a height.
fn connect(index: &mut Index, chain: &Chain, height: u32) -> HashSet<ScriptHash> {
    let rows = BlockRows::derive(&index.key(), &chain.with_spent(height)).unwrap();
    index.apply(&[rows], height, Durability::Process).unwrap()
}
