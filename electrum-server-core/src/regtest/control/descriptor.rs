//! Output descriptors, and the methods about them.

use std::collections::HashSet;

use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Address, Amount, Network, ScriptBuf};
use miniscript::descriptor::checksum::{Engine, verify_checksum};
use miniscript::{Descriptor, DescriptorPublicKey};
use serde_json::{Value, json};

use super::arguments::address;
use super::{Answer, Arguments, Control, ControlError, Method, method};
use crate::regtest::json::{btc, object};

pub(super) const METHODS: &[Method] = &[
    method(
        "deriveaddresses",
        &["descriptor", "range"],
        "The addresses of a descriptor.",
        derive,
    ),
    method(
        "getdescriptorinfo",
        &["descriptor"],
        "A descriptor without private keys, and its checksum.",
        describe,
    ),
    method(
        "scantxoutset",
        &["action", "scanobjects"],
        "The unspent outputs of descriptors.",
        scan,
    ),
];

/// What a descriptor stands for.
pub(super) struct Parsed {
    /// Each path without private keys and checksum.
    texts: Vec<String>,
    has_private_keys: bool,
    paths: Vec<Path>,
}

/// One path of a descriptor.
enum Path {
    Script(ScriptBuf),
    Descriptor(Box<Descriptor<DescriptorPublicKey>>),
    /// All single-key scripts of the key in `pkh(KEY)`.
    Combo(Box<Descriptor<DescriptorPublicKey>>),
}

fn invalid(message: impl std::fmt::Display) -> ControlError {
    ControlError::new(-5, message)
}

/// Reads a descriptor, with a checksum or without.
pub(super) fn parse(text: &str) -> Result<Parsed, ControlError> {
    let body = verify_checksum(text).map_err(|error| invalid(error.to_string()))?;
    let inside = |name: &str| {
        let rest = body.strip_prefix(name)?.strip_prefix('(')?;
        rest.strip_suffix(')')
    };
    let single = |script| Parsed {
        texts: vec![body.to_owned()],
        has_private_keys: false,
        paths: vec![Path::Script(script)],
    };
    if let Some(hex) = inside("raw") {
        let script = ScriptBuf::from_hex(hex).map_err(|_| invalid("Raw script is not hex"))?;
        return Ok(single(script));
    }
    if let Some(inner) = inside("addr") {
        let script = address(inner).ok_or_else(|| invalid("Address is not valid"))?;
        return Ok(single(script));
    }
    let combo = inside("combo");
    let wanted = combo.map_or_else(|| body.to_owned(), |key| format!("pkh({key})"));
    let secp = Secp256k1::new();
    // What the library says may repeat a private key.
    let (descriptor, keys) = Descriptor::parse_descriptor(&secp, &wanted)
        .map_err(|_| invalid("not a valid descriptor; 'help' lists what takes one"))?;
    let paths = descriptor.into_single_descriptors().map_err(invalid)?;
    let public = |path: &Descriptor<DescriptorPublicKey>| {
        // Bitcoin Core writes hardened steps so.
        let text = format!("{path:#}").replace('\'', "h");
        match combo {
            Some(_) => text.replacen("pkh(", "combo(", 1),
            None => text,
        }
    };
    Ok(Parsed {
        texts: paths.iter().map(public).collect(),
        has_private_keys: !keys.is_empty(),
        paths: paths
            .into_iter()
            .map(|path| match combo {
                Some(_) => Path::Combo(Box::new(path)),
                None => Path::Descriptor(Box::new(path)),
            })
            .collect(),
    })
}

/// The script of an address or of a descriptor without a range.
pub(super) fn output(text: &str) -> Result<ScriptBuf, ControlError> {
    if let Some(script) = address(text) {
        return Ok(script);
    }
    match text.contains('(') {
        true => parse(text)?.single(),
        false => Err(invalid("Invalid address or descriptor")),
    }
}

impl Path {
    fn is_ranged(&self) -> bool {
        match self {
            Self::Script(_) => false,
            Self::Descriptor(descriptor) | Self::Combo(descriptor) => descriptor.has_wildcard(),
        }
    }

    /// The scripts with an index; several only when they are those of a `combo`.
    fn scripts(&self, index: u32) -> Result<Vec<ScriptBuf>, ControlError> {
        match self {
            Self::Script(script) => Ok(vec![script.clone()]),
            Self::Descriptor(descriptor) => {
                let definite = descriptor.at_derivation_index(index).map_err(hardened)?;
                Ok(vec![definite.script_pubkey()])
            }
            Self::Combo(descriptor) => {
                let definite = descriptor.at_derivation_index(index).map_err(hardened)?;
                let Descriptor::Pkh(pkh) = definite.derived_descriptor(&Secp256k1::new()) else {
                    return Err(invalid("not a key"));
                };
                let key = *pkh.as_inner();
                let mut scripts = vec![
                    ScriptBuf::new_p2pk(&key),
                    ScriptBuf::new_p2pkh(&key.pubkey_hash()),
                ];
                if let Ok(hash) = key.wpubkey_hash() {
                    let segwit = ScriptBuf::new_p2wpkh(&hash);
                    let nested = ScriptBuf::new_p2sh(&segwit.script_hash());
                    scripts.extend([segwit, nested]);
                }
                Ok(scripts)
            }
        }
    }
}

fn hardened(_: impl std::fmt::Display) -> ControlError {
    invalid("Cannot derive script without private keys")
}

impl Parsed {
    fn is_ranged(&self) -> bool {
        self.paths.iter().any(Path::is_ranged)
    }

    /// The one script to pay to.
    pub(super) fn single(&self) -> Result<ScriptBuf, ControlError> {
        let no_range = "Ranged descriptor not accepted. Maybe pass through deriveaddresses first?";
        let [path] = self.paths.as_slice() else {
            return Err(ControlError::new(
                ControlError::PARAMETER,
                "Multipath descriptor not accepted",
            ));
        };
        if path.is_ranged() {
            return Err(ControlError::new(ControlError::PARAMETER, no_range));
        }
        let mut scripts = path.scripts(0)?;
        // Bitcoin Core takes the P2WPKH of a combo, or the P2PKH of an uncompressed key.
        let wanted = match scripts.len() {
            1 => 0,
            4 => 2,
            _ => 1,
        };
        Ok(scripts.swap_remove(wanted))
    }
}

/// The most indexes of a range, as in Bitcoin Core.
const MAX_RANGE: u32 = 1_000_000;

/// A range: its end, or begin and end. Both ends are meant.
fn range(value: &Value) -> Result<(u32, u32), ControlError> {
    let wrong = |message: &str| ControlError::new(ControlError::PARAMETER, message);
    // Command lines may have sent it as text.
    let read = value
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok());
    let value = read.as_ref().unwrap_or(value);
    let number = |value: &Value| {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.filter(|number| *number < 1 << 31)
    };
    let (first, last) = match value {
        Value::Array(ends) => match ends.as_slice() {
            [first, last] => (number(first), number(last)),
            _ => (None, None),
        },
        end => (Some(0), number(end)),
    };
    let (Some(first), Some(last)) = (first, last) else {
        return Err(wrong("Range must be specified as end or as [begin,end]"));
    };
    if last < first {
        return Err(wrong(
            "Range specified as [begin,end] must not have begin after end",
        ));
    }
    match last - first < MAX_RANGE {
        true => Ok((first, last)),
        false => Err(wrong("Range is too large")),
    }
}

fn derive(_: &Control, arguments: &Arguments) -> Answer {
    let text = arguments.text(0)?;
    if !text.contains('#') {
        return Err(invalid("Missing checksum"));
    }
    let parsed = parse(text)?;
    let wrong = |message: &str| ControlError::new(ControlError::PARAMETER, message);
    let given = arguments.get(1).map(range).transpose()?;
    let (first, last) = match (given, parsed.is_ranged()) {
        (None, false) => (0, 0),
        (Some(given), true) => given,
        (Some(_), false) => {
            return Err(wrong(
                "Range should not be specified for an un-ranged descriptor",
            ));
        }
        (None, true) => return Err(wrong("Range must be specified for a ranged descriptor")),
    };
    let addresses = |path: &Path| -> Result<Value, ControlError> {
        let mut addresses = Vec::new();
        for index in first..=last {
            for script in path.scripts(index)? {
                let address = Address::from_script(&script, Network::Regtest);
                // Of a combo, P2PK has none.
                match (address, path) {
                    (Ok(address), _) => addresses.push(json!(address.to_string())),
                    (Err(_), Path::Combo(_)) => {}
                    (Err(_), _) => {
                        return Err(invalid("Descriptor does not have a corresponding address"));
                    }
                }
            }
        }
        Ok(Value::Array(addresses))
    };
    match parsed.paths.as_slice() {
        [path] => addresses(path),
        paths => paths.iter().map(addresses).collect(),
    }
}

fn checksum(text: &str) -> Result<String, ControlError> {
    let mut engine = Engine::new();
    engine.input(text).map_err(invalid)?;
    Ok(engine.checksum())
}

fn describe(_: &Control, arguments: &Arguments) -> Answer {
    let text = arguments.text(0)?;
    let parsed = parse(text)?;
    let body = text.split('#').next().unwrap_or_default();
    let is_solvable = matches!(
        parsed.paths.first(),
        Some(Path::Descriptor(_) | Path::Combo(_))
    );
    let mut texts = Vec::new();
    for text in &parsed.texts {
        texts.push(json!(format!("{text}#{}", checksum(text)?)));
    }
    let mut described = object(json!({
        "descriptor": texts.first(),
        "checksum": checksum(body)?,
        "isrange": parsed.is_ranged(),
        "issolvable": is_solvable,
        "hasprivatekeys": parsed.has_private_keys,
    }));
    if texts.len() > 1 {
        described.insert("multipath_expansion".to_owned(), Value::Array(texts));
    }
    Ok(Value::Object(described))
}

/// The last index that is looked for unless a range is given, as in Bitcoin Core.
const SCANNED: u32 = 1000;

fn scan(control: &Control, arguments: &Arguments) -> Answer {
    match arguments.text(0)? {
        "start" => {}
        // A scan ends before anybody can ask for it.
        "status" => return Ok(Value::Null),
        "abort" => return Ok(json!(false)),
        other => {
            let message = format!("Invalid action '{other}'");
            return Err(ControlError::new(ControlError::PARAMETER, message));
        }
    }
    let objects = arguments.list(1)?;
    let mut wanted = HashSet::new();
    for object in &objects {
        let (text, given) = match object {
            Value::String(text) => (Some(text.as_str()), None),
            Value::Object(object) => (
                object.get("desc").and_then(Value::as_str),
                object.get("range"),
            ),
            _ => (None, None),
        };
        let text = text.ok_or_else(|| {
            let message = "Scan object needs to be either a string or an object";
            ControlError::new(ControlError::PARAMETER, message)
        })?;
        let parsed = parse(text)?;
        let (first, last) = match (given, parsed.is_ranged()) {
            (_, false) => (0, 0),
            (Some(given), true) => range(given)?,
            (None, true) => (0, SCANNED),
        };
        for path in &parsed.paths {
            for index in first..=last {
                wanted.extend(path.scripts(index)?);
            }
        }
    }
    Ok(control.node.read(|state| {
        let chain = &state.chain;
        let (mut total, mut unspents) = (Amount::ZERO, Vec::new());
        let coins = chain.coins.iter();
        let mut found: Vec<_> = coins
            .filter(|(_, coin)| wanted.contains(&coin.output.script_pubkey))
            .collect();
        found.sort_unstable_by_key(|(outpoint, _)| **outpoint);
        for (outpoint, coin) in found {
            total += coin.output.value;
            unspents.push(json!({
                "txid": outpoint.txid,
                "vout": outpoint.vout,
                "scriptPubKey": coin.output.script_pubkey.to_hex_string(),
                "amount": btc(coin.output.value.to_sat()),
                "coinbase": coin.is_coinbase,
                "height": coin.height,
                "blockhash": chain.active_hash(coin.height),
                "confirmations": (chain.height() + 1).saturating_sub(coin.height),
            }));
        }
        json!({
            "success": true,
            "txouts": chain.coins.len(),
            "height": chain.height(),
            "bestblock": chain.tip(),
            "unspents": unspents,
            "total_amount": btc(total.to_sat()),
        })
    }))
}
