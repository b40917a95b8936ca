//! `blockchain.block.*`

use electrum_protocol::method::block::{
    Chunk, DeserializedHeader, GetChunk, GetHeader, Header, HeaderResponse, Headers,
    HeadersResponse,
};
use electrum_protocol::{CheckpointProof, Tip};

use super::MethodError;
use crate::view::View;

/// The most headers in one answer: those between two changes of the difficulty. Clients count on it.
const MAX_HEADERS: u32 = 2016;

pub(super) fn get_header(
    view: &View,
    params: GetHeader,
) -> Result<DeserializedHeader, MethodError> {
    let GetHeader { height } = params;
    match view.header(height) {
        Some(header) => Ok(DeserializedHeader(Tip { height, header })),
        None => Err(MethodError::HeightOutOfRange { height }),
    }
}

/// Returns as many headers of the chunk as there are; past the tip none, and that is no error.
pub(super) fn get_chunk(view: &View, params: GetChunk) -> Chunk {
    let first = params.index.checked_mul(MAX_HEADERS);
    let headers = first.map(|first| headers_from(view, first, MAX_HEADERS));
    Chunk(headers.unwrap_or_default())
}

fn headers_from(view: &View, first: u32, count: u32) -> Vec<bitcoin::block::Header> {
    (first..first.saturating_add(count))
        .map_while(|height| view.header(height))
        .collect()
}

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
    let headers = headers_from(view, start_height, count.min(MAX_HEADERS));
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
