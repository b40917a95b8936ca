//! What a wallet saves, so that its next start fetches only what has changed.

use bitcoin::block::Header;
use bitcoin::{Amount, BlockHash, Transaction, Txid};
use serde::{Deserialize, Serialize};

use super::error::SyncError;
use super::{Headers, Limited, ScriptSync, Want, history};
use crate::{Confirmation, HistoryEntry, ScriptHash};

/// Everything that was fetched, for any format that `serde` knows.
///
/// Hashes, headers and transactions are hexadecimal text in it. It is the caller's own: what is restored from it is
/// believed, except that a transaction is named by its hash, and that a proof has to be of a block that the headers have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot<K> {
    /// How many scripts of each keychain were watched.
    pub watched: Vec<(K, u32)>,
    /// The histories that are not empty.
    pub histories: Vec<SavedHistory>,
    /// The transactions that were fetched.
    pub transactions: Vec<SavedTransaction>,
    /// Heights and headers that were proven under a checkpoint.
    pub headers: Vec<(u32, SavedHeader)>,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHeader(#[serde(with = "consensus")] pub Header);

/// The history of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHistory {
    /// The script.
    #[serde(with = "text")]
    pub script_hash: ScriptHash,
    /// Its history, in the server's order.
    pub entries: Vec<SavedEntry>,
}

/// A transaction in a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedEntry {
    /// The transaction.
    #[serde(with = "text")]
    pub txid: Txid,
    /// Its height as on the wire: 0 and -1 for the mempool.
    pub height: i64,
    /// What it pays, in satoshis, when the server said so.
    pub fee: Option<u64>,
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedTransaction {
    /// The transaction.
    #[serde(with = "consensus")]
    pub transaction: Transaction,
    /// The block that it was proven to be in.
    pub proven: Option<SavedProof>,
}

/// A block that a transaction was proven to be in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedProof {
    /// Its height.
    pub height: u32,
    /// Its hash.
    #[serde(with = "text")]
    pub block_hash: BlockHash,
}

impl<K: Ord + Clone> ScriptSync<K> {
    /// Returns what there is to save.
    pub fn save(&self) -> Snapshot<K> {
        let watched = self.keychains.iter();
        let watched =
            watched.map(|(keychain, chain)| (keychain.clone(), chain.watched.len() as u32));
        let scripts = self.scripts.iter();
        let histories = scripts.filter(|(_, watched)| !watched.history.is_empty());
        let known = self.transactions.values();
        let transactions = known.filter_map(|known| {
            let proven = known
                .proven
                .map(|(height, block_hash)| SavedProof { height, block_hash });
            let transaction = known.transaction.clone()?;
            Some(SavedTransaction {
                transaction,
                proven,
            })
        });
        let headers = self.below.iter();
        Snapshot {
            watched: watched.collect(),
            histories: histories
                .map(|(script_hash, watched)| SavedHistory {
                    script_hash: *script_hash,
                    entries: watched.history.iter().map(SavedEntry::from).collect(),
                })
                .collect(),
            transactions: transactions.collect(),
            headers: headers
                .map(|(height, header)| (*height, SavedHeader(*header)))
                .collect(),
        }
    }

    /// Takes what was saved, after the keychains were added and before anything is asked.
    ///
    /// Scripts that no keychain has any more are left out. Afterwards one request a script shows what has changed.
    ///
    /// # Errors
    ///
    /// When it is not what [`save`](Self::save) returned: a history is malformed, or there is more than
    /// [`Limits`](super::Limits) allow.
    pub fn restore(
        &mut self,
        snapshot: Snapshot<K>,
        headers: &dyn Headers,
    ) -> Result<(), SyncError> {
        let outcome = self.take_snapshot(snapshot, headers);
        let blocks = &self.blocks;
        self.below.retain(|height, _| blocks.is_occupied(*height));
        outcome
    }

    fn take_snapshot(
        &mut self,
        snapshot: Snapshot<K>,
        headers: &dyn Headers,
    ) -> Result<(), SyncError> {
        let below = snapshot.headers.into_iter();
        self.below
            .extend(below.map(|(height, SavedHeader(header))| (height, header)));
        for (keychain, count) in snapshot.watched {
            self.watch(&keychain, count)?;
        }
        for SavedHistory {
            script_hash,
            entries,
        } in snapshot.histories
        {
            let entries: Vec<_> = entries.iter().filter_map(SavedEntry::entry).collect();
            history::check(&entries)
                .map_err(|fault| SyncError::MalformedHistory { script_hash, fault })?;
            self.check_entries(script_hash, entries.len())?;
            self.replace_history(script_hash, entries, headers)?;
        }
        for saved in snapshot.transactions {
            self.restore_transaction(saved, headers)?;
        }
        self.want_proofs(headers);
        Ok(())
    }

    fn restore_transaction(
        &mut self,
        saved: SavedTransaction,
        headers: &dyn Headers,
    ) -> Result<(), SyncError> {
        let txid = saved.transaction.compute_txid();
        let size = saved.transaction.total_size();
        let limit = self.config.limits.transaction_bytes;
        let proven = saved.proven.filter(|proof| {
            let header = self.header(proof.height, headers);
            header.is_some_and(|header| header.block_hash() == proof.block_hash)
        });
        let Some(known) = self.transactions.get_mut(&txid) else {
            return Ok(());
        };
        if known.transaction.is_none() {
            if self.bytes.saturating_add(size) > limit {
                let what = Limited::TransactionBytes;
                return Err(SyncError::TooMany { what, limit });
            }
            self.bytes += size;
            known.transaction = Some(saved.transaction);
            self.wanted.remove(&Want::Transaction(txid));
        }
        let height = known.unproven_height();
        if let Some(SavedProof { height, block_hash }) =
            proven.filter(|proof| Some(proof.height) == height)
        {
            self.change(txid, |known| known.proven = Some((height, block_hash)));
            self.wanted.remove(&Want::Proof(txid));
        }
        Ok(())
    }
}

impl From<&HistoryEntry> for SavedEntry {
    fn from(entry: &HistoryEntry) -> Self {
        Self {
            txid: entry.txid,
            height: entry.confirmation.wire_height(),
            fee: entry.fee.map(Amount::to_sat),
        }
    }
}

impl SavedEntry {
    /// The entry; nothing when the height means nothing.
    fn entry(&self) -> Option<HistoryEntry> {
        Some(HistoryEntry {
            txid: self.txid,
            confirmation: Confirmation::from_wire_height(self.height)?,
            fee: self.fee.map(Amount::from_sat),
        })
    }
}

/// What has a text of its own.
mod text {
    use core::fmt::Display;
    use core::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// What the network has bytes for, as hexadecimal text.
mod consensus {
    use bitcoin::consensus::{Decodable, Encodable, encode};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<T: Encodable, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode::serialize_hex(value))
    }

    pub(super) fn deserialize<'de, T: Decodable, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        encode::deserialize_hex(&text).map_err(de::Error::custom)
    }
}
