//! What happens to a node without its doing: reorganizations, time, losses.

use bitcoin::{Amount, BlockHash, Transaction, Txid};

use super::chain::{Chain, Step};
use super::mempool::Terms;
use super::node::{Clock, RegtestNode};
use super::reject::Reject;

impl RegtestNode {
    /// Replaces the newest `depth` blocks by `depth + 1` empty ones; what was in them returns to the mempool, where it
    /// is still valid. At most everything but the genesis block is replaced.
    pub fn reorg(&self, depth: u32) -> Vec<BlockHash> {
        let height = self.height();
        let depth = depth.min(height);
        if let (Some(hash), true) = (self.block_hash(height - depth + 1), depth > 0) {
            self.invalidate(&hash);
        }
        let script = self.read(|state| state.faucet.script());
        (0..=depth)
            .filter_map(|_| self.mine_exactly(&[], &script).ok())
            .collect()
    }

    /// Takes a block and all that is built on it out of the active chain; false when it is unknown or the genesis
    /// block.
    pub fn invalidate(&self, hash: &BlockHash) -> bool {
        self.rearrange(|chain, steps| chain.invalidate(hash, steps))
    }

    /// Takes back an [`invalidate`](Self::invalidate); false when the block is unknown.
    pub fn reconsider(&self, hash: &BlockHash) -> bool {
        self.rearrange(|chain, steps| chain.reconsider(hash, steps))
    }

    fn rearrange(&self, change: impl FnOnce(&mut Chain, &mut Vec<Step>) -> bool) -> bool {
        self.change(|state, now| {
            let mut steps = Vec::new();
            let known = change(&mut state.chain, &mut steps);
            state.settle(&steps, now);
            known
        })
    }

    /// Drops a transaction from the mempool, with all that is built on it, as a node does that restarts or has too
    /// much; whether it was there.
    pub fn drop_transaction(&self, txid: &Txid) -> bool {
        self.change(|state, _| !state.mempool.remove_with_descendants(txid).is_empty())
    }

    /// Puts `tx` into the mempool and drops whatever spends the same outputs, even where nobody would be paid for
    /// that. It must be valid in every other way.
    ///
    /// # Errors
    ///
    /// The mempool would not take it without those others either.
    pub fn force_replacement(&self, tx: &Transaction) -> Result<Txid, Reject> {
        self.change(|state, now| {
            let before = state.mempool.clone();
            for input in &tx.input {
                if let Some(spender) = state.mempool.spender(&input.previous_output).copied() {
                    state.mempool.remove_with_descendants(&spender);
                }
            }
            let verdict = state.accept(tx, Terms::Alone, now);
            if verdict.is_err() {
                state.mempool = before;
            }
            verdict
        })
    }

    /// Sets the clock, in seconds since 1970; `None` gives it back to [`Clock::Ask`].
    pub fn set_time(&self, time: Option<u32>) {
        let mut inner = self.inner();
        if time.is_some() || matches!(inner.clock, Clock::Ask(_)) {
            inner.state.time = time;
        }
    }

    /// Returns the node's time in seconds since 1970.
    pub fn time(&self) -> u32 {
        let inner = self.inner();
        inner.state.now(inner.clock)
    }

    /// Sets what the node answers to whoever asks for an estimate of fees, per 1000 virtual bytes; at first it has none,
    /// like Bitcoin Core's on a new chain.
    pub fn set_fee_estimate(&self, rate: Option<Amount>) {
        self.change(|state, _| state.fee_estimate = rate);
    }

    /// Lets the mempool hold at most this many virtual bytes: what pays least is dropped first.
    pub fn limit_mempool(&self, max_vsize: u64) {
        self.change(|state, _| {
            state.mempool.max_vsize = max_vsize;
            state.mempool.trim();
        });
    }

    /// Hides all changes from whoever follows the node, until [`resume`](Self::resume).
    pub fn pause(&self) {
        let mut inner = self.inner();
        if inner.frozen.is_none() {
            inner.frozen = Some(Box::new(inner.state.clone()));
        }
    }

    /// Shows what has changed since [`pause`](Self::pause), all at once.
    pub fn resume(&self) {
        let mut inner = self.inner();
        inner.frozen = None;
        self.tell(inner);
    }
}
