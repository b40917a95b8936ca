//! JSON-RPC envelopes: ids, methods, parameters, results and errors, before anybody knows what a method means.
//!
//! Versions 1.0 and 2.0 of JSON-RPC and messages that name none are understood alike; what is written is always 2.0,
//! with exactly one of `result` and `error`.
//!
//! Specification: "Message stream" in the protocol basics.

mod error;
mod id;
mod message;
mod params;

pub use error::{ErrorCode, ErrorObject};
pub use id::Id;
pub use message::{Incoming, Message, ParseError};
pub use params::Params;
