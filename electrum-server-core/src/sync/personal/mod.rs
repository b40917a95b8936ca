//! Following some wallets only: headers first, then what the blocks have for them.
//!
//! The chain of headers always goes to the node's tip. How far each script was looked for is kept beside it; what is
//! behind is made up for, with the node's filters where it has them, before the view is published. So a block that comes,
//! a server that was off for a year, a wallet that is new, and scripts beyond the gap limit are all the same work.

mod earlier;
mod handle;
mod unseen;

use std::collections::{BTreeMap, HashSet};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use bitcoin::BlockHash;
use bitcoin::block::Header;

pub use handle::PersonalHandle;
use handle::{Shared, Wish};
use unseen::{Unseen, fetch_block, share_unseen};

use super::blocks::in_order;
use super::round::Outcome;
use super::{Sync, SyncError, SyncEvent, SyncOptions};
use crate::chain::{ChainSource, Plan, SourceError};
use crate::index::{Admitted, Coins, Found, Index, look_for};
use crate::mempool::{self, Fetched, Ours};
use crate::personal::{Job, Progress, Wallet, Watched};
use crate::store::{Batch, Table};

/// How many blocks are looked at between two notes of how far we are.
const STEP: u32 = 2000;
/// How many blocks the node is asked to look through at once, with its filters.
const FILTERED_STEP: u32 = 10_000;
/// With fewer blocks to look at, filters are not worth asking for.
const WORTH_FILTERS: u32 = 10;

/// What a writer of some wallets has beside the others.
#[derive(Debug)]
pub(super) struct Personal {
    /// As given; taken when the chain of headers is known.
    wallets: Option<Vec<Wallet>>,
    progress: Progress,
    /// Transactions of the mempool that were looked at and are not ours.
    foreign: HashSet<bitcoin::Txid>,
    /// For which scripts the mempool was looked at: their generation.
    mempool_of: Option<u64>,
    /// The outputs of the scripts of some job, and for which one.
    coins: Option<(CoinsOf, Coins)>,
    /// The outputs of all scripts at the tip, and for which scripts at which block.
    all_coins: Option<(u64, BlockHash, Coins)>,
    may_fetch: bool,
    wishes: Receiver<Wish>,
    handle: PersonalHandle,
    /// Blocks that could not be looked at.
    unseen: Unseen,
    /// Of which scripts sessions know: the generation, and how many keychains were ready.
    told: Option<(u64, usize)>,
}

/// Which outputs: those of so many scripts of a generation, before the block at a height.
type CoinsOf = (u64, usize, u32);

impl Personal {
    /// Forgets what was looked for and may not be in the index: it is read from there again.
    pub(super) fn read_again(&mut self) {
        if self.wallets.is_none() {
            self.wallets = Some(self.progress.wallets().to_vec());
        }
        self.coins = None;
        self.all_coins = None;
    }
}

impl Sync {
    /// Prepares to follow some wallets only. `index` must be a [personal](Index::open_personal) one. Blocks that the node
    /// has pruned are fetched from its peers when `may_fetch`.
    pub fn personal(
        index: Index,
        source: Arc<dyn ChainSource>,
        options: SyncOptions,
        wallets: Vec<Wallet>,
        may_fetch: bool,
    ) -> (Self, PersonalHandle) {
        let key = index.key();
        let mut sync = Self::new(index, source, options);
        let (sender, wishes) = channel();
        let handle = PersonalHandle {
            shared: Arc::new(Shared {
                watched: ArcSwap::from_pointee(Watched::new(key)),
                unseen: Mutex::default(),
                wishes: sender,
                sync: sync.handle(),
            }),
        };
        sync.personal = Some(Personal {
            wallets: Some(wallets),
            progress: Progress::default(),
            foreign: HashSet::new(),
            mempool_of: None,
            coins: None,
            all_coins: None,
            may_fetch,
            wishes,
            handle: handle.clone(),
            unseen: Unseen::default(),
            told: None,
        });
        (sync, handle)
    }

    /// Connects the headers of a plan.
    pub(super) fn connect_headers(
        &mut self,
        plan: &Plan,
        on_event: &mut dyn FnMut(SyncEvent<'_>),
    ) -> Result<(), SyncError> {
        let start = plan.fork.map_or(0, |fork| fork + 1);
        let blocks = self
            .source
            .headers_with_counts(start, plan.connect.len() as u32)?;
        let same = blocks
            .iter()
            .zip(&plan.connect)
            .all(|((header, _), planned)| header == planned);
        if !same {
            // The next plan knows the new chain.
            return Ok(());
        }
        self.index.connect_headers(&blocks)?;
        self.changes.note_headers();
        let (height, target) = (
            self.index.headers().len().saturating_sub(1),
            plan.target.height,
        );
        if target.saturating_sub(start) > WORTH_FILTERS {
            on_event(SyncEvent::Progress { height, target });
        }
        Ok(())
    }

    /// Undoes the block at the tip.
    pub(super) fn undo_personal_tip(&mut self) -> Result<(), SyncError> {
        let Some(personal) = &mut self.personal else {
            return Ok(());
        };
        let height = self.index.headers().len().saturating_sub(1);
        let mut batch = Batch::default();
        match personal.wallets {
            None => personal.progress.rewind(height, &mut batch),
            // The node's chain has changed while we were off.
            Some(_) => {
                Progress::rewind_rows(self.index.snapshot().as_ref(), height, &mut batch)?;
            }
        }
        personal.coins = None;
        personal.all_coins = None;
        personal.foreign.clear();
        self.index.undo_personal_tip(batch)?;
        Ok(())
    }

    /// Does a part of what is to be looked for. Tells whether the view can be published: whatever was up to date once is
    /// so again.
    pub(super) fn look_around(
        &mut self,
        on_event: &mut dyn FnMut(SyncEvent<'_>),
    ) -> Result<bool, SyncError> {
        self.take_wishes()?;
        let end = self.index.headers().len();
        let Some(personal) = &mut self.personal else {
            return Ok(true);
        };
        if let Some(job) = personal.progress.job(end) {
            self.work_on(&job, on_event)?;
        }
        let Some(personal) = &mut self.personal else {
            return Ok(true);
        };
        let settled = personal.progress.settle(end);
        let ready = personal.progress.is_ready();
        let shared = &personal.handle.shared;
        let state = (personal.progress.generation(), personal.progress.ready());
        if personal.told.replace(state) != Some(state) {
            let watched = personal.progress.watched(self.index.key());
            shared.watched.store(Arc::new(watched));
        }
        // Before anything is published, everything is looked for; afterwards new wallets keep nobody waiting.
        Ok(settled && (ready || self.published.is_some()))
    }

    /// Whether there is more to look for.
    pub(super) fn has_more(&self) -> bool {
        let end = self.index.headers().len();
        let personal = self.personal.as_ref();
        personal.is_some_and(|personal| personal.progress.job(end).is_some())
    }

    fn take_wishes(&mut self) -> Result<(), SyncError> {
        let Some(personal) = &mut self.personal else {
            return Ok(());
        };
        if let Some(wallets) = personal.wallets.take() {
            self.set_wallets(wallets, true)?;
        }
        loop {
            let Some(personal) = &mut self.personal else {
                return Ok(());
            };
            match personal.wishes.try_recv() {
                Ok(Wish::Watch(script, height, audience)) => {
                    let next = height.min(self.index.headers().len());
                    let script = script.to_byte_array();
                    personal.progress.want(script, audience, next);
                    let mut batch = Batch::default();
                    personal.progress.save(&mut batch);
                    self.index.note(batch)?;
                    self.fingerprint = None;
                }
                Ok(Wish::Wallets(wallets)) => self.set_wallets(wallets, false)?,
                Err(_) => return Ok(()),
            }
        }
    }

    fn set_wallets(&mut self, wallets: Vec<Wallet>, first: bool) -> Result<(), SyncError> {
        let Some(personal) = &mut self.personal else {
            return Ok(());
        };
        let snapshot = self.index.snapshot();
        let mut progress = match Progress::open(wallets, snapshot.as_ref(), self.index.headers())? {
            Ok(progress) => progress,
            Err(error) if first => return Err(SourceError::permanent(error).into()),
            Err(error) => {
                tracing::error!("the wallets stay as they are: {error}");
                return Ok(());
            }
        };
        progress.inherit(&personal.progress);
        let gone = progress.gone(snapshot.as_ref())?;
        if first {
            let keychains = progress.keychains().map(|(key, _)| *key);
            personal.unseen = Unseen::read(snapshot.as_ref(), keychains)?;
            // What had to be left out is asked for again; whatever does not come is noted again.
            if personal.may_fetch {
                for (keychain, lowest) in personal.unseen.take_lowest() {
                    progress.look_again(&keychain, lowest);
                }
            }
        }
        // What was used before shows which scripts are needed, and these may be used as well.
        loop {
            let scripts = progress.scripts();
            let used = self.index.used(&scripts)?;
            if !progress.note_used(used.into_iter()) {
                break;
            }
        }
        if !gone.is_empty() {
            tracing::info!(
                "forgetting {} keychains that are in no wallet any more",
                gone.len()
            );
            self.index.retain_scripts(&progress.scripts())?;
            let mut batch = Batch::default();
            for key in gone {
                batch.delete(Table::Wallets, key);
            }
            let keychains: HashSet<_> = progress.keychains().map(|(key, _)| *key).collect();
            personal.unseen.retain(&keychains, &mut batch);
            self.index.note(batch)?;
            self.changes.note_everything();
        }
        personal.progress = progress;
        personal.told = None;
        personal.coins = None;
        personal.all_coins = None;
        personal.mempool_of = None;
        self.fingerprint = None;
        share_unseen(personal);
        Ok(())
    }

    fn work_on(
        &mut self,
        job: &Job,
        on_event: &mut dyn FnMut(SyncEvent<'_>),
    ) -> Result<(), SyncError> {
        let long = job.to - job.from > WORTH_FILTERS;
        let target = self.index.headers().len().saturating_sub(1);
        if long {
            on_event(SyncEvent::Progress {
                height: job.from,
                target,
            });
        }
        if long && let Some(personal) = &self.personal {
            let to = job.to.min(job.from + FILTERED_STEP);
            if let Some(scripts) = personal.progress.full_scripts(job)
                && let Some(hashes) = self.source.filtered(&scripts, job.from..=to - 1)?
            {
                let hashes: HashSet<BlockHash> = hashes.into_iter().collect();
                let headers = self.index.headers();
                let blocks: Vec<(u32, Header)> = (job.from..to)
                    .filter(|height| {
                        headers
                            .hash(*height)
                            .is_some_and(|hash| hashes.contains(&hash))
                    })
                    .filter_map(|height| Some((height, headers.header(height)?)))
                    .collect();
                return self.look_at(job, &blocks, to, true);
            }
        }
        let to = job.to.min(job.from + STEP);
        let headers = self.index.headers();
        let blocks: Vec<(u32, Header)> = (job.from..to)
            .filter_map(|height| Some((height, headers.header(height)?)))
            .collect();
        self.look_at(job, &blocks, to, false)
    }

    /// Looks at blocks for the scripts of a job; what is between them up to `to` has nothing. `filtered` says that the
    /// node's filters have picked them.
    fn look_at(
        &mut self,
        job: &Job,
        blocks: &[(u32, Header)],
        to: u32,
        filtered: bool,
    ) -> Result<(), SyncError> {
        let Some(personal) = &mut self.personal else {
            return Ok(());
        };
        let scripts = &job.scripts;
        let of = |at| (personal.progress.generation(), scripts.len(), at);
        let mut coins = match personal.coins.take() {
            Some((which, coins)) if which == of(job.from) => coins,
            _ => self.index.coins(scripts, job.from)?,
        };
        let (after, source, index) = (of(to), self.source.as_ref(), &self.index);
        let headers: Vec<Header> = blocks.iter().map(|(_, header)| *header).collect();
        let mut heights: BTreeMap<BlockHash, u32> = BTreeMap::new();
        for (height, header) in blocks {
            heights.insert(header.block_hash(), *height);
        }
        let make = |header: &Header| {
            let hash = header.block_hash();
            let bytes = match source.block_bytes(&hash) {
                Err(SourceError::Missing { .. }) => return Ok((hash, None)),
                bytes => bytes?,
            };
            let found = look_for(scripts, &hash, &bytes)?;
            Ok((hash, Some((bytes, found))))
        };
        let mut admitted = Vec::new();
        let mut missing = Vec::new();
        let mut admit = |hash: &BlockHash, bytes: &[u8], found: &Found| -> Result<(), SyncError> {
            if found.pays
                || found
                    .spends
                    .iter()
                    .any(|outpoint| coins.contains_key(outpoint))
            {
                let height = heights.get(hash).copied().unwrap_or_default();
                let block = Admitted::derive(index, scripts, &mut coins, hash, bytes)?;
                admitted.push((height, block));
            }
            Ok(())
        };
        let (may_fetch, wakes) = (personal.may_fetch, &self.wakes);
        let ended: Result<bool, SyncError> =
            in_order(&headers, self.options.threads, make, |blocks| {
                for block in blocks {
                    let (hash, there) = block?;
                    match there {
                        Some((bytes, found)) => admit(&hash, &bytes, &found)?,
                        None if may_fetch => {
                            match fetch_block(source, &hash, &|| wakes.is_stopped())? {
                                Some(bytes) => {
                                    admit(&hash, &bytes, &look_for(scripts, &hash, &bytes)?)?
                                }
                                None => missing.push(hash),
                            }
                        }
                        None => missing.push(hash),
                    }
                    if wakes.is_stopped() {
                        return Ok(false);
                    }
                }
                Ok(true)
            });
        if !ended? {
            return Ok(());
        }
        self.explain_unseen(&missing, &heights)?;
        let mut batch = Batch::default();
        let missing: BTreeMap<u32, BlockHash> = missing
            .into_iter()
            .filter_map(|hash| Some((*heights.get(&hash)?, hash)))
            .collect();
        self.note_unseen(job, &missing, filtered, &mut batch)?;
        let Some(personal) = &mut self.personal else {
            return Ok(());
        };
        personal.warn_of_earlier(admitted.iter().flat_map(|(_, block)| block.unknown()));
        personal.progress.advance(job.from, to, &mut batch);
        self.index.admit(&admitted, batch)?;
        let mut touched = HashSet::new();
        for (height, block) in &admitted {
            let used = block
                .scripts()
                .map(|script| (script.to_byte_array(), *height));
            personal.progress.note_used(used);
            touched.extend(block.scripts());
        }
        personal.coins = Some((after, coins));
        self.changes.note_scripts(touched);
        share_unseen(personal);
        Ok(())
    }

    /// Tells blocks that were reorganized away meanwhile from those that the node does not have any more.
    fn explain_unseen(
        &self,
        missing: &[BlockHash],
        heights: &BTreeMap<BlockHash, u32>,
    ) -> Result<(), SyncError> {
        let lowest = missing
            .iter()
            .filter_map(|hash| Some((heights.get(hash)?, hash)))
            .min();
        let highest = missing
            .iter()
            .filter_map(|hash| Some((heights.get(hash)?, hash)))
            .max();
        for (height, hash) in lowest.into_iter().chain(highest) {
            let now = self.source.headers(*height, 1)?;
            if now
                .first()
                .is_none_or(|header| header.block_hash() != *hash)
            {
                return Err(
                    SourceError::transient("the node's chain changes while it is read").into(),
                );
            }
        }
        if let (Some((low, _)), Some((high, _))) = (lowest, highest) {
            tracing::warn!(
                "the node has pruned {} blocks between heights {low} and {high} that may have to do with the wallets: \
                 what is in them is not known",
                missing.len()
            );
        }
        Ok(())
    }

    /// Reads the part of the mempool that touches scripts of ours.
    pub(super) fn read_own_mempool(
        &mut self,
        tip: BlockHash,
    ) -> Result<Option<Outcome>, SyncError> {
        let Some(personal) = &mut self.personal else {
            return Ok(Some(Outcome::Unchanged));
        };
        let source = self.source.as_ref();
        let fingerprint = source.mempool_fingerprint()?;
        let generation = personal.progress.generation();
        if personal.mempool_of.replace(generation) != Some(generation) {
            // What was looked at before may touch the scripts that are new: both what is not ours and what is ours because
            // of other scripts.
            personal.foreign.clear();
            let entries = self.mempool.entries();
            let scripts: HashSet<_> = entries.flat_map(|entry| entry.script_hashes()).collect();
            if !scripts.is_empty() {
                self.changes.note_mempool(scripts);
            }
        }
        let is_current = |known: &(u64, BlockHash, Coins)| known.0 == generation && known.1 == tip;
        let coins = match personal.all_coins.take().filter(is_current) {
            Some((_, _, coins)) => coins,
            None => self.index.coins(&personal.progress.scripts(), u32::MAX)?,
        };
        let ours = Ours {
            script: &|script| personal.progress.contains(&script.to_byte_array()),
            coin: &|outpoint| coins.contains_key(outpoint),
        };
        let wakes = &self.wakes;
        let fetched = mempool::fetch_ours(
            source,
            &self.mempool,
            &mut personal.foreign,
            &ours,
            tip,
            &|| wakes.is_stopped(),
        )?;
        personal.all_coins = Some((generation, tip, coins));
        match fetched {
            Fetched::Moved => Ok(None),
            Fetched::Interrupted => Ok(Some(Outcome::Stopped)),
            Fetched::Delta(delta) => {
                let changed = !delta.is_empty();
                // Whatever is spent was paid to before.
                let paid = delta.added.iter().flat_map(|entry| &entry.funded);
                let used = paid.map(|(_, script, _)| (script.to_byte_array(), u32::MAX));
                let has_more = personal.progress.note_used(used);
                // When there are more scripts, it is looked at again for them.
                self.fingerprint = (!has_more).then_some(fingerprint);
                let touched = self.mempool.apply(delta);
                if changed || !touched.is_empty() {
                    self.changes.note_mempool(touched);
                }
                Ok(Some(Outcome::Read))
            }
        }
    }
}
