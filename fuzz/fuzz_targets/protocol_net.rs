//! `electrum_fuzz::net::net`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::net::net(data));

#[cfg(not(fuzzing))]
fn main() {}
