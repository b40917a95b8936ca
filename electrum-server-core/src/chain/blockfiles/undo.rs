//! The undo data of a block: the outputs that it spends, in Bitcoin Core's compressed form.
//!
//! A compact size (how many transactions, the coinbase not among them); for each transaction a compact size (how many
//! inputs), and for each input: the height of the spent output times 2, plus 1 if a coinbase made it (a variable number);
//! when that height is not 0, a variable number that nobody reads any more; the value (a variable number, decimal zeros
//! cut off); the script (a variable number: 0 to 5 for a well-known form, of which only the hash or key follows, else its
//! length plus 6, and as many bytes).

use bitcoin::Amount;
use bitcoin::opcodes::all::{
    OP_CHECKSIG, OP_DUP, OP_EQUAL, OP_EQUALVERIFY, OP_HASH160, OP_PUSHBYTES_20, OP_PUSHBYTES_33,
    OP_PUSHBYTES_65,
};
use bitcoin::secp256k1::PublicKey;

/// Bytes that are not the undo data of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UndoError {
    /// They end in the middle.
    #[error("undo data ends early, at byte {offset}")]
    End {
        /// How many bytes there are.
        offset: usize,
    },
    /// They go on after the end.
    #[error("{count} bytes follow the undo data")]
    Rest {
        /// How many bytes are left over.
        count: usize,
    },
    /// A number that does not fit its type, or that is written in a longer form than necessary.
    #[error("a number before byte {offset} of undo data is out of range")]
    Number {
        /// Where it ends.
        offset: usize,
    },
    /// A value above 21 million bitcoin.
    #[error("{sat} satoshis in undo data are more than there will ever be")]
    Value {
        /// The value.
        sat: u64,
    },
    /// A compressed public key that is not on the curve.
    #[error("the public key before byte {offset} of undo data is not on the curve")]
    Key {
        /// Where it ends.
        offset: usize,
    },
}

/// The number of well-known script forms.
const FORMS: u32 = 6;

/// An output that a block spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpentOutput<'a> {
    /// Which transaction spends it; 0 is the first after the coinbase.
    pub transaction: usize,
    /// Which input of that transaction.
    pub input: usize,
    /// Its worth.
    pub value: Amount,
    /// Its script.
    pub script: &'a [u8],
}

/// Calls `visit` for each output that a block spends, in the order of its inputs, with the undo data of the block.
///
/// # Errors
///
/// See [`UndoError`]. What was visited before is then worth nothing.
pub fn for_each_spent(
    bytes: &[u8],
    mut visit: impl FnMut(SpentOutput<'_>),
) -> Result<(), UndoError> {
    let mut reader = Reader { bytes, rest: bytes };
    let mut script = [0; 67];
    let transactions = reader.compact_size()?;
    for transaction in 0.. {
        if transaction as u64 == transactions {
            break;
        }
        let inputs = reader.compact_size()?;
        for input in 0.. {
            if input as u64 == inputs {
                break;
            }
            let code: u32 = reader.number()?;
            if code >> 1 > 0 {
                let _version: u32 = reader.number()?;
            }
            let value = decompress_amount(reader.number()?)
                .filter(|sat| *sat <= Amount::MAX_MONEY.to_sat())
                .ok_or_else(|| reader.bad_number())?;
            let script = reader.script(&mut script)?;
            visit(SpentOutput {
                transaction,
                input,
                value: Amount::from_sat(value),
                script,
            });
        }
    }
    match reader.rest.len() {
        0 => Ok(()),
        count => Err(UndoError::Rest { count }),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn offset(&self) -> usize {
        self.bytes.len() - self.rest.len()
    }

    fn bad_number(&self) -> UndoError {
        let offset = self.offset();
        UndoError::Number { offset }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], UndoError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(UndoError::End {
            offset: self.bytes.len(),
        })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], UndoError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(UndoError::End {
            offset: self.bytes.len(),
        })?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, UndoError> {
        self.array().map(|[byte]| *byte)
    }

    fn compact_size(&mut self) -> Result<u64, UndoError> {
        let (number, least) = match self.byte()? {
            253 => (u64::from(u16::from_le_bytes(*self.array()?)), 253),
            254 => (u64::from(u32::from_le_bytes(*self.array()?)), 1 << 16),
            255 => (u64::from_le_bytes(*self.array()?), 1 << 32),
            small => (u64::from(small), 0),
        };
        match number >= least {
            true => Ok(number),
            false => Err(self.bad_number()),
        }
    }

    /// Reads a number of base 128, the most significant digit first; all digits but the last have bit 7 set and stand for
    /// one more than their value, so that each number has one form only.
    fn number<T: TryFrom<u64>>(&mut self) -> Result<T, UndoError> {
        let mut number = 0u64;
        loop {
            let byte = self.byte()?;
            if number > u64::MAX >> 7 {
                return Err(self.bad_number());
            }
            number = number << 7 | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return T::try_from(number).map_err(|_| self.bad_number());
            }
            number = number.checked_add(1).ok_or_else(|| self.bad_number())?;
        }
    }

    /// Reads a script: from the bytes themselves, or made up in `buffer`.
    fn script<'b>(&mut self, buffer: &'b mut [u8; 67]) -> Result<&'b [u8], UndoError>
    where
        'a: 'b,
    {
        let form: u32 = self.number()?;
        let length = match form {
            0 => {
                let hash: &[u8; 20] = self.array()?;
                let before = [OP_DUP, OP_HASH160, OP_PUSHBYTES_20].map(|op| op.to_u8());
                let after = [OP_EQUALVERIFY, OP_CHECKSIG].map(|op| op.to_u8());
                write(buffer, [&before, hash, &after])
            }
            1 => {
                let hash: &[u8; 20] = self.array()?;
                let before = [OP_HASH160, OP_PUSHBYTES_20].map(|op| op.to_u8());
                write(buffer, [&before, hash, &[OP_EQUAL.to_u8()]])
            }
            2 | 3 => {
                let x: &[u8; 32] = self.array()?;
                let before = [OP_PUSHBYTES_33.to_u8(), if form == 2 { 2 } else { 3 }];
                write(buffer, [&before, x, &[OP_CHECKSIG.to_u8()]])
            }
            4 | 5 => {
                let x: &[u8; 32] = self.array()?;
                let mut key = [0; 33];
                write(&mut key, [&[if form == 4 { 2 } else { 3 }], x, &[]]);
                let offset = self.offset();
                let key = PublicKey::from_slice(&key).map_err(|_| UndoError::Key { offset })?;
                let key = key.serialize_uncompressed();
                let before = [OP_PUSHBYTES_65.to_u8()];
                write(buffer, [&before, &key, &[OP_CHECKSIG.to_u8()]])
            }
            longer => {
                let length = usize::try_from(longer - FORMS).map_err(|_| self.bad_number())?;
                return self.take(length);
            }
        };
        Ok(buffer.get(..length).unwrap_or_default())
    }
}

/// Writes the parts one after the other and returns how long they are together.
fn write(buffer: &mut [u8], parts: [&[u8]; 3]) -> usize {
    let mut written = 0;
    for part in parts {
        let end = written + part.len();
        buffer
            .get_mut(written..end)
            .expect("the buffer has room for the longest form")
            .copy_from_slice(part);
        written = end;
    }
    written
}

/// Nothing when the value does not fit.
///
/// A number of satoshis is taken apart into its decimal zeros (9 at most), its last digit before them, and what is left;
/// the parts are put together so that round values become small numbers.
pub(super) fn decompress_amount(number: u64) -> Option<u64> {
    let Some(number) = number.checked_sub(1) else {
        return Some(0);
    };
    let zeros = u32::try_from(number % 10).expect("below 10");
    let number = number / 10;
    let digits = match zeros {
        9 => number.checked_add(1)?,
        _ => (number / 9).checked_mul(10)?.checked_add(number % 9 + 1)?,
    };
    digits.checked_mul(10u64.pow(zeros))
}
