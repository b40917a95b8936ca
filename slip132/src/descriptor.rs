//! Output descriptors (BIP 380 to 389) of extended keys, as text, and back.
//!
//! Descriptors know xpub and tpub only; what the version bytes of SLIP-132 say is said by the shape:
//!
//! | kind | one signer | several |
//! |---|---|---|
//! | `standard` | `pkh(K)` | `sh(sortedmulti(m,K,…))` |
//! | `p2wpkh-p2sh` | `sh(wpkh(K))` | |
//! | `p2wpkh` | `wpkh(K)` | |
//! | `p2wsh-p2sh` | | `sh(wsh(sortedmulti(m,K,…)))` |
//! | `p2wsh` | | `wsh(sortedmulti(m,K,…))` |

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::str::FromStr;

use crate::checksum::checksum;
use crate::{DescriptorError, ExtendedKey, Kind, Network, Origin, Rules};

/// One extended key and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Its kind decides the shape of the descriptor.
    pub key: ExtendedKey,
    /// Where it comes from, if that is known.
    pub origin: Option<Origin>,
}

impl From<ExtendedKey> for Signer {
    fn from(key: ExtendedKey) -> Self {
        Self { key, origin: None }
    }
}

/// Which addresses under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Branch {
    /// `0/*`, the addresses that are given to others.
    Receive,
    /// `1/*`, the addresses that change goes to.
    Change,
    /// `<0;1>/*`, both (BIP 389).
    Both,
}

impl Branch {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Receive, "/0/*"),
        (Self::Change, "/1/*"),
        (Self::Both, "/<0;1>/*"),
    ];

    fn suffix(self) -> &'static str {
        match self {
            Self::Receive => "/0/*",
            Self::Change => "/1/*",
            Self::Both => "/<0;1>/*",
        }
    }
}

/// The descriptor of a wallet: of one key, or of several of which some must sign.
///
/// [`encode`](Self::encode) writes it with its checksum, [`FromStr`] reads it. A private key in it makes
/// the text a secret; [`ExtendedKey::to_public`] takes it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    signers: Vec<Signer>,
    threshold: Option<usize>,
    branch: Branch,
}

impl Descriptor {
    /// The descriptor of one key.
    ///
    /// # Errors
    ///
    /// Keys for several signers (Ypub, Zpub) have none, nor have other coins.
    pub fn single(signer: Signer, branch: Branch) -> Result<Self, DescriptorError> {
        let kind = signer.key.kind();
        if matches!(kind, Kind::P2wsh | Kind::P2wshInP2sh) {
            return Err(DescriptorError::NeedsSigners(kind));
        }
        check_network(&signer.key)?;
        Ok(Self {
            signers: [signer].into(),
            threshold: None,
            branch,
        })
    }

    /// The descriptor of a multisignature wallet as Electrum makes it: public keys sorted per address.
    ///
    /// # Errors
    ///
    /// Kinds of one signer (ypub, zpub), other coins, signers of different kinds or networks or named
    /// twice, and thresholds that are impossible: at most 15 keys fit into `sh`, 20 into `wsh`.
    pub fn multi(
        threshold: usize,
        signers: Vec<Signer>,
        branch: Branch,
    ) -> Result<Self, DescriptorError> {
        let kind = signers
            .first()
            .map_or(Kind::P2wsh, |first| first.key.kind());
        let most = if kind == Kind::Standard { 15 } else { 20 };
        if threshold == 0 || threshold > signers.len() || signers.len() > most {
            return Err(DescriptorError::Threshold {
                threshold,
                signers: signers.len(),
                most,
            });
        }
        for (position, signer) in signers.iter().enumerate() {
            let key = &signer.key;
            check_network(key)?;
            if matches!(key.kind(), Kind::P2wpkh | Kind::P2wpkhInP2sh) {
                return Err(DescriptorError::SingleSigner(key.kind()));
            }
            let mut earlier = signers.iter().take(position).map(|signer| &signer.key);
            if earlier
                .clone()
                .any(|other| (other.kind(), other.network()) != (key.kind(), key.network()))
            {
                return Err(DescriptorError::MixedSigners(position));
            }
            let same = |other: &ExtendedKey| {
                (other.public_key(), other.chain_code()) == (key.public_key(), key.chain_code())
            };
            if earlier.any(same) {
                return Err(DescriptorError::RepeatedSigner(position));
            }
        }
        Ok(Self {
            signers,
            threshold: Some(threshold),
            branch,
        })
    }

    /// The keys, of one kind and network, in the order in which they were named.
    #[must_use]
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// How many must sign; none where it is no multisignature.
    #[must_use]
    pub const fn threshold(&self) -> Option<usize> {
        self.threshold
    }

    /// Which addresses.
    #[must_use]
    pub const fn branch(&self) -> Branch {
        self.branch
    }

    /// The text with its checksum. Private keys are written as such.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let kind = self
            .signers
            .first()
            .map_or(Kind::Standard, |first| first.key.kind());
        let (open, close) = shape(kind, self.threshold.is_some());
        text.push_str(open);
        if let Some(threshold) = self.threshold {
            // Writing to a string cannot fail, here and below.
            let _ = write!(text, "{threshold},");
        }
        for (position, signer) in self.signers.iter().enumerate() {
            if position > 0 {
                text.push(',');
            }
            if let Some(origin) = &signer.origin {
                let _ = write!(text, "{origin}");
            }
            if let Ok(plain) = signer.key.with_kind(Kind::Standard) {
                text.push_str(&plain.encode());
            }
            text.push_str(self.branch.suffix());
        }
        text.push_str(close);
        if let Ok(sum) = checksum(&text) {
            text.push('#');
            text.push_str(&sum);
        }
        text
    }

    /// The same as a descriptor of the crate miniscript, which derives addresses.
    ///
    /// # Errors
    ///
    /// Miniscript's, where it is stricter than BIP 380.
    #[cfg(feature = "miniscript")]
    pub fn to_miniscript(
        &self,
    ) -> Result<miniscript::Descriptor<miniscript::DescriptorPublicKey>, miniscript::Error> {
        let mut public = self.clone();
        for signer in &mut public.signers {
            signer.key = signer.key.to_public();
        }
        public.encode().parse()
    }
}

/// What stands before and after the keys.
const fn shape(kind: Kind, multi: bool) -> (&'static str, &'static str) {
    match (kind, multi) {
        (Kind::Standard, false) => ("pkh(", ")"),
        (Kind::P2wpkhInP2sh, _) => ("sh(wpkh(", "))"),
        (Kind::P2wpkh, _) => ("wpkh(", ")"),
        (Kind::Standard, true) => ("sh(sortedmulti(", "))"),
        (Kind::P2wshInP2sh, _) => ("sh(wsh(sortedmulti(", ")))"),
        (Kind::P2wsh, _) => ("wsh(sortedmulti(", "))"),
    }
}

fn check_network(key: &ExtendedKey) -> Result<(), DescriptorError> {
    match key.network() {
        Network::Mainnet | Network::Testnet => Ok(()),
        other => Err(DescriptorError::Network(other)),
    }
}

impl FromStr for Descriptor {
    type Err = DescriptorError;

    /// Reads the shapes of the table, with or without a checksum.
    fn from_str(text: &str) -> Result<Self, DescriptorError> {
        let (body, found) = match text.split_once('#') {
            Some((body, found)) => (body, Some(found)),
            None => (text, None),
        };
        let expected = checksum(body)?;
        if let Some(found) = found
            && found != expected
        {
            let found = found.into();
            return Err(DescriptorError::Checksum { expected, found });
        }
        let shapes = [
            (Kind::Standard, false),
            (Kind::P2wpkh, false),
            (Kind::P2wpkhInP2sh, false),
        ];
        let several = [
            (Kind::Standard, true),
            (Kind::P2wsh, true),
            (Kind::P2wshInP2sh, true),
        ];
        let (kind, multi, inner) = shapes
            .into_iter()
            .chain(several)
            .find_map(|(kind, multi)| {
                let (open, close) = shape(kind, multi);
                let inner = body.strip_prefix(open)?.strip_suffix(close)?;
                Some((kind, multi, inner))
            })
            .ok_or(DescriptorError::Shape("unknown script"))?;
        if !multi {
            let (signer, branch) = read_signer(inner, kind)?;
            return Self::single(signer, branch);
        }
        let (threshold, keys) = inner
            .split_once(',')
            .ok_or(DescriptorError::Shape("no keys"))?;
        let threshold = Some(threshold)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or(DescriptorError::Shape("the threshold is no number"))?;
        let read: Vec<_> = keys
            .split(',')
            .map(|key| read_signer(key, kind))
            .collect::<Result<_, _>>()?;
        let branch = read.first().map_or(Branch::Receive, |(_, branch)| *branch);
        if read.iter().any(|(_, other)| *other != branch) {
            return Err(DescriptorError::Shape("the keys' paths differ"));
        }
        Self::multi(
            threshold,
            read.into_iter().map(|(signer, _)| signer).collect(),
            branch,
        )
    }
}

fn read_signer(text: &str, kind: Kind) -> Result<(Signer, Branch), DescriptorError> {
    let (origin, rest) = match text.strip_prefix('[') {
        None => (None, text),
        Some(text) => {
            let (origin, rest) = text.split_once(']').ok_or(DescriptorError::Origin)?;
            (Some(origin.parse()?), rest)
        }
    };
    let (branch, key) = Branch::ALL
        .into_iter()
        .find_map(|(branch, suffix)| Some((branch, rest.strip_suffix(suffix)?)))
        .ok_or(DescriptorError::Shape(
            "the path after a key is not 0/*, 1/* or <0;1>/*",
        ))?;
    let key = ExtendedKey::parse_with(key, &[Network::Mainnet, Network::Testnet], Rules::Bip32)?;
    if key.kind() != Kind::Standard {
        return Err(DescriptorError::Shape(
            "only xpub, xprv, tpub and tprv stand in descriptors",
        ));
    }
    let key = key
        .with_kind(kind)
        .map_err(|_| DescriptorError::Network(key.network()))?;
    Ok((Signer { key, origin }, branch))
}
