//! `blockchain.transaction.*`

use std::ops::Range;
use std::sync::Arc;

use bitcoin::consensus::encode;
use bitcoin::hex::DisplayHex;
use bitcoin::{OutPoint, Transaction, TxOut, Txid};
use electrum_protocol::method::transaction::{
    Broadcast, BroadcastPackage, BroadcastPackageResponse, BroadcastResponse, ConfirmedBlockhash,
    Get, GetConfirmedBlockhash, GetMerkle, GetResponse, IdFromPos, IdFromPosResponse,
    MempoolVerdict, MerkleResponse, TestMempoolAccept, TransactionHeight,
};
use electrum_protocol::{Notification, ProtocolVersion};

use super::{MethodError, Services, Turn};
use crate::chain::{NodeError, txid_of};
use crate::mempool::Entry;
use crate::session::lookups::least_verbose;
use crate::session::subscriptions::Others;
use crate::sync::RefreshScope;
use crate::view::{Position, QueryError, View};

/// Hands a transaction to the node. The view is current before the answer leaves: a client that asks for its history
/// next finds the transaction there.
///
/// Before protocol 1.1 a refusal is a result.
pub(super) fn broadcast(
    turn: &mut Turn<'_>,
    params: &Broadcast,
) -> Result<BroadcastResponse, MethodError> {
    match turn.services.broadcast.broadcast(&params.raw_tx) {
        Ok(txid) => {
            show(turn, txid)?;
            Ok(BroadcastResponse::Accepted(txid))
        }
        Err(NodeError::Rpc { message, .. }) if turn.version < ProtocolVersion::V1_1 => {
            Ok(BroadcastResponse::Rejected(message))
        }
        Err(NodeError::Rpc { message, .. }) => {
            let raw_tx = params.raw_tx.to_lower_hex_string();
            Err(MethodError::Rejected { message, raw_tx })
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn broadcast_package(
    turn: &mut Turn<'_>,
    params: &BroadcastPackage,
) -> Result<BroadcastPackageResponse, MethodError> {
    let outcome = match turn.services.broadcast.submit_package(&params.raw_txs) {
        Ok(outcome) => outcome,
        Err(NodeError::Rpc { message, .. }) => {
            return Err(MethodError::PackageRejected { message });
        }
        Err(error) => return Err(error.into()),
    };
    // Also when it was refused: some of its transactions may be in the mempool all the same.
    if outcome.success || !outcome.errors.is_empty() {
        let is_refused = |txid: &Txid| outcome.errors.iter().any(|error| error.txid == *txid);
        let taken = params.raw_txs.iter().filter_map(|raw_tx| txid_of(raw_tx));
        for txid in taken.filter(|txid| !is_refused(txid)) {
            show(turn, txid)?;
        }
    }
    Ok(if params.verbose {
        BroadcastPackageResponse::Verbose(outcome.json)
    } else {
        BroadcastPackageResponse::Summary {
            success: outcome.success,
            errors: outcome.errors,
        }
    })
}

pub(super) fn test_mempool_accept(
    turn: &Turn<'_>,
    params: &TestMempoolAccept,
) -> Result<Vec<MempoolVerdict>, MethodError> {
    let node = &turn.services.node;
    node.test_mempool_accept(&params.raw_txs)
        .map_err(|error| match error {
            NodeError::Rpc { message, .. } => MethodError::PackageRejected { message },
            error => error.into(),
        })
}

/// Makes sure that the view has a transaction that the node has just taken. The node takes one that it has already, as often
/// as it is given it; then there is nothing to wait for.
fn show(turn: &mut Turn<'_>, txid: Txid) -> Result<(), MethodError> {
    turn.go_on_with(turn.services.view());
    if turn.services.lookups.is_foreign(&txid) || is_known(&turn.view, &txid)? {
        return Ok(());
    }
    turn.refresh(RefreshScope::Everything);
    if !is_known(&turn.view, &txid)? {
        turn.services.lookups.note_foreign(txid);
    }
    Ok(())
}

fn is_known(view: &View, txid: &Txid) -> Result<bool, MethodError> {
    Ok(view.mempool().get(txid).is_some() || view.position(txid)?.is_some())
}

/// What the view knows of a transaction.
enum Whereabouts {
    Block(Position),
    Mempool(Arc<Entry>),
    Unknown,
}

/// Finds a transaction. What the node has and the view does not is not told before the view has it too: a client that
/// sees a transaction expects to see it in histories.
pub(super) fn get(turn: &mut Turn<'_>, params: Get) -> Result<GetResponse, MethodError> {
    let Get { txid, verbose } = params;
    let before = whereabouts(&turn.view, &txid)?;
    let not_found = match (&before, ask(turn, &txid, verbose, &before)) {
        (Whereabouts::Unknown, Ok(found)) => return when_shown(turn, &txid, verbose, found),
        (_, Ok(found)) => return Ok(found),
        (_, Err(MethodError::Node(NodeError::Rpc { code, message }))) if code == NOT_FOUND => {
            NodeError::Rpc { code, message }
        }
        (_, Err(error)) => return Err(error),
    };
    // It may have been mined just now, or its block was reorganized away. The mempool need not be read for that.
    turn.refresh(RefreshScope::Blocks);
    let now = whereabouts(&turn.view, &txid)?;
    match (&before, &now) {
        (Whereabouts::Block(before), Whereabouts::Block(now)) if before == now => {
            Err(not_found.into())
        }
        (_, Whereabouts::Block(_)) => ask(turn, &txid, verbose, &now),
        // The node can look into its mempool only, or into one block; but the view has looked into every block.
        (_, Whereabouts::Mempool(_) | Whereabouts::Unknown) => Err(NodeError::Rpc {
            code: NOT_FOUND,
            message: NOT_FOUND_ANYWHERE.to_owned(),
        }
        .into()),
    }
}

/// Answers with what the node has found, once the view has it as well.
fn when_shown(
    turn: &mut Turn<'_>,
    txid: &Txid,
    verbose: bool,
    found: GetResponse,
) -> Result<GetResponse, MethodError> {
    if turn.services.lookups.is_foreign(txid) {
        return Ok(found);
    }
    turn.refresh(RefreshScope::MempoolInTurn);
    match whereabouts(&turn.view, txid)? {
        // The transactions of others are not in a view of some wallets, and no unconfirmed ones in a view without them.
        Whereabouts::Unknown => {
            turn.services.lookups.note_foreign(*txid);
            Ok(found)
        }
        Whereabouts::Mempool(_) => Ok(found),
        // In other words, if it is verbose.
        now @ Whereabouts::Block(_) => ask(turn, txid, verbose, &now),
    }
}

/// Bitcoin Core's code for a transaction that it does not find, and its words when it has looked everywhere.
const NOT_FOUND: i32 = -5;
const NOT_FOUND_ANYWHERE: &str =
    "No such mempool or blockchain transaction. Use gettransaction for wallet transactions.";

fn whereabouts(view: &View, txid: &Txid) -> Result<Whereabouts, MethodError> {
    if let Some(entry) = view.mempool().get(txid) {
        return Ok(Whereabouts::Mempool(entry.clone()));
    }
    Ok(match view.position(txid)? {
        Some(position) => Whereabouts::Block(position),
        None => Whereabouts::Unknown,
    })
}

/// Where the bytes of a confirmed transaction are.
enum Bytes {
    /// Kept in the index.
    Kept(Vec<u8>),
    /// At a place in its block.
    InBlock(Range<u32>),
}

impl Bytes {
    fn of(view: &View, position: &Position) -> Result<Self, MethodError> {
        Ok(match view.kept_transaction(position)? {
            Some(kept) => Self::Kept(kept),
            None => Self::InBlock(view.extent(position)?),
        })
    }

    fn len(&self) -> usize {
        match self {
            Self::Kept(bytes) => bytes.len(),
            Self::InBlock(extent) => extent.len(),
        }
    }

    /// Takes the transaction out of the bytes of its block, which is much cheaper than having the node look for it; nothing
    /// when these are not to be had.
    fn read(self, services: &Services, txid: &Txid, position: &Position) -> Option<Vec<u8>> {
        let extent = match self {
            Self::Kept(bytes) => return Some(bytes),
            Self::InBlock(extent) => extent,
        };
        // Whatever is wrong: when the node is asked for the transaction, it has its own words for it.
        let part = services.block_part(&position.block_hash, extent);
        let part = part.ok().flatten();
        part.filter(|part| txid_of(part).as_ref() == Some(txid))
    }
}

/// Answers from the view, the block or the node. What cannot be sent is not asked for.
fn ask(
    turn: &Turn<'_>,
    txid: &Txid,
    verbose: bool,
    whereabouts: &Whereabouts,
) -> Result<GetResponse, MethodError> {
    let services = turn.services;
    let bytes = match whereabouts {
        Whereabouts::Block(position) => Some(Bytes::of(&turn.view, position)?),
        Whereabouts::Mempool(_) | Whereabouts::Unknown => None,
    };
    let size = match (whereabouts, &bytes) {
        (Whereabouts::Mempool(entry), _) => entry.tx.total_size(),
        (_, Some(bytes)) => bytes.len(),
        (_, None) => 0,
    };
    let max = services.limits.max_response;
    let too_large = MethodError::TooLarge { max };
    let block = match whereabouts {
        Whereabouts::Block(position) => Some(&position.block_hash),
        Whereabouts::Mempool(_) | Whereabouts::Unknown => None,
    };
    if verbose {
        if least_verbose(size) > max || services.lookups.is_too_large(txid) {
            return Err(too_large);
        }
        return match services.node.verbose_transaction(txid, block, max) {
            Ok(json) => Ok(GetResponse::Verbose(json)),
            Err(NodeError::TooLarge { .. }) => {
                services.lookups.note_too_large(*txid);
                Err(too_large)
            }
            Err(error) => Err(error.into()),
        };
    }
    // As hexadecimal digits.
    if size.saturating_mul(2) > max {
        return Err(too_large);
    }
    let raw_tx = match (whereabouts, bytes) {
        (Whereabouts::Mempool(entry), _) => Some(encode::serialize(&entry.tx)),
        (Whereabouts::Block(position), Some(bytes)) => bytes.read(services, txid, position),
        _ => None,
    };
    Ok(GetResponse::Raw(match raw_tx {
        Some(raw_tx) => raw_tx,
        None => services.node.raw_transaction(txid, block)?,
    }))
}

/// Returns an output, spent or not, of a transaction that the view has; nothing when there is no such output.
pub(super) fn output(
    services: &Services,
    view: &View,
    outpoint: &OutPoint,
) -> Result<Option<TxOut>, MethodError> {
    let OutPoint { txid, vout } = outpoint;
    if let Some(entry) = view.mempool().get(txid) {
        return Ok(entry.tx.output.get(*vout as usize).cloned());
    }
    let Some(position) = view.position(txid)? else {
        return Ok(None);
    };
    let raw_tx = match Bytes::of(view, &position)?.read(services, txid, &position) {
        Some(raw_tx) => raw_tx,
        None => match services
            .node
            .raw_transaction(txid, Some(&position.block_hash))
        {
            Ok(raw_tx) => raw_tx,
            // The coinbase of the genesis block, which nobody can spend.
            Err(NodeError::Rpc { .. }) if position.height == 0 => return Ok(None),
            Err(error) => return Err(error.into()),
        },
    };
    let tx: Option<Transaction> = encode::deserialize(&raw_tx).ok();
    Ok(tx.and_then(|tx| tx.output.get(*vout as usize).cloned()))
}

pub(super) fn get_merkle(view: &View, params: GetMerkle) -> Result<MerkleResponse, MethodError> {
    let txid = params.txid;
    let (height, missing) = match params.height {
        Some(height) => (height, MethodError::NotInBlock { txid, height }),
        None => match view.position(&txid)? {
            Some(position) => (position.height, MethodError::NotConfirmed),
            None => return Err(MethodError::NotConfirmed),
        },
    };
    let (merkle, pos) = view.merkle_branch(&txid, height)?.ok_or(missing)?;
    Ok(MerkleResponse {
        block_height: height,
        merkle,
        pos,
    })
}

pub(super) fn get_height(turn: &Turn<'_>, txid: &Txid) -> Result<TransactionHeight, MethodError> {
    Ok(turn.view.transaction_height(txid)?)
}

pub(super) fn get_confirmed_blockhash(
    view: &View,
    params: GetConfirmedBlockhash,
) -> Result<ConfirmedBlockhash, MethodError> {
    let position = view.position(&params.txid)?;
    let position = position.ok_or(MethodError::NotConfirmed)?;
    Ok(ConfirmedBlockhash {
        block_hash: position.block_hash,
        block_height: position.height,
        block_header: match params.include_header {
            true => view.header(position.height),
            false => None,
        },
    })
}

pub(super) fn subscribe(turn: &mut Turn<'_>, txid: Txid) -> Result<TransactionHeight, MethodError> {
    let others = turn.subscriptions.existing_others();
    let is_there = others.is_some_and(|others| others.has_transaction(&txid));
    turn.admit(is_there)?;
    let height = turn.view.transaction_height(&txid)?;
    let tip = turn.view.tip_hash();
    turn.subscriptions
        .others()
        .subscribe_transaction(txid, height, tip);
    Ok(height)
}

pub(super) fn unsubscribe(turn: &mut Turn<'_>, txid: &Txid) -> bool {
    let others = turn.subscriptions.existing_others();
    others.is_some_and(|others| others.unsubscribe_transaction(txid))
}

/// Says where some watched transactions stand, where that changed.
pub(super) fn news(
    others: &mut Others,
    view: &View,
    count: usize,
) -> Result<Vec<Notification>, QueryError> {
    let tip = view.tip_hash();
    let mut notifications = Vec::new();
    for (txid, last, at_this_tip) in others.take_transactions(count, tip) {
        let height = match last {
            TransactionHeight::Unknown | TransactionHeight::Mempool if at_this_tip => {
                // It was in no block of this chain.
                match view.mempool().get(&txid) {
                    Some(_) => TransactionHeight::Mempool,
                    None => TransactionHeight::Unknown,
                }
            }
            _ => view.transaction_height(&txid)?,
        };
        if others.is_transaction_change(txid, height, tip) {
            notifications.push(Notification::Transaction { txid, height });
        }
    }
    Ok(notifications)
}

pub(super) fn id_from_pos(
    view: &View,
    params: IdFromPos,
) -> Result<IdFromPosResponse, MethodError> {
    let IdFromPos {
        height,
        tx_pos,
        merkle,
    } = params;
    let missing = MethodError::NoTransactionAt {
        height,
        pos: tx_pos,
    };
    let Some(txid) = view.txid_at(height, tx_pos)? else {
        return Err(missing);
    };
    let merkle = match merkle {
        true => Some(view.merkle_branch_at(height, tx_pos)?.ok_or(missing)?),
        false => None,
    };
    Ok(IdFromPosResponse { txid, merkle })
}
