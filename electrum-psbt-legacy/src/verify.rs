//! Whether signatures are those of the keys with which they stand.

use alloc::vec::Vec;

use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{Message, Secp256k1, VerifyOnly};
use bitcoin::sighash::SighashCache;
use bitcoin::{Transaction, ecdsa};

use crate::spend::SpendKind;
use crate::transaction::{Encoding, Input, PartialTransaction};

/// Bytes that are hashed at most for signatures of coins that are not segregated witness, each of which hashes the whole
/// transaction.
const MAX_HASHED: usize = 1 << 30;

/// What can be said of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// There is none.
    Missing,
    /// It is the signature of the key with this number, from 0 in the order of the script, over this transaction.
    Signer(usize),
    /// It is the signature of none of the keys over this transaction.
    Invalid,
    /// Not known: the format does not carry what was signed, as the amount of a segregated witness coin whose input is
    /// complete, or the key of P2PK; or the transaction is
    /// Electron Cash's; or it is too large to hash it for every input.
    Unknown,
}

impl PartialTransaction {
    /// What can be said of each signature of each input, in the order of [`Spend::signatures`](crate::Spend::signatures).
    ///
    /// In an input with a place for every key a signature should be that of the key in its place; in one that has only the
    /// signatures that are needed, signers should ascend.
    #[must_use]
    pub fn verify_signatures(&self) -> Vec<Vec<Verdict>> {
        let unsigned = self.unsigned_transaction();
        let secp = Secp256k1::verification_only();
        let mut cache = SighashCache::new(&unsigned);
        // Signatures of Bitcoin Cash are over something else.
        let is_known = self.encoding != Encoding::ElectronCash;
        let mut left = MAX_HASHED;
        let len = unsigned.base_size();
        let mut verify_input = |(index, input): (usize, &Input)| -> Vec<Verdict> {
            let verdict = |signature: &Option<Vec<u8>>| {
                let Some(signature) = signature else {
                    return Verdict::Missing;
                };
                let hashed = if input.spend.kind().is_segwit() {
                    0
                } else {
                    len
                };
                match left.checked_sub(hashed).filter(|_| is_known) {
                    Some(rest) => {
                        left = rest;
                        verify(&secp, &mut cache, index, input, signature)
                    }
                    None => Verdict::Unknown,
                }
            };
            input.spend.signatures().iter().map(verdict).collect()
        };
        self.inputs
            .iter()
            .enumerate()
            .map(&mut verify_input)
            .collect()
    }
}

fn verify(
    secp: &Secp256k1<VerifyOnly>,
    cache: &mut SighashCache<&Transaction>,
    index: usize,
    input: &Input,
    bytes: &[u8],
) -> Verdict {
    let spend = &input.spend;
    let Ok(mut signature) = ecdsa::Signature::from_slice(bytes) else {
        return Verdict::Invalid;
    };
    let Some(message) = message(cache, index, input, signature) else {
        return Verdict::Unknown;
    };
    // Electrum up to 2.4 made signatures of either form, which the network once took.
    signature.signature.normalize_s();
    let signer = spend.signers().iter().position(|signer| {
        let key = signer.public_key.map(|key| key.inner);
        key.is_some_and(|key| {
            secp.verify_ecdsa(&message, &signature.signature, &key)
                .is_ok()
        })
    });
    signer.map_or(Verdict::Invalid, Verdict::Signer)
}

/// What was signed, if everything that goes into it is there.
fn message(
    cache: &mut SighashCache<&Transaction>,
    index: usize,
    input: &Input,
    signature: ecdsa::Signature,
) -> Option<Message> {
    let spend = &input.spend;
    let kind = signature.sighash_type;
    let value = input.value();
    let digest = match spend.kind() {
        SpendKind::P2pkh => {
            spend.signers().first()?.public_key?;
            let script = spend.script_pubkey()?;
            let hash = cache
                .legacy_signature_hash(index, &script, kind.to_u32())
                .ok()?;
            hash.to_byte_array()
        }
        SpendKind::P2sh => {
            let script = spend.multisig_script()?;
            let hash = cache
                .legacy_signature_hash(index, &script, kind.to_u32())
                .ok()?;
            hash.to_byte_array()
        }
        SpendKind::P2wpkh | SpendKind::P2wpkhP2sh => {
            let program = spend.expected_program()?;
            let hash = cache
                .p2wpkh_signature_hash(index, &program, value?, kind)
                .ok()?;
            hash.to_byte_array()
        }
        SpendKind::P2wsh | SpendKind::P2wshP2sh => {
            let script = spend.multisig_script()?;
            let hash = cache
                .p2wsh_signature_hash(index, &script, value?, kind)
                .ok()?;
            hash.to_byte_array()
        }
        _ => return None,
    };
    Some(Message::from_digest(digest))
}
