//! `electrum_fuzz::slip132::key`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::slip132::key(data));

#[cfg(not(fuzzing))]
fn main() {}
