//! From seeds to keys and addresses.

mod account;
#[cfg(feature = "miniscript")]
mod descriptor;
mod multisig;
mod old;
mod two_factor;

use alloc::boxed::Box;
use alloc::vec::Vec;

use bitcoin::Network;
use bitcoin::bip32::{ChildNumber, DerivationPath, Xpriv};
use zeroize::Zeroizing;

pub use self::account::{Account, ScriptKind, version_bytes};
pub use self::multisig::{Multisig, MultisigError};
pub use self::old::{OldMasterKey, OldMasterPublicKey, OldMasterPublicKeyError};
pub use self::two_factor::TwoFactor;
use crate::normalize::split_words;
use crate::old::{OldSeed, OldSeedError};
use crate::seed::Seed;
use crate::stretch;
use crate::version::SeedType;

/// One of the two rows of addresses that every account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Chain {
    /// `0`: addresses to give to others.
    Receive,
    /// `1`: addresses for change.
    Change,
}

impl Chain {
    /// 0 or 1.
    pub fn index(self) -> u32 {
        match self {
            Self::Receive => 0,
            Self::Change => 1,
        }
    }
}

/// The keys of the wallet that Electrum opens from a seed.
///
/// Private keys are erased when they are dropped, and no `Debug` prints them.
#[derive(Debug)]
#[non_exhaustive]
pub enum Wallet {
    /// From before 2.0: not BIP32.
    Old(OldMasterKey),
    /// One BIP32 account.
    Account(Account),
    /// Two of three accounts.
    TwoFactor(Box<TwoFactor>),
}

/// What keys are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Purpose {
    /// A wallet of the seed alone; for two-factor seeds the one with three keys.
    #[default]
    Wallet,
    /// One key of a multisig wallet: of standard and segwit seeds only.
    Cosigner,
}

impl Seed {
    /// Makes the keys as Electrum does.
    ///
    /// | type | wallet | cosigner |
    /// |---|---|---|
    /// | standard | P2PKH at `m` | P2SH at `m` |
    /// | segwit | P2WPKH at `m/0'` | P2WSH at `m/1'` |
    /// | two-factor, 12 words | P2SH at `m/0'` and `m/1'` | |
    /// | two-factor, 20 words and more | P2SH at `m` of the first 12 words and `m` of the others | |
    /// | two-factor segwit | P2WSH at `m/0'` and `m/1'` | |
    /// | old | uncompressed P2PKH, not BIP32 | |
    ///
    /// # Errors
    ///
    /// - [`DeriveError::Passphrase`] where the seed can have none ([`Seed::can_have_passphrase`]);
    /// - [`DeriveError::Cosigner`] where the type has no cosigner keys;
    /// - [`DeriveError::Old`] for the few old seeds that Electrum recognizes and does not open;
    /// - [`DeriveError::Bip32`] where a hash is no key, which nobody has seen happen.
    pub fn wallet(
        &self,
        passphrase: &str,
        network: Network,
        purpose: Purpose,
    ) -> Result<Wallet, DeriveError> {
        let kind = self.seed_type();
        if !passphrase.is_empty() && !self.can_have_passphrase() {
            return Err(DeriveError::Passphrase { seed_type: kind });
        }
        let cosigner = purpose == Purpose::Cosigner;
        let account = |script, hardened| {
            let root = root(self.normalized(), passphrase, network)?;
            Account::derive(&root, &path(hardened), script, network).map(Wallet::Account)
        };
        match kind {
            SeedType::Standard if cosigner => account(ScriptKind::P2sh, None),
            SeedType::Standard => account(ScriptKind::P2pkh, None),
            SeedType::Segwit if cosigner => account(ScriptKind::P2wsh, Some(1)),
            SeedType::Segwit => account(ScriptKind::P2wpkh, Some(0)),
            _ if cosigner => Err(DeriveError::Cosigner { seed_type: kind }),
            SeedType::Old => {
                let old = OldSeed::parse(self.normalized())?;
                Ok(Wallet::Old(OldMasterKey::new(&old, network)?))
            }
            SeedType::TwoFactor if self.num_words() != 12 => {
                let halves = self.halves(12, network)?;
                Ok(Wallet::TwoFactor(Box::new(halves)))
            }
            SeedType::TwoFactor | SeedType::TwoFactorSegwit => {
                let script = match kind {
                    SeedType::TwoFactor => ScriptKind::P2sh,
                    _ => ScriptKind::P2wsh,
                };
                let root = root(self.normalized(), passphrase, network)?;
                let key = |index| Account::derive(&root, &path(Some(index)), script, network);
                let keys = TwoFactor::new(key(0)?, key(1)?)?;
                Ok(Wallet::TwoFactor(Box::new(keys)))
            }
        }
    }

    /// The keys that Electrum 2.0 to 2.6 made of a two-factor seed of 20 words and more: it split the words in the middle.
    /// For 24 and 25 words they are the same as later ones.
    ///
    /// # Errors
    ///
    /// [`DeriveError::NotSplit`] for all other seeds; the rest as of [`wallet`](Self::wallet).
    pub fn two_factor_before_2_7(&self, network: Network) -> Result<TwoFactor, DeriveError> {
        if self.seed_type() != SeedType::TwoFactor || self.num_words() == 12 {
            return Err(DeriveError::NotSplit);
        }
        self.halves(self.num_words() / 2, network)
    }

    fn halves(&self, at: usize, network: Network) -> Result<TwoFactor, DeriveError> {
        let words: Vec<&str> = split_words(self.phrase()).collect();
        let (first, second) = words.split_at_checked(at).ok_or(DeriveError::NotSplit)?;
        let key = |words: &[&str]| {
            let phrase = Zeroizing::new(words.join(" "));
            let normalized = crate::normalize::normalize(&phrase);
            let root = root(&normalized, "", network)?;
            Account::derive(&root, &path(None), ScriptKind::P2sh, network)
        };
        TwoFactor::new(key(first)?, key(second)?)
    }
}

fn root(
    normalized: &str,
    passphrase: &str,
    network: Network,
) -> Result<account::Private, DeriveError> {
    let seed = stretch::of_normalized(normalized, passphrase);
    let root = Xpriv::new_master(network, seed.as_ref()).map_err(DeriveError::Bip32)?;
    Ok(account::Private(root))
}

/// `m`, or `m/index'`.
fn path(hardened: Option<u32>) -> DerivationPath {
    hardened
        .map(|index| ChildNumber::Hardened { index })
        .into_iter()
        .collect()
}

/// Why there are no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveError {
    /// The seed can have no passphrase.
    #[error(
        "a seed of this kind ({seed_type}) has no passphrase; Electrum would ignore or refuse it"
    )]
    Passphrase {
        /// The type.
        seed_type: SeedType,
    },
    /// The type has no keys for multisig wallets.
    #[error("a seed of type {seed_type} cannot be a cosigner of a multisig wallet")]
    Cosigner {
        /// The type.
        seed_type: SeedType,
    },
    /// The seed is not a two-factor seed of 20 words and more.
    #[error("only two-factor seeds of 20 words and more are split")]
    NotSplit,
    /// An old seed that gives no key.
    #[error(transparent)]
    Old(#[from] OldSeedError),
    /// A hash that is no key.
    #[error("no key comes of this seed: {0}")]
    Bip32(bitcoin::bip32::Error),
    /// A hash that is no key, outside of BIP32.
    #[error("no key comes of this seed: {0}")]
    Key(bitcoin::secp256k1::Error),
}
