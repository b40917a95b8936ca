//! What a reader of an index of some wallets is shown: what touches the scripts of some of them.
//!
//! Whoever reads within a scope finds the rows that an index of these wallets alone would have. So no answer that is
//! computed from them depends on the wallets that are not shown.

use std::ops::ControlFlow;

use super::{PREFIX_LEN, Reader};
use crate::chain::HeaderChain;
use crate::personal::{Extent, WalletSet, Watched};
use crate::store::ReadError;

/// The wallets that are shown, and the chain that their rows are about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) watched: &'a Watched,
    pub(crate) allowed: &'a WalletSet,
    pub(crate) headers: &'a HeaderChain,
}

/// From which transaction on the rows of a script are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct First {
    pub(super) tx_num: u32,
    /// Whether there are rows before, which are not shown: outputs that were made there are not known.
    pub(super) has_earlier: bool,
}

impl Scope<'_> {
    /// Returns from where on the rows of a script are shown, which goes by its name there; nothing when there are none yet.
    pub(super) fn first(&self, prefix: &[u8; PREFIX_LEN]) -> Option<First> {
        let Extent { since, has_earlier } = self.watched.extent(prefix, self.allowed)?;
        let tx_num = self.headers.tx_nums(since)?.start;
        Some(First {
            tx_num,
            has_earlier,
        })
    }

    /// Returns whether a confirmed transaction touches a script that is shown.
    pub(super) fn has(&self, reader: &Reader<'_>, tx_num: u32) -> Result<bool, ReadError> {
        let Some((height, _)) = self.headers.locate(tx_num) else {
            return Ok(false);
        };
        for key in reader.history_keys(height)? {
            let Some((prefix, number)) = key.split_first_chunk() else {
                continue;
            };
            if number != tx_num.to_be_bytes() {
                continue;
            }
            // It is looked up, because the list of a block may name rows of scripts that were forgotten since.
            let mut found = false;
            reader.rows(prefix, tx_num..=tx_num, &mut |_, _| {
                found = true;
                ControlFlow::Break(())
            })?;
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
