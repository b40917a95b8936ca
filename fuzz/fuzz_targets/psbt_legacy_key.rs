//! `electrum_fuzz::psbt_legacy::key`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::psbt_legacy::key(data));

#[cfg(not(fuzzing))]
fn main() {}
