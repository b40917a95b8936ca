//! The wallets of a personal server: which scripts are looked for, and how far.
//!
//! A [`Wallet`] has [`Keychain`]s, each a sequence of scripts: what an output descriptor derives, or single ones. From each
//! keychain some scripts more than are used are watched, and more as they get used. [`Sync::personal`](crate::sync::Sync::personal)
//! looks for them in the chain from the wallet's birth on, and keeps what it finds, so that the node may forget it.

mod keychain;
mod progress;
mod row;
mod wallet;
mod wanted;
mod watched;

pub use keychain::{Derive, Keychain};
pub use progress::BirthError;
pub(crate) use progress::{Job, Progress};
pub use wallet::{Birth, Wallet};
pub(crate) use watched::{Audience, Extent, Standing};
pub use watched::{Unwatched, WalletSet, Watched};

/// How many scripts of a keychain are watched beyond the last used one, at least, if nothing else is said: the gap limit
/// of the wallets that most leave unused.
pub const GAP_LIMIT: u32 = 25;

/// So many scripts more are derived whenever there are fewer than the gap limit.
///
/// What is derived later has to be looked for from the birth on again; what is derived in advance costs next to nothing.
pub const LOOK_AHEAD: u32 = 1000;
