//! Extended keys: 78 bytes, written in base58 with a checksum.

use alloc::string::String;
use core::fmt;

use bitcoin_hashes::{Hash, hash160};
use secp256k1::{PublicKey, Secp256k1, SecretKey};
use zeroize::Zeroizing;

use crate::registry::{Kind, Network, readings, row};
use crate::{ConvertError, ParseError, Resemblance};

/// Bytes of a key before base58.
pub const PAYLOAD_LENGTH: usize = 78;

/// Characters that 82 bytes (payload and checksum) take at most in base58.
const MAX_TEXT: usize = 112;

/// What is asked of a key beyond its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rules {
    /// All of BIP 32: a master key has no parent and no child number, and 00 precedes a private key.
    #[default]
    Bip32,
    /// What Electrum's parser asks: it looks neither at a master key's parent and child number nor at
    /// the byte before a private key, which it writes as 00.
    Electrum,
}

/// An extended key, public or private, with what its version bytes say.
///
/// A private key is erased when dropped and shown by [`encode`](Self::encode) and
/// [`to_payload`](Self::to_payload) only.
#[derive(Clone, PartialEq, Eq)]
pub struct ExtendedKey {
    network: Network,
    kind: Kind,
    depth: u8,
    parent_fingerprint: [u8; 4],
    child_number: u32,
    chain_code: Zeroizing<[u8; 32]>,
    public_key: [u8; 33],
    secret: Option<Zeroizing<[u8; 32]>>,
}

impl ExtendedKey {
    /// Reads a key of Bitcoin, mainnet or testnet, under the rules of BIP 32.
    ///
    /// # Errors
    ///
    /// [`ParseError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::parse_with(text, &[Network::Mainnet, Network::Testnet], Rules::Bip32)
    }

    /// Reads a key of one of `networks`; the first wins where several share the version bytes.
    ///
    /// # Errors
    ///
    /// [`ParseError`] says which rule the text breaks.
    pub fn parse_with(text: &str, networks: &[Network], rules: Rules) -> Result<Self, ParseError> {
        if let Some((position, character)) = text.chars().enumerate().find(|(_, c)| !is_base58(*c))
        {
            return Err(ParseError::Character {
                character,
                position,
            });
        }
        // Decoding takes quadratic time.
        if text.len() > MAX_TEXT {
            return Err(ParseError::TextLength(text.len()));
        }
        let bytes = base58ck::decode(text).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| ParseError::TextLength(text.len()))?;
        let Some((payload, checksum)) = bytes.split_last_chunk::<4>() else {
            return Err(ParseError::TextLength(text.len()));
        };
        let hash = bitcoin_hashes::sha256d::Hash::hash(payload).to_byte_array();
        if !hash.starts_with(checksum) {
            return Err(ParseError::Checksum);
        }
        Self::from_payload(payload, networks, rules)
    }

    /// Reads the 78 bytes of a key: version, depth, parent's fingerprint, child number (big-endian),
    /// chain code, key.
    ///
    /// # Errors
    ///
    /// [`ParseError`] says which rule the bytes break.
    pub fn from_payload(
        payload: &[u8],
        networks: &[Network],
        rules: Rules,
    ) -> Result<Self, ParseError> {
        let wrong = || ParseError::Length(payload.len());
        if payload.len() != PAYLOAD_LENGTH {
            return Err(wrong());
        }
        let (version, rest) = payload.split_first_chunk::<4>().ok_or_else(wrong)?;
        let (&[depth], rest) = rest.split_first_chunk::<1>().ok_or_else(wrong)?;
        let (&parent_fingerprint, rest) = rest.split_first_chunk::<4>().ok_or_else(wrong)?;
        let (&child_number, rest) = rest.split_first_chunk::<4>().ok_or_else(wrong)?;
        let (&chain_code, rest) = rest.split_first_chunk::<32>().ok_or_else(wrong)?;
        let (&[first], key) = rest.split_first_chunk::<1>().ok_or_else(wrong)?;

        let version = u32::from_be_bytes(*version);
        let (row, private) = networks
            .iter()
            .find_map(|network| readings(version).find(|(row, _)| row.network == *network))
            .ok_or_else(|| ParseError::Version {
                version,
                resemblance: Resemblance::of(version),
            })?;
        let child_number = u32::from_be_bytes(child_number);
        if rules == Rules::Bip32 {
            if private && first != 0 {
                return Err(ParseError::PrivateKeyPrefix(first));
            }
            if depth == 0 && parent_fingerprint != [0; 4] {
                return Err(ParseError::MasterWithParent(parent_fingerprint));
            }
            if depth == 0 && child_number != 0 {
                return Err(ParseError::MasterWithChildNumber(child_number));
            }
        }
        let (public_key, secret) = if private {
            let mut secret_key = SecretKey::from_slice(key).map_err(|_| ParseError::PrivateKey)?;
            let public_key = PublicKey::from_secret_key(&Secp256k1::signing_only(), &secret_key);
            let secret = Zeroizing::new(secret_key.secret_bytes());
            secret_key.non_secure_erase();
            (public_key, Some(secret))
        } else {
            if !matches!(first, 2 | 3) {
                return Err(ParseError::PublicKeyPrefix(first));
            }
            let public_key = PublicKey::from_slice(rest).map_err(|_| ParseError::PublicKey)?;
            (public_key, None)
        };
        Ok(Self {
            network: row.network,
            kind: row.kind,
            depth,
            parent_fingerprint,
            child_number,
            chain_code: Zeroizing::new(chain_code),
            public_key: public_key.serialize(),
            secret,
        })
    }

    /// The text: base58 with checksum. A private key's text is a secret.
    #[must_use]
    pub fn encode(&self) -> String {
        base58ck::encode_check(&*self.to_payload())
    }

    /// The 78 bytes, erased when dropped. A private key's bytes are a secret.
    #[must_use]
    pub fn to_payload(&self) -> Zeroizing<[u8; PAYLOAD_LENGTH]> {
        let (zero, key) = match &self.secret {
            Some(secret) => (&[0][..], &secret[..]),
            None => (&[][..], &self.public_key[..]),
        };
        let parts = [
            &self.version().to_be_bytes()[..],
            &[self.depth],
            &self.parent_fingerprint,
            &self.child_number.to_be_bytes(),
            &*self.chain_code,
            zero,
            key,
        ];
        let mut payload = Zeroizing::new([0; PAYLOAD_LENGTH]);
        for (to, from) in payload.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        payload
    }

    /// Whose version bytes they are: the first of the networks that were allowed.
    #[must_use]
    pub const fn network(&self) -> Network {
        self.network
    }

    /// What the addresses under it are.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The version; its four bytes are this number in big-endian order.
    #[must_use]
    pub fn version(&self) -> u32 {
        let row = row(self.network, self.kind).expect("a key is made from rows only");
        row.version(self.is_private())
    }

    /// Whether it contains the private key.
    #[must_use]
    pub const fn is_private(&self) -> bool {
        self.secret.is_some()
    }

    /// Steps from the master key, which has 0.
    #[must_use]
    pub const fn depth(&self) -> u8 {
        self.depth
    }

    /// First four bytes of the hash of the parent's public key; zeros for a master key.
    #[must_use]
    pub const fn parent_fingerprint(&self) -> [u8; 4] {
        self.parent_fingerprint
    }

    /// Which child of its parent it is; hardened from 2^31 on.
    #[must_use]
    pub const fn child_number(&self) -> u32 {
        self.child_number
    }

    /// The chain code. With a public key and any child's private key it gives the private key away.
    #[must_use]
    pub fn chain_code(&self) -> &[u8; 32] {
        &self.chain_code
    }

    /// The compressed public key, of a private key as well.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; 33] {
        &self.public_key
    }

    /// The private key's scalar in big-endian order, if there is one. A secret.
    #[must_use]
    pub fn secret_bytes(&self) -> Option<&[u8; 32]> {
        self.secret.as_deref()
    }

    /// First four bytes of the HASH160 of its public key.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 4] {
        let hash = hash160::Hash::hash(&self.public_key).to_byte_array();
        hash.first_chunk().copied().unwrap_or_default()
    }

    /// The public key of it, of the same kind and network.
    #[must_use]
    pub fn to_public(&self) -> Self {
        Self {
            secret: None,
            ..self.clone()
        }
    }

    /// The same key with the version bytes of another kind.
    ///
    /// # Errors
    ///
    /// [`ConvertError::NoSuchRow`] where the network has none.
    pub fn with_kind(&self, kind: Kind) -> Result<Self, ConvertError> {
        self.with(self.network, kind)
    }

    /// The same key with the version bytes of another network: the caller must mean it.
    ///
    /// # Errors
    ///
    /// [`ConvertError::NoSuchRow`] where the network has none for the key's kind.
    pub fn with_network(&self, network: Network) -> Result<Self, ConvertError> {
        self.with(network, self.kind)
    }

    fn with(&self, network: Network, kind: Kind) -> Result<Self, ConvertError> {
        row(network, kind).ok_or(ConvertError::NoSuchRow { network, kind })?;
        Ok(Self {
            network,
            kind,
            ..self.clone()
        })
    }
}

impl fmt::Debug for ExtendedKey {
    /// Without the chain code and the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtendedKey")
            .field("network", &self.network)
            .field("kind", &self.kind)
            .field("private", &self.is_private())
            .field("depth", &self.depth)
            .field("fingerprint", &self.fingerprint())
            .finish_non_exhaustive()
    }
}

impl core::str::FromStr for ExtendedKey {
    type Err = ParseError;

    /// As [`ExtendedKey::parse`].
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

const fn is_base58(character: char) -> bool {
    character.is_ascii_alphanumeric() && !matches!(character, '0' | 'O' | 'I' | 'l')
}
