//! The bytes: fields in their order, kept as they are written.

use alloc::vec::Vec;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{
    Amount, NetworkKind, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
    transaction,
};

use crate::DecodeError;
use crate::key::ExtendedKey;
use crate::reader::{Reader, write_bytes, write_compact_size};
use crate::script::OP_PUSHDATA1;
use crate::spend::{NO_SIGNATURE, Spend, SpendKind};

/// Bytes of a partial transaction at most: what a block holds.
pub const MAX_LEN: usize = 4_000_000;
/// Extended keys of a partial transaction at most, several times what a transaction that the network relays needs.
pub const MAX_KEYS: usize = 20_000;

const HEADER: &[u8] = b"EPTF\xff";
/// `CompactSize` of 0xffffffff, which no count of witness items is: a value follows.
const PREFIX: &[u8] = &[0xfe, 0xff, 0xff, 0xff, 0xff];
/// A push of 83 bytes, and the kind of the extended key in them.
const PUSHED_BIP32: &[u8] = &[OP_PUSHDATA1, 0x53, 0xff];

/// How the whole is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Encoding {
    /// Electrum 2.0 to 3.1: no header; 3.0 and 3.1 write the value of segregated witness inputs as 8 bytes.
    Bare,
    /// Electrum 3.2 to 3.3: `EPTF\xff`, version 0; the value and the witness version stand before a witness.
    #[default]
    Headed,
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
        self.witness.prefix.map(|prefix| prefix.value)
    }

    /// What is known of the coin's script, keys and signatures.
    #[must_use]
    pub fn spend(&self) -> &Spend {
        &self.spend
    }
}

impl PartialTransaction {
    /// Reads a transaction that fills `bytes`: partial ones of Electrum 2.0 to 3.3, and those of the network.
    ///
    /// An input that cannot be understood is of [`SpendKind::Unknown`]; it does not fail the rest.
    ///
    /// # Errors
    /// [`DecodeError`] when a field is cut, a count or an amount is out of range, or bytes follow the end.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (len, max) = (bytes.len(), MAX_LEN);
        if len > max {
            return Err(DecodeError::TooLong { len, max });
        }
        if bytes.starts_with(b"psbt\xff") {
            return Err(DecodeError::Psbt);
        }
        let reader = &mut Reader::new(bytes);
        let encoding = match reader.skip(HEADER) {
            true => Encoding::Headed,
            false => Encoding::Bare,
        };
        if encoding == Encoding::Headed {
            match reader.u8("format version")? {
                0 => {}
                version => return Err(DecodeError::UnknownFormatVersion(version)),
            }
        }
        let version = transaction::Version(reader.i32("version")?);
        let segwit = reader.skip(&[0]);
        if segwit {
            match reader.u8("segregated witness flag")? {
                1 => {}
                flag => return Err(DecodeError::UnknownSegwitFlag(flag)),
            }
        }
        // An outpoint, an empty scriptSig and a sequence; an amount and an empty script.
        let inputs = reader.count(41, "number of inputs")?;
        let mut inputs = (0..inputs)
            .map(|_| read_input(reader))
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = reader.count(9, "number of outputs")?;
        let outputs = (0..outputs)
            .map(|_| read_output(reader))
            .collect::<Result<_, _>>()?;
        if segwit {
            for input in &mut inputs {
                input.witness = read_witness(reader, encoding)?;
            }
        }
        let lock_time = LockTime::from_consensus(reader.u32("lock time")?);
        match reader.remaining() {
            0 => {}
            more => return Err(DecodeError::TrailingBytes(more)),
        }
        read_spends(&mut inputs)?;
        Ok(Self {
            encoding,
            version,
            segwit,
            inputs,
            outputs,
            lock_time,
        })
    }

    /// The bytes that [`PartialTransaction::decode`] reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.encoding == Encoding::Headed {
            out.extend(HEADER);
            out.push(0);
        }
        out.extend(self.version.0.to_le_bytes());
        if self.segwit {
            out.extend([0, 1]);
        }
        write_compact_size(&mut out, self.inputs.len());
        for input in &self.inputs {
            out.extend(input.previous_output.txid.to_byte_array());
            out.extend(input.previous_output.vout.to_le_bytes());
            write_bytes(&mut out, input.script_sig.as_bytes());
            out.extend(input.sequence.0.to_le_bytes());
        }
        write_compact_size(&mut out, self.outputs.len());
        for output in &self.outputs {
            out.extend(output.value.to_sat().to_le_bytes());
            write_bytes(&mut out, output.script_pubkey.as_bytes());
        }
        if self.segwit {
            for input in &self.inputs {
                if let Some(prefix) = input.witness.prefix {
                    out.extend(PREFIX);
                    out.extend(prefix.value.to_sat().to_le_bytes());
                    out.extend(
                        prefix
                            .witness_version
                            .into_iter()
                            .flat_map(u16::to_le_bytes),
                    );
                }
                write_compact_size(&mut out, input.witness.items.len());
                for (at, item) in input.witness.items.iter().enumerate() {
                    if at == 1 && input.witness.is_pushed {
                        out.push(OP_PUSHDATA1);
                    }
                    write_bytes(&mut out, item);
                }
            }
        }
        out.extend(self.lock_time.to_consensus_u32().to_le_bytes());
        out
    }

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

fn read_input(reader: &mut Reader<'_>) -> Result<Input, DecodeError> {
    let txid = Txid::from_byte_array(reader.hash("previous output")?);
    let vout = reader.u32("previous output")?;
    let script_sig = ScriptBuf::from_bytes(reader.bytes("scriptSig")?);
    Ok(Input {
        previous_output: OutPoint { txid, vout },
        script_sig,
        sequence: Sequence(reader.u32("sequence")?),
        witness: WitnessField::default(),
        spend: Spend::unknown(SpendKind::Unknown, false),
    })
}

fn read_output(reader: &mut Reader<'_>) -> Result<TxOut, DecodeError> {
    let amount = reader.u64("output amount")?;
    if amount > Amount::MAX_MONEY.to_sat() {
        let field = "output";
        return Err(DecodeError::AmountOutOfRange { field, amount });
    }
    Ok(TxOut {
        value: Amount::from_sat(amount),
        script_pubkey: ScriptBuf::from_bytes(reader.bytes("output script")?),
    })
}

fn read_witness(reader: &mut Reader<'_>, encoding: Encoding) -> Result<WitnessField, DecodeError> {
    let mut prefix = None;
    if reader.skip(PREFIX) {
        let amount = reader.u64("input amount")?;
        if amount > Amount::MAX_MONEY.to_sat() {
            let field = "input";
            return Err(DecodeError::AmountOutOfRange { field, amount });
        }
        let witness_version = match encoding {
            Encoding::Headed => Some(reader.u16("witness version")?),
            Encoding::Bare => None,
        };
        prefix = Some(WitnessPrefix {
            value: Amount::from_sat(amount),
            witness_version,
        });
    }
    let count = reader.count(1, "number of witness items")?;
    let mut items = Vec::new();
    let mut is_pushed = false;
    for _ in 0..count {
        let may_be_pushed = encoding == Encoding::Bare && prefix.is_none() && count == 2;
        // As a CompactSize these would begin a script that can never be run.
        if may_be_pushed && items == [NO_SIGNATURE] && reader.rest().starts_with(PUSHED_BIP32) {
            is_pushed = reader.skip(&[OP_PUSHDATA1]);
        }
        items.push(reader.bytes("witness item")?);
    }
    Ok(WitnessField {
        prefix,
        items,
        is_pushed,
    })
}

/// Understands every input, and derives no more keys than [`MAX_KEYS`].
fn read_spends(inputs: &mut [Input]) -> Result<(), DecodeError> {
    let secp = Secp256k1::verification_only();
    let mut keys = 0;
    for input in inputs {
        let spend = Spend::read(&secp, input);
        keys += spend.signers().len();
        if keys > MAX_KEYS {
            return Err(DecodeError::TooManyKeys(MAX_KEYS));
        }
        input.spend = spend;
    }
    Ok(())
}
