//! The table of SLIP-132: which version bytes stand for which network and script.

use core::fmt;

pub use crate::table::REGISTRY;
use Kind::{P2wpkh, P2wpkhInP2sh, P2wsh, P2wshInP2sh, Standard};
use Network::*;

/// A network of the registry. Several share version bytes, so that a key alone does not say which one it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Network {
    /// Bitcoin.
    Mainnet,
    /// Bitcoin's testnets, signets and regtest: all share these version bytes.
    Testnet,
    /// Groestlcoin.
    Groestlcoin,
    /// Groestlcoin Testnet.
    GroestlcoinTestnet,
    /// Kylacoin.
    Kylacoin,
    /// Kylacoin Testnet.
    KylacoinTestnet,
    /// Litecoin.
    Litecoin,
    /// Litecoin Testnet.
    LitecoinTestnet,
    /// Lyncoin.
    Lyncoin,
    /// Lyncoin Testnet.
    LyncoinTestnet,
    /// Nexa.
    Nexa,
    /// Nexa Testnet.
    NexaTestnet,
    /// Vertcoin.
    Vertcoin,
    /// Polis.
    Polis,
    /// Record X-core Blockchain.
    RecordX,
    /// Syscoin.
    Syscoin,
}

impl Network {
    /// Every network, in the registry's order.
    pub const ALL: &'static [Self] = &[
        Self::Mainnet,
        Self::Testnet,
        Self::Groestlcoin,
        Self::GroestlcoinTestnet,
        Self::Kylacoin,
        Self::KylacoinTestnet,
        Self::Litecoin,
        Self::LitecoinTestnet,
        Self::Lyncoin,
        Self::LyncoinTestnet,
        Self::Nexa,
        Self::NexaTestnet,
        Self::Vertcoin,
        Self::Polis,
        Self::RecordX,
        Self::Syscoin,
    ];

    /// `mainnet` and `testnet` for Bitcoin, else the registry's name of the coin.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet => "testnet",
            Self::Groestlcoin => "Groestlcoin",
            Self::GroestlcoinTestnet => "Groestlcoin Testnet",
            Self::Kylacoin => "Kylacoin",
            Self::KylacoinTestnet => "Kylacoin Testnet",
            Self::Litecoin => "Litecoin",
            Self::LitecoinTestnet => "Litecoin Testnet",
            Self::Lyncoin => "Lyncoin",
            Self::LyncoinTestnet => "Lyncoin Testnet",
            Self::Nexa => "Nexa",
            Self::NexaTestnet => "Nexa Testnet",
            Self::Vertcoin => "Vertcoin",
            Self::Polis => "Polis",
            Self::RecordX => "Record X-core Blockchain",
            Self::Syscoin => "Syscoin",
        }
    }

    /// The network of this name, as [`name`](Self::name) gives it. Electrum's `regtest` and `signet`
    /// are `testnet` here: they share its version bytes.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if matches!(
            name,
            "regtest" | "signet" | "testnet4" | "simnet" | "mutinynet"
        ) {
            return Some(Testnet);
        }
        Self::ALL
            .iter()
            .copied()
            .find(|network| network.name() == name)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the addresses under a key are: the part of the version bytes that SLIP-132 adds to BIP 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// P2PKH of one key, or multi-signature P2SH (`standard`; xpub, tpub).
    Standard,
    /// P2WPKH in P2SH, BIP 49 (`p2wpkh-p2sh`; ypub, upub).
    P2wpkhInP2sh,
    /// P2WPKH, BIP 84 (`p2wpkh`; zpub, vpub).
    P2wpkh,
    /// Multi-signature P2WSH in P2SH (`p2wsh-p2sh`; Ypub, Upub).
    P2wshInP2sh,
    /// Multi-signature P2WSH (`p2wsh`; Zpub, Vpub).
    P2wsh,
}

impl Kind {
    /// Every kind, in the registry's order.
    pub const ALL: [Self; 5] = [Standard, P2wpkhInP2sh, P2wpkh, P2wshInP2sh, P2wsh];

    /// Electrum's name of it (`xtype`).
    #[must_use]
    pub const fn xtype(self) -> &'static str {
        match self {
            Standard => "standard",
            P2wpkhInP2sh => "p2wpkh-p2sh",
            P2wpkh => "p2wpkh",
            P2wshInP2sh => "p2wsh-p2sh",
            P2wsh => "p2wsh",
        }
    }

    /// The kind of Electrum's name.
    #[must_use]
    pub fn from_xtype(xtype: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.xtype() == xtype)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.xtype())
    }
}

/// One row of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// Whose row it is.
    pub network: Network,
    /// What the addresses are.
    pub kind: Kind,
    /// The same in the registry's words.
    pub script: &'static str,
    /// Version of public keys; the first four bytes are this number in big-endian order.
    pub public: u32,
    /// Version of private keys.
    pub private: u32,
    /// How the registry says that public and private keys begin.
    pub listed_prefixes: [&'static str; 2],
    /// How they begin in fact: three rows of the registry are wrong about it.
    pub prefixes: [&'static str; 2],
    /// The path of an account in the registry's words.
    pub path: Option<&'static str>,
}

impl Row {
    /// The version of its private or public keys.
    #[must_use]
    pub const fn version(&self, private: bool) -> u32 {
        if private { self.private } else { self.public }
    }
}

/// The row of a network and a kind; not every coin has every kind.
#[must_use]
pub fn row(network: Network, kind: Kind) -> Option<&'static Row> {
    REGISTRY
        .iter()
        .find(|row| row.network == network && row.kind == kind)
}

/// The rows that use a version, and whether it is their private one. More than one where coins share it.
pub fn readings(version: u32) -> impl Iterator<Item = (&'static Row, bool)> {
    REGISTRY.iter().filter_map(move |row| match version {
        v if v == row.public => Some((row, false)),
        v if v == row.private => Some((row, true)),
        _ => None,
    })
}
