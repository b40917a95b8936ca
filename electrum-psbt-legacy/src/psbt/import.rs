//! From PSBT to Electrum's format.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use bitcoin::bip32::Xpub;
use bitcoin::sighash::EcdsaSighashType;
use bitcoin::{Amount, Psbt, PublicKey, ScriptBuf, TxIn, TxOut, psbt};

use super::keys::{KeyFinder, candidates};
use super::loss::note;
use super::{
    Converted, FromPsbt, KEPT_AMOUNT, KEPT_SCRIPT, Loss, Lost, PROPRIETARY_PREFIX, Place,
    PsbtError, proprietary_key,
};
use crate::compose;
use crate::key::ExtendedKey;
use crate::script::parse_multisig;
use crate::spend::{Signer, Spend, SpendKind};
use crate::transaction::{Encoding, Input, MAX_KEYS, WitnessField, WitnessPrefix};
use crate::{DecodeError, PartialTransaction, psbt::BIP32_DERIVATION};

pub(super) fn import(
    psbt: &Psbt,
    given: &FromPsbt<'_>,
) -> Result<Converted<PartialTransaction>, PsbtError> {
    if given.encoding == Encoding::ElectronCash {
        return Err(PsbtError::ElectronCash);
    }
    if psbt.version != 0 {
        return Err(PsbtError::UnknownVersion(psbt.version));
    }
    let unsigned = &psbt.unsigned_tx;
    let counts = [
        (psbt.inputs.len(), unsigned.input.len()),
        (psbt.outputs.len(), unsigned.output.len()),
    ];
    if let Some((maps, count)) = counts.into_iter().find(|(maps, count)| maps != count) {
        return Err(PsbtError::WrongNumberOfMaps { maps, count });
    }
    let mut losses = Vec::new();
    let mut used = BTreeSet::new();
    let mut inputs = Vec::new();
    let mut keys = 0;
    let finder = KeyFinder::new(psbt, given);
    for (index, (txin, map)) in unsigned.input.iter().zip(&psbt.inputs).enumerate() {
        let mut import = Import {
            index,
            txin,
            map,
            given,
            finder: &finder,
            keys: 0,
            losses: &mut losses,
            used: &mut used,
        };
        inputs.push(import.input()?);
        keys += import.keys;
        if keys > MAX_KEYS {
            return Err(DecodeError::TooManyKeys(MAX_KEYS).into());
        }
    }
    outputs(psbt, &mut losses);
    globals(psbt, &used, &mut losses);
    let has_witness =
        |input: &Input| input.witness.prefix.is_some() || !input.witness.items.is_empty();
    let written = PartialTransaction {
        encoding: given.encoding,
        version: unsigned.version,
        segwit: inputs.iter().any(has_witness),
        inputs,
        outputs: unsigned.output.clone(),
        lock_time: unsigned.lock_time,
    };
    let mut value = PartialTransaction::decode(&written.encode())?;
    if value.is_complete() {
        // What is complete is a transaction of the network.
        value.encoding = Encoding::Bare;
    }
    Ok(Converted { value, losses })
}

fn outputs(psbt: &Psbt, losses: &mut Vec<Loss>) {
    for (index, map) in psbt.outputs.iter().enumerate() {
        let lost = [
            (
                map.redeem_script.is_some()
                    || map.witness_script.is_some()
                    || !map.bip32_derivation.is_empty(),
                Lost::OutputKeys,
            ),
            (
                map.tap_internal_key.is_some()
                    || map.tap_tree.is_some()
                    || !map.tap_key_origins.is_empty(),
                Lost::Taproot,
            ),
            (
                !map.proprietary.is_empty() || !map.unknown.is_empty(),
                Lost::OtherFields,
            ),
        ];
        for (_, lost) in lost.into_iter().filter(|(is_lost, _)| *is_lost) {
            note(losses, Place::Output(index), lost);
        }
    }
}

fn globals(psbt: &Psbt, used: &BTreeSet<Identity>, losses: &mut Vec<Loss>) {
    if psbt.xpub.keys().any(|xpub| !used.contains(&identity(xpub))) {
        note(losses, Place::Global, Lost::GlobalXpub);
    }
    if !psbt.proprietary.is_empty() || !psbt.unknown.is_empty() {
        note(losses, Place::Global, Lost::OtherFields);
    }
}

/// What makes an extended key the same on every network.
type Identity = ([u8; 33], [u8; 32]);

fn identity(xpub: &Xpub) -> Identity {
    (xpub.public_key.serialize(), xpub.chain_code.to_bytes())
}

/// The kind of a coin, as a PSBT tells it.
struct Coin {
    kind: SpendKind,
    required: usize,
    keys: Vec<PublicKey>,
    program: Option<ScriptBuf>,
}

struct Import<'a> {
    index: usize,
    txin: &'a TxIn,
    map: &'a psbt::Input,
    given: &'a FromPsbt<'a>,
    finder: &'a KeyFinder<'a>,
    /// Keys that may sign.
    keys: usize,
    losses: &'a mut Vec<Loss>,
    used: &'a mut BTreeSet<Identity>,
}

impl Import<'_> {
    fn lose(&mut self, lost: Lost) {
        note(self.losses, Place::Input(self.index), lost);
    }

    fn input(&mut self) -> Result<Input, PsbtError> {
        let map = self.map;
        let coin = self.utxo()?;
        let script = self.kept(KEPT_SCRIPT).map(ScriptBuf::from_bytes);
        let (script, value) = match (coin, script) {
            (Some(coin), Some(kept)) if coin.script_pubkey != kept => {
                return Err(PsbtError::ScriptMismatch(self.index));
            }
            (Some(coin), _) => (Some(coin.script_pubkey), Some(coin.value)),
            (None, script) => (script, self.kept_amount()),
        };
        self.other_fields();
        let mut input = Input {
            previous_output: self.txin.previous_output,
            script_sig: ScriptBuf::new(),
            sequence: self.txin.sequence,
            witness: WitnessField::default(),
            cash_value: None,
            spend: Spend::unknown(SpendKind::Unknown, false),
        };
        if map.final_script_sig.is_some() || map.final_script_witness.is_some() {
            input.script_sig = map.final_script_sig.clone().unwrap_or_default();
            let witness = map.final_script_witness.clone().unwrap_or_default();
            input.witness.items = witness.to_vec();
            return Ok(input);
        }
        let spend = self.spend(script.as_ref())?;
        let unsupported = PsbtError::UnsupportedInput(self.index);
        if spend.is_complete() {
            let (script_sig, witness) = compose::complete(&spend).ok_or(unsupported)?;
            (input.script_sig, input.witness.items) = (script_sig, witness.to_vec());
            return Ok(input);
        }
        (input.script_sig, input.witness.items) = compose::partial(&spend).ok_or(unsupported)?;
        match spend.kind().is_segwit() || spend.kind() == SpendKind::Address {
            true => {
                let value = value.ok_or(PsbtError::MissingUtxo(self.index))?;
                let witness_version = (self.given.encoding == Encoding::Headed).then_some(0);
                input.witness.prefix = Some(WitnessPrefix {
                    value,
                    witness_version,
                });
            }
            false if map.witness_utxo.is_some() && map.non_witness_utxo.is_none() => {
                self.lose(Lost::CoinAmount);
            }
            false => {}
        }
        Ok(input)
    }

    /// A field that was kept for the way back.
    fn kept(&self, subtype: u8) -> Option<Vec<u8>> {
        let key = proprietary_key(subtype, Vec::new());
        self.map.proprietary.get(&key).cloned()
    }

    fn kept_amount(&self) -> Option<Amount> {
        let bytes: [u8; 8] = self.kept(KEPT_AMOUNT)?.try_into().ok()?;
        Some(Amount::from_sat(u64::from_le_bytes(bytes)))
    }

    /// The coin, once both places agree on it.
    fn utxo(&self) -> Result<Option<TxOut>, PsbtError> {
        let (index, out_point) = (self.index, self.txin.previous_output);
        let Some(previous) = &self.map.non_witness_utxo else {
            return Ok(self.map.witness_utxo.clone());
        };
        if previous.compute_txid() != out_point.txid {
            return Err(PsbtError::WrongPreviousTransaction(index));
        }
        let coin = usize::try_from(out_point.vout).ok();
        let coin = coin.and_then(|vout| previous.output.get(vout));
        let coin = coin.ok_or(PsbtError::NoSuchOutput {
            input: index,
            vout: out_point.vout,
            outputs: previous.output.len(),
        })?;
        if let Some(claimed) = &self.map.witness_utxo {
            if claimed.value != coin.value {
                return Err(PsbtError::AmountMismatch {
                    input: index,
                    claimed: claimed.value,
                    actual: coin.value,
                });
            }
            if claimed.script_pubkey != coin.script_pubkey {
                return Err(PsbtError::ScriptMismatch(index));
            }
        }
        Ok(Some(coin.clone()))
    }

    fn other_fields(&mut self) {
        let map = self.map;
        if map.non_witness_utxo.is_some() {
            self.lose(Lost::PreviousTransaction);
        }
        let all = psbt::PsbtSighashType::from(EcdsaSighashType::All);
        if map.sighash_type.is_some_and(|asked| asked != all) {
            self.lose(Lost::SighashType);
        }
        let preimages = map.ripemd160_preimages.len()
            + map.sha256_preimages.len()
            + map.hash160_preimages.len()
            + map.hash256_preimages.len();
        if preimages > 0 {
            self.lose(Lost::Preimages);
        }
        let maps = map.tap_script_sigs.len() + map.tap_scripts.len() + map.tap_key_origins.len();
        let has_taproot = map.tap_key_sig.is_some()
            || map.tap_internal_key.is_some()
            || map.tap_merkle_root.is_some();
        if maps > 0 || has_taproot {
            self.lose(Lost::Taproot);
        }
        let proprietary = map
            .proprietary
            .keys()
            .any(|key| key.prefix != PROPRIETARY_PREFIX);
        let unknown = map
            .unknown
            .keys()
            .any(|key| key.type_value != BIP32_DERIVATION);
        if proprietary || unknown {
            self.lose(Lost::OtherFields);
        }
    }

    fn spend(&mut self, script: Option<&ScriptBuf>) -> Result<Spend, PsbtError> {
        let Some(coin) = self.coin(script)? else {
            return self.address(script);
        };
        let Coin {
            kind,
            required,
            keys,
            program,
        } = coin;
        self.keys = keys.len();
        let signers: Vec<_> = keys.iter().map(|key| self.signer(*key, kind)).collect();
        let in_script = |key: &PublicKey| keys.contains(key);
        if !self.map.partial_sigs.keys().all(in_script) {
            self.lose(Lost::Signature);
        }
        let slot = |key: &PublicKey| self.map.partial_sigs.get(key).map(|found| found.to_vec());
        let mut signatures: Vec<_> = keys.iter().map(slot).collect();
        if kind == SpendKind::P2pk {
            signatures.push(None);
        }
        if signatures.iter().flatten().count() > required {
            self.lose(Lost::SurplusSignature);
        }
        Ok(Spend {
            kind,
            required,
            signers,
            signatures,
            program,
            is_final: false,
        })
    }

    fn signer(&mut self, public_key: PublicKey, kind: SpendKind) -> Signer {
        let found = self.finder.find(self.map, public_key, kind);
        if found.path_lost {
            self.lose(Lost::PathFromRoot);
        }
        if found.key_lost {
            self.lose(Lost::ExtendedKey);
        }
        self.used.extend(found.xpub.as_ref().map(identity));
        Signer {
            key: found.key,
            public_key: Some(public_key),
        }
    }

    /// A coin of which only the script is told.
    fn address(&mut self, script: Option<&ScriptBuf>) -> Result<Spend, PsbtError> {
        let kept = self.finder.kept(self.map, None);
        let script_of_kept = kept.as_ref().and_then(ExtendedKey::script_pubkey);
        let key = match (script, script_of_kept) {
            (Some(script), Some(kept)) if *script != kept => {
                return Err(PsbtError::ScriptMismatch(self.index));
            }
            (_, Some(_)) => kept,
            (Some(script), None) => Some(ExtendedKey::Script(script.clone())),
            (None, None) => None,
        };
        let key = key.ok_or(PsbtError::MissingUtxo(self.index))?;
        let map = self.map;
        if map.redeem_script.is_some() || map.witness_script.is_some() {
            self.lose(Lost::Scripts);
        }
        if !map.bip32_derivation.is_empty() {
            self.lose(Lost::Keys);
        }
        if !map.partial_sigs.is_empty() {
            self.lose(Lost::Signature);
        }
        Ok(Spend {
            kind: match self.given.encoding {
                Encoding::Headed => SpendKind::Address,
                // Up to 3.1 an address stands where the key of P2PKH does, whatever its kind.
                Encoding::Bare | Encoding::ElectronCash => SpendKind::P2pkh,
            },
            required: 1,
            signers: alloc::vec![Signer {
                key,
                public_key: None
            }],
            signatures: alloc::vec![None],
            program: None,
            is_final: false,
        })
    }

    /// The kind of the coin and the keys that may sign, or nothing where only an address can be written.
    fn coin(&self, script: Option<&ScriptBuf>) -> Result<Option<Coin>, PsbtError> {
        let mismatch = PsbtError::ScriptMismatch(self.index);
        let is_paid_to = |expected: &ScriptBuf| script.is_none_or(|script| script == expected);
        let (redeem, witness) = (
            self.map.redeem_script.as_ref(),
            self.map.witness_script.as_ref(),
        );
        if let Some(witness) = witness {
            let program = witness.to_p2wsh();
            let is_nested = redeem.is_some() || script.is_some_and(|script| script.is_p2sh());
            let paid = if is_nested {
                program.to_p2sh()
            } else {
                program.clone()
            };
            if redeem.is_some_and(|redeem| *redeem != program) || !is_paid_to(&paid) {
                return Err(mismatch);
            }
            return Ok(multisig(witness).map(|(required, keys)| Coin {
                kind: if is_nested {
                    SpendKind::P2wshP2sh
                } else {
                    SpendKind::P2wsh
                },
                required,
                keys,
                program: is_nested.then_some(program),
            }));
        }
        let single = |kind, keys: Vec<PublicKey>, program| Coin {
            kind,
            required: 1,
            keys,
            program,
        };
        if let Some(redeem) = redeem {
            if !is_paid_to(&redeem.to_p2sh()) {
                return Err(mismatch);
            }
            if redeem.is_p2wpkh() {
                let program = Some(redeem.clone());
                let key = self.key_of(redeem).into_iter().collect::<Vec<_>>();
                let coin = single(SpendKind::P2wpkhP2sh, key, program);
                return Ok(Some(coin).filter(|coin| !coin.keys.is_empty()));
            }
            return Ok(multisig(redeem).map(|(required, keys)| Coin {
                kind: SpendKind::P2sh,
                required,
                keys,
                program: None,
            }));
        }
        // Keys alone do not tell P2PKH from P2WPKH.
        let Some(script) = script else {
            return Ok(None);
        };
        if script.is_p2pk() && self.map.partial_sigs.is_empty() {
            return Ok(Some(single(SpendKind::P2pk, Vec::new(), None)));
        }
        let kind = match script.is_p2wpkh() {
            true => SpendKind::P2wpkh,
            false => SpendKind::P2pkh,
        };
        Ok(self
            .key_of(script)
            .map(|key| single(kind, alloc::vec![key], None)))
    }

    /// The key that a script pays to by its hash.
    fn key_of(&self, script: &ScriptBuf) -> Option<PublicKey> {
        candidates(self.map).into_iter().find(|key| {
            let witness = || {
                key.wpubkey_hash()
                    .ok()
                    .map(|hash| ScriptBuf::new_p2wpkh(&hash))
            };
            match script.is_p2wpkh() {
                true => witness().as_ref() == Some(script),
                false => ScriptBuf::new_p2pkh(&key.pubkey_hash()) == *script,
            }
        })
    }
}

fn multisig(script: &ScriptBuf) -> Option<(usize, Vec<PublicKey>)> {
    let (required, keys) = parse_multisig(script.as_bytes())?;
    let keys: Result<Vec<_>, _> = keys.into_iter().map(PublicKey::from_slice).collect();
    Some((required, keys.ok()?))
}
