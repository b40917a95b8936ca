//! `blockchain.block.*`

use electrum_protocol::CheckpointProof;
use electrum_protocol::method::block::{Header, HeaderResponse, Headers, HeadersResponse};

use super::MethodError;
use crate::view::View;

/// The most headers in one answer: those between two changes of the difficulty. Clients count on it.
const MAX_HEADERS: u32 = 2016;

pub(super) fn header(view: &View, params: Header) -> Result<HeaderResponse, MethodError> {
    let Header { height, cp_height } = params;
    let header = view
        .header(height)
        .ok_or(MethodError::HeightOutOfRange { height })?;
    let proof = match cp_height {
        0 => None,
        _ => Some(prove(view, height, cp_height)?),
    };
    Ok(HeaderResponse { header, proof })
}

/// Returns as many headers as there are; past the tip none, and that is no error.
pub(super) fn headers(view: &View, params: Headers) -> Result<HeadersResponse, MethodError> {
    let Headers {
        start_height,
        count,
        cp_height,
    } = params;
    let count = count.min(MAX_HEADERS);
    let headers: Vec<_> = (start_height..start_height.saturating_add(count))
        .map_while(|height| view.header(height))
        .collect();
    // A vector of at most MAX_HEADERS, whose heights all exist.
    let last = start_height
        .saturating_add(headers.len() as u32)
        .saturating_sub(1);
    let proof = match cp_height {
        0 => None,
        _ if headers.is_empty() => None,
        _ => Some(prove(view, last, cp_height)?),
    };
    Ok(HeadersResponse {
        headers,
        max: MAX_HEADERS,
        proof,
    })
}

fn prove(view: &View, height: u32, cp_height: u32) -> Result<CheckpointProof, MethodError> {
    view.checkpoint_proof(height, cp_height).ok_or_else(|| {
        let tip = view.height();
        MethodError::CheckpointOutOfRange {
            height,
            cp_height,
            tip,
        }
    })
}
