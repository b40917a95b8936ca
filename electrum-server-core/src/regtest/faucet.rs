//! Coins to give away.

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{Message, Secp256k1, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{
    Amount, CompressedPublicKey, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut,
    Txid, Witness, absolute, ecdsa, transaction,
};
use imbl::OrdMap;

use super::chain::Moved;
use super::mempool::Terms;
use super::node::{RegtestNode, State};
use super::reject::Reject;
use super::rules::MATURITY;

/// What the faucet pays to miners, in satoshis per virtual byte.
const FEE_RATE: u64 = 2;

/// The faucet: one key, and the coins that it can spend.
#[derive(Clone, Debug)]
pub(super) struct Faucet {
    seed: u64,
    key: SecretKey,
    script: ScriptBuf,
    /// Confirmed coins by the height at which they can be spent first.
    coins: OrdMap<(u32, OutPoint), Amount>,
}

/// Why the faucet did not pay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FundError {
    /// It has too little.
    #[error("the faucet has {available} to give, not {wanted} and a fee; mine blocks to it first")]
    Dry {
        /// What it can spend now.
        available: Amount,
        /// What it was asked for.
        wanted: Amount,
    },
    /// The mempool refuses its payment, because it is dust for example.
    #[error("the node does not want the faucet's payment: {0}")]
    Refused(Reject),
}

impl From<Reject> for FundError {
    fn from(error: Reject) -> Self {
        Self::Refused(error)
    }
}

impl Faucet {
    pub(super) fn new(seed: u64) -> Self {
        let key = secret_key(seed, 0);
        let script = ScriptBuf::new_p2wpkh(&public_key(&key).wpubkey_hash());
        Self {
            seed,
            key,
            script,
            coins: OrdMap::new(),
        }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn script(&self) -> ScriptBuf {
        self.script.clone()
    }

    /// Follows the chain.
    pub(super) fn follow(&mut self, moved: &Moved) {
        // Whatever was taken back may be in other blocks: first away with the old, then in with the new.
        for entry in &moved.disconnected {
            for (outpoint, first, _) in self.own_outputs(entry) {
                self.coins.remove(&(first, outpoint));
            }
        }
        for entry in &moved.connected {
            for (outpoint, first, value) in self.own_outputs(entry) {
                self.coins.insert((first, outpoint), value);
            }
        }
    }

    /// Outputs of a block that pay to the faucet, and the height of the first block that may spend them.
    fn own_outputs(&self, entry: &super::chain::Entry) -> Vec<(OutPoint, u32, Amount)> {
        let mut found = Vec::new();
        for (tx, txid) in entry.transactions() {
            let wait = if tx.is_coinbase() { MATURITY } else { 1 };
            let own = (0..)
                .zip(&tx.output)
                .filter(|(_, output)| output.script_pubkey == self.script);
            found.extend(own.map(|(vout, output)| {
                (OutPoint::new(txid, vout), entry.height + wait, output.value)
            }));
        }
        found
    }
}

/// A secret key for test coins that a seed and a number decide.
pub(super) fn secret_key(seed: u64, number: u64) -> SecretKey {
    let mut material = [
        b"regtest faucet ".as_slice(),
        &seed.to_le_bytes(),
        &number.to_le_bytes(),
    ]
    .concat();
    loop {
        let hash = sha256::Hash::hash(&material).to_byte_array();
        if let Ok(key) = SecretKey::from_slice(&hash) {
            return key;
        }
        material = hash.to_vec();
    }
}

fn public_key(key: &SecretKey) -> CompressedPublicKey {
    CompressedPublicKey(key.public_key(&Secp256k1::signing_only()))
}

impl State {
    /// What the faucet can spend: confirmed coins the oldest first, then its own unconfirmed change.
    fn faucet_coins(&self) -> Vec<(OutPoint, Amount)> {
        let next = self.chain.height() + 1;
        let coins = &self.chain.coins;
        let spendable = self.faucet.coins.iter().filter(|((first, outpoint), _)| {
            *first <= next
                && coins.contains_key(outpoint)
                && self.mempool.spender(outpoint).is_none()
        });
        let mut found: Vec<(OutPoint, Amount)> = spendable
            .map(|((_, outpoint), value)| (*outpoint, *value))
            .collect();
        for waiting in self.mempool.in_order() {
            for (vout, output) in (0..).zip(&waiting.tx.output) {
                let outpoint = OutPoint::new(waiting.txid, vout);
                if output.script_pubkey == self.faucet.script
                    && self.mempool.spender(&outpoint).is_none()
                {
                    found.push((outpoint, output.value));
                }
            }
        }
        found
    }

    pub(super) fn fund(
        &mut self,
        outputs: &[(ScriptBuf, Amount)],
        now: u32,
    ) -> Result<Transaction, FundError> {
        // What is more than there can be is more than there is.
        let wanted = outputs
            .iter()
            .try_fold(Amount::ZERO, |sum, (_, value)| sum.checked_add(*value));
        let wanted = wanted.unwrap_or(Amount::MAX);
        let mut chosen = Vec::new();
        let mut available = Amount::ZERO;
        for (outpoint, value) in self.faucet_coins() {
            chosen.push((outpoint, value));
            available += value;
            let tx = self.payment(&chosen, outputs, available, wanted);
            if let Some(tx) = tx {
                self.accept(&tx, Terms::Alone, now)?;
                return Ok(tx);
            }
        }
        Err(FundError::Dry { available, wanted })
    }

    /// A signed payment from these coins; nothing when they are not enough.
    fn payment(
        &self,
        coins: &[(OutPoint, Amount)],
        outputs: &[(ScriptBuf, Amount)],
        available: Amount,
        wanted: Amount,
    ) -> Option<Transaction> {
        let script = &self.faucet.script;
        let input = |(outpoint, _): &(OutPoint, Amount)| TxIn {
            previous_output: *outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        };
        let output = |(script, value): &(ScriptBuf, Amount)| TxOut {
            value: *value,
            script_pubkey: script.clone(),
        };
        let mut tx = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: coins.iter().map(input).collect(),
            output: outputs.iter().map(output).collect(),
        };
        // Change, and 27 virtual bytes of witness for each input.
        let vsize = tx.vsize() as u64 + 31 + 28 * coins.len() as u64;
        let change = available
            .checked_sub(wanted)?
            .checked_sub(Amount::from_sat(vsize * FEE_RATE))?;
        if change > script.minimal_non_dust() {
            tx.output.push(TxOut {
                value: change,
                script_pubkey: script.clone(),
            });
        }
        let witnesses = self.witnesses(&tx, coins, script)?;
        for (input, witness) in tx.input.iter_mut().zip(witnesses) {
            input.witness = witness;
        }
        Some(tx)
    }

    fn witnesses(
        &self,
        tx: &Transaction,
        coins: &[(OutPoint, Amount)],
        script: &Script,
    ) -> Option<Vec<Witness>> {
        let secp = Secp256k1::signing_only();
        let key = &self.faucet.key;
        let public = public_key(key).0;
        let mut cache = SighashCache::new(tx);
        let sighash_type = EcdsaSighashType::All;
        let signed = coins.iter().enumerate().map(|(index, (_, value))| {
            let hash = cache
                .p2wpkh_signature_hash(index, script, *value, sighash_type)
                .ok()?;
            let signature = secp.sign_ecdsa(&Message::from_digest(hash.to_byte_array()), key);
            Some(Witness::p2wpkh(
                &ecdsa::Signature {
                    signature,
                    sighash_type,
                },
                &public,
            ))
        });
        signed.collect()
    }
}

impl RegtestNode {
    /// Pays exactly `amount` from the faucet to `script`; the payment waits in the mempool.
    ///
    /// # Errors
    ///
    /// See [`FundError`].
    pub fn fund(&self, script: &Script, amount: Amount) -> Result<Txid, FundError> {
        self.fund_many(&[(script.to_owned(), amount)])
    }

    /// Pays several outputs with one transaction from the faucet; they come first in it, in order.
    ///
    /// # Errors
    ///
    /// See [`FundError`].
    pub fn fund_many(&self, outputs: &[(ScriptBuf, Amount)]) -> Result<Txid, FundError> {
        self.change(|state, now| state.fund(outputs, now))
            .map(|tx| tx.compute_txid())
    }

    /// Returns what the faucet can spend now.
    pub fn faucet_balance(&self) -> Amount {
        self.read(|state| state.faucet_coins().iter().map(|(_, value)| *value).sum())
    }

    /// Returns the script that the faucet is paid at.
    pub fn faucet_script(&self) -> ScriptBuf {
        self.read(|state| state.faucet.script())
    }
}
