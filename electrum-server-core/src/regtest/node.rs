//! The node as its owner sees it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bitcoin::{Amount, Block, BlockHash, ScriptBuf, Transaction, Txid};

use super::chain::{Chain, Step};
use super::faucet::Faucet;
use super::mempool::{Mempool, Terms};
use super::mine;
use super::reject::Reject;
use crate::chain::BlockId;

/// A Bitcoin node on regtest that lives in this process.
///
/// Clones are handles of the same node. Every method is atomic, and nothing happens by itself: blocks come when they
/// are mined, time passes when it is told to.
#[derive(Clone)]
pub struct RegtestNode {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

pub(super) struct Inner {
    pub(super) state: State,
    /// What followers see while notifications are paused.
    pub(super) frozen: Option<Box<State>>,
    pub(super) clock: Clock,
    listeners: Vec<Listener>,
    /// How often something has changed.
    version: u64,
}

/// Somebody who wants to know of changes.
type Listener = Arc<dyn Fn() + Send + Sync>;

/// Everything that a snapshot holds.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) chain: Chain,
    pub(super) mempool: Mempool,
    pub(super) faucet: Faucet,
    /// The time that was set; the clock's when there is none.
    pub(super) time: Option<u32>,
    /// How many blocks were mined, whatever became of them: no two are the same.
    pub(super) mined: u64,
    /// The rate per 1000 virtual bytes that is told to whoever asks for an estimate.
    pub(super) fee_estimate: Option<Amount>,
    /// Differs from that of every other state of the node.
    pub(super) version: u64,
}

/// Where a [`RegtestNode`] has its time from.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// It begins at this many seconds since 1970 and moves on by ten minutes with each block that is mined: the same
    /// calls make the same chain.
    Steps(u32),
    /// Whatever this says, in seconds since 1970, until [`RegtestNode::set_time`] says something else.
    Ask(fn() -> u32),
}

/// How a [`RegtestNode`] begins.
#[derive(Clone, Copy, Debug)]
pub struct RegtestOptions {
    /// Decides the keys of the faucet.
    pub seed: u64,
    /// Blocks that are mined to the faucet at the beginning. With 101 of them it has 50 bitcoins to give.
    pub blocks: u32,
    /// The node's time.
    pub clock: Clock,
}

impl Default for RegtestOptions {
    /// The seed 0, 101 blocks, and a clock of steps that begins at 1,700,000,000.
    fn default() -> Self {
        Self {
            seed: 0,
            blocks: 101,
            clock: Clock::Steps(1_700_000_000),
        }
    }
}

/// A state of a [`RegtestNode`] to come back to. Taking one copies nothing.
#[derive(Clone)]
pub struct Snapshot(State);

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Snapshot")
            .field(&self.0.chain.height())
            .finish()
    }
}

impl fmt::Debug for RegtestNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegtestNode")
            .field("height", &self.height())
            .finish_non_exhaustive()
    }
}

impl Default for RegtestNode {
    fn default() -> Self {
        Self::new(RegtestOptions::default())
    }
}

/// Seed, number of blocks, and time.
type Beginning = (u64, u32, u32);

/// The last few beginnings: the next node that begins alike shares its blocks with them, and mines none.
struct Beginnings(Mutex<Vec<(Beginning, State)>>);

static BEGINNINGS: Beginnings = Beginnings(Mutex::new(Vec::new()));

impl Beginnings {
    const COUNT: usize = 4;

    fn get(&self, begun: &Beginning) -> Option<State> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = kept.iter().filter(|(other, _)| other == begun);
        found.next().map(|(_, state)| state.clone())
    }

    fn keep(&self, begun: Beginning, state: State) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(Self::COUNT - 1);
        kept.insert(0, (begun, state));
    }
}

/// Between two blocks of a clock that goes in steps, in seconds.
const STEP: u32 = 600;

impl State {
    pub(super) fn now(&self, clock: Clock) -> u32 {
        match (self.time, clock) {
            (Some(time), _) | (None, Clock::Steps(time)) => time,
            (None, Clock::Ask(ask)) => ask(),
        }
    }

    pub(super) fn submit(&mut self, block: Block, now: u32) -> Result<(), Reject> {
        let mut steps = Vec::new();
        let verdict = self.chain.submit(block, now, &mut steps);
        self.settle(&steps, now);
        verdict
    }

    pub(super) fn settle(&mut self, steps: &[Step], now: u32) {
        for Step { moved, chain } in steps {
            self.mempool.follow(chain, moved, now);
            self.faucet.follow(moved);
        }
    }

    /// Checks a transaction and puts it into the mempool.
    pub(super) fn accept(
        &mut self,
        tx: &Transaction,
        terms: Terms,
        now: u32,
    ) -> Result<Txid, Reject> {
        let candidate = self.mempool.check(&self.chain, tx, terms)?;
        let txid = candidate.txid;
        self.mempool.add(candidate, now, self.chain.height());
        self.mempool.trim();
        match self.mempool.waiting.contains_key(&txid) {
            true => Ok(txid),
            false => Reject::err("mempool full"),
        }
    }
}

impl Inner {
    fn mine_one(
        &mut self,
        script: ScriptBuf,
        exactly: Option<Vec<Transaction>>,
    ) -> Result<BlockHash, Reject> {
        let clock = self.clock;
        let state = &mut self.state;
        let now = state.now(clock);
        let block = mine::block(state, script, exactly, now);
        let hash = block.block_hash();
        // A chain may have got ahead of the clock.
        state.submit(block, u32::MAX)?;
        // A saved state may say anything.
        state.mined = state.mined.wrapping_add(1);
        if let (Clock::Steps(_), Some(time)) = (clock, &mut state.time) {
            *time = time.saturating_add(STEP);
        }
        Ok(hash)
    }
}

impl RegtestNode {
    /// Makes a node with a chain and a faucet of its own.
    pub fn new(options: RegtestOptions) -> Self {
        let begun = match options.clock {
            Clock::Steps(time) => Some((options.seed, options.blocks, time)),
            Clock::Ask(_) => None,
        };
        if let Some(state) = begun.and_then(|begun| BEGINNINGS.get(&begun)) {
            return Self::of(state, options.clock);
        }
        let state = State {
            chain: Chain::new(),
            mempool: Mempool::default(),
            faucet: Faucet::new(options.seed),
            time: begun.map(|(_, _, time)| time),
            mined: 0,
            fee_estimate: None,
            version: 0,
        };
        let node = Self::of(state, options.clock);
        node.mine_to_faucet(options.blocks);
        if let Some(begun) = begun {
            BEGINNINGS.keep(begun, node.read(State::clone));
        }
        node
    }

    fn of(state: State, clock: Clock) -> Self {
        let inner = Inner {
            version: state.version,
            state,
            frozen: None,
            clock,
            listeners: Vec::new(),
        };
        let shared = Shared {
            inner: Mutex::new(inner),
            changed: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change is made on a copy of the state or is whole before anything can panic.
        self.shared
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what the node knows.
    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.inner().state)
    }

    /// Looks at what followers may see.
    pub(super) fn published<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        let inner = self.inner();
        look(inner.frozen.as_deref().unwrap_or(&inner.state))
    }

    /// Changes what the node knows; the second argument is its time. Then tells whoever listens.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State, u32) -> T) -> T {
        let mut inner = self.inner();
        let now = inner.state.now(inner.clock);
        let result = change(&mut inner.state, now);
        self.tell(inner);
        result
    }

    /// Tells of a change. Nobody holds the lock meanwhile: who is told may look.
    pub(super) fn tell(&self, mut inner: MutexGuard<'_, Inner>) {
        inner.version += 1;
        inner.state.version = inner.version;
        if inner.frozen.is_none() {
            let listeners = inner.listeners.clone();
            drop(inner);
            self.shared.changed.notify_all();
            listeners.iter().for_each(|listener| listener());
        }
    }

    /// Waits until `done` holds of what followers may see, at most for `timeout`; whether it holds.
    pub(super) fn wait(&self, timeout: std::time::Duration, done: impl Fn(&State) -> bool) -> bool {
        let waits = |inner: &mut Inner| !done(inner.frozen.as_deref().unwrap_or(&inner.state));
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.inner(), timeout, waits);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Lets everybody who waits look again.
    #[cfg(feature = "net")]
    pub(super) fn wake(&self) {
        drop(self.inner());
        self.shared.changed.notify_all();
    }

    /// Calls `listener` after every change that followers may see, on the thread that made it. The change is complete
    /// when the listener returns: one that waits until a server has followed makes every change a synchronous one.
    pub fn on_change(&self, listener: impl Fn() + Send + Sync + 'static) {
        self.inner().listeners.push(Arc::new(listener));
    }

    /// Counts changes: another number means another state, that of [`restore`](Self::restore) included.
    pub fn version(&self) -> u64 {
        self.read(|state| state.version)
    }

    /// Returns the tip of the active chain, even while notifications are paused.
    pub fn best_block(&self) -> BlockId {
        self.read(|state| BlockId {
            height: state.chain.height(),
            hash: state.chain.tip(),
        })
    }

    /// Returns the height of the tip.
    pub fn height(&self) -> u32 {
        self.read(|state| state.chain.height())
    }

    /// Returns the hash of the active chain's block at a height.
    pub fn block_hash(&self, height: u32) -> Option<BlockHash> {
        self.read(|state| state.chain.active_hash(height))
    }

    /// Returns a block, of the active chain or not.
    pub fn get_block(&self, hash: &BlockHash) -> Option<Block> {
        self.read(|state| state.chain.entry(hash).map(|entry| entry.block.clone()))
    }

    /// Whether a block is known, of the active chain or not.
    pub fn knows(&self, hash: &BlockHash) -> bool {
        self.read(|state| state.chain.entry(hash).is_some())
    }

    /// Returns the block of the active chain that contains a transaction; looks through all of them.
    pub fn block_of(&self, txid: &Txid) -> Option<BlockHash> {
        self.read(|state| state.chain.block_of(txid))
    }

    /// Returns the txids of the mempool in the order in which they came.
    pub fn mempool(&self) -> Vec<Txid> {
        self.read(|state| {
            let waiting = state.mempool.in_order();
            waiting.iter().map(|waiting| waiting.txid).collect()
        })
    }

    /// Returns a transaction of the mempool.
    pub fn mempool_transaction(&self, txid: &Txid) -> Option<Transaction> {
        self.read(|state| Some(state.mempool.waiting.get(txid)?.tx.clone()))
    }

    /// Mines blocks that pay to `script` and contain what is in the mempool; their hashes, the lowest first.
    pub fn mine(&self, count: u32, script: &bitcoin::Script) -> Vec<BlockHash> {
        let mut inner = self.inner();
        let mined = (0..count).filter_map(|_| inner.mine_one(script.to_owned(), None).ok());
        let hashes = mined.collect();
        self.tell(inner);
        hashes
    }

    /// Mines blocks that pay to the faucet and contain what is in the mempool.
    pub fn mine_to_faucet(&self, count: u32) -> Vec<BlockHash> {
        let script = self.read(|state| state.faucet.script());
        self.mine(count, &script)
    }

    /// Mines a block that contains exactly these transactions, in this order, whether or not they are in the mempool.
    ///
    /// # Errors
    ///
    /// The block would be invalid.
    pub fn mine_exactly(
        &self,
        transactions: &[Transaction],
        script: &bitcoin::Script,
    ) -> Result<BlockHash, Reject> {
        let mut inner = self.inner();
        let mined = inner.mine_one(script.to_owned(), Some(transactions.to_vec()));
        self.tell(inner);
        mined
    }

    /// Takes a block that somebody else has made, as a peer would bring it.
    ///
    /// # Errors
    ///
    /// The block breaks a rule, or is known already.
    pub fn submit_block(&self, block: Block) -> Result<(), Reject> {
        self.change(|state, now| state.submit(block, now))
    }

    /// Takes a transaction into the mempool.
    ///
    /// # Errors
    ///
    /// The mempool does not want it.
    pub fn send(&self, tx: &Transaction) -> Result<Txid, Reject> {
        self.change(|state, now| state.accept(tx, Terms::Alone, now))
    }

    /// Tells whether the mempool would take a transaction.
    ///
    /// # Errors
    ///
    /// It would not.
    pub fn test(&self, tx: &Transaction) -> Result<(), Reject> {
        self.read(|state| {
            state
                .mempool
                .check(&state.chain, tx, Terms::Alone)
                .map(drop)
        })
    }

    /// Remembers everything: chain, mempool, faucet, time.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.read(State::clone))
    }

    /// Makes another node that begins where this one is: chain, mempool, faucet, time. From there on each has its own
    /// way. A test may so begin with what another has prepared.
    pub fn fork(&self) -> Self {
        let (state, clock) = {
            let inner = self.inner();
            (inner.state.clone(), inner.clock)
        };
        Self::of(state, clock)
    }

    /// Returns to what was remembered. Followers see a reorganization.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.change(|state, _| *state = snapshot.0.clone());
    }

    /// Returns what the active chain's coins are worth together.
    pub fn supply(&self) -> Amount {
        self.read(|state| {
            state
                .chain
                .coins
                .values()
                .map(|coin| coin.output.value)
                .sum()
        })
    }
}
