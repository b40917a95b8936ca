//! What consensus asks of a header, as far as headers alone can show it.
//!
//! Sources: `ContextualCheckBlockHeader` and `GetNextWorkRequired` of Bitcoin Core; BIP 34, 65 and 66 for the versions,
//! BIP 94 for testnet4.

use bitcoin::block::Header;
use bitcoin::params::Params;
use bitcoin::{BlockHash, CompactTarget, Network};

/// How many blocks have the same difficulty, but for those of testnets that are easier.
pub const PERIOD: u32 = 2016;

/// How many blocks the median time is taken of.
pub(super) const MEDIAN_BLOCKS: u32 = 11;

/// How far a block may be ahead of the clock, in seconds.
pub const MAX_FUTURE: u32 = 2 * 60 * 60;

/// How far the first block of a period may lie before its predecessor under BIP 94, in seconds.
const MAX_TIMEWARP: u32 = 600;

/// Why a header cannot be what it is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header {hash} at height {height} is invalid: {fault}")]
#[non_exhaustive]
pub struct HeaderError {
    /// The height at which it was offered.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// What is wrong.
    pub fault: HeaderFault,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderFault {
    /// It does not follow the header before it.
    #[error("it follows {found} instead of {expected}")]
    Unlinked {
        /// The hash of the header before it.
        expected: BlockHash,
        /// The hash that it names.
        found: BlockHash,
    },
    /// Its target is another than its ancestors demand.
    #[error("its bits are {found:#x} instead of {expected:#x}")]
    WrongBits {
        /// The bits that are required.
        expected: CompactTarget,
        /// The bits that it has.
        found: CompactTarget,
    },
    /// Its hash is above its target; all else is as it should be.
    #[error("its hash does not meet its target")]
    NoProofOfWork,
    /// Its time is not after the median of the eleven headers before it.
    #[error("its time {time} is not after the median time {median}")]
    TimeTooOld {
        /// Its time, in seconds since 1970.
        time: u32,
        /// The median time of the eleven headers before it.
        median: u32,
    },
    /// It is the first of its period and lies too far before its predecessor (BIP 94, on testnet4).
    #[error("its time {time} lies more than 600 seconds before its predecessor's {previous}")]
    Timewarp {
        /// Its time, in seconds since 1970.
        time: u32,
        /// The time of the header before it.
        previous: u32,
    },
    /// Its time is more than two hours ahead of the clock. It may be valid later.
    #[error("its time {time} is more than two hours after {now}")]
    TimeTooNew {
        /// Its time, in seconds since 1970.
        time: u32,
        /// What the clock says.
        now: u32,
    },
    /// Its version is older than a soft fork that is in force (BIP 34, 65 and 66).
    #[error("its version {version} is below {required}")]
    OldVersion {
        /// Its version.
        version: i32,
        /// The lowest version that is still valid.
        required: i32,
    },
    /// No block can have this height.
    #[error("no height is above it")]
    NoHeight,
    /// A header that the rules need was not kept.
    #[error("the header at height {height}, which decides, is not known")]
    MissingAncestor {
        /// The height of the header that is missing.
        height: u32,
    },
}

/// The ancestors of a header: those of the chain up to a fork, a branch from there, and what follows the branch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ancestors<'a> {
    /// The height of the first header of `trunk`.
    pub(super) first: u32,
    pub(super) trunk: &'a [Header],
    pub(super) branch: &'a [Header],
    pub(super) new: &'a [Header],
}

impl Ancestors<'_> {
    fn at(&self, height: u32) -> Result<&Header, HeaderFault> {
        let mut index = height.checked_sub(self.first).map(|index| index as usize);
        let parts = [self.trunk, self.branch, self.new];
        parts
            .into_iter()
            .find_map(|part| {
                let found = part.get(index?);
                index = index?.checked_sub(part.len());
                found
            })
            .ok_or(HeaderFault::MissingAncestor { height })
    }
}

/// Checks the header at `height`, whose predecessor has the hash `previous`, and returns its hash.
pub(super) fn check(
    network: Network,
    ancestors: Ancestors<'_>,
    height: u32,
    previous: BlockHash,
    header: &Header,
    now: Option<u32>,
) -> Result<BlockHash, HeaderError> {
    let hash = header.block_hash();
    verdict(network, ancestors, height, previous, header, &hash, now)
        .map(|()| hash)
        .map_err(|fault| HeaderError {
            height,
            hash,
            fault,
        })
}

fn verdict(
    network: Network,
    ancestors: Ancestors<'_>,
    height: u32,
    previous: BlockHash,
    header: &Header,
    hash: &BlockHash,
    now: Option<u32>,
) -> Result<(), HeaderFault> {
    if header.prev_blockhash != previous {
        return Err(HeaderFault::Unlinked {
            expected: previous,
            found: header.prev_blockhash,
        });
    }
    let expected = required_bits(network, ancestors, height, header.time)?;
    if header.bits != expected {
        return Err(HeaderFault::WrongBits {
            expected,
            found: header.bits,
        });
    }
    check_time(network, ancestors, height, header.time, now)?;
    let (version, required) = (
        header.version.to_consensus(),
        lowest_version(network, height),
    );
    if version < required {
        return Err(HeaderFault::OldVersion { version, required });
    }
    match header.target().is_met_by(*hash) {
        true => Ok(()),
        false => Err(HeaderFault::NoProofOfWork),
    }
}

/// Computes the bits of the header at `height` with the time `time`.
pub(super) fn required_bits(
    network: Network,
    ancestors: Ancestors<'_>,
    height: u32,
    time: u32,
) -> Result<CompactTarget, HeaderFault> {
    let params = Params::new(network);
    let before = height.checked_sub(1).ok_or(HeaderFault::NoHeight)?;
    let last = ancestors.at(before)?;
    if params.no_pow_retargeting {
        return Ok(last.bits);
    }
    if height.is_multiple_of(PERIOD) {
        let first = ancestors.at(height - PERIOD)?;
        // Testnet4 keeps the real difficulty in the first block of a period, which may not be an easy one.
        let bits = match network {
            Network::Testnet4 => first.bits,
            _ => last.bits,
        };
        // A period of 2016 blocks is measured from its first to its last: one interval too few, since 2009. One that
        // ends before it begins counts as the shortest.
        let timespan = last.time.saturating_sub(first.time);
        return Ok(CompactTarget::from_next_work_required(
            bits,
            timespan.into(),
            params,
        ));
    }
    if !params.allow_min_difficulty_blocks {
        return Ok(last.bits);
    }
    let easiest = params.max_attainable_target.to_compact_lossy();
    if u64::from(time) > u64::from(last.time) + 2 * params.pow_target_spacing {
        return Ok(easiest);
    }
    // After easy blocks the difficulty is again that of the last block that was none.
    let mut height = before;
    let mut bits = last.bits;
    while bits == easiest && !height.is_multiple_of(PERIOD) {
        height -= 1;
        bits = ancestors.at(height)?.bits;
    }
    Ok(bits)
}

fn check_time(
    network: Network,
    ancestors: Ancestors<'_>,
    height: u32,
    time: u32,
    now: Option<u32>,
) -> Result<(), HeaderFault> {
    let median = median_time(ancestors, height)?;
    if time <= median {
        return Err(HeaderFault::TimeTooOld { time, median });
    }
    if network == Network::Testnet4 && height.is_multiple_of(PERIOD) {
        let previous = ancestors.at(height - 1)?.time;
        if time < previous.saturating_sub(MAX_TIMEWARP) {
            return Err(HeaderFault::Timewarp { time, previous });
        }
    }
    match now {
        Some(now) if time > now.saturating_add(MAX_FUTURE) => {
            Err(HeaderFault::TimeTooNew { time, now })
        }
        _ => Ok(()),
    }
}

/// Computes the median time of the headers before `height`: of eleven, or of all when there are fewer.
fn median_time(ancestors: Ancestors<'_>, height: u32) -> Result<u32, HeaderFault> {
    let mut times = (height.saturating_sub(MEDIAN_BLOCKS)..height)
        .map(|height| ancestors.at(height).map(|header| header.time))
        .collect::<Result<Vec<_>, _>>()?;
    times.sort_unstable();
    times
        .get(times.len() / 2)
        .copied()
        .ok_or(HeaderFault::NoHeight)
}

/// Returns the lowest block version at a height.
///
/// On regtest every node chooses by itself when the forks begin.
fn lowest_version(network: Network, height: u32) -> i32 {
    let params = Params::new(network);
    if network == Network::Regtest {
        return i32::MIN;
    }
    let forks = [
        (params.bip65_height, 4),
        (params.bip66_height, 3),
        (params.bip34_height, 2),
    ];
    forks
        .into_iter()
        .find(|(activation, _)| height >= *activation)
        .map_or(i32::MIN, |(_, version)| version)
}
