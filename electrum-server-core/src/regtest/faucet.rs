//! Coins to give away.

use std::fmt;

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

/// The most scripts that are given out: a saved state may claim any number, and each takes time to make.
const MAX_SCRIPTS: u64 = 100_000;

/// The faucet: its keys, and the coins that it can spend.
#[derive(Clone)]
pub(super) struct Faucet {
    seed: u64,
    /// The script that blocks pay to; that of key 0.
    script: ScriptBuf,
    /// The number of the key of each script that was given out.
    keys: OrdMap<ScriptBuf, u64>,
    /// Confirmed coins by the height at which they can be spent first.
    coins: OrdMap<(u32, OutPoint), FaucetCoin>,
}

impl fmt::Debug for Faucet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faucet")
            .field("keys", &self.keys.len())
            .field("coins", &self.coins.len())
            .finish_non_exhaustive()
    }
}

/// A coin of the faucet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FaucetCoin {
    pub(super) outpoint: OutPoint,
    pub(super) value: Amount,
    /// The number of the key that it is locked to.
    pub(super) key: u64,
    /// Whether it is in a block.
    pub(super) is_confirmed: bool,
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
        let script = script(seed, 0);
        Self {
            seed,
            keys: OrdMap::unit(script.clone(), 0),
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

    /// Returns how many scripts were given out.
    pub(super) fn scripts(&self) -> u64 {
        self.keys.len() as u64
    }

    /// Gives out another script; `None` when there were [`MAX_SCRIPTS`].
    pub(super) fn next_script(&mut self) -> Option<ScriptBuf> {
        let key = self.scripts();
        let script = (key < MAX_SCRIPTS).then(|| script(self.seed, key))?;
        self.keys.insert(script.clone(), key);
        Some(script)
    }

    /// Whether a script is one of the faucet's.
    pub(super) fn owns(&self, script: &Script) -> bool {
        self.keys.contains_key(script)
    }

    /// Returns the script of a key that was given out.
    pub(super) fn script_of(&self, key: u64) -> Option<ScriptBuf> {
        (key < self.scripts()).then(|| script(self.seed, key))
    }

    /// Returns what cannot be spent yet by a block on top of one at `height`.
    pub(super) fn immature(&self, height: u32) -> Amount {
        let later = self.coins.iter();
        let later = later.filter(|((first, _), _)| *first > height + 1);
        later.map(|(_, coin)| coin.value).sum()
    }

    /// Follows the chain.
    pub(super) fn follow(&mut self, moved: &Moved) {
        // Whatever was taken back may be in other blocks: first away with the old, then in with the new.
        for entry in &moved.disconnected {
            for (first, coin) in self.own_outputs(entry) {
                self.coins.remove(&(first, coin.outpoint));
            }
        }
        for entry in &moved.connected {
            for (first, coin) in self.own_outputs(entry) {
                self.coins.insert((first, coin.outpoint), coin);
            }
        }
    }

    /// Outputs of a block that pay to the faucet, each with the height of the first block that may spend it.
    fn own_outputs(&self, entry: &super::chain::Entry) -> Vec<(u32, FaucetCoin)> {
        let mut found = Vec::new();
        for (tx, txid) in entry.transactions() {
            let wait = if tx.is_coinbase() { MATURITY } else { 1 };
            let own = self.outputs_of(tx, txid, true);
            found.extend(own.map(|coin| (entry.height + wait, coin)));
        }
        found
    }

    /// Outputs of a transaction that pay to the faucet.
    fn outputs_of(
        &self,
        tx: &Transaction,
        txid: Txid,
        is_confirmed: bool,
    ) -> impl Iterator<Item = FaucetCoin> {
        (0..).zip(&tx.output).filter_map(move |(vout, output)| {
            Some(FaucetCoin {
                outpoint: OutPoint::new(txid, vout),
                value: output.value,
                key: *self.keys.get(&output.script_pubkey)?,
                is_confirmed,
            })
        })
    }
}

/// The script of a key of the faucet: P2WPKH.
fn script(seed: u64, key: u64) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&public_key(&secret_key(seed, key)).wpubkey_hash())
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
    pub(super) fn faucet_coins(&self) -> Vec<FaucetCoin> {
        let next = self.chain.height() + 1;
        let coins = &self.chain.coins;
        let spendable = self.faucet.coins.iter().filter(|((first, outpoint), _)| {
            *first <= next
                && coins.contains_key(outpoint)
                && self.mempool.spender(outpoint).is_none()
        });
        let mut found: Vec<FaucetCoin> = spendable.map(|(_, coin)| *coin).collect();
        for waiting in self.mempool.in_order() {
            let own = self.faucet.outputs_of(&waiting.tx, waiting.txid, false);
            found.extend(own.filter(|coin| self.mempool.spender(&coin.outpoint).is_none()));
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
        for coin in self.faucet_coins() {
            chosen.push(coin);
            available += coin.value;
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
        coins: &[FaucetCoin],
        outputs: &[(ScriptBuf, Amount)],
        available: Amount,
        wanted: Amount,
    ) -> Option<Transaction> {
        let script = &self.faucet.script;
        let input = |coin: &FaucetCoin| TxIn {
            previous_output: coin.outpoint,
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
        let witnesses = self.witnesses(&tx, coins)?;
        for (input, witness) in tx.input.iter_mut().zip(witnesses) {
            input.witness = witness;
        }
        Some(tx)
    }

    fn witnesses(&self, tx: &Transaction, coins: &[FaucetCoin]) -> Option<Vec<Witness>> {
        let secp = Secp256k1::signing_only();
        let mut cache = SighashCache::new(tx);
        let sighash_type = EcdsaSighashType::All;
        let signed = coins.iter().enumerate().map(|(index, coin)| {
            let key = secret_key(self.faucet.seed, coin.key);
            let public = public_key(&key);
            let script = ScriptBuf::new_p2wpkh(&public.wpubkey_hash());
            let hash = cache
                .p2wpkh_signature_hash(index, &script, coin.value, sighash_type)
                .ok()?;
            let signature = secp.sign_ecdsa(&Message::from_digest(hash.to_byte_array()), &key);
            Some(Witness::p2wpkh(
                &ecdsa::Signature {
                    signature,
                    sighash_type,
                },
                &public.0,
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
        self.read(|state| state.faucet_coins().iter().map(|coin| coin.value).sum())
    }

    /// Returns the script that the faucet is paid at by [`mine_to_faucet`](Self::mine_to_faucet).
    pub fn faucet_script(&self) -> ScriptBuf {
        self.read(|state| state.faucet.script())
    }

    /// Returns a script of the faucet that was not given out before; what is paid to it can be spent by
    /// [`fund`](Self::fund). `None` after 100,000 of them.
    pub fn next_faucet_script(&self) -> Option<ScriptBuf> {
        self.change(|state, _| state.faucet.next_script())
    }
}
