//! Accounts as output descriptors.

use alloc::format;
use alloc::string::String;

use bitcoin::bip32::{DerivationPath, Fingerprint, Xpub};
use miniscript::{Descriptor, DescriptorPublicKey};

use super::DeriveError;
use super::{Account, Chain, Multisig, OldMasterPublicKey, ScriptKind, TwoFactor};

impl Account {
    /// The addresses of one chain, with the key's origin: `pkh([fingerprint]xpub/0/*)` or `wpkh([fingerprint/0h]xpub/0/*)`.
    ///
    /// `None` where the keys are for multisig.
    pub fn descriptor(&self, chain: Chain) -> Option<Descriptor<DescriptorPublicKey>> {
        let key = self.key_expression(chain);
        let text = match self.script() {
            ScriptKind::P2pkh => format!("pkh({key})"),
            ScriptKind::P2wpkh => format!("wpkh({key})"),
            ScriptKind::P2shP2wpkh => format!("sh(wpkh({key}))"),
            ScriptKind::P2sh | ScriptKind::P2wsh | ScriptKind::P2shP2wsh => return None,
        };
        Some(parse(&text))
    }

    /// The key as it stands in a descriptor, in wallets of several too: `[fingerprint/1h]xpub/0/*`.
    pub fn key_expression(&self, chain: Chain) -> String {
        with_origin(
            self.root_fingerprint(),
            self.derivation(),
            self.xpub(),
            chain,
        )
    }
}

impl TwoFactor {
    /// The addresses of one chain: `sh(sortedmulti(2,…))` or `wsh(sortedmulti(2,…))`.
    pub fn descriptor(&self, chain: Chain) -> Descriptor<DescriptorPublicKey> {
        let third = format!("{}/{}/*", self.third(), chain.index());
        let keys = [
            self.first().key_expression(chain),
            self.second().key_expression(chain),
            third,
        ];
        sorted_multi(self.script(), 2, &keys.join(","))
    }
}

impl Multisig {
    /// The addresses of one chain, without the origins of the keys.
    pub fn descriptor(&self, chain: Chain) -> Descriptor<DescriptorPublicKey> {
        let mut keys = String::new();
        for key in self.keys() {
            if !keys.is_empty() {
                keys.push(',');
            }
            keys.push_str(&format!("{key}/{}/*", chain.index()));
        }
        sorted_multi(self.script(), self.required(), &keys)
    }
}

impl OldMasterPublicKey {
    /// One address: `pkh(04…)`. Old keys are not BIP32, so no descriptor stands for all of them.
    ///
    /// # Errors
    ///
    /// As [`public_key`](Self::public_key).
    pub fn descriptor(
        &self,
        chain: Chain,
        index: u32,
    ) -> Result<Descriptor<DescriptorPublicKey>, DeriveError> {
        Ok(parse(&format!("pkh({})", self.public_key(chain, index)?)))
    }
}

fn with_origin(
    fingerprint: Fingerprint,
    path: &DerivationPath,
    key: &Xpub,
    chain: Chain,
) -> String {
    let mut origin = format!("{fingerprint}");
    for step in path {
        origin.push_str(&format!("/{step:#}"));
    }
    // The alternate form of a hardened step ends in h; a quote means the same.
    format!("[{origin}]{key}/{}/*", chain.index())
}

fn sorted_multi(
    script: ScriptKind,
    required: usize,
    keys: &str,
) -> Descriptor<DescriptorPublicKey> {
    let multi = format!("sortedmulti({required},{keys})");
    parse(&match script {
        ScriptKind::P2wsh => format!("wsh({multi})"),
        ScriptKind::P2shP2wsh => format!("sh(wsh({multi}))"),
        _ => format!("sh({multi})"),
    })
}

fn parse(text: &str) -> Descriptor<DescriptorPublicKey> {
    text.parse().expect("made of keys in a form that exists")
}
