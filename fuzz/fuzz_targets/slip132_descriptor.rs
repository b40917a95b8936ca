//! `electrum_fuzz::slip132::descriptor`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::slip132::descriptor(data));

#[cfg(not(fuzzing))]
fn main() {}
