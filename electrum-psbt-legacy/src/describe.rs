//! Everything that a partial transaction says, as plain texts and numbers: for people, and for JSON.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bitcoin::hex::DisplayHex;
use bitcoin::{Address, Amount, Network, Script, TxOut, base58, consensus};

use crate::key::{Bip32Key, ExtendedKey, OldKey, PathIndex};
use crate::spend::{Signer, Spend};
use crate::transaction::{Encoding, Input, PartialTransaction};

/// Everything that a partial transaction says. Bytes are lower-case hex, amounts satoshi.
///
/// With the feature `json` it serializes with the names of the fields; what an input has no room for is left out, what it
/// has room for and does not say is `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Description {
    /// `EPTF\xff` in these eight characters, where it is written.
    pub header: Option<&'static str>,
    /// The version after the header; 0 is the only one.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub partial_format_version: Option<u8>,
    /// The version of the transaction.
    pub tx_version: i32,
    /// Whether it is written in the form of BIP144, with witnesses.
    pub segwit_serialization: bool,
    /// The lock time.
    pub locktime: u32,
    /// The inputs in order.
    pub inputs: Vec<InputDescription>,
    /// The outputs in order.
    pub outputs: Vec<OutputDescription>,
    /// Signatures that are there, and signatures that are needed.
    pub signature_count: (usize, usize),
    /// Whether every input has all its signatures.
    pub complete: bool,
    /// Whether every input is known to spend a segregated witness coin.
    pub all_inputs_segwit: bool,
    /// The identifier, once no signature can change it, in the order that is displayed.
    pub txid: Option<String>,
    /// The transaction without its signatures.
    pub unsigned_tx_hex: String,
}

/// What an input says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InputDescription {
    /// The transaction whose output is spent, in the order that is displayed.
    pub prevout_txid: String,
    /// The number of that output.
    pub prevout_n: u32,
    /// The scriptSig as written.
    pub script_sig: String,
    /// The sequence number.
    pub sequence: u32,
    /// With witnesses, and in Electron Cash's form: the amount of the coin, where it is written.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub value: Option<Option<u64>>,
    /// With witnesses: the witness version, where it is written.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub witness_version: Option<Option<u16>>,
    /// With witnesses: the items as written.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub witness_items: Option<Vec<String>>,
    /// Electrum's word for the kind of coin; see [`SpendKind::as_str`](crate::SpendKind::as_str).
    #[cfg_attr(feature = "json", serde(rename = "type"))]
    pub kind: &'static str,
    /// The witness program in the scriptSig of a nested coin.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub redeem_script_nested: Option<String>,
    /// Signatures that are needed; 0 where nothing is known.
    pub num_sig: usize,
    /// The keys in the order of the script.
    pub x_pubkeys: Vec<KeyDescription>,
    /// DER and the byte of the hash type, or nothing; in the order of the keys.
    pub signatures: Vec<Option<String>>,
    /// The multisig script with public keys of the network.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub redeem_or_witness_script: Option<String>,
    /// The address of the coin, where it can be told.
    pub address: Option<String>,
    /// Of multisig: whether the public keys are in the order of their bytes.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub pubkeys_sorted: Option<bool>,
    /// Signatures that are there; left out where the keys are not known.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub signatures_present: Option<usize>,
    /// Whether nothing is missing.
    pub complete: bool,
}

/// What an output says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[non_exhaustive]
pub struct OutputDescription {
    /// The amount.
    pub value: u64,
    /// The script.
    pub script_pubkey: String,
    /// The address, where the script has one.
    pub address: Option<String>,
}

/// What is written where the network has a public key.
///
/// The fields that a kind does not have are left out of the JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "json", derive(serde::Serialize))]
#[non_exhaustive]
pub struct KeyDescription {
    /// `pubkey`, `bip32`, `old_mpk`, `address_script` or `address_v2`.
    pub kind: &'static str,
    /// The bytes as written.
    pub x_pubkey: String,
    /// `bip32`: the extended public key in base58, with its version bytes.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub xpub: Option<String>,
    /// `bip32`: the version bytes.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub xpub_version_bytes: Option<String>,
    /// `bip32`: steps from the root.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub depth: Option<u8>,
    /// `bip32`: the fingerprint of the parent.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub parent_fingerprint: Option<String>,
    /// `bip32`: the last step, 4 bytes, big-endian.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub child_number: Option<String>,
    /// `old_mpk`: the master public key, x and y.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub mpk: Option<String>,
    /// `bip32` and `old_mpk`: the two steps.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub path: Option<[u32; 2]>,
    /// `bip32`: how the steps are written, `u16` or `ffff+u32`.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub path_encoding: Option<[&'static str; 2]>,
    /// `address_script`: the output script.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub script_pubkey: Option<String>,
    /// `address_v2`: the version byte of the address.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub addrtype: Option<u8>,
    /// `address_v2`: the hash of the address.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub hash160: Option<String>,
    /// `address_script` and `address_v2`: the address, where the script has one.
    #[cfg_attr(feature = "json", serde(skip_serializing_if = "Option::is_none"))]
    pub address: Option<Option<String>>,
    /// The public key, derived where it must be.
    pub pubkey: Option<String>,
}

impl PartialTransaction {
    /// Everything that it says, with addresses of `network`, which the bytes themselves do not name.
    #[must_use]
    pub fn describe(&self, network: Network) -> Description {
        let is_headed = self.encoding == Encoding::Headed;
        let input = |input: &Input| describe_input(input, self.segwit, network);
        let unsigned = consensus::serialize(&self.unsigned_transaction());
        Description {
            header: is_headed.then_some("EPTF\\xff"),
            partial_format_version: is_headed.then_some(0),
            tx_version: self.version.0,
            segwit_serialization: self.segwit,
            locktime: self.lock_time.to_consensus_u32(),
            inputs: self.inputs.iter().map(input).collect(),
            outputs: self
                .outputs
                .iter()
                .map(|output| describe_output(output, network))
                .collect(),
            signature_count: self.signature_count(),
            complete: self.is_complete(),
            all_inputs_segwit: self.is_all_segwit(),
            txid: self.txid().map(|txid| txid.to_string()),
            unsigned_tx_hex: unsigned.to_lower_hex_string(),
        }
    }
}

fn describe_input(input: &Input, segwit: bool, network: Network) -> InputDescription {
    let Input { witness, spend, .. } = input;
    let prefix = witness.prefix;
    let signatures = spend.signatures();
    let items = || {
        witness
            .items
            .iter()
            .map(|item| item.to_lower_hex_string())
            .collect()
    };
    let is_multisig = spend.kind().is_multisig() && !spend.signers().is_empty();
    InputDescription {
        prevout_txid: input.previous_output.txid.to_string(),
        prevout_n: input.previous_output.vout,
        script_sig: input.script_sig.to_hex_string(),
        sequence: input.sequence.0,
        value: (segwit || input.cash_value.is_some()).then(|| input.value().map(Amount::to_sat)),
        witness_version: segwit.then(|| prefix.and_then(|prefix| prefix.witness_version)),
        witness_items: segwit.then(items),
        kind: spend.kind().as_str(),
        redeem_script_nested: spend.program().map(|program| program.to_hex_string()),
        num_sig: spend.required(),
        x_pubkeys: spend
            .signers()
            .iter()
            .map(|signer| describe_key(signer, network))
            .collect(),
        signatures: signatures
            .iter()
            .map(|slot| {
                slot.as_ref()
                    .map(|signature| signature.to_lower_hex_string())
            })
            .collect(),
        redeem_or_witness_script: spend.multisig_script().map(|script| script.to_hex_string()),
        address: address_of(spend, network),
        pubkeys_sorted: is_multisig.then(|| spend.is_sorted()),
        signatures_present: (!spend.has_only_address()).then(|| spend.signatures_present()),
        complete: spend.is_complete(),
    }
}

fn address_of(spend: &Spend, network: Network) -> Option<String> {
    spend.address(network).map(|address| address.to_string())
}

fn describe_output(output: &TxOut, network: Network) -> OutputDescription {
    OutputDescription {
        value: output.value.to_sat(),
        script_pubkey: output.script_pubkey.to_hex_string(),
        address: script_address(&output.script_pubkey, network),
    }
}

fn script_address(script: &Script, network: Network) -> Option<String> {
    Address::from_script(script, network)
        .ok()
        .map(|address| address.to_string())
}

fn describe_key(signer: &Signer, network: Network) -> KeyDescription {
    let Signer { key, public_key } = signer;
    let common = KeyDescription {
        x_pubkey: key.to_bytes().to_lower_hex_string(),
        pubkey: public_key.map(|key| key.to_string()),
        ..KeyDescription::default()
    };
    match key {
        ExtendedKey::PublicKey(_) => KeyDescription {
            kind: "pubkey",
            ..common
        },
        ExtendedKey::Bip32(key) => describe_bip32(key, common),
        ExtendedKey::Old(OldKey {
            master,
            change,
            index,
        }) => KeyDescription {
            kind: "old_mpk",
            mpk: Some(master.to_lower_hex_string()),
            path: Some([u32::from(*change), u32::from(*index)]),
            ..common
        },
        ExtendedKey::Script(script) => KeyDescription {
            kind: "address_script",
            script_pubkey: Some(script.to_hex_string()),
            address: Some(script_address(script, network)),
            ..common
        },
        ExtendedKey::Address { version, hash } => {
            let mut payload = alloc::vec![*version];
            payload.extend(hash);
            KeyDescription {
                kind: "address_v2",
                addrtype: Some(*version),
                hash160: Some(hash.to_lower_hex_string()),
                address: Some(Some(base58::encode_check(&payload))),
                ..common
            }
        }
    }
}

fn describe_bip32(key: &Bip32Key, common: KeyDescription) -> KeyDescription {
    let encoding = |step| match step {
        PathIndex::Short(_) => "u16",
        PathIndex::Long(_) => "ffff+u32",
    };
    KeyDescription {
        kind: "bip32",
        xpub: Some(base58::encode_check(&key.payload)),
        xpub_version_bytes: Some(key.version().to_lower_hex_string()),
        depth: Some(key.depth()),
        parent_fingerprint: Some(key.parent_fingerprint().to_string()),
        child_number: Some(key.child_number().to_be_bytes().to_lower_hex_string()),
        path: Some([key.change.value(), key.index.value()]),
        path_encoding: Some([encoding(key.change), encoding(key.index)]),
        ..common
    }
}
