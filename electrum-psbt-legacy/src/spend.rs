//! What an input says of the coin that it spends: its script, its keys, and the signatures it has and lacks.

use alloc::vec::Vec;

use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{Secp256k1, Verification};
use bitcoin::{Address, Network, PublicKey, ScriptBuf, Txid};

use crate::key::ExtendedKey;
use crate::script::{Op, multisig, ops, parse_multisig, push};
use crate::transaction::Input;

/// A signature that is not there.
pub(crate) const NO_SIGNATURE: &[u8] = &[0xff];

/// The kind of coin that an input spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpendKind {
    /// Paid to a bare public key, which the input does not carry.
    P2pk,
    /// Paid to the hash of a public key; also what 2.0 to 3.1 wrote of a coin of which only the address is known.
    P2pkh,
    /// Multisig in P2SH.
    P2sh,
    /// Version 0 witness of one key.
    P2wpkh,
    /// Version 0 witness of one key, in P2SH.
    P2wpkhP2sh,
    /// Multisig in a version 0 witness.
    P2wsh,
    /// Multisig in a version 0 witness, in P2SH.
    P2wshP2sh,
    /// From 3.2 on: only the output script is known.
    Address,
    /// The input of a block's first transaction.
    Coinbase,
    /// Anything else.
    Unknown,
}

impl SpendKind {
    /// Electrum's own word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P2pk => "p2pk",
            Self::P2pkh => "p2pkh",
            Self::P2sh => "p2sh",
            Self::P2wpkh => "p2wpkh",
            Self::P2wpkhP2sh => "p2wpkh-p2sh",
            Self::P2wsh => "p2wsh",
            Self::P2wshP2sh => "p2wsh-p2sh",
            Self::Address => "address",
            Self::Coinbase => "coinbase",
            Self::Unknown => "unknown",
        }
    }

    /// Whether signatures stand in the witness, so that they do not change the transaction's identifier.
    #[must_use]
    pub fn is_segwit(self) -> bool {
        matches!(
            self,
            Self::P2wpkh | Self::P2wpkhP2sh | Self::P2wsh | Self::P2wshP2sh
        )
    }

    /// Whether several keys may sign.
    #[must_use]
    pub fn is_multisig(self) -> bool {
        matches!(self, Self::P2sh | Self::P2wsh | Self::P2wshP2sh)
    }
}

/// A key that may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The key as it is written.
    pub key: ExtendedKey,
    /// The public key; nothing where only a script or an address is known.
    pub public_key: Option<PublicKey>,
}

/// What an input says of the coin that it spends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spend {
    pub(crate) kind: SpendKind,
    pub(crate) required: usize,
    pub(crate) signers: Vec<Signer>,
    pub(crate) signatures: Vec<Option<Vec<u8>>>,
    /// Of nested coins: the program in the scriptSig.
    pub(crate) program: Option<ScriptBuf>,
    /// The input is in the form of the network, with nothing to fill in.
    pub(crate) is_final: bool,
}

impl Spend {
    /// The kind of coin.
    #[must_use]
    pub fn kind(&self) -> SpendKind {
        self.kind
    }

    /// Signatures that are needed; 0 where nothing is known.
    #[must_use]
    pub fn required(&self) -> usize {
        self.required
    }

    /// The keys in the order of the script.
    #[must_use]
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// Signatures (DER and a byte for the hash type) in the order of the keys: one place per key in an incomplete
    /// input, those that are needed in a complete one.
    #[must_use]
    pub fn signatures(&self) -> &[Option<Vec<u8>>] {
        &self.signatures
    }

    /// Signatures that are there.
    #[must_use]
    pub fn signatures_present(&self) -> usize {
        self.signatures.iter().flatten().count()
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match self.required {
            0 => self.is_final,
            required => self.signatures_present() >= required,
        }
    }

    /// The multisig script with the public keys of the network in place of extended ones.
    #[must_use]
    pub fn multisig_script(&self) -> Option<ScriptBuf> {
        if !self.kind.is_multisig() {
            return None;
        }
        let keys: Option<Vec<_>> = self
            .signers
            .iter()
            .map(|signer| Some(signer.public_key?.to_bytes()))
            .collect();
        let keys = keys.filter(|keys| !keys.is_empty())?;
        Some(ScriptBuf::from_bytes(multisig(self.required, &keys)))
    }

    /// Of nested coins: the program that stands in the scriptSig, as it is written.
    #[must_use]
    pub fn program(&self) -> Option<&ScriptBuf> {
        self.program.as_ref()
    }

    /// Whether the keys are in the order of their bytes, as Electrum has them.
    #[must_use]
    pub fn is_sorted(&self) -> bool {
        let keys = self.signers.iter().map(|signer| signer.public_key);
        keys.map(|key| key.map(|key| key.to_bytes())).is_sorted()
    }

    /// The script of the coin, where it can be told.
    #[must_use]
    pub fn script_pubkey(&self) -> Option<ScriptBuf> {
        if let Some(program) = &self.program {
            return Some(program.to_p2sh());
        }
        let first = self.signers.first();
        match self.kind {
            SpendKind::Address => first?.key.script_pubkey(),
            SpendKind::P2pkh => match first?.public_key {
                Some(key) => Some(ScriptBuf::new_p2pkh(&key.pubkey_hash())),
                None => first?.key.script_pubkey(),
            },
            SpendKind::P2sh => Some(self.multisig_script()?.to_p2sh()),
            _ => self.expected_program(),
        }
    }

    /// The address of the coin, where it can be told.
    #[must_use]
    pub fn address(&self, network: Network) -> Option<Address> {
        Address::from_script(&self.script_pubkey()?, network).ok()
    }

    /// The version 0 witness program of the keys.
    pub(crate) fn expected_program(&self) -> Option<ScriptBuf> {
        match self.kind {
            SpendKind::P2wpkh | SpendKind::P2wpkhP2sh => {
                let key = self.signers.first()?.public_key?;
                Some(ScriptBuf::new_p2wpkh(&key.wpubkey_hash().ok()?))
            }
            SpendKind::P2wsh | SpendKind::P2wshP2sh => Some(self.multisig_script()?.to_p2wsh()),
            _ => None,
        }
    }

    /// Whether the program in the scriptSig is that of the keys.
    pub(crate) fn program_fits(&self) -> bool {
        self.program.is_none() || self.program == self.expected_program()
    }

    /// Whether nothing but the script of the coin is known of its keys.
    pub(crate) fn has_only_address(&self) -> bool {
        self.signers
            .iter()
            .any(|signer| signer.public_key.is_none())
    }

    pub(crate) fn nested_script_sig(&self) -> Option<ScriptBuf> {
        let mut script = Vec::new();
        push(&mut script, self.program.as_ref()?.as_bytes());
        Some(ScriptBuf::from_bytes(script))
    }

    pub(crate) fn unknown(kind: SpendKind, is_final: bool) -> Self {
        Self {
            kind,
            required: 0,
            signers: Vec::new(),
            signatures: Vec::new(),
            program: None,
            is_final,
        }
    }

    /// Understands the scriptSig and the witness of an input.
    pub(crate) fn read<C: Verification>(secp: &Secp256k1<C>, input: &Input) -> Self {
        let script_sig = input.script_sig.as_bytes();
        let items = input.witness.items.as_slice();
        let is_partial = input.witness.prefix.is_some();
        let is_unsigned = is_partial || script_sig.is_empty() && items.is_empty();
        let is_final = !is_unsigned && !has_placeholder(script_sig, items);
        if input.previous_output.txid == Txid::all_zeros() {
            return Self::unknown(SpendKind::Coinbase, true);
        }
        let prefix = input.witness.prefix;
        if prefix.is_some_and(|prefix| prefix.witness_version.unwrap_or(0) != 0) {
            return Self::unknown(SpendKind::Unknown, false);
        }
        let spend = match script_sig {
            [] => read_witness(secp, items, None),
            _ => read_script_sig(secp, script_sig, items),
        };
        let mut spend = spend.unwrap_or_else(|| Self::unknown(SpendKind::Unknown, is_final));
        let is_of_network = |signer: &Signer| matches!(signer.key, ExtendedKey::PublicKey(_));
        spend.is_final = is_final
            && spend.signatures.iter().all(Option::is_some)
            && spend.signers.iter().all(is_of_network)
            // Without its witness a nested coin is not spent.
            && (spend.program.is_none() || !items.is_empty());
        spend
    }
}

/// Whether something stands in the scripts that Electrum writes and the network never takes: the place of a signature.
fn has_placeholder(script_sig: &[u8], items: &[Vec<u8>]) -> bool {
    let in_script = ops(script_sig)
        .is_none_or(|ops| ops.contains(&Op::Push(NO_SIGNATURE)) || ops.contains(&Op::Code(0xff)));
    in_script || items.iter().any(|item| item == NO_SIGNATURE)
}

fn read_script_sig<C: Verification>(
    secp: &Secp256k1<C>,
    script_sig: &[u8],
    items: &[Vec<u8>],
) -> Option<Spend> {
    match ops(script_sig)?.as_slice() {
        [Op::Push(program @ [0, ..])] => {
            if !matches!(program.len(), 22 | 34) {
                return None;
            }
            let program = ScriptBuf::from_bytes(program.to_vec());
            if program.p2wpkh_script_code().is_none() && !program.is_p2wsh() {
                return None;
            }
            read_witness(secp, items, Some(program))
        }
        // A program of a witness version that came later.
        [Op::Push([0x51..=0x60, ..])] => None,
        [Op::Push(signature)] => Some(Spend {
            kind: SpendKind::P2pk,
            required: 1,
            signers: Vec::new(),
            signatures: read_signatures([*signature]),
            program: None,
            is_final: false,
        }),
        [Op::Push(signature), Op::Push(key)] => Some(Spend {
            kind: SpendKind::P2pkh,
            required: 1,
            signers: alloc::vec![read_signer(secp, key)?],
            signatures: read_signatures([*signature]),
            program: None,
            is_final: false,
        }),
        [Op::Code(0), signatures @ .., Op::Push(script)] => {
            let signatures: Option<Vec<_>> = signatures
                .iter()
                .map(|op| match op {
                    Op::Push(data) => Some(*data),
                    Op::Code(_) => None,
                })
                .collect();
            read_multisig(secp, SpendKind::P2sh, script, read_signatures(signatures?))
        }
        [Op::Code(0xff), Op::Code(0), Op::Push(key)] => Some(Spend {
            kind: SpendKind::Address,
            required: 1,
            signers: alloc::vec![read_address(key)?],
            signatures: alloc::vec![None],
            program: None,
            is_final: false,
        }),
        _ => None,
    }
}

fn read_witness<C: Verification>(
    secp: &Secp256k1<C>,
    items: &[Vec<u8>],
    program: Option<ScriptBuf>,
) -> Option<Spend> {
    let is_nested = program.is_some();
    let is_script = program.as_ref().is_some_and(|program| program.is_p2wsh());
    let spend = match items {
        // Of a nested coin without a witness at least the kind is known.
        [] if is_nested => Some(Spend::unknown(
            match is_script {
                true => SpendKind::P2wshP2sh,
                false => SpendKind::P2wpkhP2sh,
            },
            false,
        )),
        [first, signatures @ .., script] if (is_script || !is_nested && items.len() > 2) => {
            let kind = match is_nested {
                true => SpendKind::P2wshP2sh,
                false => SpendKind::P2wsh,
            };
            let signatures = read_signatures(signatures.iter().map(Vec::as_slice));
            let spend = read_multisig(secp, kind, script, signatures)?;
            first.is_empty().then_some(spend)
        }
        [signature, key] => Some(Spend {
            kind: match is_nested {
                true => SpendKind::P2wpkhP2sh,
                false => SpendKind::P2wpkh,
            },
            required: 1,
            signers: alloc::vec![read_signer(secp, key)?],
            signatures: read_signatures([signature.as_slice()]),
            program: None,
            is_final: false,
        }),
        _ => None,
    };
    spend.map(|spend| Spend { program, ..spend })
}

fn read_signatures<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Vec<Option<Vec<u8>>> {
    let read = |item: &[u8]| (item != NO_SIGNATURE).then(|| item.to_vec());
    items.into_iter().map(read).collect()
}

/// A key that may sign in a place of its own: `fd` keys are known there by their address.
fn read_signer<C: Verification>(secp: &Secp256k1<C>, bytes: &[u8]) -> Option<Signer> {
    let key = ExtendedKey::from_bytes(bytes).ok()?;
    let public_key = key.public_key(secp).ok()?;
    Some(Signer { key, public_key })
}

fn read_address(bytes: &[u8]) -> Option<Signer> {
    let key = ExtendedKey::from_bytes(bytes).ok()?;
    key.script_pubkey()?;
    let public_key = None;
    Some(Signer { key, public_key })
}

fn read_multisig<C: Verification>(
    secp: &Secp256k1<C>,
    kind: SpendKind,
    script: &[u8],
    signatures: Vec<Option<Vec<u8>>>,
) -> Option<Spend> {
    let (required, keys) = parse_multisig(script)?;
    let signers: Option<Vec<_>> = keys
        .into_iter()
        .map(|key| read_signer(secp, key).filter(|signer| signer.public_key.is_some()))
        .collect();
    let signers = signers?;
    // One place per key, or exactly the signatures that are needed.
    let total = signers.len();
    let good = signatures.len() == total
        || signatures.len() == required && signatures.iter().all(Option::is_some);
    good.then_some(Spend {
        kind,
        required,
        signers,
        signatures,
        program: None,
        is_final: false,
    })
}
