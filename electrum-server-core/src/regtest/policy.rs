//! What Bitcoin Core's mempool refuses although blocks may contain it.

use bitcoin::opcodes::all::OP_CHECKMULTISIG;
use bitcoin::script::Instruction;
use bitcoin::{Script, Transaction, TxOut, WitnessVersion, ecdsa};

use super::admission;
use super::reject::{Reject, ensure};
use super::rules::Coin;

/// In satoshis per 1000 virtual bytes: the lowest rate that is relayed, and the least that a replacement adds.
pub(super) const MIN_RELAY_RATE: u64 = 100;
/// In satoshis per 1000 virtual bytes: what an output must be worth the spending of.
const DUST_RATE: u64 = 3000;
const MAX_WEIGHT: u64 = 400_000;
pub(super) const MAX_SIGOPS_COST: usize = 16_000;
const MIN_BASE_SIZE: usize = 65;
const MAX_SCRIPT_SIG: usize = 1650;
const MAX_DATA_CARRIER: usize = 100_000;
const MAX_P2SH_SIGOPS: usize = 15;
/// Signature operations outside of witnesses that a transaction may run (BIP 54).
const MAX_LEGACY_SIGOPS: usize = 2500;

/// Whether a transaction is of a kind that the mempool takes, as far as it shows without what it spends.
pub(super) fn check_standard(tx: &Transaction) -> Result<(), Reject> {
    ensure((1..=3).contains(&tx.version.0), "version")?;
    ensure(tx.weight().to_wu() <= MAX_WEIGHT, "tx-size")?;
    for input in &tx.input {
        ensure(input.script_sig.len() <= MAX_SCRIPT_SIG, "scriptsig-size")?;
        ensure(input.script_sig.is_push_only(), "scriptsig-not-pushonly")?;
    }
    let mut data = 0;
    let mut dust = 0;
    for output in &tx.output {
        let script = &output.script_pubkey;
        match kind(script) {
            Kind::Unknown => return Reject::err("scriptpubkey"),
            Kind::Data => {
                data += script.len();
                ensure(data <= MAX_DATA_CARRIER, "datacarrier")?;
            }
            _ => {}
        }
        dust += usize::from(is_dust(output));
    }
    // One output of dust is allowed where the fee is zero and somebody else spends it at once.
    ensure(dust <= 1, "dust")?;
    ensure(tx.base_size() >= MIN_BASE_SIZE, "tx-size-small")
}

/// Whether a transaction makes an output that is worth less than its spending costs.
pub(super) fn has_dust(tx: &Transaction) -> bool {
    tx.output.iter().any(is_dust)
}

/// Whether what a transaction spends, and how, is of a kind that the mempool takes.
pub(super) fn check_spends(tx: &Transaction, spent: &[Coin]) -> Result<(), Reject> {
    let refused = |what: String| Err(Reject::with("bad-txns-nonstandard-inputs", what));
    if legacy_sigops(tx, spent) > MAX_LEGACY_SIGOPS {
        return refused("non-witness sigops exceed bip54 limit".to_owned());
    }
    for (index, (input, coin)) in tx.input.iter().zip(spent).enumerate() {
        match kind(&coin.output.script_pubkey) {
            Kind::Unknown => return refused(format!("input {index} script unknown")),
            Kind::FutureWitness => {
                return refused(format!("input {index} witness program is undefined"));
            }
            Kind::ScriptHash => {
                let Some(redeem) = last_push(&input.script_sig) else {
                    return refused(format!("input {index} P2SH redeemscript missing"));
                };
                let count = Script::from_bytes(&redeem).count_sigops();
                if count > MAX_P2SH_SIGOPS {
                    return refused(format!(
                        "p2sh redeemscript sigops exceed limit (input {index}: {count} > {MAX_P2SH_SIGOPS})"
                    ));
                }
            }
            _ => {}
        }
    }
    for (input, coin) in tx.input.iter().zip(spent) {
        let script = &coin.output.script_pubkey;
        if is_p2a(script) {
            ensure(input.witness.is_empty(), "bad-witness-nonstandard")?;
        } else if !input.witness.is_empty() {
            ensure(
                witness_is_standard(input, script),
                "bad-witness-nonstandard",
            )?;
        }
    }
    Ok(())
}

/// What a script of pushes leaves on top of the stack.
fn last_push(script: &Script) -> Option<Vec<u8>> {
    match script.instructions().last()?.ok()? {
        Instruction::PushBytes(push) => Some(push.as_bytes().to_vec()),
        Instruction::Op(op) => match op.to_u8() {
            0x4f => Some(vec![0x81]),
            number @ 0x51..=0x60 => Some(vec![number - 0x50]),
            _ => None,
        },
    }
}

/// Signature operations that run outside of witnesses when these coins are spent.
fn legacy_sigops(tx: &Transaction, spent: &[Coin]) -> usize {
    let each = tx.input.iter().zip(spent).map(|(input, coin)| {
        let script = &coin.output.script_pubkey;
        let redeem = match script.is_p2sh() {
            true => last_push(&input.script_sig).unwrap_or_default(),
            false => script.to_bytes(),
        };
        input.script_sig.count_sigops() + Script::from_bytes(&redeem).count_sigops()
    });
    each.sum()
}

fn witness_is_standard(input: &bitcoin::TxIn, script: &Script) -> bool {
    let nested = match script.is_p2sh() {
        true => last_push(&input.script_sig),
        false => None,
    };
    let program = nested.as_deref().map_or(script, Script::from_bytes);
    let items: Vec<&[u8]> = input.witness.iter().collect();
    if program.is_p2wsh() {
        let Some((script, stack)) = items.split_last() else {
            return false;
        };
        return script.len() <= 3600
            && stack.len() <= 100
            && stack.iter().all(|item| item.len() <= 80);
    }
    if program.is_p2tr() && nested.is_none() {
        let annex =
            items.len() >= 2 && items.last().is_some_and(|item| item.first() == Some(&0x50));
        if annex {
            return false;
        }
        if let [stack @ .., _, control] = items.as_slice() {
            let is_tapscript = control.first().is_some_and(|first| first & 0xfe == 0xc0);
            return !is_tapscript || stack.iter().all(|item| item.len() <= 80);
        }
        return !items.is_empty();
    }
    program.is_witness_program()
}

/// What the mempool demands of signatures and keys and the consensus library does not look at, in Bitcoin Core's words.
pub(super) fn check_signatures(tx: &Transaction, spent: &[TxOut]) -> Result<(), Reject> {
    for (index, (input, output)) in tx.input.iter().zip(spent).enumerate() {
        let refused = |why: &str| {
            let reason = format!("mempool-script-verify-flag-failed ({why})");
            Err(Reject::with(reason, admission::input_name(tx, index)))
        };
        if output.script_pubkey.is_p2tr() {
            continue;
        }
        let pushes = input.script_sig.instructions().flatten();
        let pushes = pushes.filter_map(|part| match part {
            Instruction::PushBytes(push) => Some(push.as_bytes()),
            Instruction::Op(_) => None,
        });
        if pushes.chain(input.witness.iter()).any(has_high_s) {
            return refused("Non-canonical signature: S value is unnecessarily high");
        }
        let nested = last_push(&input.script_sig).filter(|_| output.script_pubkey.is_p2sh());
        let program = nested
            .as_deref()
            .map_or(output.script_pubkey.as_script(), Script::from_bytes);
        if program.is_p2wpkh() && input.witness.nth(1).is_some_and(|key| key.len() == 65) {
            return refused("Using non-compressed keys in segwit");
        }
    }
    Ok(())
}

/// Whether these are a signature, and not the smaller of the two that there are.
fn has_high_s(item: &[u8]) -> bool {
    let Ok(signature) = ecdsa::Signature::from_slice(item) else {
        return false;
    };
    let mut low = signature.signature;
    low.normalize_s();
    low != signature.signature
}

/// Kinds of output scripts, as far as the mempool tells them apart.
pub(super) enum Kind {
    Known,
    ScriptHash,
    Data,
    FutureWitness,
    Unknown,
}

pub(super) fn kind(script: &Script) -> Kind {
    if script.is_p2sh() {
        return Kind::ScriptHash;
    }
    if script.is_op_return() {
        let rest = script.as_bytes().get(1..).unwrap_or_default();
        return match Script::from_bytes(rest).is_push_only() {
            true => Kind::Data,
            false => Kind::Unknown,
        };
    }
    let known = script.is_p2pk()
        || script.is_p2pkh()
        || script.is_p2wpkh()
        || script.is_p2wsh()
        || script.is_p2tr()
        || is_p2a(script)
        || is_small_multisig(script);
    match known {
        true => Kind::Known,
        false
            if script.is_witness_program()
                && script.witness_version() != Some(WitnessVersion::V0) =>
        {
            Kind::FutureWitness
        }
        false => Kind::Unknown,
    }
}

/// Pay to anchor: anybody may spend it, with nothing to show.
pub(super) fn is_p2a(script: &Script) -> bool {
    script.as_bytes() == [0x51, 0x02, 0x4e, 0x73]
}

/// A multisignature script of up to three keys, in the open.
fn is_small_multisig(script: &Script) -> bool {
    let Ok(parts) = script.instructions().collect::<Result<Vec<_>, _>>() else {
        return false;
    };
    let [
        Instruction::Op(required),
        keys @ ..,
        Instruction::Op(count),
        Instruction::Op(last),
    ] = parts.as_slice()
    else {
        return false;
    };
    let number = |op: &bitcoin::Opcode| usize::from(op.to_u8().wrapping_sub(0x50));
    let is_key = |part: &Instruction<'_>| {
        part.push_bytes().is_some_and(|key| {
            matches!(
                (key.len(), key.as_bytes().first()),
                (33, Some(2 | 3)) | (65, Some(4 | 6 | 7))
            )
        })
    };
    *last == OP_CHECKMULTISIG
        && number(count) == keys.len()
        && (1..=3).contains(&keys.len())
        && (1..=keys.len()).contains(&number(required))
        && keys.iter().all(is_key)
}

pub(super) fn is_dust(output: &TxOut) -> bool {
    let script = &output.script_pubkey;
    if script.is_op_return() || script.len() > 10_000 {
        return false;
    }
    // The size of the output, and of an input that spends it.
    let spending = if script.is_witness_program() {
        32 + 4 + 1 + 107 / 4 + 4
    } else {
        32 + 4 + 1 + 107 + 4
    };
    let size = output.size() + spending;
    output.value.to_sat() < size as u64 * DUST_RATE / 1000
}

/// The fee of this many virtual bytes at a rate in satoshis per 1000, rounded up as Bitcoin Core does.
pub(super) fn fee_at(rate: u64, vsize: u64) -> u64 {
    let fee = (u128::from(rate) * u128::from(vsize)).div_ceil(1000);
    u64::try_from(fee).unwrap_or(u64::MAX)
}
