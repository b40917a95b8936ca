//! Output descriptors (BIP 380 to 389), and what is wrong with those that are none.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use bitcoin::Network;
use electrum_server_core::personal::Keychain;
use miniscript::descriptor::checksum;
use miniscript::{Descriptor, DescriptorPublicKey, ForEachKey, MiniscriptKey};
use slip132::{ExtendedKey, Kind};

use super::extended::{self, is_extended, shortened, what_it_is};
use super::{of_address, of_script};
use crate::wallets::import::closest;

/// What a descriptor may begin with here.
const OUTERMOST: [&str; 11] = [
    "pk",
    "pkh",
    "wpkh",
    "sh",
    "wsh",
    "tr",
    "combo",
    "multi",
    "sortedmulti",
    "addr",
    "raw",
];
/// What may stand inside: the fragments of miniscript.
const INSIDE: [&str; 30] = [
    "pk",
    "pkh",
    "wpkh",
    "wsh",
    "multi",
    "sortedmulti",
    "multi_a",
    "sortedmulti_a",
    "pk_k",
    "pk_h",
    "older",
    "after",
    "sha256",
    "hash256",
    "ripemd160",
    "hash160",
    "andor",
    "and_v",
    "and_b",
    "and_n",
    "or_b",
    "or_c",
    "or_d",
    "or_i",
    "thresh",
    "sh",
    "tr",
    "combo",
    "addr",
    "raw",
];
/// A bare script has no more keys, to be relayed.
const MOST_BARE_KEYS: usize = 3;

/// Reads a descriptor, one keychain for each of its paths.
pub(super) fn keychains(text: &str, network: Network) -> anyhow::Result<Vec<Keychain>> {
    let body = without_checksum(text)?;
    let Some((name, rest)) = body.split_once('(') else {
        bail!("it is no output descriptor");
    };
    if !OUTERMOST.contains(&name) {
        bail!("{}", unknown_name(name, &OUTERMOST));
    }
    let opened = body.matches(['(', '{', '[', '<']).count();
    let closed = body.matches([')', '}', ']', '>']).count();
    let inside = match rest.strip_suffix(')') {
        Some(inside) if opened == closed => inside,
        _ => bail!(
            "the brackets of the descriptor do not match: {opened} are opened and {closed} closed, and the last character is `)`"
        ),
    };
    match name {
        "addr" => return Ok(vec![of_address(inside, network)?]),
        "raw" => return Ok(vec![of_script(inside)?]),
        _ => {}
    }
    check_keys(body, network)?;
    match name {
        "combo" => combo(inside),
        "sortedmulti" => bare_sorted(body),
        _ => derived(body),
    }
}

/// Takes the checksum away, if there is one and it is right.
fn without_checksum(text: &str) -> anyhow::Result<&str> {
    let body = text.split_once('#').map_or(text, |(body, _)| body);
    let mut engine = checksum::Engine::new();
    if engine.input(body).is_err() {
        bail!("there is a character in it that no output descriptor has");
    }
    let right = engine.checksum();
    match text.split_once('#') {
        Some((_, found)) if found.trim() != right => bail!(
            "the checksum behind the # does not belong to the descriptor: copy both again, or leave the # and what follows away"
        ),
        _ => Ok(body),
    }
}

fn unknown_name(name: &str, known: &[&str]) -> String {
    // A long or odd one may be anything.
    let is_name = name.len() <= 20
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        return format!(
            "it is no output descriptor: these begin with {}",
            OUTERMOST.join(", ")
        );
    }
    let hint = closest(name, known).map_or_else(
        || format!("known are {}", known.join(", ")),
        |known| format!("did you mean {known}()?"),
    );
    match name {
        "rawtr" | "musig" | "sp" => format!(
            "{name}() is not supported: of Taproot there is tr() with a key or a tree; single addresses can be given as they are"
        ),
        _ => format!("{name}() is unknown in output descriptors: {hint}"),
    }
}

/// Looks at all that stands where keys stand.
fn check_keys(body: &str, network: Network) -> anyhow::Result<()> {
    let words = body.split(|c: char| !c.is_ascii_alphanumeric());
    for word in
        words.filter(|word| word.len() > 100 && !word.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        if !is_extended(word) {
            bail!(
                "there is a key in it that is no extended public key of Bitcoin: these begin with xpub, or with tpub on test \
                 networks"
            );
        }
        let key = extended::read(word, network)?;
        if key.kind() != Kind::Standard {
            bail!("{}", instead_of(&key, word));
        }
    }
    Ok(())
}

/// Says what to write instead of a key of SLIP-132 in a descriptor.
fn instead_of(key: &ExtendedKey, text: &str) -> String {
    let plain = match key.network() {
        slip132::Network::Mainnet => "xpub",
        _ => "tpub",
    };
    let prefix = text.get(..4).unwrap_or_default();
    let alone = match key.kind() {
        Kind::P2wsh | Kind::P2wshInP2sh => {
            format!("`M {prefix}... {prefix}...` without any brackets")
        }
        _ => format!("the {prefix} alone, without any brackets"),
    };
    format!(
        "the key {} is {}, and descriptors have only {plain}, since they say themselves what the addresses are: write {alone}, \
         or the same key as {plain} with a path, such as {plain}.../<0;1>/* (electrum-tools xpub convert standard prints it)",
        shortened(text),
        what_it_is(key)
    )
}

/// Derives a descriptor whose keys were looked at.
pub(super) fn derived(body: &str) -> anyhow::Result<Vec<Keychain>> {
    let descriptor = parse(body)?;
    Keychain::of_descriptor(&descriptor).map_err(|_| hardened())
}

fn hardened() -> anyhow::Error {
    anyhow!(
        "its addresses cannot be derived without private keys: behind a public key no step is hardened (' or h). Give the public \
         key of the account, with the hardened steps before it in brackets: [73c5da0a/84'/0'/0']xpub.../<0;1>/*"
    )
}

fn parse(body: &str) -> anyhow::Result<Descriptor<DescriptorPublicKey>> {
    let descriptor: Descriptor<DescriptorPublicKey> =
        body.parse().map_err(|error| explain(body, &error))?;
    // The library takes as many paths as the first key has, and leaves those of the others out.
    let mut counts = BTreeSet::new();
    descriptor.for_each_key(|key| {
        counts.insert(key.num_der_paths());
        true
    });
    counts.remove(&0);
    counts.remove(&1);
    match counts.len() {
        0 | 1 => Ok(descriptor),
        _ => Err(explain(body, &miniscript::Error::MultipathDescLenMismatch)),
    }
}

/// Says in our words why the library does not take a descriptor.
fn explain(body: &str, error: &miniscript::Error) -> anyhow::Error {
    use miniscript::Error;
    // Names stand before brackets, perhaps with wrappers such as v: before them.
    let parts = body
        .split_inclusive('(')
        .filter_map(|part| part.strip_suffix('('));
    let names = parts.filter_map(|part| part.rsplit([',', '{', ':', '(']).next());
    for name in names {
        if !OUTERMOST.contains(&name) && !INSIDE.contains(&name) {
            return anyhow!("{}", unknown_name(name, &INSIDE));
        }
    }
    if body.matches("pub").count() > 0 && hardened_behind_a_key(body) {
        return hardened();
    }
    let text = match error {
        Error::MultipathDescLenMismatch => {
            "its keys have different numbers of paths: <0;1> must have as many for each key"
        }
        Error::NonStandardBareScript => {
            "without sh() or wsh() around it, a script has at most 3 keys: put it into wsh()"
        }
        Error::Threshold(_) | Error::ParseThreshold(_) => {
            "the number of signatures is not between 1 and the number of keys, or there are too many keys"
        }
        Error::ContextError(_) | Error::PubKeyCtxError(..) => {
            "a key or a script in it is not allowed where it stands: uncompressed keys not in wpkh(), wsh() and tr(), multi() \
             not in tr() and multi_a() only there"
        }
        Error::TypeCheck(_)
        | Error::NonTopLevel(_)
        | Error::UnknownWrapper(_)
        | Error::AnalysisError(_)
        | Error::ImpossibleSatisfaction => {
            "its miniscript is not sound: nobody, or anybody, could spend"
        }
        Error::MaxRecursiveDepthExceeded | Error::TapTreeDepthError(_) => "it is nested too deeply",
        _ => {
            "it is no output descriptor that can be derived here: look at names, brackets, commas, keys and the paths behind \
             them (for example wpkh(xpub.../<0;1>/*)); `bitcoin-cli getdescriptorinfo` says what Bitcoin Core thinks of it"
        }
    };
    anyhow!(text)
}

/// Whether a step behind an extended key is hardened.
fn hardened_behind_a_key(body: &str) -> bool {
    let expressions = body.split([',', '(', ')', '{', '}']);
    let mut behind = expressions.filter_map(|expression| {
        let key = expression.rsplit(']').next()?;
        let (_, path) = key.split_once('/')?;
        Some(path)
    });
    behind.any(|path| path.contains(['\'', 'h', 'H']))
}

/// All kinds of addresses of a key, as Bitcoin Core understands `combo`.
fn combo(key: &str) -> anyhow::Result<Vec<Keychain>> {
    // Segregated witness has no uncompressed keys.
    let is_compressed = key.rsplit(']').next().is_none_or(|key| key.len() != 130);
    let kinds = [
        format!("pk({key})"),
        format!("pkh({key})"),
        format!("wpkh({key})"),
        format!("sh(wpkh({key}))"),
    ];
    let kinds = kinds.iter().take(if is_compressed { 4 } else { 2 });
    let keychains = kinds
        .map(|descriptor| derived(descriptor))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(keychains.into_iter().flatten().collect())
}

/// A bare script of several keys in the order of their bytes. Inside of `wsh` it is the same script, and there the library
/// knows it.
fn bare_sorted(body: &str) -> anyhow::Result<Vec<Keychain>> {
    if body.matches(',').count() > MOST_BARE_KEYS {
        bail!("{}", explain("", &miniscript::Error::NonStandardBareScript));
    }
    let descriptor = parse(&format!("wsh({body})"))?;
    let singles = descriptor
        .into_single_descriptors()
        .map_err(|error| explain(body, &error))?;
    for single in &singles {
        single.at_derivation_index(0).map_err(|_| hardened())?;
    }
    let keychain = |single: Descriptor<DescriptorPublicKey>| {
        let id = format!("bare {single:#}");
        let has_wildcard = single.has_wildcard();
        let derive = move |index| {
            if !has_wildcard && index > 0 {
                return None;
            }
            single
                .at_derivation_index(index)
                .ok()?
                .explicit_script()
                .ok()
        };
        Keychain::new(id, Arc::new(derive))
    };
    Ok(singles.into_iter().map(keychain).collect())
}
