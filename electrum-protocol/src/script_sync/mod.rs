//! Keeping the histories of a wallet's scripts like a server's, with a gap limit, without I/O.
//!
//! What enters: keychains, answers, notifications, changes of the headers. What leaves: the requests that are wanted, one
//! by one, and what the wallet has. How many requests are under way at a time is the caller's affair; answers may come in
//! any order.
//!
//! Per script it subscribes and compares the status with that of the history it has. Where they differ it fetches the
//! history, then the transactions that it lacks (each is checked against its hash), then the proofs that those said to be
//! in a block are in it ([`Config::proofs`]). A keychain is watched as far as its gap limit goes beyond the last script
//! that is used.
//!
//! # What a server can do
//!
//! It can keep transactions secret, and the statuses with them; only other servers tell. It can say of transactions in
//! the mempool what it likes. With proofs it cannot make up a confirmed one. It cannot make the wallet grow beyond
//! [`Limits::max_memory`], ask for ever or panic: each answer is asked for once per status, header or connection that the
//! server sends (a wrong proof three times), and every lie that shows is a [`SyncError`] or, where it may be a race with a
//! new block, an [`Obstacle`] that lasts. What it sends costs time in proportion to its length; only a change of the
//! headers, for which somebody has to do the work, costs time in proportion to the transactions that are not proven.

mod blocks;
mod error;
mod history;
mod keychain;
mod limits;
mod read;
mod receive;
mod snapshot;
mod transactions;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bitcoin::block::Header;
use bitcoin::{ScriptBuf, Txid};

use crate::header_chain::{Change, Checkpoint, HeaderChain};
use crate::method::scripthash::HeightRange;
use crate::method::{scripthash, scriptpubkey, transaction};
use crate::{ProtocolVersion, Request, ScriptHash};

pub use error::{HistoryFault, Limited, Obstacle, SyncError, TransactionFault, UnsupportedVersion};
pub use keychain::Scripts;
pub use limits::Limits;
pub use read::{ScriptView, TransactionView, UnspentOutput};
pub use receive::Progress;
pub use snapshot::{SavedEntry, SavedHeader, SavedHistory, SavedProof, SavedTransaction, Snapshot};

use blocks::{Blocks, Place};
use history::Watched;
use keychain::Keychain;
use transactions::Known;

/// How a wallet wants to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether transactions that are said to be in a block are proven to be. Who trusts the server leaves it out, and
    /// needs no headers then ([`NoHeaders`]). The default is to prove.
    pub proofs: bool,
    /// How much there may be of what a server sends.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            proofs: true,
            limits: Limits::default(),
        }
    }
}

/// Headers to check proofs against.
pub trait Headers {
    /// Returns the height of the newest header.
    fn height(&self) -> u32;

    /// Returns the header at a height, when it is known.
    fn header(&self, height: u32) -> Option<Header>;

    /// Returns a checkpoint under which headers that are not known can be proven.
    fn checkpoint(&self) -> Option<Checkpoint> {
        None
    }
}

impl Headers for HeaderChain {
    fn height(&self) -> u32 {
        self.height()
    }

    fn header(&self, height: u32) -> Option<Header> {
        self.header(height).copied()
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        self.checkpoint()
    }
}

/// No headers: for those who trust their server.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn height(&self) -> u32 {
        0
    }

    fn header(&self, _: u32) -> Option<Header> {
        None
    }
}

/// Something to ask for, in the order in which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Want {
    Status(ScriptHash),
    History(ScriptHash),
    Transaction(Txid),
    Header(u32),
    Proof(Txid),
}

/// The histories of a wallet's scripts, and what is needed to keep them like a server's.
///
/// `K` names a keychain: a descriptor, an account, whatever the wallet likes.
#[derive(Debug)]
pub struct ScriptSync<K> {
    version: ProtocolVersion,
    config: Config,
    keychains: BTreeMap<K, Keychain>,
    scripts: BTreeMap<ScriptHash, Watched<K>>,
    transactions: BTreeMap<Txid, Known>,
    /// Which of them are in which block, as the histories say.
    blocks: Blocks,
    /// How many entries all histories have.
    entries: usize,
    /// How many bytes all transactions have.
    bytes: usize,
    /// Headers that were proven under the checkpoint, of the heights where transactions are.
    below: BTreeMap<u32, Header>,
    /// The checkpoint that those are proven under.
    checkpoint: Option<Checkpoint>,
    wanted: BTreeSet<Want>,
    /// What is under way. Some of it may no longer be wanted.
    asked: BTreeSet<Want>,
    /// Transactions whose request brought nothing, the oldest first. Some may have come or gone since.
    refused: VecDeque<Txid>,
}

impl<K: Ord + Clone> ScriptSync<K> {
    /// Starts without keychains, for a session of `version`.
    ///
    /// # Errors
    ///
    /// When the version has no script hashes.
    pub fn new(version: ProtocolVersion, config: Config) -> Result<Self, UnsupportedVersion> {
        check_version(version)?;
        Ok(Self {
            version,
            config,
            keychains: BTreeMap::new(),
            scripts: BTreeMap::new(),
            transactions: BTreeMap::new(),
            blocks: Blocks::default(),
            entries: 0,
            bytes: 0,
            below: BTreeMap::new(),
            checkpoint: None,
            wanted: BTreeSet::new(),
            asked: BTreeSet::new(),
            refused: VecDeque::new(),
        })
    }

    /// Watches a keychain: the first `gap` scripts, and always so many beyond the last one that is used.
    ///
    /// Fixed scripts are a list with the gap `u32::MAX`. A keychain of the same name is replaced; its scripts are
    /// watched further on, and those that the new one has as well are its.
    ///
    /// # Errors
    ///
    /// When there are more scripts than [`Limits`] allow.
    pub fn add_keychain(
        &mut self,
        keychain: K,
        gap: u32,
        scripts: impl Scripts + Send + Sync + 'static,
    ) -> Result<(), SyncError> {
        for watched in self.scripts.values_mut() {
            watched.owners.retain(|(owner, _)| *owner != keychain);
        }
        let chain = Keychain::new(Box::new(scripts), gap);
        let count = chain.unused_count();
        self.keychains.insert(keychain.clone(), chain);
        self.watch(&keychain, count)
    }

    /// Watches the first `count` scripts of a keychain at least, whatever was used: a wallet calls it for those that it
    /// has handed out. What is watched stays watched.
    ///
    /// # Errors
    ///
    /// When there are more scripts than [`Limits`] allow.
    pub fn watch(&mut self, keychain: &K, count: u32) -> Result<(), SyncError> {
        let Some(chain) = self.keychains.get_mut(keychain) else {
            return Ok(());
        };
        let mut count = count;
        let limit = self.config.limits.scripts;
        while let Some((index, script)) = chain.derive(count) {
            // Each keychain has its own limit, so that a lie about one of them leaves the others.
            if index as usize >= limit {
                chain.watched.pop();
                let what = Limited::Scripts;
                return Err(SyncError::TooMany { what, limit });
            }
            let script_hash = ScriptHash::from_script(&script);
            let owner = (keychain.clone(), index);
            if let Some(watched) = self.scripts.get_mut(&script_hash) {
                watched.owners.push(owner);
                if !watched.history.is_empty() {
                    count = count.max(chain.count_beyond(index));
                }
                continue;
            }
            let watched = Watched::new(script, owner);
            self.scripts.insert(script_hash, watched);
            self.wanted.insert(Want::Status(script_hash));
        }
        Ok(())
    }

    /// Returns the next request, if there is one. Its answer belongs to [`answer`](Self::answer), or its refusal to
    /// [`refused`](Self::refused).
    ///
    /// No more are under way than there can be scripts and transactions to ask about: two for each script that is watched,
    /// and two for each of [`Limits::entries`]. Only requests that a server leaves unanswered while it changes its
    /// histories can add up to that; then there is none before one of them is answered, or [`refused`](Self::refused)
    /// because the caller has given it up.
    pub fn poll_request(&mut self) -> Option<Request> {
        let most = self
            .scripts
            .len()
            .saturating_add(self.config.limits.entries)
            .saturating_mul(2);
        if self.asked.len() >= most {
            return None;
        }
        while let Some(want) = self.wanted.pop_first() {
            if let Some(request) = self.request(want) {
                self.asked.insert(want);
                return Some(request);
            }
        }
        None
    }

    /// Returns how many requests are under way.
    pub fn pending(&self) -> usize {
        self.asked.len()
    }

    /// Begins a new session, after the connection was lost or with another server: all scripts are subscribed again,
    /// and what was under way is asked again. A script whose status is unchanged costs one request and nothing else.
    ///
    /// Answers and notifications of the old session must not be passed on any more.
    ///
    /// # Errors
    ///
    /// When the version of the new session has no script hashes.
    pub fn reconnect(
        &mut self,
        version: ProtocolVersion,
        headers: &dyn Headers,
    ) -> Result<(), UnsupportedVersion> {
        check_version(version)?;
        self.version = version;
        self.asked.clear();
        self.wanted.clear();
        self.refused.clear();
        for (script_hash, watched) in &mut self.scripts {
            watched.told = None;
            watched.told_again = false;
            watched.mismatches = 0;
            self.wanted.insert(Want::Status(*script_hash));
        }
        self.retry(headers);
        Ok(())
    }

    /// Asks again for everything that was refused: once, whenever the caller likes.
    pub fn retry(&mut self, headers: &dyn Headers) {
        for (script_hash, watched) in &self.scripts {
            if watched.told.is_none() {
                want(&mut self.wanted, &self.asked, Want::Status(*script_hash));
            } else if !watched.is_settled() {
                want(&mut self.wanted, &self.asked, Want::History(*script_hash));
            }
        }
        for (txid, known) in &self.transactions {
            if known.transaction.is_none() {
                want(&mut self.wanted, &self.asked, Want::Transaction(*txid));
            }
        }
        self.want_proofs(headers);
    }

    /// Takes what became of the headers: what was proven above a fork has to be proven again, and what waited for a
    /// header is proven now.
    ///
    /// It takes time in proportion to the transactions that are not proven.
    pub fn headers_changed(&mut self, headers: &dyn Headers, change: &Change) {
        if change.is_reorganization() {
            let above = change.fork.saturating_add(1)..=u32::MAX;
            let stale: Vec<Txid> = self.blocks.proven(above).collect();
            for txid in stale {
                self.change(txid, |known| known.proven = None);
            }
        }
        for txid in self.blocks.unproven(0..=u32::MAX) {
            if let Some(known) = self.transactions.get_mut(&txid) {
                known.refusals = 0;
            }
        }
        self.want_proofs(headers);
    }

    /// Wants every proof that is missing and can be checked.
    fn want_proofs(&mut self, headers: &dyn Headers) {
        let unproven: Vec<Txid> = self.blocks.unproven(0..=u32::MAX).collect();
        for txid in unproven {
            self.want_proof(txid, headers);
        }
    }

    /// Wants the proof of a transaction, or first the header that it is checked against.
    fn want_proof(&mut self, txid: Txid, headers: &dyn Headers) {
        let height = self
            .transactions
            .get(&txid)
            .and_then(Known::unproven_height);
        let Some(height) = height.filter(|_| self.config.proofs) else {
            return;
        };
        self.checkpoint = headers.checkpoint();
        let provable = |checkpoint: Checkpoint| height <= checkpoint.height;
        if self.header(height, headers).is_some() {
            want(&mut self.wanted, &self.asked, Want::Proof(txid));
        } else if self.checkpoint.is_some_and(provable) {
            want(&mut self.wanted, &self.asked, Want::Header(height));
        }
    }

    /// Changes what is known of a transaction, and with it what follows from where it is.
    fn change(&mut self, txid: Txid, change: impl FnOnce(&mut Known)) {
        let Some(known) = self.transactions.get_mut(&txid) else {
            return;
        };
        let from = known.place();
        change(known);
        let to = known.place();
        self.relocate(txid, from, to);
    }

    /// Notes where a transaction is, and forgets the header of a height that no transaction is left at: histories may say
    /// another height each time.
    fn relocate(&mut self, txid: Txid, from: Option<Place>, to: Option<Place>) {
        self.blocks.relocate(txid, from, to);
        let left = from.map(|place| place.height);
        if let Some(height) = left.filter(|height| !self.blocks.is_occupied(*height)) {
            self.below.remove(&height);
            self.wanted.remove(&Want::Header(height));
        }
    }

    fn header(&self, height: u32, headers: &dyn Headers) -> Option<Header> {
        headers
            .header(height)
            .or_else(|| self.below.get(&height).copied())
    }

    /// The request for something that is wanted; nothing when it is no longer.
    fn request(&self, want: Want) -> Option<Request> {
        let script = |script_hash| {
            self.scripts
                .get(&script_hash)
                .map(|watched| &watched.script)
        };
        Some(match want {
            Want::Status(script_hash) => self.subscribe(script_hash, script(script_hash)?),
            Want::History(script_hash) => self.get_history(script_hash, script(script_hash)?),
            Want::Transaction(txid) => {
                let known = self.transactions.get(&txid);
                known.filter(|known| known.transaction.is_none())?;
                let verbose = false;
                transaction::Get { txid, verbose }.into()
            }
            Want::Header(height) => {
                self.blocks.unproven(height..=height).next()?;
                self.checkpoint?.header_request(height).into()
            }
            Want::Proof(txid) => {
                let height = self.transactions.get(&txid)?.unproven_height();
                height?;
                transaction::GetMerkle { txid, height }.into()
            }
        })
    }

    fn subscribe(&self, script_hash: ScriptHash, script: &ScriptBuf) -> Request {
        match self.version >= ProtocolVersion::V1_7 {
            true => scriptpubkey::Subscribe {
                script: script.clone(),
            }
            .into(),
            false => scripthash::Subscribe { script_hash }.into(),
        }
    }

    fn get_history(&self, script_hash: ScriptHash, script: &ScriptBuf) -> Request {
        match self.version >= ProtocolVersion::V1_7 {
            true => scriptpubkey::GetHistory {
                script: script.clone(),
                heights: HeightRange::ALL,
            }
            .into(),
            false => scripthash::GetHistory::whole(script_hash).into(),
        }
    }
}

/// Wants something, unless it is under way.
fn want(wanted: &mut BTreeSet<Want>, asked: &BTreeSet<Want>, want: Want) {
    if !asked.contains(&want) {
        wanted.insert(want);
    }
}

fn check_version(version: ProtocolVersion) -> Result<(), UnsupportedVersion> {
    match version < ProtocolVersion::V1_1 {
        true => Err(UnsupportedVersion { version }),
        false => Ok(()),
    }
}
