//! Catching up with a long chain: blocks go into files that are written once.

use bitcoin::block::Header;

use super::blocks::in_order;
use super::{Sync, SyncError, SyncEvent};
use crate::chain::{ChainSource, Plan, RawBlock};
use crate::index::{BlockRecords, Bulk, RowKey};
use crate::store::CommitError;

/// With fewer blocks to go than this, they are applied one by one.
const WORTH_BULK: u32 = 500;
/// The same, when everything that is there was built in bulk: what was interrupted goes on as it began.
const WORTH_RESUMING: u32 = 20;
/// How many headers are asked for at once.
const HEADERS: u32 = 2000;
/// What is reported, at most once for so many blocks.
const REPORT: u32 = 50;
/// The part of the memory that is for rows; the rest is for blocks on their way, and for sorting.
const ROWS_SHARE: (usize, usize) = (3, 4);

/// How a run came to its end.
enum End {
    /// There is no more memory for rows.
    Full,
    /// The headers were all used.
    Used,
    /// Somebody wants us to stop.
    Stopped,
}

impl Sync {
    /// Builds in bulk what the plan begins, up to the node's tip; false when that is not worth it, or not possible.
    ///
    /// Whatever was built is in the index afterwards, also when it ended with an error.
    pub(super) fn build(
        &mut self,
        plan: &Plan,
        on_event: &mut dyn FnMut(SyncEvent<'_>),
    ) -> Result<bool, SyncError> {
        let mut target = plan.target.height;
        let worth = match self.index.headers().is_empty() {
            true => WORTH_BULK,
            false if self.published.is_none() => WORTH_RESUMING,
            false => WORTH_BULK,
        };
        if target.saturating_sub(self.index.headers().len()) < worth {
            return Ok(false);
        }
        let Some(mut bulk) = self.index.begin_bulk()? else {
            return Ok(false);
        };
        let height = |bulk: &Bulk| bulk.headers().len().saturating_sub(1);
        on_event(SyncEvent::Progress {
            height: height(&bulk),
            target,
        });
        let mut headers = plan.connect.clone();
        loop {
            let ended = self.run_bulk(&mut bulk, &headers, &mut |height| {
                on_event(SyncEvent::Progress { height, target });
            });
            let next = bulk.headers().len();
            let more = match &ended {
                Ok(End::Full | End::Stopped) | Err(_) => false,
                Ok(End::Used) => {
                    // What cannot be had now is the affair of the next plan.
                    headers = self.source.headers(next, HEADERS).unwrap_or_default();
                    target =
                        target.max(next + headers.len() as u32 - u32::from(!headers.is_empty()));
                    let tip = bulk.headers().tip().map(|tip| tip.hash);
                    headers.first().map(|header| header.prev_blockhash) == tip
                }
            };
            if more {
                continue;
            }
            if ended.as_ref().is_err_and(SyncError::is_of_store) {
                // What could not be written whole is built again.
                ended?;
                return Ok(true);
            }
            self.index.seal(bulk, self.options.threads)?;
            self.changes.note_bulk(self.published.is_some());
            let stopped = matches!(ended?, End::Stopped);
            if let Some(segments) = self.index.segments() {
                let stop = || self.wakes.is_stopped();
                match segments.merge(false, &stop) {
                    // It is made up for later, or in the background.
                    Err(error @ CommitError::NoSpace { .. }) => {
                        tracing::debug!("not merging: {error}");
                    }
                    merged => merged?,
                }
            }
            tracing::debug!(height = next - 1, stopped, "wrote a run");
            return Ok(true);
        }
    }

    /// Adds blocks until there is a reason not to.
    fn run_bulk(
        &self,
        bulk: &mut Bulk,
        headers: &[Header],
        report: &mut dyn FnMut(u32),
    ) -> Result<End, SyncError> {
        let source = self.source.as_ref();
        let key = self.index.key();
        let full = self.options.build_memory / ROWS_SHARE.1 * ROWS_SHARE.0;
        let make = |header: &Header| records(source, &key, header);
        in_order(headers, self.options.threads, make, |blocks| {
            for block in blocks {
                bulk.push(&block?)?;
                let height = bulk.headers().len() - 1;
                if height.is_multiple_of(REPORT) {
                    report(height);
                }
                if self.wakes.is_stopped() {
                    return Ok(End::Stopped);
                }
                if bulk.memory() >= full || bulk.memory() as u64 >= bulk.room()? {
                    return Ok(End::Full);
                }
            }
            Ok(End::Used)
        })
    }
}

/// Fetches a block and makes rows of it.
fn records(
    source: &dyn ChainSource,
    key: &RowKey,
    header: &Header,
) -> Result<BlockRecords, SyncError> {
    let hash = header.block_hash();
    let raw = source.raw_block(&hash)?;
    match BlockRecords::derive(key, &hash, raw) {
        Ok(records) => Ok(records),
        Err(error) => {
            // Bytes on the disk can be damaged: the node may know better.
            tracing::warn!("{error}: asking the node for the block");
            let block = source.block(&hash)?;
            Ok(BlockRecords::derive(key, &hash, RawBlock::from(&block))?)
        }
    }
}
