//! `electrum_fuzz::protocol::notification`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::protocol::notification(data));

#[cfg(not(fuzzing))]
fn main() {}
