//! `blockchain.block.*`: headers by height, with proofs that they are under a checkpoint.

use bitcoin::block::Header as RawHeader;
use bitcoin::consensus::{Encodable, encode};
use serde_json::value::RawValue;

use super::Parameters;
use crate::hex;
use crate::json::{
    DecodeError, FromJson, Object, ToJson, bind, optional, required, text, unexpected,
};
use crate::jsonrpc::Params;
use crate::merkle::CheckpointProof;
use crate::version::ProtocolVersion;

/// `blockchain.block.header`: the header at a height.
///
/// Params: `[height, cp_height = 0]`. Result: [`HeaderResponse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The height of the block.
    pub height: u32,
    /// The height of the checkpoint to prove the header under; 0 for no proof.
    pub cp_height: u32,
}

impl Parameters for Header {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [height, cp_height] = params.bind(["height", "cp_height"])?;
        Ok(Self {
            height: required(height, "height")?,
            cp_height: optional(cp_height, "cp_height")?.unwrap_or(0),
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut params = vec![self.height];
        if self.cp_height != 0 {
            params.push(self.cp_height);
        }
        params.to_json(version, out);
    }
}

/// A header, and the proof that was asked for.
///
/// Without a proof the wire has the header alone, as a string of 160 hexadecimal digits; with one:
///
/// ```json
/// {"branch": ["000000004ebadb55…", "…"], "header": "0100000085144a84…", "root": "e347b1c43fd9b541…"}
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderResponse {
    /// The header.
    pub header: RawHeader,
    /// Present exactly when `cp_height` was not 0.
    pub proof: Option<CheckpointProof>,
}

impl ToJson for HeaderResponse {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        match &self.proof {
            None => self.header.to_json(version, out),
            Some(proof) => Object::begin(out)
                .field("branch", &proof.branch, version)
                .field("header", &self.header, version)
                .field("root", &proof.root, version)
                .end(),
        }
    }
}

impl FromJson for HeaderResponse {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        if raw.get().starts_with('"') {
            return Ok(Self {
                header: RawHeader::from_json(raw)?,
                proof: None,
            });
        }
        let [branch, header, root] = bind(raw, ["branch", "header", "root"], false)?;
        Ok(Self {
            header: required(header, "header")?,
            proof: Some(CheckpointProof {
                branch: required(branch, "branch")?,
                root: required(root, "root")?,
            }),
        })
    }
}

/// `blockchain.block.headers`: consecutive headers.
///
/// Params: `[start_height, count, cp_height = 0]`. Result: [`HeadersResponse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// The height of the first header.
    pub start_height: u32,
    /// How many are wanted; fewer come when the chain ends or the server's maximum is reached.
    pub count: u32,
    /// The height of the checkpoint to prove the last header under; 0 for no proof.
    pub cp_height: u32,
}

impl Parameters for Headers {
    fn decode(params: Params<'_>, _: ProtocolVersion) -> Result<Self, DecodeError> {
        let [start_height, count, cp_height] =
            params.bind(["start_height", "count", "cp_height"])?;
        Ok(Self {
            start_height: required(start_height, "start_height")?,
            count: required(count, "count")?,
            cp_height: optional(cp_height, "cp_height")?.unwrap_or(0),
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut params = vec![self.start_height, self.count];
        if self.cp_height != 0 {
            params.push(self.cp_height);
        }
        params.to_json(version, out);
    }
}

/// Consecutive headers, and the proof that was asked for.
///
/// Before protocol 1.6 the headers are one string, from 1.6 on a list of strings:
///
/// ```json
/// {"count": 2, "hex": "0100000000…", "max": 2016}
/// {"count": 2, "headers": ["0100000000…", "010000006f…"], "max": 2016}
/// ```
///
/// `branch` and `root` appear beside them when there is a proof; it is for the last header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadersResponse {
    /// The headers in chain order.
    pub headers: Vec<RawHeader>,
    /// The most that the server returns in one answer.
    pub max: u32,
    /// Present exactly when `cp_height` was not 0 and there is at least one header.
    pub proof: Option<CheckpointProof>,
}

impl ToJson for HeadersResponse {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        object.field("count", &(self.headers.len() as u64), version);
        if version >= ProtocolVersion::V1_6 {
            object.field("headers", &self.headers, version);
        } else {
            let out = object.key("hex");
            out.push(b'"');
            let mut bytes = Vec::with_capacity(self.headers.len() * RawHeader::SIZE);
            for header in &self.headers {
                header
                    .consensus_encode(&mut bytes)
                    .expect("writing to memory does not fail");
            }
            hex::encode(bytes, out);
            out.push(b'"');
        }
        object.field("max", &self.max, version);
        if let Some(proof) = &self.proof {
            object
                .field("branch", &proof.branch, version)
                .field("root", &proof.root, version);
        }
        object.end();
    }
}

/// Takes either shape at any version: which one it is cannot be mistaken.
impl FromJson for HeadersResponse {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let names = ["count", "hex", "headers", "max", "branch", "root"];
        let [count, hex, headers, max, branch, root] = bind(raw, names, false)?;
        let headers: Vec<RawHeader> = match (headers, hex) {
            (Some(headers), _) => required(Some(headers), "headers")?,
            (None, hex) => required::<Concatenated>(hex, "hex")?.0,
        };
        let count_raw = count.ok_or_else(|| DecodeError::missing("count"))?;
        if required::<u64>(count, "count")? != headers.len() as u64 {
            let error = unexpected("the number of headers that follow", count_raw);
            return Err(error.within("count"));
        }
        let proof = match (optional(branch, "branch")?, optional(root, "root")?) {
            (Some(branch), Some(root)) => Some(CheckpointProof { branch, root }),
            (None, None) => None,
            (Some(_), None) => return Err(DecodeError::missing("root")),
            (None, Some(_)) => return Err(DecodeError::missing("branch")),
        };
        Ok(Self {
            headers,
            max: required(max, "max")?,
            proof,
        })
    }
}

/// Headers of 160 digits each, one after the other.
struct Concatenated(Vec<RawHeader>);

impl FromJson for Concatenated {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        text(raw)
            .and_then(|text| hex::decode(&text))
            .and_then(|bytes| {
                let (headers, rest) = bytes.as_chunks::<80>();
                let headers = headers.iter().map(|bytes| encode::deserialize(bytes).ok());
                rest.is_empty()
                    .then(|| headers.collect::<Option<Vec<_>>>())?
            })
            .map(Self)
            .ok_or_else(|| unexpected("block headers of 160 hexadecimal digits each", raw))
    }
}
