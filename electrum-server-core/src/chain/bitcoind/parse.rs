//! The node's bytes and numbers, read with distrust: every function here takes anything and never panics.

use bitcoin::block::Header;
use bitcoin::consensus::encode::{self, Decodable, VarInt};
use bitcoin::hashes::Hash;
use bitcoin::{Amount, Block, BlockHash, ScriptBuf, Transaction, TxOut};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Bytes of the node that do not have the form they should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The bytes do not decode.
    #[error("{what}: {error}")]
    Encoding {
        /// What was being read.
        what: &'static str,
        /// Where it went wrong.
        error: EncodingError,
    },
    /// More bytes than the value takes, or a length that does not fit.
    #[error("{what}: {length} bytes are not what it takes")]
    Length {
        /// What was being read.
        what: &'static str,
        /// How many bytes there were.
        length: usize,
    },
    /// An amount outside of 0 to 21 million bitcoin.
    #[error("{what}: {text} is not an amount")]
    Amount {
        /// What was being read.
        what: &'static str,
        /// The number as it was found.
        text: String,
    },
    /// A block with another hash than the one asked for.
    #[error("asked for block {asked}, got block {found}")]
    WrongBlock {
        /// The hash that was asked for.
        asked: BlockHash,
        /// The hash of what came.
        found: BlockHash,
    },
    /// A block whose header commits to other transactions.
    #[error("the transactions of block {hash} are not those that its header commits to")]
    WrongTransactions {
        /// The hash of the block.
        hash: BlockHash,
    },
    /// Spent outputs that do not match the inputs of their block.
    #[error("block {hash}: the outputs that it spends do not match its inputs")]
    WrongSpent {
        /// The hash of the block.
        hash: BlockHash,
    },
}

/// The text of a decoding error of the consensus encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EncodingError(String);

fn encoding(what: &'static str) -> impl Fn(encode::Error) -> ParseError {
    move |error| ParseError::Encoding {
        what,
        error: EncodingError(error.to_string()),
    }
}

/// Reads one value and nothing after it.
fn exactly<T: Decodable>(what: &'static str, bytes: &[u8]) -> Result<T, ParseError> {
    encode::deserialize(bytes).map_err(encoding(what))
}

/// Reads a block and checks that it is the one that was asked for, witnesses aside.
///
/// # Errors
///
/// When the bytes are not one block, or another one.
pub fn parse_block(hash: &BlockHash, bytes: &[u8]) -> Result<Block, ParseError> {
    let block: Block = exactly("block", bytes)?;
    let found = block.block_hash();
    if found != *hash {
        return Err(ParseError::WrongBlock {
            asked: *hash,
            found,
        });
    }
    if !block.check_merkle_root() {
        return Err(ParseError::WrongTransactions { hash: *hash });
    }
    Ok(block)
}

/// Reads headers of 80 bytes each, one after the other.
///
/// # Errors
///
/// When there are bytes left over.
pub fn parse_headers(bytes: &[u8]) -> Result<Vec<Header>, ParseError> {
    let what = "headers";
    if !bytes.len().is_multiple_of(Header::SIZE) {
        return Err(ParseError::Length {
            what,
            length: bytes.len(),
        });
    }
    bytes
        .chunks_exact(Header::SIZE)
        .map(|header| exactly(what, header))
        .collect()
}

/// Reads a transaction.
///
/// # Errors
///
/// When the bytes are not one transaction.
pub fn parse_transaction(bytes: &[u8]) -> Result<Transaction, ParseError> {
    exactly("transaction", bytes)
}

/// Reads the 32 bytes of a block hash, in the order of the network.
///
/// # Errors
///
/// When the length is another.
pub fn parse_block_hash(bytes: &[u8]) -> Result<BlockHash, ParseError> {
    BlockHash::from_slice(bytes).map_err(|_| ParseError::Length {
        what: "block hash",
        length: bytes.len(),
    })
}

/// Reads the outputs that a block spends, in the form of Bitcoin Core's `/rest/spenttxouts`: a compact size (the number
/// of transactions), for each transaction a compact size (the number of inputs; 0 for the coinbase), for each input the
/// value (8 bytes, little endian) and the script (a compact size and as many bytes).
///
/// # Errors
///
/// When the bytes are anything else.
pub fn parse_spent_outputs(mut bytes: &[u8]) -> Result<Vec<Vec<TxOut>>, ParseError> {
    let what = "spent outputs";
    let reader = &mut bytes;
    let transactions = VarInt::consensus_decode(reader).map_err(encoding(what))?.0;
    // Nothing is reserved for counts that the bytes may not keep.
    let mut spent = Vec::new();
    for _ in 0..transactions {
        let inputs = VarInt::consensus_decode(reader).map_err(encoding(what))?.0;
        let mut outputs = Vec::new();
        for _ in 0..inputs {
            let value = u64::consensus_decode(reader).map_err(encoding(what))?;
            let script_pubkey = ScriptBuf::consensus_decode(reader).map_err(encoding(what))?;
            outputs.push(TxOut {
                value: amount(what, value)?,
                script_pubkey,
            });
        }
        spent.push(outputs);
    }
    match bytes.len() {
        0 => Ok(spent),
        length => Err(ParseError::Length { what, length }),
    }
}

/// Checks that there is one spent output for each input of the block, and none for its coinbase.
///
/// # Errors
///
/// When the counts differ.
pub fn check_spent(block: &Block, spent: &[Vec<TxOut>]) -> Result<(), ParseError> {
    let inputs = |(i, tx): (usize, &Transaction)| if i == 0 { 0 } else { tx.input.len() };
    let expected = block.txdata.iter().enumerate().map(inputs);
    if expected.eq(spent.iter().map(Vec::len)) {
        Ok(())
    } else {
        Err(ParseError::WrongSpent {
            hash: block.block_hash(),
        })
    }
}

fn amount(what: &'static str, sat: u64) -> Result<Amount, ParseError> {
    Some(Amount::from_sat(sat))
        .filter(|amount| *amount <= Amount::MAX_MONEY)
        .ok_or_else(|| ParseError::Amount {
            what,
            text: sat.to_string(),
        })
}

/// An amount that the node writes as a decimal number of whole bitcoin, read exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Btc(pub(super) Amount);

impl<'de> Deserialize<'de> for Btc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Box::<RawValue>::deserialize(deserializer)?;
        parse_btc(number.get())
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// Reads a JSON number of whole bitcoin as satoshis, from its digits and without rounding: `0.00001000`, `1e-05`, `50`.
///
/// # Errors
///
/// When it is not a number, is negative, above 21 million, or has a fraction of a satoshi.
pub fn parse_btc(text: &str) -> Result<Amount, ParseError> {
    let error = || ParseError::Amount {
        what: "bitcoin",
        text: text.chars().take(40).collect(),
    };
    satoshis(text)
        .and_then(|sat| amount("bitcoin", sat).ok())
        .ok_or_else(error)
}

fn satoshis(text: &str) -> Option<u64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || fraction.len() > 40 {
        return None;
    }
    // The decimal point moves to the right by the exponent, and by 8 from bitcoin to satoshis.
    let mut places = exponent
        .checked_add(8)?
        .checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let mut digits = String::with_capacity(whole.len() + fraction.len());
    digits.push_str(whole);
    digits.push_str(fraction);
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    while places < 0 && digits.len() > 1 && digits.ends_with('0') {
        digits.pop();
        places += 1;
    }
    let digits: u64 = digits.parse().ok()?;
    match (digits, u32::try_from(places)) {
        (0, _) => Some(0),
        (_, Ok(places)) => digits.checked_mul(10u64.checked_pow(places)?),
        (_, Err(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::constants::genesis_block;
    use bitcoin::{Network, consensus::serialize};

    #[test]
    fn amounts_are_exact() {
        let sat = |text| parse_btc(text).map(Amount::to_sat).ok();
        assert_eq!(sat("0.00001000"), Some(1000));
        assert_eq!(sat("0.00000001"), Some(1));
        assert_eq!(sat("20999999.97690000"), Some(2_099_999_997_690_000));
        assert_eq!(sat("21000000"), Some(2_100_000_000_000_000));
        assert_eq!(sat("1e-05"), Some(1000));
        assert_eq!(sat("1.01E-5"), Some(1010));
        assert_eq!(sat("2e2"), Some(20_000_000_000));
        assert_eq!(sat("0"), Some(0));
        assert_eq!(sat("0e-400"), Some(0));
        assert_eq!(sat("0.000000010"), Some(1));
        for text in [
            "-1",
            "21000000.00000001",
            "0.000000001",
            "1e400",
            "1e-400",
            "",
            ".5",
            "1.2.3",
            "null",
            "\"1\"",
            "99999999999999999999999999",
            "1e2147483647",
            "0.1e-2147483648",
        ] {
            assert_eq!(sat(text), None, "{text}");
        }
    }

    /// The form is that of `SerializeBlockUndo` in Bitcoin Core's rest.cpp.
    #[test]
    fn spent_outputs() {
        assert_eq!(parse_spent_outputs(&[1, 0]).unwrap(), [vec![]]);
        let mut bytes = vec![2, 0, 2];
        bytes.extend(5_000_000_000u64.to_le_bytes());
        bytes.extend([1, 0x51]);
        bytes.extend(1u64.to_le_bytes());
        bytes.push(0);
        let spent = parse_spent_outputs(&bytes).unwrap();
        let output = |sat, script: &[u8]| TxOut {
            value: Amount::from_sat(sat),
            script_pubkey: ScriptBuf::from_bytes(script.to_vec()),
        };
        assert_eq!(
            spent,
            [vec![], vec![output(5_000_000_000, &[0x51]), output(1, &[])]]
        );
        // Cut anywhere, or continued, it is refused.
        for end in 0..bytes.len() {
            assert!(parse_spent_outputs(&bytes[..end]).is_err(), "{end}");
        }
        bytes.push(0);
        assert!(matches!(
            parse_spent_outputs(&bytes),
            Err(ParseError::Length { length: 1, .. })
        ));
        // Counts and values that nothing keeps.
        assert!(parse_spent_outputs(&[0xff; 9]).is_err());
        assert!(parse_spent_outputs(&[1, 0xfe, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(parse_spent_outputs(&[1, 1, 255, 255, 255, 255, 255, 255, 255, 255, 0]).is_err());
    }

    #[test]
    fn blocks_are_what_was_asked_for() {
        let block = genesis_block(Network::Regtest);
        let bytes = serialize(&block);
        assert_eq!(parse_block(&block.block_hash(), &bytes).unwrap(), block);
        let other = genesis_block(Network::Bitcoin).block_hash();
        assert!(matches!(
            parse_block(&other, &bytes),
            Err(ParseError::WrongBlock { .. })
        ));
        let mut forged = block.clone();
        forged.txdata[0].lock_time = bitcoin::absolute::LockTime::from_height(7).unwrap();
        let forged = parse_block(&block.block_hash(), &serialize(&forged));
        assert!(matches!(forged, Err(ParseError::WrongTransactions { .. })));
        assert!(parse_block(&block.block_hash(), &bytes[1..]).is_err());
    }

    #[test]
    fn headers_come_whole() {
        let header = genesis_block(Network::Bitcoin).header;
        let bytes = [serialize(&header), serialize(&header)].concat();
        assert_eq!(parse_headers(&bytes).unwrap(), [header, header]);
        assert!(parse_headers(&bytes[..81]).is_err());
        assert_eq!(parse_headers(&[]).unwrap(), []);
    }

    #[test]
    fn spent_outputs_match_the_inputs() {
        let block = genesis_block(Network::Regtest);
        assert_eq!(check_spent(&block, &[vec![]]), Ok(()));
        assert!(check_spent(&block, &[]).is_err());
        assert!(check_spent(&block, &[vec![], vec![]]).is_err());
    }
}
