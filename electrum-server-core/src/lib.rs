#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// What sessions count and charge is read by the network: without it, some of that is for nobody.
#![cfg_attr(not(feature = "net"), allow(dead_code, unused_imports))]

mod answers;
pub mod chain;
pub mod file;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod index;
mod leb128;
pub mod mempool;
pub mod metrics;
#[cfg(feature = "net")]
pub mod net;
pub mod notify;
pub mod personal;
mod read_at;
#[cfg(feature = "regtest")]
pub mod regtest;
mod room;
pub mod session;
pub mod store;
pub mod subnet;
pub mod sync;
pub mod view;

pub use bitcoin;
pub use electrum_protocol;
