//! Rules of consensus about single transactions.

use std::collections::HashSet;

use bitcoin::absolute::LockTime;
use bitcoin::{Amount, OutPoint, Transaction, TxOut};

use super::reject::{Reject, ensure};

/// How many blocks a coinbase waits until it can be spent.
pub(super) const MATURITY: u32 = 100;
/// The largest amount that there may be.
pub(super) const MAX_MONEY: u64 = 21_000_000 * 100_000_000;
/// The largest weight of a block, and of a transaction times four.
pub(super) const MAX_WEIGHT: u64 = 4_000_000;
/// The bit of a sequence number that switches relative locks off.
const SEQUENCE_DISABLED: u32 = 1 << 31;
/// The bit of a sequence number that says: in units of 512 seconds.
const SEQUENCE_IS_TIME: u32 = 1 << 22;

/// An output that is not spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coin {
    pub(super) output: TxOut,
    /// Of the block that made it; one more than the tip's while it is unconfirmed.
    pub(super) height: u32,
    pub(super) is_coinbase: bool,
}

/// What holds of a transaction by itself.
pub(super) fn check_transaction(tx: &Transaction) -> Result<(), Reject> {
    ensure(!tx.input.is_empty(), "bad-txns-vin-empty")?;
    ensure(!tx.output.is_empty(), "bad-txns-vout-empty")?;
    let fits = tx.base_size() as u64 * 4 <= MAX_WEIGHT;
    ensure(fits, "bad-txns-oversize")?;
    let mut total = 0u64;
    for output in &tx.output {
        let value = output.value.to_sat();
        ensure(i64::try_from(value).is_ok(), "bad-txns-vout-negative")?;
        ensure(value <= MAX_MONEY, "bad-txns-vout-toolarge")?;
        total = total.saturating_add(value);
        ensure(total <= MAX_MONEY, "bad-txns-txouttotal-toolarge")?;
    }
    let mut seen = HashSet::new();
    let different = tx
        .input
        .iter()
        .all(|input| seen.insert(input.previous_output));
    ensure(different, "bad-txns-inputs-duplicate")?;
    if tx.is_coinbase() {
        let length = tx.input.first().map_or(0, |input| input.script_sig.len());
        return ensure((2..=100).contains(&length), "bad-cb-length");
    }
    let real = |outpoint: &OutPoint| !outpoint.is_null();
    let all_real = tx.input.iter().all(|input| real(&input.previous_output));
    ensure(all_real, "bad-txns-prevout-null")
}

/// What a transaction pays as its fee, when it may be in a block at `height` and spends `coins`.
pub(super) fn check_inputs(
    tx: &Transaction,
    coins: &[Coin],
    height: u32,
) -> Result<Amount, Reject> {
    let mut total = 0u64;
    for coin in coins {
        let age = height.saturating_sub(coin.height);
        if coin.is_coinbase && age < MATURITY {
            let details = format!("tried to spend coinbase at depth {age}");
            return Err(Reject::with(
                "bad-txns-premature-spend-of-coinbase",
                details,
            ));
        }
        total = total.saturating_add(coin.output.value.to_sat());
        ensure(total <= MAX_MONEY, "bad-txns-inputvalues-outofrange")?;
    }
    let out: u64 = tx.output.iter().map(|output| output.value.to_sat()).sum();
    match total.checked_sub(out) {
        Some(fee) => Ok(Amount::from_sat(fee)),
        None => Err(Reject::with(
            "bad-txns-in-belowout",
            format!("value in ({}) < value out ({})", money(total), money(out)),
        )),
    }
}

/// An amount as Bitcoin Core writes it.
pub(super) fn money(sat: u64) -> String {
    let text = format!("{}.{:08}", sat / 100_000_000, sat % 100_000_000);
    // Two digits stay, whatever they are.
    let (whole, fraction) = text.split_at(text.len() - 6);
    format!("{whole}{}", fraction.trim_end_matches('0'))
}

/// Whether the lock time of a transaction allows a block at `height` whose predecessors have the median time `mtp`.
pub(super) fn is_final(tx: &Transaction, height: u32, mtp: u32) -> bool {
    let lock = tx.lock_time.to_consensus_u32();
    let bound = match tx.lock_time {
        LockTime::Blocks(_) => height,
        LockTime::Seconds(_) => mtp,
    };
    lock == 0 || lock < bound || tx.input.iter().all(|input| input.sequence.0 == u32::MAX)
}

/// Whether the relative locks of a transaction (BIP 68) allow a block at `height` on a tip with the median time `mtp`;
/// `mtp_before(height)` is the median time before the block at that height.
pub(super) fn sequence_locks_hold(
    tx: &Transaction,
    coins: &[Coin],
    height: u32,
    mtp: u32,
    mtp_before: impl Fn(u32) -> u32,
) -> bool {
    if (tx.version.0 as u32) < 2 {
        return true;
    }
    tx.input.iter().zip(coins).all(|(input, coin)| {
        let sequence = input.sequence.0;
        if sequence & SEQUENCE_DISABLED != 0 {
            return true;
        }
        let amount = sequence & 0xffff;
        match sequence & SEQUENCE_IS_TIME != 0 {
            true => u64::from(mtp_before(coin.height)) + (u64::from(amount) << 9) <= u64::from(mtp),
            false => u64::from(coin.height) + u64::from(amount) <= u64::from(height),
        }
    })
}
