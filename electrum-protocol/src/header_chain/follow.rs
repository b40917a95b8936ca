//! What a server may cost that is followed, and why it no longer is.

use super::{HeaderError, HeaderFault, PERIOD};
use crate::method::Method;

/// What a server may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many headers a reorganization may take away. The default is 2016, two weeks.
    pub max_reorg: u32,
    /// The highest height that is believed. The default is ten million: the year 2200, and 800 MB of headers.
    pub max_height: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_reorg: PERIOD,
            max_height: 10_000_000,
        }
    }
}

/// The most memory that a header takes: its 80 bytes, and as much again that a list keeps for the next ones.
const HEADER_MEMORY: usize = 160;

impl Limits {
    /// Returns the most memory, in bytes, that a [`HeaderSync`](super::HeaderSync) holds whose chain begins at height
    /// `first`, whatever its server sends: 160 bytes for each header from there to [`max_height`](Self::max_height), and
    /// for each of a branch, of which there are up to twice [`max_reorg`](Self::max_reorg) and those of one answer.
    ///
    /// A server has to do the work for that: see [what is said about memory](super#memory).
    pub const fn max_memory(&self, first: u32) -> usize {
        let chain = self.max_height.saturating_sub(first) as usize + 1;
        let branch = (self.max_reorg as usize)
            .saturating_mul(2)
            .saturating_add(PERIOD as usize);
        chain.saturating_add(branch).saturating_mul(HEADER_MEMORY)
    }
}

/// Why a server cannot be followed to the tip that it announced.
///
/// The chain stays as it was, or as it was after the last
/// [`Change`](super::Change). What came before the error is forgotten: another
/// server, or another tip, begins anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// A header breaks a rule: the server lies, or the clock is wrong when
    /// [`TimeTooNew`](super::HeaderFault::TimeTooNew) is the fault.
    #[error(transparent)]
    Invalid(#[from] HeaderError),
    /// The server's chain has less work: it lies, or it is behind on a branch that others have left.
    #[error("the branch from height {fork} up to {height} has less work than ours up to {ours}")]
    LessWork {
        /// The height of the highest header in common.
        fork: u32,
        /// The height of the branch.
        height: u32,
        /// The height of the chain.
        ours: u32,
    },
    /// The server's chain leaves ours below the checkpoint or deeper than a reorganization may go.
    #[error("the chain to height {height} leaves ours below height {lowest}")]
    TooDeep {
        /// The height that the server announced.
        height: u32,
        /// The lowest height that a reorganization may begin above.
        lowest: u32,
    },
    /// The server's branch is twice as long as a reorganization may be deep, and has still not more work.
    #[error("the branch from height {fork} has {length} headers and less work than ours")]
    TooLong {
        /// The height of the highest header in common.
        fork: u32,
        /// How many headers it has so far.
        length: usize,
    },
    /// The server announces a height above [`Limits::max_height`].
    #[error("height {height} is above the limit of {limit}")]
    TooHigh {
        /// The height that the server announced.
        height: u32,
        /// The limit.
        limit: u32,
    },
    /// The server is below everything that the chain knows.
    #[error("the server is at height {height}, below the start at {first}")]
    Behind {
        /// The height that the server announced.
        height: u32,
        /// The height of the first header that is kept.
        first: u32,
    },
    /// The server has no header at a height that its tip is not below. It may have reorganized.
    #[error("the server announced height {announced} and has no header at {height}")]
    NoHeaders {
        /// The height that the server announced.
        announced: u32,
        /// The height of the first header that was asked for.
        height: u32,
    },
    /// The server sent more headers than were asked for.
    #[error("{found} headers instead of {asked}")]
    TooMany {
        /// How many were asked for.
        asked: u32,
        /// How many came.
        found: usize,
    },
    /// The answers of the server are not of one chain.
    #[error("the answers on the way to height {height} contradict each other")]
    Contradiction {
        /// The height that the server announced.
        height: u32,
    },
    /// An answer that nobody asked for.
    #[error("an answer of {method} that was not asked for")]
    Unasked {
        /// The method that it answers.
        method: Method,
    },
}

impl FollowError {
    /// Tells whether the server lies or is on another chain for good; otherwise its next tip may make it good.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Invalid(error) => !matches!(error.fault, HeaderFault::TimeTooNew { .. }),
            Self::LessWork { .. } | Self::Behind { .. } | Self::NoHeaders { .. } => false,
            Self::TooDeep { .. } | Self::TooLong { .. } | Self::TooHigh { .. } => true,
            Self::TooMany { .. } | Self::Contradiction { .. } | Self::Unasked { .. } => true,
        }
    }
}
