//! What a reader of an index of some wallets is shown: what touches the scripts of some of them.
//!
//! Whoever reads within a scope finds the rows that an index of these wallets alone would have. So no answer that is
//! computed from them depends on the wallets that are not shown.

use super::{PREFIX_LEN, Reader};
use crate::chain::HeaderChain;
use crate::personal::{WalletSet, Watched};
use crate::store::{ReadError, Table};

/// The wallets that are shown, and the chain that their rows are about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) watched: &'a Watched,
    pub(crate) allowed: &'a WalletSet,
    pub(crate) headers: &'a HeaderChain,
}

impl Scope<'_> {
    /// Returns the number of the first transaction that is shown if it touches a script, which goes by its name in the
    /// rows; nothing when there is none yet.
    pub(super) fn first(&self, prefix: &[u8; PREFIX_LEN]) -> Option<u32> {
        let since = self.watched.since(prefix, self.allowed)?;
        Some(self.headers.tx_nums(since)?.start)
    }

    /// Returns whether a confirmed transaction touches a script that is shown.
    pub(super) fn has(&self, reader: &Reader<'_>, tx_num: u32) -> Result<bool, ReadError> {
        let Some((height, _)) = self.headers.locate(tx_num) else {
            return Ok(false);
        };
        for key in reader.history_keys(height)? {
            let (prefix, number) = key.split_at(PREFIX_LEN);
            let Ok(prefix) = <&[u8; PREFIX_LEN]>::try_from(prefix) else {
                continue;
            };
            if number == tx_num.to_be_bytes()
                && self.first(prefix).is_some_and(|first| first <= tx_num)
                // The list of a block may name rows of a script that was forgotten since.
                && reader.snapshot().get(Table::History, &key)?.is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
