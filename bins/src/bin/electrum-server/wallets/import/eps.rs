//! The `config.ini` of Electrum Personal Server.

use std::path::{Path, PathBuf};

use bitcoin::Network;

use super::ini::{Ini, Setting};
use super::lines::WrongLine;
use super::{Imported, closest, origin};
use crate::cli::Options;
use crate::wallets::WalletEntry;

const KEYS: &str = "master-public-keys";
const ADDRESSES: &str = "watch-only-addresses";
const NODE: &str = "bitcoin-rpc";
const SERVER: &str = "electrum-server";

/// All sections that Electrum Personal Server reads.
const SECTIONS: [&str; 5] = [KEYS, ADDRESSES, NODE, SERVER, "logging"];

/// What there is no use for here, because nothing is imported into the node, nothing polled and no histogram made.
const NEEDLESS: [&str; 11] = [
    "wallet_filename",
    "poll_interval_listening",
    "poll_interval_connected",
    "initial_import_count",
    "disable_mempool_fee_histogram",
    "mempool_update_interval",
    "log_level_stdout",
    "log_file_location",
    "append_log",
    "log_format",
    "gap_limit",
];

/// Takes over what stands in a file. `options` is what was said elsewhere, which wins.
pub(super) fn read(text: &str, path: &Path, options: &Options) -> Result<Imported, WrongLine> {
    let ini = Ini::parse(text)?;
    let mut imported = Imported::default();
    wallets(&ini, path, &mut imported)?;
    let server = Settings(ini.settings(SERVER));
    let node = Settings(ini.settings(NODE));
    listening(&server, path, options, &mut imported)?;
    reaching_the_node(&node, options, &mut imported)?;
    broadcasting(&server, &mut imported);
    if let Some(setting) = node.get("gap_limit") {
        let limit: u32 = setting.value.parse().map_err(|_| {
            WrongLine::new(setting.line, "gap_limit is not a whole number, such as 25")
        })?;
        for wallet in &mut imported.wallets {
            wallet.gap_limit = Some(limit);
        }
        imported.taken.push(format!("gap_limit = {limit}"));
    }
    the_rest(&ini, &mut imported);
    Ok(imported)
}

/// The options of a section.
struct Settings<'a>(Vec<&'a Setting>);

impl<'a> Settings<'a> {
    /// Returns an option that has a value.
    fn get(&self, name: &str) -> Option<&'a Setting> {
        let found = self.0.iter().find(|setting| setting.name == name);
        found.filter(|setting| !setting.value.is_empty()).copied()
    }
}

fn wallets(ini: &Ini, path: &Path, imported: &mut Imported) -> Result<(), WrongLine> {
    let Some(line) = ini.section_line(KEYS) else {
        let similar = ini
            .sections()
            .find(|(name, _)| closest(name, &SECTIONS) == Some(KEYS));
        return Err(match similar {
            Some((name, line)) => WrongLine::new(
                line,
                format!("the section [{name}] is unknown: it is called [{KEYS}]"),
            ),
            None => WrongLine::new(
                1,
                format!(
                    "there is no section [{KEYS}]: this is no config.ini of Electrum Personal Server"
                ),
            ),
        });
    };
    for section in [KEYS, ADDRESSES] {
        for setting in ini.settings(section) {
            if setting.value.is_empty() {
                return Err(WrongLine::new(
                    setting.line,
                    format!(
                        "`{}` of [{section}] has no value: write the key or the addresses behind the `=`, or remove the line",
                        setting.name
                    ),
                ));
            }
            if setting.value.contains([' ', '\t', '\n'])
                && let Some(rest) = setting
                    .value
                    .split_whitespace()
                    .find(|word| word.starts_with(['#', ';']))
            {
                return Err(WrongLine::new(
                    setting.line,
                    format!(
                        "the `{}` behind the value of `{}` begins no comment: Electrum Personal Server reads it as a part \
                         of the value. Put the comment on a line of its own",
                        rest.chars().next().unwrap_or('#'),
                        setting.name
                    ),
                ));
            }
            imported.wallets.push(WalletEntry {
                name: Some(setting.name.clone()),
                keys: vec![setting.value.clone()],
                origin: Some(origin(path, setting.line)),
                ..WalletEntry::default()
            });
        }
    }
    if imported.wallets.is_empty() {
        return Err(WrongLine::new(
            line,
            format!(
                "there is no key in [{KEYS}] and no address in [{ADDRESSES}]: write NAME = KEY below, with the master \
                 public key that Electrum shows in Wallet, Information"
            ),
        ));
    }
    Ok(())
}

/// Electrum Personal Server speaks TLS in one place.
fn listening(
    server: &Settings<'_>,
    path: &Path,
    options: &Options,
    imported: &mut Imported,
) -> Result<(), WrongLine> {
    let (host, port) = (server.get("host"), server.get("port"));
    let whitelist = server.get("ip_whitelist");
    if let Some(port) = port
        && port.value.parse::<u16>().is_err()
    {
        return Err(WrongLine::new(
            port.line,
            "port of [electrum-server] is not a port: a number from 1 to 65535",
        ));
    }
    let is_open = whitelist.is_none_or(|list| list.value.split_whitespace().any(|one| one == "*"));
    let is_local = host.is_none_or(|host| {
        host.value == "localhost" || host.value.starts_with("127.") || host.value == "::1"
    });
    let mut listens = false;
    match (host, port) {
        (None, None) => {}
        (Some(host), Some(port)) => {
            let address = format!("{}:{}", bracketed(&host.value), port.value);
            if !options.electrum_tls_addr.is_empty() {
                imported.remarks.push(format!(
                    "host and port of [electrum-server] (lines {} and {}) are not taken over: --electrum-tls-addr says where to \
                     listen",
                    host.line, port.line
                ));
            } else if is_open || is_local {
                imported
                    .taken
                    .push(format!("host and port of [electrum-server] (TLS on {address})"));
                imported.options.electrum_tls_addr = vec![address];
                listens = true;
            } else {
                imported.remarks.push(format!(
                    "host and port of [electrum-server] (lines {} and {}) are not taken over, because ip_whitelist is not: \
                     --electrum-tls-addr {address} listens there, for whoever the firewall lets through",
                    host.line, port.line
                ));
            }
        }
        (Some(one), None) | (None, Some(one)) => imported.remarks.push(format!(
            "{} of [electrum-server] (line {}) is not taken over without the other of host and port: see --electrum-tls-addr",
            one.name, one.line
        )),
    }
    if let Some(list) = whitelist.filter(|_| !is_open) {
        imported.remarks.push(format!(
            "ip_whitelist (line {}) is not taken over: who may connect is for --electrum-tls-addr and a firewall to say",
            list.line
        ));
    }
    certificate(server, path, options, listens, imported);
    Ok(())
}

fn bracketed(host: &str) -> String {
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    }
}

/// Where the files are not there, Electrum Personal Server shows a certificate of its own to everybody.
fn certificate(
    server: &Settings<'_>,
    path: &Path,
    options: &Options,
    listens: bool,
    imported: &mut Imported,
) {
    let (certificate, key) = (server.get("certfile"), server.get("keyfile"));
    let said = options.tls_cert.is_some() || options.tls_key.is_some();
    if let (Some(certificate), Some(key)) = (certificate, key)
        && !said
    {
        let files = [certificate, key].map(|setting| existing(path, &setting.value));
        if let [Some(certificate), Some(key)] = files {
            imported.taken.push("certfile and keyfile".to_owned());
            imported.options.tls_cert = Some(certificate);
            imported.options.tls_key = Some(key);
            return;
        }
    }
    let why = match (said, certificate.is_some() && key.is_some()) {
        (true, _) => "--tls-cert and --tls-key say which certificate is shown".to_owned(),
        (false, false) => "both are needed, see --tls-cert and --tls-key".to_owned(),
        (false, true) => {
            let wallets = match listens {
                true => {
                    ". A wallet that remembers the certificate of before must forget it: remove its file in the folder \
                         `certs` of Electrum"
                }
                false => "",
            };
            format!("the files are not there, and a certificate is made once instead{wallets}")
        }
    };
    for setting in [certificate, key].into_iter().flatten() {
        imported.remarks.push(format!(
            "{} (line {}) is not taken over: {why}",
            setting.name, setting.line
        ));
    }
}

/// A file as Electrum Personal Server finds it, in the working folder, or else beside its configuration.
fn existing(config: &Path, file: &str) -> Option<PathBuf> {
    let beside = config.parent().map(|folder| folder.join(file));
    [Some(PathBuf::from(file)), beside]
        .into_iter()
        .flatten()
        .find(|file| file.is_file())
}

fn reaching_the_node(
    node: &Settings<'_>,
    options: &Options,
    imported: &mut Imported,
) -> Result<(), WrongLine> {
    if let (Some(host), Some(port)) = (node.get("host"), node.get("port")) {
        if port.value.parse::<u16>().is_err() {
            return Err(WrongLine::new(
                port.line,
                "port of [bitcoin-rpc] is not a port: a number from 1 to 65535",
            ));
        }
        if options.daemon_rpc_addr.is_none() {
            let address = format!("{}:{}", bracketed(&host.value), port.value);
            imported
                .taken
                .push(format!("host and port of [bitcoin-rpc] ({address})"));
            imported.options.daemon_rpc_addr = Some(address);
        } else {
            imported.remarks.push(format!(
                "host and port of [bitcoin-rpc] (lines {} and {}) are not taken over: --daemon-rpc-addr says where the node is",
                host.line, port.line
            ));
        }
    }
    let said = options.auth.is_some()
        || options.cookie.is_some()
        || options.cookie_file.is_some()
        || options.daemon_dir.is_some();
    let (user, password) = (node.get("rpc_user"), node.get("rpc_password"));
    if let (Some(user), Some(password), false) = (user, password, said) {
        let Ok(secret) = format!("{}:{}", user.value, password.value).parse();
        imported.taken.push("rpc_user and rpc_password".to_owned());
        imported.options.auth = Some(secret);
    } else if let (Some(datadir), false) = (node.get("datadir"), said || user.is_some()) {
        imported.taken.push("datadir".to_owned());
        let folder = Path::new(&datadir.value);
        let is_main = options
            .network
            .is_none_or(|network| network.0 == Network::Bitcoin);
        match is_main {
            true => imported.options.daemon_dir = Some(folder.to_owned()),
            // There it names the folder of the network.
            false => imported.options.cookie_file = Some(folder.join(".cookie")),
        }
    } else {
        for name in ["rpc_user", "rpc_password", "datadir"] {
            let Some(setting) = node.get(name) else {
                continue;
            };
            imported.remarks.push(format!(
                "{name} (line {}) is not taken over: see --daemon-dir, --cookie-file and auth",
                setting.line
            ));
        }
    }
    Ok(())
}

fn broadcasting(server: &Settings<'_>, imported: &mut Imported) {
    let Some(method) = server.get("broadcast_method") else {
        return;
    };
    // A command may have secrets in it.
    let kind = method.value.split_whitespace().next().unwrap_or_default();
    let instead = match kind {
        "own-node" => return,
        "system" => {
            "to your node, unless --broadcast-command says otherwise, which gets the transaction itself and not a file"
        }
        _ => {
            "to your node, which can broadcast through Tor by itself (-privatebroadcast of Bitcoin Core 31); see also \
              --broadcast-command"
        }
    };
    imported.remarks.push(format!(
        "broadcast_method = {kind} (line {}) is not taken over: transactions go {instead}",
        method.line
    ));
    for name in ["tor_host", "tor_port"] {
        if let Some(setting) = server.get(name) {
            imported.remarks.push(format!(
                "{name} (line {}) is not taken over: the node has its own -proxy and -onion",
                setting.line
            ));
        }
    }
}

/// Names what else there is.
fn the_rest(ini: &Ini, imported: &mut Imported) {
    let known = [
        "host",
        "port",
        "ip_whitelist",
        "certfile",
        "keyfile",
        "rpc_user",
        "rpc_password",
        "datadir",
        "broadcast_method",
        "tor_host",
        "tor_port",
    ];
    let all: Vec<&str> = known.into_iter().chain(NEEDLESS).collect();
    let mut needless = Vec::new();
    for (section, line) in ini.sections() {
        if !SECTIONS.contains(&section) {
            imported.remarks.push(format!(
                "the section [{section}] (line {line}) is unknown, and nothing in it is taken over{}",
                suggestion(closest(section, &SECTIONS).map(|name| format!("[{name}]")))
            ));
            continue;
        }
        if section == KEYS || section == ADDRESSES {
            continue;
        }
        for setting in ini.settings(section) {
            let name = setting.name.as_str();
            if NEEDLESS.contains(&name) {
                if name != "gap_limit" && !setting.value.is_empty() {
                    needless.push(format!("{name} (line {})", setting.line));
                }
            } else if !known.contains(&name) && !setting.value.is_empty() {
                imported.remarks.push(format!(
                    "{name} of [{section}] (line {}) is unknown, and not taken over{}",
                    setting.line,
                    suggestion(closest(name, &all).map(str::to_owned))
                ));
            }
        }
    }
    // Without a broadcast method that needs them.
    let server = Settings(ini.settings(SERVER));
    let is_used = server
        .get("broadcast_method")
        .is_some_and(|method| method.value != "own-node");
    if !is_used {
        for name in ["tor_host", "tor_port"] {
            let setting = server.get(name);
            needless.extend(setting.map(|setting| format!("{name} (line {})", setting.line)));
        }
    }
    if !needless.is_empty() {
        imported
            .remarks
            .push(format!("not needed here: {}", needless.join(", ")));
    }
}

fn suggestion(name: Option<String>) -> String {
    name.map_or_else(String::new, |name| format!(": did you mean {name}?"))
}
