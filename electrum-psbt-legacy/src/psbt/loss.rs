//! What one format cannot carry of the other.

use alloc::vec::Vec;
use core::fmt;

/// Something that a conversion could not carry over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Loss {
    /// Where it stood.
    pub place: Place,
    /// What it was.
    pub lost: Lost,
}

/// A part of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Place {
    /// The transaction as a whole.
    Global,
    /// An input, from 0.
    Input(usize),
    /// An output, from 0.
    Output(usize),
}

/// What cannot be carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lost {
    /// To PSBT: scriptSig and witness of an input that is neither understood nor final.
    UnknownScripts,
    /// To PSBT: the amount of a coin that is not segregated witness; PSBT wants its whole transaction.
    Amount,
    /// To PSBT: the script of a coin for which there is no UTXO field.
    ScriptPubkey,
    /// To PSBT: nothing is lost, but the previous transaction is wanted and was not given.
    PreviousTransactionWanted,
    /// Either way: the path from the root. PSBT gets one that begins at the extended key where none is known; Electrum's
    /// format has no room for more than one step before the extended key.
    PathFromRoot,
    /// To PSBT: version bytes of an extended key, which are plain there.
    VersionBytes,
    /// Either way: a signature that the other format does not take, or whose key is not known.
    Signature,
    /// From PSBT: more signatures than are needed.
    SurplusSignature,
    /// From PSBT: the extended key of a public key is not known; the public key stands alone.
    ExtendedKey,
    /// From PSBT: the keys of an input; only its address is carried.
    Keys,
    /// From PSBT: the previous transaction.
    PreviousTransaction,
    /// From PSBT: the amount of a coin, which 2.0 to 3.1 write of none but segregated witness.
    CoinAmount,
    /// From PSBT: the hash type that is asked for; signers take `SIGHASH_ALL`.
    SighashType,
    /// From PSBT: redeem or witness script of a coin that is of no kind that the format has a place for.
    Scripts,
    /// From PSBT: hash preimages.
    Preimages,
    /// From PSBT: fields of taproot.
    Taproot,
    /// From PSBT: scripts and derivations of an output, by which a signer knows its change.
    OutputKeys,
    /// From PSBT: an extended key with its origin.
    GlobalXpub,
    /// From PSBT: fields that are proprietary or unknown.
    OtherFields,
}

/// Notes a loss once per place; what is said of one place stands together.
pub(super) fn note(losses: &mut Vec<Loss>, place: Place, lost: Lost) {
    let mut here = losses.iter().rev().take_while(|loss| loss.place == place);
    if !here.any(|loss| loss.lost == lost) {
        losses.push(Loss { place, lost });
    }
}

impl Lost {
    /// A short name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownScripts => "scriptSig and witness that are not understood",
            Self::Amount => "amount of the coin",
            Self::ScriptPubkey => "script of the coin",
            Self::PreviousTransactionWanted => "previous transaction is wanted and was not given",
            Self::PathFromRoot => "path from the root is not known",
            Self::VersionBytes => "version bytes of an extended key",
            Self::Signature => "signature",
            Self::SurplusSignature => "signature that is not needed",
            Self::ExtendedKey => "extended key of a public key",
            Self::Keys => "keys",
            Self::PreviousTransaction => "previous transaction",
            Self::CoinAmount => "amount of the coin, which this form does not write",
            Self::SighashType => "hash type",
            Self::Scripts => "redeem or witness script",
            Self::Preimages => "hash preimages",
            Self::Taproot => "taproot fields",
            Self::OutputKeys => "scripts and derivations of the output",
            Self::GlobalXpub => "extended key with its origin",
            Self::OtherFields => "proprietary or unknown fields",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("transaction"),
            Self::Input(index) => write!(f, "input {index}"),
            Self::Output(index) => write!(f, "output {index}"),
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.lost)
    }
}
