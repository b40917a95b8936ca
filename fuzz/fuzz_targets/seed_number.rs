//! `electrum_fuzz::seed::number`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::seed::number(data));

#[cfg(not(fuzzing))]
fn main() {}
