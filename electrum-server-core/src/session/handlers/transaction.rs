//! `blockchain.transaction.*`

use bitcoin::Txid;
use bitcoin::consensus::encode;
use bitcoin::hex::DisplayHex;
use electrum_protocol::method::transaction::{
    Broadcast, BroadcastPackage, BroadcastPackageResponse, Get, GetMerkle, GetResponse, IdFromPos,
    IdFromPosResponse, MerkleResponse,
};

use super::{MethodError, Turn};
use crate::chain::{Node, NodeError, txid_of};
use crate::view::{Position, View};

/// Hands a transaction to the node. The view is current before the answer leaves: a client that asks for its history
/// next finds the transaction there.
pub(super) fn broadcast(turn: &mut Turn<'_>, params: &Broadcast) -> Result<Txid, MethodError> {
    match turn.services.node.broadcast(&params.raw_tx) {
        Ok(txid) => {
            turn.refresh();
            Ok(txid)
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
        && let Some(raw_tx) = cut_out(turn, &txid, position)?
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
    turn: &Turn<'_>,
    txid: &Txid,
    position: &Position,
) -> Result<Option<Vec<u8>>, MethodError> {
    if let Some(kept) = turn.view.kept_transaction(position)? {
        return Ok(Some(kept));
    }
    let extent = turn.view.extent(position)?;
    let part = turn.services.block_part(&position.block_hash, extent);
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

pub(super) fn get_merkle(view: &View, params: GetMerkle) -> Result<MerkleResponse, MethodError> {
    let GetMerkle { txid, height } = params;
    let missing = MethodError::NotInBlock { txid, height };
    let (merkle, pos) = view.merkle_branch(&txid, height)?.ok_or(missing)?;
    Ok(MerkleResponse {
        block_height: height,
        merkle,
        pos,
    })
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
