//! What a session may see when the server has some wallets only.

use electrum_protocol::{Balance, Request, Response, ScriptHash};
use tracing::info;

use super::Session;
use super::reply::MethodError;
use super::services::{Services, Wallets};
use crate::personal::{Standing, Unwatched};

/// The script that a request is about.
fn script_hash(request: &Request) -> Option<ScriptHash> {
    Some(match request {
        Request::ScripthashGetBalance(params) => params.script_hash,
        Request::ScripthashGetHistory(params) => params.script_hash,
        Request::ScripthashGetMempool(params) => params.script_hash,
        Request::ScripthashListUnspent(params) => params.script_hash,
        Request::ScripthashSubscribe(params) => params.script_hash,
        _ => return None,
    })
}

/// The answer for a script that nobody has ever used.
fn empty(request: &Request) -> Option<Response> {
    Some(match request {
        Request::ScripthashGetBalance(_) => Response::ScripthashGetBalance(Balance::default()),
        Request::ScripthashGetHistory(_) => Response::ScripthashGetHistory(Vec::new()),
        Request::ScripthashGetMempool(_) => Response::ScripthashGetMempool(Vec::new()),
        Request::ScripthashListUnspent(_) => Response::ScripthashListUnspent(Vec::new()),
        Request::ScripthashSubscribe(_) => Response::ScripthashSubscribe(None),
        _ => return None,
    })
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
        let script_hash = script_hash(request)?;
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
                handle.watch(script_hash);
                None
            }
        }
    }
}
