//! The examples are the programs beside this file, in `examples/`.

/// What the documentation shows is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/regtest.md")]
pub struct Regtest;
