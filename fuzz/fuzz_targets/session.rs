//! `electrum_fuzz::session::session`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::session::session(data));

#[cfg(not(fuzzing))]
fn main() {}
