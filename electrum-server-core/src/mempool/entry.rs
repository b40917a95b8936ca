//! One unconfirmed transaction and what it does to scripts.

use bitcoin::{Amount, OutPoint, Transaction, TxOut, Txid};
use electrum_protocol::ScriptHash;

/// A transaction of the mempool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The transaction.
    pub tx: Transaction,
    /// Its id.
    pub txid: Txid,
    /// What it pays to be mined.
    pub fee: Amount,
    /// Its size in virtual bytes: a quarter of its weight, rounded up.
    pub vsize: u64,
    /// For each input: which output it spends, to what script that paid, and how much.
    pub spent: Vec<(OutPoint, ScriptHash, Amount)>,
    /// For each output that somebody can spend: its number, the script that it pays to, and how much.
    pub funded: Vec<(u32, ScriptHash, Amount)>,
    /// Whether any input spends an output of another transaction of the mempool.
    pub unconfirmed_parents: bool,
}

/// Why a transaction cannot be one of the mempool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// There is not one spent output for each input.
    #[error("transaction {txid} has {inputs} inputs, not {spent}")]
    WrongSpent {
        /// The transaction.
        txid: Txid,
        /// How many inputs it has.
        inputs: usize,
        /// How many outputs came with it.
        spent: usize,
    },
    /// It creates more than it spends, or more than there is.
    #[error("transaction {txid} creates more than it spends")]
    WrongAmounts {
        /// The transaction.
        txid: Txid,
    },
}

impl Entry {
    /// Makes an entry from a transaction and the outputs that it spends, in the order of its inputs.
    ///
    /// `unconfirmed_parents` is false until [`Mempool::apply`](super::Mempool::apply) knows better. Outputs that nobody
    /// can spend (`OP_RETURN`) fund no script, as in the index.
    ///
    /// # Errors
    ///
    /// When numbers or amounts of inputs and outputs do not match.
    pub fn new(tx: Transaction, spent: &[TxOut]) -> Result<Self, EntryError> {
        let txid = tx.compute_txid();
        if spent.len() != tx.input.len() {
            return Err(EntryError::WrongSpent {
                txid,
                inputs: tx.input.len(),
                spent: spent.len(),
            });
        }
        let total = |outputs: &[TxOut]| {
            outputs
                .iter()
                .try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value))
        };
        let fee = total(spent)
            .zip(total(&tx.output))
            .and_then(|(spent, created)| spent.checked_sub(created))
            .ok_or(EntryError::WrongAmounts { txid })?;
        let spent = tx
            .input
            .iter()
            .zip(spent)
            .map(|(input, output)| {
                let script_hash = ScriptHash::from_script(&output.script_pubkey);
                (input.previous_output, script_hash, output.value)
            })
            .collect();
        let funded = (0..)
            .zip(&tx.output)
            .filter(|(_, output)| !output.script_pubkey.is_op_return())
            .map(|(vout, output)| {
                (
                    vout,
                    ScriptHash::from_script(&output.script_pubkey),
                    output.value,
                )
            })
            .collect();
        Ok(Self {
            vsize: tx.weight().to_vbytes_ceil(),
            txid,
            fee,
            spent,
            funded,
            unconfirmed_parents: false,
            tx,
        })
    }

    /// Returns the scripts that it funds or spends from; some may come twice.
    pub fn script_hashes(&self) -> impl Iterator<Item = ScriptHash> {
        let spent = self.spent.iter().map(|(_, script_hash, _)| *script_hash);
        spent.chain(self.funded.iter().map(|(_, script_hash, _)| *script_hash))
    }
}
