//! `blockchain.block.*`: headers by height, with proofs that they are under a checkpoint.

use bitcoin::block::{Header as RawHeader, Version};
use bitcoin::consensus::{Encodable, encode};
use bitcoin::hashes::sha256d;
use bitcoin::{CompactTarget, TxMerkleNode};
use serde_json::value::RawValue;

use super::headers::Tip;
use super::{Parameters, one_parameter};
use crate::hex;
use crate::json::{
    DecodeError, FromJson, Object, ToJson, bind, number, optional, required, text, unexpected,
};
use crate::jsonrpc::Params;
use crate::merkle::CheckpointProof;
use crate::version::ProtocolVersion;

one_parameter! {
    /// `blockchain.block.get_header`: the header at a height, taken apart. Gone in protocol 1.4.
    ///
    /// Params: `[height]`. Result: [`DeserializedHeader`].
    #[derive(Copy)]
    GetHeader {
        /// The height of the block.
        height: u32 as "height"
    }

    /// `blockchain.block.get_chunk`: the headers between two changes of the difficulty. Gone in protocol 1.4.
    ///
    /// Params: `[index]`. Result: [`Chunk`].
    #[derive(Copy)]
    GetChunk {
        /// Which chunk; number `n` begins at height `2016 * n`.
        index: u32 as "index"
    }
}

/// A header taken apart, as it was before protocol 1.4.
///
/// ```json
/// {"block_height": 510000, "version": 536870912, "prev_block_hash": "000000000000000000…",
///  "merkle_root": "297cfcc6a66e0636…", "timestamp": 1519083654, "bits": 392292856, "nonce": 3347656422}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeserializedHeader(pub Tip);

impl ToJson for DeserializedHeader {
    fn to_json(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let Tip { height, header } = &self.0;
        let mut object = Object::begin(out);
        object.field("block_height", height, version);
        // Never negative on the wire.
        number(
            header.version.to_consensus().cast_unsigned(),
            object.key("version"),
        );
        object
            .field("prev_block_hash", &header.prev_blockhash, version)
            .field("merkle_root", &header.merkle_root.to_raw_hash(), version)
            .field("timestamp", &header.time, version)
            .field("bits", &header.bits.to_consensus(), version)
            .field("nonce", &header.nonce, version)
            .end();
    }
}

impl FromJson for DeserializedHeader {
    fn from_json(raw: &RawValue) -> Result<Self, DecodeError> {
        let names = [
            "block_height",
            "version",
            "prev_block_hash",
            "merkle_root",
            "timestamp",
            "bits",
            "nonce",
        ];
        let [height, version, previous, root, time, bits, nonce] = bind(raw, names, false)?;
        let version: u32 = required(version, "version")?;
        let root: sha256d::Hash = required(root, "merkle_root")?;
        Ok(Self(Tip {
            height: required(height, "block_height")?,
            header: RawHeader {
                version: Version::from_consensus(version.cast_signed()),
                prev_blockhash: required(previous, "prev_block_hash")?,
                merkle_root: TxMerkleNode::from_raw_hash(root),
                time: required(time, "timestamp")?,
                bits: CompactTarget::from_consensus(required(bits, "bits")?),
                nonce: required(nonce, "nonce")?,
            },
        }))
    }
}

/// Consecutive headers as one string of hexadecimal digits, 160 for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk(pub Vec<RawHeader>);

impl ToJson for Chunk {
    fn to_json(&self, _: ProtocolVersion, out: &mut Vec<u8>) {
        concatenate(&self.0, out);
    }
}

impl FromJson for Chunk {
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

fn concatenate(headers: &[RawHeader], out: &mut Vec<u8>) {
    let mut bytes = Vec::with_capacity(headers.len() * RawHeader::SIZE);
    for header in headers {
        header
            .consensus_encode(&mut bytes)
            .expect("writing to memory does not fail");
    }
    out.push(b'"');
    hex::encode(bytes, out);
    out.push(b'"');
}

/// `blockchain.block.header`: the header at a height. From protocol 1.3 on.
///
/// Params: `[height]`, from protocol 1.4 on `[height, cp_height = 0]`. Result: [`HeaderResponse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The height of the block.
    pub height: u32,
    /// The height of the checkpoint to prove the header under; 0 for no proof.
    pub cp_height: u32,
}

/// Whether sessions of `version` know checkpoints.
fn has_checkpoints(version: ProtocolVersion) -> bool {
    version >= ProtocolVersion::V1_4
}

impl Parameters for Header {
    fn decode(params: Params<'_>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let [height, cp_height] = params.bind(["height", "cp_height"])?;
        let cp_height = cp_height.filter(|_| has_checkpoints(version));
        Ok(Self {
            height: required(height, "height")?,
            cp_height: optional(cp_height, "cp_height")?.unwrap_or(0),
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut params = vec![self.height];
        if self.cp_height != 0 && has_checkpoints(version) {
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

/// `blockchain.block.headers`: consecutive headers. From protocol 1.2 on.
///
/// Params: `[start_height, count]`, from protocol 1.4 on `[start_height, count, cp_height = 0]`. Result: [`HeadersResponse`].
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
    fn decode(params: Params<'_>, version: ProtocolVersion) -> Result<Self, DecodeError> {
        let [start_height, count, cp_height] =
            params.bind(["start_height", "count", "cp_height"])?;
        let cp_height = cp_height.filter(|_| has_checkpoints(version));
        Ok(Self {
            start_height: required(start_height, "start_height")?,
            count: required(count, "count")?,
            cp_height: optional(cp_height, "cp_height")?.unwrap_or(0),
        })
    }

    fn encode(&self, version: ProtocolVersion, out: &mut Vec<u8>) {
        let mut params = vec![self.start_height, self.count];
        if self.cp_height != 0 && has_checkpoints(version) {
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
            concatenate(&self.headers, object.key("hex"));
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
            (None, hex) => required::<Chunk>(hex, "hex")?.0,
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
