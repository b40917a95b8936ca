//! `electrum_fuzz::protocol::frame`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::protocol::frame(data));

#[cfg(not(fuzzing))]
fn main() {}
