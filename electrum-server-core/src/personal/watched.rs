//! Which scripts are watched, for whom, and what of that a listener shows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bitcoin::hashes::{Hash, HashEngine, sha256};
use electrum_protocol::ScriptHash;

use crate::index::{PREFIX_LEN, RowKey};

/// What is done when a client asks for a script of no wallet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unwatched {
    /// It has no history.
    #[default]
    Empty,
    /// The request is refused.
    Reject,
    /// It is watched from then on; what was before is not looked for.
    Watch,
}

/// Some of the wallets, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WalletSet {
    /// All.
    #[default]
    All,
    /// Those with these names.
    Only(Vec<String>),
    /// Those with other names, also when they come later.
    Except(Vec<String>),
}

impl WalletSet {
    /// Returns whether it has the wallet with this name.
    pub fn contains(&self, wallet: &str) -> bool {
        let is_in = |names: &[String]| names.iter().any(|name| name == wallet);
        match self {
            Self::All => true,
            Self::Only(names) => is_in(names),
            Self::Except(names) => !is_in(names),
        }
    }

    /// Returns who the clients are that are shown these wallets.
    pub(crate) fn audience(&self) -> Audience {
        let Self::Only(names) = self else {
            return Audience::EVERYWHERE;
        };
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let mut engine = sha256::Hash::engine();
        for name in names {
            engine.input(&(name.len() as u64).to_be_bytes());
            engine.input(name.as_bytes());
        }
        let hash = sha256::Hash::from_engine(engine).to_byte_array();
        let [a, b, c, d, e, f, g, h, ..] = hash;
        Audience([a, b, c, d, e, f, g, h])
    }

    fn shows(&self, owner: &Owner) -> bool {
        match &owner.of {
            Of::Wallet(name) => self.contains(name),
            Of::Clients(audience) => self.audience() == *audience,
        }
    }
}

/// The clients of all listeners that show the same wallets. What one of them wants to be watched is watched for these, and
/// for nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Audience([u8; 8]);

impl Audience {
    /// Those of the listeners that show every wallet which is not shown in a place of its own.
    pub(crate) const EVERYWHERE: Self = Self([0; 8]);

    pub(crate) const fn from_byte_array(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn to_byte_array(self) -> [u8; 8] {
        self.0
    }
}

/// For whom a script is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// For the wallet with this name.
    Wallet(Arc<str>),
    /// For clients that have asked for it.
    Clients(Audience),
}

/// One for whom a script is watched, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) of: Of,
    /// The height of the first block that was looked at for it. Another owner may have had earlier ones looked at.
    pub(crate) since: u32,
}

/// The scripts that are watched, and for whom.
#[derive(Clone, Debug)]
pub struct Watched {
    key: RowKey,
    /// By the names that scripts have in the rows of the index.
    scripts: HashMap<[u8; PREFIX_LEN], Arc<[Owner]>>,
    /// Wallets that were not looked for up to the tip yet.
    pub(crate) scanning: HashSet<Arc<str>>,
}

/// From where on the history of a script is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The height of the first block that was looked at for those who are shown it.
    pub(crate) since: u32,
    /// Whether earlier ones were looked at for somebody else.
    pub(crate) has_earlier: bool,
}

/// What a session may say of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Everything.
    Known,
    /// Nothing yet: the wallet with this name is still being looked for.
    Scanning(String),
    /// Nothing: no wallet has it, or none of those that the session may see.
    Unknown,
}

impl Watched {
    /// Watches nothing yet. `key` is that of the index.
    pub(crate) fn new(key: RowKey) -> Self {
        Self {
            key,
            scripts: HashMap::new(),
            scanning: HashSet::new(),
        }
    }

    /// Watches a script for one more. Owners are given as they are kept, since many scripts have the same.
    pub(crate) fn insert(&mut self, script: &[u8; 32], owner: &Arc<[Owner]>) {
        self.scripts
            .entry(self.key.prefix_of(script))
            .and_modify(|owners| *owners = owners.iter().chain(owner.iter()).cloned().collect())
            .or_insert_with(|| owner.clone());
    }

    /// Returns how many scripts there are.
    pub fn len(&self) -> usize {
        self.scripts.len()
    }

    /// Returns whether there are no scripts.
    pub fn is_empty(&self) -> bool {
        self.scripts.is_empty()
    }

    /// Returns whether a script is watched.
    pub fn contains(&self, script_hash: &ScriptHash) -> bool {
        self.scripts.contains_key(&self.key.prefix(script_hash))
    }

    /// Returns from where on `allowed` shows what touches a script, which goes by its name in the rows of the index;
    /// nothing when it does not show the script.
    pub(crate) fn extent(&self, prefix: &[u8; PREFIX_LEN], allowed: &WalletSet) -> Option<Extent> {
        let owners = self.scripts.get(prefix)?;
        let shown = owners.iter().filter(|owner| allowed.shows(owner));
        let since = shown.map(|owner| owner.since).min()?;
        let has_earlier = owners.iter().any(|owner| owner.since < since);
        Some(Extent { since, has_earlier })
    }

    /// Returns what a session that is shown the wallets of `allowed` may say of a script.
    pub(crate) fn standing(&self, script_hash: &ScriptHash, allowed: &WalletSet) -> Standing {
        let owners = self.scripts.get(&self.key.prefix(script_hash));
        let owners = owners.into_iter().flat_map(|owners| owners.iter());
        let mut scanning = None;
        for owner in owners.filter(|owner| allowed.shows(owner)) {
            match &owner.of {
                Of::Wallet(name) if self.scanning.contains(name) => {
                    scanning = scanning.or(Some(name));
                }
                // Whoever asked for a script of no wallet is told what came since.
                Of::Wallet(_) | Of::Clients(_) => return Standing::Known,
            }
        }
        scanning.map_or(Standing::Unknown, |name| {
            Standing::Scanning(name.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_wallet(name: &str, since: u32) -> Arc<[Owner]> {
        let of = Of::Wallet(name.into());
        Arc::new([Owner { of, since }])
    }

    fn only(names: &[&str]) -> WalletSet {
        WalletSet::Only(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn what_a_listener_says_of_a_script_depends_on_its_wallets_alone() {
        let key = RowKey::from_byte_array([1; 16]);
        let mut watched = Watched::new(key);
        let [shared, wanted] = [[1; 32], [2; 32]];
        watched.insert(&shared, &of_wallet("a", 5));
        watched.insert(&shared, &of_wallet("b", 9));
        let here = only(&["b"]).audience();
        let of_clients = |audience, since| -> Arc<[Owner]> {
            let of = Of::Clients(audience);
            Arc::new([Owner { of, since }])
        };
        watched.insert(&wanted, &of_clients(here, 20));
        watched.scanning.insert("a".into());
        let extent =
            |script: &[u8; 32], set: &WalletSet| watched.extent(&key.prefix_of(script), set);
        let standing = |script: &[u8; 32], set: &WalletSet| {
            watched.standing(&ScriptHash::from_byte_array(*script), set)
        };
        for (set, expected, at) in [
            (
                only(&["a"]),
                Standing::Scanning("a".to_owned()),
                Some((5, false)),
            ),
            (only(&["b"]), Standing::Known, Some((9, true))),
            (only(&["b", "a"]), Standing::Known, Some((5, false))),
            (only(&["c"]), Standing::Unknown, None),
            (WalletSet::All, Standing::Known, Some((5, false))),
            (
                WalletSet::Except(vec!["a".to_owned()]),
                Standing::Known,
                Some((9, true)),
            ),
        ] {
            assert_eq!(standing(&shared, &set), expected, "{set:?}");
            let at = at.map(|(since, has_earlier)| Extent { since, has_earlier });
            assert_eq!(extent(&shared, &set), at, "{set:?}");
        }
        assert_eq!(standing(&wanted, &only(&["b"])), Standing::Known);
        let since = extent(&wanted, &only(&["b"])).map(|extent| extent.since);
        assert_eq!(since, Some(20));
        for set in [only(&["a"]), only(&["b", "a"]), WalletSet::All] {
            assert_eq!(standing(&wanted, &set), Standing::Unknown, "{set:?}");
        }
    }

    #[test]
    fn an_audience_is_named_by_its_wallets_in_any_order() {
        assert_eq!(
            only(&["a", "b"]).audience(),
            only(&["b", "a", "b"]).audience()
        );
        assert_ne!(only(&["ab"]).audience(), only(&["a", "b"]).audience());
        assert_ne!(only(&["a"]).audience(), Audience::EVERYWHERE);
        let except = WalletSet::Except(vec!["a".to_owned()]);
        assert_eq!(except.audience(), WalletSet::All.audience());
    }
}
