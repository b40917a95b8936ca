//! Blocks, the active chain among them, and the coins at its tip.

use std::sync::Arc;

use bitcoin::constants::genesis_block;
use bitcoin::{Amount, Block, BlockHash, Network, OutPoint, Transaction, TxOut, Txid};
use imbl::{HashMap, HashSet, Vector};

use super::block::{check_block, check_contextually, check_header};
use super::reject::Reject;
use super::rules::{self, Coin};
use super::script;

/// How many blocks are rewarded alike.
const HALVING: u32 = 150;

/// A block and where it belongs.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) block: Block,
    pub(super) height: u32,
    pub(super) txids: Vec<Txid>,
}

/// The chain. Its clones share what they have in common.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    entries: HashMap<BlockHash, Arc<Entry>>,
    /// What each connected block spent, per transaction.
    undo: HashMap<BlockHash, Arc<Vec<Vec<Coin>>>>,
    active: Vector<BlockHash>,
    pub(super) coins: HashMap<OutPoint, Coin>,
    /// Blocks that broke a rule, or that somebody declared invalid.
    invalid: HashSet<BlockHash>,
    /// Blocks that were refused for what cannot change, and are not kept.
    refused: HashSet<BlockHash>,
    /// Blocks on which nothing is built, in the order in which they came.
    leaves: Vector<BlockHash>,
}

/// How the active chain has moved.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// Blocks that are not on it any more, the highest first.
    pub(super) disconnected: Vec<Arc<Entry>>,
    /// Blocks that are on it now, the lowest first.
    pub(super) connected: Vec<Arc<Entry>>,
}

/// A step of the active chain on its way to another tip. The mempool follows step by step: what a lower tip on the way
/// does not allow is gone.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) moved: Moved,
    /// The chain afterwards.
    pub(super) chain: Chain,
}

/// What a block at `height` may create.
pub(super) fn subsidy(height: u32) -> Amount {
    let halvings = height / HALVING;
    Amount::from_sat(5_000_000_000u64.checked_shr(halvings).unwrap_or(0))
}

impl Chain {
    /// The chain of the genesis block, whose coin can never be spent.
    pub(super) fn new() -> Self {
        let block = genesis_block(Network::Regtest);
        let hash = block.block_hash();
        let entry = Arc::new(Entry::new(block, 0));
        Self {
            entries: HashMap::unit(hash, entry),
            undo: HashMap::unit(hash, Arc::new(vec![Vec::new()])),
            active: Vector::unit(hash),
            coins: HashMap::new(),
            invalid: HashSet::new(),
            refused: HashSet::new(),
            leaves: Vector::unit(hash),
        }
    }

    pub(super) fn height(&self) -> u32 {
        u32::try_from(self.active.len()).map_or(0, |count| count.saturating_sub(1))
    }

    pub(super) fn tip(&self) -> BlockHash {
        *self
            .active
            .last()
            .expect("the genesis block is there always")
    }

    pub(super) fn entry(&self, hash: &BlockHash) -> Option<&Arc<Entry>> {
        self.entries.get(hash)
    }

    pub(super) fn active_hash(&self, height: u32) -> Option<BlockHash> {
        self.active.get(height as usize).copied()
    }

    pub(super) fn is_active(&self, hash: &BlockHash) -> bool {
        self.entry(hash)
            .is_some_and(|entry| self.active_hash(entry.height) == Some(*hash))
    }

    /// All blocks but the genesis block, so that no block comes before the one that it is built on.
    pub(super) fn all_blocks(&self) -> Vec<Arc<Entry>> {
        let mut entries: Vec<_> = self.entries.values().cloned().collect();
        // The active chain comes first among equals.
        entries.sort_by_key(|entry| {
            let hash = entry.block.block_hash();
            (entry.height, !self.is_active(&hash), hash)
        });
        entries.into_iter().skip(1).collect()
    }

    /// Blocks that are known to break a rule, or were declared to.
    pub(super) fn invalid(&self) -> Vec<&BlockHash> {
        let mut invalid: Vec<_> = self.invalid.iter().collect();
        invalid.sort_unstable();
        invalid
    }

    /// The block of the active chain that contains a transaction.
    pub(super) fn block_of(&self, txid: &Txid) -> Option<BlockHash> {
        let has = |hash: &&BlockHash| {
            self.entry(hash)
                .is_some_and(|entry| entry.txids.contains(txid))
        };
        self.active.iter().rev().find(has).copied()
    }

    /// Blocks on which nothing is built.
    pub(super) fn leaves(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.leaves.iter().filter_map(|hash| self.entry(hash))
    }

    /// The outputs that a block spent when it was connected.
    pub(super) fn spent(&self, hash: &BlockHash) -> Option<&Arc<Vec<Vec<Coin>>>> {
        self.undo.get(hash)
    }

    /// The median time of a block and the ten before it.
    pub(super) fn median_time(&self, hash: &BlockHash) -> u32 {
        let mut times = Vec::with_capacity(11);
        let mut at = *hash;
        while let (Some(entry), true) = (self.entry(&at), times.len() < 11) {
            times.push(entry.block.header.time);
            at = entry.block.header.prev_blockhash;
        }
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or(0)
    }

    /// The median time before the active chain's block at `height`.
    pub(super) fn median_time_before(&self, height: u32) -> u32 {
        let before = self.active_hash(height.saturating_sub(1));
        before.map_or(0, |hash| self.median_time(&hash))
    }

    /// Takes a block and makes the best chain the active one.
    ///
    /// `Err` means that the block itself is refused, and when it was refused only while it was being connected, the
    /// chain may have moved all the same: see what is added to `steps`.
    pub(super) fn submit(
        &mut self,
        block: Block,
        now: u32,
        steps: &mut Vec<Step>,
    ) -> Result<(), Reject> {
        let hash = block.block_hash();
        if self.entries.contains_key(&hash) {
            let known = if self.is_spoiled(&hash) {
                "duplicate-invalid"
            } else {
                "duplicate"
            };
            return Reject::err(known);
        }
        if self.refused.contains(&hash) {
            return Reject::err("duplicate-invalid");
        }
        check_block(&block)?;
        let header = &block.header;
        if self.refused.contains(&header.prev_blockhash) {
            return Reject::err("bad-prevblk");
        }
        let Some(parent) = self.entry(&header.prev_blockhash).cloned() else {
            return Reject::err("prev-blk-not-found");
        };
        if self.is_spoiled(&header.prev_blockhash) {
            return Reject::err("bad-prevblk");
        }
        let height = parent.height + 1;
        let mtp = self.median_time(&header.prev_blockhash);
        check_header(header, mtp, now)?;
        if let Err(reject) = check_contextually(&block, height, mtp) {
            // Witnesses are not part of the hash: others may make a good block of it.
            if !reject.reason.contains("witness") {
                self.refused.insert(hash);
            }
            return Err(reject);
        }
        let parent_at = self.leaves.index_of(&header.prev_blockhash);
        parent_at.map(|index| self.leaves.remove(index));
        self.leaves.push_back(hash);
        self.entries
            .insert(hash, Arc::new(Entry::new(block, height)));
        match self.activate_best(steps) {
            Some((broken, reject)) if broken == hash => Err(reject),
            _ => Ok(()),
        }
    }

    /// Whether a block or one that it is built on is invalid.
    pub(super) fn is_spoiled(&self, hash: &BlockHash) -> bool {
        let mut at = *hash;
        while let Some(entry) = self.entry(&at) {
            if self.invalid.contains(&at) {
                return true;
            }
            if self.is_active(&at) {
                return false;
            }
            at = entry.block.header.prev_blockhash;
        }
        false
    }

    /// Declares a block invalid, as an operator can; false when it is unknown or the genesis block.
    pub(super) fn invalidate(&mut self, hash: &BlockHash, steps: &mut Vec<Step>) -> bool {
        if self.entry(hash).is_none_or(|entry| entry.height == 0) {
            return false;
        }
        while self.is_active(hash) {
            let mut moved = Moved::default();
            self.rewind(self.height() - 1, &mut moved);
            self.note(moved, steps);
        }
        self.invalid.insert(*hash);
        self.activate_best(steps);
        true
    }

    /// Takes back what was said of a block, of those below it and of those above it; false when it is unknown.
    pub(super) fn reconsider(&mut self, hash: &BlockHash, steps: &mut Vec<Step>) -> bool {
        if !self.entries.contains_key(hash) {
            return false;
        }
        let related: Vec<BlockHash> = self
            .invalid
            .iter()
            .filter(|other| self.is_above(other, hash) || self.is_above(hash, other))
            .copied()
            .collect();
        for other in &related {
            self.invalid.remove(other);
        }
        self.activate_best(steps);
        true
    }

    /// Whether `upper` is built on `lower`, or is it.
    fn is_above(&self, upper: &BlockHash, lower: &BlockHash) -> bool {
        let bottom = self.entry(lower).map_or(0, |entry| entry.height);
        let mut at = *upper;
        while let Some(entry) = self.entry(&at).filter(|entry| entry.height >= bottom) {
            if at == *lower {
                return true;
            }
            at = entry.block.header.prev_blockhash;
        }
        false
    }

    /// The height at which the branch of a block leaves the active chain; its own when it is on it.
    pub(super) fn fork_height(&self, hash: &BlockHash) -> u32 {
        let mut at = *hash;
        while let Some(entry) = self.entry(&at) {
            if self.is_active(&at) {
                return entry.height;
            }
            at = entry.block.header.prev_blockhash;
        }
        0
    }

    /// The blocks from the active chain (exclusive) up to the best block that is not spoiled, the lowest first; none
    /// when the active chain is the best.
    fn path_to_best(&self) -> Vec<Arc<Entry>> {
        let mut best = Vec::new();
        let mut best_height = self.height();
        for leaf in &self.leaves {
            let mut path = Vec::new();
            let mut at = *leaf;
            while let Some(entry) = self.entry(&at).filter(|_| !self.is_active(&at)) {
                match self.invalid.contains(&at) {
                    true => path.clear(),
                    false => path.push(entry.clone()),
                }
                at = entry.block.header.prev_blockhash;
            }
            let height = path.first().map_or(0, |entry| entry.height);
            if height > best_height {
                best_height = height;
                best = path;
            }
        }
        best.reverse();
        best
    }

    /// Moves to the best chain. Returns what is wrong with the first block that turned out to be invalid, if one did.
    fn activate_best(&mut self, steps: &mut Vec<Step>) -> Option<(BlockHash, Reject)> {
        let mut broken = None;
        loop {
            let path = self.path_to_best();
            let Some(first) = path.first() else {
                return broken;
            };
            let mut moved = Moved::default();
            self.rewind(first.height - 1, &mut moved);
            for entry in path {
                let hash = entry.block.block_hash();
                match self.connect(&entry) {
                    Ok(()) => moved.connected.push(entry),
                    Err(reject) => {
                        self.invalid.insert(hash);
                        broken.get_or_insert((hash, reject));
                        break;
                    }
                }
            }
            self.note(moved, steps);
        }
    }

    fn note(&self, moved: Moved, steps: &mut Vec<Step>) {
        let chain = self.clone();
        steps.push(Step { moved, chain });
    }

    /// Takes blocks off the active chain until it ends at `height`.
    fn rewind(&mut self, height: u32, moved: &mut Moved) {
        while self.height() > height {
            let Some(hash) = self.active.pop_back() else {
                return;
            };
            let (Some(entry), Some(undo)) =
                (self.entry(&hash).cloned(), self.undo.get(&hash).cloned())
            else {
                return;
            };
            for ((tx, txid), spent) in entry.transactions().zip(undo.iter()).rev() {
                for vout in 0..tx.output.len() as u32 {
                    self.coins.remove(&OutPoint::new(txid, vout));
                }
                for (input, coin) in tx.input.iter().zip(spent) {
                    self.coins.insert(input.previous_output, coin.clone());
                }
            }
            moved.disconnected.push(entry);
        }
    }

    /// Checks what needs coins, and puts a block on the tip.
    fn connect(&mut self, entry: &Entry) -> Result<(), Reject> {
        let mut coins = self.coins.clone();
        let tip = self.tip();
        let mtp = self.median_time(&tip);
        let mut undo = Vec::with_capacity(entry.block.txdata.len());
        let mut fees = Amount::ZERO;
        let mut sigops = 0;
        let repeats = entry.transactions().any(|(tx, txid)| {
            (0..tx.output.len() as u32).any(|vout| coins.contains_key(&OutPoint::new(txid, vout)))
        });
        if repeats {
            return Err(Reject::with(
                "bad-txns-BIP30",
                "tried to overwrite transaction",
            ));
        }
        for (tx, txid) in entry.transactions() {
            let mut spent = Vec::with_capacity(tx.input.len());
            if !tx.is_coinbase() {
                for input in &tx.input {
                    let Some(coin) = coins.remove(&input.previous_output) else {
                        let details = "CheckTxInputs: inputs missing/spent";
                        return Err(Reject::with("bad-txns-inputs-missingorspent", details));
                    };
                    spent.push(coin);
                }
                fees += rules::check_inputs(tx, &spent, entry.height)?;
                let before = |height| self.median_time_before(height);
                if !rules::sequence_locks_hold(tx, &spent, entry.height, mtp, before) {
                    return Err(Reject::with(
                        "bad-txns-nonfinal",
                        "contains a non-BIP68-final transaction",
                    ));
                }
            }
            sigops += sigop_cost(tx, &spent);
            if sigops > 80_000 {
                return Err(Reject::with("bad-blk-sigops", "too many sigops"));
            }
            add_coins(&mut coins, tx, txid, entry.height);
            undo.push(spent);
        }
        let made: Amount = entry.block.txdata.first().map_or(Amount::ZERO, |coinbase| {
            coinbase.output.iter().map(|output| output.value).sum()
        });
        let allowed = subsidy(entry.height) + fees;
        if made > allowed {
            let details = format!(
                "coinbase pays too much (actual={} vs limit={})",
                made.to_sat(),
                allowed.to_sat()
            );
            return Err(Reject::with("bad-cb-amount", details));
        }
        for (tx, spent) in entry.block.txdata.iter().zip(&undo).skip(1) {
            let outputs: Vec<&TxOut> = spent.iter().map(|coin| &coin.output).collect();
            script::verify(tx, &outputs).map_err(|index| {
                let details = format!("input {index} of {}", tx.compute_txid());
                Reject::with("block-script-verify-flag-failed", details)
            })?;
        }
        let hash = entry.block.block_hash();
        self.coins = coins;
        self.undo.insert(hash, Arc::new(undo));
        self.active.push_back(hash);
        Ok(())
    }
}

impl Entry {
    fn new(block: Block, height: u32) -> Self {
        let txids = block.txdata.iter().map(Transaction::compute_txid).collect();
        Self {
            block,
            height,
            txids,
        }
    }

    pub(super) fn transactions(
        &self,
    ) -> impl DoubleEndedIterator<Item = (&Transaction, Txid)> + ExactSizeIterator {
        self.block.txdata.iter().zip(self.txids.iter().copied())
    }
}

/// Adds what a transaction makes, apart from what can never be spent.
fn add_coins(coins: &mut HashMap<OutPoint, Coin>, tx: &Transaction, txid: Txid, height: u32) {
    let is_coinbase = tx.is_coinbase();
    for (vout, output) in (0..).zip(&tx.output) {
        if output.script_pubkey.is_op_return() || output.script_pubkey.len() > 10_000 {
            continue;
        }
        let output = output.clone();
        coins.insert(
            OutPoint::new(txid, vout),
            Coin {
                output,
                height,
                is_coinbase,
            },
        );
    }
}

/// Signature operations of a transaction as blocks and the mempool count them.
pub(super) fn sigop_cost(tx: &Transaction, spent: &[Coin]) -> usize {
    tx.total_sigop_cost(|outpoint| {
        let inputs = tx.input.iter().zip(spent);
        let mut found = inputs.filter(|(input, _)| input.previous_output == *outpoint);
        found.next().map(|(_, coin)| coin.output.clone())
    })
}
