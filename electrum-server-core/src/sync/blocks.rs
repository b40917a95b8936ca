//! Fetching blocks and making rows of them, on several threads, handed over in chain order.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;

use bitcoin::BlockHash;
use bitcoin::block::Header;

use super::SyncError;
use crate::chain::ChainSource;
use crate::index::{BlockRows, RowKey};

/// How many blocks' rows each thread may be ahead.
const AHEAD: usize = 16;
/// How many bytes of rows are committed at once, roughly.
const BATCH_SIZE: usize = 16 << 20;
/// How many blocks are committed at once: what is lost when a catch-up is cut off.
const BATCH_BLOCKS: usize = 1000;
/// Fewer blocks than this are fetched on the thread of the writer.
const WORTH_THREADS: usize = 4;

/// Fetches the blocks of `headers`, makes rows of them, and gives these to `commit` in chain order, some at a time.
///
/// Ends early, and in order, when `stop` says so or when anything fails.
///
/// # Errors
///
/// Those of the source and of `commit`. Blocks before the one that failed are committed.
pub(super) fn fetch(
    source: &dyn ChainSource,
    key: &RowKey,
    headers: &[Header],
    threads: usize,
    stop: &dyn Fn() -> bool,
    commit: &mut dyn FnMut(&[BlockRows]) -> Result<(), SyncError>,
) -> Result<(), SyncError> {
    let rows = |header: &Header| rows(source, key, header.block_hash());
    in_order(headers, threads, rows, |rows| collect(rows, stop, commit))
}

/// Makes something of each of `headers`, on several threads, and gives it to `consume` in their order.
pub(super) fn in_order<T: Send, R>(
    headers: &[Header],
    threads: usize,
    make: impl Fn(&Header) -> Result<T, SyncError> + Sync,
    consume: impl FnOnce(&mut dyn Iterator<Item = Result<T, SyncError>>) -> R,
) -> R {
    if headers.len() < WORTH_THREADS {
        return consume(&mut headers.iter().map(make));
    }
    let threads = threads.clamp(1, headers.len());
    let make = &make;
    std::thread::scope(|scope| {
        // Each thread takes every n-th block, so that taking from each in turn restores the order, and a bounded channel
        // for each bounds the memory.
        let mut lanes = Vec::with_capacity(threads);
        for lane in 0..threads {
            let made = move || headers.iter().skip(lane).step_by(threads).map(make);
            let (sender, receiver) = sync_channel(AHEAD);
            let thread = Builder::new().spawn_scoped(scope, move || work(made(), &sender));
            lanes.push(match thread {
                Ok(_) => Lane::Thread(receiver),
                // The system refuses another thread: this one does its part.
                Err(_) => Lane::Here(made()),
            });
        }
        let mut lane = 0;
        let mut in_order = std::iter::from_fn(|| {
            let next = lanes.get_mut(lane).and_then(Lane::next);
            lane = (lane + 1) % threads;
            next
        });
        // When this returns the receivers are dropped, and the threads find nobody to send to.
        let result = consume(&mut in_order);
        drop(lanes);
        result
    })
}

/// Every n-th block.
enum Lane<T, I> {
    Thread(Receiver<T>),
    Here(I),
}

impl<T, I: Iterator<Item = T>> Lane<T, I> {
    fn next(&mut self) -> Option<T> {
        match self {
            Self::Thread(receiver) => receiver.recv().ok(),
            Self::Here(made) => made.next(),
        }
    }
}

/// Sends what is made until there is no more, one fails, or nobody wants it.
fn work<T>(
    made: impl Iterator<Item = Result<T, SyncError>>,
    sender: &SyncSender<Result<T, SyncError>>,
) {
    for made in made {
        let failed = made.is_err();
        if sender.send(made).is_err() || failed {
            return;
        }
    }
}

fn rows(source: &dyn ChainSource, key: &RowKey, hash: BlockHash) -> Result<BlockRows, SyncError> {
    let block = source.block(&hash)?;
    Ok(BlockRows::derive(key, &block)?)
}

fn collect(
    rows: &mut dyn Iterator<Item = Result<BlockRows, SyncError>>,
    stop: &dyn Fn() -> bool,
    commit: &mut dyn FnMut(&[BlockRows]) -> Result<(), SyncError>,
) -> Result<(), SyncError> {
    let mut batch = Vec::new();
    let mut size = 0;
    let mut ended = Ok(());
    for rows in rows {
        match rows {
            Ok(rows) => {
                size += rows.size();
                batch.push(rows);
            }
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
        if size >= BATCH_SIZE || batch.len() >= BATCH_BLOCKS {
            commit(&batch)?;
            batch.clear();
            size = 0;
        }
        if stop() {
            break;
        }
    }
    if !batch.is_empty() {
        commit(&batch)?;
    }
    ended
}
