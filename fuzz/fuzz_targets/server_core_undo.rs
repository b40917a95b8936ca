//! `electrum_fuzz::server_core::undo`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::server_core::undo(data));

#[cfg(not(fuzzing))]
fn main() {}
