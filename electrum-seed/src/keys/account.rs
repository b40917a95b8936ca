//! A BIP32 account: an extended key, and the addresses below it.

use alloc::string::String;
use core::fmt;

use bitcoin::bip32::{ChainCode, ChildNumber, DerivationPath, Fingerprint, Xpriv, Xpub};
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{Address, Network, NetworkKind, PrivateKey, base58};
use zeroize::Zeroizing;

use super::{Chain, DeriveError};

/// An extended private key that is erased when it is dropped.
pub(super) struct Private(pub(super) Xpriv);

impl Drop for Private {
    fn drop(&mut self) {
        self.0.private_key.non_secure_erase();
        self.0.chain_code = ChainCode::from([0; 32]);
    }
}

/// The outputs that the keys of an account are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ScriptKind {
    /// Pay to public key hash.
    P2pkh,
    /// Multisig scripts in pay to script hash.
    P2sh,
    /// Pay to witness public key hash.
    P2wpkh,
    /// Multisig scripts in pay to witness script hash.
    P2wsh,
    /// Pay to witness public key hash, nested in pay to script hash. Of no seed of Electrum's own, but of BIP39 wallets.
    P2shP2wpkh,
    /// Multisig scripts in pay to witness script hash, nested in pay to script hash. Of no seed of Electrum's own.
    P2shP2wsh,
}

impl ScriptKind {
    /// Electrum's name for the version bytes of extended keys: `standard`, `p2wpkh`, `p2wsh`, `p2wpkh-p2sh` or `p2wsh-p2sh`.
    pub fn xtype(self) -> &'static str {
        match self {
            Self::P2pkh | Self::P2sh => "standard",
            Self::P2wpkh => "p2wpkh",
            Self::P2wsh => "p2wsh",
            Self::P2shP2wpkh => "p2wpkh-p2sh",
            Self::P2shP2wsh => "p2wsh-p2sh",
        }
    }

    /// Whether more than one key is needed.
    pub fn is_multisig(self) -> bool {
        matches!(self, Self::P2sh | Self::P2wsh | Self::P2shP2wsh)
    }
}

/// The four bytes that Electrum puts before an extended key (SLIP-132): first of public ones, then of private ones.
pub fn version_bytes(script: ScriptKind, network: NetworkKind) -> ([u8; 4], [u8; 4]) {
    let (public, private): (u32, u32) = match (script, network) {
        (ScriptKind::P2pkh | ScriptKind::P2sh, NetworkKind::Main) => (0x0488_b21e, 0x0488_ade4),
        (ScriptKind::P2pkh | ScriptKind::P2sh, NetworkKind::Test) => (0x0435_87cf, 0x0435_8394),
        (ScriptKind::P2wpkh, NetworkKind::Main) => (0x04b2_4746, 0x04b2_430c),
        (ScriptKind::P2wpkh, NetworkKind::Test) => (0x045f_1cf6, 0x045f_18bc),
        (ScriptKind::P2wsh, NetworkKind::Main) => (0x02aa_7ed3, 0x02aa_7a99),
        (ScriptKind::P2wsh, NetworkKind::Test) => (0x0257_5483, 0x0257_5048),
        (ScriptKind::P2shP2wpkh, NetworkKind::Main) => (0x049d_7cb2, 0x049d_7878),
        (ScriptKind::P2shP2wpkh, NetworkKind::Test) => (0x044a_5262, 0x044a_4e28),
        (ScriptKind::P2shP2wsh, NetworkKind::Main) => (0x0295_b43f, 0x0295_b005),
        (ScriptKind::P2shP2wsh, NetworkKind::Test) => (0x0242_89ef, 0x0242_85b5),
    };
    (public.to_be_bytes(), private.to_be_bytes())
}

/// An extended key of a seed with its addresses.
///
/// The private key is erased when the account is dropped; `Debug` prints none of it.
pub struct Account {
    private: Private,
    public: Xpub,
    root_fingerprint: Fingerprint,
    derivation: DerivationPath,
    script: ScriptKind,
    network: Network,
    secp: Secp256k1<All>,
}

impl Account {
    /// The account at any path below a stretched seed: [`bip32_seed`](crate::bip32_seed), or
    /// [`bip39_seed`](crate::bip39_seed) for what Electrum opens where a phrase is restored as BIP39.
    ///
    /// For the accounts of Electrum's own seeds see [`Seed::wallet`](crate::Seed::wallet).
    ///
    /// # Errors
    ///
    /// [`DeriveError::Bip32`] where no key is at the path, which nobody has seen happen.
    pub fn new(
        seed: &[u8; 64],
        path: &DerivationPath,
        script: ScriptKind,
        network: Network,
    ) -> Result<Self, DeriveError> {
        let root = Private(Xpriv::new_master(network, seed).map_err(DeriveError::Bip32)?);
        Self::derive(&root, path, script, network)
    }

    pub(super) fn derive(
        root: &Private,
        path: &DerivationPath,
        script: ScriptKind,
        network: Network,
    ) -> Result<Self, DeriveError> {
        let secp = Secp256k1::new();
        let private = Private(
            root.0
                .derive_priv(&secp, path)
                .map_err(DeriveError::Bip32)?,
        );
        Ok(Self {
            public: Xpub::from_priv(&secp, &private.0),
            root_fingerprint: root.0.fingerprint(&secp),
            derivation: path.clone(),
            private,
            script,
            network,
            secp,
        })
    }

    /// The extended public key.
    pub fn xpub(&self) -> &Xpub {
        &self.public
    }

    /// The extended private key. The type that it is given out as is not erased when it is dropped.
    pub fn xpriv(&self) -> &Xpriv {
        &self.private.0
    }

    /// The first four bytes of HASH160 of the public key at `m`.
    pub fn root_fingerprint(&self) -> Fingerprint {
        self.root_fingerprint
    }

    /// Where the key is in the tree of the seed: `m`, `m/0'` or `m/1'`.
    pub fn derivation(&self) -> &DerivationPath {
        &self.derivation
    }

    /// What the keys are for.
    pub fn script(&self) -> ScriptKind {
        self.script
    }

    /// The network of the addresses.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The extended public key as Electrum writes it: `xpub`, `zpub`, `Zpub`, or `tpub`, `vpub`, `Vpub`.
    pub fn to_slip132(&self) -> String {
        self.to_base58(version_bytes(self.script, self.network.into()).0)
    }

    /// The extended private key as Electrum writes it: `xprv`, `zprv`, `Zprv`, or `tprv`, `vprv`, `Vprv`.
    pub fn to_slip132_private(&self) -> Zeroizing<String> {
        self.to_base58_private(version_bytes(self.script, self.network.into()).1)
    }

    /// The extended public key with any version bytes, in base 58.
    pub fn to_base58(&self, version: [u8; 4]) -> String {
        with_version(&self.public, version)
    }

    /// The extended private key with any version bytes, in base 58.
    pub fn to_base58_private(&self, version: [u8; 4]) -> Zeroizing<String> {
        let mut data = Zeroizing::new(self.private.0.encode());
        for (to, from) in data.iter_mut().zip(version) {
            *to = from;
        }
        Zeroizing::new(base58::encode_check(data.as_ref()))
    }

    /// A public key, compressed. Indexes are below 2^31.
    ///
    /// # Errors
    ///
    /// [`DeriveError::Bip32`] where the index is not, or no key is there.
    pub fn public_key(
        &self,
        chain: Chain,
        index: u32,
    ) -> Result<bitcoin::CompressedPublicKey, DeriveError> {
        Ok(self
            .public
            .derive_pub(&self.secp, &steps(chain, index)?)
            .map_err(DeriveError::Bip32)?
            .to_pub())
    }

    /// A private key. The type that it is given out as is not erased when it is dropped.
    ///
    /// # Errors
    ///
    /// As [`public_key`](Self::public_key).
    pub fn private_key(&self, chain: Chain, index: u32) -> Result<PrivateKey, DeriveError> {
        let key = self
            .private
            .0
            .derive_priv(&self.secp, &steps(chain, index)?)
            .map_err(DeriveError::Bip32)?;
        Ok(Private(key).0.to_priv())
    }

    /// An address of the account alone.
    ///
    /// `None` where the keys are for multisig: see [`Multisig`](super::Multisig).
    ///
    /// # Errors
    ///
    /// As [`public_key`](Self::public_key).
    pub fn address(&self, chain: Chain, index: u32) -> Result<Option<Address>, DeriveError> {
        let key = self.public_key(chain, index)?;
        Ok(match self.script {
            ScriptKind::P2pkh => Some(Address::p2pkh(key, self.network)),
            ScriptKind::P2wpkh => Some(Address::p2wpkh(&key, self.network)),
            ScriptKind::P2shP2wpkh => Some(Address::p2shwpkh(&key, self.network)),
            ScriptKind::P2sh | ScriptKind::P2wsh | ScriptKind::P2shP2wsh => None,
        })
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("xpub", &self.to_slip132())
            .field("derivation", &self.derivation)
            .field("script", &self.script)
            .finish_non_exhaustive()
    }
}

/// An extended public key in base 58 with other version bytes.
pub(super) fn with_version(key: &Xpub, version: [u8; 4]) -> String {
    let mut data = key.encode();
    for (to, from) in data.iter_mut().zip(version) {
        *to = from;
    }
    base58::encode_check(&data)
}

/// `chain/index`
pub(super) fn steps(chain: Chain, index: u32) -> Result<[ChildNumber; 2], DeriveError> {
    Ok([
        ChildNumber::Normal {
            index: chain.index(),
        },
        ChildNumber::from_normal_idx(index).map_err(DeriveError::Bip32)?,
    ])
}
