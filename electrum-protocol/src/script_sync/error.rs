//! What can go wrong with a server's answers.

use bitcoin::Txid;

use crate::header_chain::CheckpointError;
use crate::method::Method;
use crate::{ProtocolVersion, ScriptHash, Status};

/// Why a server's answers cannot be used.
///
/// After any of these the caller leaves the server; [`reconnect`](super::ScriptSync::reconnect) begins with another, whose
/// statuses correct what the first one said. Where the lies have used up [`Limits`](super::Limits), a new start with the
/// last [`Snapshot`](super::Snapshot) that was up to date is the way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// A history is none.
    #[error("the history of {script_hash} is malformed: {fault}")]
    MalformedHistory {
        /// The script.
        script_hash: ScriptHash,
        /// What is wrong with it.
        fault: HistoryFault,
    },
    /// The statuses that a script has are never those of its history.
    #[error(
        "{mismatches} histories of {script_hash} in a row did not have the status that was told"
    )]
    Restless {
        /// The script.
        script_hash: ScriptHash,
        /// How many.
        mismatches: u32,
    },
    /// The bytes of a transaction are not that transaction.
    #[error("the answer for transaction {txid} is wrong: {fault}")]
    WrongTransaction {
        /// The transaction that was asked for.
        txid: Txid,
        /// What is wrong with the answer.
        fault: TransactionFault,
    },
    /// A header is not under the checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// More of something than [`Limits`](super::Limits) allow.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: Limited,
        /// The limit.
        limit: usize,
    },
    /// An answer of another method than was asked.
    #[error("an answer of {answered} to a request of {asked}")]
    WrongAnswer {
        /// The method that was asked.
        asked: Method,
        /// The method that was answered.
        answered: Method,
    },
}

/// What [`Limits`](super::Limits) limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limited {
    /// Scripts of a keychain.
    Scripts,
    /// Entries of all histories.
    Entries,
    /// Bytes of all transactions.
    TransactionBytes,
}

impl core::fmt::Display for Limited {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Scripts => "scripts",
            Self::Entries => "entries in histories",
            Self::TransactionBytes => "bytes of transactions",
        })
    }
}

/// What is wrong with a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryFault {
    /// A transaction is in it twice.
    #[error("transaction {txid} is in it twice")]
    Duplicate {
        /// The transaction.
        txid: Txid,
    },
    /// A transaction comes after one that is younger, or after one of the mempool.
    #[error("transaction {txid} is not in chain order")]
    Disorder {
        /// The transaction.
        txid: Txid,
    },
}

/// What is wrong with the bytes of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionFault {
    /// They are no transaction.
    #[error("no transaction")]
    Malformed,
    /// They are another transaction.
    #[error("it hashes to {found}")]
    OtherHash {
        /// The hash of the other transaction.
        found: Txid,
    },
    /// Without the witness they are 64, as two neighbours in a merkle tree are: their proof would prove nothing.
    #[error("a transaction of 64 bytes")]
    SixtyFourBytes,
    /// Its outputs hold more than there is.
    #[error("it spends more than there is")]
    TooMuchMoney,
}

/// A protocol that cannot name scripts by their hashes: before 1.1 there are only addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("protocol {version} has no script hashes")]
#[non_exhaustive]
pub struct UnsupportedVersion {
    /// The version of the session.
    pub version: ProtocolVersion,
}

/// What stands between a wallet and being up to date, although nothing is left to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The status of a script was not told: its subscription was refused.
    NoStatus {
        /// The script.
        script_hash: ScriptHash,
    },
    /// The history of a script has another status than was told: another one must be on its way.
    StatusMismatch {
        /// The script.
        script_hash: ScriptHash,
        /// The status that was told.
        told: Option<Status>,
        /// The status of the history.
        computed: Option<Status>,
    },
    /// Two histories say different things of a transaction. Unless a status is on its way, the server lies.
    Contradiction {
        /// The transaction.
        txid: Txid,
    },
    /// A transaction was refused. Unless it just left the mempool, the server lies.
    NoTransaction {
        /// The transaction.
        txid: Txid,
    },
    /// A transaction is said to be in a block, and its proof was refused, is wrong, or waits for the block's header.
    Unproven {
        /// The transaction.
        txid: Txid,
        /// The height of the block.
        height: u32,
    },
}
