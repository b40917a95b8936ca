//! `electrum_fuzz::wallet::headers`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::wallet::headers(data));

#[cfg(not(fuzzing))]
fn main() {}
