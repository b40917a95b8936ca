//! `electrum_fuzz::protocol::response`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::protocol::response(data));

#[cfg(not(fuzzing))]
fn main() {}
