//! The writer in front of a node that does what it is told.

mod catching_up;
mod failures;
mod following;
mod storage;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bitcoin::Network;
use bitcoin::constants::genesis_block;
use electrum_protocol::ScriptHash;

use super::{Sync, SyncError, SyncEvent, SyncHandle, SyncOptions};
use crate::chain::ChainSource;
use crate::chain::scripted::{ScriptedNode, script};
use crate::index::tests::{KEY, Rows, rows};
use crate::index::{BlockRows, Index};
use crate::mempool::{Fetched, Mempool, fetch};
use crate::notify::{Published, Touched, Update};
use crate::store::{Durability, MemoryStore, Store, Table};

/// Nothing here takes so long, except when it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the writer told.
#[derive(Debug)]
enum Told {
    Progress {
        height: u32,
        target: u32,
    },
    Ready(Arc<Published>),
    Update(Update),
    /// With the reason.
    Away(String),
    Back,
    StoreFailed(String),
    StoreBack,
}

/// A writer on its thread.
struct Running {
    node: Arc<ScriptedNode>,
    store: Arc<dyn Store>,
    handle: SyncHandle,
    told: Receiver<Told>,
    thread: JoinHandle<Result<(), SyncError>>,
}

/// Looks at the node only when it is told to, or hears of a block.
fn patient() -> SyncOptions {
    SyncOptions {
        threads: 3,
        mempool_interval: PATIENCE,
        full_interval: PATIENCE,
        ignore_mempool: false,
        build_memory: 64 << 20,
        max_step_back: 100,
    }
}

fn open(store: &Arc<dyn Store>) -> Index {
    let genesis = genesis_block(Network::Regtest).block_hash();
    Index::open_with_key(store.clone(), genesis, KEY).unwrap()
}

impl Running {
    fn start(node: &Arc<ScriptedNode>) -> Self {
        Self::start_on(node, Arc::default(), patient())
    }

    fn start_on(node: &Arc<ScriptedNode>, store: Arc<MemoryStore>, options: SyncOptions) -> Self {
        Self::start_over(node, store, options)
    }

    fn start_over(node: &Arc<ScriptedNode>, store: Arc<dyn Store>, options: SyncOptions) -> Self {
        let sync = Sync::new(open(&store), node.clone(), options);
        let handle = sync.handle();
        let (sender, told) = channel();
        let thread = std::thread::spawn(move || {
            sync.run(&mut |event| {
                let event = match event {
                    SyncEvent::Progress { height, target } => Told::Progress { height, target },
                    SyncEvent::Ready(published) => Told::Ready(published.clone()),
                    SyncEvent::Update(update) => Told::Update(update),
                    SyncEvent::Away(error) => Told::Away(error.to_string()),
                    SyncEvent::Back => Told::Back,
                    SyncEvent::StoreFailed(error) => Told::StoreFailed(error.to_string()),
                    SyncEvent::StoreBack => Told::StoreBack,
                };
                // A test that is over does not listen.
                let _ = sender.send(event);
            })
        });
        Self {
            node: node.clone(),
            store,
            handle,
            told,
            thread,
        }
    }

    /// The next event, progress aside.
    fn next(&self) -> Told {
        loop {
            match self.told.recv_timeout(PATIENCE).expect("something happens") {
                Told::Progress { height, target } => assert!(height <= target),
                told => return told,
            }
        }
    }

    fn ready(&self) -> Arc<Published> {
        match self.next() {
            Told::Ready(published) => published,
            other => panic!("{other:?}"),
        }
    }

    fn update(&self) -> Touched {
        match self.next() {
            Told::Update(update) => update.touched,
            other => panic!("{other:?}"),
        }
    }

    /// Everything that has been told, once the writer has looked again.
    fn settled(&self) -> Vec<Told> {
        assert!(self.handle.refresh(PATIENCE));
        self.told
            .try_iter()
            .filter(|told| !matches!(told, Told::Progress { .. }))
            .collect()
    }

    /// The published view is what somebody would build who sees the node for the first time.
    fn check(&self, published: &Published) {
        let node = self.node.as_ref();
        let view = published.view();
        let (fresh, store) = build(node);
        let tip = fresh.headers().tip().unwrap();
        assert_eq!(view.headers().tip(), Some(tip));
        assert!(content(&self.store) == content(&store), "other rows");
        let delta = match fetch(node, &Mempool::new(), tip.hash, &|| false).unwrap() {
            Fetched::Delta(delta) => delta,
            other => panic!("{other:?}"),
        };
        let mut mempool = Mempool::new();
        mempool.apply(delta);
        assert!(*view.mempool().whole() == mempool, "another mempool");
    }

    fn stop(self) {
        self.handle.stop();
        self.thread.join().unwrap().unwrap();
        assert!(!self.handle.refresh(PATIENCE), "nobody looks any more");
    }
}

/// Indexes the node's chain block by block.
fn build(node: &ScriptedNode) -> (Index, Arc<dyn Store>) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut index = open(&store);
    for header in node.headers(0, u32::MAX).unwrap() {
        let block = node.block(&header.block_hash()).unwrap();
        let rows = BlockRows::derive(&KEY, &block).unwrap();
        index.apply(&[rows], u32::MAX, Durability::Process).unwrap();
    }
    (index, store)
}

fn content<S: Store + ?Sized>(store: &Arc<S>) -> Rows {
    rows(store.snapshot().as_ref(), &Table::CONTENT)
}

/// These scripts and no others.
fn only(numbers: &[u8]) -> Touched {
    let hashes: HashSet<_> = numbers
        .iter()
        .map(|number| ScriptHash::from_script(&script(*number)))
        .collect();
    Touched::Scripts(hashes)
}
