//! `blockchain.headers.*`, `blockchain.header.*` and `blockchain.numblocks.*`

use electrum_protocol::Tip;
use electrum_protocol::method::header::{Block, Get};
use electrum_protocol::method::headers::{Subscribe, TipResponse};

use super::{MethodError, Turn};
use crate::view::View;

pub(super) fn subscribe(turn: &mut Turn<'_>, params: Subscribe) -> TipResponse {
    let tip = turn.view.tip();
    turn.subscriptions.subscribe_headers(tip, params.raw);
    TipResponse::new(tip, params.raw)
}

pub(super) fn subscribe_numblocks(turn: &mut Turn<'_>) -> u32 {
    let tip = turn.view.tip();
    turn.subscriptions.subscribe_numblocks(tip);
    tip.height
}

pub(super) fn get(view: &View, params: Get) -> Result<Tip, MethodError> {
    match params.block {
        Block::Hash(hash) => view
            .header_of(&hash)
            .ok_or(MethodError::NotInChain { hash }),
        Block::Height(height) => match view.header(height) {
            Some(header) => Ok(Tip { height, header }),
            None => Err(MethodError::HeightOutOfRange { height }),
        },
    }
}
