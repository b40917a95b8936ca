//! `electrum_fuzz::server_core::block_files`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::server_core::block_files(data));

#[cfg(not(fuzzing))]
fn main() {}
