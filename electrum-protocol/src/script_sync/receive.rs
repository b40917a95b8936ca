//! What becomes of the server's answers.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use bitcoin::{BlockHash, Txid};

use super::error::{Limited, SyncError, TransactionFault};
use super::transactions::{self, Known};
use super::{Headers, ScriptSync, Want, history, want};
use crate::header_chain::{ProofError, verify_transaction};
use crate::method::block::HeaderResponse;
use crate::method::scriptpubkey::History;
use crate::method::transaction::{GetResponse, MerkleResponse};
use crate::{Confirmation, HistoryEntry, Notification, Request, Response, ScriptHash, Status};

/// How many histories in a row may have another status than was told: a busy script changes while it is asked for.
const MAX_MISMATCHES: u32 = 10;

/// How many transactions that were refused are asked for again when the status says that they are back. Those refused
/// last count; a server that refuses more has no answers at the moment, and [`ScriptSync::retry`] is the way.
const MAX_REFUSED: usize = 64;

/// What an answer or a notification has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Nothing that the wallet sees.
    Nothing,
    /// It was not asked for, or no longer wanted.
    Ignored,
    /// A script has another history.
    History {
        /// The script.
        script_hash: ScriptHash,
    },
    /// A script has another history, and it has another status than was told. The server's index moved between the two,
    /// and tells the next status, whereupon the history is asked for again; or the server lies.
    StatusMismatch {
        /// The script.
        script_hash: ScriptHash,
        /// The status that was told.
        told: Option<Status>,
        /// The status of the history.
        computed: Option<Status>,
    },
    /// The bytes of a transaction came.
    Transaction {
        /// The transaction.
        txid: Txid,
    },
    /// A transaction is proven to be in a block.
    Proven {
        /// The transaction.
        txid: Txid,
        /// The hash of the block.
        block_hash: BlockHash,
    },
    /// A proof is wrong: the server is on another chain than the headers, for a moment or because it lies.
    ProofRefused {
        /// The transaction.
        txid: Txid,
        /// Why.
        error: ProofError,
    },
    /// The header of a height below the known ones is proven.
    Header {
        /// The height.
        height: u32,
    },
}

impl<K: Ord + Clone> ScriptSync<K> {
    /// Takes the answer to a request of [`poll_request`](Self::poll_request).
    ///
    /// # Errors
    ///
    /// When it shows that the server lies, or exceeds the [`Limits`](super::Limits).
    pub fn answer(
        &mut self,
        request: &Request,
        response: Response,
        headers: &dyn Headers,
    ) -> Result<Progress, SyncError> {
        let Some(wanted) = wanted_by(request).filter(|want| self.asked.remove(want)) else {
            return Ok(Progress::Ignored);
        };
        let outcome = self.take(wanted, request, response, headers);
        if let (Err(_), Want::Transaction(txid)) = (&outcome, wanted) {
            self.note_refusal(txid);
        }
        outcome
    }

    fn take(
        &mut self,
        wanted: Want,
        request: &Request,
        response: Response,
        headers: &dyn Headers,
    ) -> Result<Progress, SyncError> {
        let (asked, answered) = (request.method(), response.method());
        if asked != answered {
            return Err(SyncError::WrongAnswer { asked, answered });
        }
        match (wanted, response) {
            (
                Want::Status(script_hash),
                Response::ScripthashSubscribe(status) | Response::ScriptpubkeySubscribe(status),
            ) => {
                // A notification that overtook the answer is the newer one.
                let watched = self.scripts.get(&script_hash);
                match watched.is_some_and(|watched| watched.told.is_some()) {
                    true => Ok(Progress::Nothing),
                    false => Ok(self.tell(script_hash, status)),
                }
            }
            (
                Want::History(script_hash),
                Response::ScripthashGetHistory(history)
                | Response::ScriptpubkeyGetHistory(History(history)),
            ) => self.take_history(script_hash, history, headers),
            (Want::Transaction(txid), Response::TransactionGet(response)) => {
                self.take_transaction(txid, response)
            }
            (Want::Header(height), Response::BlockHeader(response)) => {
                self.take_header(height, &response, headers)
            }
            (Want::Proof(txid), Response::TransactionGetMerkle(proof)) => {
                Ok(self.take_proof(txid, request, &proof, headers))
            }
            // The methods are the same, so there is nothing else.
            _ => Ok(Progress::Ignored),
        }
    }

    /// Takes the refusal of a request of [`poll_request`](Self::poll_request), or an answer that could not be read.
    ///
    /// What was asked for is missing then ([`obstacles`](Self::obstacles)) until something changes that makes it worth
    /// another request, or [`retry`](Self::retry). A refusal may be final (a history that is too large), for a while (a
    /// server that is busy) or moot (a transaction that has just left the mempool): the caller sees the error.
    pub fn refused(&mut self, request: &Request, headers: &dyn Headers) {
        match wanted_by(request).filter(|want| self.asked.remove(want)) {
            Some(Want::Proof(txid)) => self.refuse_proof(txid, headers),
            Some(Want::Transaction(txid)) => self.note_refusal(txid),
            _ => {}
        }
    }

    /// Notes that a transaction did not come.
    fn note_refusal(&mut self, txid: Txid) {
        if !self.transactions.contains_key(&txid) || self.refused.contains(&txid) {
            return;
        }
        if self.refused.len() >= MAX_REFUSED {
            self.refused.pop_front();
        }
        self.refused.push_back(txid);
    }

    /// Takes a notification; those of scripts alone mean something here.
    pub fn notify(&mut self, notification: &Notification) -> Progress {
        match notification {
            Notification::ScriptHash {
                script_hash,
                status,
            } => self.tell(*script_hash, *status),
            _ => Progress::Ignored,
        }
    }

    /// An absent status is taken for no proof of an empty history: some servers send it for one that is too large.
    fn tell(&mut self, script_hash: ScriptHash, status: Option<Status>) -> Progress {
        let Some(watched) = self.scripts.get_mut(&script_hash) else {
            return Progress::Ignored;
        };
        let wanted = Want::History(script_hash);
        watched.tell(status);
        watched.told_again = self.asked.contains(&wanted);
        if !watched.is_settled() {
            want(&mut self.wanted, &self.asked, wanted);
            return Progress::Nothing;
        }
        self.wanted.remove(&wanted);
        // A transaction that was refused because it had left the mempool may be back.
        self.refused.retain(|txid| {
            let known = self.transactions.get(txid);
            let Some(known) = known.filter(|known| known.transaction.is_none()) else {
                return false;
            };
            let is_back = known.said.contains_key(&script_hash);
            if is_back {
                want(&mut self.wanted, &self.asked, Want::Transaction(*txid));
            }
            !is_back
        });
        Progress::Nothing
    }

    fn take_history(
        &mut self,
        script_hash: ScriptHash,
        history: Vec<HistoryEntry>,
        headers: &dyn Headers,
    ) -> Result<Progress, SyncError> {
        history::check(&history)
            .map_err(|fault| SyncError::MalformedHistory { script_hash, fault })?;
        let Some(watched) = self.scripts.get(&script_hash) else {
            return Ok(Progress::Ignored);
        };
        let changed = watched.history != history;
        self.check_entries(script_hash, history.len())?;
        self.replace_history(script_hash, history, headers)?;
        let Some(watched) = self.scripts.get_mut(&script_hash) else {
            return Ok(Progress::Ignored);
        };
        let told_again = core::mem::take(&mut watched.told_again);
        if watched.is_settled() {
            return Ok(match changed {
                true => Progress::History { script_hash },
                false => Progress::Nothing,
            });
        }
        let told = watched.told.flatten();
        watched.mismatches += 1;
        let (mismatches, computed) = (watched.mismatches, watched.status);
        if mismatches > MAX_MISMATCHES {
            return Err(SyncError::Restless {
                script_hash,
                mismatches,
            });
        }
        if told_again {
            self.wanted.insert(Want::History(script_hash));
        }
        Ok(Progress::StatusMismatch {
            script_hash,
            told,
            computed,
        })
    }

    /// Checks that the history of a script may have so many entries.
    pub(super) fn check_entries(
        &self,
        script_hash: ScriptHash,
        entries: usize,
    ) -> Result<(), SyncError> {
        let before = self.history(&script_hash).map_or(0, <[_]>::len);
        let limit = self.config.limits.entries;
        if self.entries.saturating_sub(before).saturating_add(entries) > limit {
            let what = Limited::Entries;
            return Err(SyncError::TooMany { what, limit });
        }
        Ok(())
    }

    /// Puts a history in the place of the one before, and wants what follows from it.
    pub(super) fn replace_history(
        &mut self,
        script_hash: ScriptHash,
        history: Vec<HistoryEntry>,
        headers: &dyn Headers,
    ) -> Result<(), SyncError> {
        let Some(watched) = self.scripts.get_mut(&script_hash) else {
            return Ok(());
        };
        let new: BTreeSet<Txid> = history.iter().map(|entry| entry.txid).collect();
        let gone = watched.history.iter().map(|entry| entry.txid);
        let gone: Vec<Txid> = gone.filter(|txid| !new.contains(txid)).collect();
        self.entries = self.entries.saturating_sub(watched.history.len()) + history.len();
        let entries = history.clone();
        watched.replace(history);
        let owners = match entries.is_empty() {
            true => Vec::new(),
            false => watched.owners.clone(),
        };
        for txid in gone {
            self.leave(script_hash, txid);
        }
        for HistoryEntry {
            txid, confirmation, ..
        } in entries
        {
            self.say(txid, script_hash, confirmation);
            let known = self.transactions.get(&txid);
            if known.is_some_and(|known| known.transaction.is_none()) {
                want(&mut self.wanted, &self.asked, Want::Transaction(txid));
            }
            self.want_proof(txid, headers);
        }
        for (keychain, index) in owners {
            // What this script demands, and no other: the word of an earlier server must not harm this one.
            let chain = self.keychains.get(&keychain);
            let count = chain.map_or(0, |chain| chain.count_beyond(index));
            self.watch(&keychain, count)?;
        }
        Ok(())
    }

    /// The history of a script says where a transaction is.
    fn say(&mut self, txid: Txid, script_hash: ScriptHash, confirmation: Confirmation) {
        let known = self.transactions.entry(txid);
        let (known, from) = match known {
            Entry::Vacant(entry) => (entry.insert(Known::new(confirmation)), None),
            Entry::Occupied(entry) => {
                let known = entry.into_mut();
                let from = known.place();
                (known, from)
            }
        };
        known.say(script_hash, confirmation);
        let to = known.place();
        self.relocate(txid, from, to);
    }

    /// A transaction is no longer in the history of a script; it is forgotten when it is in none.
    fn leave(&mut self, script_hash: ScriptHash, txid: Txid) {
        let Entry::Occupied(mut entry) = self.transactions.entry(txid) else {
            return;
        };
        let known = entry.get_mut();
        known.said.remove(&script_hash);
        if let Some((other, confirmation)) = known.said.iter().next() {
            let (other, confirmation) = (*other, *confirmation);
            self.say(txid, other, confirmation);
            return;
        }
        let known = entry.remove();
        self.relocate(txid, known.place(), None);
        self.bytes -= known
            .transaction
            .map_or(0, |transaction| transaction.total_size());
        self.wanted.remove(&Want::Transaction(txid));
        self.wanted.remove(&Want::Proof(txid));
    }

    fn take_transaction(
        &mut self,
        txid: Txid,
        response: GetResponse,
    ) -> Result<Progress, SyncError> {
        let wrong = |fault| SyncError::WrongTransaction { txid, fault };
        let GetResponse::Raw(bytes) = response else {
            return Err(wrong(TransactionFault::Malformed));
        };
        let transaction = transactions::read(txid, &bytes).map_err(wrong)?;
        let known = self.transactions.get_mut(&txid);
        let Some(known) = known.filter(|known| known.transaction.is_none()) else {
            return Ok(Progress::Ignored);
        };
        let size = transaction.total_size();
        let limit = self.config.limits.transaction_bytes;
        if self.bytes.saturating_add(size) > limit {
            let what = Limited::TransactionBytes;
            return Err(SyncError::TooMany { what, limit });
        }
        self.bytes += size;
        known.transaction = Some(transaction);
        Ok(Progress::Transaction { txid })
    }

    fn take_header(
        &mut self,
        height: u32,
        response: &HeaderResponse,
        headers: &dyn Headers,
    ) -> Result<Progress, SyncError> {
        let Some(checkpoint) = self.checkpoint else {
            return Ok(Progress::Ignored);
        };
        checkpoint.verify_header(height, response)?;
        let waiting: Vec<Txid> = self.blocks.unproven(height..=height).collect();
        // The histories may have another height for them since.
        if waiting.is_empty() {
            return Ok(Progress::Ignored);
        }
        self.below.insert(height, response.header);
        for txid in waiting {
            self.want_proof(txid, headers);
        }
        Ok(Progress::Header { height })
    }

    fn take_proof(
        &mut self,
        txid: Txid,
        request: &Request,
        proof: &MerkleResponse,
        headers: &dyn Headers,
    ) -> Progress {
        let unproven = self
            .transactions
            .get(&txid)
            .and_then(Known::unproven_height);
        let Some(height) = unproven else {
            return Progress::Ignored;
        };
        // The transaction moved to another block while its proof was under way.
        let moved = !matches!(
            request,
            Request::TransactionGetMerkle(asked) if asked.height == Some(height)
        );
        if moved {
            self.want_proof(txid, headers);
            return Progress::Ignored;
        }
        let verdict = self
            .header(height, headers)
            .ok_or(ProofError::UnknownHeader { height })
            .and_then(|header| verify_transaction(txid, height, proof, &header));
        match verdict {
            Ok(block_hash) => {
                self.change(txid, |known| known.proven = Some((height, block_hash)));
                Progress::Proven { txid, block_hash }
            }
            Err(error) => {
                self.refuse_proof(txid, headers);
                Progress::ProofRefused { txid, error }
            }
        }
    }

    fn refuse_proof(&mut self, txid: Txid, headers: &dyn Headers) {
        if self.transactions.get_mut(&txid).is_some_and(Known::refuse) {
            self.want_proof(txid, headers);
        }
    }
}

/// What a request is for.
fn wanted_by(request: &Request) -> Option<Want> {
    Some(match request {
        Request::ScripthashSubscribe(subscribe) => Want::Status(subscribe.script_hash),
        Request::ScriptpubkeySubscribe(subscribe) => {
            Want::Status(ScriptHash::from_script(&subscribe.script))
        }
        Request::ScripthashGetHistory(get) => Want::History(get.script_hash),
        Request::ScriptpubkeyGetHistory(get) => Want::History(ScriptHash::from_script(&get.script)),
        Request::TransactionGet(get) => Want::Transaction(get.txid),
        Request::BlockHeader(header) => Want::Header(header.height),
        Request::TransactionGetMerkle(get) => Want::Proof(get.txid),
        _ => return None,
    })
}
