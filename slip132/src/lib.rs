#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]

extern crate alloc;

mod checksum;
pub mod descriptor;
mod error;
mod key;
mod origin;
pub mod registry;
mod resemblance;
mod table;

pub use descriptor::{Branch, Descriptor, Signer};
pub use error::{ConvertError, DescriptorError, OriginError, ParseError};
pub use key::{ExtendedKey, PAYLOAD_LENGTH, Rules};
pub use origin::Origin;
pub use registry::{Kind, Network, Row};
pub use resemblance::Resemblance;
