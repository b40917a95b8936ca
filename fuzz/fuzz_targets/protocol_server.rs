//! `electrum_fuzz::protocol::server`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::protocol::server(data));

#[cfg(not(fuzzing))]
fn main() {}
