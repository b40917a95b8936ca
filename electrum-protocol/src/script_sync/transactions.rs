//! One transaction: its bytes, where it stands, and whether that is proven.

use std::collections::BTreeMap;

use bitcoin::consensus::encode;
use bitcoin::{Amount, BlockHash, Transaction, Txid};

use super::blocks::Place;
use super::error::TransactionFault;
use crate::{Confirmation, ScriptHash};

/// How often a proof that was refused, or is wrong, is asked for again before the headers change.
const MAX_REFUSALS: u8 = 2;

/// A transaction that is in a history.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) transaction: Option<Transaction>,
    /// What the histories that have it say.
    pub(super) said: BTreeMap<ScriptHash, Confirmation>,
    /// What the newest of them says.
    pub(super) confirmation: Confirmation,
    /// Height and hash of the block that a proof leads to.
    pub(super) proven: Option<(u32, BlockHash)>,
    pub(super) refusals: u8,
}

impl Known {
    pub(super) fn new(confirmation: Confirmation) -> Self {
        Self {
            transaction: None,
            said: BTreeMap::new(),
            confirmation,
            proven: None,
            refusals: 0,
        }
    }

    /// Takes what the history of a script says.
    pub(super) fn say(&mut self, script_hash: ScriptHash, confirmation: Confirmation) {
        self.said.insert(script_hash, confirmation);
        self.confirmation = confirmation;
        if self.proven.map(|(height, _)| Confirmation::Block(height)) != Some(confirmation) {
            self.proven = None;
        }
        self.refusals = 0;
    }

    /// The block that the histories place it in.
    pub(super) fn place(&self) -> Option<Place> {
        match self.confirmation {
            Confirmation::Block(height) => Some(Place {
                height,
                proven: self.proven.is_some(),
            }),
            Confirmation::Mempool { .. } => None,
        }
    }

    /// The height of the block that still has to be proven.
    pub(super) fn unproven_height(&self) -> Option<u32> {
        let place = self.place().filter(|place| !place.proven)?;
        Some(place.height)
    }

    /// Counts a refusal, and says whether to ask again.
    pub(super) fn refuse(&mut self) -> bool {
        self.refusals = self.refusals.saturating_add(1);
        self.refusals <= MAX_REFUSALS
    }

    /// Whether two histories differ.
    pub(super) fn is_contradictory(&self) -> bool {
        self.said.values().any(|said| *said != self.confirmation)
    }
}

/// Reads the bytes that should be a transaction.
pub(super) fn read(txid: Txid, bytes: &[u8]) -> Result<Transaction, TransactionFault> {
    let transaction: Transaction =
        encode::deserialize(bytes).map_err(|_| TransactionFault::Malformed)?;
    let found = transaction.compute_txid();
    if found != txid {
        return Err(TransactionFault::OtherHash { found });
    }
    if transaction.base_size() == 64 {
        return Err(TransactionFault::SixtyFourBytes);
    }
    let outputs = transaction.output.iter().map(|output| output.value);
    outputs
        .into_iter()
        .try_fold(Amount::ZERO, Amount::checked_add)
        .filter(|sum| *sum <= Amount::MAX_MONEY)
        .ok_or(TransactionFault::TooMuchMoney)?;
    // Decoding leaves capacity unused: 130 bytes for a witness of two, and twice the size of what grew. A clone has none.
    Ok(transaction.clone())
}
