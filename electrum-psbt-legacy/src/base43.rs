//! Base43: bytes as one large number, in characters that QR codes hold densely.
//!
//! Big-endian, each leading zero byte a leading `0`, as base58 does it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::TextError;

/// The digits in order: the alphanumeric characters of QR codes without the space and `%`.
pub const ALPHABET: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ$*+-./:";
/// Characters that are read at most, as in Electrum: the work grows with the square.
pub const MAX_CHARS: usize = 30_000;

/// Writes bytes as digits. The work grows with the square of their number.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    // Little-endian, 43^5 to a limb.
    let mut limbs: Vec<u32> = Vec::new();
    for byte in bytes {
        let mut carry = u64::from(*byte);
        for limb in &mut limbs {
            let sum = u64::from(*limb) * 256 + carry;
            (*limb, carry) = ((sum % LIMB) as u32, sum / LIMB);
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    }
    let mut digits = Vec::new();
    for limb in limbs {
        let mut rest = limb;
        for _ in 0..DIGITS_PER_LIMB {
            digits.push(rest % 43);
            rest /= 43;
        }
    }
    while digits.last() == Some(&0) {
        digits.pop();
    }
    let digits = digits.into_iter().rev();
    core::iter::repeat_n(0, zeros)
        .chain(digits)
        .filter_map(|digit| ALPHABET.as_bytes().get(digit as usize))
        .map(|byte| char::from(*byte))
        .collect()
}

/// Reads digits; nothing else may stand among them.
///
/// # Errors
/// [`TextError::NotBase43`] names the first character that is no digit, [`TextError::TooLong`] refuses more than
/// [`MAX_CHARS`].
pub fn decode(text: &str) -> Result<Vec<u8>, TextError> {
    let (len, max) = (text.len(), MAX_CHARS);
    if len > max {
        let form = "base43";
        return Err(TextError::TooLong { len, max, form });
    }
    let zeros = text
        .chars()
        .take_while(|character| *character == '0')
        .count();
    // Little-endian, 32 bits to a limb.
    let mut limbs: Vec<u32> = Vec::new();
    for (position, character) in text.chars().enumerate() {
        let digit = ALPHABET.find(character);
        let digit = digit.ok_or(TextError::NotBase43 {
            character,
            position,
        })?;
        let mut carry = digit as u64;
        for limb in &mut limbs {
            let sum = u64::from(*limb) * 43 + carry;
            (*limb, carry) = (sum as u32, sum >> 32);
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    }
    let mut bytes: Vec<u8> = limbs.into_iter().flat_map(u32::to_le_bytes).collect();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes.extend(core::iter::repeat_n(0, zeros));
    bytes.reverse();
    Ok(bytes)
}

const DIGITS_PER_LIMB: u32 = 5;
const LIMB: u64 = 43u64.pow(DIGITS_PER_LIMB);
