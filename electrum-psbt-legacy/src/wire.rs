//! The bytes of a transaction.

use alloc::vec::Vec;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{Secp256k1, VerifyOnly};
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, TxOut, Txid, transaction};

use crate::DecodeError;
use crate::reader::{Reader, write_bytes, write_compact_size};
use crate::script::OP_PUSHDATA1;
use crate::spend::{NO_SIGNATURE, Spend, SpendKind};
use crate::transaction::{
    Encoding, Input, MAX_KEYS, MAX_LEN, PartialTransaction, WitnessField, WitnessPrefix,
};

const HEADER: &[u8] = b"EPTF\xff";
/// `CompactSize` of 0xffffffff, which no count of witness items is: a value follows.
const PREFIX: &[u8] = &[0xfe, 0xff, 0xff, 0xff, 0xff];
/// A push of 83 bytes, and the kind of the extended key in them.
const PUSHED_BIP32: &[u8] = &[OP_PUSHDATA1, 0x53, 0xff];

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
        let mut reader = Reader::new(bytes);
        if reader.skip(HEADER) {
            return match reader.u8("format version")? {
                0 => read(reader, Encoding::Headed),
                version => Err(DecodeError::UnknownFormatVersion(version)),
            };
        }
        read(Reader::new(bytes), Encoding::Bare).or_else(|error| {
            // Amounts between the fields fit nowhere else; what is wrong is said of the common form.
            read(reader, Encoding::ElectronCash)
                .ok()
                .filter(|transaction| {
                    transaction
                        .inputs
                        .iter()
                        .any(|input| input.cash_value.is_some())
                })
                .ok_or(error)
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
            let value = input.cash_value.map(Amount::to_sat);
            out.extend(value.into_iter().flat_map(u64::to_le_bytes));
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
}

fn read(mut reader: Reader<'_>, encoding: Encoding) -> Result<PartialTransaction, DecodeError> {
    let reader = &mut reader;
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
    let mut spends = SpendReader::new();
    let mut inputs = (0..inputs)
        .map(|_| read_input(reader, &mut spends, encoding))
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
    for input in &mut inputs {
        // Electron Cash's are read by then.
        if encoding != Encoding::ElectronCash {
            input.spend = spends.read(input)?;
        }
    }
    Ok(PartialTransaction {
        encoding,
        version,
        segwit,
        inputs,
        outputs,
        lock_time,
    })
}

fn read_input(
    reader: &mut Reader<'_>,
    spends: &mut SpendReader,
    encoding: Encoding,
) -> Result<Input, DecodeError> {
    let txid = Txid::from_byte_array(reader.hash("previous output")?);
    let vout = reader.u32("previous output")?;
    let script_sig = ScriptBuf::from_bytes(reader.bytes("scriptSig")?);
    let mut input = Input {
        previous_output: OutPoint { txid, vout },
        script_sig,
        sequence: Sequence(reader.u32("sequence")?),
        witness: WitnessField::default(),
        cash_value: None,
        spend: Spend::unknown(SpendKind::Unknown, false),
    };
    if encoding == Encoding::ElectronCash {
        input.spend = spends.read(&input)?;
        if input.spend.required() > 0 && !input.spend.is_complete() {
            input.cash_value = Some(read_amount(reader, "input")?);
        }
    }
    Ok(input)
}

fn read_amount(reader: &mut Reader<'_>, field: &'static str) -> Result<Amount, DecodeError> {
    let amount = reader.u64("amount")?;
    match amount <= Amount::MAX_MONEY.to_sat() {
        true => Ok(Amount::from_sat(amount)),
        false => Err(DecodeError::AmountOutOfRange { field, amount }),
    }
}

fn read_output(reader: &mut Reader<'_>) -> Result<TxOut, DecodeError> {
    Ok(TxOut {
        value: read_amount(reader, "output")?,
        script_pubkey: ScriptBuf::from_bytes(reader.bytes("output script")?),
    })
}

fn read_witness(reader: &mut Reader<'_>, encoding: Encoding) -> Result<WitnessField, DecodeError> {
    let mut prefix = None;
    if reader.skip(PREFIX) {
        let value = read_amount(reader, "input")?;
        let witness_version = match encoding {
            Encoding::Headed => Some(reader.u16("witness version")?),
            Encoding::Bare | Encoding::ElectronCash => None,
        };
        prefix = Some(WitnessPrefix {
            value,
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

/// Understands inputs, and derives no more keys than [`MAX_KEYS`].
struct SpendReader {
    secp: Secp256k1<VerifyOnly>,
    keys: usize,
}

impl SpendReader {
    fn new() -> Self {
        let secp = Secp256k1::verification_only();
        Self { secp, keys: 0 }
    }

    fn read(&mut self, input: &Input) -> Result<Spend, DecodeError> {
        let spend = Spend::read(&self.secp, input);
        self.keys += spend.signers().len();
        match self.keys <= MAX_KEYS {
            true => Ok(spend),
            false => Err(DecodeError::TooManyKeys(MAX_KEYS)),
        }
    }
}
