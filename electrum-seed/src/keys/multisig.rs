//! Addresses of several accounts.

use alloc::vec::Vec;

use bitcoin::bip32::Xpub;
use bitcoin::opcodes::all::OP_CHECKMULTISIG;
use bitcoin::script::Builder;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Address, CompressedPublicKey, Network, PublicKey, ScriptBuf};

use super::account::steps;
use super::{Chain, DeriveError, ScriptKind};

/// Addresses that some of several extended keys can spend from, as Electrum makes them: keys sorted by their bytes, at
/// `chain/index` below each extended key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multisig {
    required: usize,
    keys: Vec<Xpub>,
    script: ScriptKind,
}

impl Multisig {
    /// With so many signatures required.
    ///
    /// # Errors
    ///
    /// - [`MultisigError::Script`] where the outputs are of one key;
    /// - [`MultisigError::Count`] unless there are 1 to 15 keys and no more signatures than keys.
    pub fn new(
        required: usize,
        keys: Vec<Xpub>,
        script: ScriptKind,
    ) -> Result<Self, MultisigError> {
        if !script.is_multisig() {
            return Err(MultisigError::Script(script));
        }
        if required < 1 || required > keys.len() || keys.len() > 15 {
            let keys = keys.len();
            return Err(MultisigError::Count { required, keys });
        }
        Ok(Self {
            required,
            keys,
            script,
        })
    }

    /// The extended keys, as given.
    pub fn keys(&self) -> &[Xpub] {
        &self.keys
    }

    /// How many signatures are required.
    pub fn required(&self) -> usize {
        self.required
    }

    /// P2SH, P2WSH, or the latter nested in the former.
    pub fn script(&self) -> ScriptKind {
        self.script
    }

    /// The script that the output commits to. Indexes are below 2^31.
    ///
    /// # Errors
    ///
    /// [`DeriveError::Bip32`] where the index is not, or no key is there.
    pub fn redeem_script(&self, chain: Chain, index: u32) -> Result<ScriptBuf, DeriveError> {
        let secp = Secp256k1::verification_only();
        let path = steps(chain, index)?;
        let mut keys = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            let key = key.derive_pub(&secp, &path).map_err(DeriveError::Bip32)?;
            keys.push(CompressedPublicKey(key.public_key).to_bytes());
        }
        keys.sort_unstable();
        let mut script = Builder::new().push_int(self.required as i64);
        let count = keys.len() as i64;
        for key in keys {
            script = script.push_slice(key);
        }
        Ok(script
            .push_int(count)
            .push_opcode(OP_CHECKMULTISIG)
            .into_script())
    }

    /// An address. Indexes are below 2^31.
    ///
    /// # Errors
    ///
    /// As [`redeem_script`](Self::redeem_script).
    pub fn address(
        &self,
        chain: Chain,
        index: u32,
        network: Network,
    ) -> Result<Address, DeriveError> {
        let script = self.redeem_script(chain, index)?;
        Ok(match self.script {
            ScriptKind::P2wsh => Address::p2wsh(&script, network),
            ScriptKind::P2shP2wsh => Address::p2shwsh(&script, network),
            // 15 compressed keys fit in the 520 bytes that P2SH allows.
            _ => Address::p2sh(&script, network).expect("at most 513 bytes"),
        })
    }

    /// The public keys of an address, in their order in the script.
    ///
    /// # Errors
    ///
    /// As [`redeem_script`](Self::redeem_script).
    pub fn public_keys(&self, chain: Chain, index: u32) -> Result<Vec<PublicKey>, DeriveError> {
        let script = self.redeem_script(chain, index)?;
        Ok(script
            .instructions()
            .filter_map(|instruction| {
                PublicKey::from_slice(instruction.ok()?.push_bytes()?.as_bytes()).ok()
            })
            .collect())
    }
}

/// No multisig wallet is like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultisigError {
    /// The outputs are of one key.
    #[error("outputs of type {0:?} have one key; expected P2SH, P2WSH or both")]
    Script(ScriptKind),
    /// Too few or too many.
    #[error("{required} of {keys} keys; expected 1 to 15 keys, and no more signatures than keys")]
    Count {
        /// How many signatures.
        required: usize,
        /// How many keys.
        keys: usize,
    },
}
