//! What the node says about fees, remembered for as long as the mempool stays as it is.
//!
//! Every wallet asks the same few questions again and again. While the node is away no new view is published, so the
//! last answers stay.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use electrum_protocol::method::mempool::MempoolFees;
use electrum_protocol::{EstimateMode, FeePerKvb};

use crate::chain::{Node, NodeError};

/// The answers of the node at one view.
#[derive(Debug, Default)]
pub(super) struct Fees {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The sequence number of the view at which these were learned.
    sequence: u64,
    estimates: HashMap<(u32, Option<EstimateMode>), Option<FeePerKvb>>,
    relay_fee: Option<FeePerKvb>,
    mempool: Option<MempoolFees>,
}

/// The targets that Bitcoin Core estimates for, in blocks.
const TARGETS: (u32, u32) = (1, 1008);

impl Fees {
    /// Returns the rate at which a transaction confirms within `blocks` blocks.
    pub(super) fn estimate(
        &self,
        node: &dyn Node,
        sequence: u64,
        blocks: u32,
        mode: Option<EstimateMode>,
    ) -> Result<Option<FeePerKvb>, NodeError> {
        let blocks = blocks.clamp(TARGETS.0, TARGETS.1);
        if let Some(estimate) = self.at(sequence).estimates.get(&(blocks, mode)) {
            return Ok(*estimate);
        }
        // The lock is not held while the node thinks.
        let estimate = node.estimate_fee(blocks, mode)?;
        self.at(sequence).estimates.insert((blocks, mode), estimate);
        Ok(estimate)
    }

    /// Returns the lowest rate that the node relays.
    pub(super) fn relay_fee(&self, node: &dyn Node, sequence: u64) -> Result<FeePerKvb, NodeError> {
        if let Some(fee) = self.at(sequence).relay_fee {
            return Ok(fee);
        }
        let fee = node.relay_fee()?;
        self.at(sequence).relay_fee = Some(fee);
        Ok(fee)
    }

    /// Returns the rates that the node's mempool accepts.
    pub(super) fn mempool(&self, node: &dyn Node, sequence: u64) -> Result<MempoolFees, NodeError> {
        if let Some(fees) = self.at(sequence).mempool {
            return Ok(fees);
        }
        let fees = node.mempool_fees()?;
        self.at(sequence).mempool = Some(fees);
        Ok(fees)
    }

    /// Returns what is known at a view; nothing yet when it is newer than what was known.
    fn at(&self, sequence: u64) -> MutexGuard<'_, Known> {
        // Nothing panics while it is held, and what it guards is never half-changed.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.sequence < sequence {
            *known = Known {
                sequence,
                ..Known::default()
            };
        }
        known
    }
}
