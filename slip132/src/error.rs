//! Why something is no extended key, or cannot be made into what was asked for.

use alloc::string::String;

use crate::{Kind, Network, Resemblance};

/// Why a text or a payload is no extended key. The text itself is not repeated: it may be a private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// A character that base58 does not have.
    #[error("character {character:?} at position {position} is not base58")]
    Character {
        /// The character.
        character: char,
        /// Characters before it.
        position: usize,
    },
    /// Decoded, it is not 78 bytes long (82 with the checksum).
    #[error("{0} characters are not the length of an extended key, which has 111 or 112")]
    TextLength(usize),
    /// The payload is not 78 bytes long.
    #[error("an extended key has 78 bytes, not {0}")]
    Length(usize),
    /// The last four bytes do not belong to the others: a typing error, most of the time.
    #[error("the checksum is wrong; a character is mistyped or missing")]
    Checksum,
    /// The version bytes stand for nothing on the networks asked for.
    #[error("version bytes {version:08x} are not known here{resemblance}")]
    Version {
        /// The first four bytes as a big-endian number.
        version: u32,
        /// What they look like.
        resemblance: Resemblance,
    },
    /// A public key that does not start with 02 or 03.
    #[error("a public key starts with 02 or 03, not {0:02x}")]
    PublicKeyPrefix(u8),
    /// A public key that is no point of the curve.
    #[error("the public key is no point of secp256k1")]
    PublicKey,
    /// A private key whose first byte is not 0; Electrum does not look at it.
    #[error("the byte before a private key is 00, not {0:02x}")]
    PrivateKeyPrefix(u8),
    /// A private key that is 0 or not below the order of the curve.
    #[error("the private key is 0 or not below the order of secp256k1")]
    PrivateKey,
    /// Depth 0 is a master key, which has no parent.
    #[error("a key of depth 0 has no parent, but names the fingerprint {}", Hex(.0))]
    MasterWithParent([u8; 4]),
    /// Depth 0 is a master key, which is nobody's child.
    #[error("a key of depth 0 is nobody's child, but has the child number {0}")]
    MasterWithChildNumber(u32),
}

/// Why a key cannot be what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The registry has no version bytes for it.
    #[error("{network} has no version bytes for {kind}")]
    NoSuchRow {
        /// The network asked for.
        network: Network,
        /// The kind asked for.
        kind: Kind,
    },
}

/// Why a key cannot come from where it is said to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// A key's depth is the number of steps from the master key.
    #[error("the key is of depth {depth}, but the path has {steps} steps")]
    Depth {
        /// What the key says.
        depth: u8,
        /// What the path says.
        steps: usize,
    },
    /// A key's child number is the last step.
    #[error("the key has the child number {key}, but the path ends in {path}")]
    ChildNumber {
        /// What the key says; hardened from 2^31 on.
        key: u32,
        /// What the path says.
        path: u32,
    },
    /// A master key's fingerprint is its own, and the parent's of its children.
    #[error("the master key's fingerprint is {}, not {}", Hex(.expected), Hex(.found))]
    Fingerprint {
        /// What the key says.
        expected: [u8; 4],
        /// What the origin says.
        found: [u8; 4],
    },
}

/// Why there is no descriptor, or a text is none of those that a key of SLIP-132 stands for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// Descriptors know the version bytes of Bitcoin only.
    #[error("descriptors have no keys of {0}")]
    Network(Network),
    /// Ypub and Zpub are keys of several signers.
    #[error("a {0} key is one of several signers: it has no descriptor alone")]
    NeedsSigners(Kind),
    /// ypub and zpub are keys of one signer.
    #[error("a {0} key is of one signer: it has no place among several")]
    SingleSigner(Kind),
    /// Signers differ in kind or network, which Electrum refuses too.
    #[error("signer {0} is of another kind or network than the first")]
    MixedSigners(usize),
    /// One key twice, which Electrum refuses too.
    #[error("signer {0} was named before")]
    RepeatedSigner(usize),
    /// So many signatures of so many keys are impossible.
    #[error("{threshold} of {signers} signers is impossible; at most {most} fit here")]
    Threshold {
        /// Signatures asked for.
        threshold: usize,
        /// Keys named.
        signers: usize,
        /// Keys that fit.
        most: usize,
    },
    /// The eight characters after `#` are not the checksum.
    #[error("the descriptor's checksum is {expected}, not {found:?}")]
    Checksum {
        /// What it should be.
        expected: String,
        /// What is written.
        found: String,
    },
    /// Characters that no descriptor has.
    #[error("character {0:?} is in no descriptor")]
    Character(char),
    /// Not one of the shapes `pkh`, `sh(wpkh)`, `wpkh`, and `sortedmulti` in `sh`, `sh(wsh)`, `wsh`.
    #[error("not a descriptor of one extended key or of a sorted multisignature: {0}")]
    Shape(&'static str),
    /// An origin that does not read `[fingerprint/path]`.
    #[error("the key's origin is not a fingerprint and a path")]
    Origin,
    /// A key in it is none.
    #[error("the key in the descriptor: {0}")]
    Key(ParseError),
}

impl From<ParseError> for DescriptorError {
    fn from(error: ParseError) -> Self {
        Self::Key(error)
    }
}

struct Hex<'a>(&'a [u8; 4]);

impl core::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
