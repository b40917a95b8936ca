//! Sequences of scripts.

use std::fmt;
use std::sync::Arc;

use bitcoin::ScriptBuf;
use bitcoin::hashes::{Hash, sha256};

/// Derives the script with an index; nothing when there is none.
pub type Derive = Arc<dyn Fn(u32) -> Option<ScriptBuf> + Send + Sync>;

/// A sequence of scripts.
#[derive(Clone)]
pub struct Keychain {
    id: String,
    derive: Derive,
}

impl fmt::Debug for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keychain").finish_non_exhaustive()
    }
}

impl Keychain {
    /// Takes a way to derive scripts, and a text that names it: the same scripts must have the same text whenever the
    /// server starts, and no others. It is hashed, and not kept.
    pub fn new(id: impl Into<String>, derive: Derive) -> Self {
        Self {
            id: id.into(),
            derive,
        }
    }

    /// Takes a single script.
    pub fn single(script: ScriptBuf) -> Self {
        Self {
            id: format!("raw({script:x})"),
            derive: Arc::new(move |index| (index == 0).then(|| script.clone())),
        }
    }

    /// Returns the text that names it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the key under which its progress is kept.
    pub(crate) fn key(&self) -> [u8; 32] {
        sha256::Hash::hash(self.id.as_bytes()).to_byte_array()
    }

    /// Returns the script with an index.
    pub fn script(&self, index: u32) -> Option<ScriptBuf> {
        (self.derive)(index)
    }
}

#[cfg(feature = "descriptors")]
impl Keychain {
    /// Takes apart an output descriptor: one keychain for each of its paths (`<0;1>`). One without a wildcard has one
    /// script.
    ///
    /// # Errors
    ///
    /// When a key cannot be derived without a private one (hardened steps behind the key).
    pub fn of_descriptor(
        descriptor: &miniscript::Descriptor<miniscript::DescriptorPublicKey>,
    ) -> Result<Vec<Self>, miniscript::Error> {
        let keychain = |single: miniscript::Descriptor<miniscript::DescriptorPublicKey>| {
            let id = single.to_string();
            let has_wildcard = single.has_wildcard();
            let derive: Derive = Arc::new(move |index| {
                if !has_wildcard && index > 0 {
                    return None;
                }
                let definite = single.at_derivation_index(index).ok()?;
                Some(definite.script_pubkey())
            });
            Self { id, derive }
        };
        // Whether it can be derived at all shows with the first one.
        let singles = descriptor.clone().into_single_descriptors()?;
        for single in &singles {
            single
                .at_derivation_index(0)
                .map_err(|error| miniscript::Error::Unexpected(error.to_string()))?;
        }
        Ok(singles.into_iter().map(keychain).collect())
    }
}
