//! What the wallet reads.

use std::collections::BTreeSet;

use bitcoin::{Amount, BlockHash, OutPoint, Script, SignedAmount, Transaction, TxOut, Txid};

use super::transactions::Known;
use super::{Obstacle, ScriptSync};
use crate::{Balance, Confirmation, HistoryEntry, ScriptHash};

/// A script of a keychain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptView<'a, K> {
    /// The keychain.
    pub keychain: &'a K,
    /// Its index there.
    pub index: u32,
    /// The script.
    pub script: &'a Script,
    /// The name that servers know it by.
    pub script_hash: ScriptHash,
    /// Every transaction that touches it, in the server's order. The fees in it are the server's word, and no status
    /// covers them.
    pub history: &'a [HistoryEntry],
}

/// A transaction of the wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionView<'a> {
    /// Its hash.
    pub txid: Txid,
    /// The transaction; nothing while it was not fetched.
    pub transaction: Option<&'a Transaction>,
    /// Where the server says that it stands.
    pub confirmation: Confirmation,
    /// The block that it is proven to be in.
    pub proven: Option<BlockHash>,
}

/// An output that nothing spends that the wallet knows of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnspentOutput<K> {
    /// Which output.
    pub outpoint: OutPoint,
    /// What it holds, and for whom.
    pub output: TxOut,
    /// The keychain of its script.
    pub keychain: K,
    /// The index of its script there.
    pub index: u32,
    /// Where its transaction stands, as the server says.
    pub confirmation: Confirmation,
    /// The block that its transaction is proven to be in.
    pub proven: Option<BlockHash>,
    /// Whether it is the reward of a block, which can be spent a hundred blocks later.
    pub coinbase: bool,
}

impl<K: Ord + Clone> ScriptSync<K> {
    /// Tells whether everything is as the server says, and proven where that is wanted: nothing is left to ask or under
    /// way, and there are no [`obstacles`](Self::obstacles). It takes the time of those once nothing is left to ask.
    pub fn is_up_to_date(&self) -> bool {
        self.wanted.is_empty() && self.asked.is_empty() && self.obstacles().next().is_none()
    }

    /// Returns what is missing or does not fit together at the moment.
    ///
    /// While requests are wanted or under way that is as it must be; afterwards it is what another status, another
    /// header or [`retry`](Self::retry) has to bring. To look at all takes time in proportion to all scripts and histories.
    pub fn obstacles(&self) -> impl Iterator<Item = Obstacle> + '_ {
        let scripts = self.scripts.iter().filter_map(|(script_hash, watched)| {
            let script_hash = *script_hash;
            let Some(told) = watched.told else {
                return Some(Obstacle::NoStatus { script_hash });
            };
            (!watched.is_settled()).then_some(Obstacle::StatusMismatch {
                script_hash,
                told,
                computed: watched.status,
            })
        });
        let transactions = self.transactions.iter();
        scripts.chain(transactions.filter_map(|(txid, known)| self.obstacle(*txid, known)))
    }

    fn obstacle(&self, txid: Txid, known: &Known) -> Option<Obstacle> {
        if known.is_contradictory() {
            return Some(Obstacle::Contradiction { txid });
        }
        if known.transaction.is_none() {
            return Some(Obstacle::NoTransaction { txid });
        }
        let unproven = known.unproven_height().filter(|_| self.config.proofs);
        unproven.map(|height| Obstacle::Unproven { txid, height })
    }

    /// Returns every script that is watched, by keychain and index. One that two keychains have comes twice.
    pub fn scripts(&self) -> impl Iterator<Item = ScriptView<'_, K>> {
        self.keychains.iter().flat_map(|(keychain, chain)| {
            let watched = chain.watched.iter().zip(0_u32..);
            watched.filter_map(|(script_hash, index)| self.view(keychain, index, *script_hash))
        })
    }

    /// Returns a script of a keychain; nothing when it is not watched.
    pub fn script(&self, keychain: &K, index: u32) -> Option<ScriptView<'_, K>> {
        let (keychain, chain) = self.keychains.get_key_value(keychain)?;
        let script_hash = chain.watched.get(index as usize)?;
        self.view(keychain, index, *script_hash)
    }

    fn view<'a>(
        &'a self,
        keychain: &'a K,
        index: u32,
        script_hash: ScriptHash,
    ) -> Option<ScriptView<'a, K>> {
        let watched = self.scripts.get(&script_hash)?;
        Some(ScriptView {
            keychain,
            index,
            script: &watched.script,
            script_hash,
            history: &watched.history,
        })
    }

    /// Returns the history of a script, in the server's order; nothing when it is not watched.
    pub fn history(&self, script_hash: &ScriptHash) -> Option<&[HistoryEntry]> {
        let watched = self.scripts.get(script_hash)?;
        Some(&watched.history)
    }

    /// Returns the first index of a keychain beyond all that have a history; nothing when there is none.
    ///
    /// It can become lower, when a reorganization or the mempool loses transactions: which scripts it has handed out
    /// is for the wallet to remember ([`watch`](Self::watch)).
    pub fn next_unused(&self, keychain: &K) -> Option<u32> {
        let chain = self.keychains.get(keychain)?;
        let used = |script_hash: &ScriptHash| {
            let history = self.history(script_hash);
            history.is_some_and(|history| !history.is_empty())
        };
        let next = chain
            .watched
            .iter()
            .rposition(used)
            .map_or(0, |last| last + 1);
        chain.watched.get(next)?;
        u32::try_from(next).ok()
    }

    /// Returns every transaction that is in a history, in no order that means anything.
    pub fn transactions(&self) -> impl Iterator<Item = TransactionView<'_>> {
        let known = self.transactions.iter();
        known.map(|(txid, known)| known.view(*txid))
    }

    /// Returns a transaction that is in a history.
    pub fn transaction(&self, txid: &Txid) -> Option<TransactionView<'_>> {
        self.transactions.get(txid).map(|known| known.view(*txid))
    }

    /// Returns the outputs of the watched scripts that no known transaction spends, by outpoint.
    ///
    /// They come from the transactions themselves, not from the server's word. It takes time in proportion to all of
    /// them.
    pub fn unspent(&self) -> Vec<UnspentOutput<K>> {
        let spent = self.spent(|_| true);
        let own = self.own_outputs();
        let unspent = own.filter(|(outpoint, ..)| !spent.contains(outpoint));
        unspent
            .filter_map(|(outpoint, output, known)| {
                let script_hash = ScriptHash::from_script(&output.script_pubkey);
                let (keychain, index) = self.scripts.get(&script_hash)?.owners.first()?;
                Some(UnspentOutput {
                    outpoint,
                    output: output.clone(),
                    keychain: keychain.clone(),
                    index: *index,
                    confirmation: known.confirmation,
                    proven: known.proven.map(|(_, block_hash)| block_hash),
                    coinbase: known.transaction.as_ref()?.is_coinbase(),
                })
            })
            .collect()
    }

    /// Returns how much the watched scripts hold, in the sense of `blockchain.scripthash.get_balance`.
    pub fn balance(&self) -> Balance {
        let confirmed = |known: &Known| matches!(known.confirmation, Confirmation::Block(_));
        let spent_in_blocks = self.spent(confirmed);
        let spent = self.spent(|_| true);
        // Sums of what hostile transactions of the mempool claim to hold fit in 128 bits.
        let (mut in_blocks, mut in_all) = (0_i128, 0_i128);
        for (outpoint, output, known) in self.own_outputs() {
            let value = i128::from(output.value.to_sat());
            if confirmed(known) && !spent_in_blocks.contains(&outpoint) {
                in_blocks += value;
            }
            if !spent.contains(&outpoint) {
                in_all += value;
            }
        }
        let most = i128::from(Amount::MAX_MONEY.to_sat());
        let signed = |value: i128| i64::try_from(value.clamp(-most, most)).unwrap_or(i64::MAX);
        Balance {
            confirmed: Amount::from_sat(signed(in_blocks).unsigned_abs()),
            unconfirmed: SignedAmount::from_sat(signed(in_all - in_blocks)),
        }
    }

    /// What is spent by the transactions of which something holds.
    fn spent(&self, holds: impl Fn(&Known) -> bool) -> BTreeSet<OutPoint> {
        let known = self.transactions.values().filter(|known| holds(known));
        let transactions = known.filter_map(|known| known.transaction.as_ref());
        let inputs = transactions.flat_map(|transaction| &transaction.input);
        inputs.map(|input| input.previous_output).collect()
    }

    /// The outputs that pay to watched scripts, spent or not.
    fn own_outputs(&self) -> impl Iterator<Item = (OutPoint, &TxOut, &Known)> {
        self.transactions.iter().flat_map(|(txid, known)| {
            let outputs = known.transaction.iter().flat_map(|tx| &tx.output);
            let own = outputs.zip(0_u32..).filter(|(output, _)| {
                let script_hash = ScriptHash::from_script(&output.script_pubkey);
                let watched = self.scripts.get(&script_hash);
                watched.is_some_and(|watched| !watched.owners.is_empty())
            });
            own.map(move |(output, vout)| (OutPoint::new(*txid, vout), output, known))
        })
    }
}

impl Known {
    fn view(&self, txid: Txid) -> TransactionView<'_> {
        TransactionView {
            txid,
            transaction: self.transaction.as_ref(),
            confirmation: self.confirmation,
            proven: self.proven.map(|(_, block_hash)| block_hash),
        }
    }
}
