//! What can be wrong with a partial transaction.

use alloc::string::String;

/// Why bytes are no partial transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More bytes than any transaction has.
    #[error("{len} bytes are more than the {max} that are read")]
    TooLong {
        /// Bytes given.
        len: usize,
        /// Bytes that are read at most.
        max: usize,
    },
    /// The bytes end in the middle of a field.
    #[error("bytes end at {offset} in the middle of {field}")]
    Truncated {
        /// Where the field that is cut begins.
        offset: usize,
        /// The field, in words.
        field: &'static str,
    },
    /// A count or a length that the remaining bytes cannot hold.
    #[error("{field} of {count} at {offset} cannot fit into the {remaining} bytes that follow")]
    CountTooLarge {
        /// The field, in words.
        field: &'static str,
        /// The count or length as written.
        count: u64,
        /// Where it is written.
        offset: usize,
        /// Bytes that follow it.
        remaining: usize,
    },
    /// A CompactSize in more bytes than it needs, which would not survive encoding.
    #[error("{field} at {offset} is not written in the shortest form")]
    NotMinimal {
        /// The field, in words.
        field: &'static str,
        /// Where it is written.
        offset: usize,
    },
    /// `EPTF\xff` is followed by a version other than 0, the only one that ever was.
    #[error("unknown version {0} of the partial transaction format; only 0 exists")]
    UnknownFormatVersion(u8),
    /// `psbt\xff`: a PSBT, not Electrum's own format.
    #[error("this is a PSBT (BIP174), not a partial transaction of Electrum 2.0 to 3.3")]
    Psbt,
    /// A segregated witness flag other than 1.
    #[error("unknown segregated witness flag {0:02x}; only 01 is defined")]
    UnknownSegwitFlag(u8),
    /// An amount above 21 million coins, or a negative one.
    #[error("amount {amount} of {field} is negative or above 21 million bitcoin")]
    AmountOutOfRange {
        /// The field, in words.
        field: &'static str,
        /// The amount as written, in satoshi.
        amount: u64,
    },
    /// Bytes after the lock time.
    #[error("{0} bytes follow the end of the transaction")]
    TrailingBytes(usize),
    /// More keys to derive than a transaction of the network could need.
    #[error("more than {0} extended keys")]
    TooManyKeys(usize),
}

/// Why bytes are no extended public key, or have no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No bytes.
    #[error("extended public key is empty")]
    Empty,
    /// A first byte that no kind of key has.
    #[error("unknown kind {0:02x} of extended public key; expected 02, 03, 04, fd, fe or ff")]
    UnknownKind(u8),
    /// The wrong number of bytes for the kind.
    #[error("extended public key of kind {kind:02x} cannot have {len} bytes")]
    Length {
        /// The first byte.
        kind: u8,
        /// Bytes in all.
        len: usize,
    },
    /// No point on the curve.
    #[error("public key {0} is not on the curve")]
    NotOnCurve(String),
    /// A hardened step, which no public key can take.
    #[error("derivation step {0} is hardened, which no public key can derive")]
    Hardened(u32),
    /// The derivation ends in no key; nobody will ever meet this.
    #[error("derivation {change}/{index} has no key")]
    NoSuchKey {
        /// 0 for receiving, 1 for change.
        change: u32,
        /// Address index.
        index: u32,
    },
}

/// Why a transaction cannot be finalized.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FinalizeError {
    /// Signatures are missing.
    #[error("input {input} has {present} of {required} signatures")]
    MissingSignatures {
        /// The input, from 0.
        input: usize,
        /// Signatures that are there.
        present: usize,
        /// Signatures that are needed.
        required: usize,
    },
    /// Nothing is known of how the input is spent.
    #[error("input {0} is of no known type, so that nothing can be said of its signatures")]
    UnknownInput(usize),
    /// The hash in the scriptSig is not that of the key or script in the witness.
    #[error("input {0} commits to another key or script than the one it carries")]
    ProgramMismatch(usize),
}

/// Why a text holds no transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Nothing but white space.
    #[error("text is empty")]
    Empty,
    /// Neither hex nor base43 nor base64 nor JSON.
    #[error("text is neither hex nor base43 nor base64 nor a JSON object with a field `hex`: {0}")]
    UnknownForm(String),
    /// More characters than are read.
    #[error("{len} characters are more than the {max} that are read as {form}")]
    TooLong {
        /// Characters given.
        len: usize,
        /// Characters that are read at most.
        max: usize,
        /// The form, in words.
        form: &'static str,
    },
    /// A character that is not in the alphabet.
    #[error("character {character:?} at {position} is not in the base43 alphabet")]
    NotBase43 {
        /// The character.
        character: char,
        /// Its position, in characters from 0.
        position: usize,
    },
    /// Not padded base64 of RFC 4648.
    #[error("text is not base64")]
    NotBase64,
    /// A JSON object whose `hex` is none.
    #[error("field `hex` of the JSON object is not hex")]
    NotHex,
    /// Not the JSON object that Electrum wrote.
    #[error("not a JSON object with a text `hex`: {0}")]
    Json(String),
}
