//! The fee histogram: how much of the mempool pays how well.
//!
//! The bins are those of ElectrumX: each holds at least so many virtual bytes, and each bin a tenth more than the one
//! before, so that rates near the top of the mempool, where the next blocks come from, are told apart best. Unlike
//! there, the last bin takes whatever is left.

use bitcoin::FeeRate;
use electrum_protocol::method::mempool::FeeBin;

use super::Entry;

/// How many virtual bytes the first bin holds.
const FIRST_BIN: u64 = 30_000;
/// Satoshis per 1000 weight units in a tenth of a satoshi per virtual byte.
const KWU_PER_TENTH: u64 = 25;

/// A fee rate in tenths of a satoshi per virtual byte, rounded down.
pub(super) type Rate = u64;

/// Returns the rate that a transaction pays by itself.
pub(super) fn rate(entry: &Entry) -> Rate {
    entry.fee.to_sat().saturating_mul(10) / entry.vsize.max(1)
}

/// Gathers virtual bytes by rate, highest rate first, into bins.
pub(super) fn bins(rates: impl Iterator<Item = (Rate, u64)>) -> Vec<FeeBin> {
    let mut bins = Vec::new();
    let mut bin_size = FIRST_BIN;
    let mut open: Option<(Rate, u64)> = None;
    for (rate, vsize) in rates {
        // What is large by itself does not swallow the smaller ones before it.
        if vsize > 2 * bin_size
            && let Some(bin) = open.take()
        {
            bins.push(fee_bin(bin));
            bin_size += bin_size / 10;
        }
        let sum = open.map_or(0, |(_, sum)| sum) + vsize;
        if sum > bin_size {
            bins.push(fee_bin((rate, sum)));
            bin_size += bin_size / 10;
            open = None;
        } else {
            open = Some((rate, sum));
        }
    }
    bins.extend(open.map(fee_bin));
    bins
}

fn fee_bin((rate, vsize): (Rate, u64)) -> FeeBin {
    FeeBin {
        rate: fee_rate(rate),
        vsize,
    }
}

pub(super) fn fee_rate(rate: Rate) -> FeeRate {
    FeeRate::from_sat_per_kwu(rate.saturating_mul(KWU_PER_TENTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(rates: &[(Rate, u64)]) -> Vec<(u64, u64)> {
        bins(rates.iter().copied())
            .iter()
            .map(|bin| (bin.rate.to_sat_per_kwu() / KWU_PER_TENTH, bin.vsize))
            .collect()
    }

    #[test]
    fn no_transactions_no_bins() {
        assert_eq!(plain(&[]), []);
    }

    #[test]
    fn the_last_bin_takes_the_rest() {
        assert_eq!(plain(&[(50, 200), (10, 100)]), [(10, 300)]);
        assert_eq!(plain(&[(50, 30_001), (10, 100)]), [(50, 30_001), (10, 100)]);
    }

    /// Worked by hand: bins close when they exceed 30,000, then 33,000, then 36,300 virtual bytes.
    #[test]
    fn bins_grow() {
        let rates: Vec<_> = (1..=12).rev().map(|rate| (rate, 10_000)).collect();
        assert_eq!(plain(&rates), [(9, 40_000), (5, 40_000), (1, 40_000)]);
        // A large one closes the bin before it and has one of its own.
        assert_eq!(
            plain(&[(9, 500), (8, 60_001), (7, 1)]),
            [(9, 500), (8, 60_001), (7, 1)]
        );
    }
}
