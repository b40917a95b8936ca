//! The index of some wallets: the same rows as those of the whole chain, but only for scripts that are looked for, and the
//! transactions themselves with what proves them.
//!
//! Transactions have the numbers that they have in the whole chain, because the node says how many each block has. So rows
//! for a script can be added at any time, whatever is there for others.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use bitcoin::block::Header;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Amount, BlockHash, Txid};
use electrum_protocol::{ScriptHash, merkle};

use super::rows::{Delta, encode_deltas, tx_row};
use super::writer::UndoError;
use super::{ApplyError, Index, PREFIX_LEN, Reader, spender};
use crate::chain::{RawError, check_merkle_root, script_hash, walk};
use crate::leb128::{pull_leb128, push_leb128};
use crate::store::{Batch, CommitError, Durability, ReadError, Table};

/// Outputs that nothing has spent: outpoint, in the network encoding, to the hash of the script.
pub(crate) type Coins = HashMap<[u8; 36], [u8; 32]>;

/// What the bytes of a block hold, as far as can be said without knowing which outputs are ours.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// How many transactions there are.
    pub(crate) transactions: u32,
    /// Whether any output pays to one of the scripts.
    pub(crate) pays: bool,
    /// The outpoints that are spent.
    pub(crate) spends: Vec<[u8; 36]>,
}

/// Looks for scripts in the bytes of a block.
pub(crate) fn look_for(
    scripts: &HashSet<[u8; 32]>,
    hash: &BlockHash,
    block: &[u8],
) -> Result<Found, RawError> {
    let mut found = Found::default();
    walk(hash, block, |position, tx| {
        found.transactions = position + 1;
        found.pays |= tx.outputs.iter().any(|(_, script)| {
            script.first() != Some(&OP_RETURN) && scripts.contains(&script_hash(script))
        });
        if position > 0 {
            found.spends.extend(tx.inputs.iter().copied());
        }
        Ok(())
    })?;
    Ok(found)
}

const OP_RETURN: u8 = 0x6a;

/// The transactions of a block that touch scripts of ours.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    transactions: Vec<Transaction>,
    count: u32,
    /// Scripts whose outputs are spent here without being known: they came before anything was looked at.
    unknown: Vec<[u8; 32]>,
}

#[derive(Debug)]
struct Transaction {
    position: u32,
    txid: [u8; 32],
    end: u32,
    bytes: Vec<u8>,
    branch: Vec<sha256d::Hash>,
    /// What it does with each script, encoded.
    rows: Vec<([u8; 32], Vec<u8>)>,
}

impl Admitted {
    /// Takes out of a block what touches `scripts`. `coins` are the outputs that they have before this block; afterwards,
    /// those after it.
    pub(crate) fn derive(
        index: &Index,
        scripts: &HashSet<[u8; 32]>,
        coins: &mut Coins,
        hash: &BlockHash,
        block: &[u8],
    ) -> Result<Self, RawError> {
        let mut txids = Vec::new();
        let mut admitted = Self::default();
        let mut events: Vec<([u8; 32], Delta)> = Vec::new();
        walk(hash, block, |position, tx| {
            let txid = tx.txid().to_byte_array();
            txids.push(txid);
            for (vout, (value, script)) in (0u32..).zip(&tx.outputs) {
                let hash = script_hash(script);
                if script.first() == Some(&OP_RETURN) || !scripts.contains(&hash) {
                    continue;
                }
                let value = Amount::from_sat(*value);
                events.push((hash, Delta::Funded { vout, value }));
                coins.insert(outpoint(&txid, vout), hash);
            }
            let mut foreign = Vec::new();
            if position > 0 {
                for (number, input) in tx.inputs.iter().enumerate() {
                    match coins.remove(*input) {
                        Some(hash) => {
                            let outpoint = index.key.outpoint_bytes(input);
                            events.push((hash, Delta::Spent { outpoint }));
                        }
                        None => foreign.push(number),
                    }
                }
            }
            if events.is_empty() {
                return Ok(());
            }
            if !foreign.is_empty()
                && let Ok(decoded) = deserialize(tx.bytes)
            {
                let shown = foreign
                    .iter()
                    .flat_map(|number| spender::scripts(&decoded, *number))
                    .map(|script| script_hash(script.as_bytes()));
                admitted
                    .unknown
                    .extend(shown.filter(|hash| scripts.contains(hash)));
            }
            // As in the rows of the whole chain.
            events.sort_by_key(|(hash, _)| *hash);
            let rows = events.chunk_by(|(a, _), (b, _)| a == b);
            let rows = rows.filter_map(|of_script| {
                let mut value = Vec::new();
                encode_deltas(&mut value, of_script.iter().map(|(_, delta)| *delta));
                Some((of_script.first()?.0, value))
            });
            admitted.transactions.push(Transaction {
                position,
                txid,
                end: tx.end,
                bytes: tx.bytes.to_vec(),
                branch: Vec::new(),
                rows: rows.collect(),
            });
            events.clear();
            Ok(())
        })?;
        admitted.count = txids.len() as u32;
        let leaves: Vec<_> = txids
            .iter()
            .copied()
            .map(sha256d::Hash::from_byte_array)
            .collect();
        check_merkle_root(hash, block, &mut txids)?;
        for transaction in &mut admitted.transactions {
            let branch = merkle::branch(&leaves, transaction.position as usize);
            transaction.branch = branch.map_or_else(Vec::new, |(branch, _)| branch);
        }
        Ok(admitted)
    }

    /// Returns scripts whose outputs are spent although they are not known.
    pub(crate) fn unknown(&self) -> &[[u8; 32]] {
        &self.unknown
    }

    /// Returns the scripts that are touched; some more than once.
    pub(crate) fn scripts(&self) -> impl Iterator<Item = ScriptHash> + '_ {
        let rows = self.transactions.iter().flat_map(|tx| &tx.rows);
        rows.map(|(hash, _)| ScriptHash::from_byte_array(*hash))
    }
}

fn outpoint(txid: &[u8; 32], vout: u32) -> [u8; 36] {
    let mut bytes = [0; 36];
    let (head, tail) = bytes.split_at_mut(32);
    head.copy_from_slice(txid);
    tail.copy_from_slice(&vout.to_le_bytes());
    bytes
}

/// A transaction that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) branch: Vec<sha256d::Hash>,
    pub(crate) bytes: Vec<u8>,
}

impl Kept {
    fn encode(branch: &[sha256d::Hash], bytes: &[u8]) -> Vec<u8> {
        let mut row = Vec::with_capacity(1 + 32 * branch.len() + bytes.len());
        push_leb128(&mut row, branch.len() as u64);
        for hash in branch {
            row.extend_from_slice(hash.as_byte_array());
        }
        row.extend_from_slice(bytes);
        row
    }

    fn decode(mut row: &[u8]) -> Option<Self> {
        let count = usize::try_from(pull_leb128(&mut row)?).ok()?;
        let (branch, bytes) = row.split_at_checked(count.checked_mul(32)?)?;
        let (hashes, _) = branch.as_chunks::<32>();
        Some(Self {
            branch: hashes
                .iter()
                .copied()
                .map(sha256d::Hash::from_byte_array)
                .collect(),
            bytes: bytes.to_vec(),
        })
    }
}

impl Reader<'_> {
    /// Returns a transaction that is kept.
    pub(crate) fn kept(&self, tx_num: u32) -> Result<Option<Kept>, ReadError> {
        if !self.shows(tx_num)? {
            return Ok(None);
        }
        let row = self.snapshot().get(Table::Kept, &tx_num.to_be_bytes())?;
        row.map(|row| {
            Kept::decode(&row)
                .ok_or_else(|| ReadError::damaged(Table::Kept, "a row cannot be decoded"))
        })
        .transpose()
    }
}

impl Index {
    /// Connects blocks of which only the header and the number of transactions are known.
    pub(crate) fn connect_headers(&mut self, blocks: &[(Header, u32)]) -> Result<(), ApplyError> {
        let mut headers = self.headers.clone();
        let mut batch = Batch::default();
        for (header, count) in blocks {
            let hash = header.block_hash();
            let height = headers.len();
            if height == 0 && hash != self.genesis {
                return Err(ApplyError::OtherGenesis { hash });
            }
            let next = headers
                .next_tx_num()
                .checked_add(*count)
                .ok_or(ApplyError::NumbersExhausted { hash })?;
            headers.push(*header, next)?;
            let mut row = serialize(header);
            row.extend_from_slice(&next.to_be_bytes());
            batch.put(Table::Headers, height.to_be_bytes(), row);
        }
        self.store.commit(batch, Durability::Process)?;
        self.headers = headers;
        Ok(())
    }

    /// Adds rows of the block at a height, and whatever else `batch` has.
    pub(crate) fn admit(
        &mut self,
        blocks: &[(u32, Admitted)],
        mut batch: Batch,
    ) -> Result<(), ApplyError> {
        let snapshot = self.store.snapshot();
        for (height, admitted) in blocks {
            let tx_nums = self.headers.tx_nums(*height).unwrap_or_default();
            let hash = self
                .headers
                .hash(*height)
                .unwrap_or_else(BlockHash::all_zeros);
            if tx_nums.len() != admitted.count as usize {
                // The node has said another number.
                return Err(ApplyError::OtherCount {
                    hash,
                    told: tx_nums.len(),
                    found: admitted.count,
                });
            }
            let mut record = snapshot
                .get(Table::Undo, &height.to_be_bytes())?
                .unwrap_or_default();
            // A block may be looked at again.
            let known: HashSet<_> = super::writer::split_record(&record)?.into_iter().collect();
            for tx in &admitted.transactions {
                let tx_num = tx_nums.start + tx.position;
                let txid = Txid::from_byte_array(tx.txid);
                let key = super::reader::tx_num_key(&txid, tx_num);
                batch.put(Table::TxNums, key, []);
                batch.put(Table::Txids, tx_num.to_be_bytes(), tx_row(&tx.txid, tx.end));
                let kept = Kept::encode(&tx.branch, &tx.bytes);
                batch.put(Table::Kept, tx_num.to_be_bytes(), kept);
                for (script, value) in &tx.rows {
                    let mut key = [0; PREFIX_LEN + 4];
                    let (head, tail) = key.split_at_mut(PREFIX_LEN);
                    head.copy_from_slice(&self.key.prefix_of(script));
                    tail.copy_from_slice(&tx_num.to_be_bytes());
                    batch.put(Table::History, key, value.clone());
                    if !known.contains(&key) {
                        record.extend_from_slice(&key);
                    }
                }
            }
            if !record.is_empty() {
                batch.put(Table::Undo, height.to_be_bytes(), record);
            }
        }
        if !batch.is_empty() {
            self.store.commit(batch, Durability::Process)?;
        }
        Ok(())
    }

    /// Undoes the block at the tip, and makes the changes of `batch`.
    pub(crate) fn undo_personal_tip(&mut self, mut batch: Batch) -> Result<(), UndoError> {
        let tip = self.headers.tip().ok_or(UndoError::Empty)?;
        let tx_nums = self.headers.tx_nums(tip.height).ok_or(UndoError::Empty)?;
        let snapshot = self.store.snapshot();
        let record = snapshot.get(Table::Undo, &tip.height.to_be_bytes())?;
        for key in super::writer::split_record(&record.unwrap_or_default())? {
            batch.delete(Table::History, key);
        }
        let (first, last) = (tx_nums.start.to_be_bytes(), tx_nums.end.to_be_bytes());
        let mut txs = Vec::new();
        snapshot.scan(Table::Txids, &first..=&last, &mut |key, row| {
            if key != last {
                txs.push((key.to_vec(), row.get(..8).unwrap_or_default().to_vec()));
            }
            ControlFlow::Continue(())
        })?;
        for (number, prefix) in txs {
            batch.delete(Table::TxNums, [prefix.as_slice(), &number].concat());
            batch.delete(Table::Kept, number.clone());
            batch.delete(Table::Txids, number);
        }
        batch.delete(Table::Undo, tip.height.to_be_bytes());
        batch.delete(Table::Headers, tip.height.to_be_bytes());
        self.store.commit(batch, Durability::Process)?;
        self.headers.pop();
        Ok(())
    }

    /// Forgets everything that touches none of `scripts`.
    pub(crate) fn retain_scripts(
        &mut self,
        scripts: &HashSet<[u8; 32]>,
    ) -> Result<(), RetainError> {
        let prefixes: HashSet<_> = scripts
            .iter()
            .map(|hash| self.key.prefix_of(hash))
            .collect();
        let snapshot = self.store.snapshot();
        let all = [].as_slice()..=[0xff; 16].as_slice();
        let mut batch = Batch::default();
        let mut touched = HashSet::new();
        snapshot.scan(Table::History, all.clone(), &mut |key, _| {
            let (prefix, number) = key.split_at(PREFIX_LEN.min(key.len()));
            match prefix
                .try_into()
                .is_ok_and(|prefix: [u8; PREFIX_LEN]| prefixes.contains(&prefix))
            {
                true => {
                    touched.insert(number.to_vec());
                }
                false => batch.delete(Table::History, key),
            }
            ControlFlow::Continue(())
        })?;
        snapshot.scan(Table::Txids, all, &mut |number, row| {
            if !touched.contains(number) {
                let prefix = row.get(..8).unwrap_or_default();
                batch.delete(Table::TxNums, [prefix, number].concat());
                batch.delete(Table::Kept, number);
                batch.delete(Table::Txids, number);
            }
            ControlFlow::Continue(())
        })?;
        if !batch.is_empty() {
            self.store.commit(batch, Durability::Process)?;
        }
        Ok(())
    }

    /// Returns those of some scripts that have a history, each with the height of the last transaction there.
    pub(crate) fn used(
        &self,
        scripts: &HashSet<[u8; 32]>,
    ) -> Result<Vec<([u8; 32], u32)>, ReadError> {
        let snapshot = self.store.snapshot();
        let reader = Reader::new(snapshot.as_ref(), &self.key);
        let mut used = Vec::new();
        for script in scripts {
            let mut last = None;
            reader.history(&ScriptHash::from_byte_array(*script), &mut |tx_num, _| {
                last = Some(tx_num);
                ControlFlow::Continue(())
            })?;
            let place = last.and_then(|tx_num| self.headers.locate(tx_num));
            used.extend(place.map(|(height, _)| (*script, height)));
        }
        Ok(used)
    }

    /// Returns the outputs that scripts have before the block at a height.
    pub(crate) fn coins(
        &self,
        scripts: &HashSet<[u8; 32]>,
        height: u32,
    ) -> Result<Coins, ReadError> {
        let tx_nums = self.headers.tx_nums(height);
        let end = tx_nums.map_or(u32::MAX, |tx_nums| tx_nums.start);
        let snapshot = self.store.snapshot();
        let reader = Reader::new(snapshot.as_ref(), &self.key);
        let mut coins = Coins::new();
        for script in scripts {
            let mut rows = Vec::new();
            reader.history(
                &ScriptHash::from_byte_array(*script),
                &mut |tx_num, value| {
                    if tx_num >= end {
                        return ControlFlow::Break(());
                    }
                    rows.push((tx_num, value.to_vec()));
                    ControlFlow::Continue(())
                },
            )?;
            let mut of_script = HashMap::new();
            for (tx_num, value) in rows {
                for delta in reader.deltas(&value)? {
                    match delta {
                        Delta::Funded { vout, .. } => {
                            let outpoint = outpoint(reader.txid(tx_num)?.as_byte_array(), vout);
                            of_script.insert(self.key.outpoint_bytes(&outpoint), outpoint);
                        }
                        Delta::Spent { outpoint } => {
                            of_script.remove(&outpoint);
                        }
                    }
                }
            }
            coins.extend(of_script.into_values().map(|outpoint| (outpoint, *script)));
        }
        Ok(coins)
    }

    /// Makes changes that have nothing to do with blocks.
    pub(crate) fn note(&self, batch: Batch) -> Result<(), CommitError> {
        self.store.commit(batch, Durability::Process)
    }
}

/// Rows that could not be thinned out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RetainError {
    /// They could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// They could not be deleted.
    #[error(transparent)]
    Commit(#[from] CommitError),
}
