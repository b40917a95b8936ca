//! `electrum_fuzz::node::node_answers`

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| electrum_fuzz::node::node_answers(data));

#[cfg(not(fuzzing))]
fn main() {}
