//! Extended public keys: what stands where the network has a public key.

use alloc::vec::Vec;

use bitcoin::bip32::{ChildNumber, Fingerprint, Xpub};
use bitcoin::hashes::{Hash, hash160, sha256d};
use bitcoin::hex::DisplayHex;
use bitcoin::secp256k1::{self, Scalar, Secp256k1, Verification};
use bitcoin::{PubkeyHash, PublicKey, ScriptBuf, ScriptHash};

use crate::KeyError;

/// What stands where the network has a public key: the key, or how to derive it, or only what it is paid by.
///
/// The first byte tells the kind: `02`, `03` and `04` are public keys of the network, `ff`, `fe` and `fd` are Electrum's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExtendedKey {
    /// `02`, `03` or `04`: the public key itself, 33 or 65 bytes.
    PublicKey(PublicKey),
    /// `ff`: an extended public key of BIP32 and two steps.
    Bip32(Bip32Key),
    /// `fe`: a master public key of before 2.0 and two steps.
    Old(OldKey),
    /// `fd`, from 3.0 on: the key is unknown, only the output script is known.
    Script(ScriptBuf),
    /// `fd`, up to 2.9: the key is unknown, only the address is known.
    Address {
        /// Version byte of the address: 00 and 05 on the main network, 6f and c4 on test networks.
        version: u8,
        /// HASH160 of the key or script.
        hash: [u8; 20],
    },
}

/// An extended public key of BIP32 with the two steps to the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bip32Key {
    /// 78 bytes as BIP32 serializes them, with the version bytes of SLIP-132: version 4, depth 1, parent fingerprint 4,
    /// child number 4, chain code 32, public key 33.
    pub payload: [u8; 78],
    /// 0 for receiving, 1 for change.
    pub change: PathIndex,
    /// Address index.
    pub index: PathIndex,
}

/// A step of a derivation, with the form in which it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathIndex {
    /// 2 bytes, little-endian; never 0xffff.
    Short(u16),
    /// `ffff` and 4 bytes, little-endian: read and written from 3.3.7 on.
    Long(u32),
}

impl PathIndex {
    /// The number.
    #[must_use]
    pub fn value(self) -> u32 {
        match self {
            Self::Short(value) => value.into(),
            Self::Long(value) => value,
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Short(value) => out.extend(value.to_le_bytes()),
            Self::Long(value) => {
                out.extend([0xff, 0xff]);
                out.extend(value.to_le_bytes());
            }
        }
    }

    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        match bytes.split_first_chunk()? {
            ([0xff, 0xff], rest) => {
                let (value, rest) = rest.split_first_chunk()?;
                Some((Self::Long(u32::from_le_bytes(*value)), rest))
            }
            (value, rest) => Some((Self::Short(u16::from_le_bytes(*value)), rest)),
        }
    }
}

/// The shortest form.
impl From<u32> for PathIndex {
    fn from(value: u32) -> Self {
        match u16::try_from(value) {
            Ok(short) if short != u16::MAX => Self::Short(short),
            _ => Self::Long(value),
        }
    }
}

impl Bip32Key {
    /// The version bytes, as SLIP-132 registers them.
    #[must_use]
    pub fn version(&self) -> [u8; 4] {
        self.four_bytes(0)
    }

    /// Steps from the root.
    #[must_use]
    pub fn depth(&self) -> u8 {
        self.payload.get(4).copied().unwrap_or_default()
    }

    /// The first 4 bytes of the HASH160 of the parent; zeros for a root.
    #[must_use]
    pub fn parent_fingerprint(&self) -> Fingerprint {
        Fingerprint::from(self.four_bytes(5))
    }

    /// The step from the parent, hardened from 2^31 on.
    #[must_use]
    pub fn child_number(&self) -> u32 {
        u32::from_be_bytes(self.four_bytes(9))
    }

    pub(crate) fn has_plain_version(&self) -> bool {
        matches!(
            self.version(),
            [0x04, 0x88, 0xb2, 0x1e] | [0x04, 0x35, 0x87, 0xcf]
        )
    }

    fn four_bytes(&self, at: usize) -> [u8; 4] {
        let bytes = self.payload.get(at..).and_then(<[u8]>::first_chunk);
        *bytes.expect("the payload has 78 bytes")
    }

    /// The extended key with the version bytes of BIP32, whatever SLIP-132 says of the script.
    ///
    /// # Errors
    /// [`KeyError::NotOnCurve`] when the key is none.
    pub fn xpub(&self) -> Result<Xpub, KeyError> {
        let mut payload = self.payload;
        let plain = match self.is_testnet() {
            true => [0x04, 0x35, 0x87, 0xcf],
            false => [0x04, 0x88, 0xb2, 0x1e],
        };
        payload
            .iter_mut()
            .zip(plain)
            .for_each(|(byte, plain)| *byte = plain);
        Xpub::decode(&payload).map_err(|_| self.not_on_curve())
    }

    /// Whether the version bytes are those of a test network. 3.0 wrote those of the main network everywhere.
    #[must_use]
    pub fn is_testnet(&self) -> bool {
        matches!(
            self.version(),
            [0x04, 0x35, 0x87, 0xcf | 0xd0]
                | [0x04, 0x4a, 0x52, 0x62]
                | [0x04, 0x5f, 0x1c, 0xf6]
                | [0x02, 0x42, 0x85 | 0x89, 0xef]
                | [0x02, 0x57, 0x54, 0x83]
        )
    }

    fn not_on_curve(&self) -> KeyError {
        let key = self.payload.get(45..).unwrap_or_default();
        KeyError::NotOnCurve(key.to_lower_hex_string())
    }

    fn public_key<C: Verification>(&self, secp: &Secp256k1<C>) -> Result<PublicKey, KeyError> {
        let (change, index) = (self.change.value(), self.index.value());
        let step =
            |value| ChildNumber::from_normal_idx(value).map_err(|_| KeyError::Hardened(value));
        let path = [step(change)?, step(index)?];
        let derived = self.xpub()?.derive_pub(secp, &path);
        derived
            .map(|xpub| PublicKey::new(xpub.public_key))
            .map_err(|_| KeyError::NoSuchKey { change, index })
    }
}

/// A master public key of before 2.0 with the two steps to the key, 2 bytes each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OldKey {
    /// The point: x and y, 32 bytes each, big-endian.
    pub master: [u8; 64],
    /// 0 for receiving, 1 for change.
    pub change: u16,
    /// Address index.
    pub index: u16,
}

impl OldKey {
    fn point(&self) -> Result<secp256k1::PublicKey, KeyError> {
        let mut bytes = [4; 65];
        bytes
            .iter_mut()
            .skip(1)
            .zip(self.master)
            .for_each(|(to, from)| *to = from);
        secp256k1::PublicKey::from_slice(&bytes)
            .map_err(|_| KeyError::NotOnCurve(bytes.to_lower_hex_string()))
    }

    /// The fingerprint that Electrum 4 gives the master key: of the compressed point.
    ///
    /// # Errors
    /// [`KeyError::NotOnCurve`] when the master key is none.
    pub fn fingerprint(&self) -> Result<Fingerprint, KeyError> {
        let hash = hash160::Hash::hash(&self.point()?.serialize());
        let (head, _) = hash.as_byte_array().split_first_chunk().expect("20 bytes");
        Ok(Fingerprint::from(*head))
    }

    /// Always uncompressed: the master point plus SHA256d("index:change:" and the master key) times the generator.
    fn public_key<C: Verification>(&self, secp: &Secp256k1<C>) -> Result<PublicKey, KeyError> {
        let (change, index) = (u32::from(self.change), u32::from(self.index));
        let mut message = alloc::format!("{index}:{change}:").into_bytes();
        message.extend(self.master);
        let tweak = sha256d::Hash::hash(&message).to_byte_array();
        let nothing = |_| KeyError::NoSuchKey { change, index };
        let tweak =
            Scalar::from_be_bytes(tweak).map_err(|_| KeyError::NoSuchKey { change, index })?;
        let point = self.point()?.add_exp_tweak(secp, &tweak).map_err(nothing)?;
        Ok(PublicKey::new_uncompressed(point))
    }
}

impl ExtendedKey {
    /// Reads a key that fills `bytes`.
    ///
    /// Of the points of `ff` and `fe` keys nothing is said here, but by [`ExtendedKey::public_key`].
    ///
    /// # Errors
    /// [`KeyError`] when the kind is unknown, the length does not fit it, or a public key is not on the curve.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let (&kind, rest) = bytes.split_first().ok_or(KeyError::Empty)?;
        let len = bytes.len();
        let wrong_length = KeyError::Length { kind, len };
        match kind {
            0x02..=0x04 => {
                if len != if kind == 4 { 65 } else { 33 } {
                    return Err(wrong_length);
                }
                PublicKey::from_slice(bytes)
                    .map(Self::PublicKey)
                    .map_err(|_| KeyError::NotOnCurve(bytes.to_lower_hex_string()))
            }
            0xff => Self::read_bip32(rest).ok_or(wrong_length),
            0xfe => Self::read_old(rest).ok_or(wrong_length),
            0xfd => match rest {
                [] => Err(wrong_length),
                [version @ (0x00 | 0x05 | 0x6f | 0xc4), hash @ ..] if hash.len() == 20 => {
                    let hash = hash.try_into().expect("20 bytes");
                    Ok(Self::Address {
                        version: *version,
                        hash,
                    })
                }
                script => Ok(Self::Script(ScriptBuf::from_bytes(script.to_vec()))),
            },
            _ => Err(KeyError::UnknownKind(kind)),
        }
    }

    fn read_bip32(bytes: &[u8]) -> Option<Self> {
        let (payload, rest) = bytes.split_first_chunk()?;
        let (change, rest) = PathIndex::read(rest)?;
        let (index, rest) = PathIndex::read(rest)?;
        let payload = *payload;
        rest.is_empty().then_some(Self::Bip32(Bip32Key {
            payload,
            change,
            index,
        }))
    }

    fn read_old(bytes: &[u8]) -> Option<Self> {
        let (master, rest) = bytes.split_first_chunk()?;
        let (change, rest) = rest.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let master = *master;
        let (change, index) = (u16::from_le_bytes(*change), u16::from_le_bytes(*index));
        rest.is_empty().then_some(Self::Old(OldKey {
            master,
            change,
            index,
        }))
    }

    /// The bytes that [`ExtendedKey::from_bytes`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::PublicKey(key) => return key.to_bytes(),
            Self::Bip32(key) => {
                out.push(0xff);
                out.extend(key.payload);
                key.change.write(&mut out);
                key.index.write(&mut out);
            }
            Self::Old(key) => {
                out.push(0xfe);
                out.extend(key.master);
                out.extend(key.change.to_le_bytes());
                out.extend(key.index.to_le_bytes());
            }
            Self::Script(script) => {
                out.push(0xfd);
                out.extend(script.as_bytes());
            }
            Self::Address { version, hash } => {
                out.extend([0xfd, *version]);
                out.extend(hash);
            }
        }
        out
    }

    /// The public key, derived where it must be; nothing where only a script or an address is known.
    ///
    /// # Errors
    /// [`KeyError`] when a point is not on the curve or a step is hardened.
    pub fn public_key<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
    ) -> Result<Option<PublicKey>, KeyError> {
        match self {
            Self::PublicKey(key) => Ok(Some(*key)),
            Self::Bip32(key) => key.public_key(secp).map(Some),
            Self::Old(key) => key.public_key(secp).map(Some),
            Self::Script(_) | Self::Address { .. } => Ok(None),
        }
    }

    /// The output script of an `fd` key.
    #[must_use]
    pub fn script_pubkey(&self) -> Option<ScriptBuf> {
        match self {
            Self::Script(script) => Some(script.clone()),
            Self::Address {
                version: 0x00 | 0x6f,
                hash,
            } => Some(ScriptBuf::new_p2pkh(&PubkeyHash::from_byte_array(*hash))),
            Self::Address { hash, .. } => {
                Some(ScriptBuf::new_p2sh(&ScriptHash::from_byte_array(*hash)))
            }
            _ => None,
        }
    }
}
