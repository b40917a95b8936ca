//! The bodies of the fuzz targets: plain functions of bytes that panic when something is wrong.
//!
//! The targets themselves, in `fuzz_targets/`, are empty programs unless `cargo fuzz` builds them. The tests here run each
//! body over a few inputs on stable.

pub mod protocol;
pub mod psbt_legacy;
pub mod seed;
pub mod server_core;
pub mod slip132;
