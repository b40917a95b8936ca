//! What a session may see when the server has some wallets only.
//!
//! Two things keep wallets apart. A session works with a [view](crate::view::View::shown_to) that has nothing but what
//! touches the wallets that its listener shows, so whatever it computes does not depend on others. And a request about a
//! script is answered as `unwatched` says when the script is in none of them.

use bitcoin::Script;
use electrum_protocol::{Request, Response, ScriptHash};
use tracing::{debug, info};

use super::reply::MethodError;
use super::services::{Services, Wallets};
use super::{Session, handlers};
use crate::personal::{Standing, Unwatched};
use crate::view::View;

/// What a request is about, as far as that has to do with wallets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// The server, the node, its chain of headers, or what the node says of the transactions in the request: the same for
    /// everybody.
    Public,
    /// What the client has subscribed to before.
    Session,
    /// The mempool as a whole, of which nothing is told when only some wallets are followed.
    Mempool,
    /// Transactions, which go by their txid, their place in a block or one of their outputs. The view has those that touch
    /// a wallet which is shown; the others are as unknown as any transaction on earth.
    Transactions,
    /// A script, which is in a wallet that is shown or is not.
    Script(ScriptHash),
}

impl Subject {
    /// Says what a request is about. There is no arm for the rest: whoever adds a method has to say it here.
    fn of(request: &Request, view: &View) -> Self {
        let script = |script: &Script| Self::Script(ScriptHash::from_script(script));
        // What is no address is about nothing, and the handler says so.
        let address = |address: &str| {
            handlers::script_of_address(view, address).map_or(Self::Public, Self::Script)
        };
        match request {
            Request::ServerFeatures(_)
            | Request::ServerAddPeer(_)
            | Request::ServerPeersSubscribe(_)
            | Request::ServerBanner(_)
            | Request::ServerDonationAddress(_)
            | Request::ServerPing(_)
            | Request::NumblocksSubscribe(_)
            | Request::HeadersSubscribe(_)
            | Request::HeadersGetTip(_)
            | Request::HeaderGet(_)
            | Request::BlockGetHeader(_)
            | Request::BlockGetChunk(_)
            | Request::BlockHeader(_)
            | Request::BlockHeaders(_)
            | Request::EstimateFee(_)
            | Request::RelayFee(_)
            | Request::TransactionBroadcast(_)
            | Request::TransactionBroadcastPackage(_)
            | Request::TransactionTestMempoolAccept(_)
            | Request::MempoolGetInfo(_) => Self::Public,

            Request::HeadersUnsubscribe(_)
            | Request::ScripthashUnsubscribe(_)
            | Request::ScriptpubkeyUnsubscribe(_)
            | Request::OutpointUnsubscribe(_)
            | Request::TransactionUnsubscribe(_) => Self::Session,

            Request::MempoolGetFeeHistogram(_) | Request::MempoolRecent(_) => Self::Mempool,

            Request::TransactionGet(_)
            | Request::TransactionGetMerkle(_)
            | Request::TransactionIdFromPos(_)
            | Request::TransactionGetHeight(_)
            | Request::TransactionGetConfirmedBlockhash(_)
            | Request::TransactionSubscribe(_)
            | Request::UtxoGetAddress(_)
            | Request::UtxoGetInfo(_) => Self::Transactions,

            Request::ScripthashGetBalance(params) => Self::Script(params.script_hash),
            Request::ScripthashGetHistory(params) => Self::Script(params.script_hash),
            Request::ScripthashGetMempool(params) => Self::Script(params.script_hash),
            Request::ScripthashListUnspent(params) => Self::Script(params.script_hash),
            Request::ScripthashSubscribe(params) => Self::Script(params.script_hash),
            Request::ScripthashGetStatus(params) => Self::Script(params.script_hash),
            Request::ScripthashGetFirstUse(params) => Self::Script(params.script_hash),
            Request::ScriptpubkeyGetBalance(params) => script(&params.script),
            Request::ScriptpubkeyGetHistory(params) => script(&params.script),
            Request::ScriptpubkeyGetMempool(params) => script(&params.script),
            Request::ScriptpubkeyListUnspent(params) => script(&params.script),
            Request::ScriptpubkeySubscribe(params) => script(&params.script),
            Request::AddressGetBalance(params) => address(&params.address),
            Request::AddressGetHistory(params) => address(&params.address),
            Request::AddressGetMempool(params) => address(&params.address),
            Request::AddressListUnspent(params) => address(&params.address),
            Request::AddressSubscribe(params) => address(&params.address),
            Request::OutpointSubscribe(params) => {
                let hint = params.script_hint.as_deref();
                hint.map_or(Self::Transactions, script)
            }
            Request::OutpointGetStatus(params) => {
                let hint = params.script_hint.as_deref();
                hint.map_or(Self::Transactions, script)
            }
        }
    }
}

impl Services {
    /// Whether sessions may see a script that was found by other means than its name.
    pub(super) fn may_see(&self, script_hash: &ScriptHash) -> bool {
        self.wallets.as_ref().is_none_or(|wallets| {
            let standing = wallets
                .handle
                .watched()
                .standing(script_hash, &wallets.allowed);
            matches!(standing, Standing::Known)
        })
    }
}

impl Session {
    /// Returns the answer to a request about a script of none of the wallets that the session may see, unless that is what
    /// the view has of it: nothing.
    pub(super) fn of_no_wallet(
        &mut self,
        request: &Request,
        services: &Services,
    ) -> Option<Result<Response, MethodError>> {
        let Wallets {
            handle,
            allowed,
            unwatched,
            ..
        } = services.wallets.as_ref()?;
        let script_hash = match Subject::of(request, &self.view(services)) {
            Subject::Script(script_hash) => script_hash,
            Subject::Public | Subject::Session | Subject::Mempool | Subject::Transactions => {
                return None;
            }
        };
        match handle.watched().standing(&script_hash, allowed) {
            Standing::Known => return None,
            Standing::Scanning(wallet) => return Some(Err(MethodError::Scanning { wallet })),
            Standing::Unknown => {}
        }
        debug!(%script_hash, "a client asks for a script that is in none of the wallets");
        if !std::mem::replace(&mut self.has_logged, true) {
            info!(
                "a client asks for a script that is in none of the wallets: {} (this is said once for each client)",
                match unwatched {
                    Unwatched::Empty => "it is told that it was never used",
                    Unwatched::Reject => "it is refused",
                    Unwatched::Watch => "it is watched from now on",
                }
            );
        }
        match unwatched {
            Unwatched::Empty => None,
            Unwatched::Reject => Some(Err(MethodError::NotWatched { script_hash })),
            Unwatched::Watch => {
                // Also in a block that the writer is at just now.
                let next = self.view(services).height().saturating_add(1);
                handle.watch_for(allowed, script_hash, next);
                None
            }
        }
    }
}
