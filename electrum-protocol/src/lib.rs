#![doc = include_str!("../README.md")]

pub mod client;
#[cfg(feature = "tokio")]
pub mod codec;
pub mod frame;
pub mod jsonrpc;
pub mod merkle;
pub mod method;
pub mod raw_json;
pub mod script_hash;
pub mod server;
pub mod status;
pub mod version;

pub use bitcoin;
