//! `electrum_fuzz::snapshot::scripts`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::snapshot::scripts(data));

#[cfg(not(fuzzing))]
fn main() {}
