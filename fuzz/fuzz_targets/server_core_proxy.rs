//! `electrum_fuzz::server_core::proxy`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::server_core::proxy(data));

#[cfg(not(fuzzing))]
fn main() {}
