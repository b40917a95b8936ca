//! (jsonrpc)

mod error;
mod id;
mod message;
mod params;
