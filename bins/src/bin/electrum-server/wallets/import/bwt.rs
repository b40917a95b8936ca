//! The environment file of bwt (`bwt.env`).

use std::collections::BTreeMap;
use std::path::Path;

use slip132::{ExtendedKey, Kind};

use super::dotenv::{self, Variable};
use super::lines::{self, WrongLine};
use super::{Imported, closest, origin};
use crate::cli::Options;
use crate::wallets::WalletEntry;
use crate::wallets::entry::BirthEntry;

/// What a variable has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Xpubs,
    /// Without chains for receiving and change.
    BareXpubs,
    Descriptors,
    Addresses,
}

/// Variables with lists, and the beginnings of those with a name of the user's.
const WALLETS: [(&[&str], &[&str], Content); 4] = [
    (&["XPUBS", "XPUB"], &["XPUB_"], Content::Xpubs),
    (
        &["BARE_XPUBS", "BARE_XPUB"],
        &["BARE_XPUB_"],
        Content::BareXpubs,
    ),
    (
        &["DESCRIPTORS", "DESCRIPTOR", "DESC"],
        &["DESC_", "DESCRIPTOR_"],
        Content::Descriptors,
    ),
    (&["ADDRESSES", "ADDRESS"], &["ADDRESS_"], Content::Addresses),
];

/// Everything else that bwt reads.
pub(super) const OTHERS: [&str; 28] = [
    "ADDRESSES_FILE",
    "NETWORK",
    "GAP_LIMIT",
    "RESCAN_SINCE",
    "BITCOIND_DIR",
    "BITCOIND_URL",
    "BITCOIND_AUTH",
    "BITCOIND_CRED",
    "BITCOIND_COOKIE",
    "BITCOIND_WALLET",
    "ELECTRUM_ADDR",
    "ELECTRUM_RPC_ADDR",
    "ELECTRUM_SKIP_MERKLE",
    "ELECTRUM_SOCKS_AUTH",
    "BROADCAST_CMD",
    "TX_BROADCAST_CMD",
    "INITIAL_IMPORT_SIZE",
    "POLL_INTERVAL",
    "HTTP_ADDR",
    "HTTP_SERVER_ADDR",
    "HTTP_CORS",
    "AUTH_COOKIE",
    "AUTH_TOKEN",
    "UNIX_LISTENER_PATH",
    "WEBHOOK_URLS",
    "CREATE_WALLET_IF_MISSING",
    "FORCE_RESCAN",
    "RUST_LOG",
];

/// Takes over what stands in a file. `options` is what was said elsewhere, which wins.
pub(super) fn read(
    text: &str,
    path: &Path,
    options: &Options,
    environment: &BTreeMap<String, String>,
) -> Result<Imported, WrongLine> {
    let mut imported = Imported::default();
    let mut since = None;
    let mut gap_limit = None;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for variable in dotenv::parse(text, environment)? {
        let Variable { name, value, line } = &variable;
        if let Some(first) = seen.get(name) {
            return Err(WrongLine::new(
                *line,
                format!(
                    "{name} is set already, on line {first}, and bwt reads only that: remove one, or name them apart"
                ),
            ));
        }
        seen.insert(name.clone(), *line);
        if let Some((content, wallet)) = wallet_variable(name) {
            let wallet = (!wallet.is_empty()).then(|| wallet.to_lowercase());
            add_wallets(&variable, content, wallet, path, &mut imported)?;
            continue;
        }
        if value.is_empty() {
            continue;
        }
        match name.as_str() {
            "ADDRESSES_FILE" => addresses_of(&variable, path, &mut imported)?,
            "GAP_LIMIT" => {
                gap_limit = Some(value.parse().map_err(|_| {
                    WrongLine::new(*line, "GAP_LIMIT is not a whole number, such as 25")
                })?);
                imported.taken.push(format!("GAP_LIMIT={value}"));
            }
            "RESCAN_SINCE" => {
                since = birth(value, *line, &mut imported)?;
                if since.is_some() {
                    imported.taken.push(format!("RESCAN_SINCE={value}"));
                }
            }
            name => settle(name, &variable, options, &mut imported)?,
        }
    }
    if imported.wallets.is_empty() {
        return Err(WrongLine::new(
            1,
            "there is no wallet in it: bwt reads XPUBS, DESCRIPTORS and ADDRESSES (several separated by `;`), or XPUB_NAME, \
             DESC_NAME and ADDRESS_NAME with any name",
        ));
    }
    for wallet in &mut imported.wallets {
        wallet.gap_limit = gap_limit;
        if wallet.birth.is_none() {
            wallet.birth.clone_from(&since);
        }
    }
    Ok(imported)
}

/// Returns what kind of wallet a variable has, and the name that it gives.
fn wallet_variable(name: &str) -> Option<(Content, &str)> {
    WALLETS.iter().find_map(|(names, prefixes, content)| {
        let mut prefixes = prefixes.iter();
        let own = match names.contains(&name) {
            true => Some(""),
            false => prefixes.find_map(|prefix| name.strip_prefix(prefix)),
        };
        own.map(|own| (*content, own))
    })
}

fn add_wallets(
    variable: &Variable,
    content: Content,
    name: Option<String>,
    path: &Path,
    imported: &mut Imported,
) -> Result<(), WrongLine> {
    let Variable {
        name: variable_name,
        value,
        line,
    } = variable;
    let mut entries: Vec<WalletEntry> = Vec::new();
    for piece in split(value, content) {
        // xpub...:2021-05-31, with the time from which on to look.
        let (key, birth) = match piece.rsplit_once(':') {
            Some((key, since)) => (key, birth(since, *line, imported)?),
            None => (piece.as_str(), None),
        };
        let key = match content {
            Content::BareXpubs => bare(key, *line)?,
            _ => key.to_owned(),
        };
        match entries.iter_mut().find(|entry| entry.birth == birth) {
            Some(entry) => entry.keys.push(key),
            None => entries.push(WalletEntry {
                name: name.clone(),
                keys: vec![key],
                birth,
                origin: Some(origin(path, *line)),
                ..WalletEntry::default()
            }),
        }
    }
    if entries.is_empty() {
        return Err(WrongLine::new(
            *line,
            format!("{variable_name} is empty: write the key behind the `=`, or remove the line"),
        ));
    }
    // With different births they are wallets of their own.
    for (number, entry) in (1..).zip(&mut entries) {
        if number > 1
            && let Some(name) = &mut entry.name
        {
            *name = format!("{name} {number}");
        }
    }
    imported.wallets.append(&mut entries);
    Ok(())
}

/// The keys between semicolons, and between commas where a key has none; those inside `<0;1>` belong to a descriptor.
fn split(keys: &str, content: Content) -> Vec<String> {
    let mut inside = false;
    let parts = keys.split(|c| {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            _ => {}
        }
        let separates = c == ';' || (c == ',' && content != Content::Descriptors);
        separates && !inside
    });
    let parts = parts.map(|key| key.trim().to_owned());
    parts.filter(|key| !key.is_empty()).collect()
}

/// The descriptor of a key whose addresses are right beneath it.
fn bare(key: &str, line: usize) -> Result<String, WrongLine> {
    let wrong = |why: String| WrongLine::new(line, why);
    let key = ExtendedKey::parse(key).map_err(|error| wrong(error.to_string()))?;
    if key.is_private() {
        return Err(wrong(
            "there is a private key in it: give the public one".to_owned(),
        ));
    }
    let (open, close) = match key.kind() {
        Kind::Standard => ("pkh(", ")"),
        Kind::P2wpkhInP2sh => ("sh(wpkh(", "))"),
        Kind::P2wpkh => ("wpkh(", ")"),
        kind => return Err(wrong(format!("a {kind} key is one of several signers"))),
    };
    let standard = key
        .with_kind(Kind::Standard)
        .map_err(|error| wrong(error.to_string()))?;
    Ok(format!("{open}{}/*{close}", standard.encode()))
}

/// From when on to look: all is looked through where nothing is said. A number is a time, never a height.
fn birth(
    since: &str,
    line: usize,
    imported: &mut Imported,
) -> Result<Option<BirthEntry>, WrongLine> {
    let since = since.trim();
    match since {
        "all" | "genesis" => return Ok(None),
        "now" | "none" => {
            imported.remarks.push(format!(
                "`{since}` (line {line}) is not taken over: the whole chain is looked through, unless --wallet-birth says from \
                 when on"
            ));
            return Ok(None);
        }
        _ => {}
    }
    if let Ok(seconds) = since.parse::<u32>() {
        // Before there was a chain.
        return Ok((seconds >= super::super::birth::TIMES).then_some(BirthEntry::Number(seconds)));
    }
    let entry = BirthEntry::Text(since.to_owned());
    match super::super::birth::parse(Some(&entry)) {
        Ok(_) => Ok(Some(entry)),
        Err(_) => Err(WrongLine::new(
            line,
            "the time from which on to look is no date (YYYY-MM-DD), no number of seconds since 1970, and not `all`",
        )),
    }
}

/// A file with an address on each line.
fn addresses_of(
    variable: &Variable,
    path: &Path,
    imported: &mut Imported,
) -> Result<(), WrongLine> {
    let file = Path::new(&variable.value);
    let text = lines::read(file)
        .map_err(|error| WrongLine::new(variable.line, format!("ADDRESSES_FILE: {error:#}")))?;
    let addresses: Vec<String> = lines::numbered(&text)
        .map(|(_, line)| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    if addresses.is_empty() {
        return Err(WrongLine::new(
            variable.line,
            format!("ADDRESSES_FILE: {} has no address in it", file.display()),
        ));
    }
    imported.wallets.push(WalletEntry {
        keys: addresses,
        origin: Some(origin(path, variable.line)),
        ..WalletEntry::default()
    });
    Ok(())
}

/// Takes over what says nothing of wallets, or says why not.
fn settle(
    name: &str,
    variable: &Variable,
    options: &Options,
    imported: &mut Imported,
) -> Result<(), WrongLine> {
    let Variable { value, line, .. } = variable;
    let Imported {
        options: taken_options,
        taken,
        remarks,
        ..
    } = imported;
    let mut take = |is_free: bool, option: &str, into: &mut dyn FnMut()| match is_free {
        true => {
            into();
            taken.push(name.to_owned());
        }
        false => remarks.push(format!(
            "{name} (line {line}) is not taken over: {option} says it otherwise"
        )),
    };
    let asks_free = options.auth.is_none()
        && options.cookie.is_none()
        && options.cookie_file.is_none()
        && options.daemon_dir.is_none();
    match name {
        "NETWORK" => {
            let network = value
                .parse()
                .map_err(|error: String| WrongLine::new(*line, error))?;
            let is_free = options.network.is_none_or(|other| other == network);
            take(is_free, "--network", &mut || taken_options.network = Some(network));
        }
        "BITCOIND_DIR" => take(options.daemon_dir.is_none(), "--daemon-dir", &mut || {
            taken_options.daemon_dir = Some(value.into());
        }),
        "BITCOIND_COOKIE" => take(asks_free, "another option", &mut || {
            taken_options.cookie_file = Some(value.into());
        }),
        "BITCOIND_AUTH" | "BITCOIND_CRED" => take(asks_free, "another option", &mut || {
            let Ok(secret) = value.parse();
            taken_options.auth = Some(secret);
        }),
        "BITCOIND_URL" => {
            let address = value.strip_prefix("http://").unwrap_or(value);
            let address = address.split('/').next().unwrap_or_default();
            // Credentials may stand before the host.
            match crate::config::check_address("daemon-rpc-addr", address) {
                Ok(()) if !address.contains('@') => {
                    take(options.daemon_rpc_addr.is_none(), "--daemon-rpc-addr", &mut || {
                        taken_options.daemon_rpc_addr = Some(address.to_owned());
                    });
                }
                _ => remarks.push(format!(
                    "{name} (line {line}) is not taken over: write --daemon-rpc-addr HOST:PORT"
                )),
            }
        }
        "ELECTRUM_ADDR" | "ELECTRUM_RPC_ADDR" => {
            crate::config::check_address("electrum-rpc-addr", value)
                .map_err(|_| WrongLine::new(*line, format!("{name} is not HOST:PORT")))?;
            take(options.electrum_rpc_addr.is_empty(), "--electrum-rpc-addr", &mut || {
                taken_options.electrum_rpc_addr = vec![value.clone()];
            });
        }
        "BROADCAST_CMD" | "TX_BROADCAST_CMD" => remarks.push(format!(
            "{name} (line {line}) is not taken over: give the command to --broadcast-command, with %s in the place of {{tx_hex}}"
        )),
        "ELECTRUM_SKIP_MERKLE" => remarks.push(format!(
            "{name} (line {line}) is not needed: proofs are real here"
        )),
        name if OTHERS.contains(&name) => remarks.push(format!(
            "{name} (line {line}) is not taken over: there is nothing like it here"
        )),
        name => {
            let lists = WALLETS.iter().flat_map(|(names, ..)| *names).copied();
            let upper = name.to_uppercase();
            let is_like_a_wallet = ["XPUB", "YPUB", "ZPUB", "BARE", "DESC", "ADDR"]
                .iter()
                .any(|start| upper.starts_with(start));
            let all: Vec<&str> = OTHERS.into_iter().chain(lists).collect();
            let similar = closest(&upper, &all);
            if is_like_a_wallet {
                // Left out in silence it would be missed.
                return Err(WrongLine::new(
                    *line,
                    format!(
                        "bwt has no variable {name}: write {}, or XPUB_NAME, DESC_NAME or ADDRESS_NAME with any name",
                        similar.unwrap_or("XPUBS")
                    ),
                ));
            }
            let hint = similar.map_or_else(String::new, |name| format!(": did you mean {name}?"));
            remarks.push(format!(
                "{name} (line {line}) is no variable of bwt, and not taken over{hint}"
            ));
        }
    }
    Ok(())
}
