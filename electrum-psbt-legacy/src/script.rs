//! Pushes and multisig scripts, with extended keys where the network has public keys.

use alloc::vec::Vec;

/// Keys of a multisig script at most: the largest number that P2SH has room for, and that Electrum makes.
pub const MAX_KEYS_PER_SCRIPT: usize = 15;

pub(crate) const OP_PUSHDATA1: u8 = 0x4c;
const OP_PUSHDATA2: u8 = 0x4d;
const OP_PUSHDATA4: u8 = 0x4e;
const OP_1: u8 = 0x51;
const OP_CHECKMULTISIG: u8 = 0xae;

/// One element of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    /// Bytes to push, at least one.
    Push(&'a [u8]),
    /// Anything else, `OP_0` and empty pushes too.
    Code(u8),
}

/// Bytes of a script that the network takes at most.
const MAX_SCRIPT_LEN: usize = 10_000;

/// The elements of a script, or nothing when a push is cut short or the script is longer than any that is valid.
pub(crate) fn ops(script: &[u8]) -> Option<Vec<Op<'_>>> {
    if script.len() > MAX_SCRIPT_LEN {
        return None;
    }
    let mut ops = Vec::new();
    let mut rest = script;
    while let Some((&code, after)) = rest.split_first() {
        let (len, after) = match code {
            1..OP_PUSHDATA1 => (usize::from(code), after),
            OP_PUSHDATA1 => {
                let (len, after) = after.split_first()?;
                (usize::from(*len), after)
            }
            OP_PUSHDATA2 => {
                let (len, after) = after.split_first_chunk()?;
                (usize::from(u16::from_le_bytes(*len)), after)
            }
            OP_PUSHDATA4 => {
                let (len, after) = after.split_first_chunk()?;
                (usize::try_from(u32::from_le_bytes(*len)).ok()?, after)
            }
            _ => (0, after),
        };
        let (data, after) = after.split_at_checked(len)?;
        ops.push(match data {
            [] => Op::Code(code),
            _ => Op::Push(data),
        });
        rest = after;
    }
    Some(ops)
}

/// Appends the shortest push of `data`; nothing at all is `OP_0`.
pub(crate) fn push(out: &mut Vec<u8>, data: &[u8]) {
    let len = data.len();
    let bytes = len.to_le_bytes();
    match len {
        0..=0x4b => out.extend(bytes.iter().take(1)),
        0x4c..=0xff => {
            out.push(OP_PUSHDATA1);
            out.extend(bytes.iter().take(1));
        }
        0x100..=0xffff => {
            out.push(OP_PUSHDATA2);
            out.extend(bytes.iter().take(2));
        }
        _ => {
            out.push(OP_PUSHDATA4);
            out.extend(bytes.iter().take(4));
        }
    }
    out.extend(data);
}

/// `m <key>... n OP_CHECKMULTISIG`.
pub(crate) fn multisig<K: AsRef<[u8]>>(required: usize, keys: &[K]) -> Vec<u8> {
    let number = |n: usize| OP_1 - 1 + u8::try_from(n).unwrap_or(0).min(16);
    let mut script = Vec::new();
    script.push(number(required));
    keys.iter().for_each(|key| push(&mut script, key.as_ref()));
    script.extend([number(keys.len()), OP_CHECKMULTISIG]);
    script
}

/// How many signatures a multisig script needs, and its keys as they are written.
pub(crate) fn parse_multisig(script: &[u8]) -> Option<(usize, Vec<&[u8]>)> {
    let ops = ops(script)?;
    let [
        Op::Code(first),
        keys @ ..,
        Op::Code(last),
        Op::Code(OP_CHECKMULTISIG),
    ] = ops.as_slice()
    else {
        return None;
    };
    let required = usize::from(first.checked_sub(OP_1 - 1)?);
    let total = usize::from(last.checked_sub(OP_1 - 1)?);
    let keys: Option<Vec<_>> = keys
        .iter()
        .map(|op| match op {
            Op::Push(data) => Some(*data),
            Op::Code(_) => None,
        })
        .collect();
    let keys = keys?;
    let good = (1..=total).contains(&required)
        && total <= MAX_KEYS_PER_SCRIPT
        && keys.len() == total
        // A push in a longer form would not be written back as it was.
        && multisig(required, &keys) == script;
    good.then_some((required, keys))
}
