//! (method)

pub mod block;
pub mod fee;
pub mod headers;
pub mod mempool;
pub mod scripthash;
pub mod server;
pub mod transaction;
