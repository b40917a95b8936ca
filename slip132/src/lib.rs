#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

mod error;
mod key;
pub mod registry;
mod resemblance;

pub use error::{ConvertError, DescriptorError, ParseError};
pub use key::{ExtendedKey, PAYLOAD_LENGTH, Rules};
pub use registry::{Kind, Network, Row};
pub use resemblance::Resemblance;
