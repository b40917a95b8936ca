#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

mod checksum;
pub mod descriptor;
mod error;
mod key;
pub mod registry;
mod resemblance;

pub use descriptor::{Branch, Descriptor, Origin, Signer};
pub use error::{ConvertError, DescriptorError, ParseError};
pub use key::{ExtendedKey, PAYLOAD_LENGTH, Rules};
pub use registry::{Kind, Network, Row};
pub use resemblance::Resemblance;
