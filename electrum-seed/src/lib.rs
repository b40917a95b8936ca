#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(feature = "keys")]
pub use bitcoin;
#[cfg(feature = "miniscript")]
pub use miniscript;

mod bip39;
mod generate;
#[cfg(feature = "keys")]
mod keys;
mod normalize;
mod old;
mod seed;
mod stretch;
mod suggest;
mod version;
mod wordlist;

pub use self::bip39::{Bip39, bip39_languages};
pub use self::generate::{GenerateError, Generated, Generator, decode_number, encode_number};
#[cfg(feature = "keys")]
pub use self::keys::{
    Account, Chain, DeriveError, Multisig, MultisigError, OldMasterKey, OldMasterPublicKey,
    OldMasterPublicKeyError, Purpose, ScriptKind, TwoFactor, Wallet, version_bytes,
};
pub use self::normalize::{is_cjk, is_whitespace, normalize, split_words};
pub use self::old::{OldSeed, OldSeedError, STRETCH_ROUNDS, is_old_seed};
pub use self::seed::{Inspection, NotASeed, Seed, inspect, seed_type};
pub use self::stretch::{NoBip32Seed, bip32_seed, bip39_seed};
pub use self::version::{
    SeedType, UnknownSeedType, VersionHash, VersionNumber, same_words, version_number,
};
pub use self::wordlist::{Language, OLD_WORDS, UnknownLanguage, WordList};
