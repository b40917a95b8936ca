//! `electrum_fuzz::conversation::conversation`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::conversation::conversation(data));

#[cfg(not(fuzzing))]
fn main() {}
