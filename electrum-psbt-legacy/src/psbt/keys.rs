//! Finds the extended key of a public key again.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cell::Cell;

use bitcoin::bip32::{ChildNumber, DerivationPath, Fingerprint, KeySource, Xpub};
use bitcoin::secp256k1::{Secp256k1, VerifyOnly};
use bitcoin::{NetworkKind, Psbt, PublicKey, psbt, psbt::raw};

use super::{BIP32_DERIVATION, FromPsbt, KEPT_KEY, PROPRIETARY_PREFIX, proprietary_key};
use crate::key::{Bip32Key, ExtendedKey, OldKey, PathIndex};
use crate::spend::SpendKind;
use crate::transaction::{Encoding, MAX_KEYS};

/// Extended keys that are tried for one public key at most.
const MAX_TRIES: usize = 16;
/// Derivations that are tried for a whole PSBT at most, twice as many as it may have keys.
const MAX_DERIVATIONS: usize = 2 * MAX_KEYS;

pub(super) struct KeyFinder<'a> {
    given: &'a FromPsbt<'a>,
    secp: Secp256k1<VerifyOnly>,
    /// Extended keys by fingerprint and path that precede the last two steps.
    xpubs: BTreeMap<(Fingerprint, DerivationPath), Vec<Xpub>>,
    derivations_left: Cell<usize>,
}

/// What stands for a public key.
pub(super) struct Found {
    pub(super) key: ExtendedKey,
    /// The extended key with which it was found.
    pub(super) xpub: Option<Xpub>,
    /// The public key stands alone although it has a derivation.
    pub(super) key_lost: bool,
    /// Where the extended key comes from cannot be told from it.
    pub(super) path_lost: bool,
}

impl<'a> KeyFinder<'a> {
    pub(super) fn new(psbt: &Psbt, given: &'a FromPsbt<'a>) -> Self {
        let origins = given.origins.iter().map(|(xpub, source)| (xpub, source));
        let mut xpubs = BTreeMap::<_, Vec<Xpub>>::new();
        for (xpub, source) in psbt.xpub.iter().chain(origins) {
            // Where the origin is not known, the path begins at the extended key.
            let own = (xpub.fingerprint(), DerivationPath::master());
            if own != *source {
                xpubs.entry(own).or_default().push(*xpub);
            }
            xpubs.entry(source.clone()).or_default().push(*xpub);
        }
        Self {
            given,
            secp: Secp256k1::verification_only(),
            xpubs,
            derivations_left: Cell::new(MAX_DERIVATIONS),
        }
    }

    /// The public key of an extended one, as long as not too many are asked for.
    fn derive(&self, key: &ExtendedKey) -> Option<PublicKey> {
        let left = self.derivations_left.get().checked_sub(1)?;
        self.derivations_left.set(left);
        key.public_key(&self.secp).ok()?
    }

    /// The extended key that was kept in a proprietary field; of no public key: what is known by its address.
    pub(super) fn kept(
        &self,
        map: &psbt::Input,
        public_key: Option<PublicKey>,
    ) -> Option<ExtendedKey> {
        let data = public_key.map(|key| key.to_bytes()).unwrap_or_default();
        let bytes = map.proprietary.get(&proprietary_key(KEPT_KEY, data))?;
        let key = ExtendedKey::from_bytes(bytes).ok()?;
        let fits = match public_key {
            Some(_) => self.derive(&key) == public_key,
            None => key.script_pubkey().is_some(),
        };
        let is_writable = match &key {
            ExtendedKey::Bip32(key) => self.is_writable(key),
            _ => true,
        };
        (fits && is_writable).then_some(key)
    }

    /// Steps from 65535 on are read from 3.3.7 on only.
    fn is_writable(&self, key: &Bip32Key) -> bool {
        let is_short = |step| matches!(step, PathIndex::Short(_));
        self.given.encoding == Encoding::Headed || is_short(key.change) && is_short(key.index)
    }

    pub(super) fn find(&self, map: &psbt::Input, public_key: PublicKey, kind: SpendKind) -> Found {
        let alone = Found {
            key: ExtendedKey::PublicKey(public_key),
            xpub: None,
            key_lost: false,
            path_lost: false,
        };
        let source = derivation(map, public_key);
        if let Some(key) = self.kept(map, Some(public_key)) {
            let xpub = match &key {
                ExtendedKey::Bip32(key) => key.xpub().ok(),
                _ => None,
            };
            let path_lost = xpub.zip(source).is_some_and(|(xpub, (fingerprint, path))| {
                let prefix = path.into_iter().rev().skip(2).copied().collect::<Vec<_>>();
                let prefix: DerivationPath = prefix.into_iter().rev().collect();
                !is_told_by(&xpub, fingerprint, &prefix)
            });
            return Found {
                key,
                xpub,
                path_lost,
                ..alone
            };
        }
        let Some((fingerprint, path)) = source else {
            return alone;
        };
        if path.is_empty() {
            return alone;
        }
        let bip32 = self.bip32(public_key, kind, fingerprint, &path);
        let old = || self.old(public_key, fingerprint, &path);
        match bip32 {
            Some(found) => found,
            None => match old() {
                Some(key) => Found {
                    key: ExtendedKey::Old(key),
                    ..alone
                },
                None => Found {
                    key_lost: true,
                    ..alone
                },
            },
        }
    }

    fn bip32(
        &self,
        public_key: PublicKey,
        kind: SpendKind,
        fingerprint: Fingerprint,
        path: &DerivationPath,
    ) -> Option<Found> {
        let steps: &[ChildNumber] = path.as_ref();
        let (prefix, [change, index]) = steps.split_last_chunk()?;
        let number = |step: &ChildNumber| match step {
            ChildNumber::Normal { index } => Some(*index),
            ChildNumber::Hardened { .. } => None,
        };
        let (change, index) = (number(change)?, number(index)?);
        let place = (fingerprint, DerivationPath::from(prefix));
        let named = self.xpubs.get(&place)?;
        named.iter().take(MAX_TRIES).find_map(|xpub| {
            let mut payload = xpub.encode();
            let version = version_bytes(kind, self.given.network);
            payload
                .iter_mut()
                .zip(version)
                .for_each(|(byte, version)| *byte = version);
            let key = Bip32Key {
                payload,
                change: change.into(),
                index: index.into(),
            };
            let writable = self.is_writable(&key);
            let key = ExtendedKey::Bip32(key);
            (writable && self.derive(&key) == Some(public_key)).then(|| Found {
                key,
                xpub: Some(*xpub),
                key_lost: false,
                path_lost: !is_told_by(xpub, fingerprint, &place.1),
            })
        })
    }

    fn old(
        &self,
        public_key: PublicKey,
        fingerprint: Fingerprint,
        path: &DerivationPath,
    ) -> Option<OldKey> {
        let steps: &[ChildNumber] = path.as_ref();
        let [
            ChildNumber::Normal { index: change },
            ChildNumber::Normal { index },
        ] = steps
        else {
            return None;
        };
        let (change, index) = (u16::try_from(*change).ok()?, u16::try_from(*index).ok()?);
        let key = |master: &[u8; 64]| OldKey {
            master: *master,
            change,
            index,
        };
        let masters = self.given.old_masters.iter().map(key);
        masters
            .filter(|key| key.fingerprint() == Ok(fingerprint))
            .take(MAX_TRIES)
            .find(|key| {
                let key = ExtendedKey::Old(key.clone());
                self.derive(&key) == Some(public_key)
            })
    }
}

fn derivation(map: &psbt::Input, key: PublicKey) -> Option<KeySource> {
    if let Some(source) = map.bip32_derivation.get(&key.inner) {
        return Some(source.clone());
    }
    let (type_value, key) = (BIP32_DERIVATION, key.to_bytes());
    let value = map.unknown.get(&raw::Key { type_value, key })?;
    let (fingerprint, steps) = value.split_first_chunk::<4>()?;
    let (steps, rest) = steps.as_chunks::<4>();
    let steps = steps
        .iter()
        .map(|step| ChildNumber::from(u32::from_le_bytes(*step)));
    rest.is_empty()
        .then(|| (Fingerprint::from(*fingerprint), steps.collect()))
}

/// Whether this origin is what one would conclude from the extended key alone.
fn is_told_by(xpub: &Xpub, fingerprint: Fingerprint, path: &DerivationPath) -> bool {
    match (xpub.depth, path.as_ref()) {
        (1, [step]) => (fingerprint, *step) == (xpub.parent_fingerprint, xpub.child_number),
        (1, _) => false,
        (_, steps) => steps.is_empty() && fingerprint == xpub.fingerprint(),
    }
}

/// The public keys that an input names, compressed or not as they are named.
pub(super) fn candidates(map: &psbt::Input) -> Vec<PublicKey> {
    let uncompressed = |key: &raw::Key| match key.type_value {
        BIP32_DERIVATION => PublicKey::from_slice(&key.key).ok(),
        _ => None,
    };
    let mut keys: Vec<PublicKey> = map.partial_sigs.keys().copied().collect();
    keys.extend(map.unknown.keys().filter_map(uncompressed));
    let kept = map
        .proprietary
        .keys()
        .filter(|key| key.prefix == PROPRIETARY_PREFIX && key.subtype == KEPT_KEY);
    keys.extend(kept.filter_map(|key| PublicKey::from_slice(&key.key).ok()));
    let named: BTreeSet<_> = keys.iter().map(|key| key.inner).collect();
    for inner in map.bip32_derivation.keys() {
        // A PSBT that was read by the library names keys compressed that were written uncompressed.
        let forms = [PublicKey::new(*inner), PublicKey::new_uncompressed(*inner)];
        let has_other = named.contains(inner);
        keys.extend(forms.into_iter().take(if has_other { 0 } else { 2 }));
    }
    keys.sort_by_key(|key| (key.inner, !key.compressed));
    keys.dedup();
    keys
}

/// Version bytes as SLIP-132 registers them.
fn version_bytes(kind: SpendKind, network: NetworkKind) -> [u8; 4] {
    match (kind, network) {
        (SpendKind::P2wpkh, NetworkKind::Main) => [0x04, 0xb2, 0x47, 0x46],
        (SpendKind::P2wpkh, NetworkKind::Test) => [0x04, 0x5f, 0x1c, 0xf6],
        (SpendKind::P2wpkhP2sh, NetworkKind::Main) => [0x04, 0x9d, 0x7c, 0xb2],
        (SpendKind::P2wpkhP2sh, NetworkKind::Test) => [0x04, 0x4a, 0x52, 0x62],
        (SpendKind::P2wsh, NetworkKind::Main) => [0x02, 0xaa, 0x7e, 0xd3],
        (SpendKind::P2wsh, NetworkKind::Test) => [0x02, 0x57, 0x54, 0x83],
        (SpendKind::P2wshP2sh, NetworkKind::Main) => [0x02, 0x95, 0xb4, 0x3f],
        (SpendKind::P2wshP2sh, NetworkKind::Test) => [0x02, 0x42, 0x89, 0xef],
        (_, NetworkKind::Main) => [0x04, 0x88, 0xb2, 0x1e],
        (_, NetworkKind::Test) => [0x04, 0x35, 0x87, 0xcf],
    }
}
