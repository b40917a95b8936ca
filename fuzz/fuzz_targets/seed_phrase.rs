//! `electrum_fuzz::seed::phrase`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::seed::phrase(data));

#[cfg(not(fuzzing))]
fn main() {}
