//! The methods of the protocol, one file per namespace.
//!
//! A handler turns a typed request into a typed result or a [`MethodError`]. It sees one view and never a byte.

mod block;
mod fee;
mod headers;
mod mempool;
mod scripthash;
mod server;
mod transaction;

use std::net::IpAddr;

use electrum_protocol::{Request, Response};

pub(super) use server::features;

use super::Services;
use super::reply::MethodError;
use super::subscriptions::Subscriptions;
use crate::view::View;

/// What a handler works with.
pub(super) struct Turn<'a> {
    pub(super) services: &'a Services,
    /// The view to answer from.
    pub(super) view: View,
    pub(super) subscriptions: &'a mut Subscriptions,
    /// Where the client comes from.
    pub(super) client: Option<IpAddr>,
}

impl Turn<'_> {
    /// Goes on with a view in which everything is that the node has now.
    fn refresh(&mut self) {
        let view = self.services.refreshed_view();
        if view.sequence() > self.view.sequence() {
            self.view = view;
        }
    }
}

/// Handles a request.
pub(super) fn handle(request: Request, turn: &mut Turn<'_>) -> Result<Response, MethodError> {
    Ok(match request {
        Request::ServerFeatures(_) => Response::ServerFeatures(features(turn.services, &turn.view)),
        Request::ServerAddPeer(params) => Response::ServerAddPeer(server::add_peer(turn, &params)),
        Request::ServerPeersSubscribe(_) => {
            Response::ServerPeersSubscribe(server::peers_subscribe(turn))
        }
        Request::ServerBanner(_) => Response::ServerBanner(server::banner(turn)),
        Request::ServerDonationAddress(_) => {
            Response::ServerDonationAddress(server::donation_address(turn))
        }
        Request::ServerPing(_) => Response::ServerPing(()),
        Request::HeadersSubscribe(_) => Response::HeadersSubscribe(headers::subscribe(turn)),
        Request::BlockHeader(params) => Response::BlockHeader(block::header(&turn.view, params)?),
        Request::BlockHeaders(params) => {
            Response::BlockHeaders(block::headers(&turn.view, params)?)
        }
        Request::EstimateFee(params) => Response::EstimateFee(fee::estimate_fee(turn, params)),
        Request::RelayFee(_) => Response::RelayFee(fee::relay_fee(turn)?),
        Request::ScripthashGetBalance(params) => {
            Response::ScripthashGetBalance(scripthash::get_balance(turn, params)?)
        }
        Request::ScripthashGetHistory(params) => {
            Response::ScripthashGetHistory(scripthash::get_history(turn, params)?)
        }
        Request::ScripthashGetMempool(params) => {
            Response::ScripthashGetMempool(scripthash::get_mempool(turn, params)?)
        }
        Request::ScripthashListUnspent(params) => {
            Response::ScripthashListUnspent(scripthash::list_unspent(turn, params)?)
        }
        Request::ScripthashSubscribe(params) => {
            Response::ScripthashSubscribe(scripthash::subscribe(turn, params)?)
        }
        Request::ScripthashUnsubscribe(params) => {
            Response::ScripthashUnsubscribe(scripthash::unsubscribe(turn, params))
        }
        Request::TransactionBroadcast(params) => {
            Response::TransactionBroadcast(transaction::broadcast(turn, &params)?)
        }
        Request::TransactionBroadcastPackage(params) => {
            Response::TransactionBroadcastPackage(transaction::broadcast_package(turn, &params)?)
        }
        Request::TransactionGet(params) => {
            Response::TransactionGet(transaction::get(turn, params)?)
        }
        Request::TransactionGetMerkle(params) => {
            Response::TransactionGetMerkle(transaction::get_merkle(&turn.view, params)?)
        }
        Request::TransactionIdFromPos(params) => {
            Response::TransactionIdFromPos(transaction::id_from_pos(&turn.view, params)?)
        }
        Request::MempoolGetFeeHistogram(_) => {
            Response::MempoolGetFeeHistogram(mempool::fee_histogram(turn))
        }
        Request::MempoolGetInfo(_) => Response::MempoolGetInfo(mempool::info(turn)?),
    })
}
