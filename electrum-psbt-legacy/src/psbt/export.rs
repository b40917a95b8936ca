//! From Electrum's format to PSBT.

use alloc::vec::Vec;

use bitcoin::bip32::{ChildNumber, DerivationPath, Fingerprint, KeySource, Xpub};
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, Psbt, PublicKey, ScriptBuf, Transaction, TxOut, Witness, ecdsa, psbt, psbt::raw,
};

use super::loss::note;
use super::{
    BIP32_DERIVATION, Converted, KEPT_AMOUNT, KEPT_KEY, KEPT_SCRIPT, Loss, Lost, Place, PsbtError,
    ToPsbt, proprietary_key,
};
use crate::key::{Bip32Key, ExtendedKey};
use crate::spend::{Signer, SpendKind};
use crate::transaction::Input;
use crate::{Encoding, PartialTransaction};

pub(super) fn export(
    transaction: &PartialTransaction,
    given: &ToPsbt<'_>,
) -> Result<Converted<Psbt>, PsbtError> {
    if transaction.encoding() == Encoding::ElectronCash {
        return Err(PsbtError::ElectronCash);
    }
    let unsigned = transaction.unsigned_transaction();
    let mut psbt = Psbt::from_unsigned_tx(unsigned).expect("scriptSigs and witnesses are empty");
    let mut losses = Vec::new();
    let previous = Previous::new(given.previous_transactions);
    for (index, input) in transaction.inputs().iter().enumerate() {
        let mut export = Export {
            index,
            input,
            given,
            map: psbt::Input::default(),
            xpubs: Vec::new(),
            losses: &mut losses,
        };
        export.coin(&previous)?;
        export.scripts();
        export.keys();
        let Export { map, xpubs, .. } = export;
        psbt.xpub.extend(xpubs);
        *psbt.inputs.get_mut(index).expect("one map per input") = map;
    }
    let value = psbt;
    Ok(Converted { value, losses })
}

/// The given transactions by their identifier, which is costly to compute.
struct Previous<'a>(alloc::collections::BTreeMap<bitcoin::Txid, &'a Transaction>);

impl<'a> Previous<'a> {
    fn new(transactions: &'a [Transaction]) -> Self {
        let by_id = |transaction: &'a Transaction| (transaction.compute_txid(), transaction);
        Self(transactions.iter().map(by_id).collect())
    }
}

struct Export<'a> {
    index: usize,
    input: &'a Input,
    given: &'a ToPsbt<'a>,
    map: psbt::Input,
    xpubs: Vec<(Xpub, KeySource)>,
    losses: &'a mut Vec<Loss>,
}

impl Export<'_> {
    fn lose(&mut self, lost: Lost) {
        note(self.losses, Place::Input(self.index), lost);
    }

    /// What is known of the coin.
    fn coin(&mut self, previous: &Previous<'_>) -> Result<(), PsbtError> {
        let (index, spend) = (self.index, &self.input.spend);
        if spend.kind() == SpendKind::Coinbase {
            return Ok(());
        }
        let out_point = self.input.previous_output;
        let script = spend.script_pubkey();
        let previous = previous.0.get(&out_point.txid);
        let mut value = self.input.value();
        if let Some(previous) = previous {
            let coin = usize::try_from(out_point.vout).ok();
            let coin = coin.and_then(|vout| previous.output.get(vout));
            let coin = coin.ok_or(PsbtError::NoSuchOutput {
                input: index,
                vout: out_point.vout,
                outputs: previous.output.len(),
            })?;
            let actual = coin.value;
            if let Some(claimed) = value.filter(|claimed| *claimed != actual) {
                return Err(PsbtError::AmountMismatch {
                    input: index,
                    claimed,
                    actual,
                });
            }
            if script
                .as_ref()
                .is_some_and(|script| *script != coin.script_pubkey)
            {
                return Err(PsbtError::ScriptMismatch(index));
            }
            value = Some(actual);
            self.map.non_witness_utxo = Some(Transaction::clone(previous));
        }
        // P2SH of which only the address is known may hold a witness program.
        let is_witness = spend.kind().is_segwit()
            || spend.kind() == SpendKind::Address
                && script
                    .as_ref()
                    .is_some_and(|script| script.is_witness_program() || script.is_p2sh());
        match (script, value) {
            (Some(script_pubkey), Some(value)) if is_witness => {
                self.map.witness_utxo = Some(TxOut {
                    value,
                    script_pubkey,
                });
            }
            (script, value) if previous.is_none() && !spend.is_final => {
                self.keep_coin(script, value);
                self.lose(Lost::PreviousTransactionWanted);
            }
            _ => {}
        }
        Ok(())
    }

    /// Keeps what PSBT has no place for, for the way back.
    fn keep_coin(&mut self, script: Option<ScriptBuf>, value: Option<Amount>) {
        if self.given.omit_extended_keys {
            if value.is_some() {
                self.lose(Lost::Amount);
            }
            if script.is_some() {
                self.lose(Lost::ScriptPubkey);
            }
            return;
        }
        let script = script.map(|script| (KEPT_SCRIPT, script.into_bytes()));
        let value = value.map(|value| (KEPT_AMOUNT, value.to_sat().to_le_bytes().to_vec()));
        let fields = script.into_iter().chain(value);
        let fields = fields.map(|(subtype, value)| (proprietary_key(subtype, Vec::new()), value));
        self.map.proprietary.extend(fields);
    }

    fn scripts(&mut self) {
        let spend = &self.input.spend;
        if spend.is_final {
            let script_sig = self.input.script_sig.clone();
            let items = &self.input.witness.items;
            self.map.final_script_sig = (!script_sig.is_empty()).then_some(script_sig);
            self.map.final_script_witness = (!items.is_empty()).then(|| Witness::from_slice(items));
            return;
        }
        match spend.kind() {
            SpendKind::P2sh => self.map.redeem_script = spend.multisig_script(),
            SpendKind::P2wpkhP2sh => self.map.redeem_script = spend.program().cloned(),
            SpendKind::P2wsh => self.map.witness_script = spend.multisig_script(),
            SpendKind::P2wshP2sh => {
                self.map.redeem_script = spend.program().cloned();
                self.map.witness_script = spend.multisig_script();
            }
            SpendKind::Unknown => {
                let nothing = self.input.script_sig == ScriptBuf::new()
                    && self.input.witness.items.is_empty();
                if !nothing {
                    self.lose(Lost::UnknownScripts);
                }
            }
            _ => {}
        }
    }

    fn keys(&mut self) {
        let spend = &self.input.spend;
        if spend.is_final {
            return;
        }
        let signatures = spend.signatures();
        let has_slots = signatures.len() == spend.signers().len();
        if !has_slots && spend.signatures_present() > 0 {
            // Which key made which is only known by verifying.
            self.lose(Lost::Signature);
        }
        for (slot, signer) in spend.signers().iter().enumerate() {
            self.key(signer);
            let signature = signatures
                .get(slot)
                .and_then(Option::as_deref)
                .filter(|_| has_slots);
            if let Some(signature) = signature {
                self.signature(signer.public_key, signature);
            }
        }
    }

    fn signature(&mut self, key: Option<PublicKey>, bytes: &[u8]) {
        let signature = ecdsa::Signature::from_slice(bytes).ok();
        // A signature in other bytes than its own would not come back as it was.
        let signature = signature.filter(|signature| signature.to_vec() == bytes);
        match (key, signature) {
            (Some(key), Some(signature)) => {
                self.map.partial_sigs.insert(key, signature);
            }
            _ => self.lose(Lost::Signature),
        }
    }

    fn key(&mut self, signer: &Signer) {
        let public_key = signer.public_key;
        match &signer.key {
            ExtendedKey::PublicKey(key) => {
                // A key of its own: its own fingerprint and no steps, as Bitcoin Core has it.
                let hash = key.pubkey_hash().to_byte_array();
                let (fingerprint, _) = hash.split_first_chunk::<4>().expect("a hash of 20 bytes");
                let fingerprint = Fingerprint::from(*fingerprint);
                self.derivation(*key, fingerprint, DerivationPath::master());
                return;
            }
            ExtendedKey::Bip32(key) => {
                if let (Ok(xpub), Some(public_key)) = (key.xpub(), public_key) {
                    self.bip32(key, xpub, public_key);
                }
            }
            ExtendedKey::Old(key) => {
                if let (Ok(fingerprint), Some(public_key)) = (key.fingerprint(), public_key) {
                    let path = [u32::from(key.change), u32::from(key.index)];
                    self.derivation(
                        public_key,
                        fingerprint,
                        path.map(ChildNumber::from)[..].into(),
                    );
                }
            }
            ExtendedKey::Script(_) | ExtendedKey::Address { .. } => {}
        }
        if !self.given.omit_extended_keys {
            let public_key = public_key.map(|key| key.to_bytes()).unwrap_or_default();
            let key = proprietary_key(KEPT_KEY, public_key);
            self.map.proprietary.insert(key, signer.key.to_bytes());
        }
    }

    fn bip32(&mut self, key: &Bip32Key, xpub: Xpub, public_key: PublicKey) {
        let same = |other: &Xpub| {
            (other.public_key, other.chain_code) == (xpub.public_key, xpub.chain_code)
        };
        let given = self.given.origins.iter().find(|(other, _)| same(other));
        let (fingerprint, path) = match (given, xpub.depth) {
            (Some((_, source)), _) => source.clone(),
            (None, 0) => (xpub.fingerprint(), DerivationPath::master()),
            (None, 1) => (xpub.parent_fingerprint, [xpub.child_number][..].into()),
            (None, _) => {
                self.lose(Lost::PathFromRoot);
                (xpub.fingerprint(), DerivationPath::master())
            }
        };
        if self.given.omit_extended_keys && !key.has_plain_version() {
            self.lose(Lost::VersionBytes);
        }
        // BIP174 wants as many steps as the key is deep.
        let is_consistent = path.len() == usize::from(xpub.depth)
            && path
                .into_iter()
                .last()
                .is_none_or(|last| *last == xpub.child_number);
        if is_consistent {
            let network = self.given.network.unwrap_or(xpub.network);
            let xpub = Xpub { network, ..xpub };
            self.xpubs.push((xpub, (fingerprint, path.clone())));
        }
        let steps = [key.change.value(), key.index.value()].map(ChildNumber::from);
        self.derivation(public_key, fingerprint, path.extend(steps));
    }

    fn derivation(&mut self, key: PublicKey, fingerprint: Fingerprint, path: DerivationPath) {
        if key.compressed {
            self.map
                .bip32_derivation
                .insert(key.inner, (fingerprint, path));
            return;
        }
        // The map of the library holds compressed keys only.
        let mut value = fingerprint.to_bytes().to_vec();
        for step in &path {
            value.extend(u32::from(*step).to_le_bytes());
        }
        let (type_value, key) = (BIP32_DERIVATION, key.to_bytes());
        self.map.unknown.insert(raw::Key { type_value, key }, value);
    }
}
