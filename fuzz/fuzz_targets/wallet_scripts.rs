//! `electrum_fuzz::wallet::scripts`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::wallet::scripts(data));

#[cfg(not(fuzzing))]
fn main() {}
