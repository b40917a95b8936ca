//! The checksum of descriptors (BIP 380).

use alloc::string::String;

use crate::DescriptorError;

/// Characters of descriptors; a character's place gives the symbols.
const INPUT: &[u8] = b"0123456789()[],'/*abcdefgh@:$%{}\
IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~\
ijklmnopqrstuvwxyzABCDEFGH`#\"\\ ";
const OUTPUT: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR: [u64; 5] = [
    0xf5_dee5_1989,
    0xa9_fdca_3312,
    0x1b_ab10_e32d,
    0x37_06b1_677a,
    0x64_4d62_6ffd,
];

/// The eight characters that follow `#`.
pub(crate) fn checksum(text: &str) -> Result<String, DescriptorError> {
    let mut sum = 1;
    let (mut class, mut count) = (0, 0);
    for character in text.chars() {
        let place = INPUT
            .iter()
            .position(|known| char::from(*known) == character)
            .ok_or(DescriptorError::Character(character))? as u64;
        sum = step(sum, place & 31);
        class = class * 3 + (place >> 5);
        count += 1;
        if count == 3 {
            sum = step(sum, class);
            (class, count) = (0, 0);
        }
    }
    if count > 0 {
        sum = step(sum, class);
    }
    sum = (0..8).fold(sum, |sum, _| step(sum, 0)) ^ 1;
    let symbol = |place: u32| OUTPUT.get((sum >> (5 * (7 - place))) as usize & 31);
    Ok((0..8)
        .filter_map(symbol)
        .map(|byte| char::from(*byte))
        .collect())
}

fn step(sum: u64, symbol: u64) -> u64 {
    let top = sum >> 35;
    let shifted = ((sum & 0x7_ffff_ffff) << 5) ^ symbol;
    let taps = GENERATOR
        .iter()
        .enumerate()
        .filter(|(bit, _)| (top >> bit) & 1 == 1);
    taps.fold(shifted, |sum, (_, generator)| sum ^ generator)
}
