//! What a session may see when the server has some wallets only.

use bitcoin::ScriptBuf;
use electrum_protocol::method::outpoint::OutpointStatus;
use electrum_protocol::method::scriptpubkey::{History, Unspents};
use electrum_protocol::{Balance, Request, Response, ScriptHash};
use tracing::info;

use super::reply::MethodError;
use super::services::{Services, Wallets};
use super::{Session, handlers};
use crate::personal::{Standing, Unwatched};
use crate::view::View;

/// The script that a request is about.
fn script_hash(request: &Request, view: &View) -> Option<ScriptHash> {
    let hash = |script: &ScriptBuf| Some(ScriptHash::from_script(script));
    let of_address = |address: &str| handlers::script_of_address(view, address);
    match request {
        Request::ScripthashGetBalance(params) => Some(params.script_hash),
        Request::ScripthashGetHistory(params) => Some(params.script_hash),
        Request::ScripthashGetMempool(params) => Some(params.script_hash),
        Request::ScripthashListUnspent(params) => Some(params.script_hash),
        Request::ScripthashSubscribe(params) => Some(params.script_hash),
        Request::ScripthashGetStatus(params) => Some(params.script_hash),
        Request::ScripthashGetFirstUse(params) => Some(params.script_hash),
        Request::ScriptpubkeyGetBalance(params) => hash(&params.script),
        Request::ScriptpubkeyGetHistory(params) => hash(&params.script),
        Request::ScriptpubkeyGetMempool(params) => hash(&params.script),
        Request::ScriptpubkeyListUnspent(params) => hash(&params.script),
        Request::ScriptpubkeySubscribe(params) => hash(&params.script),
        Request::AddressGetBalance(params) => of_address(&params.address),
        Request::AddressGetHistory(params) => of_address(&params.address),
        Request::AddressGetMempool(params) => of_address(&params.address),
        Request::AddressListUnspent(params) => of_address(&params.address),
        Request::AddressSubscribe(params) => of_address(&params.address),
        Request::OutpointSubscribe(params) => params.script_hint.as_ref().and_then(hash),
        Request::OutpointGetStatus(params) => params.script_hint.as_ref().and_then(hash),
        _ => None,
    }
}

/// The answer for a script that nobody has ever used.
fn empty(request: &Request) -> Option<Response> {
    use Response as R;
    Some(match request {
        Request::ScripthashGetBalance(_) => R::ScripthashGetBalance(Balance::default()),
        Request::ScripthashGetHistory(_) => R::ScripthashGetHistory(Vec::new()),
        Request::ScripthashGetMempool(_) => R::ScripthashGetMempool(Vec::new()),
        Request::ScripthashListUnspent(_) => R::ScripthashListUnspent(Vec::new()),
        Request::ScripthashSubscribe(_) => R::ScripthashSubscribe(None),
        Request::ScripthashGetStatus(_) => R::ScripthashGetStatus(None),
        Request::ScripthashGetFirstUse(_) => R::ScripthashGetFirstUse(None),
        Request::ScriptpubkeyGetBalance(_) => R::ScriptpubkeyGetBalance(Balance::default()),
        Request::ScriptpubkeyGetHistory(_) => R::ScriptpubkeyGetHistory(History::default()),
        Request::ScriptpubkeyGetMempool(_) => R::ScriptpubkeyGetMempool(History::default()),
        Request::ScriptpubkeyListUnspent(_) => R::ScriptpubkeyListUnspent(Unspents::default()),
        Request::ScriptpubkeySubscribe(_) => R::ScriptpubkeySubscribe(None),
        Request::AddressGetBalance(_) => R::AddressGetBalance(Balance::default()),
        Request::AddressGetHistory(_) => R::AddressGetHistory(Vec::new()),
        Request::AddressGetMempool(_) => R::AddressGetMempool(Vec::new()),
        Request::AddressListUnspent(_) => R::AddressListUnspent(Vec::new()),
        Request::AddressSubscribe(_) => R::AddressSubscribe(None),
        Request::OutpointSubscribe(_) => R::OutpointSubscribe(OutpointStatus::Missing),
        Request::OutpointGetStatus(_) => R::OutpointGetStatus(OutpointStatus::Missing),
        _ => return None,
    })
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
    /// Returns the answer to a request about a script of none of the wallets that the session may see; nothing when it is
    /// one of theirs, or when the server has the whole chain.
    pub(super) fn of_no_wallet(
        &mut self,
        request: &Request,
        services: &Services,
    ) -> Option<Result<Response, MethodError>> {
        let Wallets {
            handle,
            allowed,
            unwatched,
        } = services.wallets.as_ref()?;
        let script_hash = script_hash(request, &self.view(services))?;
        match handle.watched().standing(&script_hash, allowed) {
            Standing::Known => return None,
            Standing::Scanning(wallet) => return Some(Err(MethodError::Scanning { wallet })),
            Standing::Unknown => {}
        }
        if !std::mem::replace(&mut self.has_logged, true) {
            info!(
                "a client asks for script hash {script_hash}, which is in none of the wallets: {} \
                 (this is said once for each client)",
                match unwatched {
                    Unwatched::Empty => "it is told that it was never used",
                    Unwatched::Reject => "it is refused",
                    Unwatched::Watch => "it is watched from now on",
                }
            );
        }
        match unwatched {
            Unwatched::Empty => empty(request).map(Ok),
            Unwatched::Reject => Some(Err(MethodError::NotWatched { script_hash })),
            Unwatched::Watch => {
                // Also in a block that the writer is at just now.
                let next = self.view(services).height().saturating_add(1);
                handle.watch(script_hash, next);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::OutPoint;
    use electrum_protocol::method::{address, outpoint, scripthash, scriptpubkey};

    use super::*;
    use crate::session::tests::{Stage, script_hash as hash_of};

    /// However a script is named, the question is seen to be about it, and has an answer that says nothing.
    #[test]
    fn every_question_about_a_script_has_an_empty_answer() {
        let script_hash = hash_of(1);
        let script = crate::session::tests::script(1);
        let address = bitcoin::Address::from_script(&script, bitcoin::Network::Regtest);
        let address = || address.clone().unwrap().to_string();
        let heights = Default::default();
        let outpoint = OutPoint::null();
        let script_hint = Some(script.clone());
        let requests: [Request; 19] = [
            scripthash::GetBalance { script_hash }.into(),
            scripthash::GetHistory::whole(script_hash).into(),
            scripthash::GetMempool { script_hash }.into(),
            scripthash::ListUnspent { script_hash }.into(),
            scripthash::Subscribe { script_hash }.into(),
            scripthash::GetStatus { script_hash }.into(),
            scripthash::GetFirstUse { script_hash }.into(),
            scriptpubkey::GetBalance {
                script: script.clone(),
            }
            .into(),
            scriptpubkey::GetHistory {
                script: script.clone(),
                heights,
            }
            .into(),
            scriptpubkey::GetMempool {
                script: script.clone(),
            }
            .into(),
            scriptpubkey::ListUnspent {
                script: script.clone(),
            }
            .into(),
            scriptpubkey::Subscribe { script }.into(),
            address::GetBalance { address: address() }.into(),
            address::GetHistory { address: address() }.into(),
            address::GetMempool { address: address() }.into(),
            address::ListUnspent { address: address() }.into(),
            address::Subscribe { address: address() }.into(),
            outpoint::Subscribe {
                outpoint,
                script_hint: script_hint.clone(),
            }
            .into(),
            outpoint::GetStatus {
                outpoint,
                script_hint,
            }
            .into(),
        ];
        let view = Stage::new().view();
        for request in requests {
            assert_eq!(super::script_hash(&request, &view), Some(script_hash));
            let empty = empty(&request).expect("there is an empty answer");
            assert_eq!(empty.method(), request.method());
        }
    }
}
