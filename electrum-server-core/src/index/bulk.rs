//! Building in bulk: rows of many blocks are collected, sorted, and written once.

use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash};

use super::rows::{Delta, encode_deltas, tx_row};
use super::{ApplyError, Index, META_SEGMENTS, RowKey};
use crate::chain::{HeaderChain, RawBlock, RawError, check_merkle_root, script_hash, walk};
use crate::store::{
    CommitError, End, HEADER_ROW, ReadError, Records, Run, Segments, TX_ROW, Table,
};

/// The rows of one block, as a bulk build takes them.
#[derive(Debug)]
pub(crate) struct BlockRecords {
    hash: BlockHash,
    header: Header,
    /// For each transaction its row, all but the number.
    txs: Vec<[u8; TX_ROW]>,
    records: Records,
}

impl BlockRecords {
    /// Derives the rows of a block from its bytes: the same as [`BlockRows::derive`](super::BlockRows::derive) does.
    pub(crate) fn derive(
        key: &RowKey,
        hash: &BlockHash,
        block: RawBlock,
    ) -> Result<Self, RawError> {
        let RawBlock { block, spent } = block;
        let other_spent = RawError::OtherSpent { hash: *hash };
        let header: Header = block
            .get(..Header::SIZE)
            .and_then(|header| deserialize(header).ok())
            .ok_or(RawError::Malformed {
                what: "a block",
                offset: 0,
            })?;
        let genesis = header.prev_blockhash == BlockHash::all_zeros();
        let spent = spent.scripts()?;
        let mut counts = spent.counts.iter();
        let mut spent = spent.hashes.as_slice();
        let mut txids = Vec::with_capacity(counts.len());
        let mut txs = Vec::with_capacity(counts.len());
        let mut records = Records::default();
        let mut events: Vec<([u8; 32], Delta)> = Vec::new();
        let mut value = Vec::new();
        walk(hash, &block, |position, tx| {
            let txid = tx.txid().to_byte_array();
            txids.push(txid);
            txs.push(tx_row(&txid, tx.end));
            if genesis {
                return Ok(());
            }
            let inputs = match position == 0 && tx.is_coinbase() {
                true => &[][..],
                false => tx.inputs.as_slice(),
            };
            let own = spent
                .split_off(..inputs.len())
                .filter(|own| {
                    counts
                        .next()
                        .is_some_and(|count| *count as usize == own.len())
                })
                .ok_or(other_spent)?;
            for (vout, (value, script)) in (0..).zip(&tx.outputs) {
                // OP_RETURN
                if script.first() != Some(&0x6a) {
                    let value = Amount::from_sat(*value);
                    events.push((script_hash(script), Delta::Funded { vout, value }));
                }
            }
            for (input, script_hash) in inputs.iter().zip(own) {
                let outpoint = key.outpoint_bytes(input);
                events.push((*script_hash, Delta::Spent { outpoint }));
            }
            // Stable: what was funded stays before what was spent, each in the transaction's order.
            events.sort_by_key(|(script_hash, _)| *script_hash);
            for of_script in events.chunk_by(|(a, _), (b, _)| a == b) {
                if let Some((script_hash, _)) = of_script.first() {
                    value.clear();
                    encode_deltas(&mut value, of_script.iter().map(|(_, delta)| *delta));
                    records.push(&key.prefix_of(script_hash), position, &value);
                }
            }
            events.clear();
            Ok(())
        })?;
        if !spent.is_empty() || (!genesis && counts.next().is_some()) {
            return Err(other_spent);
        }
        check_merkle_root(hash, &block, &mut txids)?;
        Ok(Self {
            hash: *hash,
            header,
            txs,
            records,
        })
    }
}

/// A bulk build on its way: blocks that are not yet in the index.
pub(crate) struct Bulk {
    segments: Arc<Segments>,
    run: Run,
    headers: HeaderChain,
    genesis: BlockHash,
}

impl Bulk {
    /// Adds the next block.
    pub(crate) fn push(&mut self, block: &BlockRecords) -> Result<(), ApplyError> {
        let hash = block.hash;
        if self.headers.is_empty() && hash != self.genesis {
            return Err(ApplyError::OtherGenesis { hash });
        }
        let next = u32::try_from(block.txs.len())
            .ok()
            .and_then(|count| self.run.end().tx_num.checked_add(count))
            .ok_or(ApplyError::NumbersExhausted { hash })?;
        self.headers.push(block.header, next)?;
        let mut row = [0; HEADER_ROW];
        let (header, number) = row.split_at_mut(Header::SIZE);
        header.copy_from_slice(&bitcoin::consensus::serialize(&block.header));
        number.copy_from_slice(&next.to_be_bytes());
        self.run
            .push(&row, &block.txs, &block.records)
            .map_err(|error| self.segments.failed(&error))?;
        Ok(())
    }

    /// Returns the chain with the blocks that were added.
    pub(crate) fn headers(&self) -> &HeaderChain {
        &self.headers
    }

    /// Returns roughly how many bytes of memory it takes.
    pub(crate) fn memory(&self) -> usize {
        self.run.memory()
    }

    /// Returns how many bytes of memory it may take, for what becomes of it to fit on the disk.
    ///
    /// # Errors
    ///
    /// [`CommitError::NoSpace`] when there is hardly any room.
    pub(crate) fn room(&self) -> Result<u64, CommitError> {
        self.segments.room()
    }
}

impl Index {
    /// Begins to build in bulk; nothing when the store cannot, or when there are blocks already that were not built so.
    pub(crate) fn begin_bulk(&self) -> Result<Option<Bulk>, ReadError> {
        let Some(segments) = self.store.segments() else {
            return Ok(None);
        };
        let lowered = self.store.snapshot().get(Table::Meta, META_SEGMENTS)?;
        if lowered.is_some() || segments.end().height != self.headers.len() {
            return Ok(None);
        }
        Ok(Some(Bulk {
            segments: segments.clone(),
            run: segments.begin(),
            headers: self.headers.clone(),
            genesis: self.genesis,
        }))
    }

    /// Writes what was built: from here on it is in the index.
    ///
    /// What was undone before must not come back beneath it after a power cut, so that is made to survive one first.
    pub(crate) fn seal(&mut self, bulk: Bulk, threads: usize) -> Result<(), CommitError> {
        let Bulk {
            segments,
            run,
            headers,
            ..
        } = bulk;
        self.store.persist()?;
        segments.seal(run, self.key.to_byte_array(), threads)?;
        self.headers = headers;
        Ok(())
    }

    /// Where the rows of the files end that were built in bulk, if there are any in the index.
    pub(super) fn segments_end(&self) -> Result<Option<End>, ReadError> {
        let Some(segments) = self.store.segments() else {
            return Ok(None);
        };
        let lowered = self.store.snapshot().get(Table::Meta, META_SEGMENTS)?;
        match lowered {
            None => Ok(Some(segments.end())),
            Some(row) => crate::store::decode_end(&row).map(Some).ok_or_else(|| {
                ReadError::damaged(Table::Meta, "the end of the segments cannot be decoded")
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chain::{BlockWithSpent, RawSpent};
    use crate::index::BlockRows;
    use crate::index::tests::KEY;

    fn compare(block: &BlockWithSpent) {
        let rows = BlockRows::derive(&KEY, block).unwrap();
        let raw = RawBlock::from(block);
        let records = BlockRecords::derive(&KEY, &rows.hash(), raw.clone()).unwrap();
        let mut expected = Records::default();
        for row in &rows.history {
            expected.push(&row.prefix, row.position, &row.deltas);
        }
        assert_eq!(records.records, expected);
        let txids = rows.txids.iter().map(|txid| txid.to_byte_array());
        let txs: Vec<_> = txids
            .zip(&rows.ends)
            .map(|(txid, end)| tx_row(&txid, *end))
            .collect();
        assert_eq!(records.txs, txs);

        let mut cut = raw.clone();
        cut.block.pop();
        assert!(BlockRecords::derive(&KEY, &rows.hash(), cut).is_err());
        let mut less = raw;
        if let RawSpent::Decoded(spent) = &mut less.spent
            && spent.last_mut().is_some_and(|last| last.pop().is_some())
        {
            assert!(BlockRecords::derive(&KEY, &rows.hash(), less).is_err());
        }
    }

    proptest! {
        #[test]
        fn bytes_and_values_make_the_same_rows(
            plans in prop::collection::vec(crate::index::tests::chain::plan(), 1..6)
        ) {
            let mut chain = crate::index::tests::chain::Chain::new();
            for plan in &plans {
                chain.mine(plan);
            }
            for block in &chain.blocks {
                compare(block);
            }
        }
    }
}
