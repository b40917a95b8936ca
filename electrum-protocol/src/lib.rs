#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
#[cfg(feature = "blocking")]
pub mod blocking;
pub mod client;
#[cfg(feature = "codec")]
pub mod codec;
pub mod frame;
pub mod header_chain;
mod hex;
mod json;
pub mod jsonrpc;
pub mod merkle;
pub mod method;
#[cfg(any(feature = "blocking", feature = "tokio"))]
pub mod net;
mod notification;
mod raw_json;
mod request_error;
mod script_hash;
pub mod script_sync;
pub mod server;
pub mod status;
mod subscription;
#[cfg(feature = "tokio")]
pub mod tokio;
mod version;

pub use bitcoin;
#[doc(no_inline)]
pub use serde_json;

pub use batch::{Batch, Place, Replies};
pub use client::Client;
pub use header_chain::{HeaderChain, HeaderSync};
pub use json::DecodeError;
pub use jsonrpc::{ErrorCode, ErrorObject};
pub use merkle::CheckpointProof;
pub use method::fee::{EstimateMode, FeePerKvb};
pub use method::headers::Tip;
pub use method::scripthash::{Balance, HistoryEntry, Unspent};
pub use method::{Call, Method, Parameters, Request, Response};
pub use notification::Notification;
pub use raw_json::{ParseJsonError, RawJson};
pub use request_error::RequestError;
pub use script_hash::{ParseScriptHashError, ScriptHash};
pub use script_sync::ScriptSync;
pub use server::{Server, ServerConfig};
pub use status::{Confirmation, Status, StatusHasher};
pub use subscription::{Subscribe, Topic};
pub use version::{ParseVersionError, ProtocolVersion, VersionRange};
