//! `electrum_fuzz::server_core::rows`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::server_core::rows(data));

#[cfg(not(fuzzing))]
fn main() {}
