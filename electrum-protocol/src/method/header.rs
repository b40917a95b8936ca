//! `blockchain.header.*`: a header by its hash. An extension.

use bitcoin::BlockHash;

use super::Parameters;
use crate::json::{DecodeError, FromJson, ToJson, array, required, unexpected};
use crate::jsonrpc::Params;
use crate::version::ProtocolVersion;
use serde_json::value::RawValue;

/// `blockchain.header.get`: the header of a block of the active chain.
///
/// Params: `[block_hash]`, a hash or a height. Result: [`Tip`](super::headers::Tip), the header with its height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Get {
    /// Which block.
    pub block: Block,
}

/// One way or the other to name a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// By its hash.
    Hash(BlockHash),
    /// By its height.
    Height(u32),
}

impl Parameters for Get {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [block] = params.bind(["block_hash"])?;
        Ok(Self {
            block: required(block, "block_hash")?,
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        array([self.block], out, |block, out| match block {
            Block::Hash(hash) => hash.to_json(version, out),
            Block::Height(height) => height.to_json(version, out),
        });
    }
}

impl FromJson for Block {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let block = match raw.get().starts_with('"') {
            true => BlockHash::from_json(raw).map(Self::Hash),
            false => u32::from_json(raw).map(Self::Height),
        };
        block.map_err(|_| unexpected("a block hash of 64 hexadecimal digits or a height", raw))
    }
}
