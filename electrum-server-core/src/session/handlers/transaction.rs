//! `blockchain.transaction.*`

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
use crate::chain::{Node, NodeError, txid_of};
use crate::session::subscriptions::Others;
use crate::view::{Position, QueryError, View};

/// Hands a transaction to the node. The view is current before the answer leaves: a client that asks for its history
/// next finds the transaction there.
///
/// Before protocol 1.1 a refusal is a result.
pub(super) fn broadcast(
    turn: &mut Turn<'_>,
    params: &Broadcast,
) -> Result<BroadcastResponse, MethodError> {
    match turn.services.node.broadcast(&params.raw_tx) {
        Ok(txid) => {
            turn.refresh();
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
    let outcome = match turn.services.node.submit_package(&params.raw_txs) {
        Ok(outcome) => outcome,
        Err(NodeError::Rpc { message, .. }) => {
            return Err(MethodError::PackageRejected { message });
        }
        Err(error) => return Err(error.into()),
    };
    // Also when it was refused: some of its transactions may be in the mempool all the same.
    turn.refresh();
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

/// What the view knows of a transaction.
enum Whereabouts {
    Block(Position),
    /// In the mempool, with its serialization.
    Mempool(Vec<u8>),
    Unknown,
}

/// Finds a transaction. What the node has and the view does not is not told before the view has it too: a client that
/// sees a transaction expects to see it in histories.
pub(super) fn get(turn: &mut Turn<'_>, params: Get) -> Result<GetResponse, MethodError> {
    let Get { txid, verbose } = params;
    let before = whereabouts(&turn.view, &txid)?;
    if let (Whereabouts::Block(position), false) = (&before, verbose)
        && let Some(raw_tx) = cut_out(turn.services, &turn.view, &txid, position)?
    {
        return Ok(GetResponse::Raw(raw_tx));
    }
    let answer = ask(turn.services.node.as_ref(), &txid, verbose, &before);
    match (&before, answer) {
        (Whereabouts::Block(_) | Whereabouts::Mempool(_), Ok(found)) => return Ok(found),
        // The node has it and the view does not yet, or the other way round.
        (Whereabouts::Unknown, Ok(_)) | (_, Err(NodeError::Rpc { .. })) => turn.refresh(),
        (_, Err(error)) => return Err(error.into()),
    }
    let now = whereabouts(&turn.view, &txid)?;
    match (&now, ask(turn.services.node.as_ref(), &txid, verbose, &now)) {
        (_, Ok(found)) => Ok(found),
        // The node can look into its mempool only, or into one block; but the view has looked into every block.
        (
            Whereabouts::Unknown,
            Err(NodeError::Rpc {
                code: NOT_FOUND, ..
            }),
        ) => Err(NodeError::Rpc {
            code: NOT_FOUND,
            message: NOT_FOUND_ANYWHERE.to_owned(),
        }
        .into()),
        (_, Err(error)) => Err(error.into()),
    }
}

/// Bitcoin Core's code for a transaction that it does not find, and its words when it has looked everywhere.
const NOT_FOUND: i32 = -5;
const NOT_FOUND_ANYWHERE: &str =
    "No such mempool or blockchain transaction. Use gettransaction for wallet transactions.";

fn whereabouts(view: &View, txid: &Txid) -> Result<Whereabouts, MethodError> {
    if let Some(entry) = view.mempool().get(txid) {
        return Ok(Whereabouts::Mempool(encode::serialize(&entry.tx)));
    }
    Ok(match view.position(txid)? {
        Some(position) => Whereabouts::Block(position),
        None => Whereabouts::Unknown,
    })
}

/// Takes a transaction out of the bytes of its block, which is much cheaper than having the node look for it; nothing
/// when these are not to be had.
fn cut_out(
    services: &Services,
    view: &View,
    txid: &Txid,
    position: &Position,
) -> Result<Option<Vec<u8>>, MethodError> {
    if let Some(kept) = view.kept_transaction(position)? {
        return Ok(Some(kept));
    }
    let extent = view.extent(position)?;
    let part = services.block_part(&position.block_hash, extent);
    // Whatever is wrong: when the node is asked for the transaction, it has its own words for it.
    let part = part.ok().flatten();
    Ok(part.filter(|part| txid_of(part).as_ref() == Some(txid)))
}

fn ask(
    node: &dyn Node,
    txid: &Txid,
    verbose: bool,
    whereabouts: &Whereabouts,
) -> Result<GetResponse, NodeError> {
    let block = match whereabouts {
        Whereabouts::Mempool(raw_tx) if !verbose => return Ok(GetResponse::Raw(raw_tx.clone())),
        Whereabouts::Mempool(_) | Whereabouts::Unknown => None,
        Whereabouts::Block(position) => Some(&position.block_hash),
    };
    if verbose {
        node.verbose_transaction(txid, block)
            .map(GetResponse::Verbose)
    } else {
        node.raw_transaction(txid, block).map(GetResponse::Raw)
    }
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
    let raw_tx = match cut_out(services, view, txid, &position)? {
        Some(raw_tx) => raw_tx,
        None => match services
            .node
            .raw_transaction(txid, Some(&position.block_hash))
        {
            Ok(raw_tx) => raw_tx,
            // The coinbase of the genesis block, which nobody can spend.
            Err(NodeError::Rpc { .. }) => return Ok(None),
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
