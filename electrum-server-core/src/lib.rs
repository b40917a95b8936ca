#![doc = include_str!("../README.md")]

pub mod chain;
pub mod index;
pub mod mempool;
#[cfg(feature = "net")]
pub mod net;
pub mod notify;
#[cfg(feature = "regtest")]
pub mod regtest;
pub mod session;
pub mod store;
pub mod sync;
pub mod view;

pub use bitcoin;
pub use electrum_protocol;
