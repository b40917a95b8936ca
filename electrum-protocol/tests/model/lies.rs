//! A server that lies in some of its answers.

use electrum_protocol::bitcoin::Transaction;
use electrum_protocol::script_sync::{Config, Limits, SyncError};
use electrum_protocol::{ProtocolVersion, Request, Response, ScriptHash};

use super::{Model, Wallet, script};

pub(crate) fn limits() -> Limits {
    Limits {
        scripts: 50,
        entries: 40,
        transaction_bytes: 5_000,
    }
}

pub(crate) fn config() -> Config {
    Config {
        proofs: true,
        limits: limits(),
    }
}

/// Answers as the model does, except where `lie` has something else to say.
pub(crate) fn run(
    model: &mut Model,
    wallet: &mut Wallet,
    mut lie: impl FnMut(&Request) -> Option<Response>,
) -> Result<usize, SyncError> {
    let mut asked = 0;
    while let Some(request) = wallet.scripts.poll_request() {
        asked += 1;
        assert!(asked < 10_000, "this does not end");
        let headers = wallet.headers.chain();
        match lie(&request).or_else(|| model.answer(&request)) {
            Some(response) => {
                wallet.scripts.answer(&request, response, headers)?;
            }
            None => wallet.scripts.refused(&request, headers),
        }
    }
    Ok(asked)
}

/// A server with one payment in a block, and a wallet that knows its headers.
pub(crate) fn start() -> (Model, Wallet, Transaction) {
    start_with(limits())
}

pub(crate) fn start_with(limits: Limits) -> (Model, Wallet, Transaction) {
    let mut model = Model::new(ProtocolVersion::V1_4);
    let payment = model.make(&[], &[script(0, 1), script(0, 2)]);
    model.mempool.push(payment.clone());
    model.mine(1);
    let mut wallet = Wallet::new(&model, Config { limits, ..config() });
    while let Some(request) = wallet.headers.poll_request() {
        let response = model.answer(&request).unwrap();
        wallet.headers.receive(response, None).unwrap();
    }
    (model, wallet, payment)
}

pub(crate) fn hash(keychain: u8, index: u32) -> ScriptHash {
    ScriptHash::from_script(&script(keychain, index))
}
