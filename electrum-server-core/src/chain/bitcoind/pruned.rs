//! What a node that has pruned its blocks can still be asked for.

use std::ops::RangeInclusive;

use bitcoin::{BlockHash, ScriptBuf};
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::rpc::{self, CallError, ErrorReply};
use crate::chain::SourceError;

/// "Scan already in progress" (`RPC_INVALID_PARAMETER`).
const BUSY: i32 = -8;

impl Shared {
    /// Lets the node look through its compact filters; `None` when it has none.
    pub(super) fn scan_filters(
        &self,
        scripts: &[ScriptBuf],
        heights: RangeInclusive<u32>,
    ) -> Result<Option<Vec<BlockHash>>, SourceError> {
        #[derive(Deserialize)]
        struct Scan {
            #[serde(rename = "to_height")]
            to: u32,
            #[serde(rename = "relevant_blocks")]
            blocks: Vec<BlockHash>,
        }
        let method = "scanblocks";
        let scripts: Vec<_> = scripts
            .iter()
            .map(|script| json!(format!("raw({script:x})")))
            .collect();
        let params = [
            json!("start"),
            json!(scripts),
            json!(heights.start()),
            json!(heights.end()),
            json!("basic"),
        ];
        match self.rpc.call::<Option<Scan>>(method, &params) {
            // The filters may not be as far as the chain.
            Ok(Some(scan)) if scan.to >= *heights.end() => Ok(Some(scan.blocks)),
            Ok(_) => Ok(None),
            Err(CallError::Refused(ErrorReply { code: BUSY, .. })) => Err(SourceError::transient(
                "somebody else lets the node scan its blocks (scanblocks)",
            )),
            // No such index, or it is still being built; or an older node.
            Err(CallError::Refused(ErrorReply {
                code: rpc::MISC_ERROR | rpc::METHOD_NOT_FOUND,
                ..
            })) => Ok(None),
            Err(error) => Err(error.into_source(method)),
        }
    }

    /// Asks a peer that has all blocks for one, each attempt another peer.
    pub(super) fn request_block(
        &self,
        hash: &BlockHash,
        attempt: usize,
    ) -> Result<bool, SourceError> {
        #[derive(Deserialize)]
        struct Peer {
            id: u64,
            #[serde(rename = "servicesnames", default)]
            services: Vec<String>,
        }
        let mut peers: Vec<Peer> = self.ask("getpeerinfo", &[])?;
        peers.retain(|peer| peer.services.iter().any(|service| service == "NETWORK"));
        let first = attempt.checked_rem(peers.len()).unwrap_or_default();
        peers.rotate_left(first);
        let method = "getblockfrompeer";
        for peer in peers {
            match self
                .rpc
                .call::<serde_json::Value>(method, &[json!(hash), json!(peer.id)])
            {
                Ok(_) => return Ok(true),
                // This peer will not do, or the block is on its way or there already.
                Err(CallError::Refused(ErrorReply { message, .. }))
                    if message.to_ascii_lowercase().contains("already") =>
                {
                    return Ok(true);
                }
                Err(CallError::Refused(_)) => {}
                Err(error) => return Err(error.into_source(method)),
            }
        }
        Ok(false)
    }
}
