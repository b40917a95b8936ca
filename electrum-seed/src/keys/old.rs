//! The keys of seeds from before Electrum 2.0.

use core::fmt;
use core::str::FromStr;

use bitcoin::bip32::Fingerprint;
use bitcoin::secp256k1::{self, PublicKey, Scalar, Secp256k1, SecretKey};
use bitcoin::{Address, CompressedPublicKey, Network, PrivateKey};
use sha2::{Digest, Sha256};

use super::{Chain, DeriveError};
use crate::old::OldSeed;

/// The private master key of an old seed.
///
/// Erased when it is dropped; `Debug` prints none of it.
pub struct OldMasterKey {
    secret: SecretKey,
    public: OldMasterPublicKey,
    network: Network,
}

impl OldMasterKey {
    /// Stretches a seed to its key.
    ///
    /// # Errors
    ///
    /// [`DeriveError::Old`] where the seed stands for an odd number of hex digits: see
    /// [`as_before_4_6_1`](Self::as_before_4_6_1).
    pub fn new(seed: &OldSeed, network: Network) -> Result<Self, DeriveError> {
        Self::from_stretched(&*seed.stretch()?, network)
    }

    /// The same, also for an odd number of hex digits, as all versions of Electrum before 4.6.1 did.
    ///
    /// # Errors
    ///
    /// [`DeriveError::Key`] where the stretched seed is no key, which nobody has seen happen.
    pub fn as_before_4_6_1(seed: &OldSeed, network: Network) -> Result<Self, DeriveError> {
        Self::from_stretched(&seed.stretch_as_before_4_6_1(), network)
    }

    fn from_stretched(stretched: &[u8; 32], network: Network) -> Result<Self, DeriveError> {
        let secret = SecretKey::from_slice(stretched).map_err(DeriveError::Key)?;
        Ok(Self::from_secret(secret, network))
    }

    /// From the private master key itself: the stretched seed.
    pub fn from_secret(secret: SecretKey, network: Network) -> Self {
        let public = OldMasterPublicKey(secret.public_key(&Secp256k1::signing_only()));
        Self {
            secret,
            public,
            network,
        }
    }

    /// The private master key: 32 bytes, big-endian. The type that it is given out as is not erased when it is dropped.
    pub fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// The public master key.
    pub fn public(&self) -> &OldMasterPublicKey {
        &self.public
    }

    /// The network of the addresses.
    pub fn network(&self) -> Network {
        self.network
    }

    /// A private key: the master key plus the offset of the address. Its public key is uncompressed.
    ///
    /// # Errors
    ///
    /// [`DeriveError::Key`] where no key is there, which nobody has seen happen.
    pub fn private_key(&self, chain: Chain, index: u32) -> Result<PrivateKey, DeriveError> {
        let offset = scalar(self.public.offset(chain, index))?;
        let key = self.secret.add_tweak(&offset).map_err(DeriveError::Key)?;
        Ok(PrivateKey::new_uncompressed(key, self.network))
    }

    /// An address.
    ///
    /// # Errors
    ///
    /// As [`private_key`](Self::private_key).
    pub fn address(&self, chain: Chain, index: u32) -> Result<Address, DeriveError> {
        self.public.address(chain, index, self.network)
    }
}

impl Drop for OldMasterKey {
    fn drop(&mut self) {
        self.secret.non_secure_erase();
    }
}

impl fmt::Debug for OldMasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OldMasterKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// The public master key of an old seed: a point, written as 128 hex digits (both coordinates, without the leading `04`).
///
/// ```
/// use electrum_seed::{Chain, OldMasterPublicKey, bitcoin::Network};
///
/// let key: OldMasterPublicKey = "e9d4b7866dd1e91c862aebf62a49548c7dbf7bcc6e4b7b8c9da820c7737968df\
///                                9c09d5a3e271dc814a29981f81b3faaf2737b551ef5dcc6189cf0f8252c442b3"
///     .parse()
///     .unwrap();
/// let address = key.address(Chain::Receive, 0, Network::Bitcoin).unwrap();
/// assert_eq!(address.to_string(), "1FJEEB8ihPMbzs2SkLmr37dHyRFzakqUmo");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OldMasterPublicKey(PublicKey);

impl OldMasterPublicKey {
    /// From both coordinates, 32 bytes each, big-endian.
    ///
    /// # Errors
    ///
    /// [`OldMasterPublicKeyError::Point`] where they are not on the curve.
    pub fn from_byte_array(bytes: [u8; 64]) -> Result<Self, OldMasterPublicKeyError> {
        let mut whole = [4; 65];
        whole
            .iter_mut()
            .skip(1)
            .zip(bytes)
            .for_each(|(to, from)| *to = from);
        PublicKey::from_slice(&whole)
            .map(Self)
            .map_err(|_| OldMasterPublicKeyError::Point)
    }

    /// Both coordinates, 32 bytes each, big-endian.
    pub fn to_byte_array(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        let whole = self.0.serialize_uncompressed();
        bytes
            .iter_mut()
            .zip(whole.iter().skip(1))
            .for_each(|(to, from)| *to = *from);
        bytes
    }

    /// The first four bytes of HASH160 of the compressed key, which stand for the wallet in a PSBT.
    pub fn fingerprint(&self) -> Fingerprint {
        let hash = CompressedPublicKey(self.0).pubkey_hash();
        let mut fingerprint = [0; 4];
        fingerprint
            .iter_mut()
            .zip(AsRef::<[u8]>::as_ref(&hash))
            .for_each(|(to, from)| *to = *from);
        Fingerprint::from(fingerprint)
    }

    /// What is added to the master key: double SHA-256 of "index:chain:" and the key's 64 bytes, a number, big-endian.
    pub fn offset(&self, chain: Chain, index: u32) -> [u8; 32] {
        let text = alloc::format!("{index}:{}:", chain.index());
        let once = Sha256::new()
            .chain_update(text)
            .chain_update(self.to_byte_array())
            .finalize();
        Sha256::digest(once).into()
    }

    /// A public key; it is always used uncompressed.
    ///
    /// # Errors
    ///
    /// [`DeriveError::Key`] where no key is there, which nobody has seen happen.
    pub fn public_key(&self, chain: Chain, index: u32) -> Result<bitcoin::PublicKey, DeriveError> {
        let offset = scalar(self.offset(chain, index))?;
        let key = self
            .0
            .add_exp_tweak(&Secp256k1::verification_only(), &offset)
            .map_err(DeriveError::Key)?;
        Ok(bitcoin::PublicKey::new_uncompressed(key))
    }

    /// An address: P2PKH of the uncompressed key.
    ///
    /// # Errors
    ///
    /// As [`public_key`](Self::public_key).
    pub fn address(
        &self,
        chain: Chain,
        index: u32,
        network: Network,
    ) -> Result<Address, DeriveError> {
        Ok(Address::p2pkh(self.public_key(chain, index)?, network))
    }
}

fn scalar(number: [u8; 32]) -> Result<Scalar, DeriveError> {
    Scalar::from_be_bytes(number).map_err(|_| DeriveError::Key(secp256k1::Error::InvalidTweak))
}

impl fmt::Display for OldMasterPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_byte_array()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for OldMasterPublicKey {
    type Err = OldMasterPublicKeyError;

    fn from_str(hex: &str) -> Result<Self, OldMasterPublicKeyError> {
        let bytes = <[u8; 64] as bitcoin::hex::FromHex>::from_hex(hex).map_err(|_| {
            OldMasterPublicKeyError::Hex {
                length: hex.chars().count(),
            }
        })?;
        Self::from_byte_array(bytes)
    }
}

/// A text is no public master key of an old seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OldMasterPublicKeyError {
    /// Not 128 hex digits. The text is not repeated: it may be a seed that was put in the wrong place.
    #[error("not an old master public key: expected 128 hex digits, found {length} characters")]
    Hex {
        /// How many characters there are.
        length: usize,
    },
    /// The coordinates are not those of a point.
    #[error("the coordinates are not on the curve")]
    Point,
}
