//! `electrum_fuzz::seed::old`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::seed::old(data));

#[cfg(not(fuzzing))]
fn main() {}
