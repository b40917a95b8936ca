//! To PSBT (BIP174, version 0) and back.
//!
//! Electrum's own format and PSBT do not carry the same: Electrum's names no previous transactions and no paths from the
//! root, PSBT has no extended keys inside scripts. Every conversion therefore says what was [lost](Loss).
//!
//! # Fingerprints
//! Where the path from the root is not known, which is so of extended keys at depth 2 and more unless
//! [an origin](ToPsbt::origins) is given, the path begins at the extended key and the fingerprint is that key's own, as in
//! Electrum 4. Master keys of before 2.0 have the fingerprint of their compressed point. A
//! public key that stands alone has its own fingerprint and no steps, as Bitcoin Core writes it.
//!
//! # Fields of our own
//! So that nothing is lost on the way back, three things are kept in proprietary fields of the inputs, of type `fc` and
//! prefix `EPTF`. Other programs pass such fields on unread; [`ToPsbt::omit_extended_keys`] leaves them out.
//!
//! | subtype | key data | value |
//! |---|---|---|
//! | 0 | the public key, none where it is not known | the extended key |
//! | 1 | none | the script of a coin for which there is no UTXO field |
//! | 2 | none | the amount of such a coin, 8 bytes, little-endian |

mod export;
mod import;
mod keys;
mod loss;

use alloc::vec::Vec;

use bitcoin::bip32::{KeySource, Xpub};
use bitcoin::{Amount, NetworkKind, Psbt, Transaction, psbt::raw};

pub use self::loss::{Loss, Lost, Place};
use crate::{Encoding, PartialTransaction};

/// The prefix of proprietary fields.
pub const PROPRIETARY_PREFIX: &[u8] = b"EPTF";

/// Subtype of the field of an extended key.
const KEPT_KEY: u8 = 0;
/// Subtype of the field of a coin's script.
const KEPT_SCRIPT: u8 = 1;
/// Subtype of the field of a coin's amount.
const KEPT_AMOUNT: u8 = 2;

/// Type of a public key's derivation in an input's map.
const BIP32_DERIVATION: u8 = 0x06;

/// A transaction in the other format, and what that format could not carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted<T> {
    /// The transaction.
    pub value: T,
    /// What could not be carried over, in the order of the inputs and outputs.
    pub losses: Vec<Loss>,
}

/// What a conversion to PSBT is given besides the transaction. The default is nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct ToPsbt<'a> {
    /// Transactions whose outputs are spent, in any order; others are ignored. BIP174 asks for them where a coin is not
    /// segregated witness. The PSBT carries each once for every input that spends it.
    pub previous_transactions: &'a [Transaction],
    /// Where extended keys come from: fingerprint of the root and path from it. Network and version bytes do not matter.
    pub origins: &'a [(Xpub, KeySource)],
    /// The network of the extended keys that the PSBT names. If not given, their version bytes tell it; 3.0 wrote those
    /// of the main network on every network, which Electrum 4 refuses there.
    pub network: Option<NetworkKind>,
    /// Whether to leave out the proprietary fields that keep extended keys, scripts and amounts for the way back.
    pub omit_extended_keys: bool,
}

/// What a conversion from PSBT is given besides the PSBT. The default is Electrum 3.2 to 3.3 on the main network.
#[derive(Debug, Clone, Copy)]
pub struct FromPsbt<'a> {
    /// The form to write.
    pub encoding: Encoding,
    /// The network whose version bytes extended keys get, unless they were kept with the PSBT.
    pub network: NetworkKind,
    /// Extended keys that the PSBT does not name, and where they come from.
    pub origins: &'a [(Xpub, KeySource)],
    /// Master public keys of before 2.0, x and y.
    pub old_masters: &'a [[u8; 64]],
}

impl Default for FromPsbt<'_> {
    fn default() -> Self {
        Self {
            encoding: Encoding::default(),
            network: NetworkKind::Main,
            origins: &[],
            old_masters: &[],
        }
    }
}

/// Why a transaction cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PsbtError {
    /// The transaction that is spent has no such output.
    #[error("input {input} spends output {vout} of a transaction that has {outputs}")]
    NoSuchOutput {
        /// The input, from 0.
        input: usize,
        /// The output that it spends.
        vout: u32,
        /// Outputs that the previous transaction has.
        outputs: usize,
    },
    /// The transaction in the PSBT is not the one that is spent.
    #[error("input {0} carries a previous transaction that it does not spend")]
    WrongPreviousTransaction(usize),
    /// Two amounts of one coin.
    #[error("input {input} claims to spend {claimed}; the coin has {actual}")]
    AmountMismatch {
        /// The input, from 0.
        input: usize,
        /// What the input says.
        claimed: Amount,
        /// What the previous transaction says.
        actual: Amount,
    },
    /// Two scripts of one coin.
    #[error("input {0} carries keys or scripts of another coin than the one that it spends")]
    ScriptMismatch(usize),
    /// No amount for a coin whose input must say it.
    #[error("input {0} lacks the amount and script of the coin that it spends")]
    MissingUtxo(usize),
    /// A coin that Electrum 2.0 to 3.3 cannot write as spent in part.
    #[error("input {0} spends a coin of a kind that the format has no place for")]
    UnsupportedInput(usize),
    /// A transaction of Bitcoin Cash, whose signatures are others.
    #[error("Electron Cash's transactions are of another network and have no PSBT")]
    ElectronCash,
    /// The number of maps is not that of inputs and outputs.
    #[error("the PSBT has {maps} maps for {count} inputs or outputs")]
    WrongNumberOfMaps {
        /// Maps.
        maps: usize,
        /// Inputs or outputs.
        count: usize,
    },
    /// Another version than 0.
    #[error("unknown version {0} of PSBT; only 0 is known")]
    UnknownVersion(u32),
    /// The result is no partial transaction.
    #[error("result cannot be written: {0}")]
    Unwritable(crate::DecodeError),
}

impl From<crate::DecodeError> for PsbtError {
    fn from(error: crate::DecodeError) -> Self {
        Self::Unwritable(error)
    }
}

impl PartialTransaction {
    /// The transaction as PSBT.
    ///
    /// The amounts and scripts of segregated witness coins go with it, those of other coins only with their transaction, if
    /// that is given. Inputs in the form of the network become final; the others keep their signatures as partial ones, also
    /// when they are complete.
    ///
    /// # Errors
    /// [`PsbtError`] when a given transaction contradicts what an input says of its coin.
    pub fn to_psbt(&self, given: &ToPsbt<'_>) -> Result<Converted<Psbt>, PsbtError> {
        export::export(self, given)
    }

    /// Writes a PSBT as Electrum 2.0 to 3.3 did.
    ///
    /// Inputs with all their signatures are written as the network takes them.
    ///
    /// # Errors
    /// [`PsbtError`] when the PSBT contradicts itself, or an input lacks what the format must say.
    pub fn from_psbt(psbt: &Psbt, given: &FromPsbt<'_>) -> Result<Converted<Self>, PsbtError> {
        import::import(psbt, given)
    }
}

fn proprietary_key(subtype: u8, key: Vec<u8>) -> raw::ProprietaryKey {
    raw::ProprietaryKey {
        prefix: PROPRIETARY_PREFIX.to_vec(),
        subtype,
        key,
    }
}
