//! The wallets of two keys of a seed and one of TrustedCoin.

use alloc::string::String;
use alloc::vec;
use core::fmt;
use core::fmt::Write as _;

use bitcoin::bip32::{ChainCode, ChildNumber, Fingerprint, Xpub};
use bitcoin::secp256k1::{Scalar, Secp256k1};
use bitcoin::{Address, Network, NetworkKind};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

use super::{Account, Chain, DeriveError, Multisig, ScriptKind};

/// TrustedCoin's key that signs, and the one that it is paid to, as Electrum has them.
const SIGNING: &str = "xpub661MyMwAqRbcGnMkaTx2594P9EDuiEqMq25PM2aeG6UmwzaohgA6uDmNsvSUV8ubqwA3Wpste1hg69XHgjUuCD5HLcEp2QPzyV1HMrPppsL";
const SIGNING_TESTNET: &str = "tpubD6NzVbkrYhZ4XdmyJQcCPjQfg6RXVUzGFhPjZ7uvRC8JLcS7Hw1i7UTpyhp9grHpak4TyK2hzBJrujDVLXQ6qB5tNpVx9rC6ixijUXadnmY";
const BILLING: &str = "xpub6DTBdtBB8qUmH5c77v8qVGVoYk7WjJNpGvutqjLasNG1mbux6KsojaLrYf2sRhXAVU4NaFuHhbD9SvVPRt1MB1MaMooRuhHcAZH1yhQ1qDU";
const BILLING_TESTNET: &str = "tpubD6NzVbkrYhZ4X11EJFTJujsYbUmVASAYY7gXsEt4sL97AMBdypiH1E9ZVTpdXXEy3Kj9Eqd1UkxdGtvDt5z23DKsh6211CfNJo8bLLyem5r";

/// The three keys of a two-factor wallet; two must sign, and the seed has two.
pub struct TwoFactor {
    first: Account,
    second: Account,
    long_id: [u8; 32],
    multisig: Multisig,
}

impl TwoFactor {
    pub(super) fn new(first: Account, second: Account) -> Result<Self, DeriveError> {
        let mut keys = [first.to_slip132(), second.to_slip132()];
        keys.sort_unstable();
        let long_id = Sha256::digest(keys.concat()).into();
        let parent = match first.network().into() {
            NetworkKind::Main => SIGNING,
            NetworkKind::Test => SIGNING_TESTNET,
        };
        let third = child_of(parent, &long_id)?;
        let multisig = Multisig::new(
            2,
            vec![*first.xpub(), *second.xpub(), third],
            first.script(),
        )
        .expect("two of three, in P2SH or P2WSH");
        Ok(Self {
            first,
            second,
            long_id,
            multisig,
        })
    }

    /// The first key of the seed.
    pub fn first(&self) -> &Account {
        &self.first
    }

    /// The second key of the seed.
    pub fn second(&self) -> &Account {
        &self.second
    }

    /// TrustedCoin's key: its signing key's child at [`long_id`](Self::long_id), with depth, fingerprint and number 0.
    pub fn third(&self) -> &Xpub {
        self.multisig.keys().last().expect("there are three")
    }

    /// TrustedCoin's key as Electrum writes it, with the version bytes of the other two.
    pub fn third_to_slip132(&self) -> String {
        let version = super::version_bytes(self.first.script(), self.first.network().into()).0;
        super::account::with_version(self.third(), version)
    }

    /// P2SH or P2WSH.
    pub fn script(&self) -> ScriptKind {
        self.first.script()
    }

    /// How the wallet is known to TrustedCoin: SHA-256 of both extended public keys in Electrum's base 58 form, sorted.
    pub fn long_id(&self) -> [u8; 32] {
        self.long_id
    }

    /// The same in public: SHA-256 of [`long_id`](Self::long_id), in hex.
    pub fn short_id(&self) -> String {
        Sha256::digest(self.long_id)
            .iter()
            .fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
                hex
            })
    }

    /// All three keys together.
    pub fn multisig(&self) -> &Multisig {
        &self.multisig
    }

    /// An address. Indexes are below 2^31.
    ///
    /// # Errors
    ///
    /// [`DeriveError::Bip32`] where the index is not, or no key is there.
    pub fn address(&self, chain: Chain, index: u32) -> Result<Address, DeriveError> {
        self.multisig.address(chain, index, self.first.network())
    }

    /// Where TrustedCoin is paid: P2WPKH or else P2PKH, in the order of payments. Indexes are below 2^31; Electrum looks no
    /// further than 50,000.
    ///
    /// # Errors
    ///
    /// As [`address`](Self::address).
    pub fn billing_address(&self, index: u32, segwit: bool) -> Result<Address, DeriveError> {
        let network: Network = self.first.network();
        let parent = match network.into() {
            NetworkKind::Main => BILLING,
            NetworkKind::Test => BILLING_TESTNET,
        };
        let step = ChildNumber::from_normal_idx(index).map_err(DeriveError::Bip32)?;
        let key = child_of(parent, &self.long_id)?
            .derive_pub(&Secp256k1::verification_only(), &[step])
            .map_err(DeriveError::Bip32)?
            .to_pub();
        Ok(if segwit {
            Address::p2wpkh(&key, network)
        } else {
            Address::p2pkh(key, network)
        })
    }
}

impl fmt::Debug for TwoFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwoFactor")
            .field("first", &self.first)
            .field("second", &self.second)
            .finish_non_exhaustive()
    }
}

/// BIP32's public derivation, with 32 bytes instead of the four of a child's number.
fn child_of(parent: &str, number: &[u8; 32]) -> Result<Xpub, DeriveError> {
    let parent: Xpub = parent.parse().expect("a constant that is a key");
    let mac = Hmac::<Sha512>::new_from_slice(parent.chain_code.as_bytes())
        .expect("HMAC takes keys of any length");
    let hash = mac
        .chain_update(parent.public_key.serialize())
        .chain_update(number)
        .finalize()
        .into_bytes();
    let (mut tweak, mut chain_code) = ([0; 32], [0; 32]);
    tweak
        .iter_mut()
        .chain(&mut chain_code)
        .zip(hash)
        .for_each(|(to, from)| *to = from);
    let tweak = Scalar::from_be_bytes(tweak)
        .map_err(|_| DeriveError::Key(bitcoin::secp256k1::Error::InvalidTweak))?;
    let public_key = parent
        .public_key
        .add_exp_tweak(&Secp256k1::verification_only(), &tweak)
        .map_err(DeriveError::Key)?;
    Ok(Xpub {
        network: parent.network,
        depth: 0,
        parent_fingerprint: Fingerprint::default(),
        child_number: ChildNumber::Normal { index: 0 },
        public_key,
        chain_code: ChainCode::from(chain_code),
    })
}
