#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod base43;
pub mod base64;
mod compose;
mod describe;
mod error;
mod finalize;
mod key;
pub mod psbt;
mod reader;
mod script;
mod spend;
mod text;
mod transaction;
mod verify;
mod wire;

pub use bitcoin;

pub use crate::describe::{Description, InputDescription, KeyDescription, OutputDescription};
pub use crate::error::{DecodeError, FinalizeError, KeyError, TextError};
pub use crate::finalize::Finalized;
pub use crate::key::{Bip32Key, ExtendedKey, OldKey, PathIndex};

pub use crate::script::MAX_KEYS_PER_SCRIPT;
pub use crate::spend::{Signer, Spend, SpendKind};
#[cfg(feature = "json")]
pub use crate::text::JsonWrapper;
pub use crate::text::{TextForm, from_contents, from_text};
pub use crate::transaction::{Encoding, Input, PartialTransaction, WitnessField, WitnessPrefix};
pub use crate::transaction::{MAX_KEYS, MAX_LEN};
pub use crate::verify::Verdict;
