#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bip39;
mod generate;
mod normalize;
mod old;
mod seed;
mod version;
mod wordlist;

pub use self::bip39::{Bip39, bip39_languages};
pub use self::generate::{GenerateError, Generated, Generator, decode_number, encode_number};
pub use self::normalize::{is_cjk, is_whitespace, normalize, split_words};
pub use self::old::{OldSeed, OldSeedError, STRETCH_ROUNDS, is_old_seed};
pub use self::seed::{Inspection, NotASeed, Seed, inspect, seed_type};
pub use self::version::{
    SeedType, UnknownSeedType, VersionHash, VersionNumber, same_words, version_number,
};
pub use self::wordlist::{Language, OLD_WORDS, UnknownLanguage, WordList};
