//! `electrum-tools xpub inspect`.

use std::process::ExitCode;

use bitcoin::hex::DisplayHex;
use clap::Args;
use serde_json::{Map, Value, json};
use slip132::{Branch, Descriptor, ExtendedKey, Kind, Network};

use super::{Reading, descriptor, old};
use crate::report::{Failure, Report};

/// What an extended key says, and the same key with other version bytes
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// xpub, ypub, zpub, Ypub, Zpub, their testnet and private forms, or a master public key of
    /// Electrum 1.x (128 hex digits); `-` reads one per line
    key: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Print the private forms of a private key too; JSON always has them
    #[arg(long)]
    private: bool,
}

impl Inspect {
    pub(super) fn run(&self, as_json: bool) -> Result<ExitCode, Failure> {
        super::each(self.key.as_deref(), as_json, |entry| {
            let text = entry.main(&["key", "xpub", "xprv", "mpk"]);
            if let Some(key) = old::read(text.trim()) {
                let network = match self.reading.network {
                    Some(Network::Testnet) => bitcoin::Network::Testnet,
                    _ => bitcoin::Network::Bitcoin,
                };
                return old::report(&key?, network);
            }
            let key = self.reading.read(text, entry)?;
            Ok(Report {
                human: self.describe(&key),
                json: to_json(&key),
            })
        })
    }

    fn describe(&self, key: &ExtendedKey) -> String {
        let secrecy = if key.is_private() {
            "private"
        } else {
            "public"
        };
        let child = key.child_number();
        let step = match child.checked_sub(1 << 31) {
            Some(hardened) => format!("{hardened}h"),
            None => child.to_string(),
        };
        let place = match key.depth() {
            0 => "a master key".to_owned(),
            depth => format!(
                "depth {depth}, child {step} of {}",
                key.parent_fingerprint().to_lower_hex_string()
            ),
        };
        let mut lines = vec![
            format!(
                "{secrecy} key of {}, {} ({})",
                key.network(),
                key.kind(),
                meaning(key.kind())
            ),
            format!(
                "{place}, fingerprint {}",
                key.fingerprint().to_lower_hex_string()
            ),
        ];
        for kind in Kind::ALL {
            let Ok(converted) = key.with_kind(kind) else {
                continue;
            };
            lines.push(format!("{kind}: {}", converted.to_public().encode()));
            if self.private && key.is_private() {
                lines.push(format!("{kind}: {}", converted.encode()));
            }
        }
        lines.join("\n")
    }
}

fn to_json(key: &ExtendedKey) -> Value {
    let public = key.to_public();
    let mut json = json!({
        "network": key.network().name(),
        "version": format!("{:08x}", key.version()),
        "xtype": key.kind().xtype(),
        "private": key.is_private(),
        "depth": key.depth(),
        "parent_fingerprint": key.parent_fingerprint().to_lower_hex_string(),
        "child_number": format!("{:08x}", key.child_number()),
        "chaincode": key.chain_code().to_lower_hex_string(),
        "pubkey": key.public_key().to_lower_hex_string(),
        "fingerprint": key.fingerprint().to_lower_hex_string(),
        "converted": conversions(key),
    });
    let Some(fields) = json.as_object_mut() else {
        return json;
    };
    let payload = key.to_payload().to_lower_hex_string();
    fields.insert("payload_hex".into(), payload.into());
    if let Some(other) = other_network(&public) {
        fields.insert(
            "converted_other_network".into(),
            public_forms(&other).into(),
        );
    }
    if let Ok(descriptor) = Descriptor::single(public.into(), Branch::Both) {
        fields.extend(descriptor::single_fields(&descriptor));
    }
    json
}

/// The key as every kind of its network: who asks about a private key has it.
fn conversions(key: &ExtendedKey) -> Map<String, Value> {
    let forms = Kind::ALL.into_iter().filter_map(|kind| {
        let converted = key.with_kind(kind).ok()?;
        let mut forms = json!({"pub": converted.to_public().encode()});
        if key.is_private() {
            let private = json!(converted.encode());
            forms.as_object_mut()?.insert("prv".into(), private);
        }
        Some((kind.xtype().to_owned(), forms))
    });
    forms.collect()
}

fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::Standard => "P2PKH, or P2SH multisig",
        Kind::P2wpkhInP2sh => "P2WPKH in P2SH",
        Kind::P2wpkh => "P2WPKH",
        Kind::P2wshInP2sh => "multisig P2WSH in P2SH",
        Kind::P2wsh => "multisig P2WSH",
    }
}

/// The same key on Bitcoin's other network.
fn other_network(key: &ExtendedKey) -> Option<ExtendedKey> {
    let other = match key.network() {
        Network::Mainnet => Network::Testnet,
        Network::Testnet => Network::Mainnet,
        _ => return None,
    };
    key.with_network(other).ok()
}

fn public_forms(key: &ExtendedKey) -> Map<String, Value> {
    let forms = Kind::ALL.into_iter().filter_map(|kind| {
        let converted = key.with_kind(kind).ok()?;
        Some((kind.xtype().to_owned(), converted.encode().into()))
    });
    forms.collect()
}
