//! Script hashes: the name under which the protocol knows an output script.

use core::fmt;
use core::str::FromStr;

use bitcoin::Script;
use bitcoin::hashes::{Hash, sha256};

use crate::hex;

/// The SHA-256 of an output script.
///
/// On the wire, in [`Display`](fmt::Display) and in [`FromStr`] it is 64 hexadecimal digits of the *reversed* hash;
/// the bytes of [`to_byte_array`](Self::to_byte_array) are in the order in which SHA-256 yields them.
///
/// Specification: "Script hashes" in the protocol basics.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScriptHash([u8; 32]);

impl ScriptHash {
    /// Hashes an output script.
    pub fn from_script(script: &Script) -> Self {
        Self(sha256::Hash::hash(script.as_bytes()).to_byte_array())
    }

    /// Takes the 32 bytes of a SHA-256, in the order in which SHA-256 yields them.
    pub const fn from_byte_array(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes in the order in which SHA-256 yields them.
    pub const fn to_byte_array(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for ScriptHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .rev()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ScriptHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScriptHash({self})")
    }
}

/// Text that is not a script hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a script hash of 64 hexadecimal digits")]
#[non_exhaustive]
pub struct ParseScriptHashError {
    /// The offending text.
    pub text: String,
}

impl FromStr for ScriptHash {
    type Err = ParseScriptHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match hex::decode_array(text) {
            Some(mut bytes) => {
                bytes.reverse();
                Ok(Self(bytes))
            }
            None => Err(ParseScriptHashError {
                text: text.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::ScriptBuf;

    /// Both examples of "Script hashes" in the protocol basics.
    #[test]
    fn specification_examples() {
        let check = |script: &str, sha256: Option<&str>, wire: &str| {
            let script = ScriptBuf::from_hex(script).unwrap();
            let hash = ScriptHash::from_script(&script);
            assert_eq!(hash.to_string(), wire);
            assert_eq!(wire.parse::<ScriptHash>().unwrap(), hash);
            assert_eq!(wire.to_uppercase().parse::<ScriptHash>().unwrap(), hash);
            assert_eq!(ScriptHash::from_byte_array(hash.to_byte_array()), hash);
            if let Some(sha256) = sha256 {
                assert!(
                    sha256::Hash::from_byte_array(hash.to_byte_array())
                        .to_string()
                        .starts_with(sha256)
                );
            }
        };
        check(
            "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac",
            Some("6191c3b5"),
            "8b01df4e368ea28f8dc0423bcf7a4923e3a12d307c875e47a0cfbf90b5c39161",
        );
        check(
            "4104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac",
            None,
            "740485f380ff6379d11ef6fe7d7cdd68aea7f8bd0d953d9fdf3531fb7d531833",
        );
    }

    #[test]
    fn refuses_what_is_not_64_digits() {
        for text in [
            "",
            "8b01",
            &"0".repeat(63),
            &"0".repeat(65),
            &"g".repeat(64),
            &"é".repeat(32),
        ] {
            let error = text.parse::<ScriptHash>().unwrap_err();
            assert_eq!(error.text, text);
        }
    }
}
