//! Reading rows from a snapshot.

use std::collections::HashSet;
use std::ops::{ControlFlow, Range, RangeInclusive};

use bitcoin::OutPoint;
use bitcoin::Txid;
use bitcoin::hashes::Hash;
use electrum_protocol::ScriptHash;

use super::rows::{Delta, HISTORY_KEY_LEN, PREFIX_LEN, decode_deltas, first_offset};
use super::writer::split_record;
use super::{RowKey, Scope};
use crate::store::{ReadError, Snapshot, TX_ROW, Table};

/// How many bytes of a txid are in the keys of the table [`Table::TxNums`].
const TXID_PREFIX_LEN: usize = 8;
/// More transactions than most blocks have.
const MANY: usize = 8192;

/// Returns the key of a row in the table [`Table::TxNums`].
pub(super) fn tx_num_key(txid: &Txid, tx_num: u32) -> [u8; TXID_PREFIX_LEN + 4] {
    let mut key = [0; TXID_PREFIX_LEN + 4];
    let (prefix, number) = key.split_at_mut(TXID_PREFIX_LEN);
    prefix.copy_from_slice(txid.as_byte_array().split_at(TXID_PREFIX_LEN).0);
    number.copy_from_slice(&tx_num.to_be_bytes());
    key
}

/// Answers from the rows of one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    snapshot: &'a dyn Snapshot,
    key: &'a RowKey,
    /// What is shown; nothing when everything is.
    scope: Option<Scope<'a>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(snapshot: &'a dyn Snapshot, key: &'a RowKey) -> Self {
        Self {
            snapshot,
            key,
            scope: None,
        }
    }

    /// Reads what belongs to some wallets, and nothing else.
    pub(crate) fn within(mut self, scope: Option<Scope<'a>>) -> Self {
        self.scope = scope;
        self
    }

    pub(super) fn snapshot(&self) -> &'a dyn Snapshot {
        self.snapshot
    }

    /// Shows `visit` the number of each transaction that touches a script, in chain order, and what it does, until it
    /// breaks off.
    pub(crate) fn history(
        &self,
        script_hash: &ScriptHash,
        visit: &mut dyn FnMut(u32, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.history_among(script_hash, 0..=u32::MAX, visit)
    }

    /// The same, of the transactions with these numbers only.
    pub(crate) fn history_among(
        &self,
        script_hash: &ScriptHash,
        tx_nums: RangeInclusive<u32>,
        visit: &mut dyn FnMut(u32, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.rows(&self.key.prefix(script_hash), tx_nums, visit)
    }

    /// The same, of a script that goes by its name in the rows.
    pub(super) fn rows(
        &self,
        prefix: &[u8; PREFIX_LEN],
        tx_nums: RangeInclusive<u32>,
        visit: &mut dyn FnMut(u32, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let Some(scope) = &self.scope else {
            return self.scan(prefix, tx_nums, visit);
        };
        let Some(shown) = scope.first(prefix) else {
            return Ok(());
        };
        let (first, last) = tx_nums.into_inner();
        let tx_nums = first.max(shown.tx_num)..=last;
        if !shown.has_earlier || tx_nums.is_empty() {
            return self.scan(prefix, tx_nums, visit);
        }
        // What spends nothing but outputs of before is not shown either.
        let mut known = HashSet::new();
        let mut problem = None;
        self.scan(prefix, shown.tx_num..=last, &mut |tx_num, row| match self
            .note_known(&mut known, tx_num, row)
        {
            Ok(true) if tx_num >= first => visit(tx_num, row),
            Ok(_) => ControlFlow::Continue(()),
            Err(error) => {
                problem = Some(error);
                ControlFlow::Break(())
            }
        })?;
        problem.map_or(Ok(()), Err)
    }

    /// Adds the outputs that a transaction makes to those that are known; returns whether it makes any, or spends one.
    fn note_known(
        &self,
        known: &mut HashSet<u64>,
        tx_num: u32,
        row: &[u8],
    ) -> Result<bool, ReadError> {
        let mut touches = false;
        let mut txid = None;
        for delta in decode_deltas(row)? {
            match delta {
                Delta::Funded { vout, .. } => {
                    let txid = match txid {
                        Some(txid) => txid,
                        None => *txid.insert(self.txid(tx_num)?),
                    };
                    known.insert(self.key.outpoint(&OutPoint { txid, vout }));
                    touches = true;
                }
                Delta::Spent { outpoint } => touches |= known.contains(&outpoint),
            }
        }
        Ok(touches)
    }

    fn scan(
        &self,
        prefix: &[u8; PREFIX_LEN],
        tx_nums: RangeInclusive<u32>,
        visit: &mut dyn FnMut(u32, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        if tx_nums.is_empty() {
            return Ok(());
        }
        let (first, last) = tx_nums.into_inner();
        let (first, last) = (history_key(*prefix, first), history_key(*prefix, last));
        let mut damaged = false;
        self.snapshot
            .scan(Table::History, &first..=&last, &mut |key, deltas| match key
                .get(PREFIX_LEN..)
                .and_then(|tx_num| tx_num.try_into().ok())
            {
                Some(tx_num) => visit(u32::from_be_bytes(tx_num), deltas),
                None => {
                    damaged = true;
                    ControlFlow::Break(())
                }
            })?;
        if damaged {
            return Err(ReadError::damaged(
                Table::History,
                "a key has the wrong length",
            ));
        }
        Ok(())
    }

    /// Decodes what a history row says.
    pub(crate) fn deltas(&self, deltas: &[u8]) -> Result<Vec<Delta>, ReadError> {
        decode_deltas(deltas)
    }

    /// Names an output as the rows of those who spend it do.
    pub(crate) fn outpoint(&self, outpoint: &OutPoint) -> u64 {
        self.key.outpoint(outpoint)
    }

    /// Returns the txid of a transaction.
    pub(crate) fn txid(&self, tx_num: u32) -> Result<Txid, ReadError> {
        match self.snapshot.txid(tx_num)? {
            Some(txid) => Ok(Txid::from_byte_array(txid)),
            None => Err(ReadError::damaged(
                Table::Txids,
                format!("transaction {tx_num} is missing"),
            )),
        }
    }

    /// Returns where a transaction is in its block, which begins with the transaction `first` of `count`: from which byte
    /// to which.
    pub(crate) fn extent(
        &self,
        tx_num: u32,
        first: u32,
        count: usize,
    ) -> Result<Range<u32>, ReadError> {
        let start = match tx_num.checked_sub(1).filter(|before| *before >= first) {
            Some(before) => before,
            None => tx_num,
        };
        let mut ends = Vec::with_capacity(2);
        self.each_tx(start..tx_num.saturating_add(1), |_, end| ends.push(end))?;
        let extent = match *ends.as_slice() {
            [end] => first_offset(count)..end,
            [before, end] => before..end,
            _ => 0..0,
        };
        match extent.is_empty() {
            false => Ok(extent),
            true => Err(ReadError::damaged(
                Table::Txids,
                format!("transaction {tx_num} ends before it begins"),
            )),
        }
    }

    /// Returns the txids of neighbouring transactions.
    pub(crate) fn txids(&self, tx_nums: Range<u32>) -> Result<Vec<Txid>, ReadError> {
        // How many there are is read from a row, and no room is made on its word alone.
        let mut txids = Vec::with_capacity(tx_nums.len().min(MANY));
        self.each_tx(tx_nums, |txid, _| txids.push(txid))?;
        Ok(txids)
    }

    fn each_tx(
        &self,
        tx_nums: Range<u32>,
        mut visit: impl FnMut(Txid, u32),
    ) -> Result<(), ReadError> {
        let Some(last) = tx_nums.end.checked_sub(1) else {
            return Ok(());
        };
        let (first, last) = (tx_nums.start.to_be_bytes(), last.to_be_bytes());
        let (mut problem, mut seen) = (None, 0);
        self.snapshot.scan(
            Table::Txids,
            &first..=&last,
            &mut |_, row| match decode_tx(row) {
                Ok((txid, end)) => {
                    seen += 1;
                    visit(txid, end);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    problem = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        match problem {
            Some(error) => Err(error),
            None if seen == tx_nums.len() => Ok(()),
            None => {
                let problem = format!("a transaction of {tx_nums:?} is missing");
                Err(ReadError::damaged(Table::Txids, problem))
            }
        }
    }

    /// Returns the numbers of the transactions with a txid, in chain order.
    ///
    /// Two txids, both of 2010, stand for two transactions each; the outputs of the later replaced those of the earlier.
    pub(crate) fn tx_nums(&self, txid: &Txid) -> Result<Vec<u32>, ReadError> {
        let (first, last) = (tx_num_key(txid, 0), tx_num_key(txid, u32::MAX));
        let mut candidates = Vec::new();
        let mut damaged = false;
        self.snapshot
            .scan(Table::TxNums, &first..=&last, &mut |key, _| {
                match key
                    .get(TXID_PREFIX_LEN..)
                    .and_then(|tx_num| tx_num.try_into().ok())
                {
                    Some(tx_num) => candidates.push(u32::from_be_bytes(tx_num)),
                    None => damaged = true,
                }
                ControlFlow::Continue(())
            })?;
        if damaged {
            return Err(ReadError::damaged(
                Table::TxNums,
                "a key has the wrong length",
            ));
        }
        // The key has a part of the txid only, and anybody can make two that share it.
        let mut tx_nums = Vec::with_capacity(1);
        for tx_num in candidates {
            if self.txid(tx_num)? == *txid && self.shows(tx_num)? {
                tx_nums.push(tx_num);
            }
        }
        Ok(tx_nums)
    }

    /// Returns whether a confirmed transaction is shown.
    pub(super) fn shows(&self, tx_num: u32) -> Result<bool, ReadError> {
        match &self.scope {
            Some(scope) => scope.has(self, tx_num),
            None => Ok(true),
        }
    }

    /// Returns whether a transaction is in a script's history.
    pub(crate) fn is_in_history(
        &self,
        script_hash: &ScriptHash,
        txid: &Txid,
    ) -> Result<bool, ReadError> {
        let mut found = false;
        for tx_num in self.tx_nums(txid)? {
            self.history_among(script_hash, tx_num..=tx_num, &mut |_, _| {
                found = true;
                ControlFlow::Break(())
            })?;
        }
        Ok(found)
    }

    /// Returns the keys of the rows that the block at a height made in the history, as far as they are recorded: in an
    /// index of some wallets, all.
    pub(super) fn history_keys(
        &self,
        height: u32,
    ) -> Result<Vec<[u8; HISTORY_KEY_LEN]>, ReadError> {
        let record = self.snapshot.get(Table::Undo, &height.to_be_bytes())?;
        split_record(&record.unwrap_or_default())
    }
}

fn history_key(prefix: [u8; PREFIX_LEN], tx_num: u32) -> [u8; HISTORY_KEY_LEN] {
    let mut key = [0; HISTORY_KEY_LEN];
    let (head, tail) = key.split_at_mut(PREFIX_LEN);
    head.copy_from_slice(&prefix);
    tail.copy_from_slice(&tx_num.to_be_bytes());
    key
}

fn decode_tx(row: &[u8]) -> Result<(Txid, u32), ReadError> {
    let row: [u8; TX_ROW] = row
        .try_into()
        .map_err(|_| ReadError::damaged(Table::Txids, "a row has the wrong length"))?;
    let ([txid @ .., _, _, _, _], [.., a, b, c, d]) = (row, row);
    Ok((
        Txid::from_byte_array(txid),
        u32::from_be_bytes([a, b, c, d]),
    ))
}
