//! Decoders that are nobody's business but ours, for the fuzz targets of this project. No part of the public surface.

use std::net::SocketAddr;
use std::path::Path;

use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{BlockHash, Txid};

use crate::chain::{txid_of, walk};

/// Reads the header of a proxy that begins these bytes; returns for whom the proxy speaks, if for anybody, and how many
/// bytes the header takes.
#[cfg(feature = "net")]
pub fn proxy_header(bytes: &[u8]) -> Option<(Option<SocketAddr>, usize)> {
    crate::net::proxy_header(bytes)
}

/// Walks through a block, and returns the txids.
pub fn block(bytes: &[u8]) -> Option<Vec<Txid>> {
    let hash = BlockHash::from_raw_hash(sha256d::Hash::hash(bytes.get(..80)?));
    let mut txids = Vec::new();
    walk(&hash, bytes, |_, tx| {
        txids.push(tx.txid());
        Ok(())
    })
    .ok()?;
    Some(txids)
}

/// Reads a transaction, and returns its txid.
pub fn transaction(bytes: &[u8]) -> Option<Txid> {
    txid_of(bytes)
}

/// Opens a file of rows whose end is made to fit, and reads everything in it; returns how many rows it was.
pub fn piece(bytes: &[u8], path: &Path) -> std::io::Result<usize> {
    crate::store::fuzz_piece(bytes, path)
}
