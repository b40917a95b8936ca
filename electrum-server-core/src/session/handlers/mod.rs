//! The methods of the protocol, one file per namespace.
//!
//! A handler turns a typed request into a typed result or a [`MethodError`]. It sees one view and never a byte.

mod address;
mod block;
mod fee;
mod headers;
mod mempool;
mod outpoint;
mod scripthash;
mod server;
mod transaction;

use std::net::IpAddr;

use bitcoin::Script;
use electrum_protocol::method::scripthash::HeightRange;
use electrum_protocol::method::scriptpubkey::{History, Unspents};
use electrum_protocol::{Notification, ProtocolVersion, Request, Response, ScriptHash};

pub(super) use address::script_of_address;
pub(super) use server::features;

use super::Services;
use super::reply::MethodError;
use super::subscriptions::{Others, Subscriptions};
use crate::sync::RefreshScope;
use crate::view::{QueryError, View};

/// What a handler works with.
pub(super) struct Turn<'a> {
    pub(super) services: &'a Services,
    /// The version that the client means, and understands.
    pub(super) version: ProtocolVersion,
    /// The view to answer from.
    pub(super) view: View,
    pub(super) subscriptions: &'a mut Subscriptions,
    /// Where the client comes from.
    pub(super) client: Option<IpAddr>,
    /// How many transactions of a script are looked at, if there is a limit.
    pub(super) max_history: Option<usize>,
}

impl Turn<'_> {
    /// Checks that the session may have one more subscription, unless it has it already.
    fn admit(&self, is_there: bool) -> Result<(), MethodError> {
        self.subscriptions.admit(is_there, &self.services.limits)
    }

    /// Goes on with a view in which everything is that the node has now, as far as `scope` says.
    fn refresh(&mut self, scope: RefreshScope) {
        let view = self.services.refreshed_view(scope);
        self.go_on_with(view);
    }

    fn go_on_with(&mut self, view: View) {
        if view.sequence() > self.view.sequence() {
            self.view = view;
        }
    }
}

/// Handles a request.
pub(super) fn handle(request: Request, turn: &mut Turn<'_>) -> Result<Response, MethodError> {
    use Response as R;
    Ok(match request {
        Request::ServerFeatures(_) => R::ServerFeatures(features(turn.services, &turn.view)),
        Request::ServerAddPeer(params) => R::ServerAddPeer(server::add_peer(turn, &params)),
        Request::ServerPeersSubscribe(_) => R::ServerPeersSubscribe(server::peers_subscribe(turn)),
        Request::ServerBanner(_) => R::ServerBanner(server::banner(turn)),
        Request::ServerDonationAddress(_) => {
            R::ServerDonationAddress(server::donation_address(turn))
        }
        Request::ServerPing(params) => R::ServerPing(server::ping(turn, params)?),

        Request::NumblocksSubscribe(_) => R::NumblocksSubscribe(headers::subscribe_numblocks(turn)),
        Request::HeadersSubscribe(params) => R::HeadersSubscribe(headers::subscribe(turn, params)),
        Request::HeadersGetTip(_) => R::HeadersGetTip(turn.view.tip()),
        Request::HeadersUnsubscribe(_) => {
            R::HeadersUnsubscribe(turn.subscriptions.unsubscribe_headers())
        }
        Request::HeaderGet(params) => R::HeaderGet(headers::get(&turn.view, params)?),
        Request::BlockGetHeader(params) => {
            R::BlockGetHeader(block::get_header(&turn.view, params)?)
        }
        Request::BlockGetChunk(params) => R::BlockGetChunk(block::get_chunk(&turn.view, params)),
        Request::BlockHeader(params) => R::BlockHeader(block::header(&turn.view, params)?),
        Request::BlockHeaders(params) => R::BlockHeaders(block::headers(&turn.view, params)?),

        Request::EstimateFee(params) => R::EstimateFee(fee::estimate_fee(turn, params)),
        Request::RelayFee(_) => R::RelayFee(fee::relay_fee(turn)?),

        Request::AddressGetBalance(params) => {
            let script_hash = address::script_hash(turn, &params.address)?;
            R::AddressGetBalance(scripthash::get_balance(turn, &script_hash)?)
        }
        Request::AddressGetHistory(params) => {
            let script_hash = address::script_hash(turn, &params.address)?;
            let history = scripthash::get_history(turn, &script_hash, HeightRange::ALL)?;
            R::AddressGetHistory(history)
        }
        Request::AddressGetMempool(params) => {
            let script_hash = address::script_hash(turn, &params.address)?;
            R::AddressGetMempool(scripthash::get_mempool(turn, &script_hash))
        }
        Request::AddressListUnspent(params) => {
            let script_hash = address::script_hash(turn, &params.address)?;
            R::AddressListUnspent(scripthash::list_unspent(turn, &script_hash)?)
        }
        Request::AddressSubscribe(params) => {
            R::AddressSubscribe(address::subscribe(turn, params.address)?)
        }

        Request::ScripthashGetBalance(params) => {
            R::ScripthashGetBalance(scripthash::get_balance(turn, &params.script_hash)?)
        }
        Request::ScripthashGetHistory(params) => {
            let history = scripthash::get_history(turn, &params.script_hash, params.heights)?;
            R::ScripthashGetHistory(history)
        }
        Request::ScripthashGetMempool(params) => {
            R::ScripthashGetMempool(scripthash::get_mempool(turn, &params.script_hash))
        }
        Request::ScripthashListUnspent(params) => {
            R::ScripthashListUnspent(scripthash::list_unspent(turn, &params.script_hash)?)
        }
        Request::ScripthashSubscribe(params) => {
            R::ScripthashSubscribe(scripthash::subscribe(turn, params.script_hash)?)
        }
        Request::ScripthashUnsubscribe(params) => {
            R::ScripthashUnsubscribe(scripthash::unsubscribe(turn, &params.script_hash))
        }
        Request::ScripthashGetStatus(params) => {
            R::ScripthashGetStatus(scripthash::get_status(turn, params.script_hash)?)
        }
        Request::ScripthashGetFirstUse(params) => {
            R::ScripthashGetFirstUse(scripthash::get_first_use(turn, &params.script_hash)?)
        }

        Request::ScriptpubkeyGetBalance(params) => {
            R::ScriptpubkeyGetBalance(scripthash::get_balance(turn, &hash(&params.script))?)
        }
        Request::ScriptpubkeyGetHistory(params) => {
            let history = scripthash::get_history(turn, &hash(&params.script), params.heights)?;
            R::ScriptpubkeyGetHistory(History(history))
        }
        Request::ScriptpubkeyGetMempool(params) => {
            let history = scripthash::get_mempool(turn, &hash(&params.script));
            R::ScriptpubkeyGetMempool(History(history))
        }
        Request::ScriptpubkeyListUnspent(params) => {
            let unspent = scripthash::list_unspent(turn, &hash(&params.script))?;
            R::ScriptpubkeyListUnspent(Unspents(unspent))
        }
        Request::ScriptpubkeySubscribe(params) => {
            R::ScriptpubkeySubscribe(scripthash::subscribe(turn, hash(&params.script))?)
        }
        Request::ScriptpubkeyUnsubscribe(params) => {
            R::ScriptpubkeyUnsubscribe(scripthash::unsubscribe(turn, &hash(&params.script)))
        }

        Request::OutpointSubscribe(params) => {
            R::OutpointSubscribe(outpoint::subscribe(turn, &params)?)
        }
        Request::OutpointGetStatus(params) => {
            R::OutpointGetStatus(outpoint::get_status(turn, &params)?)
        }
        Request::OutpointUnsubscribe(params) => {
            R::OutpointUnsubscribe(outpoint::unsubscribe(turn, params))
        }
        Request::UtxoGetAddress(params) => R::UtxoGetAddress(outpoint::get_address(turn, params)?),
        Request::UtxoGetInfo(params) => R::UtxoGetInfo(outpoint::get_info(turn, params)?),

        Request::TransactionBroadcast(params) => {
            R::TransactionBroadcast(transaction::broadcast(turn, &params)?)
        }
        Request::TransactionBroadcastPackage(params) => {
            R::TransactionBroadcastPackage(transaction::broadcast_package(turn, &params)?)
        }
        Request::TransactionTestMempoolAccept(params) => {
            R::TransactionTestMempoolAccept(transaction::test_mempool_accept(turn, &params)?)
        }
        Request::TransactionGet(params) => R::TransactionGet(transaction::get(turn, params)?),
        Request::TransactionGetMerkle(params) => {
            R::TransactionGetMerkle(transaction::get_merkle(&turn.view, params)?)
        }
        Request::TransactionIdFromPos(params) => {
            R::TransactionIdFromPos(transaction::id_from_pos(&turn.view, params)?)
        }
        Request::TransactionGetHeight(params) => {
            R::TransactionGetHeight(transaction::get_height(turn, &params.txid)?)
        }
        Request::TransactionGetConfirmedBlockhash(params) => {
            let block = transaction::get_confirmed_blockhash(&turn.view, params)?;
            R::TransactionGetConfirmedBlockhash(block)
        }
        Request::TransactionSubscribe(params) => {
            R::TransactionSubscribe(transaction::subscribe(turn, params.txid)?)
        }
        Request::TransactionUnsubscribe(params) => {
            R::TransactionUnsubscribe(transaction::unsubscribe(turn, &params.txid))
        }

        Request::MempoolGetFeeHistogram(_) => {
            R::MempoolGetFeeHistogram(mempool::fee_histogram(turn))
        }
        Request::MempoolGetInfo(_) => R::MempoolGetInfo(mempool::info(turn)?),
        Request::MempoolRecent(_) => R::MempoolRecent(mempool::recent(turn)),
    })
}

fn hash(script: &Script) -> ScriptHash {
    ScriptHash::from_script(script)
}

/// Says what changed of some outpoints and transactions that a session watches.
pub(super) fn other_news(
    others: &mut Others,
    services: &Services,
    view: &View,
    count: usize,
) -> Result<Vec<Notification>, QueryError> {
    let mut notifications = outpoint::news(others, services, view, count)?;
    notifications.extend(transaction::news(others, view, count)?);
    Ok(notifications)
}
