//! The bytes: fields in their order, kept as they are written.

use alloc::vec::Vec;

use bitcoin::absolute::LockTime;
use bitcoin::{
    Amount, NetworkKind, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
    transaction,
};

use crate::key::ExtendedKey;
use crate::spend::Spend;

/// Bytes of a partial transaction at most: what a block holds.
pub const MAX_LEN: usize = 4_000_000;
/// Extended keys of a partial transaction at most, several times what a transaction that the network relays needs.
pub const MAX_KEYS: usize = 20_000;

/// How the whole is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Encoding {
    /// Electrum 2.0 to 3.1: no header; 3.0 and 3.1 write the value of segregated witness inputs as 8 bytes.
    Bare,
    /// Electrum 3.2 to 3.3: `EPTF\xff`, version 0; the value and the witness version stand before a witness.
    #[default]
    Headed,
    /// Electron Cash: no header and no witnesses; the amount of the coin follows each incomplete input. Its signatures are
    /// those of Bitcoin Cash, so that there is no PSBT of it.
    ElectronCash,
}

/// A transaction that may lack signatures, as Electrum 2.0 to 3.3 wrote it.
///
/// What [`PartialTransaction::decode`] reads, [`PartialTransaction::encode`] writes back byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialTransaction {
    pub(crate) encoding: Encoding,
    pub(crate) version: transaction::Version,
    pub(crate) segwit: bool,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<TxOut>,
    pub(crate) lock_time: LockTime,
}

/// An input: the fields of the network, and what they say of its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub(crate) previous_output: OutPoint,
    pub(crate) script_sig: ScriptBuf,
    pub(crate) sequence: Sequence,
    pub(crate) witness: WitnessField,
    /// The amount that follows an incomplete input of Electron Cash.
    pub(crate) cash_value: Option<Amount>,
    pub(crate) spend: Spend,
}

/// The witness of an input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WitnessField {
    /// What stands before an incomplete witness from 3.0 on.
    pub prefix: Option<WitnessPrefix>,
    /// The items; a missing signature is the single byte ff.
    pub items: Vec<Vec<u8>>,
    /// The second item is written as a script push, `4c` and a length, instead of a CompactSize and no amount precedes: so
    /// wrote 2.8 and 2.9 the incomplete P2WPKH in P2SH, on test networks.
    pub is_pushed: bool,
}

/// What stands before an incomplete witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WitnessPrefix {
    /// The amount of the coin that is spent.
    pub value: Amount,
    /// The witness version, written from 3.2 on; 0 always.
    pub witness_version: Option<u16>,
}

impl Input {
    /// The output that is spent.
    #[must_use]
    pub fn previous_output(&self) -> OutPoint {
        self.previous_output
    }

    /// The scriptSig as written, with extended keys and placeholders.
    #[must_use]
    pub fn script_sig(&self) -> &ScriptBuf {
        &self.script_sig
    }

    /// The sequence number.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// The witness as written, with extended keys and placeholders.
    #[must_use]
    pub fn witness(&self) -> &WitnessField {
        &self.witness
    }

    /// The amount of the coin, where it is written.
    #[must_use]
    pub fn value(&self) -> Option<Amount> {
        self.witness
            .prefix
            .map(|prefix| prefix.value)
            .or(self.cash_value)
    }

    /// What is known of the coin's script, keys and signatures.
    #[must_use]
    pub fn spend(&self) -> &Spend {
        &self.spend
    }
}

impl PartialTransaction {
    /// How the whole is framed.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The version of the transaction.
    #[must_use]
    pub fn version(&self) -> transaction::Version {
        self.version
    }

    /// Whether it is written in the form of BIP144, with witnesses.
    #[must_use]
    pub fn is_segwit_serialization(&self) -> bool {
        self.segwit
    }

    /// The inputs in order.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The outputs in order.
    #[must_use]
    pub fn outputs(&self) -> &[TxOut] {
        &self.outputs
    }

    /// The lock time.
    #[must_use]
    pub fn lock_time(&self) -> LockTime {
        self.lock_time
    }

    /// The network, as far as the version bytes of extended keys tell it.
    ///
    /// 3.0 wrote those of the main network on every network, so that they tell something from 3.2 on only.
    #[must_use]
    pub fn network_kind(&self) -> Option<NetworkKind> {
        let signers = self.inputs.iter().flat_map(|input| input.spend.signers());
        let kinds = signers.filter_map(|signer| match &signer.key {
            ExtendedKey::Bip32(key) if key.is_testnet() => Some(NetworkKind::Test),
            ExtendedKey::Bip32(_) if self.encoding == Encoding::Headed => Some(NetworkKind::Main),
            ExtendedKey::Address {
                version: 0x6f | 0xc4,
                ..
            } => Some(NetworkKind::Test),
            ExtendedKey::Address { .. } => Some(NetworkKind::Main),
            _ => None,
        });
        // Keys of two networks tell nothing.
        let mut kinds = kinds.peekable();
        let first = kinds.peek().copied();
        first.filter(|first| kinds.all(|kind| kind == *first))
    }

    /// Signatures that are there and signatures that are needed, over all inputs.
    #[must_use]
    pub fn signature_count(&self) -> (usize, usize) {
        let add = |(present, required), input: &Input| {
            let spend = &input.spend;
            (
                present + spend.signatures_present(),
                required + spend.required(),
            )
        };
        self.inputs.iter().fold((0, 0), add)
    }

    /// Whether every input has all its signatures.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.inputs.iter().all(|input| input.spend.is_complete())
    }

    /// Whether every input is known to spend a segregated witness coin, by its kind or because it has a final witness.
    #[must_use]
    pub fn is_all_segwit(&self) -> bool {
        self.inputs.iter().all(|input| {
            let has_final_witness = input.spend.is_final && !input.witness.items.is_empty();
            input.spend.kind().is_segwit() || has_final_witness
        })
    }

    /// The transaction without its signatures: scriptSigs and witnesses empty, as a PSBT carries it.
    ///
    /// Its identifier is not the one on the network where a nested segregated witness coin is spent; that is
    /// [`PartialTransaction::txid`].
    #[must_use]
    pub fn unsigned_transaction(&self) -> Transaction {
        self.transaction(|_| (ScriptBuf::new(), Witness::new()))
    }

    /// The identifier, once no signature can change it: when complete, or when every input is segregated witness.
    #[must_use]
    pub fn txid(&self) -> Option<Txid> {
        if !self.is_all_segwit() {
            return self
                .finalize()
                .ok()
                .map(|transaction| transaction.compute_txid());
        }
        // These scriptSigs are final from the start.
        let transaction = self.transaction(|input| (input.script_sig.clone(), Witness::new()));
        Some(transaction.compute_txid())
    }

    pub(crate) fn transaction(
        &self,
        mut fill: impl FnMut(&Input) -> (ScriptBuf, Witness),
    ) -> Transaction {
        let input = |input: &Input| {
            let (script_sig, witness) = fill(input);
            TxIn {
                previous_output: input.previous_output,
                script_sig,
                sequence: input.sequence,
                witness,
            }
        };
        Transaction {
            version: self.version,
            lock_time: self.lock_time,
            input: self.inputs.iter().map(input).collect(),
            output: self.outputs.clone(),
        }
    }
}
